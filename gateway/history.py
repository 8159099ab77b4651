"""What came before a record, as far as rules ask: boots of its device, ratings of its window, punches of its person.

All of it is bounded and in memory. It is read from the ledger when it is first asked for, once for each device, window
and staff, and forgotten after a rollback.
"""

from sqlalchemy import Connection

from gateway.act import Act
from gateway.boot_times import BootTimes
from gateway.facts import PastFacts
from gateway.punch_times import Nearest, PunchTimes
from gateway.rule_settings import RuleSettings
from gateway.window_ratings import Company, WindowRatings
from protocol.record import PUNCH

_ALONE = Company(0, 0, 0)
_NOBODY = Nearest(None, None)


class History:
    """Runs in the ledger's writer thread."""

    def __init__(self, settings: RuleSettings) -> None:
        self._settings = settings
        self._boots = BootTimes()
        self._windows = WindowRatings(settings)
        self._punches = PunchTimes()

    def forget(self) -> None:
        """After a rollback: what is in memory may be ahead of the disk."""
        self._boots.forget()
        self._windows.forget()
        self._punches.forget()

    def take(self, connection: Connection, act: Act) -> PastFacts:
        """Add the act of a record that is being stored, each once; how it stands to those before it."""
        stepped_s = self._boots.take(connection, act)
        company = self._windows.take(connection, act) if act.level else _ALONE
        nearest = self._punches.take(connection, act) if act.kind == PUNCH else _NOBODY
        return PastFacts(self._settings, stepped_s, act.step_told, *company, *nearest)
