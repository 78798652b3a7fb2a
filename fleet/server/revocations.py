"""Which certificates their authorities took back: certificate revocation lists (RFC 5280, section 5).

An authority may divide its list, each part with a distribution point of its own: all parts count then, and
of each the newest. Lists that tell what changed since another one (delta lists), or of others' certificates,
are refused.
"""

from __future__ import annotations

import dataclasses
import datetime
import re
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

from fleet.store.errors import StoreError

_BEGIN = b"-----BEGIN X509 CRL-----"
_PEM = re.compile(_BEGIN + rb".*?-----END X509 CRL-----", re.DOTALL)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Revocations:
    """What an authority's newest list says, or the newest of one of its parts.

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
) -> dict[x509.Certificate, list[Revocations]]:
    """What the lists in these PEM files say, by the authority that signed them.

    Raises:
        StoreError: if a file cannot be read or holds no list, or one that no authority signed, or that
            does not tell by itself which certificates are taken back.
    """
    found: dict[x509.Certificate, dict[bytes, Revocations]] = {}
    for file in files:
        for listed in _read(file):
            signers = [each for each in authorities if _signed(listed, each)]
            if not signers:
                raise StoreError(
                    f"--client-crl {file}: none of the authorities of --client-ca signed the list of "
                    f"{listed.issuer.rfc4514_string()}: give the one of an authority that is believed"
                )
            part, said = _part(file, listed), _said(file, listed)
            for signer in signers:
                parts = found.setdefault(signer, {})
                if part not in parts or parts[part].issued < said.issued:
                    parts[part] = said
    return {signer: list(parts.values()) for signer, parts in found.items()}


def _read(file: Path) -> list[x509.CertificateRevocationList]:
    try:
        content = file.read_bytes()
        found = [x509.load_pem_x509_crl(each) for each in _PEM.findall(content)]
        for each in found:
            each.issuer, each.extensions  # noqa: B018 - read when they are asked for; may be malformed
    except (OSError, ValueError) as e:
        raise StoreError(f"--client-crl {file}: give a PEM file with revocation lists: {e}") from e
    if not found:
        raise StoreError(f"--client-crl {file}: holds no revocation list: give it in PEM")
    # Without the last one, its authority would be believed in all.
    if content.count(_BEGIN) != len(found):
        raise StoreError(
            f"--client-crl {file}: its last revocation list is cut off: write another file, and rename it"
        )
    return found


def _part(file: Path, listed: x509.CertificateRevocationList) -> bytes:
    """Which part of its authority's list it is: its distribution point in DER; empty where it is all."""
    part = b""
    for extension in listed.extensions:
        point = extension.value
        if isinstance(point, x509.IssuingDistributionPoint):
            part = point.public_bytes()
            others = (
                point.indirect_crl
                or point.only_contains_ca_certs
                or point.only_contains_attribute_certs
            )
            refused = "tells of certificates that are no devices' of its own" if others else ""
        elif isinstance(point, x509.DeltaCRLIndicator):
            refused = "tells what changed since another one"
        else:
            unknown = extension.critical and isinstance(point, x509.UnrecognizedExtension)
            refused = f"cannot be understood ({extension.oid.dotted_string})" if unknown else ""
        if refused:
            raise StoreError(
                f"--client-crl {file}: the list of {listed.issuer.rfc4514_string()} {refused}: give the "
                "complete list of what this authority took back"
            )
    return part


def _said(file: Path, listed: x509.CertificateRevocationList) -> Revocations:
    return Revocations(
        file=file,
        issued=listed.last_update_utc,
        until=listed.next_update_utc,
        serials=frozenset(each.serial_number for each in listed),
    )


def _signed(listed: x509.CertificateRevocationList, authority: x509.Certificate) -> bool:
    if listed.issuer != authority.subject:
        return False
    try:
        return listed.is_signature_valid(authority.public_key())  # type: ignore[arg-type]  # or TypeError
    except (TypeError, ValueError, UnsupportedAlgorithm):
        return False
