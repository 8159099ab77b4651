"""The gateway's key for manifests with what certifies it, and the register: whose keys were in force, and since when
not any more. An audit has the hall's root certificate only, so both travel with the evidence.
"""

import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gateway import keys
from gateway.configuration import EvidenceSettings
from gateway.registry import PENDING, Device, RegistryError, WatchedFile
from gateway.section import ConfigurationError
from protocol import manifest
from protocol.refusal import Refused
from protocol.sign1 import Signer
from protocol.suite_host import HostSuite

# The gateway's own, the authority of the devices', and room for those of a key that was changed.
CERTIFICATES_MAX = 16


@dataclass(frozen=True)
class EvidenceKeys:
    """signer: signs manifests and exports. certificates: DER, the gateway's own among them."""

    signer: Signer = field(repr=False)
    certificates: tuple[bytes, ...]


@dataclass(frozen=True)
class Register:
    """The devices in force. certificates: DER, those of gateway and authority included. revocations: DER of the CRL."""

    certificates: tuple[bytes, ...]
    revocations: bytes

    @property
    def digest(self) -> bytes:
        """32 bytes: how a manifest names it."""
        return manifest.register(list(self.certificates), self.revocations)

    def members(self) -> list[tuple[bytes, bytes]]:
        """(SHA-256, DER) of each certificate, ascending."""
        return sorted((hashlib.sha256(each).digest(), each) for each in self.certificates)


def load(settings: EvidenceSettings, suite: HostSuite) -> EvidenceKeys:
    """The keys of [evidence]. Raises ConfigurationError."""
    try:
        signer = Signer(suite, keys.read_secret("[evidence] key", settings.key))
    except Refused:
        raise ConfigurationError("[evidence] key: is no key of the curve P-256; copy the hall's evidence.key") from None
    try:
        found = x509.load_pem_x509_certificates(settings.certificates.read_bytes())
    except (OSError, ValueError):
        raise ConfigurationError(f"[evidence] certificates: {settings.certificates} holds no certificates") from None
    if len(found) > CERTIFICATES_MAX or signer.public_key not in [_public(each) for each in found]:
        raise ConfigurationError(
            "[evidence] certificates: none of them certifies the key; copy evidence.pem and evidence.key of one hall"
        )
    return EvidenceKeys(signer, tuple(each.public_bytes(Encoding.DER) for each in found))


def _public(certificate: x509.Certificate) -> bytes:
    try:
        return certificate.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    except ValueError:
        return b""


def parse_revocations(text: str) -> bytes:
    """DER of the list in a PEM file. Raises RegistryError."""
    try:
        return x509.load_pem_x509_crl(text.encode()).public_bytes(Encoding.DER)
    except ValueError:
        raise RegistryError("is no list of revocations; copy the hall's evidence.crl there again") from None


class RegisterBook:
    """The register as it stands. devices: the hall's devices now; the list of revocations is read when it changes.

    Raises RegistryError when that list cannot be used at the start.
    """

    def __init__(self, own: EvidenceKeys, revocations: Path, devices: Callable[[], Mapping[str, Device]]) -> None:
        self._own = own
        self._devices = devices
        self._revocations = WatchedFile(revocations, parse_revocations)

    def current(self) -> Register:
        """Of every device that may or might once send: one that is not approved yet is not expected anywhere."""
        self._revocations.refresh(time.monotonic())
        certified = [
            one.certificate for one in self._devices().values() if one.certificate is not None and one.status != PENDING
        ]
        return Register((*self._own.certificates, *certified), self._revocations.content)
