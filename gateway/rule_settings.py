"""Limits of the rules, section [rules] of gateway.toml: what is unusual differs from hall to hall."""

from collections.abc import Iterable
from dataclasses import dataclass

from gateway.section import Section

KEYS = {
    *("earliest_day", "quick_ms", "burst_minute", "burst_quarter", "level_run"),
    *("punch_again_s", "two_doors_s"),
}

# 2026-01-01 UTC: no device of this release was made before. A record that is dated earlier has a wrong clock.
EARLIEST_S = 1_767_225_600
# Rows of one window that are read from the ledger after a restart; so many a limit may ask for.
RECENT_MAX = 1000

# The reasons in force in the platform's list of 2020 (domain reference 3.6), by level: first number, last number.
# Others are retired (101 to 107, 201 to 206, 301 to 306, 401 to 405, 501 to 509) or never were.
_IN_FORCE = {1: (108, 115), 2: (207, 214), 3: (307, 314), 4: (406, 413), 5: (510, 517)}


@dataclass(frozen=True)
class RuleSettings:
    """Limits. All are inclusive: what a limit allows is not marked."""

    earliest_s: int = EARLIEST_S  # no record is older, UTC
    # Reading five words and choosing takes a person longer; faster ones are habit, test or machine.
    quick_ms: int = 300
    # A visitor reads, presses and makes room in about 10 s, and only a family rates one after the other.
    burst_minute: int = 5
    # Two a minute for a quarter of an hour: no window serves so many.
    burst_quarter: int = 30
    # One in ten visitors, even in a hall that is liked, presses something else than the others.
    level_run: int = 50
    # Attendance clocks take a second touch within a minute for the same punch (firmware); ours must not be less strict.
    punch_again_s: int = 60
    # Doors of one hall lie further apart than a minute's walk through two sign-in queues.
    two_doors_s: int = 60


USUAL = RuleSettings()


def of(section: Section) -> RuleSettings:
    """The settings in the section. Raises ConfigurationError."""
    return RuleSettings(
        earliest_s=section.day_s("earliest_day", USUAL.earliest_s),
        quick_ms=section.whole("quick_ms", 0, 10_000, USUAL.quick_ms),
        burst_minute=section.whole("burst_minute", 1, 60, USUAL.burst_minute),
        burst_quarter=section.whole("burst_quarter", 1, RECENT_MAX - 1, USUAL.burst_quarter),
        level_run=section.whole("level_run", 2, RECENT_MAX, USUAL.level_run),
        punch_again_s=section.whole("punch_again_s", 1, 600, USUAL.punch_again_s),
        two_doors_s=section.whole("two_doors_s", 1, 3600, USUAL.two_doors_s),
    )


def tags_in_force(configured: Iterable[int]) -> frozenset[int]:
    """The tags that a record may carry: those that the hall has configured; for levels of which it has configured none
    (devices ask for reasons after bad levels only), those of the platform's list.
    """
    chosen = frozenset(configured)
    levels = {tag // 100 for tag in chosen}
    rest = (range(low, high + 1) for level, (low, high) in _IN_FORCE.items() if level not in levels)
    return chosen.union(*rest)
