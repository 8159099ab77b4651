"""The metrics registry: what Prometheus reads, and that nothing hostile makes it grow."""

import re
import threading

import pytest

from gateway import metrics
from gateway.metrics import BUCKETS_S, SERIES_MAX, Metrics

_LINE = re.compile(
    r'^(?:# (?:HELP|TYPE) .+|[a-z_]+(?:\{[a-z_]+="(?:[^"\\\n]|\\.)*"(?:,[a-z_]+="(?:[^"\\\n]|\\.)*")*\})? \S+)$'
)


def lines(made):
    text = made.text()
    assert text.endswith("\n")
    for line in text.splitlines():
        assert _LINE.match(line), line
    return text.splitlines()


def test_counters_rise_and_show_with_their_labels():
    made = Metrics()
    made.count("records", kind="rating")
    made.count("records", 2, kind="rating")
    made.count("records", kind="punch")
    assert 'hallseal_records_total{kind="rating"} 3' in lines(made)
    assert "# TYPE hallseal_records_total counter" in lines(made)
    assert made.total("records") == 4
    assert made.by_label("records", "kind") == {"rating": 3, "punch": 1}
    assert made.value("records", kind="rating") == 3


def test_a_counter_never_falls():
    with pytest.raises(ValueError, match="only rises"):
        Metrics().count("records", -1)


def test_gauges_show_the_last_value_and_watched_ones_the_present():
    made, depth = Metrics(), [3]
    made.gauge("outbox", 5)
    made.gauge("outbox", 2.5)
    made.watch("queue", lambda: depth[0])
    assert "hallseal_outbox 2.5" in lines(made)
    assert "hallseal_queue 3" in lines(made)
    depth[0] = 4
    assert "hallseal_queue 4" in lines(made)


def test_durations_fall_into_cumulative_buckets():
    made = Metrics()
    for seconds in (0.0004, 0.0005, 0.004, 99):
        made.observe("commit", seconds)
    shown = lines(made)
    assert 'hallseal_commit_seconds_bucket{le="0.0005"} 2' in shown
    assert 'hallseal_commit_seconds_bucket{le="0.005"} 3' in shown
    assert 'hallseal_commit_seconds_bucket{le="30.0"} 3' in shown
    assert 'hallseal_commit_seconds_bucket{le="+Inf"} 4' in shown
    assert "hallseal_commit_seconds_count 4" in shown
    assert len([line for line in shown if "_bucket" in line]) == len(BUCKETS_S) + 1


def test_help_stands_before_its_family():
    made = Metrics()
    made.describe("records", "records stored,\nby kind")
    made.count("records")
    shown = lines(made)
    assert shown.index("# HELP hallseal_records_total records stored, by kind") + 1 == shown.index(
        "# TYPE hallseal_records_total counter"
    )


def test_hostile_labels_are_escaped_and_cut():
    made = Metrics()
    made.count("refused", topic='a"b\\c\nd' + "x" * 1000)
    line = next(line for line in lines(made) if line.startswith("hallseal_refused"))
    assert '\\"b\\\\c\\nd' in line
    assert len(line) < 120


def test_series_are_bounded_and_what_is_dropped_is_counted():
    made = Metrics()
    for number in range(SERIES_MAX + 7):
        made.count("refused", topic=number)
    made.count("refused", topic=0)  # a known one still counts
    assert len([line for line in lines(made) if line.startswith("hallseal_refused_total{")]) == SERIES_MAX
    assert "hallseal_series_dropped_total 7" in lines(made)
    assert made.value("refused", topic=0) == 2


def test_threads_lose_no_count():
    made = Metrics()

    def work():
        for _ in range(2000):
            made.count("records")
            made.observe("commit", 0.001)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made.value("records") == 8000
    assert "hallseal_commit_seconds_count 8000" in lines(made)


def test_the_content_type_is_that_of_prometheus():
    assert metrics.CONTENT_TYPE.startswith("text/plain; version=0.0.4")
