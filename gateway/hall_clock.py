"""The hall's clock: UTC, or for simulations a compressed one that every part of the hall shares."""

import time
from collections.abc import Callable


class HallClock:
    """Hall time = origin_s + (real - real0_s) * speed, so that a restarted gateway goes on in the same hall time.

    speed: hall seconds per real second, 1.0 in every real hall. real: the machine's UTC seconds, passed in by tests.
    """

    def __init__(
        self, speed: float = 1.0, origin_s: float = 0, real0_s: float = 0, real: Callable[[], float] = time.time
    ) -> None:
        self.speed = speed
        self.origin_s = origin_s
        self.real0_s = real0_s
        self._real = real

    def now_ms(self) -> int:
        """Hall time in UTC milliseconds."""
        return int(1000 * (self.origin_s + (self._real() - self.real0_s) * self.speed))

    def now_s(self) -> int:
        """Hall time in UTC seconds, rounded down."""
        return self.now_ms() // 1000
