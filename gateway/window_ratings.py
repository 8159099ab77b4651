"""The latest ratings of each window: how many came together, and how many in a row had the same level.

Seconds are known only here, in memory, of the last few ratings; after a restart a minute is counted anew, a quarter of
an hour and a run are read from the ledger.
"""

from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sqlalchemy import Connection, select

from gateway import act as acts
from gateway import schema
from gateway.act import Act
from gateway.rule_settings import RuleSettings
from protocol.limits import COARSE_S
from protocol.record import RATING

# Windows in memory, ten times the largest hall; beyond the bound the longest unused is read from the ledger again.
WINDOWS_MAX = 1024
# Quarters of an hour that are counted for one window: two devices of it may tell different times.
QUARTERS_KEPT = 4
MINUTE_S = 60


class Company(NamedTuple):
    """One rating among the others of its window; it counts itself."""

    in_minute: int
    in_quarter: int
    level_run: int


@dataclass(slots=True)
class _Window:
    seconds: deque[int]
    quarters: OrderedDict[object, int] = field(default_factory=OrderedDict)
    level: int = 0
    run: int = 0

    def add(self, act: Act) -> Company:
        quarter = act.coarse_s or (act.boot, act.uptime_ms // (1000 * COARSE_S))
        self.quarters[quarter] = self.quarters.get(quarter, 0) + 1
        if len(self.quarters) > QUARTERS_KEPT:
            self.quarters.popitem(last=False)
        self.run = self.run + 1 if act.level == self.level else 1
        self.level = act.level
        return Company(self._add_second(act.exact_s), self.quarters[quarter], self.run)

    def _add_second(self, exact_s: int) -> int:
        if not exact_s:
            return 0
        self.seconds.append(exact_s)
        return sum(0 <= exact_s - one < MINUTE_S for one in self.seconds)


class WindowRatings:
    """The windows of the hall; in the ledger's writer thread."""

    def __init__(self, settings: RuleSettings) -> None:
        # No more than decides: one beyond the limit.
        self._seconds_kept = settings.burst_minute + 1
        # Visitors who did not press stand among the others; few enough for twice the limits to hold what counts.
        self._read = 2 * max(settings.level_run, settings.burst_quarter + 1)
        self._windows: OrderedDict[str, _Window] = OrderedDict()

    def forget(self) -> None:
        """After a rollback: the ledger knows."""
        self._windows.clear()

    def take(self, connection: Connection, act: Act) -> Company:
        """Add a rating that has a level."""
        window = self._windows.get(act.window)
        if window is None:
            window = self._windows[act.window] = self._load(connection, act.window)
            if len(self._windows) > WINDOWS_MAX:
                self._windows.popitem(last=False)
        self._windows.move_to_end(act.window)
        return window.add(act)

    def _load(self, connection: Connection, name: str) -> _Window:
        table = schema.record
        query = select(*acts.COLUMNS).where(table.c.kind == RATING, table.c.window == name)
        rows: list[Any] = list(connection.execute(query.order_by(table.c.id.desc()).limit(self._read)))
        window = _Window(deque(maxlen=self._seconds_kept))
        for act in map(acts.of_row, reversed(rows)):
            if act.level:
                window.add(act)
        return window
