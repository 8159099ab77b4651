"""Copies that the broker kept: what the ledger has already is counted and not kept, everything else is quarantined."""

import pytest
from gateway_hall import hall_of
from sealed_pair import flip
from sealing_device import MORNING_S, SealingDevice
from test_gateway_retention import IDENTITY, Kept

from gateway import schema
from gateway.batch import STORED
from gateway.opening import Arrival

hall = hall_of(("e-001", "evaluator"), ("c-001", "clock"))


@pytest.fixture
def evaluator(hall):
    return hall.devices["e-001"]


@pytest.mark.parametrize("level", [1, 2, 3, 4, 5, None])
def test_a_copy_of_a_stored_rating_is_counted_and_leaves_no_salt_behind(hall, evaluator, level):
    rated = evaluator.opened(), evaluator.rating(level, visit="BJ-17", identity=IDENTITY, comment="慢")
    hall.take(*rated)
    before, told = hall.rows(schema.record), len(hall.published)
    outcome = hall.take(rated[1], retained=True)
    assert (outcome.records, outcome.refused, outcome.fresh, outcome.repeated) == ([], [], set(), set())
    assert (hall.reasons(), hall.ledger.refusals(), hall.rows(schema.record)) == ([], {}, before)
    assert (hall.ledger.streams()[0].duplicates, len(hall.published)) == (1, told)
    assert 'hallseal_duplicate_total{kind="rating"} 1' in hall.metrics.text()
    hall.admission.forget()
    assert hall.take(rated[1], retained=True).refused == []
    assert hall.ledger.streams()[0].duplicates == 2


def prepared(hall, device, *messages):
    """The batch of messages, each (bytes, retained)."""
    at_ms = hall.clock.now_ms()
    return hall.intake.prepare([Arrival(device.topic, message, retained, at_ms) for message, retained in messages])


def admitted(hall, batch):
    return hall.ledger.write(lambda connection: hall.admission.admit(connection, batch)).result()


def test_a_copy_in_the_same_batch_as_its_original_is_not_kept(hall, evaluator):
    message = evaluator.opened()
    outcome = admitted(hall, prepared(hall, evaluator, (message, True), (message, False)))
    assert (outcome.records, outcome.refused, len(outcome.copies)) == ([STORED], [], 1)
    assert hall.reasons() == []


def test_a_batch_with_copies_that_the_ledger_cannot_take_is_taken_apart_whole(hall, evaluator):
    batch = prepared(hall, evaluator, (evaluator.opened(), True), (evaluator.rating(1), False))
    assert [(len(one.copies), len(one.records)) for one in batch.single()] == [(0, 1), (1, 0)]
    assert [one.reason for one in batch.as_strays("internal").strays] == ["internal", "retained"]


def test_what_the_ledger_has_not_stays_in_quarantine_and_leaves_no_trace_besides(hall, evaluator):
    stored = evaluator.opened()
    hall.take(stored)
    at = evaluator.seq, evaluator.prev
    new, other = evaluator.rating(1), evaluator.rating(1)
    evaluator.seq, evaluator.prev = at
    hall.take(evaluator.rating(5))
    elsewhere = SealingDevice("e-001", hall.public)
    elsewhere.signer, elsewhere.channel = evaluator.signer, evaluator.channel
    stranger = SealingDevice("e-009", hall.public)
    copies = [new, other, elsewhere.opened(), flip(stored, -1), evaluator.heartbeat(), b"noise", bytes(5000)]
    for one in copies:  # a number with another payload, one that is free, another stream, and what is none of these
        assert hall.take(one, retained=True).refused == ["retained"]
    assert hall.take((stranger, stranger.rating(1)), retained=True).refused == ["retained"]
    assert hall.reasons() == ["retained"] * (len(copies) + 1)
    assert [one["message"] for one in hall.rows(schema.quarantine)][: len(copies) - 1] == copies[:-1]
    (stream,) = hall.ledger.streams()
    assert (stream.stored, stream.duplicates, stream.equivocations) == (2, 0, 0)


def test_a_copy_brings_nothing_back_that_retention_has_removed(tmp_path):
    hall = Kept(tmp_path)
    rated = hall.rater.opened(), hall.rater.rating(1, identity=IDENTITY)
    hall.take(*rated)
    hall.forward()
    assert hall.remove(days=102)["ratings"] == 1
    for forget in (lambda: None, hall.admission.forget):
        forget()
        assert hall.take(rated[1], retained=True).refused == []
    assert hall.reasons() == []
    hall.stop()


def test_when_an_evaluators_refused_message_came_is_told_to_the_quarter_of_an_hour_only(hall, evaluator):
    clock, stranger = hall.devices["c-001"], SealingDevice("e-009", hall.public)
    hall.real.now_s = MORNING_S + 30
    for device, made in ((evaluator, evaluator.rating(1)), (clock, clock.punch()), (stranger, stranger.rating(1))):
        hall.take((device, flip(made, -1)))
    hall.take(flip(evaluator.rating(1), 400), retained=True)
    beats = evaluator.heartbeat(), evaluator.heartbeat()
    hall.take(*reversed(beats))
    admitted(hall, prepared(hall, evaluator, (evaluator.rating(1), False)).as_strays("internal"))
    quarter_s, exact_s = MORNING_S // 900 * 900, MORNING_S + 30
    assert [(row["reason"], row["received_s"]) for row in hall.rows(schema.quarantine)] == [
        ("decrypt", quarter_s),
        ("decrypt", exact_s),
        ("unknown", exact_s),  # nobody knows what it is
        ("retained", quarter_s),
        ("replayed", quarter_s),
        ("internal", quarter_s),
    ]
