"""What the flash of a device holds at its first boot: who it is, whom it trusts, and its own keys.

Certificates and the TLS key are DER, because boards read no PEM; signing and agreement keys are raw.
"""

from dataclasses import dataclass

from protocol import cbor
from provisioning.authority import Certified
from provisioning.device_keys import DeviceKeys

# Keys of the map in device.cbor.
DEVICE, HALL, KIND, BROKER_HOST, BROKER_PORT, SERVER_NAME, PLACE = 1, 2, 3, 4, 5, 6, 7
GATEWAY_AGREEMENT, COMMAND_PUBLIC, BUILT_S, RELEASE_KEYS = 8, 9, 10, 11

SECRET_NAMES = frozenset({"tls.key", "signing.key", "agreement.key"})


@dataclass(frozen=True)
class HallFacts:
    """What every device of a hall is told: the broker's address and name, and public keys (65 bytes each).

    Keys of the gateway, and release_keys: of those whose signatures let a new program in.
    """

    hall: str
    broker_host: str
    broker_port: int
    server_name: str
    gateway_agreement: bytes
    command_public: bytes
    release_keys: tuple[bytes, ...]


def identity(facts: HallFacts, device: str, kind: str, place: str, built_s: int) -> bytes:
    """device.cbor. built_s: UTC seconds, the earliest moment that the device's clock may ever show."""
    return cbor.encode(
        {
            DEVICE: device,
            HALL: facts.hall,
            KIND: kind,
            BROKER_HOST: facts.broker_host,
            BROKER_PORT: facts.broker_port,
            SERVER_NAME: facts.server_name,
            PLACE: place,
            GATEWAY_AGREEMENT: facts.gateway_agreement,
            COMMAND_PUBLIC: facts.command_public,
            BUILT_S: built_s,
            RELEASE_KEYS: list(facts.release_keys),
        }
    )


def contents(identity: bytes, keys: DeviceKeys, tls: Certified, root_der: bytes) -> dict[str, bytes]:
    """Every file of the flash, by name."""
    return {
        "device.cbor": identity,
        "tls.crt": tls.certificate_der(),
        "tls.key": tls.key_der(),
        "root.crt": root_der,
        "signing.key": keys.signing,
        "agreement.key": keys.agreement,
    }
