"""The time series: one point per record whatever is replayed, rebuilt from the ledger when its file is lost."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest
from gateway_hall import GatewayHall
from ledger_records import device_event, ledger_record, punch, rating
from sealing_device import MORNING_S

from gateway import timeseries
from gateway.metrics import Metrics
from gateway.projection import Projection
from gateway.rates import Rates
from gateway.timeseries import Counts, DuckTimeSeries, point_of
from protocol import event, record
from protocol import rating as rating_claims

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture
def store(tmp_path):
    made = DuckTimeSeries(tmp_path / "timeseries.duckdb")
    yield made
    made.close()


def points(*records):
    return [point_of(one) for one in records]


def test_points_are_counted_by_device_and_kind(store):
    store.write_batch(
        points(rating(1), rating(2, None), rating(3, device="e-002"), punch(4), device_event(5, event.BOOT))
    )
    assert store.counts() == {"e-001": Counts(2, 0, 1), "e-002": Counts(1, 0, 0), "c-001": Counts(0, 1, 0)}
    assert store.position() == 5


def test_a_batch_written_twice_or_overlapping_counts_once(store):
    batch = points(*(rating(number) for number in range(1, 400)))
    store.write_batch(batch)
    store.write_batch(batch)
    store.write_batch(batch[200:] + points(rating(400)))
    assert store.counts() == {"e-001": Counts(400, 0, 0)}
    assert store.position() == 400


def test_a_record_twice_in_one_batch_counts_once(store):
    store.write_batch(points(rating(1), rating(1)))
    assert store.counts() == {"e-001": Counts(1, 0, 0)}


def test_an_old_page_does_not_move_the_position_back(store):
    store.write_batch(points(rating(1), rating(2)))
    store.write_batch(points(rating(1)))
    assert store.position() == 2


def test_an_empty_batch_changes_nothing(store):
    store.write_batch([])
    assert (store.position(), store.counts()) == (0, {})


def test_a_batch_is_written_whole_or_not_at_all(store):
    wrong = points(rating(2))[0]._replace(level=4711)
    with pytest.raises(duckdb.Error):
        store.write_batch([*points(rating(1)), wrong])
    assert (store.position(), store.counts()) == (0, {})
    store.write_batch(points(rating(1)))
    assert store.position() == 1


def test_rates_are_those_of_the_levels(store):
    levels = [5, 5, 4, 3, 2, 1, None, None]
    store.write_batch(
        points(*(rating(number, level) for number, level in enumerate(levels, 1)), rating(9, 5, "walk_up"))
    )
    rates = store.rates(MORNING_S - 900, MORNING_S + 900)
    assert (rates.levels, rates.timed_out) == ([1, 1, 1, 1, 3], 2)
    assert rates.good_rate == 5 / 7
    assert rates.rating_rate == 6 / 8
    outside = store.rates(MORNING_S + 900, MORNING_S + 1800)
    assert (outside.levels, outside.good_rate, outside.rating_rate) == ([0] * 5, None, None)


def test_rates_without_ratings_are_unknown_and_not_an_error():
    rates = Rates()
    assert (rates.good_rate, rates.rating_rate) == (None, None)
    rates.add(None, True)
    assert (rates.good_rate, rates.rating_rate) == (None, 0.0)


def test_a_rating_stands_at_its_quarter_of_an_hour_and_a_punch_at_its_second():
    assert point_of(rating(1, at_s=MORNING_S + 7)).at_s == record.coarse(MORNING_S + 7)
    assert point_of(punch(1, at_s=MORNING_S + 7)).at_s == MORNING_S + 7
    assert point_of(ledger_record(1, coarse_s=0, received_s=900)).at_s == 900


def test_no_identity_has_a_place_in_a_point():
    masked = {"name": "欧**", "phone": "139****4321"}
    point = point_of(rating(1)._replace(masked=masked, sealed=b"sealed", evidence=b"evidence"))
    assert not {"欧**", "139****4321", b"sealed", b"evidence"} & set(point)


def test_a_reopened_store_goes_on(tmp_path):
    path = tmp_path / "timeseries.duckdb"
    first = DuckTimeSeries(path)
    first.write_batch(points(rating(1), rating(2)))
    first.close()
    second = DuckTimeSeries(path)
    assert (second.position(), second.counts()) == (2, {"e-001": Counts(2, 0, 0)})
    second.close()


@pytest.mark.parametrize("content", [b"", b"this is no database", bytes(20_000)])
def test_a_file_that_cannot_be_read_is_set_aside_and_begun_again(tmp_path, content):
    path = tmp_path / "timeseries.duckdb"
    path.write_bytes(content)
    store = DuckTimeSeries(path)
    assert store.position() == 0
    store.write_batch(points(rating(1)))
    assert store.counts() == {"e-001": Counts(1, 0, 0)}
    store.close()
    assert (tmp_path / "timeseries.duckdb.unusable").read_bytes() == content


def test_a_file_of_another_schema_is_set_aside(tmp_path, monkeypatch):
    path = tmp_path / "timeseries.duckdb"
    first = DuckTimeSeries(path)
    first.write_batch(points(rating(1)))
    first.close()
    monkeypatch.setattr(timeseries, "SCHEMA_VERSION", timeseries.SCHEMA_VERSION + 1)
    second = DuckTimeSeries(path)
    assert second.position() == 0
    second.close()


def test_a_file_that_another_process_writes_is_left_alone(tmp_path):
    path = tmp_path / "timeseries.duckdb"
    script = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('open', flush=True); sys.stdin.read()"
    other = subprocess.Popen(
        [sys.executable, "-c", script, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert other.stdout.readline() == "open\n"
        with pytest.raises(duckdb.Error, match="lock"):
            DuckTimeSeries(path)
        assert path.exists()
        assert not (tmp_path / "timeseries.duckdb.unusable").exists()
    finally:
        other.communicate("", timeout=10)


def test_the_store_reaches_nothing_but_its_file(store, tmp_path):
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(duckdb.Error):
        store._rows(f"SELECT * FROM read_csv('{tmp_path / 'other.csv'}')")
    with pytest.raises(duckdb.Error):
        store._rows("SET enable_external_access = true")


_WRITER = """
import sys
sys.path[:0] = [{repository!r}, {tests!r}]
from pathlib import Path
from ledger_records import rating
from gateway.timeseries import DuckTimeSeries, point_of
store = DuckTimeSeries(Path(sys.argv[1]))
position = store.position()
print(position, flush=True)
while True:
    store.write_batch([point_of(rating(position + step)) for step in range(1, 21)])
    position += 20
    print(position, flush=True)
"""


def test_a_kill_loses_no_written_batch_and_leaves_no_half_of_one(tmp_path):
    path = tmp_path / "timeseries.duckdb"
    script = _WRITER.format(repository=str(REPOSITORY), tests=str(REPOSITORY / "tests"))
    for batches in (2, 5, 3):
        writer = subprocess.Popen([sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE, text=True)
        said = [int(writer.stdout.readline()) for _ in range(batches)]
        os.kill(writer.pid, signal.SIGKILL)
        said += [int(line) for line in writer.communicate()[0].splitlines()]
        store = DuckTimeSeries(path)
        position = store.position()
        assert position >= said[-1]
        assert position % 20 == 0
        assert store.counts()["e-001"].ratings == position
        store.close()


def test_the_projection_writes_what_the_ledger_holds_and_rebuilds_a_lost_file(tmp_path):
    hall = GatewayHall(tmp_path, [("e-001", "evaluator"), ("c-001", "clock")])
    evaluator, clock = hall.devices.values()
    hall.take(evaluator.opened(), *(evaluator.rating(level, visit=f"A-{level}") for level in (1, 2, 3, 4, 5)))
    hall.take((clock, clock.opened()), (clock, clock.punch("S001")))
    hall.take(evaluator.rating(None, visit="A-6"), evaluator.rating(2, claims={rating_claims.TAGS: [214, 211]}))
    path = tmp_path / "timeseries.duckdb"
    expected = {"e-001": Counts(7, 0, 1), "c-001": Counts(0, 1, 1)}
    for _ in range(2):
        store = DuckTimeSeries(path)
        projection = Projection(
            "timeseries", hall.ledger, store.position(), lambda page, to=store: to.write_batch(points(*page)),
            lambda done: hall.ledger.set_cursor("timeseries", done), Metrics(),
        )  # fmt: skip
        while projection.step():
            pass
        assert store.counts() == expected
        assert store.rates(0, 1 << 40).levels == [1, 2, 1, 1, 1]
        store.close()
        path.unlink()
    hall.stop()
