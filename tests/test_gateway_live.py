"""The live view: the day's counts, the morning's sign-ins, each device's state; bounded, and without reviewers."""

import json
import random

from ledger_records import device_event, ledger_record, punch, rating
from sealing_device import MORNING_S

from gateway.ledger import Heartbeat
from gateway.live import FEED_EVENTS, REBUILD_RECORDS, LiveView, rebuild_from
from gateway.publication import GROUP, LAST_LEVELS
from gateway.registry import ACTIVE, CLOCK, EVALUATOR, PENDING, REVOKED, Device
from gateway.sign_in import STAFF_MAX, DayRule, Morning
from protocol import event

DAY_S = 86_400
# 08:00 of a day in China.
OPENING_S = (MORNING_S // DAY_S) * DAY_S
HALF_PAST_EIGHT_S = OPENING_S + 1800


class Clock:
    speed = 1.0

    def __init__(self, now_s=OPENING_S + 3600):
        self.now = now_s

    def now_s(self):
        return self.now


def device(name, place, kind=EVALUATOR, status=ACTIVE):
    return Device(name, kind, place, status, b"", b"", None)


def heartbeat(name, received_s, pending=0):
    return Heartbeat(name, received_s, "00", 1, 1, "ab", 1, [0] * 5, pending, 1, 1, 1, 1, "1", 1)


class Hall:
    def __init__(self, *devices, clock=None):
        self.devices = {one.name: one for one in devices or (device("e-001", "01"), device("c-001", "D1", CLOCK))}
        self.beats = {}
        self.clock = clock or Clock()
        self.view = LiveView("yongxing", lambda: self.devices, lambda: self.beats, self.clock, 900)

    def take(self, *records):
        self.view.take(records)
        return self.view.snapshot()


def ratings(*levels, **more):
    return [rating(number, level, at_s=OPENING_S, **more) for number, level in enumerate(levels, 1)]


def test_the_day_is_counted_by_level_and_rate():
    seen = Hall().take(*ratings(5, 5, 4, 3, 2, 1, None, 5, 4, 5, 1))
    assert (seen["levels"], seen["timed_out"], seen["waiting"]) == ([2, 1, 1, 2, 4], 1, 0)
    assert seen["good_rate"] == 7 / 10
    assert (seen["rating_rate"], seen["visits_rated"]) == (10 / 11, 10)
    window = seen["windows"][0]
    assert (window["levels"], window["timed_out"], window["visits"]) == ([2, 1, 1, 2, 4], 1, 11)


def without_counts(seen):
    """What is left of a snapshot when how many came, and when, is taken away."""
    window = {**seen["windows"][0], "waiting": 0, "visits": 0, "seen_s": None, "state": ""}
    return {**seen, "waiting": 0, "states": {}, "windows": [window, *seen["windows"][1:]]}


def test_no_level_is_shown_before_five_can_be_shown_together():
    hall = Hall()
    silent = without_counts(hall.view.snapshot())
    for number, level in enumerate((1, 5, 3, 2), 1):
        seen = hall.take(rating(number, level, at_s=OPENING_S))
        assert (seen["waiting"], seen["windows"][0]["waiting"]) == (number, number)
        assert without_counts(seen) == silent
    assert hall.take(rating(5, 1, at_s=OPENING_S))["levels"] == [2, 1, 1, 0, 1]


def test_a_visitor_who_did_not_press_hides_nobody():
    hall = Hall()
    silent = without_counts(hall.view.snapshot())
    levels = (None, None, 1, None, None, None, 2, None)
    seen = hall.take(*ratings(*levels))
    assert without_counts(seen) == silent
    assert (seen["windows"][0]["waiting"], seen["windows"][0]["visits"]) == (2, len(levels))


def test_the_hall_tells_nothing_that_its_windows_do_not():
    """Groups of the hall beside those of the windows would tell single levels by subtraction."""
    chance = random.Random("subtraction")
    hall = Hall(*(device(f"e-{number:03}", f"{number:02}") for number in range(1, 4)))
    for number in range(200):
        one = rating(number, chance.choice((1, 2, 3, 4, 5, None)), at_s=OPENING_S)
        seen = hall.take(one._replace(device=f"e-{chance.randrange(1, 4):03}"))
        windows = seen["windows"]
        assert seen["levels"] == [sum(counts) for counts in zip(*(one["levels"] for one in windows), strict=True)]
        assert seen["timed_out"] == sum(one["timed_out"] for one in windows)
        assert all(sum(one["levels"]) % GROUP == 0 for one in windows)


def test_of_five_ratings_nobody_sees_which_came_first():
    for order in ((1, 5, None, 4, 4, 2), (4, None, 2, 4, 5, 1)):
        seen = Hall().take(*ratings(*order))
        assert seen["windows"][0]["last_levels"] == [5, 4, 4, 2, 1]
        assert [one["levels"] for one in seen["feed"]] == [[5, 4, 4, 2, 1]]


def test_the_groups_of_a_day_are_the_same_after_a_new_start():
    records = ratings(1, 2, 3, 4, 5, 5, 5, None, 1, 2, 3, 4)
    first, again = Hall(), Hall()
    for one in records:
        first.take(one)
    assert first.view.snapshot() == again.take(*records)


def test_a_hall_without_ratings_has_no_rates():
    seen = Hall().view.snapshot()
    assert (seen["good_rate"], seen["rating_rate"]) == (None, None)
    assert (seen["feed"], seen["sign_ins"]) == ([], [])


def test_walk_up_presses_count_as_ratings_but_belong_to_no_visit():
    seen = Hall().take(rating(0, None, at_s=OPENING_S), *ratings(5, 4, 3, 5, 5, mode="walk_up"))
    assert (seen["good_rate"], seen["rating_rate"]) == (1.0, 0.0)


def test_the_new_day_begins_at_local_midnight_with_nothing():
    hall = Hall(clock=Clock(OPENING_S + 15 * 3600 + 3599))
    hall.take(*ratings(1, 2, 3, 4, 5, 5), punch(7, at_s=OPENING_S))
    hall.clock.now += 1
    seen = hall.view.snapshot()
    assert (seen["levels"], seen["sign_ins"], seen["doors"][0]["punches"]) == ([0] * 5, [], 0)
    assert (seen["windows"][0]["last_levels"], seen["windows"][0]["waiting"], seen["waiting"]) == ([], 0, 0)


def test_what_arrives_late_from_yesterday_is_not_counted_today():
    seen = Hall().take(*(rating(number, 1, at_s=OPENING_S - DAY_S) for number in range(5)))
    assert (seen["levels"], seen["waiting"], seen["feed"]) == ([0] * 5, 0, [])
    assert seen["windows"][0]["seen_s"]


def test_devices_are_online_by_their_heartbeat():
    hall = Hall(
        device("e-001", "01"), device("e-002", "02"), device("e-003", "03"), device("e-004", "04", status=PENDING)
    )
    now = hall.clock.now
    hall.beats = {"e-001": heartbeat("e-001", now - 900, 3), "e-002": heartbeat("e-002", now - 901)}
    seen = hall.view.snapshot()
    assert [one["state"] for one in seen["windows"]] == ["online", "offline", "waiting", "waiting"]
    assert seen["states"] == {"online": 1, "offline": 1, "fault": 0, "waiting": 2}
    assert seen["windows"][0]["pending"] == 3


def test_a_revoked_device_is_not_shown():
    assert Hall(device("e-001", "01", status=REVOKED)).view.snapshot()["windows"] == []


def test_a_fault_stays_until_the_device_says_that_it_is_well():
    hall = Hall()
    hall.beats = {"e-001": heartbeat("e-001", hall.clock.now)}

    def state():
        return hall.view.snapshot()["windows"][0]["state"]

    for fault, mended in (
        (event.TAMPER, {"code": event.SELF_CHECK}),
        (event.JOURNAL_FULL, {"code": event.BOOT}),
        (event.FAULT, {"code": event.OPENING_CHECK, "value": 0}),
    ):
        hall.take(device_event(1, fault, at_s=OPENING_S))
        assert state() == "fault"
        hall.take(device_event(2, event.SELF_CHECK, value=4, at_s=OPENING_S))
        hall.take(device_event(2, event.OPENING_CHECK, value=4, at_s=OPENING_S))
        assert state() == "fault"
        hall.take(device_event(3, at_s=OPENING_S, **mended))
        assert state() == "online"


def test_a_silent_device_is_offline_whatever_fault_it_had():
    hall = Hall()
    hall.take(device_event(1, event.FAULT, at_s=OPENING_S))
    hall.clock.now = OPENING_S + 901
    assert hall.view.snapshot()["windows"][0]["state"] == "offline"


def test_windows_stand_in_the_order_of_people():
    names = ["10", "2", "1", "A2", "A10", "01"]
    hall = Hall(*(device(f"e-{number:03}", place) for number, place in enumerate(names)))
    assert [one["place"] for one in hall.view.snapshot()["windows"]] == ["1", "01", "2", "10", "A2", "A10"]


def test_a_punch_is_late_after_the_limit_and_not_at_it():
    seen = Hall().take(
        punch(1, "S001", HALF_PAST_EIGHT_S - 1),
        punch(2, "S002", HALF_PAST_EIGHT_S),
        punch(3, "S003", HALF_PAST_EIGHT_S + 1),
    )
    assert [(one["staff"], one["late"]) for one in seen["sign_ins"]] == [
        ("S003", True),
        ("S002", False),
        ("S001", False),
    ]
    assert (seen["signed_in"], seen["late"]) == (3, 1)
    assert [one["late"] for one in seen["feed"]] == [True, False, False]


def test_the_first_punch_of_the_morning_counts_whatever_order_they_come_in():
    hall = Hall()
    hall.take(punch(1, "S001", HALF_PAST_EIGHT_S + 600))
    assert hall.view.snapshot()["late"] == 1
    seen = hall.take(punch(2, "S001", HALF_PAST_EIGHT_S - 600), punch(3, "S001", HALF_PAST_EIGHT_S + 1200))
    assert [(one["time_s"], one["late"]) for one in seen["sign_ins"]] == [(HALF_PAST_EIGHT_S - 600, False)]
    assert seen["doors"][0]["punches"] == 3


def test_the_afternoon_and_the_way_out_are_no_sign_in():
    hall = Hall(clock=Clock(OPENING_S + 7 * 3600))
    seen = hall.take(punch(1, "S001", OPENING_S + 6 * 3600), punch(2, "S002", OPENING_S, direction="out"))
    assert seen["sign_ins"] == []
    assert [one["late"] for one in seen["feed"]] == [False, False]


def test_a_punch_without_time_is_neither_late_nor_in_time():
    seen = Hall().take(punch(1, "S001", HALF_PAST_EIGHT_S + 600, time_known=False))
    assert seen["sign_ins"] == [{"staff": "S001", "door": "D1", "time_s": None, "late": None}]
    assert (seen["late"], seen["feed"][0]["late"], seen["feed"][0]["time_known"]) == (0, False, False)


def test_a_halls_own_hours_are_configuration():
    rule = DayRule(utc_offset_s=6 * 3600, sign_in_limit_s=9 * 3600)
    assert not rule.is_late(OPENING_S + 3 * 3600)  # 09:00 there
    assert rule.is_late(OPENING_S + 3 * 3600 + 1)


def test_everything_is_bounded():
    hall = Hall()
    for start in range(0, 3000, 500):
        hall.take(*(rating(start + number, 5, at_s=OPENING_S) for number in range(500)))
        hall.take(*(ledger_record(start + number, f"gone-{start + number}", at_s=OPENING_S) for number in range(500)))
    seen = hall.view.snapshot()
    assert len(seen["feed"]) == FEED_EVENTS
    assert len(seen["windows"][0]["last_levels"]) == LAST_LEVELS
    assert len(hall.view._views) <= 1000
    morning = Morning(DayRule())
    for number in range(STAFF_MAX + 10):
        morning.add(f"S{number}", "D1", OPENING_S, "auto")
    assert len(morning.sign_ins()) == STAFF_MAX


def test_a_rebuild_reads_the_end_of_the_ledger_only():
    assert rebuild_from(0) == 0
    assert rebuild_from(REBUILD_RECORDS + 5) == 5


def test_of_a_rating_nothing_is_shown_that_leads_to_the_reviewer():
    at_s = OPENING_S + 1234
    records = [
        rating(7 + number, 1, at_s=at_s)._replace(masked={"name": "欧**"}, sealed=b"sealed-part")
        for number in range(GROUP)
    ]
    text = json.dumps(Hall().take(*records)["feed"], ensure_ascii=False)
    assert "欧" not in text
    assert "sealed" not in text
    assert str(at_s) not in text
    assert str(at_s - at_s % 900) in text
