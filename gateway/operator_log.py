"""The operator log: who did what to this gateway, each line hashed onto the one before.

The hash of a line is SHA-256 over the deterministic CBOR array
    ["hallseal operator log 1", number, at_s, actor, action, subject, details, previous]
with details as the JSON text that is stored, and previous as 32 bytes, zeros before the first line. So no line can be
changed, moved, inserted or taken out of the middle without all later hashes changing; and the head, number and hash of
the last line, goes to the central system, so that nobody can rewrite them all, or cut off the end, either.

A line names no person: actors are roles or staff numbers, subjects are devices, keys and records.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, insert, select

from gateway import schema
from gateway.hall_clock import HallClock
from gateway.ledger import Ledger
from protocol import cbor

DOMAIN = "hallseal operator log 1"
NOTHING = bytes(32)  # before the first line

# What a line may be about. One word each, so that a reader can filter, and a misspelt one is found at once.
LOGIN, LOGIN_FAILED = "login", "login_failed"
KEY, CONFIG = "key", "config"
ENROL, APPROVE, PENDING, REVOKE, CHANGE, REMOVE = "enrol", "approve", "pending", "revoke", "change", "remove"
READMIT, ANNOTATE, EXPORT, ORDER = "readmit", "annotate", "export", "order"
RETENTION, CHECKPOINT = "retention", "checkpoint"
ACTIONS: Mapping[str, str] = {
    LOGIN: "a token was used; count: how often since the line before of the same kind",
    LOGIN_FAILED: "a token was refused; subject: the role that was asked for",
    KEY: "the gateway runs with another key than before",
    CONFIG: "the gateway runs with another configuration than before",
    ENROL: "a device stands in the registry for the first time",
    APPROVE: "a device has become active",
    PENDING: "a device has become pending",
    REVOKE: "a device is revoked",
    CHANGE: "another key, place, kind, clerk or language of a device; another roster, items.csv or evidence.crl",
    REMOVE: "a device has left the registry",
    READMIT: "messages were offered again from quarantine",
    ANNOTATE: "a record was marked, or a mark undone",
    EXPORT: "evidence was exported",
    ORDER: "an order was given to a device",
    RETENTION: "what was older than its time was removed",
    CHECKPOINT: "the oldest lines of this log were removed",
}

# 64 messages of 64 streams fit; longer is no detail.
DETAILS_CHARACTERS_MAX = 8192
# One answer of the API: about 300 KiB.
PAGE_LINES_MAX = 1000
# Below every number that SQLite can hold and we can write: a forged line shall not hide under line 1.
NUMBER_MIN = -(1 << 62)
_ACTOR = re.compile(r"[A-Za-z0-9._-]{1,32}")
_SUBJECT = re.compile(r"[!-~]{0,96}")
# Words, names of devices, digests. What is not ASCII may be a person's name, and has no place here.
_VALUE = re.compile(r"[ -~]{0,96}")


class Head(NamedTuple):
    """The end of a log."""

    number: int
    hash: bytes  # 32

    def shown(self) -> dict[str, object]:
        """As it is told to others: {"number", "hash" in hex}."""
        return {"number": self.number, "hash": self.hash.hex()}


EMPTY = Head(0, NOTHING)


class Note(NamedTuple):
    """What a line says. details: JSON values; texts are plain ASCII."""

    actor: str
    action: str
    subject: str
    details: Mapping[str, object]


class Line(NamedTuple):
    """One line as it is stored."""

    number: int
    at_s: int
    actor: str
    action: str
    subject: str
    details: str  # JSON text
    previous: bytes
    hash: bytes

    def computed(self) -> bytes:
        """The hash that the line must have."""
        return _hash(self.number, self.at_s, self.actor, self.action, self.subject, self.details, self.previous)


def _hash(number: int, at_s: int, actor: str, action: str, subject: str, details: str, previous: bytes) -> bytes:
    content = [DOMAIN, number, at_s, actor, action, subject, details, previous]
    return hashlib.sha256(cbor.encode(content)).digest()


def head(connection: Connection) -> Head:
    """The end of the log as this connection sees it."""
    table = schema.operator_action
    row = connection.execute(select(table.c.number, table.c.hash).order_by(table.c.number.desc()).limit(1)).first()
    return Head(row.number, bytes(row.hash)) if row else EMPTY


def stated_head(connection: Connection) -> bytes | None:
    """Hash of the last line, as manifests state it; None for an empty log."""
    found = head(connection)
    return found.hash if found.number else None


def append(connection: Connection, at_s: int, note: Note) -> Head:
    """Add one line in the transaction of a job of the ledger's writer thread; see append_all."""
    return append_all(connection, at_s, [note])


def append_all(connection: Connection, at_s: int, notes: Iterable[Note]) -> Head:
    """Add one line for each note, in their order; the head afterwards. at_s: hall time.

    Raises ValueError (our fault) for a note beyond the bounds: nothing is written then.
    """
    number, previous = head(connection)
    rows = []
    for note in notes:
        details = _details(note)
        number += 1
        made = _hash(number, at_s, note.actor, note.action, note.subject, details, previous)
        rows.append({
            "number": number, "at_s": at_s, "actor": note.actor, "action": note.action, "subject": note.subject,
            "details_json": details, "previous": previous, "hash": made,
        })  # fmt: skip
        previous = made
    if rows:
        connection.execute(insert(schema.operator_action), rows)
    return Head(number, previous)


def _details(note: Note) -> str:
    """The details as they are stored. The words of an error name the field, never what stands in it."""
    if note.action not in ACTIONS:
        raise ValueError("action")
    if not _ACTOR.fullmatch(note.actor):
        raise ValueError("actor")
    if not _SUBJECT.fullmatch(note.subject):
        raise ValueError("subject")
    if not _is_plain(note.details):
        raise ValueError("details")
    text = json.dumps(note.details, sort_keys=True, separators=(",", ":"))
    if len(text) > DETAILS_CHARACTERS_MAX:
        raise ValueError("details")
    return text


def _is_plain(value: object) -> bool:
    """True for JSON values whose texts cannot be a person's name."""
    if isinstance(value, str):
        return _VALUE.fullmatch(value) is not None
    if isinstance(value, Mapping):
        return all(isinstance(key, str) and _is_plain(key) and _is_plain(one) for key, one in value.items())
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, int)


def lines_after(connection: Connection, number: int, limit: int) -> list[Line]:
    """Up to `limit` (1..PAGE_LINES_MAX) lines above `number`, ascending."""
    if not 1 <= limit <= PAGE_LINES_MAX:
        raise ValueError("limit out of range")
    table = schema.operator_action
    query = select(table).where(table.c.number > number).order_by(table.c.number).limit(limit)
    return [Line(*row) for row in connection.execute(query)]


def all_lines(connection: Connection) -> Iterable[Line]:
    """Every line, ascending, forged ones included; a page in memory at a time."""
    number = NUMBER_MIN
    while page := lines_after(connection, number, PAGE_LINES_MAX):
        yield from page
        number = page[-1].number


class OperatorLog:
    """The log of a running gateway. Any thread may call, but the ledger's writer: that one uses append()."""

    def __init__(self, ledger: Ledger, clock: HallClock) -> None:
        self._ledger = ledger
        self._clock = clock

    def note(self, actor: str, action: str, subject: str = "", **details: object) -> Head:
        """Add a line; it is on disk when this returns. Raises what the ledger raises, and ValueError."""
        return self.note_all([Note(actor, action, subject, details)])

    def note_all(self, notes: Sequence[Note]) -> Head:
        """Add lines, all or none."""
        return self._ledger.write(lambda connection: self.append(connection, *notes)).result()

    def hand_in(self, note: Note) -> None:
        """Add a line soon; a disk that takes nothing holds nobody up."""
        self._ledger.write(lambda connection: self.append(connection, note))

    def append(self, connection: Connection, *notes: Note) -> Head:
        """Add lines in the transaction of a writer's job, at the present time."""
        return append_all(connection, self._clock.now_s(), notes)

    def head(self) -> Head:
        """Number and hash of the last line."""
        return self._ledger.read(head)

    def lines_after(self, number: int, limit: int) -> list[Line]:
        """See lines_after()."""
        return self._ledger.read(lambda connection: lines_after(connection, number, limit))
