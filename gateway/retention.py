"""How long the hall keeps what, and the taking away of what is older: a span of rows in one transaction.

A hall keeps its evidence for years and its reviewers' identities for months. Nothing goes that a projection has not
yet read, and nothing goes unsaid: every run of removed records has its line in the table `removal`, so that a gap by
time is told from a loss, and the continuity of a stream stays what it was.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import groupby
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Table, delete, func, insert, or_, select, update
from sqlalchemy.dialects import sqlite

from gateway import schema
from protocol import record

RATINGS, PUNCHES, EVENTS = "ratings", "punches", "events"
SEALED, MASKED = "sealed", "masked"
EQUIVOCATIONS, HEARTBEATS = "equivocations", "heartbeats"
QUARANTINE, DEAD_LETTERS = "quarantine", "dead_letters"

RECORD_KINDS: Mapping[str, int] = {RATINGS: record.RATING, PUNCHES: record.PUNCH, EVENTS: record.EVENT}
# What may go at once where a hall wants it so: no evidence is lost with it.
PERSONAL_KINDS = (SEALED, MASKED, QUARANTINE)
# Tables with a row of their own for each, and the time that counts.
PLAIN_TABLES: Mapping[str, Table] = {EQUIVOCATIONS: schema.equivocation, HEARTBEATS: schema.heartbeat}

# Flag of a record that came out of quarantine, see gateway.readmission.
READMITTED = "readmitted"

# Positions of the ledger that one transaction looks at: some 5 ms, in which the intake waits.
SPAN_POSITIONS = 1000
DAY_S = 86_400
# An audit looks at a month of evidence (docs/privacy.md); a shorter time would take it away from under it.
EVIDENCE_DAYS_MIN = 31
DAYS_MAX = 36_500


@dataclass(frozen=True)
class RetentionRule:
    """Days for which the hall keeps each kind, counted from the end of the day on which the gateway received it.

    Ten years: longer than any complaint, claim or yearly assessment that we know of runs. Five for the attendance of
    the staff. Half a year for identities: a bad rating is followed up within weeks (domain reference, section 4).
    """

    ratings: int = 3650
    punches: int = 1825
    events: int = 3650
    equivocations: int = 3650
    heartbeats: int = 3650  # of a device that was not heard any more
    sealed: int = 180  # the identity, visit number, exact time and comment, which only the central system can open
    masked: int = 365  # what is readable of the identity, and the pseudonym
    quarantine: int = 365
    dead_letters: int = 3650

    def cutoff_s(self, kind: str, now_s: int, utc_offset_s: int) -> int:
        """UTC seconds; what was received before is to go. A midnight of the hall, so that it moves once a day."""
        day = (now_s + utc_offset_s) // DAY_S - int(getattr(self, kind))
        return day * DAY_S - utc_offset_s


KINDS = tuple(one.name for one in fields(RetentionRule))


class Step(NamedTuple):
    """What one transaction did. done: nothing of that kind is left to remove below the boundary."""

    removed: int
    done: bool


def boundary(connection: Connection, cutoff_s: int, ready: int) -> int:
    """Position of the newest record that was received before `cutoff_s`, at most `ready`; 0 when there is none.

    Positions and times of receipt grow together, so this halves its way: the ledger has no index over the time. A
    re-admitted record does not count: it has a new position and the time of its first receipt.
    """
    table, low, high = schema.record, 0, ready
    in_order = table.c.flags_json.not_like(f'%"{READMITTED}"%')
    while low < high:
        middle = (low + high + 1) // 2
        query = select(table.c.id, table.c.received_s).where(table.c.id >= middle, table.c.id <= high, in_order)
        found = connection.execute(query.order_by(table.c.id).limit(1)).first()
        if found is None or found.received_s >= cutoff_s:
            high = middle - 1
        else:
            low = found.id
    return low


def remove_records(connection: Connection, kind: str, until: int, cutoff_s: int, day: int) -> Step:
    """Take away records of `kind` (of RECORD_KINDS), received before `cutoff_s`, in the next span up to `until`."""
    table = schema.record
    span = _next_span(connection, kind, until)
    if span is None:
        return Step(0, True)
    mine = _old_within(span, cutoff_s) & (table.c.kind == RECORD_KINDS[kind])
    names = _names(connection, mine)
    connection.execute(delete(table).where(mine))
    _note(connection, kind, day, runs(names))
    return Step(len(names), span[1] >= until)


def empty_identities(connection: Connection, kind: str, until: int, cutoff_s: int, day: int) -> Step:
    """Empty what the next span up to `until` holds of SEALED or MASKED, received before `cutoff_s`; records stay."""
    table = schema.record
    span = _next_span(connection, kind, until)
    if span is None:
        return Step(0, True)
    within = _old_within(span, cutoff_s)
    if kind == SEALED:
        mine, emptied = within & (func.length(table.c.sealed) > 0), update(table).values(sealed=b"")
    else:
        mine = within & or_(table.c.masked_json.is_not(None), table.c.pseudonym.is_not(None))
        emptied = update(table).values(masked_json=None, pseudonym=None)
    names = _names(connection, mine)
    connection.execute(emptied.where(mine))
    _note(connection, kind, day, runs(names))
    return Step(len(names), span[1] >= until)


def remove_plain(connection: Connection, kind: str, cutoff_s: int, day: int) -> Step:
    """Take away up to SPAN_POSITIONS rows of a table of PLAIN_TABLES."""
    table = PLAIN_TABLES[kind]
    key = table.c.id if "id" in table.c else table.c.device
    old = select(key, table.c.device).where(table.c.received_s < cutoff_s).order_by(key).limit(SPAN_POSITIONS)
    found = connection.execute(old).all()
    connection.execute(delete(table).where(key.in_([row[0] for row in found])))
    for device, rows in groupby(sorted(found, key=lambda row: str(row.device)), lambda row: str(row.device)):
        note(connection, kind, day, len(list(rows)), device)
    return Step(len(found), len(found) < SPAN_POSITIONS)


def _next_span(connection: Connection, kind: str, until: int) -> tuple[int, int] | None:
    """(first, last) position of the next span for `kind`, and the mark of where it ends; None when all is looked at."""
    table, mark = schema.record, _mark(kind)
    at = connection.execute(select(schema.cursor.c.position).where(schema.cursor.c.destination == mark)).scalar() or 0
    first = connection.execute(select(func.min(table.c.id)).where(table.c.id > at)).scalar()
    if first is None or first > until:
        return None
    last = min(until, first + SPAN_POSITIONS - 1)
    statement = sqlite.insert(schema.cursor).values(destination=mark, position=last)
    connection.execute(
        statement.on_conflict_do_update(index_elements=[schema.cursor.c.destination], set_={"position": last})
    )
    return int(first), last


def _old_within(span: tuple[int, int], cutoff_s: int) -> ColumnElement[bool]:
    """In the span, and old enough by its own time: whatever disturbs the order, nothing young goes."""
    table = schema.record
    return (table.c.id >= span[0]) & (table.c.id <= span[1]) & (table.c.received_s < cutoff_s)


def _mark(kind: str) -> str:
    """Destination in the table `cursor`: everything of the kind up to there has gone already, and is not read again."""
    return "retention-" + kind


class _Name(NamedTuple):
    device: str
    stream: str
    seq: int


def _names(connection: Connection, mine: Any) -> list[_Name]:
    table = schema.record
    return [_Name(*row) for row in connection.execute(select(table.c.device, table.c.stream, table.c.seq).where(mine))]


def runs(names: Iterable[tuple[str, str, int]]) -> list[tuple[str, str, int, int]]:
    """(device, stream, first, last) of every unbroken run of numbers, in order."""
    found: list[tuple[str, str, int, int]] = []
    for device, stream, seq in sorted(names):
        if found and found[-1][:2] == (device, stream) and found[-1][3] == seq - 1:
            found[-1] = (device, stream, found[-1][2], seq)
        else:
            found.append((device, stream, seq, seq))
    return found


def _note(connection: Connection, kind: str, day: int, lines: Sequence[tuple[str, str, int, int]]) -> None:
    rows = [
        {"kind": kind, "device": device, "stream": stream, "first": first, "last": last, "count": last - first + 1}
        for device, stream, first, last in lines
    ]
    if rows:
        connection.execute(insert(schema.removal), [{**row, "day": day} for row in rows])


def note(connection: Connection, kind: str, day: int, count: int, device: str = "") -> None:
    """The line of what was no record."""
    row = {"kind": kind, "device": device, "stream": "", "first": 0, "last": 0, "count": count, "day": day}
    connection.execute(insert(schema.removal), [row])


def removed_records(connection: Connection) -> dict[str, int]:
    """Records taken away so far, by device."""
    table = schema.removal
    query = select(table.c.device, func.sum(table.c.count)).where(table.c.kind.in_(RECORD_KINDS))
    return {row[0]: int(row[1]) for row in connection.execute(query.group_by(table.c.device))}
