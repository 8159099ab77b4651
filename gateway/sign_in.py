"""Who signed in this morning, and who came late. Times are of the hall's own day."""

from dataclasses import dataclass
from typing import NamedTuple

DAY_S = 86_400
# A hall has 55 windows and its own office; five hundred staff is a hall that nobody has built.
STAFF_MAX = 500


@dataclass(frozen=True)
class DayRule:
    """How a hall divides its day; seconds after local midnight. All of it is configuration (domain reference, 2)."""

    utc_offset_s: int = 8 * 3600  # China has one time zone and no summer time
    sign_in_limit_s: int = 8 * 3600 + 30 * 60  # A4: sign-in ends at 8:30; the second after is late
    morning_end_s: int = 12 * 3600  # A1

    def day_of(self, time_s: int) -> int:
        """Number of the local day that `time_s` (UTC seconds) lies in."""
        return (time_s + self.utc_offset_s) // DAY_S

    def of_day_s(self, time_s: int) -> int:
        """Seconds after local midnight."""
        return (time_s + self.utc_offset_s) % DAY_S

    def is_morning(self, time_s: int) -> bool:
        """True before `morning_end_s`."""
        return self.of_day_s(time_s) < self.morning_end_s

    def is_late(self, time_s: int) -> bool:
        """True after the sign-in limit; the limit itself is in time."""
        return self.of_day_s(time_s) > self.sign_in_limit_s


class SignIn(NamedTuple):
    """A person's first punch of the morning. late: None where the device did not know the time."""

    staff: str
    door: str
    time_s: int | None
    late: bool | None


class Morning:
    """First punches of one morning, by staff number. Later punches of a person change nothing."""

    def __init__(self, rule: DayRule) -> None:
        self._rule = rule
        self._first: dict[str, SignIn] = {}

    def add(self, staff: str, door: str, time_s: int | None, direction: str) -> None:
        """One punch of the day. time_s: UTC seconds, None where the device did not know the time."""
        if direction == "out" or (time_s is not None and not self._rule.is_morning(time_s)):
            return
        earlier = self._first.get(staff)
        if earlier is not None and not _is_before(time_s, earlier.time_s):
            return
        if earlier is None and len(self._first) >= STAFF_MAX:
            return
        late = None if time_s is None else self._rule.is_late(time_s)
        self._first[staff] = SignIn(staff, door, time_s, late)

    def sign_ins(self) -> list[SignIn]:
        """Latest first; those without a time stand last."""
        return sorted(self._first.values(), key=lambda one: (one.time_s or 0, one.staff), reverse=True)


def _is_before(time_s: int | None, other_s: int | None) -> bool:
    """Records may arrive out of order (two clocks, one of them offline): a known, earlier time wins."""
    return time_s is not None and (other_s is None or time_s < other_s)
