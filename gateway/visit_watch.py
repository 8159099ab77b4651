"""What happens to visits by itself: questions end, parts get their turn, days are forgotten."""

import threading
from collections.abc import Callable

from gateway.ledger import Ledger
from gateway.logs import Log
from gateway.metrics import Metrics
from gateway.visit_book import VisitBook
from gateway.visits import Visits

# Real seconds between two looks. The next part is asked this long after the last one at most, while the display still
# thanks for it (3 s).
LOOK_S = 0.5
STOP_S = 1.0

_log = Log("visits")


class VisitWatch:
    """A thread that looks every LOOK_S. `step` is one look, in the caller's thread."""

    def __init__(self, ledger: Ledger, book: VisitBook, visits: Visits, metrics: Metrics) -> None:
        self._ledger = ledger
        self._book = book
        self._visits = visits
        self._metrics = metrics
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="visits", daemon=True)

    def start(self) -> None:
        """Start looking; returns at once."""
        self._thread.start()

    def stop(self) -> None:
        """End after the look under way."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join(STOP_S)

    def alive(self) -> bool:
        """True while the thread runs."""
        return self._thread.is_alive()

    def step(self) -> None:
        """Close what is overdue, ask for the parts whose turn has come, forget old days."""
        if self._ledger.read(self._book.overdue):
            self._ledger.write(self._book.expire).result()
        if self._ledger.read(self._book.outdated):
            lost = self._ledger.write(self._book.forget_days).result()
            self._metrics.count("webhook_dead", lost, reason="old")
        self._visits.go_on()

    def _run(self) -> None:
        _repeat(self.step, self._stopping)


def _repeat(step: Callable[[], None], stopping: threading.Event) -> None:
    while not stopping.wait(LOOK_S):
        try:
            step()
        except Exception as error:  # a full disk, say: the next look may succeed, and nothing else would look
            _log.error("look at the visits failed", error)
