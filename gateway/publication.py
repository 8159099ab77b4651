"""What a wall may tell of ratings: never one alone, and of five together not which came first.

Whoever sits at a window knows who stands in front of it. A level that appears the moment that the visitor presses, or
in the order of the visitors, names the reviewer. So levels wait until GROUP of them are there, and then appear sorted.
"""

from collections import deque

from gateway.rates import Rates

# Security reference, threat 14: only groups of five and more are published.
GROUP = 5
# Two groups fill a tile of the page.
LAST_LEVELS = 2 * GROUP

TIMED_OUT = 0


class Publication:
    """The ratings of one window, or of a hall, as far as anybody may see them.

    rates: counts of the complete groups. last_levels: 1..5, or TIMED_OUT; the newest groups, each from high to low.
    """

    def __init__(self) -> None:
        self.rates = Rates()
        self.last_levels: deque[int] = deque(maxlen=LAST_LEVELS)
        self._waiting: list[tuple[int | None, bool]] = []

    @property
    def waiting(self) -> int:
        """Ratings that wait for their group, 0..GROUP - 1."""
        return len(self._waiting)

    def add(self, level: int | None, visit: bool) -> list[int]:
        """Add one rating as Rates.add() does. The group that it completed, from high to low; [] when none."""
        self._waiting.append((level, visit))
        if len(self._waiting) < GROUP:
            return []
        for one in self._waiting:
            self.rates.add(*one)
        group = sorted((level or TIMED_OUT for level, _ in self._waiting), reverse=True)
        self.last_levels.extend(group)
        self._waiting = []
        return group
