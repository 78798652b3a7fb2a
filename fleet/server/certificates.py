"""Client certificates: which device of which tenants one stands for.

A device's certificate names its id as the subject's common name. Whose devices it may be is decided by
who issued it: each tenant has authorities of its own, and one's certificates say nothing in another.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.x509.oid import NameOID

from fleet.server.revocations import read_revocations
from fleet.store.errors import StoreError

_log = logging.getLogger("fleet")
_OVERDUE = "no device is let in by its authority before a newer list is there; SIGHUP reads it"
CERTIFIED = "fleet.certified"
"""Key of a request's scope: what the client's certificate proves, a `Certified`, if it showed one."""


@dataclasses.dataclass(frozen=True)
class Certified:
    """What a certificate proves: the device's id, and in which tenants."""

    device: str
    tenants: frozenset[str]


class Authorities:
    """Who may issue devices' certificates, and which of these they took back.

    Args:
        by_tenant: PEM files of each tenant's authorities; a certificate must be issued by one of these
            directly, so an intermediate authority that issues to devices stands in its file itself.
        lists: PEM files with revocation lists of some of these authorities. One whose newest list, or
            that of one of its parts, is overdue lets no device in, for nobody knows what it took back since.

    Raises:
        StoreError: if a file cannot be read, or holds no certificate or list.
    """

    def __init__(self, by_tenant: Mapping[str, Sequence[Path]], lists: Sequence[Path] = ()) -> None:
        self.files = [file for files in by_tenant.values() for file in files]
        self._files = by_tenant
        self._lists = lists
        self._readings = 0
        self.read()

    def read(self) -> None:
        """Reads all files again.

        Raises:
            StoreError: if one cannot be read; what was read before counts on then.
        """
        by_tenant = {
            tenant: [authority for file in files for authority in _read(file)]
            for tenant, files in self._files.items()
        }
        everybody = [authority for some in by_tenant.values() for authority in some]
        revocations = read_revocations(self._lists, everybody)
        self._by_tenant, self._revocations = by_tenant, revocations
        self._readings += 1
        self._overdue = 0
        self.reading()

    def reading(self) -> tuple[int, int]:
        """How often the files were read, and how many lists are overdue by now.

        What was certified when it was another may not hold.
        """
        overdue = [said for some in self._revocations.values() for said in some if said.overdue()]
        if len(overdue) > self._overdue:
            for said in overdue:
                _log.warning("%s: overdue since %s: %s", said.file, said.until, _OVERDUE)
        self._overdue = len(overdue)
        return self._readings, self._overdue

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
            if any(self._holds(shown, authority) for authority in authorities)
        }
        if len(names) != 1 or not issuers:
            return None
        return Certified(str(names[0].value), frozenset(issuers))

    def _holds(self, shown: x509.Certificate, authority: x509.Certificate) -> bool:
        if not _issued(shown, authority):
            return False
        return not any(
            shown.serial_number in said.serials or said.overdue()
            for said in self._revocations.get(authority, ())
        )


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
