"""The hall's devices and staff, as the technician's tool writes them: registry.json and roster.json.

Both files are looked at again while the gateway runs, so that a revocation works without a restart. A file that cannot
be read leaves the last good one in force, and is reported until it is mended.
"""

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

from gateway.logs import Log
from protocol import record, topic
from protocol.refusal import Refused
from protocol.suite_host import HostSuite

EVALUATOR, CLOCK = "evaluator", "clock"
ACTIVE, PENDING, REVOKED = "active", "pending", "revoked"
STATUSES = (ACTIVE, PENDING, REVOKED)

# What each kind of device may say.
KINDS = {
    EVALUATOR: frozenset({record.RATING, record.EVENT, record.HEARTBEAT}),
    CLOCK: frozenset({record.PUNCH, record.EVENT, record.HEARTBEAT}),
}

# Real seconds between two looks at a file: a revocation works within two seconds (the bar is 60), at one stat() each.
CHECK_INTERVAL_S = 2.0

# A hall of 10 000 devices is 100 times the largest known; a file beyond 16 MiB is not a registry.
FILE_BYTES_MAX = 16 << 20

# A device's is about 450 bytes.
CERTIFICATE_BYTES_MAX = 4096

_log = Log("registry")
_Content = TypeVar("_Content")


class RegistryError(Exception):
    """The file cannot be used. str() names file, entry and field for the technician."""


@dataclass(frozen=True)
class Device:
    """One enrolled device. place: its window or door. signing, agreement: 65-byte public keys; signing_key: loaded.

    certificate: DER; with it an audit knows the signing key without this registry.
    """

    name: str
    kind: str
    place: str
    status: str
    signing: bytes
    agreement: bytes
    signing_key: Any = field(compare=False, repr=False)
    staff_number: str | None = None
    language: str | None = None
    certificate: bytes | None = field(default=None, repr=False)


class StaffRow(NamedTuple):
    """One person of the roster. administrator: whose finger lets a clock enrol others."""

    slot: int
    number: str
    name: str
    administrator: bool = False


@dataclass(frozen=True)
class Roster:
    """Who may punch."""

    version: int
    rows: Sequence[StaffRow]

    def name_of(self, staff_number: str) -> str | None:
        """Display name of a staff number; None when the roster lacks it."""
        return next((row.name for row in self.rows if row.number == staff_number), None)


def parse_registry(text: str, hall: str) -> dict[str, Device]:
    """The devices in the text of registry.json, by name. Raises RegistryError."""
    content = _json(text)
    if content.get("hall") != hall:
        raise RegistryError(f'"hall" is not {hall}; this registry belongs to another hall')
    entries = content.get("devices")
    if not isinstance(entries, list):
        raise RegistryError('"devices" must be a list')
    suite = HostSuite()
    devices: dict[str, Device] = {}
    for number, entry in enumerate(entries, 1):
        device = _device(entry, f"device {number}", suite)
        if device.name in devices:
            raise RegistryError(f"device {device.name} stands twice")
        devices[device.name] = device
    return devices


def _json(text: str) -> Mapping[str, Any]:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RegistryError(f"is not valid JSON: {error}") from None
    if not isinstance(content, dict):
        raise RegistryError("must be one JSON object")
    return content


def _device(entry: Any, where: str, suite: HostSuite) -> Device:
    if not isinstance(entry, dict) or not topic.is_name(entry.get("device")):
        raise RegistryError(f'{where}: "device" must be a name of 1 to 32 of a-z, 0-9 and -')
    name = entry["device"]
    if entry.get("kind") not in KINDS:
        raise RegistryError(f'device {name}: "kind" must be one of ' + ", ".join(KINDS))
    if entry.get("status") not in STATUSES:
        raise RegistryError(f'device {name}: "status" must be one of ' + ", ".join(STATUSES))
    if not isinstance(entry.get("window"), str) or not 1 <= len(entry["window"]) <= 16:
        raise RegistryError(f'device {name}: "window" must be 1 to 16 characters')
    signing = _public(entry, "signing", name)
    agreement = _public(entry, "agreement", name)
    try:
        suite.load_public(agreement)
        signing_key = suite.load_public(signing)
    except Refused:
        raise RegistryError(f"device {name}: a public key is no point of the curve P-256") from None
    return Device(
        name=name,
        kind=entry["kind"],
        place=entry["window"],
        status=entry["status"],
        signing=signing,
        agreement=agreement,
        signing_key=signing_key,
        staff_number=_optional_text(entry, "staff_number", name),
        language=_optional_text(entry, "language", name),
        certificate=_certificate(entry, name),
    )


def _public(entry: Mapping[str, Any], key: str, name: str) -> bytes:
    try:
        return bytes.fromhex(entry[key])
    except (KeyError, TypeError, ValueError):
        raise RegistryError(f'device {name}: "{key}" must be 65 bytes in hex') from None


def _certificate(entry: Mapping[str, Any], name: str) -> bytes | None:
    text = _optional_text(entry, "certificate", name)
    try:
        found = None if text is None else bytes.fromhex(text)
    except ValueError:
        found = b""
    if found is not None and not 0 < len(found) <= CERTIFICATE_BYTES_MAX:
        raise RegistryError(f'device {name}: "certificate" must be DER in hex; copy the registry from the hall again')
    return found


def _optional_text(entry: Mapping[str, Any], key: str, name: str) -> str | None:
    value = entry.get(key)
    if value is not None and not isinstance(value, str):
        raise RegistryError(f'device {name}: "{key}" must be text')
    return value


def parse_roster(text: str) -> Roster:
    """The roster in the text of roster.json. Raises RegistryError."""
    content = _json(text)
    version, staff = content.get("version"), content.get("staff")
    if isinstance(version, bool) or not isinstance(version, int) or version < 1 or not isinstance(staff, list):
        raise RegistryError('"version" must be a number from 1, "staff" a list')
    rows = []
    for number, entry in enumerate(staff, 1):
        try:
            row = StaffRow(entry["slot"], entry["number"], entry["name"], entry.get("administrator", False))
        except (KeyError, TypeError, AttributeError):
            raise RegistryError(f'staff {number}: needs "slot", "number" and "name"') from None
        if not isinstance(row.slot, int) or not isinstance(row.number, str) or not isinstance(row.name, str):
            raise RegistryError(f'staff {number}: "slot" must be a number, "number" and "name" text')
        if not isinstance(row.administrator, bool):
            raise RegistryError(f'staff {number}: "administrator" must be true or false')
        rows.append(row)
    return Roster(version, tuple(rows))


class WatchedFile(Generic[_Content]):
    """The parsed content of a file, parsed again when the file changes. Any thread may read `content`.

    Raises RegistryError at the start only: later, the last good content stays in force.
    """

    def __init__(self, path: Path, parse: Callable[[str], _Content]) -> None:
        self._path = path
        self._parse = parse
        self._lock = threading.Lock()
        self._mark = self._stat()
        self._checked_s: float | None = None
        self.content = self._load()
        self.healthy = True

    def _stat(self) -> tuple[int, int, int] | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino

    def _load(self) -> _Content:
        try:
            if self._path.stat().st_size > FILE_BYTES_MAX:
                raise RegistryError(f"is larger than {FILE_BYTES_MAX} bytes")
            return self._parse(self._path.read_text("utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise RegistryError(f"{self._path}: cannot be read ({type(error).__name__})") from None
        except RegistryError as error:
            raise RegistryError(f"{self._path}: {error}") from None

    def refresh(self, now_s: float, at_once: bool = False) -> bool:
        """Look at the file again when CHECK_INTERVAL_S have passed, or at once; True when the content is new.

        now_s: a clock that only grows, real seconds.
        """
        with self._lock:
            if not at_once and self._checked_s is not None and now_s - self._checked_s < CHECK_INTERVAL_S:
                return False
            self._checked_s = now_s
            mark = self._stat()
            if mark == self._mark:
                return False
            self._mark = mark
            return self._reload()

    def _reload(self) -> bool:
        try:
            self.content = self._load()
        except RegistryError as error:
            self.healthy = False
            _log.error("file cannot be used, the last good one stays in force", error, type=self._path.name)
            return False
        self.healthy = True
        _log.info("file read again", type=self._path.name)
        return True


class Registry:
    """The devices of the hall. Any thread may ask or refresh."""

    def __init__(self, path: Path, hall: str) -> None:
        self._file = WatchedFile(path, lambda text: parse_registry(text, hall))

    def refresh(self, now_s: float, at_once: bool = False) -> bool:
        """See WatchedFile.refresh."""
        return self._file.refresh(now_s, at_once)

    @property
    def healthy(self) -> bool:
        """False while the file on disk cannot be used."""
        return self._file.healthy

    def devices(self) -> Mapping[str, Device]:
        """All devices by name; a snapshot that nobody changes."""
        return self._file.content

    def get(self, name: str) -> Device | None:
        """The device `name`, whatever its status; None when the hall does not know it."""
        return self._file.content.get(name)

    def evaluator_at(self, window: str) -> Device | None:
        """The active evaluator of `window`; the first by name where there are several."""
        for _, device in sorted(self._file.content.items()):
            if device.kind == EVALUATOR and device.status == ACTIVE and device.place == window:
                return device
        return None


_NO_ROSTER = Roster(0, ())


class RosterFile:
    """The roster in force; an empty one of version 0 where the hall has none."""

    def __init__(self, path: Path | None) -> None:
        self._file = WatchedFile(path, parse_roster) if path else None

    def refresh(self, now_s: float) -> bool:
        """See WatchedFile.refresh."""
        return self._file.refresh(now_s) if self._file else False

    def current(self) -> Roster:
        """A snapshot that nobody changes."""
        return self._file.content if self._file else _NO_ROSTER
