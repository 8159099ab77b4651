"""The latest punches of each person: how long ago, and at which door."""

from collections import OrderedDict, deque
from typing import Any, NamedTuple

from sqlalchemy import Connection, select

from gateway import act as acts
from gateway import schema
from gateway.act import Act
from protocol.record import PUNCH

# Ten times the staff of the largest hall; beyond the bound the one who punched longest ago is forgotten.
STAFF_MAX = 4096
# Punches of one person: two days of four, should another clock send its yesterday late.
PUNCHES_KEPT = 8
# Punches of one clock that are read after a restart: a whole staff's sign-in.
READ_PUNCHES = 256


class Nearest(NamedTuple):
    """Seconds to the nearest punch of the same person, before or after; None: there is none that can be compared."""

    same_door_s: int | None
    other_door_s: int | None


class PunchTimes:
    """The staff's punches; in the ledger's writer thread."""

    def __init__(self) -> None:
        self._staff: OrderedDict[str, deque[Act]] = OrderedDict()
        self._is_read = False

    def forget(self) -> None:
        """After a rollback: the ledger knows."""
        self._staff.clear()
        self._is_read = False

    def take(self, connection: Connection, act: Act) -> Nearest:
        """Add a punch; how it lies to the others of its person."""
        if not self._is_read:
            self._is_read = True
            for row in _latest(connection):
                self._add(acts.of_row(row))
        before = self._staff.get(act.staff, ())
        same = [away for one in before if one.window == act.window and (away := _away_s(one, act)) is not None]
        other = [away for one in before if one.window != act.window and (away := _away_s(one, act)) is not None]
        self._add(act)
        return Nearest(min(same, default=None), min(other, default=None))

    def _add(self, act: Act) -> None:
        self._staff.setdefault(act.staff, deque(maxlen=PUNCHES_KEPT)).append(act)
        self._staff.move_to_end(act.staff)
        if len(self._staff) > STAFF_MAX:
            self._staff.popitem(last=False)


def _away_s(one: Act, other: Act) -> int | None:
    """By their times, or where one has none by the uptime of a boot that both share."""
    if one.exact_s and other.exact_s:
        return abs(one.exact_s - other.exact_s)
    return abs(one.uptime_ms - other.uptime_ms) // 1000 if one.boot == other.boot else None


def _latest(connection: Connection) -> list[Any]:
    """The newest punches of every device, each device's in their order."""
    table = schema.record
    found: list[Any] = []
    for device in connection.execute(select(schema.stream.c.device).distinct()).scalars().all():
        query = select(*acts.COLUMNS).where(table.c.device == device, table.c.kind == PUNCH)
        rows = connection.execute(query.order_by(table.c.id.desc()).limit(READ_PUNCHES)).all()
        found += reversed(rows)
    return found
