"""One run of retention over all stores: ledger, quarantine, time series and the list of dead letters."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from sqlalchemy import Connection

from gateway import retention
from gateway.dead_letters import DeadLetters
from gateway.ledger import Ledger
from gateway.logs import Log
from gateway.metrics import Metrics
from gateway.operator_log import RETENTION, OperatorLog
from gateway.quarantine import Quarantine
from gateway.retention import DAY_S, RECORD_KINDS, RetentionRule, Step
from gateway.timeseries import TimeSeries

# Of one kind in one run; eight days of the busiest hall. A rule that was made shorter, or a clock that jumped ahead by
# years, takes days to have its whole effect, and a person can see it in the metrics and stop it.
REMOVED_PER_RUN_MAX = 100_000

_log = Log("retention")


class Retention:
    """Any thread, one run at a time; waits for one commit after the other, so that the intake goes on between them.

    followers: names of the projections with a cursor; what one of them has not read stays.
    """

    def __init__(
        self,
        rule: RetentionRule,
        ledger: Ledger,
        quarantine: Quarantine,
        timeseries: TimeSeries,
        dead_letters: DeadLetters | None,
        followers: Sequence[str],
        utc_offset_s: int,
        metrics: Metrics,
        log: OperatorLog,
    ) -> None:
        self._rule = rule
        self._ledger = ledger
        self._quarantine = quarantine
        self._timeseries = timeseries
        self._dead_letters = dead_letters
        self._followers = followers
        self._utc_offset_s = utc_offset_s
        self._metrics = metrics
        self._operator_log = log

    def run(self, now_s: int) -> Mapping[str, int]:
        """Take away what is too old at `now_s`; how much of each kind went."""
        day = (now_s + self._utc_offset_s) // DAY_S
        ready = min((self._ledger.cursor(name) for name in self._followers), default=self._ledger.last_position())
        removed: Counter[str] = Counter()
        for kind in retention.KINDS:
            cutoff_s = self._rule.cutoff_s(kind, now_s, self._utc_offset_s)
            if kind == retention.DEAD_LETTERS:
                removed[kind] = self._clear_dead_letters(cutoff_s, day)
            else:
                until = self._until(cutoff_s, ready)
                removed[kind] = self._repeat(kind, self._step(kind, cutoff_s, until, day))
                if kind in RECORD_KINDS:
                    self._timeseries.remove(RECORD_KINDS[kind], cutoff_s, until)
            self._metrics.count("removed", removed[kind], kind=kind)
        if removed.total():
            _log.info("what was too old is removed", count=removed.total(), through=ready)
            self._operator_log.note("gateway", RETENTION, "", **+removed)
        return removed

    def _until(self, cutoff_s: int, ready: int) -> int:
        return self._ledger.read(lambda connection: retention.boundary(connection, cutoff_s, ready))

    def _step(self, kind: str, cutoff_s: int, until: int, day: int) -> Callable[[Connection], Step]:
        """What one transaction does for `kind`."""
        if kind in retention.PLAIN_TABLES:
            return lambda connection: retention.remove_plain(connection, kind, cutoff_s, day)
        if kind == retention.QUARANTINE:
            return lambda connection: self._clear_quarantine(connection, cutoff_s, day)
        take = retention.remove_records if kind in RECORD_KINDS else retention.empty_identities
        return lambda connection: take(connection, kind, until, cutoff_s, day)

    def _repeat(self, kind: str, step: Callable[[Connection], Step]) -> int:
        removed = 0
        while removed < REMOVED_PER_RUN_MAX:
            did = self._ledger.write(step).result()
            removed += did.removed
            if did.done:
                return removed
        _log.warning("more is too old than one run removes", kind=kind, limit=REMOVED_PER_RUN_MAX)
        return removed

    def _clear_quarantine(self, connection: Connection, cutoff_s: int, day: int) -> Step:
        removed = self._quarantine.remove_before(connection, cutoff_s, retention.SPAN_POSITIONS)
        if removed:
            retention.note(connection, retention.QUARANTINE, day, removed)
        return Step(removed, removed < retention.SPAN_POSITIONS)

    def _clear_dead_letters(self, cutoff_s: int, day: int) -> int:
        """They lie in a file of their own: a crash between the two commits loses the line, never a letter."""
        removed = self._dead_letters.remove_before(cutoff_s) if self._dead_letters else 0
        if removed:
            self._ledger.write(
                lambda connection: retention.note(connection, retention.DEAD_LETTERS, day, removed)
            ).result()
        return removed
