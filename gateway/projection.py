"""A projection follows the ledger: page after page in commit order, and a cursor that moves after the work is done.

Time series, central system and live view are projections. Each has a thread of its own, so none holds up another,
and none holds up the intake.
"""

import random
import threading
import time
from collections.abc import Callable, Sequence
from typing import Generic, Protocol, TypeVar

from gateway import backoff
from gateway.logs import Log
from gateway.metrics import Metrics

# A page of the ledger in memory: at most about 2 MiB (4 KiB a record). Towards the central system it is one request,
# typically 300 KiB of JSON, half of that on the line.
PAGE_RECORDS = 500
# After a page that was not full: records come singly all day, and a transaction or a request for each would cost a
# hundred times more than its record. Five pages a second are at once for a person.
LINGER_S = 0.2
# How long the thread sleeps on the ledger's word before it looks whether it shall stop.
WAIT_S = 0.2

_log = Log("projection")


class UnavailableError(Exception):
    """The destination cannot take records now; the same page is offered again later. reason: one word for metrics."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Positioned(Protocol):
    """A row that stands in an order."""

    @property
    def position(self) -> int:
        """Grows from row to row."""


_Row = TypeVar("_Row", bound=Positioned)
_Read = TypeVar("_Read", bound=Positioned, covariant=True)


class Source(Protocol[_Read]):
    """What a projection reads; the Ledger is one, and so are its annotations."""

    def records_after(self, position: int, limit: int) -> Sequence[_Read]:
        """Up to `limit` records above `position`, ascending."""

    def last_position(self) -> int:
        """Position of the newest record."""

    def wait_beyond(self, position: int, timeout_s: float) -> bool:
        """Block until there is a record above `position`, at most `timeout_s`."""


class Projection(Generic[_Row]):
    """Runs `take(page)` over every record after `position`, in a thread, until stopped.

    take: must be idempotent, for a page comes again after a crash or a failure. Raises UnavailableError to wait.
    save: makes a position durable; called after `take` has returned, never before.
    Any other exception of `take` or `save` is counted and tried again like UnavailableError: a projection may fall
    behind, it may not die and it may not skip.
    """

    def __init__(
        self,
        name: str,
        source: Source[_Row],
        position: int,
        take: Callable[[Sequence[_Row]], None],
        save: Callable[[int], None],
        metrics: Metrics,
        page_records: int = PAGE_RECORDS,
        retry_cap_s: float = backoff.CAP_S,
        linger_s: float = LINGER_S,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.name = name
        self._source = source
        self._take = take
        self._save = save
        self._metrics = metrics
        self._page_records = page_records
        self._retry_cap_s = retry_cap_s
        self._linger_s = linger_s
        self._jitter = jitter
        self._position = position
        self._failures = 0
        self._draining = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="projection-" + name, daemon=True)

    @property
    def position(self) -> int:
        """Every record up to here is done."""
        return self._position

    @property
    def failures(self) -> int:
        """Tries that failed since the last success; 0 when all is well."""
        return self._failures

    def behind(self) -> int:
        """Records in the ledger that are not done yet."""
        return max(0, self._source.last_position() - self._position)

    def alive(self) -> bool:
        """True while the thread runs."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Start following; returns at once."""
        self._thread.start()

    def stop(self, drain_s: float = 0) -> bool:
        """Do what is in the ledger for at most `drain_s`, then end. True when nothing is left behind.

        A destination that is unavailable ends the drain at once: its records stay in the ledger for the next start.
        """
        self._draining.set()
        if self._thread.ident is not None:
            self._thread.join(drain_s)
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join(2 * WAIT_S)
        return self.behind() == 0

    def step(self) -> int:
        """Take one page now, in the caller's thread; returns how many records it held. Raises what `take` raises."""
        page = self._source.records_after(self._position, self._page_records)
        if not page:
            return 0
        began = time.monotonic()
        self._take(page)
        self._save(page[-1].position)
        self._position = page[-1].position
        self._metrics.observe("projection", time.monotonic() - began, destination=self.name)
        self._metrics.count("projected", len(page), destination=self.name)
        return len(page)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                taken = self.step()
                self._failures = 0
            except Exception as error:  # whatever it is, the records are in the ledger and the next try may succeed
                if self._draining.is_set():
                    return
                self._report(error)
                self._rest()
                continue
            if taken == 0:
                if self._draining.is_set():
                    return
                self._source.wait_beyond(self._position, WAIT_S)
            elif taken < self._page_records:
                self._draining.wait(self._linger_s)

    def _report(self, error: Exception) -> None:
        reason = error.reason if isinstance(error, UnavailableError) else type(error).__name__
        self._metrics.count("projection_failures", destination=self.name, reason=reason)
        if isinstance(error, UnavailableError):
            _log.warning("destination unavailable", destination=self.name, reason=reason, attempt=self._failures)
        else:
            _log.error("projection failed", error, destination=self.name, attempt=self._failures)

    def _rest(self) -> None:
        pause_s = backoff.delay_s(self._failures, self._jitter(), cap_s=self._retry_cap_s)
        self._failures += 1
        deadline = time.monotonic() + pause_s
        while not (self._stopping.is_set() or self._draining.is_set()):
            left = deadline - time.monotonic()
            if left <= 0 or self._stopping.wait(min(left, WAIT_S)):
                return
