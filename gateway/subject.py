"""What the gateway holds about one visit, for the person who asks for it; and what it cannot tell.

The gateway keeps no visit number, only a keyed hash of it for two days, and beside that hash which record the visit led
to. With the key of the day both are gone, and what remains is nobody's any more but the central system's, which alone
can open the sealed part. The level is never shown: who asks at the gateway works in the hall.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, or_, select

from gateway import rules, schema
from gateway.retention import RetentionRule
from gateway.visit_book import DAYS_KEPT, VisitBook
from protocol.rating import VISIT_CHARS_MAX


class Held(NamedTuple):
    """A visit that can still be found. about: context of gateway.matter. records: rows of schema.record, one or none,

    or one for each part that a device has recorded.
    """

    window: str
    device: str
    state: str
    about: Mapping[str, Any]
    records: Sequence[Any]


def find(connection: Connection, book: VisitBook, visit: str) -> Held | None:
    """What is held about the visit of this number; None when nothing can be found (any more)."""
    row = book.find(connection, visit) if 1 <= len(visit) <= VISIT_CHARS_MAX else None
    if row is None:
        return None
    table = schema.visit
    mine = or_(table.c.token == row.token, table.c.parent == row.token)
    led_to = connection.execute(select(table.c.stream, table.c.seq).where(mine).order_by(table.c.part)).all()
    records = [found for found in (_record(connection, *one) for one in led_to) if found is not None]
    return Held(
        row.window, row.device, book.shown(connection, visit, row).state, json.loads(row.context_json or "{}"), records
    )


def _record(connection: Connection, stream: str | None, seq: int | None) -> Any:
    if stream is None:
        return None
    of_device = select(schema.stream.c.device).where(schema.stream.c.stream == stream)
    table = schema.record
    mine = table.c.device.in_(of_device) & (table.c.stream == stream) & (table.c.seq == seq)
    return connection.execute(select(table).where(mine)).first()


def report(held: Held | None, rule: RetentionRule) -> list[str]:
    """The answer, as lines for the person who asked."""
    if held is None:
        return [*_NOT_FOUND, *_remains(rule), *_WHOM_TO_ASK]
    lines = [
        "The hall's gateway knows this visit:",
        f"  window {held.window}, asked at device {held.device}, state: {held.state}",
        f"  The number itself is not stored; what finds it is destroyed within {DAYS_KEPT} days after the visit.",
        "  what the business system said it is about: " + (_about(held.about) or "nothing"),
        *([line for one in held.records for line in _of_record(one)] or ["No rating of this visit is held here."]),
    ]
    return [*lines, *_remains(rule), *_WHOM_TO_ASK]


def _of_record(record: Any) -> list[str]:
    masked = json.loads(record.masked_json) if record.masked_json else {}
    told = [flag for flag in json.loads(record.flags_json) if flag not in rules.TELL_LEVEL]
    return [
        "Of this visit one record is held:",
        f"  number {record.seq} of stream {record.stream} of device {record.device}, window {record.window}",
        f"  made in the quarter of an hour from {_utc(record.coarse_s)}, received from {_utc(record.received_s)}",
        "  the rating and its reasons: held, and not shown in the hall",
        "  what it is about: " + (_about(json.loads(record.visit_json or "{}")) or "nothing"),
        "  identity, masked: " + (", ".join(f"{name} {value}" for name, value in masked.items()) or "none"),
        "  pseudonym of this month, for the central system: " + ("held" if record.pseudonym else "none"),
        "  identity, exact time, visit number and comment, sealed to the central system: " + _sealed(record.sealed),
        "  marks: " + (", ".join(told) or "none"),
    ]


def _about(context: Mapping[str, Any]) -> str:
    """The words of a context, its parts by their item."""
    parts = context.get("parts", ())
    words = [f"{name} {value}" for name, value in context.items() if name != "parts"]
    return ", ".join([*words, *(f"item_code {part.get('item_code', 'unknown')}" for part in parts)])


def _sealed(sealed: bytes | None) -> str:
    if sealed is None:
        return "none were given"
    # Not how long: a comment makes it longer, and goes with a bad rating more often.
    return "held (the gateway cannot open it)" if sealed else "removed, their time was over"


def _utc(time_s: int) -> str:
    return datetime.fromtimestamp(time_s, UTC).strftime("%Y-%m-%d %H:%M UTC") if time_s else "an unknown time"


_NOT_FOUND = [
    "Under this number the hall's gateway finds nothing.",
    f"It stores no visit number. A keyed hash finds a visit for at most {DAYS_KEPT} days; then its key is destroyed,",
    "and nobody at the hall can tell which records belong to the visit, or whether there are any.",
]


def _remains(rule: RetentionRule) -> list[str]:
    return [
        "A rating, if there was one, is kept as a record that names no visit:",
        f"  its signed evidence for {rule.ratings} days, the masked identity for {rule.masked} days,",
        f"  what is sealed to the central system for {rule.sealed} days.",
    ]


_WHOM_TO_ASK = [
    "The central system above the hall can open what was sealed, and finds it by the visit number: ask there for the",
    "rating itself, the identity, the exact time and the comment, and for correction or deletion.",
]
