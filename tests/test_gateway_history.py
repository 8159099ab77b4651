"""What rules know of earlier records: boots, ratings of a window, punches of a person; bounded, and over a restart."""

import random
from collections import deque
from dataclasses import replace

import pytest
from gateway_hall import GatewayHall
from hypothesis import given, settings
from hypothesis import strategies as st
from sealing_device import BOOTED_S, MORNING_S, SUITE
from sqlalchemy import event as listening

from gateway import boot_times, punch_times, schema, window_ratings
from gateway.act import Act
from gateway.boot_times import DRIFT_PPM_MAX, BootTimes
from gateway.clock_rules import STEP_TOLERANCE_S
from gateway.opening import Arrival
from gateway.rule_settings import USUAL
from protocol import event, punch, rating, record

FEW = replace(USUAL, burst_minute=3, burst_quarter=6, level_run=4)
DAY_S = 24 * 3600
EXPLAIN = "EXPLAIN QUERY PLAN "


@pytest.fixture
def hall(tmp_path):
    made = GatewayHall(tmp_path, [("e-001", "evaluator"), ("c-001", "clock"), ("c-002", "clock")], rules=FEW)
    made.devices["c-002"].place = "02"
    made.write_registry()
    made.registry._file._checked_s = None
    made.registry.refresh(0)
    yield made
    made.stop()


@pytest.fixture
def evaluator(hall):
    hall.take(hall.devices["e-001"].opened(MORNING_S - DAY_S))
    return hall.devices["e-001"]


@pytest.fixture
def clock(hall):
    clock = hall.devices["c-001"]
    hall.take((clock, clock.opened(MORNING_S - DAY_S)))
    return clock


def restarted(hall):
    """The gateway after a restart, on the same disk."""
    hall.stop()
    again = GatewayHall(hall.folder, keys=hall.keys, rules=FEW)
    again.devices = hall.devices
    return again


def roll_back(hall):
    """A commit that fails: the whole history is forgotten, and is read again."""

    def fail(connection):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        hall.ledger.write(fail).result()


def lost(hall, *messages):
    """Messages whose transaction is rolled back at its end: memory has seen them, the disk has not."""
    arrivals = [Arrival(device.topic, message, False, hall.clock.now_ms()) for device, message in messages]
    batch = hall.intake.prepare(arrivals)

    def fail(connection):
        hall.admission.admit(connection, batch)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        hall.ledger.write(fail).result()


def flags_of(hall, *messages):
    """The flags of each message, taken one after the other."""
    found = []
    for one in messages:
        hall.take(one)
        found.append(list(hall.records()[-1].flags))
    return found


# --- Boots.


def punched(clock, at_s, staff="S001", **more):
    return clock, clock.punch(staff, at_s, **more)


def test_a_punch_of_a_stepped_clock_contradicts_the_uptime_of_its_boot(hall, clock):
    honest = punched(clock, MORNING_S - 3600)
    back_dated = punched(clock, MORNING_S - 1800, "S001", uptime_ms=1000 * (MORNING_S - BOOTED_S))
    honest_again = punched(clock, MORNING_S)
    assert flags_of(hall, honest, back_dated, honest_again) == [[], ["clock_stepped"], []]


@pytest.mark.parametrize(("step_s", "flags"), [(STEP_TOLERANCE_S, []), (STEP_TOLERANCE_S + 3, ["clock_stepped"])])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_step_within_the_tolerance_is_none(hall, clock, step_s, sign, flags):
    uptime_ms = 1000 * (MORNING_S - BOOTED_S)
    first = punched(clock, MORNING_S - 3600)
    assert flags_of(hall, first, punched(clock, MORNING_S + sign * step_s, uptime_ms=uptime_ms)) == [[], flags]


def test_every_record_of_a_stepped_clock_is_marked_not_only_the_first(hall, clock):
    steps = [
        punched(clock, MORNING_S - 1800 - 120 * back, f"S{back}", uptime_ms=1000 * (MORNING_S - BOOTED_S))
        for back in range(3)
    ]
    found = flags_of(hall, punched(clock, MORNING_S - 3600), *steps)
    assert ["clock_stepped" in flags for flags in found] == [False, True, True, True]


def test_a_step_that_the_device_tells_is_marked_once_and_believed(hall, clock):
    uptime_ms = 1000 * (MORNING_S - BOOTED_S)
    told = clock.seal(
        *clock.make(record.EVENT, {event.CODE: event.CLOCK_STEPPED}, MORNING_S + 3600, uptime_ms=uptime_ms)
    )
    after = punched(clock, MORNING_S + 3660, uptime_ms=uptime_ms + 60_000)
    hall.real.now_s = MORNING_S + 7200
    found = flags_of(hall, punched(clock, MORNING_S - 3600), (clock, told), after)
    assert found == [[], ["clock_stepped"], []]


def test_a_new_boot_has_a_time_of_its_own(hall, clock):
    first = punched(clock, MORNING_S - 3600)
    hall.take(first)
    clock.boot, clock.booted_s = SUITE.random_bytes(8), MORNING_S - 900
    assert flags_of(hall, punched(clock, MORNING_S)) == [[]]


def test_a_record_of_the_boot_before_is_held_against_that_one(hall, evaluator):
    """A rating that was on flash at the power cut is sealed after it, and states the boot and the time of its press."""
    old = evaluator.boot
    hall.take(evaluator.event(at_s=MORNING_S - 3600))
    evaluator.boot, evaluator.booted_s = SUITE.random_bytes(8), MORNING_S - 900
    hall.take(evaluator.event(at_s=MORNING_S))
    evaluator.boot, evaluator.booted_s = old, BOOTED_S
    assert flags_of(hall, evaluator.rating(5, MORNING_S - 1800)) == [[]]
    stepped = evaluator.rating(5, MORNING_S - 1800, uptime_ms=1000 * 900 * 5)
    assert flags_of(hall, stepped) == [["clock_stepped"]]


def test_a_device_without_time_cannot_contradict_itself(hall, clock):
    silent = clock.seal(*clock.make(record.EVENT, {event.CODE: event.BOOT}, source=0))
    assert flags_of(hall, punched(clock, MORNING_S - 60), (clock, silent)) == [[], ["no_clock"]]


@pytest.mark.parametrize("again", [restarted, lambda hall: roll_back(hall) or hall])
def test_a_step_is_found_after_a_restart_and_after_a_rollback(hall, clock, again):
    hall.take(punched(clock, MORNING_S - 3600))
    hall = again(hall)
    back_dated = punched(clock, MORNING_S - 1800, uptime_ms=1000 * (MORNING_S - BOOTED_S))
    assert flags_of(hall, back_dated, punched(clock, MORNING_S, "S002")) == [["clock_stepped"], ["staff_unknown"]]
    hall.ledger.close()


def test_a_step_that_was_rolled_back_was_none(hall, clock):
    hall.take(punched(clock, MORNING_S - 3600))
    seq, prev = clock.seq, clock.prev
    told = clock.seal(*clock.make(record.EVENT, {event.CODE: event.CLOCK_STEPPED}, MORNING_S + 3600, uptime_ms=9))
    lost(hall, (clock, told))
    clock.seq, clock.prev = seq, prev
    assert flags_of(hall, punched(clock, MORNING_S)) == [[]]


def acts(moments, kind=record.PUNCH, drift_ppm=0):
    """Acts of one boot at BOOTED_S, `moments` seconds after it, by a device whose uptime runs off by drift_ppm."""
    for at_s in moments:
        wall_s = BOOTED_S + at_s
        uptime_ms = record.uptime_shown(kind, 1000 * at_s + at_s * drift_ppm // 1000)
        exact_s = 0 if kind == record.EVENT else wall_s
        yield Act("x-1", "aa", 1, kind, "01", "bb", uptime_ms, record.coarse(wall_s), exact_s)


class NoLedger:
    """A connection to a ledger that holds nothing."""

    def execute(self, query):
        return deque()


@given(
    st.lists(st.tuples(st.integers(0, 90 * DAY_S), st.sampled_from([1, 2, 3])), min_size=1, max_size=60),
    st.integers(-DRIFT_PPM_MAX, DRIFT_PPM_MAX),
)
@settings(deadline=None)
def test_an_honest_device_never_contradicts_itself(moments, drift_ppm):
    """Whatever it records in three months, in whatever order it arrives, however well its crystal runs."""
    times = BootTimes()
    for at_s, kind in sorted(moments):
        (act,) = acts([at_s], kind, drift_ppm)
        assert times.take(NoLedger(), act) <= 1


def test_a_step_of_an_hour_is_found_whatever_kinds_of_records_tell_it():
    for kind in (record.RATING, record.PUNCH, record.EVENT):
        times = BootTimes()
        honest = list(acts(range(0, 20_000, 600), kind))
        assert {times.take(NoLedger(), act) for act in honest} == {0}
        (act,) = acts([20_400], kind)
        late = act._replace(coarse_s=act.coarse_s + 3600, exact_s=act.exact_s and act.exact_s + 3600)
        assert times.take(NoLedger(), late) > STEP_TOLERANCE_S


def test_boots_in_memory_are_bounded(monkeypatch):
    monkeypatch.setattr(boot_times, "DEVICES_MAX", 3)
    times = BootTimes()
    for number in range(20):
        for boot in range(20):
            (act,) = acts([60])
            times.take(NoLedger(), act._replace(device=f"x-{number}", boot=str(boot)))
    assert [len(boots) for boots in times._devices.values()] == [boot_times.BOOTS_KEPT] * 3


# --- Ratings of a window.


def test_more_ratings_in_a_minute_than_visitors_can_give_are_marked(hall, evaluator):
    found = flags_of(hall, *(evaluator.rating(1 + at % 4, MORNING_S + 10 * at, comment="慢") for at in range(5)))
    assert found == [[], [], [], ["burst"], ["burst"]]
    assert flags_of(hall, evaluator.rating(5, MORNING_S + 101)) == [[]]


def test_a_minute_is_that_of_the_presses_not_that_of_the_arrival(hall, evaluator):
    """A night without network ends, and everything comes at once."""
    messages = [evaluator.rating(1 + at % 3, MORNING_S - 400 * at, comment="慢") for at in reversed(range(20))]
    hall.take(*messages)
    assert {tuple(one.flags) for one in hall.records()} == {()}


def test_more_ratings_in_a_quarter_than_a_window_serves_are_marked_even_over_a_restart(hall, evaluator):
    start_s = record.coarse(MORNING_S) - 1800
    found = flags_of(hall, *(evaluator.rating(1 + at % 3, start_s + 61 * at, comment="慢") for at in range(5)))
    assert found == [[]] * 5
    hall = restarted(hall)
    found = flags_of(hall, *(evaluator.rating(1 + at % 3, start_s + 61 * at, comment="慢") for at in (5, 6)))
    assert found == [[], ["burst"]]
    assert flags_of(hall, evaluator.rating(4, start_s + 900)) == [[]]
    hall.ledger.close()


def test_without_a_time_the_uptime_tells_the_quarter(hall, evaluator):
    claims = evaluator.rating_claims
    messages = [evaluator.seal(*evaluator.make(record.RATING, claims(1 + at % 3), source=0)) for at in range(7)]
    found = flags_of(hall, *messages)
    assert ["burst" in flags for flags in found] == [False] * 6 + [True]


def test_a_window_is_one_whatever_devices_stand_there(tmp_path):
    hall = GatewayHall(tmp_path, [("e-001", "evaluator"), ("e-002", "evaluator")], rules=FEW)
    one, other = hall.devices.values()
    hall.take((one, one.opened()), (other, other.opened()))
    pressed = [(device, device.rating(3 + at, MORNING_S + at)) for at in range(2) for device in (one, other)]
    assert flags_of(hall, *pressed) == [[], [], [], ["burst"]]
    hall.stop()


def spread(evaluator, levels, first=0):
    """Ratings far from each other."""
    return [
        evaluator.rating(level, MORNING_S - 900 * (60 - at), comment="慢" if level else None)
        for at, level in enumerate(levels, first)
    ]


@pytest.mark.parametrize("level", [1, 2, 3, 4, 5])
def test_a_long_run_of_any_level_is_marked(hall, evaluator, level):
    other = level % 5 + 1
    found = flags_of(hall, *spread(evaluator, [other, *[level] * 5, other, level]))
    assert found == [[]] * 4 + [["level_run"]] * 2 + [[]] * 2


def test_visitors_who_do_not_press_do_not_break_a_run(hall, evaluator):
    found = flags_of(hall, *spread(evaluator, [5, None, 5, None, 5, 5]))
    assert found == [[]] * 5 + [["level_run"]]


@pytest.mark.parametrize("again", [restarted, lambda hall: roll_back(hall) or hall])
def test_a_run_goes_on_after_a_restart_and_after_a_rollback(hall, evaluator, again):
    hall.take(*spread(evaluator, [1, 5, None, 5, 5]))
    hall = again(hall)
    assert flags_of(hall, *spread(evaluator, [5, 4], 5)) == [["level_run"], []]
    hall.ledger.close()


def test_ratings_whose_transaction_was_rolled_back_count_once(hall, evaluator):
    pressed = [(evaluator, message) for message in spread(evaluator, [5, 5, 5])]
    lost(hall, *pressed)
    lost(hall, *pressed)
    assert flags_of(hall, *pressed, *spread(evaluator, [5], 3)) == [[], [], [], ["level_run"]]


def test_a_rating_that_is_offered_again_does_not_count_twice(hall, evaluator):
    messages = spread(evaluator, [5, 5, 5])
    hall.take(*messages, *messages)
    hall.take(*messages)
    assert flags_of(hall, *spread(evaluator, [5], 3)) == [["level_run"]]
    assert [list(one.flags) for one in hall.records()][:4] == [[]] * 4


def test_a_run_tells_nobody_the_level_of_the_rating_just_given(hall, evaluator):
    hall.take(*spread(evaluator, [5, 5, 5, 5]))
    assert hall.records()[-1].flags == ["level_run"]
    assert "level_run" not in hall.metrics.text()


def test_windows_in_memory_are_bounded(hall, evaluator, monkeypatch):
    monkeypatch.setattr(window_ratings, "WINDOWS_MAX", 3)
    for number in range(9):
        hall.take(evaluator.rating(5, MORNING_S - 900 * number, claims={rating.WINDOW: f"{number}"}))
    for at in range(9):
        hall.take(evaluator.rating(5, MORNING_S - 900 * at))
    windows = hall.admission.history._windows._windows
    assert len(windows) == 3
    assert len(windows["01"].quarters) == window_ratings.QUARTERS_KEPT
    assert windows["01"].seconds.maxlen == FEW.burst_minute + 1


# --- Punches of a person.


def test_the_same_person_at_the_same_door_within_a_minute_is_marked(hall, clock):
    first, again, later = (punched(clock, MORNING_S + at) for at in (0, 59, 119))
    hall.real.now_s += 200
    assert flags_of(hall, first, again, later) == [[], ["punch_again"], []]


def test_the_same_person_at_two_doors_in_a_minute_is_marked_whichever_door_comes_first(hall, clock):
    other = hall.devices["c-002"]
    hall.take((other, other.opened()))
    messages = [punched(clock, MORNING_S - 600), punched(other, MORNING_S - 541)]
    assert flags_of(hall, *messages) == [[], ["two_doors"]]
    # The other clock was without network; its punch is older than what the first door told meanwhile.
    messages = [punched(clock, MORNING_S - 300), punched(clock, MORNING_S - 30), punched(other, MORNING_S - 310)]
    assert flags_of(hall, *messages) == [[], [], ["two_doors"]]
    messages = [punched(clock, MORNING_S + 60), punched(other, MORNING_S + 120)]
    assert flags_of(hall, *messages) == [[], []]


def test_two_people_are_not_one(hall, clock):
    (hall.folder / "roster.json").unlink()
    hall.roster._file = None
    assert flags_of(hall, punched(clock, MORNING_S, "S001"), punched(clock, MORNING_S, "S002")) == [[], []]


def test_without_a_time_the_uptime_of_the_boot_tells(hall, clock):
    def silent(uptime_s):
        claims = {punch.DOOR: "01", punch.STAFF: "S001", 3: 0, 4: 99, punch.METHOD: 1}
        return clock, clock.seal(*clock.make(record.PUNCH, claims, source=0, uptime_ms=1000 * uptime_s))

    found = flags_of(hall, silent(5000), silent(5059), silent(5119))
    assert found == [["no_clock"], ["no_clock", "punch_again"], ["no_clock"]]
    clock.boot = SUITE.random_bytes(8)
    assert flags_of(hall, silent(5120)) == [["no_clock"]], "another boot counts from another moment"


@pytest.mark.parametrize("again", [restarted, lambda hall: roll_back(hall) or hall])
def test_a_punch_is_held_against_those_before_a_restart_and_a_rollback(hall, clock, again):
    other = hall.devices["c-002"]
    hall.take((other, other.opened()), punched(clock, MORNING_S), punched(clock, MORNING_S - 600, "S002"))
    hall = again(hall)
    assert flags_of(hall, punched(other, MORNING_S + 30)) == [["two_doors"]]
    hall.ledger.close()


def test_a_punch_whose_transaction_was_rolled_back_is_not_its_own_repetition(hall, clock):
    message = punched(clock, MORNING_S)
    lost(hall, message)
    assert flags_of(hall, message) == [[]]


def test_punches_in_memory_are_bounded(hall, clock, monkeypatch):
    monkeypatch.setattr(punch_times, "STAFF_MAX", 3)
    for number in range(30):
        hall.take(punched(clock, MORNING_S - 100 * number, f"S{number % 9}"))
    for number in range(20):
        hall.take(punched(clock, MORNING_S - 100 * number, "S001"))
    staff = hall.admission.history._punches._staff
    assert [len(one) for one in staff.values()][-1] == punch_times.PUNCHES_KEPT
    assert len(staff) == 3


# --- Cost.


def test_what_is_read_of_the_ledger_is_found_by_an_index(hall, evaluator, clock):
    """Or a restart of a hall with years of records would read them all."""
    seen = []
    listening.listen(hall.ledger._writing, "before_cursor_execute", lambda *given: seen.append(given[2:4]))

    def look(connection):
        history = hall.admission.history
        history.forget()
        for act in (*acts([60], record.RATING), *acts([60], record.PUNCH)):
            history.take(connection, act._replace(level=5, staff="S001"))

    hall.ledger.write(look).result()
    asked = [one for one in seen if one[0].startswith("SELECT record.")]
    plans = [
        row[3]
        for statement, values in asked
        for row in hall.ledger.read(
            lambda one, to=(statement, values): one.exec_driver_sql(EXPLAIN + to[0], to[1]).all()
        )
    ]
    assert len(asked) >= 4
    on_records = [plan for plan in plans if "record" in plan]
    assert {plan.split(" (")[0] for plan in on_records} == {
        "SEARCH record USING INDEX record_rating",
        "SEARCH record USING INDEX record_count",
        "SEARCH record USING INDEX sqlite_autoindex_record_1",
    }
    assert not any("TEMP B-TREE" in plan for plan in plans)


def test_a_record_costs_no_query_once_its_window_and_device_are_known(hall, evaluator, clock):
    hall.take(evaluator.rating(5), punched(clock, MORNING_S))
    queries = []

    class Silent:
        def execute(self, query, *_):
            queries.append(query)
            return []

    history, chance = hall.admission.history, random.Random(1)
    for _ in range(500):
        for row in hall.rows(schema.record):
            act = Act(
                *(row[name] for name in ("device", "stream", "seq", "kind", "window")),
                chance.choice([row["boot"], "new"]), row["uptime_ms"], row["coarse_s"],
                level=5 if row["kind"] == record.RATING else 0, staff="S001",
            )  # fmt: skip
            history.take(Silent(), act)
    assert queries == []
