"""The hall's list of devices: registry.json for the gateway, and the same devices' public keys for the central system.

Pure: text in, text out. A registry is never changed in place; each change gives a new one.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from protocol import topic
from protocol.limits import PUBLIC_KEY_BYTES

EVALUATOR, CLOCK = "evaluator", "clock"
KINDS = (EVALUATOR, CLOCK)
ACTIVE, PENDING, REVOKED = "active", "pending", "revoked"
STATUSES = (ACTIVE, PENDING, REVOKED)

# Names in certificates that speak for a server of the hall; a device of that name would pass for it.
RESERVED_NAMES = ("gateway", "central", "broker")

# A window or door stands in signed claims and on the device's small display.
PLACE_CHARS_MAX = 16


class RegistryError(Exception):
    """The registry does not allow this. str() is one line for the technician."""


@dataclass(frozen=True)
class Device:
    """One enrolled device. place: window or door. signing, agreement: 65-byte public keys.

    staff_number: who usually sits there. certificate: DER, says that `signing` signs this device's records.
    """

    name: str
    kind: str
    place: str
    status: str
    signing: bytes
    agreement: bytes
    revoked_at_s: int | None = None
    staff_number: str | None = None
    certificate: bytes | None = None


@dataclass(frozen=True)
class Registry:
    """The devices of one hall, in the order of their enrolment."""

    hall: str
    devices: tuple[Device, ...] = ()

    def get(self, name: str) -> Device:
        """The device `name`. Raises RegistryError."""
        for device in self.devices:
            if device.name == name:
                return device
        raise RegistryError(f"the hall {self.hall} has no device {name}; `device list` shows those it has")


def check_new(registry: Registry, name: str, kind: str, place: str) -> None:
    """Raises RegistryError when a device of this name, kind and place may not join."""
    _check(name, kind, place)
    if any(device.name == name for device in registry.devices):
        # Also a revoked one: records are known by their device's name for ever.
        raise RegistryError(f"device name {name}: given once already; names are never given again")


def _check(name: str, kind: str, place: str) -> None:
    if not topic.is_name(name):
        raise RegistryError(f"device name {name!r}: 1 to 32 of a-z, 0-9 and -")
    if name in RESERVED_NAMES:
        raise RegistryError(f"device name {name}: reserved for a server of the hall")
    if kind not in KINDS:
        raise RegistryError(f"device {name}: kind {kind!r} is none of {', '.join(KINDS)}")
    if not 1 <= len(place) <= PLACE_CHARS_MAX or not place.isprintable():
        raise RegistryError(f"device {name}: window or door has 1 to {PLACE_CHARS_MAX} characters")


def add(registry: Registry, device: Device) -> Registry:
    """The registry with `device` at its end. Raises RegistryError."""
    return of(registry.hall, (*registry.devices, device))


def of(hall: str, devices: Sequence[Device]) -> Registry:
    """The registry of these devices. Raises RegistryError."""
    names: set[str] = set()
    for device in devices:
        _check(device.name, device.kind, device.place)
        if device.name in names:
            raise RegistryError(f"device {device.name}: stands twice")
        names.add(device.name)
        if len(device.signing) != PUBLIC_KEY_BYTES or len(device.agreement) != PUBLIC_KEY_BYTES:
            raise RegistryError(f"device {device.name}: a public key has {PUBLIC_KEY_BYTES} bytes")
    return Registry(hall, tuple(devices))


def revoke(registry: Registry, name: str, now_s: int) -> Registry:
    """The registry with `name` revoked from now_s (UTC seconds) on. Raises RegistryError, also when it is already."""
    device = registry.get(name)
    if device.status == REVOKED:
        raise RegistryError(f"device {name}: is revoked already")
    revoked = replace(device, status=REVOKED, revoked_at_s=now_s)
    return replace(registry, devices=tuple(revoked if each is device else each for each in registry.devices))


def to_text(registry: Registry) -> str:
    """registry.json."""
    devices = [_to_entry(device) for device in registry.devices]
    return json.dumps({"hall": registry.hall, "devices": devices}, ensure_ascii=False, indent=1) + "\n"


def _to_entry(device: Device) -> dict[str, object]:
    entry: dict[str, object] = {
        "device": device.name,
        "kind": device.kind,
        "window": device.place,
        "status": device.status,
        "signing": device.signing.hex(),
        "agreement": device.agreement.hex(),
        "revoked_at_s": device.revoked_at_s,
    }
    if device.staff_number is not None:
        entry["staff_number"] = device.staff_number
    if device.certificate is not None:
        entry["certificate"] = device.certificate.hex()
    return entry


def from_text(text: str) -> Registry:
    """The registry in registry.json. Raises RegistryError."""
    try:
        content = json.loads(text)
        return of(str(content["hall"]), [_from_entry(entry) for entry in content["devices"]])
    except (KeyError, TypeError, ValueError) as error:
        raise RegistryError(f"registry.json is damaged ({type(error).__name__}: {error})") from None


def _from_entry(entry: Mapping[str, str]) -> Device:
    if entry["status"] not in STATUSES:
        raise ValueError(f"status of {entry['device']}")
    revoked_at_s, certificate = entry["revoked_at_s"], entry.get("certificate")
    return Device(
        name=entry["device"],
        kind=entry["kind"],
        place=entry["window"],
        status=entry["status"],
        signing=bytes.fromhex(entry["signing"]),
        agreement=bytes.fromhex(entry["agreement"]),
        revoked_at_s=None if revoked_at_s is None else int(revoked_at_s),
        staff_number=entry.get("staff_number"),
        certificate=None if certificate is None else bytes.fromhex(certificate),
    )


def central_text(devices: Sequence[Device]) -> str:
    """devices.json of the central system: what it needs to verify each device's signature, and no more.

    A revoked device stays: what it signed before must verify for years.
    """
    keys = {device.name: {"kind": device.kind, "signing": device.signing.hex()} for device in devices}
    return json.dumps(keys, indent=1) + "\n"


def next_name(registry: Registry, kind: str) -> str:
    """A name for one more device of `kind`: e-007 after e-006, c-003 after c-002."""
    prefix = {EVALUATOR: "e-", CLOCK: "c-"}[kind]
    numbers = [device.name.removeprefix(prefix) for device in registry.devices if device.name.startswith(prefix)]
    return f"{prefix}{max([0, *(int(number) for number in numbers if number.isdecimal())]) + 1:03}"
