"""A projection follows the ledger: in order, nothing skipped, nothing twice after a clean stop, never dead."""

import threading
import time

import pytest
from ledger_records import LedgerInMemory, rating

from gateway import backoff
from gateway.metrics import Metrics
from gateway.projection import Projection, UnavailableError


class Taker:
    """Takes pages and keeps them; fails as often as told."""

    def __init__(self, failures=()):
        self.failures = list(failures)
        self.taken, self.saved = [], []

    def take(self, page):
        if self.failures:
            raise self.failures.pop(0)
        self.taken += [one.position for one in page]


def follow(ledger, taker, position=0, page_records=3, save=None):
    projection = Projection(
        "central", ledger, position, taker.take, save or taker.saved.append, Metrics(), page_records,
        retry_cap_s=0.01, jitter=lambda: 0.0,
    )  # fmt: skip
    projection.start()
    return projection


def until(condition, timeout_s=10):
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.005)


def test_every_record_is_taken_once_and_in_order():
    ledger, taker = LedgerInMemory(*map(rating, range(1, 11))), Taker()
    projection = follow(ledger, taker)
    ledger.append(rating(11))
    until(lambda: len(taker.taken) == 11)
    assert projection.stop(1)
    assert taker.taken == list(range(1, 12))
    assert taker.saved[-1] == 11
    assert taker.saved == sorted(taker.saved)


def test_it_goes_on_where_the_cursor_stands():
    taker = Taker()
    assert follow(LedgerInMemory(*map(rating, range(1, 6))), taker, position=3).stop(1)
    assert taker.taken == [4, 5]


def test_the_cursor_moves_only_after_the_work():
    taker = Taker()
    seen = []
    projection = follow(
        LedgerInMemory(*map(rating, range(1, 5))), taker, save=lambda at: seen.append((at, max(taker.taken)))
    )
    until(lambda: len(seen) == 2)
    projection.stop(1)
    assert seen == [(3, 3), (4, 4)]


def test_an_outage_delays_and_skips_nothing():
    taker = Taker([UnavailableError("connect")] * 3)
    projection = follow(LedgerInMemory(*map(rating, range(1, 5))), taker)
    until(lambda: len(taker.taken) == 4)
    assert projection.failures == 0
    assert projection.stop(1)
    assert taker.taken == [1, 2, 3, 4]
    assert projection._metrics.value("projection_failures", destination="central", reason="connect") == 3


def test_an_error_of_ours_ends_neither_the_thread_nor_the_order():
    taker = Taker([ValueError("a secret of the reviewer"), KeyError("x")])
    projection = follow(LedgerInMemory(rating(1)), taker)
    until(lambda: taker.taken == [1])
    assert projection.alive()
    assert projection.stop(1)


def test_a_page_is_offered_again_when_the_cursor_cannot_be_saved():
    failures = [OSError("disk full")]

    def save(position):
        if failures:
            raise failures.pop()

    taker = Taker()
    projection = follow(LedgerInMemory(rating(1)), taker, save=save)
    until(lambda: taker.taken == [1, 1])
    assert projection.stop(1)


def test_records_that_come_singly_are_taken_together():
    ledger, pages = LedgerInMemory(rating(1)), []
    lingering, go_on = threading.Event(), threading.Event()

    class Draining(threading.Event):
        """The pause after a page that was not full lasts as long as the test says."""

        def wait(self, timeout=None):
            assert timeout == 0.3
            lingering.set()
            return go_on.wait(10)

    projection = Projection("central", ledger, 0, pages.append, lambda at: None, Metrics(), linger_s=0.3)
    projection._draining = Draining()
    projection.start()
    assert lingering.wait(10)
    for number in range(2, 12):
        ledger.append(rating(number))
    go_on.set()
    until(lambda: projection.position == 11)
    assert [len(page) for page in pages] == [1, 10]
    assert projection.stop(1)


def test_stopping_drains_what_is_there_and_says_so():
    ledger, taker = LedgerInMemory(*map(rating, range(1, 50))), Taker()
    projection = follow(ledger, taker)
    assert projection.stop(5)
    assert taker.taken == list(range(1, 50))
    assert not projection.alive()


def test_stopping_does_not_wait_for_an_outage_to_end():
    taker = Taker([UnavailableError("connect")] * 1000)
    projection = follow(LedgerInMemory(rating(1)), taker)
    until(lambda: projection.failures > 0)
    began = time.monotonic()
    assert not projection.stop(5)
    assert time.monotonic() - began < 2
    assert projection.behind() == 1


def test_a_hanging_destination_does_not_hold_the_stop_beyond_its_time():
    release = threading.Event()
    projection = Projection(
        "central", LedgerInMemory(rating(1)), 0, lambda page: release.wait(30), lambda at: None, Metrics()
    )
    projection.start()
    began = time.monotonic()
    assert not projection.stop(0.2)
    assert time.monotonic() - began < 3
    release.set()


def test_waits_double_up_to_the_cap_and_half_of_each_is_chance():
    assert [backoff.delay_s(attempt, 0.0) for attempt in range(4)] == [0.25, 0.5, 1.0, 2.0]
    assert backoff.delay_s(40, 0.0) == backoff.CAP_S / 2
    assert backoff.delay_s(10_000, 0.999) < backoff.CAP_S
    assert backoff.delay_s(0, 0.5) == 0.375
    for attempt, jitter in ((-1, 0.0), (0, 1.0), (0, -0.1)):
        with pytest.raises(ValueError, match="out of range"):
            backoff.delay_s(attempt, jitter)
