"""Which certificates their authorities took back: certificate revocation lists (RFC 5280, section 5)."""

from __future__ import annotations

import dataclasses
import datetime
import re
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

from fleet.store.errors import StoreError

_PEM = re.compile(rb"-----BEGIN X509 CRL-----.*?-----END X509 CRL-----", re.DOTALL)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Revocations:
    """What an authority's newest list says.

    Attributes:
        file: where it stands.
        issued: when it was issued.
        until: when the next one is due; None if it does not say.
        serials: numbers of the certificates that it takes back.
    """

    file: Path
    issued: datetime.datetime
    until: datetime.datetime | None
    serials: frozenset[int]

    def overdue(self) -> bool:
        """Whether a newer list should be there: what it says is not the truth any more."""
        return self.until is not None and self.until < datetime.datetime.now(datetime.UTC)


def read_revocations(
    files: Sequence[Path], authorities: Sequence[x509.Certificate]
) -> dict[x509.Certificate, Revocations]:
    """What the lists in these PEM files say, by the authority that signed them.

    Raises:
        StoreError: if a file cannot be read or holds no list, or one that no authority signed.
    """
    found: dict[x509.Certificate, Revocations] = {}
    for file in files:
        for listed in _read(file):
            signers = [each for each in authorities if _signed(listed, each)]
            if not signers:
                raise StoreError(
                    f"--client-crl {file}: none of the authorities of --client-ca signed the list of "
                    f"{listed.issuer.rfc4514_string()}: give the one of an authority that is believed"
                )
            said = Revocations(
                file=file,
                issued=listed.last_update_utc,
                until=listed.next_update_utc,
                serials=frozenset(each.serial_number for each in listed),
            )
            for signer in signers:
                if signer not in found or found[signer].issued < said.issued:
                    found[signer] = said
    return found


def _read(file: Path) -> list[x509.CertificateRevocationList]:
    try:
        found = [x509.load_pem_x509_crl(each) for each in _PEM.findall(file.read_bytes())]
    except (OSError, ValueError) as e:
        raise StoreError(f"--client-crl {file}: give a PEM file with revocation lists: {e}") from e
    if not found:
        raise StoreError(f"--client-crl {file}: holds no revocation list: give it in PEM")
    return found


def _signed(listed: x509.CertificateRevocationList, authority: x509.Certificate) -> bool:
    if listed.issuer != authority.subject:
        return False
    try:
        return listed.is_signature_valid(authority.public_key())  # type: ignore[arg-type]  # or TypeError
    except (TypeError, ValueError, UnsupportedAlgorithm):
        return False
