"""What each device should be set to, and under which version, so that its heartbeat can tell whether it is."""

import hashlib
from collections.abc import Mapping

from sqlalchemy import Connection, select
from sqlalchemy.dialects import sqlite

from gateway import schema
from gateway.configuration import DeviceSettings
from gateway.ledger import Ledger
from gateway.registry import CLOCK, EVALUATOR, Device, Roster, StaffRow
from protocol import cbor, command

# What a display shows of a name (command.CONFIG_ROWS).
NAME_CHARACTERS_MAX = 12
# The ledger's file holds a digest of what is sent. A password of 32 bits would be found behind a plain one within
# seconds; behind this (16 MiB and some 50 ms of work for each guess) within years. Every clock has the same, so the
# salt need not differ.
_STRETCH_SALT, _STRETCH_COST, _STRETCH_BLOCK = b"hallseal sensor password", 1 << 14, 8


class DesiredSettings:
    """Claims of CONFIG and ROSTER for a device. One thread at a time, never the ledger's writer thread."""

    def __init__(self, ledger: Ledger, defaults: DeviceSettings, sensor_password: int | None = None) -> None:
        """sensor_password: of every clock's sensor; None: clocks are told none."""
        self._ledger = ledger
        self._defaults = defaults
        self._sensor_password = sensor_password
        self._stretched = _stretched(sensor_password)
        self._versions: dict[str, tuple[bytes, int]] = {}  # device -> (digest of the content, version)

    def config(self, device: Device, roster: Roster) -> Mapping[int, object]:
        """Claims of the device's CONFIG; the version grows exactly when the content changes."""
        content = _content(device, roster, self._defaults)
        stated = dict(content)
        if device.kind == CLOCK and self._sensor_password is not None:
            content[command.SENSOR_PASSWORD] = self._sensor_password
            stated[command.SENSOR_PASSWORD] = self._stretched
        digest = hashlib.sha256(cbor.encode(stated)).digest()
        known_digest, version = self._versions.get(device.name, (b"", 0))
        if digest != known_digest:
            version = self._ledger.write(lambda connection: _version(connection, device.name, digest)).result()
            self._versions[device.name] = (digest, version)
        return {command.VERSION: version, **content}

    def roster(self, device: Device, roster: Roster) -> Mapping[int, object] | None:
        """Claims of a clock's ROSTER; None for another device, or where the hall has no roster."""
        if device.kind != CLOCK or roster.version == 0:
            return None
        return {command.ROSTER_VERSION: roster.version, command.STAFF_ROWS: [_row(row) for row in roster.rows]}


def _content(device: Device, roster: Roster, defaults: DeviceSettings) -> dict[int, object]:
    content: dict[int, object] = {
        command.PLACE: device.place,
        command.LANGUAGE: device.language or defaults.language,
        command.RATING_TIMEOUT_S: defaults.rating_timeout_s,
        command.HEARTBEAT_S: defaults.heartbeat_s,
        command.BRIGHTNESS: defaults.brightness,
        command.UTC_OFFSET_MIN: defaults.utc_offset_min,
        command.ERASE_ON_TAMPER: int(defaults.erase_on_tamper),
    }
    minutes = {
        command.OPENING_MIN: defaults.opening_min,
        command.QUIET_FROM_MIN: defaults.quiet_from_min,
        command.QUIET_UNTIL_MIN: defaults.quiet_until_min,
    }
    content.update({key: minute for key, minute in minutes.items() if minute is not None})
    if device.kind == EVALUATOR:
        content.update(_asked(defaults))
    if device.staff_number:
        content[command.STAFF_NUMBER] = device.staff_number
        name = roster.name_of(device.staff_number)
        if name:
            content[command.STAFF_NAME] = name[:NAME_CHARACTERS_MAX]
    return content


def _asked(defaults: DeviceSettings) -> dict[int, object]:
    """What an evaluator asks besides the level."""
    asked: dict[int, object] = {
        command.RATE_STAFF: int(defaults.rate_staff),
        command.ASK_PHONE: int(defaults.ask_phone),
    }
    if defaults.tag_codes:  # without them no reason is asked for
        asked[command.TAG_CODES] = list(defaults.tag_codes)
    return asked


def _row(person: StaffRow) -> list[object]:
    row: list[object] = [person.slot, person.number, person.name[:NAME_CHARACTERS_MAX]]
    return [*row, command.ADMINISTRATOR] if person.administrator else row


def _stretched(password: int | None) -> bytes:
    if password is None:
        return b""
    return hashlib.scrypt(
        password.to_bytes(4, "big"), salt=_STRETCH_SALT, n=_STRETCH_COST, r=_STRETCH_BLOCK, p=1, dklen=32
    )


def _version(connection: Connection, device: str, digest: bytes) -> int:
    """The stored version of this content; one more when it is new."""
    table = schema.device_config
    found = connection.execute(select(table.c.version, table.c.digest).where(table.c.device == device)).first()
    if found and found.digest == digest:
        return int(found.version)
    version = (found.version if found else 0) + 1
    row = sqlite.insert(table).values(device=device, version=version, digest=digest)
    changed = {"version": version, "digest": digest}
    connection.execute(row.on_conflict_do_update(index_elements=[table.c.device], set_=changed))
    return version
