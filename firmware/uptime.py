"""Milliseconds since boot, in a counter of our own: a board's ticks wrap after 12 days."""


class Uptime:
    """clock: object with ticks_ms() and ticks_diff(a, b). ms() must be asked at least every 6 days; heartbeats do."""

    def __init__(self, clock):
        self._clock = clock
        self._last = clock.ticks_ms()
        self._ms = 0

    def ms(self):
        """Milliseconds since boot; never goes back."""
        now = self._clock.ticks_ms()
        step = self._clock.ticks_diff(now, self._last)
        if step > 0:
            self._ms += step
            self._last = now
        return self._ms
