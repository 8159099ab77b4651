"""Counters, gauges and histograms of the gateway, written out as Prometheus text (exposition format 0.0.4)."""

import threading
from bisect import bisect_left
from collections.abc import Callable

# 2 000 series are about ten times what one hall needs; labels made from hostile input must not eat the memory.
SERIES_MAX = 2_000
LABEL_CHARACTERS_MAX = 64

# Seconds: one verification takes 0.1 ms, one commit with sync 5 ms, an outage of the central system minutes.
BUCKETS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_PREFIX = "hallseal_"

Labels = tuple[tuple[str, str], ...]


class Metrics:
    """A bounded set of series; every method may be called from any thread.

    Names are given without prefix and suffix: `count("records", kind="rating")` shows as
    `hallseal_records_total{kind="rating"}`. When SERIES_MAX is reached, new series are dropped and counted.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counters: dict[str, dict[Labels, float]] = {}
        self._gauges: dict[str, dict[Labels, float]] = {}
        self._histograms: dict[str, dict[Labels, _Histogram]] = {}
        self._watched: dict[str, Callable[[], float]] = {}
        self._help: dict[str, str] = {}
        self._series = 0
        self._dropped = 0

    def describe(self, name: str, text: str) -> None:
        """Set the HELP line of `name` (one line of text)."""
        with self._lock:
            self._help[name] = " ".join(text.split())

    def count(self, name: str, amount: float = 1, **labels: object) -> None:
        """Add `amount` (>= 0) to a counter. Raises ValueError (our fault) when it is negative."""
        if amount < 0:
            raise ValueError("a counter only rises")
        key = _labels(labels)
        with self._lock:
            series = self._counters.setdefault(name, {})
            if key in series or self._admit():
                series[key] = series.get(key, 0) + amount

    def gauge(self, name: str, value: float, **labels: object) -> None:
        """Set a gauge to `value`."""
        key = _labels(labels)
        with self._lock:
            series = self._gauges.setdefault(name, {})
            if key in series or self._admit():
                series[key] = value

    def observe(self, name: str, seconds: float, **labels: object) -> None:
        """Add one duration to a histogram; shows as `hallseal_<name>_seconds`."""
        key = _labels(labels)
        with self._lock:
            series = self._histograms.setdefault(name, {})
            histogram = series.get(key)
            if histogram is None:
                if not self._admit():
                    return
                histogram = series[key] = _Histogram()
            histogram.add(seconds)

    def watch(self, name: str, read: Callable[[], float]) -> None:
        """A gauge read at every scrape; `read` must be quick and may be called from the web server's thread."""
        with self._lock:
            self._watched[name] = read

    def value(self, name: str, **labels: object) -> float:
        """Present value of one counter or gauge series; 0 where it does not exist."""
        key = _labels(labels)
        with self._lock:
            for families in (self._counters, self._gauges):
                if key in families.get(name, {}):
                    return families[name][key]
        return 0

    def total(self, name: str) -> float:
        """Sum of one counter over all its labels."""
        with self._lock:
            return sum(self._counters.get(name, {}).values())

    def by_label(self, name: str, label: str) -> dict[str, float]:
        """A counter's sums grouped by one label: {label value: sum}."""
        sums: dict[str, float] = {}
        with self._lock:
            for key, value in self._counters.get(name, {}).items():
                group = dict(key).get(label, "")
                sums[group] = sums.get(group, 0) + value
        return sums

    def text(self) -> str:
        """Everything, as one Prometheus page."""
        watched = self._read_watched()
        with self._lock:
            lines: list[str] = []
            for name, series in sorted(self._counters.items()):
                self._family(lines, name, name + "_total", "counter", series)
            for name, series in sorted({**self._gauges, **watched}.items()):
                self._family(lines, name, name, "gauge", series)
            for name, histograms in sorted(self._histograms.items()):
                self._head(lines, name, name + "_seconds", "histogram")
                for key, histogram in sorted(histograms.items()):
                    lines.extend(histogram.lines(_PREFIX + name + "_seconds", key))
            self._family(lines, "series_dropped", "series_dropped_total", "counter", {(): self._dropped})
        return "\n".join(lines) + "\n"

    def _read_watched(self) -> dict[str, dict[Labels, float]]:
        # Outside the lock: a reader may itself count something.
        with self._lock:
            readers = list(self._watched.items())
        return {name: {(): read()} for name, read in readers}

    def _admit(self) -> bool:
        if self._series >= SERIES_MAX:
            self._dropped += 1
            return False
        self._series += 1
        return True

    def _head(self, lines: list[str], name: str, shown: str, kind: str) -> None:
        if name in self._help:
            text = self._help[name].replace("\\", "\\\\")
            lines.append(f"# HELP {_PREFIX}{shown} {text}")
        lines.append(f"# TYPE {_PREFIX}{shown} {kind}")

    def _family(self, lines: list[str], name: str, shown: str, kind: str, series: dict[Labels, float]) -> None:
        self._head(lines, name, shown, kind)
        for key, value in sorted(series.items()):
            lines.append(f"{_PREFIX}{shown}{_braces(key)} {_number(value)}")


class _Histogram:
    """Counts of durations per bucket."""

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS_S) + 1)
        self.sum_s = 0.0

    def add(self, seconds: float) -> None:
        self.counts[bisect_left(BUCKETS_S, seconds)] += 1
        self.sum_s += seconds

    def lines(self, name: str, key: Labels) -> list[str]:
        lines, below = [], 0
        for bound, count in zip((*BUCKETS_S, float("inf")), self.counts, strict=True):
            below += count
            shown = "+Inf" if bound == float("inf") else repr(bound)
            labels = _braces((*key, ("le", shown)))
            lines.append(f"{name}_bucket{labels} {below}")
        lines.append(f"{name}_sum{_braces(key)} {_number(self.sum_s)}")
        lines.append(f"{name}_count{_braces(key)} {below}")
        return lines


def _labels(labels: dict[str, object]) -> Labels:
    return tuple(sorted((name, str(value)[:LABEL_CHARACTERS_MAX]) for name, value in labels.items()))


def _braces(key: Labels) -> str:
    if not key:
        return ""
    return "{" + ",".join(f'{name}="{_escape(value)}"' for name, value in key) + "}"


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else repr(float(value))
