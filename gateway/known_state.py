"""What the operator log has last said of devices, keys and configuration, and the lines that the present state earns.

The registry and the configuration are files: whoever changes them does so on the machine, perhaps while the gateway
does not run. So the log does not wait to be told: it compares. Pure, but for load and save.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path

from sqlalchemy import Connection, delete, select
from sqlalchemy.dialects import sqlite

from gateway import schema
from gateway.configuration import GatewayConfiguration
from gateway.hall_clock import HallClock
from gateway.operator_log import APPROVE, CHANGE, CONFIG, ENROL, KEY, PENDING, REMOVE, REVOKE, Note
from gateway.registry import ACTIVE, Device, Roster
from gateway.registry import PENDING as PENDING_STATUS

# Somebody with access to the machine changed a file: the gateway cannot know who.
MACHINE = "machine"
# 64 bits tell two keys of a hall apart; whoever wants all 256 has the key's file.
FINGERPRINT_BYTES = 8

_DEVICE, _FILE, _KEY, CONFIGURATION = "device/", "file/", "key/", "configuration"
ITEMS, REVOCATIONS = "items.csv", "evidence.crl"
ROSTER = "roster.json"  # no device's name: it holds a dot
_STATUS_ACTIONS = {ACTIVE: APPROVE, PENDING_STATUS: PENDING}
State = Mapping[str, str]


def fingerprint(content: bytes) -> str:
    """The first bytes of a SHA-256, in hex."""
    return hashlib.sha256(content).digest()[:FINGERPRINT_BYTES].hex()


def of_devices(devices: Mapping[str, Device]) -> dict[str, State]:
    """State of each device, by subject."""
    return {
        _DEVICE + name: {
            "status": device.status,
            "kind": device.kind,
            "place": device.place,
            "staff": device.staff_number or "",
            "language": device.language or "",
            "signing": fingerprint(device.signing),
            "agreement": fingerprint(device.agreement),
        }
        for name, device in devices.items()
    }


def of_roster(roster: Roster) -> dict[str, State]:
    """State of the roster: who may punch and who may enrol fingers, by slot and staff number. Names are left out."""
    rows = [[row.slot, row.number, row.administrator] for row in roster.rows]
    state = {"version": str(roster.version), "people": str(len(rows)), "digest": fingerprint(json.dumps(rows).encode())}
    return {ROSTER: state}


def of_keys(publics: Mapping[str, bytes]) -> dict[str, State]:
    """State of the gateway's keys, by subject. publics: public bytes by the name of the key."""
    return {_KEY + name: {"fingerprint": fingerprint(public)} for name, public in publics.items()}


def of_files(digests: Mapping[str, str]) -> dict[str, State]:
    """State of files that are told by their digest alone. digests: SHA-256 in hex, by ITEMS and REVOCATIONS."""
    return {_FILE + name: {"digest": digest} for name, digest in digests.items()}


def of_configuration(configuration: GatewayConfiguration) -> dict[str, State]:
    """State of the configuration: a fingerprint of each part. It names files and never holds what is in them."""
    return {CONFIGURATION: {one.name: _print_of(getattr(configuration, one.name)) for one in fields(configuration)}}


def _print_of(value: object) -> str:
    return fingerprint(json.dumps(_plain(value), sort_keys=True).encode())


def _plain(value: object) -> object:
    """JSON values of a part of the configuration."""
    if is_dataclass(value) and not isinstance(value, type):
        return {one.name: _plain(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, HallClock):
        return value.speed
    if isinstance(value, Path):
        return str(value)
    # What prints alike at every start; anything else is told by its kind.
    return value if isinstance(value, str | int | float | None) else type(value).__name__


def notes(known: Mapping[str, State], present: Mapping[str, State]) -> list[Note]:
    """One note for each subject whose state differs, by subject."""
    subjects = sorted({*known, *present})
    return [
        _note(subject, known.get(subject), present.get(subject))
        for subject in subjects
        if known.get(subject) != present.get(subject)
    ]


def _note(subject: str, before: State | None, now: State | None) -> Note:
    changed = _changed(before or {}, now or {})
    if subject == CONFIGURATION:
        whole = fingerprint(json.dumps(now, sort_keys=True).encode())
        return Note(MACHINE, CONFIG, "", {"digest": whole, "changed": changed if before else []})
    if subject == ROSTER:
        return Note(MACHINE, CHANGE, ROSTER, now or {})
    if subject.startswith(_FILE):
        return Note(MACHINE, CHANGE, subject.removeprefix(_FILE), {"digest": (now or {}).get("digest")})
    if subject.startswith(_KEY):
        shown = {"fingerprint": (now or {}).get("fingerprint"), "before": (before or {}).get("fingerprint")}
        return Note(MACHINE, KEY, subject.removeprefix(_KEY), shown)
    name, details = subject.removeprefix(_DEVICE), _device_details(before, now, changed)
    return Note(MACHINE, _device_action(before, now), name, details)


def _changed(before: State, now: State) -> list[str]:
    """Names of what differs."""
    return sorted(name for name in {*before, *now} if before.get(name) != now.get(name))


def _device_action(before: State | None, now: State | None) -> str:
    if now is None:
        return REMOVE
    if before is None:
        return ENROL
    if before["status"] == now["status"]:
        return CHANGE
    return _STATUS_ACTIONS.get(now["status"], REVOKE)


def _device_details(before: State | None, now: State | None, changed: Iterable[str]) -> dict[str, object]:
    """A place may be written in any script: that it changed is told, not what it is called."""
    state = now or before or {}
    details: dict[str, object] = {name: state[name] for name in ("status", "kind", "signing", "agreement")}
    return {**details, "changed": list(changed)} if before and now else details


def load(connection: Connection) -> dict[str, State]:
    """What was last said, by subject."""
    return {row[0]: json.loads(row[1]) for row in connection.execute(select(schema.operator_known))}


def save(connection: Connection, present: Mapping[str, State], gone: Iterable[str]) -> None:
    """Note what is said now; `gone` are subjects that are no more."""
    table = schema.operator_known
    rows = [{"subject": subject, "state_json": json.dumps(state)} for subject, state in present.items()]
    if rows:
        statement = sqlite.insert(table)
        changed = {"state_json": statement.excluded.state_json}
        connection.execute(statement.on_conflict_do_update(index_elements=["subject"], set_=changed), rows)
    for subject in gone:
        connection.execute(delete(table).where(table.c.subject == subject))
