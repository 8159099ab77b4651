"""Time estimates: from boot and uptime, once for each record, of a rating never finer than its quarter of an hour."""

import pytest
from gateway_hall import GatewayHall
from hypothesis import example, given
from hypothesis import strategies as st
from sealing_device import MORNING_S, SUITE
from sqlalchemy.event import listen
from web_hall import SUPERVISOR_TOKEN, WebHall

from gateway import boot_clocks, estimates, schema
from gateway.time_estimate import BootClock, Word, estimate
from protocol import annotation, event, punch, record
from protocol.annotation import EARLIEST, ESTIMATE, LATEST, TIME_ESTIMATE
from protocol.record import EVENT, HEARTBEAT, PUNCH, RATING

DEVICES = [("e-001", "evaluator"), ("c-001", "clock")]
# What the devices of these tests were switched on at.
BOOT_S = MORNING_S - 1000
QUARTER_S = MORNING_S - MORNING_S % 900


@pytest.fixture
def hall(tmp_path):
    made = GatewayHall(tmp_path, DEVICES)
    yield made
    made.stop()


@pytest.fixture
def clock(hall):
    """A clock whose stream is open; the opening event is made without time, 2 s after its boot."""
    device = hall.devices["c-001"]
    hall.take((device, dark(device, EVENT, {event.CODE: event.STREAM_OPENED}, 2)))
    return device


def dark(device, kind, claims, uptime_s):
    """A record of a device that does not know the time."""
    return device.seal(*device.make(kind, claims, source=0, uptime_ms=1000 * uptime_s))


def touch(device, uptime_s, staff="S001"):
    """A punch of a clock that does not know the time."""
    claims = {punch.DOOR: device.place, punch.STAFF: staff, punch.DIRECTION: punch.AUTO, punch.SCORE: 120}
    return dark(device, PUNCH, {**claims, punch.METHOD: punch.FINGERPRINT}, uptime_s)


def press(device, uptime_s, level=1):
    """A rating of a device that does not know the time."""
    return dark(device, RATING, device.rating_claims(level), uptime_s)


def opened(device, uptime_s=5):
    """The opening event of a device that does know the time."""
    made = device.make(EVENT, {event.CODE: event.STREAM_OPENED}, BOOT_S + uptime_s, uptime_ms=1000 * uptime_s)
    return device.seal(*made)


def beat(device, uptime_s, source=1):
    """A heartbeat of that moment."""
    return device.heartbeat(BOOT_S + uptime_s, uptime_ms=1000 * uptime_s, source=source)


def at(hall, uptime_s):
    """Turn the gateway's clock to that moment."""
    hall.real.now_s = BOOT_S + uptime_s


def told(hall):
    """{(device, seq): claims} of every estimate, from the signed statements."""
    made = {}
    while hall.notebook.clocks.owing:
        hall.notebook.estimates.step()
    public = SUITE.load_public(hall.signer.public_key)
    for row in hall.rows(schema.annotation):
        one, _ = annotation.open(SUITE, public, row["statement"])
        assert one.kind == TIME_ESTIMATE
        assert (one.device, one.seq) not in made, "made twice"
        made[one.device, one.seq] = one.claims
    return made


def times(claims):
    return claims[EARLIEST], claims[ESTIMATE], claims[LATEST]


# --- The estimate.


def test_a_punch_without_time_gets_the_second_from_a_heartbeat_of_its_boot(hall, clock):
    at(hall, 600)
    hall.take((clock, touch(clock, 70)), (clock, touch(clock, 300)))
    assert told(hall) == {}, "nobody has told the time of this boot yet"
    hall.take((clock, beat(clock, 600)))
    made = told(hall)
    assert [made["c-001", seq][ESTIMATE] for seq in (1, 2, 3)] == [BOOT_S + 2, BOOT_S + 70, BOOT_S + 300]
    earliest_s, _, latest_s = times(made["c-001", 2])
    quarter_s = record.coarse(BOOT_S + 600)  # what the heartbeat has signed, 530 s after the punch
    assert (earliest_s, latest_s) == (quarter_s - 530, BOOT_S + 70)


def test_a_punch_that_knows_the_second_tells_the_second_of_those_before_it(hall, clock):
    at(hall, 500)
    hall.take((clock, touch(clock, 70)))
    hall.take((clock, clock.punch("S002", BOOT_S + 400, uptime_ms=400_000)))
    assert times(told(hall)["c-001", 2]) == (BOOT_S + 70, BOOT_S + 70, BOOT_S + 71)


def test_a_heartbeat_that_could_not_know_the_time_makes_the_estimate_exact(hall, clock):
    """The gateway's own clock heard it; what the device says later needs to be right to the quarter of an hour only."""
    at(hall, 100)
    hall.take((clock, touch(clock, 70)), (clock, beat(clock, 100, source=0)))
    assert told(hall) == {}
    at(hall, 103)
    late = clock.make(EVENT, {event.CODE: event.SELF_CHECK}, BOOT_S + 101, uptime_ms=101_000)
    hall.take((clock, clock.seal(*late)))
    assert told(hall)["c-001", 2][ESTIMATE] == BOOT_S + 70


def test_the_original_stays_as_the_device_signed_it(hall, clock):
    hall.take((clock, touch(clock, 70)))
    before = hall.rows(schema.record)
    hall.take((clock, beat(clock, 600)))
    told(hall)
    assert hall.rows(schema.record) == before
    assert {(row["coarse_s"], row["source"]) for row in before} == {(0, 0)}


def test_what_arrives_later_gets_its_estimate_too(hall, clock):
    at(hall, 600)
    hall.take((clock, beat(clock, 600)))
    first = told(hall)
    hall.take((clock, touch(clock, 70)), (clock, touch(clock, 80)))
    second = told(hall)
    assert (sorted(first), sorted(second)) == ([("c-001", 1)], [("c-001", seq) for seq in (1, 2, 3)])
    assert second["c-001", 3][ESTIMATE] == BOOT_S + 80


def test_another_boot_or_another_device_tells_nothing(hall, clock):
    at(hall, 600)
    evaluator = hall.devices["e-001"]
    hall.take((clock, touch(clock, 70)))
    boot = clock.boot
    clock.boot, evaluator.boot = SUITE.random_bytes(8), boot
    hall.take((clock, beat(clock, 600)), (evaluator, beat(evaluator, 600)))
    assert told(hall) == {}
    clock.boot = boot
    hall.take((clock, beat(clock, 600)))
    assert sorted(told(hall)) == [("c-001", 1), ("c-001", 2)]


def test_what_knows_its_time_is_not_estimated(hall, clock):
    at(hall, 600)
    hall.take((clock, clock.punch("S001", BOOT_S + 500, uptime_ms=500_000)), (clock, beat(clock, 600)))
    assert sorted(told(hall)) == [("c-001", 1)]


def test_an_estimate_is_never_after_the_arrival(hall, clock):
    at(hall, 100)
    hall.take((clock, touch(clock, 70)))
    at(hall, 4000)
    hall.take((clock, clock.punch("S002", BOOT_S + 3000, uptime_ms=400_000)))  # the device's clock is 2600 s ahead
    assert times(told(hall)["c-001", 2]) == (BOOT_S + 100,) * 3


def test_a_heartbeat_that_was_held_up_is_held_to_what_the_device_signed(hall, clock):
    at(hall, 9000)
    hall.take((clock, touch(clock, 70)), (clock, beat(clock, 600)))
    signed_s = record.coarse(BOOT_S + 600) - 530
    assert times(told(hall)["c-001", 2]) == (signed_s, signed_s + 900, signed_s + 900)
    assert signed_s <= BOOT_S + 70 <= signed_s + 900


@given(
    boot_ms=st.integers(1_700_000_000_000, 1_800_000_000_000),
    anchor_ms=st.integers(0, 10**9),
    record_ms=st.integers(0, 10**9),
    kinds=st.tuples(st.sampled_from([RATING, PUNCH, EVENT, HEARTBEAT]), st.sampled_from([RATING, PUNCH, EVENT])),
    delay_ms=st.none() | st.integers(0, 10**8),
)
# The boot before a quarter of an hour, the rating that tells the time behind its beginning; and at the other end.
@example(1000 * QUARTER_S - 100_000, 150_000, 10_000, (RATING, PUNCH), None)
@example(1000 * QUARTER_S + 800_000, 950_000, 899_999, (EVENT, RATING), None)
@example(1000 * QUARTER_S + 899_999, 0, 899_999, (PUNCH, RATING), 0)
def test_the_truth_is_never_outside_the_bounds(boot_ms, anchor_ms, record_ms, kinds, delay_ms):
    anchor_kind, kind = kinds
    told_ms, made_ms = boot_ms + anchor_ms, boot_ms + record_ms
    word = Word(
        "ab" * 8, 9, anchor_kind, record.coarse(told_ms // 1000), record.uptime_shown(anchor_kind, anchor_ms),
        told_ms // 1000 if anchor_kind == PUNCH else None,
    )  # fmt: skip
    clock = BootClock().anchored(word)
    if delay_ms is not None:
        clock = clock.hear(told_ms + delay_ms, anchor_ms)
    received_s = max(told_ms, made_ms) // 1000 + 10**6
    if kind == RATING:
        received_s = record.coarse(received_s)
    found = estimate(clock, kind, record.uptime_shown(kind, record_ms), received_s)
    truth_s = record.coarse(made_ms // 1000) if kind == RATING else made_ms // 1000
    assert found.earliest_s <= truth_s <= found.latest_s
    assert found.earliest_s <= found.estimate_s <= found.latest_s <= received_s
    if delay_ms == 0 and kind != RATING:
        assert found.estimate_s == truth_s


def test_the_first_time_that_a_device_states_is_the_one_that_counts():
    first = BootClock().anchored(Word("ab" * 8, 1, EVENT, QUARTER_S, 1000))
    assert first.anchored(Word("ab" * 8, 2, EVENT, QUARTER_S + 90_000, 2000)) == first
    assert not first.settled
    assert first.hear(1000 * MORNING_S, 1000).settled


# --- Of a rating.


def test_the_estimate_of_a_rating_is_a_quarter_of_an_hour_whatever_is_known(hall):
    evaluator = hall.devices["e-001"]
    at(hall, 2000)
    hall.take(opened(evaluator), *(press(evaluator, uptime_s) for uptime_s in (10, 899, 901, 1500)))
    hall.take(beat(evaluator, 2000))
    made = told(hall)
    assert len(made) == 4
    for claims in made.values():
        assert [time_s % 900 for time_s in times(claims)] == [0, 0, 0]
        assert claims[LATEST] - claims[EARLIEST] <= 2700
    seconds = {row["made_s"] % 900 for row in hall.rows(schema.annotation)}
    assert seconds == {0}, "when it was estimated would tell when it came"


def test_two_ratings_of_one_quarter_have_the_same_estimate(hall):
    evaluator = hall.devices["e-001"]
    at(hall, 2000)
    hall.take(opened(evaluator), press(evaluator, 10), press(evaluator, 890), beat(evaluator, 2000))
    first, second = told(hall).values()
    assert times(first) == times(second)


def test_the_estimate_of_a_rating_is_the_same_at_every_level(hall):
    evaluator = hall.devices["e-001"]
    at(hall, 2000)
    hall.take(opened(evaluator), *(press(evaluator, 100, level) for level in range(1, 6)), beat(evaluator, 2000))
    assert len({times(claims) for claims in told(hall).values()}) == 1
    assert len(told(hall)) == 5


# --- Once each, whatever happens.


def test_a_restart_makes_what_is_owed_and_nothing_twice(hall, clock, tmp_path):
    at(hall, 600)
    hall.take((clock, touch(clock, 70)), (clock, beat(clock, 600)))
    hall.stop()  # before the follower came to it
    again = GatewayHall(tmp_path, keys=hall.keys)
    again.devices = hall.devices
    assert len(told(again)) == 2
    again.take((clock, touch(clock, 90)))
    again.stop()
    third = GatewayHall(tmp_path, keys=hall.keys)
    assert len(told(third)) == 3
    assert not third.notebook.clocks.owing
    assert third.ledger.read(boot_clocks._owing) == {}, "the next start finds nothing to do"
    third.stop()


def test_the_work_of_one_transaction_is_bounded(hall, clock, monkeypatch):
    monkeypatch.setattr(estimates, "PAGE", 4)
    at(hall, 600)
    hall.take(*((clock, touch(clock, 10 + number)) for number in range(9)), (clock, beat(clock, 600)))
    assert [hall.notebook.estimates.step() for _ in range(4)] == [4, 4, 2, 0]
    assert len(told(hall)) == 10


def test_a_rollback_loses_no_estimate_and_makes_none_twice(hall, clock):
    at(hall, 600)
    hall.take((clock, touch(clock, 70)), (clock, beat(clock, 600)))

    def fail(connection):
        hall.notebook.estimates._make(connection)
        raise ValueError("the disk")

    with pytest.raises(ValueError, match="the disk"):
        hall.ledger.write(fail).result()
    assert hall.rows(schema.annotation) == []
    assert len(told(hall)) == 2


def test_the_follower_makes_them_by_itself_and_ends_with_the_gateway(hall, clock):
    at(hall, 600)
    hall.notebook.estimates.start()
    hall.take((clock, touch(clock, 70)), (clock, beat(clock, 600)))
    assert hall.notebook.source.wait_beyond(1, 30)
    hall.notebook.estimates.stop()
    assert len(hall.rows(schema.annotation)) == 2
    assert hall.metrics.value("time_estimates") == 2


def test_boots_are_bounded_on_disk_and_in_memory(hall, clock, monkeypatch):
    monkeypatch.setattr(boot_clocks, "BOOTS_MAX", 4)
    monkeypatch.setattr(boot_clocks, "BOOTS_KEPT", 3)
    at(hall, 600)
    for number in range(8):
        clock.boot, clock.telemetry, clock.beats = SUITE.random_bytes(8), SUITE.random_bytes(8), 0
        hall.take((clock, touch(clock, 70 + number)), (clock, beat(clock, 600)))
        assert len(hall.rows(schema.boot_clock)) <= 3
        assert len(hall.notebook.clocks._known) <= 4
    told(hall)
    assert {row["boot"] for row in hall.rows(schema.boot_clock)} >= {clock.boot.hex()}


def test_a_settled_boot_costs_no_statement(hall, clock):
    at(hall, 600)
    hall.take((clock, beat(clock, 600)))
    told(hall)
    statements = []
    listen(hall.ledger._writing, "before_cursor_execute", lambda *given: statements.append(given[2]))
    hall.take(*((clock, clock.punch("S001", BOOT_S + 700 + number, uptime_ms=700_000)) for number in range(20)))
    assert any("record" in one for one in statements)
    assert [one for one in statements if "boot_clock" in one] == []


def test_what_waits_is_found_by_an_index(hall):
    query = estimates._waiting(("c-001", "00" * 8), 0).compile(compile_kwargs={"literal_binds": True})
    plan = hall.ledger.read(lambda one: one.exec_driver_sql(f"EXPLAIN QUERY PLAN {query}").all())
    assert "USING INDEX record_unsynchronised" in str(plan)


# --- Where it goes.


def test_the_time_series_and_the_supervisor_see_the_estimate_beside_the_original(tmp_path):
    hall = WebHall(tmp_path, DEVICES)
    evaluator = hall.devices["e-001"]
    at(hall, 90_000)  # the device sends a day later
    hall.take(opened(evaluator), press(evaluator, 1000, 2))
    hall.take(beat(evaluator, 90_000))
    hall.project()
    assert hall.timeseries.rates(BOOT_S, BOOT_S + 2700).levels == [0, 1, 0, 0, 0], "not where it arrived"
    assert hall.timeseries.rates(BOOT_S + 80_000, BOOT_S + 99_000).levels == [0] * 5
    with hall.business(SUPERVISOR_TOKEN) as client:
        seen = client.get(f"/api/v1/ratings/e-001/{evaluator.stream.hex()}/2/annotations").json()
    assert (seen["coarse_s"], seen["adopted"], seen["estimated_s"] % 900) == (None, True, 0)
    assert abs(seen["estimated_s"] - (BOOT_S + 1000)) <= 900
    assert [one["what"] for one in seen["annotations"]] == ["time_estimate"]
    hall.stop()
