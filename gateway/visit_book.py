"""The table of visits. Its rows know a visit by a keyed hash of its number, and are gone after two days.

The visit number is the reviewer's (security reference, threat 14), so the ledger never holds it: a visit is known by a
hash of its number, under a key of the day that is destroyed two days later, and its row with it. A visit that is rated
part by part has a row of its own and one for each part, whose number is that of the visit with the part's behind it.
"""

import hmac
import json
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sqlalchemy import Connection, case, delete, func, insert, or_, select, update

from gateway import schema, visit_states
from gateway.hall_clock import HallClock
from gateway.matter import Context
from gateway.visit import NewVisit, Visit, VisitRefused
from gateway.visit_states import ASKED, CANCELLED, CLOSED, OPEN, SUPERSEDED, WAITING

# A hall serves some thousand visits a day; beyond this the business system has gone mad.
VISITS_PER_DAY_MAX = 100_000
DAY_S = 24 * 3600
# Days whose keys live: a visit may begin before midnight (UTC) and be rated after.
DAYS_KEPT = 2
# Between a visit's number and the number of its part.
PART_MARK = "#"
_table = schema.visit


@dataclass(frozen=True)
class Row:
    """A visit, or one part of it, as the table has it."""

    token: bytes = field(repr=False)
    window: str
    device: str
    state: str
    expires_s: int
    answered: int
    change: int
    request: bytes | None = field(repr=False)
    context_json: str | None
    flags_json: str
    parent: bytes | None = field(repr=False)
    parts: int


class Opened(NamedTuple):
    """What opening did. replaced: the row that this one took the place of."""

    visit: Visit
    replaced: Row | None


_SHOWN = [_table.c[name] for name in Row.__dataclass_fields__]


class Untold(NamedTuple):
    """A change that the webhook has to tell. refusals: how often the receiver has refused it."""

    token: bytes
    id: str
    window: str
    state: str
    change: int
    refusals: int
    parts: Sequence[str]


class VisitBook:
    """The table of visits; its methods run inside jobs of the ledger's writer thread, those that only read anywhere.

    tells: True where a webhook waits for every change.
    """

    def __init__(self, clock: HallClock, tells: bool = False) -> None:
        self._clock = clock
        self.tells = tells

    # Reading.

    def find(self, connection: Connection, visit: str) -> Row | None:
        """The visit of that number, opened today or yesterday."""
        return self.find_all(connection, [visit]).get(visit)

    def find_all(self, connection: Connection, visits: Iterable[str]) -> dict[str, Row]:
        """Those of `visits` that were opened today or yesterday, by number."""
        keys = schema.visit_key
        first_day = self._clock.now_s() // DAY_S - DAYS_KEPT + 1
        living = connection.execute(select(keys.c.key).where(keys.c.day >= first_day)).scalars().all()
        tokens = {_token(key, visit): visit for visit in visits for key in living}
        if not tokens:
            return {}
        rows = connection.execute(select(*_SHOWN).where(_table.c.token.in_(tokens)))
        return {tokens[row.token]: Row(*row) for row in rows}

    def shown(self, connection: Connection, visit: str, row: Row, new: bool = False) -> Visit:
        """The visit as it is told: one that nobody answered in time is closed."""
        parts = self.part_states(connection, row.token) if row.parts else []
        state = row.state
        if row.state == ASKED and self._clock.now_s() > row.expires_s:
            parts = [CLOSED if one in OPEN else one for one in parts]
            state = visit_states.of_parts(parts or [CLOSED])
        return Visit(visit, row.window, state, new, _id(row.token), json.loads(row.flags_json), parts)

    def part_states(self, connection: Connection, parent: bytes) -> list[str]:
        """States of the parts of a visit, in their order."""
        query = select(_table.c.state).where(_table.c.parent == parent).order_by(_table.c.part)
        return list(connection.execute(query).scalars())

    # Opening and taking back.

    def open(self, connection: Connection, wanted: NewVisit) -> Opened:
        """Note the visit as asked, unless it is known; what was asked at its window before is superseded.

        Raises VisitRefused("busy") when the day is full, "visit_differs", "visit_answered".
        """
        found = self.find(connection, wanted.visit)
        if found and self._is_same(connection, found, wanted):
            return Opened(self.shown(connection, wanted.visit, found), None)
        if found:
            self._make_room(connection, found, wanted)
        day = self._clock.now_s() // DAY_S
        key = self._key_of(connection, day)
        rows = self._rows(wanted, key, day, found.change + 1 if found else 0)
        if self._count(connection, day) + len(rows) > VISITS_PER_DAY_MAX:
            raise VisitRefused("busy", "too many visits today")
        self.expire(connection)
        self._change(connection, SUPERSEDED, _table.c.device == wanted.device, _table.c.state.in_(OPEN), expires_s=0)
        connection.execute(insert(_table), rows)
        made = self.find(connection, wanted.visit)
        assert made is not None
        return Opened(self.shown(connection, wanted.visit, made, True), found)

    def _is_same(self, connection: Connection, found: Row, wanted: NewVisit) -> bool:
        keys = connection.execute(select(schema.visit_key.c.key)).scalars()
        key = next(key for key in keys if _token(key, wanted.visit) == found.token)
        return found.request is None or hmac.compare_digest(found.request, _request(key, wanted.body))

    def _make_room(self, connection: Connection, found: Row, wanted: NewVisit) -> None:
        if not wanted.supersede:
            raise VisitRefused("visit_differs", "opened with another body")
        answered = select(func.max(_table.c.answered)).where(_table.c.parent == found.token)
        if found.answered or connection.execute(answered).scalar():
            raise VisitRefused("visit_answered", "a device has recorded its outcome")
        self._delete(connection, found)

    def _delete(self, connection: Connection, row: Row) -> None:
        connection.execute(delete(_table).where(or_(_table.c.token == row.token, _table.c.parent == row.token)))

    def _count(self, connection: Connection, day: int) -> int:
        return connection.execute(select(func.count()).where(_table.c.day == day)).scalar() or 0

    def _rows(self, wanted: NewVisit, key: bytes, day: int, change: int) -> list[dict[str, Any]]:
        top = _token(key, wanted.visit)
        shared = {"day": day, "window": wanted.window, "device": wanted.device, "expires_s": wanted.expires_s}
        first = {**shared, "token": top, "state": ASKED, "parts": len(wanted.parts), "change": change}
        first |= {"request": _request(key, wanted.body), "parent": None, "part": 0, **_columns(wanted.context)}
        rows = [first]
        for number, context in enumerate(wanted.parts, 1):
            part = {**shared, "token": _token(key, part_visit(wanted.visit, number)), "parent": top, "part": number}
            part |= {"state": ASKED if number == 1 else WAITING, "parts": 0, "change": 0, "request": None}
            rows.append({**part, **_columns(context)})
        return rows

    def _key_of(self, connection: Connection, day: int) -> bytes:
        keys = schema.visit_key
        key = connection.execute(select(keys.c.key).where(keys.c.day == day)).scalar()
        if key is None:
            key = secrets.token_bytes(32)
            connection.execute(insert(keys), [{"day": day, "key": key}])
            self.forget_days(connection)
        return bytes(key)

    def forget(self, connection: Connection, visit: str) -> None:
        """Undo open() of a visit that nobody was asked about: the next request opens it anew."""
        found = self.find(connection, visit)
        if found and found.state == ASKED:
            self._delete(connection, found)

    def cancel(self, connection: Connection, visit: str) -> Row | None:
        """Take back a visit that has no outcome yet; its row before, or None when it is unknown."""
        found = self.find(connection, visit)
        if found and found.state == ASKED:
            mine = or_(_table.c.token == found.token, _table.c.parent == found.token)
            self._change(connection, CANCELLED, mine, _table.c.state.in_(OPEN), expires_s=0)
        return found

    def ask_part(self, connection: Connection, visit: str, number: int, expires_s: int) -> bool:
        """Note part `number` (from 2) as asked; False when it is not its turn any more."""
        found = self.find(connection, visit)
        if not found or visit_states.turn(self.part_states(connection, found.token)) != number:
            return False
        mine = (_table.c.parent == found.token, _table.c.part == number, _table.c.state == WAITING)
        self._change(connection, ASKED, *mine, expires_s=expires_s)
        connection.execute(update(_table).where(_table.c.token == found.token).values(expires_s=expires_s))
        return True

    # Outcomes; those that devices record are settled in visit_settling.py.

    def settle_whole(self, connection: Connection, parent: bytes) -> None:
        """After a part was settled: close the parts whose turn will not come, and settle the whole visit."""
        states = self.part_states(connection, parent)
        if visit_states.turn(states) is None:
            self._change(connection, CLOSED, _table.c.parent == parent, _table.c.state == WAITING)
            states = [CLOSED if state == WAITING else state for state in states]
        state = visit_states.of_parts(states)
        done = {} if state == ASKED else {"expires_s": 0}
        self._change(connection, state, _table.c.token == parent, _table.c.state != state, **done)

    def overdue(self, connection: Connection) -> bool:
        """True when expire() would find something."""
        query = select(_table.c.token).where(_table.c.state == ASKED, _table.c.expires_s < self._clock.now_s())
        return connection.execute(query.limit(1)).first() is not None

    def expire(self, connection: Connection) -> None:
        """Close what nobody answered in time. When it ended stays until its row goes: an answer may still be late."""
        overdue = (_table.c.state == ASKED, _table.c.expires_s < self._clock.now_s())
        rows = connection.execute(select(_table.c.token, _table.c.parent, _table.c.parts).where(*overdue)).all()
        if not rows:
            return
        self._change(connection, CLOSED, *overdue, _table.c.parts == 0)
        wholes = {row.parent for row in rows if row.parent is not None} | {row.token for row in rows if row.parts}
        for whole in wholes:
            self._change(connection, CLOSED, _table.c.parent == whole, _table.c.state == WAITING)
            self.settle_whole(connection, whole)

    def outdated(self, connection: Connection) -> bool:
        """True when forget_days() would find something."""
        keys, last_day = schema.visit_key, self._clock.now_s() // DAY_S - DAYS_KEPT
        return connection.execute(select(keys.c.day).where(keys.c.day <= last_day).limit(1)).first() is not None

    def forget_days(self, connection: Connection) -> int:
        """Destroy the keys and rows of days that are too old; how many changes nobody could be told any more."""
        keys, last_day = schema.visit_key, self._clock.now_s() // DAY_S - DAYS_KEPT
        if not self.outdated(connection):
            return 0
        untold = select(func.count()).where(_table.c.day <= last_day, _table.c.notice >= 0)
        lost = connection.execute(untold).scalar() or 0
        connection.execute(delete(keys).where(keys.c.day <= last_day))
        connection.execute(delete(_table).where(_table.c.day <= last_day))
        return lost

    def _change(self, connection: Connection, state: str, *where: Any, **values: object) -> None:
        """Set the state of the rows that are meant; the webhook has to tell those that are no parts."""
        values |= {"state": state, "change": _table.c.change + 1}
        if self.tells:
            values["notice"] = case((_table.c.parent.is_(None), 0))
        connection.execute(update(_table).where(*where).values(**values))

    # What the webhook has to tell.

    def untold(self, connection: Connection, limit: int) -> list[Untold]:
        """Up to `limit` visits whose state has to be told, those that were never refused first."""
        shown = (_table.c.token, _table.c.window, _table.c.state, _table.c.change, _table.c.notice, _table.c.parts)
        query = select(*shown).where(_table.c.notice >= 0).order_by(_table.c.notice)
        return [
            Untold(
                row.token,
                _id(row.token),
                row.window,
                row.state,
                row.change,
                row.notice,
                self.part_states(connection, row.token) if row.parts else (),
            )
            for row in connection.execute(query.limit(limit)).all()
        ]

    def told(self, connection: Connection, notices: Mapping[tuple[bytes, int], int | None]) -> None:
        """Note what became of changes. notices: (token, change) -> None when told, else its refusals; -1 gives up."""
        for (token, change), notice in notices.items():
            mine = (_table.c.token == token, _table.c.change == change)
            connection.execute(update(_table).where(*mine).values(notice=notice))


def part_visit(visit: str, number: int) -> str:
    """The number under which a device knows part `number` (from 1) of a visit."""
    return f"{visit}{PART_MARK}{number}"


def _columns(context: Context) -> dict[str, str | None]:
    words = json.dumps(context.words, ensure_ascii=False, separators=(",", ":")) if context.words else None
    return {"context_json": words, "flags_json": json.dumps(context.flags)}


def _token(key: bytes, visit: str) -> bytes:
    return hmac.digest(key, visit.encode(), "sha256")


def _request(key: bytes, body: bytes) -> bytes:
    """What tells the same request from another; it says nothing once the key of the day is gone."""
    return hmac.digest(key, b"body\0" + body, "sha256")


def _id(token: bytes) -> str:
    return token[:16].hex()
