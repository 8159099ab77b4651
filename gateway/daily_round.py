"""What has to be done once a day of the hall: keys that must not outlive their time, and what is kept too long."""

from collections.abc import Callable, Mapping

from gateway.hall_clock import HallClock
from gateway.logs import Log
from gateway.metrics import Metrics
from gateway.periodic import Periodic

DAY_S = 86_400
# Hall seconds between two looks at the day. What failed is tried again at the next; a key lives at most so much longer.
LOOK_S = 1800
# A compressed hall must not keep a core busy with looking.
LOOK_REAL_S_MIN = 1.0

_log = Log("round")


class DailyRound:
    """A thread; does all `tasks` (name -> function of the hall's UTC seconds) at start and on every new day.

    A task that fails is counted and done again at the next look, and holds up no other.
    """

    def __init__(
        self, clock: HallClock, utc_offset_s: int, tasks: Mapping[str, Callable[[int], object]], metrics: Metrics
    ) -> None:
        self._clock = clock
        self._utc_offset_s = utc_offset_s
        self._tasks = tasks
        self._metrics = metrics
        self._done: dict[str, int] = {}
        self._looks = Periodic("daily-round", max(LOOK_REAL_S_MIN, LOOK_S / clock.speed), self.look)

    def start(self) -> None:
        """Start the thread."""
        self._looks.start()

    def stop(self, timeout_s: float) -> None:
        """End after the task under way, waiting for it at most `timeout_s`."""
        self._looks.stop(timeout_s)

    def alive(self) -> bool:
        """True while the thread runs."""
        return self._looks.alive()

    def look(self) -> None:
        """Do what this day has not seen yet, in the caller's thread."""
        now_s = self._clock.now_s()
        day = (now_s + self._utc_offset_s) // DAY_S
        for name, task in self._tasks.items():
            if self._done.get(name) == day or self._looks.stopping():
                continue
            try:
                if task(now_s) is not False:
                    self._done[name] = day
            except Exception as error:  # a full disk, for one: the next look tries again
                if self._looks.stopping():  # the ledger was closed under it; the next start does it
                    return
                self._metrics.count("round_failures", task=name)
                _log.error("daily task failed", error, kind=name)
