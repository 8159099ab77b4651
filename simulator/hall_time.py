"""The hall time of a demo: a weekday morning, compressed. One real second is `speed` hall seconds."""

import datetime
import time
from collections.abc import Callable

_CHINA = datetime.timezone(datetime.timedelta(hours=8))


def next_morning(real_s: float, time_of_day_s: int) -> int:
    """UTC seconds of `time_of_day_s` (China time) on the next working day after `real_s`.

    Ahead of now, because a device believes no time before it was made.
    """
    day = datetime.datetime.fromtimestamp(real_s, _CHINA).replace(hour=0, minute=0, second=0, microsecond=0)
    day += datetime.timedelta(days=1)
    while day.weekday() >= 5:
        day += datetime.timedelta(days=1)
    return int(day.timestamp()) + time_of_day_s


class HallTime:
    """origin_s: hall time (UTC) at the real moment real0_s."""

    def __init__(self, speed: int, origin_s: int, real0_s: float, real: Callable[[], float] = time.time) -> None:
        self.speed = speed
        self.origin_s = origin_s
        self.real0_s = real0_s
        self._real = real

    def now_s(self) -> float:
        """Hall time, UTC seconds."""
        return self.origin_s + (self._real() - self.real0_s) * self.speed

    def time_of_day_s(self) -> float:
        """Seconds since midnight in China."""
        return (self.now_s() + 8 * 3600) % 86400

    def real_s(self, hall_s: float) -> float:
        """How long `hall_s` hall seconds take."""
        return hall_s / self.speed

    def toml(self) -> str:
        """The gateway's section for this clock."""
        return f"\n[clock]\nspeed = {float(self.speed)}\norigin_s = {self.origin_s}\nreal0_s = {self.real0_s}\n"
