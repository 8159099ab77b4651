"""Streams of an audit: whatever the order of arrival, gaps are what is missing, and every broken link is named."""

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway import audit_streams
from gateway.audit_streams import Head, Stream, Streams
from gateway.findings import Findings
from protocol import event, rating, record
from protocol.limits import PREV_BYTES
from protocol.record import Record

STREAM, OTHER = b"stream-1", b"stream-2"
NOTHING = Head(STREAM.hex(), 0, bytes(16), [0] * 5, 0)


def link(seq, version=0):
    """What the record after `seq` carries as prev: 16 bytes."""
    return hashlib.sha256(bytes([version]) + seq.to_bytes(4, "big")).digest()[:PREV_BYTES] if seq else bytes(PREV_BYTES)


def naive_gaps(numbers):
    missing, found = sorted(set(range(1, max(numbers) + 1)) - set(numbers)), []
    for number in missing:
        if found and found[-1][1] == number - 1:
            found[-1] = (found[-1][0], number)
        else:
            found.append((number, number))
    return found


@given(st.lists(st.integers(1, 40), min_size=1, max_size=80))
def test_gaps_and_duplicates_are_what_a_person_would_say(numbers):
    stream, seen = Stream(), set()
    for number in numbers:
        found = stream.add(number, link(number - 1), link(number))
        assert found == ([("duplicate", number)] if number in seen else [])
        seen.add(number)
        assert list(stream.gaps()) == naive_gaps(seen)
        assert stream.highest == max(seen)


@given(st.permutations(range(1, 13)), st.integers(2, 12))
@settings(max_examples=60)
def test_one_changed_record_breaks_the_link_behind_it_in_any_order(order, changed):
    stream = Stream()
    found = [one for seq in order for one in stream.add(seq, link(seq - 1), link(seq, version=int(seq == changed)))]
    assert found == ([("chain", changed + 1)] if changed < 12 else [])


def test_another_content_for_the_newest_number_is_a_contradiction():
    stream = Stream()
    stream.add(1, link(0), link(1))
    assert stream.add(1, link(0), link(1, version=1)) == [("equivocation", 1)]
    assert stream.add(1, link(0), link(1)) == [("duplicate", 1)]


def test_what_came_before_the_first_manifest_is_held_against_what_follows():
    stream = Stream()
    stream.presume(7, link(7))
    assert stream.add(5, link(4), link(5)) == []  # filled a gap of long ago
    assert stream.add(8, link(7, version=1), link(8)) == [("chain", 8)]
    assert list(stream.gaps()) == []


def test_a_stream_of_nothing_but_gaps_costs_bounded_memory_and_is_named(monkeypatch):
    monkeypatch.setattr(audit_streams, "RUNS_MAX", 8)
    stream = Stream()
    found = [one for seq in range(1, 100, 2) for one in stream.add(seq, link(seq - 1), link(seq))]
    assert found == [("ragged", 17)]
    assert len(stream.runs) == 9


# --- Records of one device.


class Told:
    """Streams of a device, told record by record."""

    def __init__(self, head=NOTHING):
        self.findings = Findings()
        self.streams = Streams({"e-001": head}, self.findings)

    def add(self, seq, kind=record.EVENT, claims=None, stream=STREAM, verified=True):
        values = claims or ({event.CODE: event.STREAM_OPENED} if seq == 1 else {event.CODE: event.BOOT})
        content = Record("e-001", "yongxing", 0, kind, stream, seq, link(seq - 1), bytes(8), 0, 0, values, {})
        self.streams.add(content, link(seq) + bytes(16), verified)
        return self

    def rate(self, seq, level, stream=STREAM):
        claims = {rating.WINDOW: "01", rating.OUTCOME: rating.RATED, rating.LEVEL: level, rating.MODE: rating.WALK_UP}
        return self.add(seq, record.RATING, claims, stream)

    def codes(self, open_end=True):
        self.streams.close(open_end)
        self.streams.presses(whole=True)
        return dict(self.findings.counts)


def head(seq, presses=(0, 0, 0, 0, 0), stream=STREAM, through=0):
    return Head(stream.hex(), seq, link(seq), list(presses), through)


def test_a_stream_that_does_not_begin_with_its_opening_event_is_named():
    assert Told(head(1, (0, 0, 0, 0, 1))).rate(1, 5).codes() == {"unopened": 1}
    assert Told(head(1)).add(1).codes() == {}


def test_numbers_that_a_heartbeat_names_and_nobody_has_are_a_hidden_tail():
    assert Told(head(3)).add(1).add(2).codes() == {"hidden_tail": 1}
    assert Told(head(3)).add(1).add(2).codes(open_end=False) == {}
    assert Told(head(2)).add(1).add(2).add(3).codes() == {}  # recorded after the heartbeat


def test_ratings_after_the_heartbeat_and_after_a_new_beginning_need_no_press_yet():
    told = Told(head(2, (1, 0, 0, 0, 0))).add(1).rate(2, 1).rate(3, 1)
    opened = {event.CODE: event.STREAM_OPENED, event.PREVIOUS_STREAM: STREAM, event.PREVIOUS_HEAD: 3}
    told.add(1, claims=opened, stream=OTHER).rate(2, 1, OTHER)
    assert told.codes() == {"reopened": 1}


def test_ratings_of_an_older_stream_need_their_presses():
    opened = {event.CODE: event.STREAM_OPENED, event.PREVIOUS_STREAM: STREAM, event.PREVIOUS_HEAD: 2}
    for presses, expected in (((2, 0, 0, 0, 0), {}), ((1, 0, 0, 0, 0), {"presses": 1})):
        told = Told(head(2, presses, OTHER)).add(1).rate(2, 1)
        told.add(1, claims=opened, stream=OTHER).rate(2, 1, OTHER)
        assert told.codes() == {"reopened": 1, **expected}


@pytest.mark.parametrize(
    ("previous", "held", "expected"),
    [
        ((STREAM, 2), 2, {"reopened": 1}),
        ((STREAM, 5), 2, {"reopened": 1, "hidden_tail": 1}),
        ((b"stream-0", 5), 2, {"reopened": 1, "stream_missing": 1}),
        (None, 2, {"unlinked": 1}),
    ],
)
def test_a_device_that_begins_again_must_say_after_what(previous, held, expected):
    told = Told(head(1, stream=OTHER))
    for seq in range(1, held + 1):
        told.add(seq)
    claims = {event.CODE: event.STREAM_OPENED}
    if previous:
        claims |= {event.PREVIOUS_STREAM: previous[0], event.PREVIOUS_HEAD: previous[1]}
    assert told.add(1, claims=claims, stream=OTHER).codes() == expected


def test_what_a_device_says_of_itself_is_repeated_and_is_no_accusation():
    told = Told(head(3)).add(1).add(2, claims={event.CODE: event.JOURNAL_FULL, event.VALUE: 9000}).add(3)
    assert told.codes() == {"declared": 1}
    assert told.findings.status() == 0
    assert told.findings.kept()[0].detail == "journal full"


def test_a_gap_that_the_device_has_given_up_says_so():
    told = Told(head(4, through=4)).add(1).add(4)
    assert told.codes() == {"gap": 1}
    assert told.findings.kept()[0].detail == "the device has nothing left to send there"


def test_a_record_that_was_changed_is_not_counted_and_leaves_no_gap():
    told = Told(head(3)).add(1).add(2, verified=False).add(3)
    assert told.codes() == {}
    assert told.streams.kinds == {record.EVENT: 2}
