"""What happens to visits by itself: questions end, parts get their turn, days are forgotten."""

from gateway.ledger import Ledger
from gateway.metrics import Metrics
from gateway.periodic import Periodic
from gateway.visit_book import VisitBook
from gateway.visits import Visits

# Real seconds between two looks. The next part is asked this long after the last one at most, while the display still
# thanks for it (3 s).
LOOK_S = 0.5
STOP_S = 1.0


class VisitWatch:
    """A thread that looks every LOOK_S. `step` is one look, in the caller's thread."""

    def __init__(self, ledger: Ledger, book: VisitBook, visits: Visits, metrics: Metrics) -> None:
        self._ledger = ledger
        self._book = book
        self._visits = visits
        self._metrics = metrics
        self._looks = Periodic("visits", LOOK_S, self.step)

    def start(self) -> None:
        """Start looking; returns at once."""
        self._looks.start()

    def stop(self) -> None:
        """End after the look under way."""
        self._looks.stop(STOP_S)

    def alive(self) -> bool:
        """True while the thread runs."""
        return self._looks.alive()

    def step(self) -> None:
        """Close what is overdue, ask for the parts whose turn has come, forget old days."""
        if self._ledger.read(self._book.overdue):
            self._ledger.write(self._book.expire).result()
        if self._ledger.read(self._book.outdated):
            lost = self._ledger.write(self._book.forget_days).result()
            self._metrics.count("webhook_dead", lost, reason="old")
        self._visits.go_on()
