"""A morning is decided from a seed: who comes when, how they rate, who is late; and its clock runs faster than ours."""

import datetime
import tomllib
from collections import Counter

import pytest

from gateway.configuration import parse
from simulator import morning
from simulator.hall_time import HallTime, next_morning

SEED = 20261123
CHINA = datetime.timezone(datetime.timedelta(hours=8))
SLOTS = list(range(1, 25))


def visitors(seed=SEED, windows=60, each=12):
    """The first visitors of every window: a morning of a large hall."""
    lines = [morning.Window(seed, f"{number:02}") for number in range(1, windows + 1)]
    return [line.next() for line in lines for _ in range(each)]


def test_the_same_seed_is_the_same_morning_and_another_seed_another():
    assert visitors() == visitors()
    assert visitors() != visitors(SEED + 1)
    assert morning.touches(SEED, 3, SLOTS) == morning.touches(SEED, 3, SLOTS)
    assert morning.touches(SEED, 3, SLOTS) != morning.touches(SEED + 1, 3, SLOTS)


def test_windows_have_visitors_of_their_own():
    first, second = morning.Window(SEED, "01"), morning.Window(SEED, "02")
    assert [first.next().gap_s for _ in range(5)] != [second.next().gap_s for _ in range(5)]


def test_every_level_occurs_and_one_in_ten_is_bad():
    levels = Counter(act.level for act in visitors() if act.level)
    assert set(levels) == {1, 2, 3, 4, 5}
    assert levels[5] > levels[4] > levels[3]
    bad = (levels[1] + levels[2]) / levels.total()
    assert 0.07 < bad < 0.18


def test_the_demo_of_half_a_minute_has_bad_ratings_and_visits_without_answer():
    """What `make demo FOR=30` shows: 60 evaluators, half an hour of the hall."""
    acts = []
    for number in range(1, 61):
        line, at_s = morning.Window(SEED, f"{number:02}"), 0.0
        while (at_s := at_s + (act := line.next()).gap_s) < 1800:
            acts.append(act)
    assert {act.level for act in acts} >= {1, 2, 3, 4, 5, None}
    assert {act.outcome for act in acts} == {morning.RATED, morning.TIMED_OUT, morning.WALK_UP}


def test_a_visit_that_times_out_is_one_that_nobody_rates():
    for act in visitors():
        assert (act.level is None) == (act.outcome == morning.TIMED_OUT)
        assert act.timeout_s == (morning.USUAL_S if act.level is None else morning.PATIENT_S)
        assert act.delay_s < act.timeout_s


def test_visits_are_numbered_once_and_served_one_after_the_other():
    acts = visitors()
    assert len({act.number for act in acts}) == len(acts)
    line = morning.Window(SEED, "07")
    gaps_s = [line.next().gap_s for _ in range(50)]
    assert gaps_s[0] >= 0
    assert min(gaps_s[1:]) >= 60  # nobody presses while the one before is still thanked


def test_identities_are_of_nobody_and_only_where_a_visit_is_rated():
    acts = visitors()
    with_identity = [act for act in acts if act.applicant]
    assert 0.1 < len(with_identity) / len(acts) < 0.35
    for act in with_identity:
        assert act.outcome == morning.RATED
        assert act.applicant is not None
        assert act.applicant["id_number"].startswith("999999")  # no such region
        assert len(act.applicant["id_number"]) == 18
        assert len(act.applicant["phone"]) == 11


@pytest.mark.parametrize("doors", [1, 2, 8])
def test_everybody_punches_once_and_each_door_meets_one_stranger(doors):
    plan = morning.touches(SEED, doors, SLOTS)
    assert len(plan) == doors
    found = Counter(touch.slot for door in plan for touch in door)
    used = sum(bool(door) for door in plan)
    assert found == {**dict.fromkeys(SLOTS, 1), morning.STRANGER: used}
    for door in plan:
        assert [touch.at_s for touch in door] == sorted(touch.at_s for touch in door)


def test_some_are_late_and_most_are_not():
    staff = [touch for door in morning.touches(SEED, 2, SLOTS) for touch in door if touch.slot != morning.STRANGER]
    late = [touch for touch in staff if morning.is_late(touch.at_s)]
    assert 1 <= len(late) <= len(staff) / 3
    assert all(morning.OPENS_S < touch.at_s < morning.CLOSES_S for touch in staff)
    assert not morning.is_late(morning.SIGN_IN_LIMIT_S)
    assert morning.is_late(morning.SIGN_IN_LIMIT_S + 0.1)


def test_a_hall_without_doors_or_staff_has_nobody_at_them():
    assert morning.touches(SEED, 0, []) == []
    assert morning.touches(SEED, 2, []) == [[], []]


def test_a_real_second_is_a_hall_minute():
    now = [1000.0]
    clock = HallTime(60, 1_800_000_000, 1000.0, lambda: now[0])
    assert clock.now_s() == 1_800_000_000
    now[0] += 30
    assert clock.now_s() == 1_800_000_000 + 30 * 60
    assert clock.real_s(1800) == 30
    assert clock.now_s() + 60 == 1_800_000_000 + (now[0] + clock.real_s(60) - 1000.0) * 60


def test_the_time_of_day_is_that_of_china():
    noon = datetime.datetime(2026, 11, 23, 12, 0, 5, tzinfo=CHINA)
    clock = HallTime(60, int(noon.timestamp()), 0.0, lambda: 0.0)
    assert clock.time_of_day_s() == 12 * 3600 + 5


@pytest.mark.parametrize(
    ("today", "hall_day"),
    [((2026, 11, 23), 24), ((2026, 11, 26), 27), ((2026, 11, 27), 30), ((2026, 11, 28), 30), ((2026, 11, 29), 30)],
)
def test_the_hall_opens_on_the_next_working_day(today, hall_day):
    for hour in (0, 7, 12, 23):
        now_s = datetime.datetime(*today, hour, 30, tzinfo=CHINA).timestamp()
        found = datetime.datetime.fromtimestamp(next_morning(now_s, morning.OPENS_S), CHINA)
        assert (found.day, found.hour, found.minute, found.second) == (hall_day, 8, 15, 0)
        assert found.timestamp() > now_s


def test_the_gateway_reads_the_same_clock(hall_dir):
    path = hall_dir / "gateway" / "gateway.toml"
    clock = HallTime(60, 1_800_000_000, 1_700_000_000.25, lambda: 1_700_000_010.25)
    found = parse(tomllib.loads(path.read_text("utf-8") + clock.toml()), path.parent).clock
    assert (found.speed, found.origin_s, found.real0_s) == (60.0, 1_800_000_000, 1_700_000_000.25)
    assert found.origin_s + (1_700_000_010.25 - found.real0_s) * found.speed == clock.now_s()
