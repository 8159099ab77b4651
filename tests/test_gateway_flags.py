"""A mark goes with its record wherever the record goes, and no further than its level may be told."""

import duckdb
import pytest
from central_double import CentralDouble
from gateway_hall import GatewayHall
from sealing_device import MORNING_S

from gateway import rules
from gateway.dead_letters import DeadLetters
from gateway.forwarder import RECORDS, Forwarder, entry
from gateway.live import LiveView
from gateway.publication import GROUP, Publication
from gateway.timeseries import DuckTimeSeries, point_of
from protocol import rating


@pytest.fixture
def hall(tmp_path):
    """Its ledger holds ratings and punches with marks of all kinds, those that tell a level among them."""
    made = GatewayHall(tmp_path, [("e-001", "evaluator"), ("c-001", "clock")])
    evaluator, clock = made.devices.values()
    made.take(evaluator.opened(), (clock, clock.opened()))
    made.take((clock, clock.punch("S001")), (clock, clock.punch("S001", MORNING_S + 30)))
    claims = {rating.TAGS: [511, 509], rating.DELAY_MS: 1}
    made.take(*(evaluator.rating(1, MORNING_S + at, visit="x", claims=claims) for at in range(GROUP + 2)))
    made.take(evaluator.rating(1))
    yield made
    made.stop()


def marks(hall):
    return {(one.device, one.seq): list(one.flags) for one in hall.records() if one.flags}


def test_the_ledger_holds_all_marks(hall):
    found = {code for codes in marks(hall).values() for code in codes}
    assert found == {"tag_level", "tag_retired", "reason_missing", "quick", "burst", "visit_unknown", "punch_again"}


def test_the_time_series_has_the_marks_of_every_record(hall, tmp_path):
    store = DuckTimeSeries(tmp_path / "timeseries.duckdb")
    store.write_batch([point_of(one) for one in hall.records()])
    store.close()
    with duckdb.connect(str(tmp_path / "timeseries.duckdb"), read_only=True) as connection:
        rows = connection.execute("SELECT device, seq, flags FROM point").fetchall()
    assert {(device, seq): flags.split(",") for device, seq, flags in rows if flags} == marks(hall)
    assert {flags for _, _, flags in rows if not flags} == {None}


def test_the_central_system_is_told_the_marks_of_every_record(hall, hall_dir, tmp_path):
    assert {(one["device"], one["seq"]): one["flags"] for one in map(entry, hall.records()) if one["flags"]} == marks(
        hall
    )
    letters = DeadLetters(tmp_path / "dead-letters.db")
    with CentralDouble(hall, hall_dir) as double, double.client() as client:
        Forwarder("yongxing", client, letters, hall.metrics, hall.clock.now_s, RECORDS, hall.operator_log.head).take(
            hall.records()
        )
        summary = double.summary()
    letters.close()
    counted = {}
    for code in (code for codes in marks(hall).values() for code in codes):
        counted[code] = counted.get(code, 0) + 1
    assert (summary["flagged"], summary["refused"]) == (counted, {})


def test_the_live_feed_shows_marks_of_punches_and_of_groups_and_none_that_tells_a_level(hall):
    view = LiveView("yongxing", hall.registry.devices, hall.ledger.heartbeats, hall.clock)
    view.take(hall.records())
    seen = view.snapshot()
    assert [one["flags"] for one in seen["feed"] if one["kind"] == "punch"] == [["punch_again"], []]
    (group,) = [one for one in seen["feed"] if one["kind"] == "ratings"]
    assert group["flags"] == ["quick", "visit_unknown"], "those of the five; the burst is the next group's"
    assert not any(code in str(seen) for code in rules.TELL_LEVEL)


def test_the_marks_of_a_group_are_not_those_of_the_next():
    window = Publication()
    for marks in (["quick"], [], ["burst", "quick"], [], []):
        group = window.add(5, True, marks)
    assert (len(group), window.last_flags) == (GROUP, ["burst", "quick"])
    for _ in range(GROUP):
        assert window.add(5, True) == [] or window.last_flags == []
    assert window.last_flags == []


def test_the_metrics_count_marks_and_none_that_tells_a_level(hall):
    assert hall.metrics.value("flagged", flag="quick") == GROUP + 2
    assert hall.metrics.value("flagged", flag="punch_again") == 1
    assert not any(code in hall.metrics.text() for code in rules.TELL_LEVEL)
