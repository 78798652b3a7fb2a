"""Client certificates: which device of which tenants one stands for.

A device's certificate names its id as the subject's common name. Whose devices it may be is decided by
who issued it: each tenant has authorities of its own, and one's certificates say nothing in another.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.x509.oid import NameOID

from fleet.store.errors import StoreError

CERTIFIED = "fleet.certified"
"""Key of a request's scope: what the client's certificate proves, a `Certified`, if it showed one."""


@dataclasses.dataclass(frozen=True)
class Certified:
    """What a certificate proves: the device's id, and in which tenants."""

    device: str
    tenants: frozenset[str]


class Authorities:
    """Who may issue devices' certificates.

    Args:
        by_tenant: PEM files of each tenant's authorities; a certificate must be issued by one of these
            directly, so an intermediate authority that issues to devices stands in its file itself.

    Raises:
        StoreError: if a file cannot be read, or holds no certificate.
    """

    def __init__(self, by_tenant: Mapping[str, Sequence[Path]]) -> None:
        self.files = [file for files in by_tenant.values() for file in files]
        self._by_tenant = {
            tenant: [authority for file in files for authority in _read(file)]
            for tenant, files in by_tenant.items()
        }

    def certify(self, certificate: bytes) -> Certified | None:
        """What a certificate proves whose chain and dates TLS has verified; None if nothing.

        Args:
            certificate: in DER.
        """
        try:
            shown = x509.load_der_x509_certificate(certificate)
            names = shown.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        except ValueError:
            return None
        issuers = {
            tenant
            for tenant, authorities in self._by_tenant.items()
            if any(_issued(shown, authority) for authority in authorities)
        }
        if len(names) != 1 or not issuers:
            return None
        return Certified(str(names[0].value), frozenset(issuers))


def _issued(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _read(file: Path) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(file.read_bytes())
    except (OSError, ValueError) as e:
        raise StoreError(f"--client-ca {file}: give a PEM file with certificates: {e}") from e
