"""Whose key is whose, from the hall's root certificate alone: certificates and revocations are followed up to it."""

import datetime
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from gateway.findings import Findings
from protocol import purpose
from protocol.sign1 import KID_BYTES

# A hall of 10 000 devices, each of which was enrolled a second time.
CERTIFICATES_MAX = 20_000
# What keys of the gateway are certified for, by the root itself.
_OF_GATEWAYS = (purpose.MANIFESTS, purpose.ANNOTATIONS)


class TrustError(Exception):
    """The root certificate cannot be used. str() says what to do."""


@dataclass(frozen=True)
class Certified:
    """A key that the hall vouches for. name: of a device; "" for the gateway. kind: of the device. public: key object.

    From valid_from_s to valid_to_s, UTC seconds. digest: SHA-256 of the certificate.
    """

    name: str
    kind: str
    kid: bytes
    public: Any = field(repr=False)
    serial: int
    digest: bytes
    valid_from_s: int
    valid_to_s: int


class Trust:
    """The keys of one hall. root_pem: content of hall-root.pem. Raises TrustError."""

    def __init__(self, root_pem: bytes) -> None:
        try:
            self._root = x509.load_pem_x509_certificate(root_pem)
            self._root.verify_directly_issued_by(self._root)
            self.hall = _text(self._root.subject, NameOID.ORGANIZATION_NAME)
        except (ValueError, TypeError, InvalidSignature):
            raise TrustError("is no root certificate of a hall; take ca/root.pem of the hall") from None
        self._seen: set[bytes] = set()
        self._authorities: list[x509.Certificate] = []
        self._gateways: dict[str, list[Certified]] = {use: [] for use in _OF_GATEWAYS}
        self._devices: dict[str, list[Certified]] = {}
        self._revoked_s: dict[int, int] = {}

    def learn(self, certificates: Iterable[bytes], revocations: Iterable[bytes], findings: Findings) -> None:
        """Take what leads up to the root; name what does not. Authorities may stand anywhere among `certificates`."""
        loaded = [found for der in certificates if (found := self._load(der, findings)) is not None]
        for certificate in sorted(loaded, key=_is_leaf):
            try:
                self._take(certificate)
            except (_UntrustedError, ValueError) as error:
                why = str(error) if isinstance(error, _UntrustedError) else "not of our making"
                findings.add("certificate", detail=f"{_shown(certificate)}: {why}")
        for der in dict.fromkeys(revocations):
            self._revoke(der, findings)

    def gateway_keys(self, kid: bytes, use: str = purpose.MANIFESTS) -> list[Any]:
        """Keys of the gateway with this id, certified for `use` (of protocol.purpose)."""
        return [one.public for one in self._gateways[use] if one.kid == kid]

    def device(self, name: str) -> list[Certified]:
        """The certified keys of a device; [] for one that the hall never certified."""
        return self._devices.get(name, [])

    def active(self, digests: set[bytes]) -> list[str]:
        """Names of the devices that stand in a register (SHA-256 of each certificate in it) and are not revoked."""
        return sorted(
            name
            for name, keys in self._devices.items()
            if any(one.serial not in self._revoked_s and one.digest in digests for one in keys)
        )

    def revoked_s(self, key: Certified) -> int | None:
        """When a key was revoked; None: it was not."""
        return self._revoked_s.get(key.serial)

    def _load(self, der: bytes, findings: Findings) -> x509.Certificate | None:
        digest = _digest(der)
        if digest in self._seen or len(self._seen) >= CERTIFICATES_MAX:
            return None
        self._seen.add(digest)
        try:
            return x509.load_der_x509_certificate(der)
        except (ValueError, x509.InvalidVersion):
            findings.add("certificate", detail="not to be read")
            return None

    def _take(self, certificate: x509.Certificate) -> None:
        if _text(certificate.subject, NameOID.ORGANIZATION_NAME) != self.hall:
            raise _UntrustedError("of another hall")
        if not _is_leaf(certificate):
            self._check(certificate, [self._root], purpose.RECORDS)
            self._authorities.append(certificate)
        elif (use := next(iter(_purposes(certificate)), "")) in self._gateways:
            self._check(certificate, [self._root], use)
            self._gateways[use].append(_certified(certificate, "", ""))
        else:
            self._check(certificate, self._authorities, purpose.RECORDS)
            name = _text(certificate.subject, NameOID.COMMON_NAME)
            kind = _text(certificate.subject, NameOID.ORGANIZATIONAL_UNIT_NAME)
            self._devices.setdefault(name, []).append(_certified(certificate, name, kind))

    def _check(self, certificate: x509.Certificate, issuers: list[x509.Certificate], use: str) -> None:
        if _purposes(certificate) != [use]:
            raise _UntrustedError("not made for this purpose")
        for issuer in issuers:
            try:
                certificate.verify_directly_issued_by(issuer)
                return
            except (ValueError, TypeError, InvalidSignature):
                pass
        raise _UntrustedError("not issued below the hall's root")

    def _revoke(self, der: bytes, findings: Findings) -> None:
        if not der:
            return
        try:
            found = x509.load_der_x509_crl(der)
        except ValueError:
            findings.add("certificate", detail="a list of revocations that cannot be read")
            return
        if not any(_signed_by(found, authority) for authority in self._authorities):
            findings.add("certificate", detail="a list of revocations that the hall's authority did not sign")
            return
        for entry in found:
            since_s = int(entry.revocation_date_utc.timestamp())
            self._revoked_s[entry.serial_number] = min(since_s, self._revoked_s.get(entry.serial_number, since_s))


class _UntrustedError(Exception):
    """A certificate that leads to no trust. str() says why."""


def _signed_by(found: x509.CertificateRevocationList, authority: x509.Certificate) -> bool:
    public = authority.public_key()
    return isinstance(public, ec.EllipticCurvePublicKey) and found.is_signature_valid(public)


def _digest(der: bytes) -> bytes:
    return hashlib.sha256(der).digest()


def _text(name: x509.Name, oid: x509.ObjectIdentifier) -> str:
    found = name.get_attributes_for_oid(oid)
    if len(found) != 1:
        raise ValueError("not one attribute")
    return str(found[0].value)


def _shown(certificate: x509.Certificate) -> str:
    try:
        return ascii(_text(certificate.subject, NameOID.COMMON_NAME))[1:33]
    except ValueError:
        return "a certificate without a name"


def _is_leaf(certificate: x509.Certificate) -> bool:
    try:
        return not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (x509.ExtensionNotFound, ValueError):
        return True


def _purposes(certificate: x509.Certificate) -> list[str]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    except (x509.ExtensionNotFound, ValueError):
        return []
    return [each.dotted_string for each in found.value] if found.critical else []


def _certified(certificate: x509.Certificate, name: str, kind: str) -> Certified:
    public = certificate.public_key()
    if not isinstance(public, ec.EllipticCurvePublicKey) or not isinstance(public.curve, ec.SECP256R1):
        raise _UntrustedError("not a key of the curve P-256")
    point = public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    kid = hashlib.sha256(point).digest()[:KID_BYTES]
    digest = _digest(certificate.public_bytes(Encoding.DER))
    return Certified(name, kind, kid, public, certificate.serial_number, digest, _seconds(begin), _seconds(end))


def _seconds(moment: datetime.datetime) -> int:
    return int(moment.timestamp())
