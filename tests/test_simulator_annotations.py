"""Annotations on their way to the central system: all of them, once, verified there, whatever happens between."""

import gzip
import json

import pytest
from annotation_samples import an_annotation
from gateway_hall import GatewayHall
from sealing_device import SUITE

from gateway.dead_letters import DeadLetters
from gateway.forwarder import ANNOTATIONS, RECORDS, Forwarder, annotation_entry
from gateway.notebook import CENTRAL
from gateway.projection import UnavailableError
from protocol import annotation, event, record, sign1

NOTHING = {
    "not_adopted": 0, "adopted": 0, "time_estimate": 0, "ratings_not_adopted": 0, "gaps": 0, "broken_links": 0,
    "record_unknown": 0, "record_differs": 0, "duplicates_offered": 0, "equivocations": 0,
}  # fmt: skip


@pytest.fixture
def hall(tmp_path):
    """Two ratings not adopted, one of them again, and an estimate: five annotations."""
    made = GatewayHall(tmp_path, [("e-001", "evaluator")])
    device = made.devices["e-001"]
    dark = device.seal(*device.make(record.EVENT, {event.CODE: event.STREAM_OPENED}, source=0))
    made.take(dark, device.rating(1), device.rating(5), device.heartbeat())
    made.notebook.estimates.step()
    stream = device.stream.hex()
    for seq, what, reason in ((2, "not_adopted", "malicious"), (3, "not_adopted", "faked"), (2, "adopted", None)):
        made.notebook.marks.mark("e-001", stream, seq, what, reason, "S009")
    made.notebook.marks.mark("e-001", stream, 2, "not_adopted", "mistaken", "S009")
    yield made
    made.stop()


@pytest.fixture
def letters(tmp_path):
    made = DeadLetters(tmp_path / "dead-annotations.db")
    yield made
    made.close()


def forward(hall, double, letters, freight=ANNOTATIONS):
    with double.client() as client:
        sender = Forwarder("yongxing", client, letters, hall.metrics, hall.clock.now_s, freight)
        sender.take(hall.records() if freight is RECORDS else hall.notebook.source.records_after(0, 100))


def offer(double, entries, batch="b1"):
    body = gzip.compress(json.dumps({"hall": "yongxing", "batch": batch, "annotations": entries}).encode())
    with double.client() as client:
        headers = {"Content-Encoding": "gzip", "Idempotency-Key": batch}
        answer = client.post("/api/v1/annotations", content=body, headers=headers)
    return [(one["number"], one["verdict"], one["reason"]) for one in answer.json()["verdicts"]]


def entries_of(hall):
    return [annotation_entry(one) for one in hall.notebook.source.records_after(0, 100)]


def seen(double):
    return double.summary()["annotations"]


def test_every_annotation_arrives_verified_and_in_its_chain(hall, double, letters):
    forward(hall, double, letters, RECORDS)
    forward(hall, double, letters)
    assert seen(double) == {
        **NOTHING, "not_adopted": 3, "adopted": 1, "time_estimate": 1, "ratings_not_adopted": 2,
    }  # fmt: skip
    assert hall.metrics.value("annotations_forwarded", verdict="stored") == 5
    assert letters.by_reason() == {}


def test_one_that_is_faster_than_its_record_waits_for_it_there(hall, double, letters):
    forward(hall, double, letters)
    assert seen(double)["record_unknown"] == 5
    forward(hall, double, letters, RECORDS)
    assert seen(double)["record_unknown"] == seen(double)["record_differs"] == 0


def test_what_comes_twice_counts_once(hall, double, letters):
    forward(hall, double, letters)
    forward(hall, double, letters)
    assert (seen(double)["not_adopted"], seen(double)["duplicates_offered"]) == (3, 5)
    assert letters.by_reason() == {}


@pytest.mark.parametrize("fault", [{"mode": "error", "status": 503}, {"mode": "lost_answer"}, {"mode": "garbage"}])
def test_an_outage_delays_and_loses_nothing(hall, double, letters, fault):
    double.fail(count=1, **fault)
    with pytest.raises(UnavailableError):
        forward(hall, double, letters)
    forward(hall, double, letters)
    assert (seen(double)["not_adopted"], seen(double)["gaps"], letters.by_reason()) == (3, 0, {})


def test_what_the_central_system_refuses_is_kept_by_name_and_holds_nobody_up(hall, double, letters):
    double.fail("refuse", reason="not now", count=1)
    forward(hall, double, letters)
    assert letters.by_reason() == {"not now": 5}
    assert [one.position for one in letters.page()] == [1, 2, 3, 4, 5]


def test_the_cursor_is_its_own_and_goes_on_after_a_restart(hall, double, letters, tmp_path):
    with double.client() as client:
        sender = Forwarder("yongxing", client, letters, hall.metrics, hall.clock.now_s, ANNOTATIONS)
        hall.notebook.project_central(sender, letters)
        projection = hall.notebook.projections[CENTRAL]
        assert (projection.behind(), projection.step(), projection.behind()) == (5, 5, 0)
    assert (hall.ledger.cursor(CENTRAL), hall.ledger.cursor("central")) == (5, 0)
    hall.stop()
    again = GatewayHall(tmp_path, keys=hall.keys)
    with double.client() as client:
        sender = Forwarder("yongxing", client, letters, again.metrics, again.clock.now_s, ANNOTATIONS)
        again.notebook.project_central(sender, letters)
        assert again.notebook.projections[CENTRAL].step() == 0
    assert seen(double)["duplicates_offered"] == 0
    again.stop()


def test_a_gap_and_a_broken_link_are_seen(hall, double):
    entries = entries_of(hall)
    offer(double, [entries[0], entries[1], entries[3], entries[4]])
    assert (seen(double)["gaps"], seen(double)["broken_links"]) == (1, 0)
    other = annotation.encode(an_annotation(number=3, stream=hall.devices["e-001"].stream, seq=3))
    assert offer(double, [{**entries[2], "statement": b64(hall.signer.sign(annotation.TYP, other))}]) == [
        (3, "stored", None)
    ]
    assert (seen(double)["gaps"], seen(double)["broken_links"]) == (0, 2)
    assert offer(double, [entries[2]]) == [(3, "refused", "equivocation")]
    assert seen(double)["equivocations"] == 1


def test_an_annotation_of_another_record_than_it_names_is_seen(hall, double, letters):
    forward(hall, double, letters, RECORDS)
    stream = hall.devices["e-001"].stream
    payload = annotation.encode(an_annotation(number=1, prev=bytes(32), stream=stream, seq=2, digest=bytes(32)))
    entry = {**entries_of(hall)[0], "seq": 2, "statement": b64(hall.signer.sign(annotation.TYP, payload))}
    assert offer(double, [entry]) == [(1, "stored", None)]
    assert seen(double)["record_differs"] == 1


def b64(statement):
    return annotation_entry(_Statement(statement))["statement"]


class _Statement:
    """An annotation of which only the statement is asked for."""

    position = seq = 0
    device = stream = ""

    def __init__(self, statement):
        self.statement = statement


def test_what_the_hall_has_not_said_is_refused(hall, double):
    (good, *_) = entries_of(hall)
    stranger = sign1.Signer(SUITE, SUITE.generate_private())
    payload = annotation.encode(an_annotation())
    elsewhere = annotation.encode(an_annotation(hall="other"))
    for changes, reason in (
        ({"statement": b64(stranger.sign(annotation.TYP, payload))}, "statement signature"),
        ({"statement": b64(hall.signer.sign(sign1.COMMAND_TYP, payload))}, "statement type"),
        ({"statement": b64(hall.signer.sign(annotation.TYP, elsewhere))}, "other hall"),
        ({"statement": "!"}, "statement is not base64"),
        ({"statement": "A" * 2000}, "statement missing or too long"),
        ({"statement": None}, "statement missing or too long"),
        ({"device": "e-002"}, "entry differs from statement"),
        ({"seq": 2}, "entry differs from statement"),
        ({"number": 7}, "entry differs from statement"),
    ):
        entry = {**good, **changes}
        assert offer(double, [entry]) == [(entry["number"], "refused", reason)], changes
    assert {name: seen(double)[name] for name in annotation.KIND_NAMES.values()} == {
        "not_adopted": 0, "adopted": 0, "time_estimate": 0,
    }  # fmt: skip
