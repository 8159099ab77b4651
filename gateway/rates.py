"""Counts of ratings by level, and the two rates that halls are judged by."""

# Domain reference, section 3.2: levels 3 to 5 are good, 1 and 2 are bad; 0 is not a rating.
GOOD_LEVEL_MIN = 3
LEVELS = 5


class Rates:
    """Counts of ratings. levels: five numbers, index 0 is level 1."""

    def __init__(self) -> None:
        self.levels = [0] * LEVELS
        self.timed_out = 0
        self.visits_rated = 0

    def add(self, level: int | None, visit: bool, count: int = 1) -> None:
        """Add `count` ratings. level: 1..5, or None for a visit that timed out. visit: False for a walk-up press."""
        if level is None:
            self.timed_out += count
            return
        self.levels[level - 1] += count
        if visit:
            self.visits_rated += count

    def merge(self, other: "Rates") -> None:
        """Add the counts of another."""
        self.levels = [mine + more for mine, more in zip(self.levels, other.levels, strict=True)]
        self.timed_out += other.timed_out
        self.visits_rated += other.visits_rated

    @property
    def rated(self) -> int:
        """Ratings with a level."""
        return sum(self.levels)

    @property
    def good_rate(self) -> float | None:
        """好评率: levels 3 to 5 of all levels, 0..1; None where nothing is rated."""
        return sum(self.levels[GOOD_LEVEL_MIN - 1 :]) / self.rated if self.rated else None

    @property
    def rating_rate(self) -> float | None:
        """评价率: visits rated of visits asked, 0..1, without walk-up presses; None where no visit was asked."""
        asked = self.visits_rated + self.timed_out
        return self.visits_rated / asked if asked else None
