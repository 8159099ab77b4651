"""Marks on the page: a rating that is not adopted leaves the day's counts, in whatever order the two are read."""

import itertools

import pytest
from ledger_records import rating
from sealing_device import MORNING_S

from gateway.hall_clock import HallClock
from gateway.live import LiveView
from gateway.live_marks import LiveMark

LEVELS = (5, 5, 1, 4, 5)


@pytest.fixture
def view():
    return LiveView("yongxing", dict, dict, HallClock(real=lambda: MORNING_S))


def rated(first=1, levels=LEVELS):
    return [rating(number, level) for number, level in enumerate(levels, first)]


def mark(position, adopted=False, levels=LEVELS, at_s=MORNING_S):
    return LiveMark(position, "e-001", at_s, levels[position - 1], True, adopted)


def counts(view):
    shown = view._day.by_device["e-001"]
    return shown.rates.levels, sorted(shown.last_levels), shown.waiting, shown.visits, shown.not_adopted


def test_a_published_rating_leaves_the_counts_and_comes_back_with_the_next_group(view):
    view.take(rated())
    assert counts(view) == ([1, 0, 0, 1, 3], [1, 4, 5, 5, 5], 0, 5, 0)
    view.mark([mark(3)])
    assert counts(view) == ([0, 0, 0, 1, 3], [4, 5, 5, 5], 0, 5, 1)
    view.mark([mark(3, adopted=True)])
    assert counts(view) == ([0, 0, 0, 1, 3], [4, 5, 5, 5], 1, 5, 0)
    view.take(rated(6, (2, 2, 2, 2)))
    assert counts(view)[0] == [1, 4, 0, 1, 3]


def test_one_that_waits_for_its_group_is_not_published_at_all(view):
    view.take(rated()[:4])
    view.mark([mark(3)])
    assert counts(view) == ([0] * 5, [], 3, 4, 1)
    view.take(rated()[4:])
    assert counts(view) == ([0] * 5, [], 4, 5, 1)


def test_a_mark_that_comes_before_its_rating_keeps_it_out(view):
    view.mark([mark(3)])
    view.take(rated())
    assert counts(view) == ([0] * 5, [], 4, 5, 1)
    view.mark([mark(3, adopted=True)])
    assert counts(view) == ([1, 0, 0, 1, 3], [1, 4, 5, 5, 5], 0, 5, 0)


def test_every_order_ends_at_the_same_counts(view):
    words = [mark(3), mark(3, adopted=True), mark(3), mark(1), mark(1, adopted=True)]
    for cut in itertools.product(range(6), repeat=2):
        seen = LiveView("yongxing", dict, dict, HallClock(real=lambda: MORNING_S))
        first, second = sorted(cut)
        for records, marks in ((rated()[:first], words[:second]), (rated()[first:], words[second:])):
            seen.take(records)
            seen.mark(marks)
        shown = seen._day.by_device["e-001"]
        assert (shown.visits, shown.not_adopted, sum(shown.rates.levels) + shown.waiting) == (5, 1, 4), cut
        assert shown.rates.levels[0] == 0, cut


def test_the_same_mark_again_changes_nothing(view):
    view.take(rated())
    view.mark([mark(3)])
    once = counts(view)
    view.mark([mark(3), mark(3)])
    assert counts(view) == once
    view.mark([mark(1, adopted=True)])
    assert counts(view) == once


def test_marks_of_other_days_and_of_what_was_never_read_change_nothing(view):
    view.take([one._replace(position=one.position + 100) for one in rated()])
    before = counts(view)
    yesterday = mark(1, at_s=MORNING_S - 86_400)
    view.mark([mark(3), yesterday, yesterday._replace(position=101)])
    assert counts(view) == before


def test_the_page_tells_how_many_are_left_out_and_not_which(view):
    view.take(rated())
    view.mark([mark(3)])
    shown = view.snapshot()
    assert (shown["not_adopted"], shown["levels"]) == (1, [0, 0, 0, 1, 3])
    assert shown["feed"] == [one for one in shown["feed"] if one["kind"] == "ratings"]
