"""The keys of a device, one purpose each: signing records, agreeing on sealing keys; TLS has its own (authority.py)."""

from dataclasses import dataclass, field

from protocol.suite_host import HostSuite


@dataclass(frozen=True)
class DeviceKeys:
    """Raw private keys, 32 bytes each, and their public halves, 65 bytes each."""

    signing: bytes = field(repr=False)
    agreement: bytes = field(repr=False)
    signing_public: bytes
    agreement_public: bytes


def make(suite: HostSuite) -> DeviceKeys:
    """Fresh keys of one device."""
    signing, agreement = suite.generate_private(), suite.generate_private()
    return DeviceKeys(signing, agreement, public_of(suite, signing), public_of(suite, agreement))


def public_of(suite: HostSuite, private: bytes) -> bytes:
    """65 bytes of the public key that belongs to 32 private ones. Raises Refused("key")."""
    return suite.public_bytes(suite.load_private(private))
