"""What a wall may tell of ratings: never one alone, and of five together not which came first.

Whoever sits at a window knows who stands in front of it. A level that appears the moment that the visitor presses, or
in the order of the visitors, names the reviewer. So levels wait until GROUP of them are there, and then appear sorted.
"""

import contextlib
from collections import deque
from collections.abc import Iterable

from gateway.rates import Rates

# Security reference, threat 14: only groups of five and more are published. Visitors who did not press hide nobody:
# the window has seen that they did not, so they do not count towards a group.
GROUP = 5
# Two groups fill a tile of the page.
LAST_LEVELS = 2 * GROUP


class Publication:
    """The ratings of one window, as far as anybody may see them.

    rates: counts of the complete groups. last_levels: 1..5; the newest two groups, each from high to low.
    visits: everything that came, rated or not, published or not. last_flags: rule codes of the newest group, each once,
    and not of which rating. not_adopted: ratings that came and are not counted.
    """

    def __init__(self) -> None:
        self.rates = Rates()
        self.last_levels: deque[int] = deque(maxlen=LAST_LEVELS)
        self.visits = 0
        self.not_adopted = 0
        self._rated: list[tuple[int, bool, int]] = []
        self._timed_out = 0
        self.last_flags: list[str] = []
        self._flags: set[str] = set()

    @property
    def waiting(self) -> int:
        """Levels that wait for their group, 0..GROUP - 1."""
        return len(self._rated)

    def add(self, level: int | None, visit: bool, flags: Iterable[str] = (), position: int = 0) -> list[int]:
        """Add one rating as Rates.add() does. The group that it completed, from high to low; [] when none.

        position: in the ledger, by which withdraw() finds it while it waits.
        """
        self.visits += 1
        self._flags.update(flags)
        if level is None:
            self._timed_out += 1
            return []
        return self._wait(level, visit, position)

    def add_not_adopted(self) -> None:
        """Add one rating that is not adopted already: the visit was there, its level counts nowhere."""
        self.visits += 1
        self.not_adopted += 1

    def withdraw(self, level: int, visit: bool, position: int) -> None:
        """Take a rating out of the counts. Which of the published ones it was, nobody sees: they have no order."""
        self.not_adopted += 1
        if (level, visit, position) in self._rated:
            self._rated.remove((level, visit, position))
            return
        self.rates.add(level, visit, -1)
        with contextlib.suppress(ValueError):  # it may have been published longer ago
            self.last_levels.remove(level)

    def restore(self, level: int, visit: bool, position: int) -> None:
        """Count again what withdraw() or add_not_adopted() left out; with the next group, like one that comes now."""
        self.not_adopted -= 1
        self._wait(level, visit, position)

    def _wait(self, level: int, visit: bool, position: int) -> list[int]:
        self._rated.append((level, visit, position))
        return self._publish() if len(self._rated) == GROUP else []

    def _publish(self) -> list[int]:
        for level, visit, _ in self._rated:
            self.rates.add(level, visit)
        self.rates.add(None, True, self._timed_out)
        group = sorted((level for level, *_ in self._rated), reverse=True)
        self.last_levels.extend(group)
        self.last_flags = sorted(self._flags)
        self._rated, self._timed_out, self._flags = [], 0, set()
        return group


def total(publications: Iterable[Publication]) -> Rates:
    """What all of them together have published. A hall's own groups would not do: beside those of its windows they
    would tell single levels by subtraction.
    """
    whole = Rates()
    for one in publications:
        whole.merge(one.rates)
    return whole
