"""Rules about time: does the device know it, and can it be right. A wrong time is marked, never rewritten."""

from gateway.facts import PastFacts, RecordFacts
from gateway.rule import FLAG, Checked
from protocol import punch, rating
from protocol.limits import COARSE_S
from protocol.record import NO_TIME, PUNCH, coarse

# Device clocks are set to about a second; five minutes allow a clock that ran free for a month.
CLOCK_TOLERANCE_S = 300
# A journal that empties after a night without network is normal; more than a day deserves a look.
LATE_S = 24 * 3600
# A device tells a step of its clock from a minute on (firmware/wall_clock.py); as much again for two answers' ways.
STEP_TOLERANCE_S = 120


def _no_clock(facts: RecordFacts) -> bool:
    return facts.record.source == NO_TIME


def _clock_ahead(facts: RecordFacts) -> bool:
    """A punch states its second in clear; of anything else the quarter of an hour must begin too late."""
    exact_s = facts.record.claims.get(punch.TIME) if facts.record.kind == PUNCH else 0
    stated_s = max(facts.record.coarse_s, exact_s if isinstance(exact_s, int) else 0)
    return stated_s > facts.received_s + CLOCK_TOLERANCE_S


def _before_build(facts: RecordFacts) -> bool:
    coarse_s = facts.record.coarse_s
    return coarse_s != 0 and coarse_s + COARSE_S <= facts.hall.settings.earliest_s


def _late(facts: RecordFacts) -> bool:
    """The whole quarter of an hour must be more than a day ago; of a time that cannot be, nobody knows how long ago."""
    coarse_s = facts.record.coarse_s
    return coarse_s != 0 and facts.received_s - (coarse_s + COARSE_S) > LATE_S and not _before_build(facts)


def _time_differs(facts: RecordFacts) -> bool:
    is_punch = facts.record.kind == PUNCH
    exact_s = facts.record.claims.get(punch.TIME) if is_punch else facts.disclosed.get(rating.OCCASION, (0,))[0]
    return isinstance(exact_s, int) and exact_s != 0 and coarse(exact_s) != facts.record.coarse_s


def _stepped(facts: PastFacts) -> bool:
    return facts.step_told or facts.stepped_s > STEP_TOLERANCE_S


ALONE: tuple[Checked[RecordFacts], ...] = (
    Checked("no_clock", FLAG, "the device did not know the time", "设备当时不知道时间", check=_no_clock),
    Checked("clock_ahead", FLAG, "dated later than the gateway's own clock", "时间晚于网关时钟", check=_clock_ahead),
    Checked(
        "before_build",
        FLAG,
        "dated before the device can have been made: its clock is wrong",
        "时间早于设备出厂，时钟有误",
        check=_before_build,
    ),
    Checked("late", FLAG, "more than a day old when it arrived", "送达时已超过一天", check=_late),
    Checked(
        "time_differs",
        FLAG,
        "the exact time is not in the signed quarter of an hour",
        "精确时间不在已签名的一刻钟之内",
        check=_time_differs,
    ),
)

PAST: tuple[Checked[PastFacts], ...] = (
    Checked(
        "clock_stepped",
        FLAG,
        "its time contradicts the uptime of the same boot, or the device says that its clock was stepped",
        "时间与同一次开机的运行时长矛盾，或设备自报时钟被调整",
        check=_stepped,
    ),
)
