"""What each device should be set to, and under which version, so that its heartbeat can tell whether it is."""

import hashlib
from collections.abc import Mapping

from sqlalchemy import Connection, select
from sqlalchemy.dialects import sqlite

from gateway import schema
from gateway.configuration import DeviceSettings
from gateway.ledger import Ledger
from gateway.registry import CLOCK, Device, Roster
from protocol import cbor, command

# What a display shows of a name (command.CONFIG_ROWS).
NAME_CHARACTERS_MAX = 12


class DesiredSettings:
    """Claims of CONFIG and ROSTER for a device. One thread at a time, never the ledger's writer thread."""

    def __init__(self, ledger: Ledger, defaults: DeviceSettings) -> None:
        self._ledger = ledger
        self._defaults = defaults
        self._versions: dict[str, tuple[bytes, int]] = {}  # device -> (digest of the content, version)

    def config(self, device: Device, roster: Roster) -> Mapping[int, object]:
        """Claims of the device's CONFIG; the version grows exactly when the content changes."""
        content = _content(device, roster, self._defaults)
        digest = hashlib.sha256(cbor.encode(content)).digest()
        known_digest, version = self._versions.get(device.name, (b"", 0))
        if digest != known_digest:
            version = self._ledger.write(lambda connection: _version(connection, device.name, digest)).result()
            self._versions[device.name] = (digest, version)
        return {command.VERSION: version, **content}

    def roster(self, device: Device, roster: Roster) -> Mapping[int, object] | None:
        """Claims of a clock's ROSTER; None for another device, or where the hall has no roster."""
        if device.kind != CLOCK or roster.version == 0:
            return None
        rows = [[slot, number, name[:NAME_CHARACTERS_MAX]] for slot, number, name in roster.rows]
        return {command.ROSTER_VERSION: roster.version, command.STAFF_ROWS: rows}


def _content(device: Device, roster: Roster, defaults: DeviceSettings) -> dict[int, object]:
    content: dict[int, object] = {
        command.PLACE: device.place,
        command.LANGUAGE: device.language or defaults.language,
        command.RATING_TIMEOUT_S: defaults.rating_timeout_s,
        command.HEARTBEAT_S: defaults.heartbeat_s,
        command.BRIGHTNESS: defaults.brightness,
    }
    if device.staff_number:
        content[command.STAFF_NUMBER] = device.staff_number
        name = roster.name_of(device.staff_number)
        if name:
            content[command.STAFF_NAME] = name[:NAME_CHARACTERS_MAX]
    return content


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
