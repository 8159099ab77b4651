"""Marks of a supervisor: attributed, signed, chained, taken back at will, and the rating itself never changes."""

import json
from functools import partial

import pytest
from sealing_device import MORNING_S, SUITE
from sqlalchemy import insert
from web_hall import AUDIT_TOKEN, BUSINESS_TOKEN, SUPERVISOR_TOKEN, TECHNICIAN_TOKEN, WebHall

from gateway import annotations, marks, retention, schema
from gateway.annotations import Annotation
from gateway.marks import MarkRefused
from gateway.tokens import ApiTokens
from protocol import annotation, event, record
from protocol.annotation import ADOPTED, NOT_ADOPTED, TIME_ESTIMATE
from protocol.refusal import Refused

DEVICES = [("e-001", "evaluator"), ("c-001", "clock")]
MISTAKEN = {"what": "not_adopted", "reason": "mistaken", "author": "S009"}
UNDO = {"what": "adopted", "author": "S010"}


@pytest.fixture
def hall(tmp_path):
    made = WebHall(tmp_path, DEVICES)
    evaluator, clock = made.devices.values()
    made.take(evaluator.opened(), *(evaluator.rating(level) for level in (1, 2, 3, 4, 5, None)))
    made.take((clock, clock.opened()), (clock, clock.punch()))
    yield made
    made.stop()


def route(hall, seq, device="e-001", stream=None):
    return f"/api/v1/ratings/{device}/{stream or hall.devices[device].stream.hex()}/{seq}/annotations"


def mark(hall, seq, content, token=SUPERVISOR_TOKEN, **where):
    with hall.business(token) as client:
        return client.post(route(hall, seq, **where), json=content)


def look(hall, seq, token=SUPERVISOR_TOKEN, **where):
    with hall.business(token) as client:
        return client.get(route(hall, seq, **where))


# --- What a supervisor can do.


def test_a_rating_is_marked_and_taken_back_and_every_word_of_it_stays(hall):
    before = hall.rows(schema.record)
    first = mark(hall, 2, MISTAKEN)
    assert (first.status_code, first.json()["adopted"], first.json()["reason"]) == (201, False, "mistaken")
    assert mark(hall, 2, {**MISTAKEN, "reason": "malicious"}).json()["reason"] == "malicious"
    undone = mark(hall, 2, UNDO)
    assert (undone.status_code, undone.json()["adopted"], undone.json()["reason"]) == (201, True, None)
    again = mark(hall, 2, MISTAKEN).json()
    assert (again["adopted"], again["reason"]) == (False, "mistaken")
    told = look(hall, 2).json()["annotations"]
    assert [(one["number"], one["what"], one.get("reason"), one["author"]) for one in told] == [
        (1, "not_adopted", "mistaken", "S009"), (2, "not_adopted", "malicious", "S009"),
        (3, "adopted", None, "S010"), (4, "not_adopted", "mistaken", "S009"),
    ]  # fmt: skip
    assert {one["made_s"] for one in told} == {MORNING_S}
    assert hall.rows(schema.record) == before, "the ratings themselves are as they were"


def test_asking_twice_adds_nothing(hall):
    assert mark(hall, 2, UNDO).status_code == 200, "it is adopted from the start"
    assert look(hall, 2).json()["annotations"] == []
    first = mark(hall, 2, MISTAKEN)
    again = mark(hall, 2, {**MISTAKEN, "author": "S011"})
    assert (again.status_code, again.json()) == (200, first.json()), "the first who said it said it"
    assert mark(hall, 2, UNDO).status_code == 201
    assert mark(hall, 2, UNDO).status_code == 200
    assert len(hall.rows(schema.annotation)) == 2


def test_a_mark_does_not_look_at_the_level(hall):
    for seq in range(2, 8):  # levels 1 to 5, and a visit that nobody rated
        _marks_like_any_other(hall, seq)


def _marks_like_any_other(hall, seq):
    answers = []
    for content in (MISTAKEN, {**MISTAKEN, "reason": "faked"}, UNDO):
        answer = mark(hall, seq, content)
        shown = {key: value for key, value in answer.json().items() if key not in ("seq", "annotations")}
        answers.append((answer.status_code, shown))
    stream, coarse_s = hall.devices["e-001"].stream.hex(), MORNING_S - MORNING_S % 900
    same = {"device": "e-001", "stream": stream, "coarse_s": coarse_s, "estimated_s": None}
    assert answers == [
        (201, {**same, "adopted": False, "reason": "mistaken"}),
        (201, {**same, "adopted": False, "reason": "faked"}),
        (201, {**same, "adopted": True, "reason": None}),
    ]
    assert "level" not in look(hall, seq).text


NO_RATINGS = [
    ({"seq": 1}, 404),  # an event
    ({"seq": 8}, 404),
    ({"seq": 2, "device": "c-001"}, 404),  # a punch
    ({"seq": 2, "stream": "ab" * 8}, 404),
    ({"seq": 0}, 422),
    ({"seq": 1 << 32}, 422),
    ({"seq": 2, "stream": "AB" * 8}, 422),
]


def test_only_a_rating_that_is_there_can_be_marked(hall):
    asked = [(ask, *row) for row in NO_RATINGS for ask in (partial(mark, content=MISTAKEN), look)]
    for ask, where, status in asked:
        answer = ask(hall, **where)
        assert answer.status_code == status, where
        assert answer.json()["error"] == ("rating" if status == 404 else "field")
    assert hall.rows(schema.annotation) == []


NO_MARKS = [
    ({"reason": None}, "reason"),
    ({"what": "adopted"}, "reason"),
    ({"reason": "because"}, "field"),
    ({"what": "deleted"}, "field"),
    ({"author": ""}, "field"),
    ({"comment": "等了太久"}, "field"),
]


def test_what_is_no_mark_is_refused(hall):
    for changes, error in NO_MARKS:
        answer = mark(hall, 2, {**MISTAKEN, **changes})
        assert (answer.status_code, answer.json()["error"]) == (422, error), changes
    assert hall.rows(schema.annotation) == []


NO_STAFF = ["陈晓梅", "Chen Xiaomei", "13987654321", "110101199003078515", "11010119900307851X", "130503670401001"]


def test_an_author_is_a_staff_number_and_nothing_else(hall):
    for author in NO_STAFF:
        answer = mark(hall, 2, {**MISTAKEN, "author": author})
        assert answer.status_code == 422, author
        assert author not in answer.text
    assert hall.rows(schema.annotation) == []


def test_only_the_supervisor_may_mark_or_look(hall, tmp_path):
    for token in (BUSINESS_TOKEN, AUDIT_TOKEN, TECHNICIAN_TOKEN, "x"):
        for answer in (mark(hall, 2, MISTAKEN, token), look(hall, 2, token)):
            assert (answer.status_code, answer.json()) == (401, {"error": "token"})
    (tmp_path / "other").mkdir()
    closed = WebHall(tmp_path / "other", DEVICES, tokens=ApiTokens(BUSINESS_TOKEN))
    assert mark(closed, 2, MISTAKEN, BUSINESS_TOKEN).json() == {"error": "annotations_closed"}
    closed.stop()


def test_the_marks_of_one_rating_are_bounded(hall, monkeypatch):
    monkeypatch.setattr(marks, "MARKS_MAX", 3)
    for content in (MISTAKEN, UNDO, MISTAKEN):
        assert mark(hall, 2, content).status_code == 201
    refused = mark(hall, 2, UNDO)
    assert (refused.status_code, refused.json()) == (409, {"error": "full"})
    assert mark(hall, 2, MISTAKEN).status_code == 200, "what it is already may be said for ever"
    assert mark(hall, 3, MISTAKEN).status_code == 201


def test_a_refused_mark_costs_the_intake_nothing(hall):
    rolled_back = []
    hall.ledger.on_rollback(lambda: rolled_back.append(1))
    assert mark(hall, 99, MISTAKEN).status_code == 404
    assert rolled_back == []


def test_every_mark_stands_in_the_operator_log_and_what_adds_nothing_does_not(hall):
    for content in (MISTAKEN, MISTAKEN, UNDO):
        mark(hall, 2, content)
    mark(hall, 99, MISTAKEN)
    lines = hall.rows(schema.operator_action, action="annotate")
    subject = f"e-001/{hall.devices['e-001'].stream.hex()}/2"
    assert [(row["actor"], row["subject"], json.loads(row["details_json"])) for row in lines] == [
        ("S009", subject, {"what": "not_adopted", "reason": "mistaken"}),
        ("S010", subject, {"what": "adopted", "reason": ""}),
    ]


# --- How a mark decides.


def noted(*kinds):
    """A history of annotations; ("not_adopted", reason), "adopted" or "estimate"."""
    numbers = {"adopted": ADOPTED, "estimate": TIME_ESTIMATE}
    found = []
    for number, one in enumerate(kinds, 1):
        kind, content = (NOT_ADOPTED, {"reason": one[1]}) if isinstance(one, tuple) else (numbers[one], {})
        found.append(Annotation(number, 7, "e-001", "ab" * 8, 2, kind, MORNING_S, content, b""))
    return found


@pytest.mark.parametrize(
    ("history", "kind", "reason", "new"),
    [
        ((), NOT_ADOPTED, "faked", True),
        ((), ADOPTED, None, False),
        (("estimate",), ADOPTED, None, False),
        ((("not", "faked"), "estimate"), NOT_ADOPTED, "faked", False),
        ((("not", "faked"),), NOT_ADOPTED, "mistaken", True),
        ((("not", "faked"),), ADOPTED, None, True),
        ((("not", "faked"), "adopted"), ADOPTED, None, False),
        ((("not", "faked"), "adopted"), NOT_ADOPTED, "faked", True),
    ],
)
def test_only_what_changes_how_a_rating_stands_is_written(history, kind, reason, new):
    assert marks.changes(noted(*history), kind, reason) == new


def test_an_estimate_says_nothing_about_counting():
    assert annotations.standing(noted("estimate")) is None
    assert annotations.standing(noted(("not", "faked"), "estimate")).kind == NOT_ADOPTED


def test_every_staff_number_of_a_hall_can_sign():
    for author in ("S001", "1", "A-17", "0123456789", "window-3-deputy"):
        assert marks.claims_of(ADOPTED, None, author) == {annotation.AUTHOR: author}
    with pytest.raises(MarkRefused, match="author"):
        marks.claims_of(ADOPTED, None, "-1")


# --- Evidence.


def chain(hall):
    """Every statement of the ledger, opened with the hall's public command key."""
    public = SUITE.load_public(hall.signer.public_key)
    return [annotation.open(SUITE, public, row["statement"]) for row in hall.rows(schema.annotation)]


def test_every_annotation_verifies_and_names_its_record_and_the_one_before(hall):
    for seq, content in ((2, MISTAKEN), (5, {**MISTAKEN, "reason": "faked"}), (2, UNDO)):
        mark(hall, seq, content)
    found = chain(hall)
    digests = {row["seq"]: row["digest"] for row in hall.rows(schema.record, device="e-001")}
    assert [(one.number, one.seq, one.kind) for one, _ in found] == [(1, 2, 1), (2, 5, 1), (3, 2, 2)]
    stream = hall.devices["e-001"].stream
    assert {(one.hall, one.device, one.stream) for one, _ in found} == {("yongxing", "e-001", stream)}
    assert all(one.digest == digests[one.seq] for one, _ in found)
    before = annotation.GENESIS_PREV
    for one, digest in found:
        assert one.prev == before
        before = digest
    assert [row["digest"] for row in hall.rows(schema.annotation)] == [digest for _, digest in found]


def test_the_chain_goes_on_over_a_restart_and_a_rollback(hall, tmp_path):
    mark(hall, 2, MISTAKEN)
    (first_row,) = hall.rows(schema.annotation)

    def fail(connection):
        connection.execute(insert(schema.annotation), [{**first_row, "number": 2}])
        raise ValueError("the disk")

    with pytest.raises(ValueError, match="the disk"):
        hall.ledger.write(fail).result()
    hall.stop()
    again = WebHall(tmp_path, keys=hall.keys)
    again.devices = hall.devices
    assert mark(again, 3, MISTAKEN).status_code == 201
    (first, digest), (second, _) = chain(again)
    assert (first.number, second.number, second.prev) == (1, 2, digest)
    again.stop()


def test_what_was_said_cannot_be_changed_unseen(hall):
    mark(hall, 2, MISTAKEN)
    (row,) = hall.rows(schema.annotation)
    statement = row["statement"].replace(b"S009", b"S001")
    public = SUITE.load_public(hall.signer.public_key)
    with pytest.raises(Refused, match="signature"):
        annotation.open(SUITE, public, statement)


# --- Where a mark goes.


def counted(hall):
    with hall.business(AUDIT_TOKEN) as client:
        return client.get("/api/v1/reconciliation").json()


def test_nothing_vanishes_from_the_counts_of_records(hall):
    hall.project()
    before = counted(hall)["by_device"]["e-001"]
    assert before["not_adopted"] == {"ledger": 0, "timeseries": 0}
    mark(hall, 2, MISTAKEN)
    mark(hall, 3, MISTAKEN)
    mark(hall, 3, UNDO)
    waiting = counted(hall)
    assert waiting["pending"]["timeseries_annotations"] == waiting["pending"]["live_annotations"] == 3
    assert waiting["by_device"]["e-001"]["not_adopted"] == {"ledger": 1, "timeseries": 0}
    hall.project()
    seen = counted(hall)
    assert set(seen["pending"].values()) == {0}
    assert seen["annotations"] == {"position": 3, "not_adopted": 1, "dead_letters": {}}
    after = seen["by_device"]["e-001"]
    assert after["not_adopted"] == {"ledger": 1, "timeseries": 1}
    assert {**after, "not_adopted": None} == {**before, "not_adopted": None}
    assert after["ledger"] == after["timeseries"] == {"ratings": 6, "punches": 0, "events": 1}


def test_the_rates_count_adopted_ratings_only_and_again_when_it_is_taken_back(hall):
    def levels():
        hall.project()
        return hall.timeseries.rates(MORNING_S - 900, MORNING_S + 900).levels

    assert levels() == [1, 1, 1, 1, 1]
    mark(hall, 2, MISTAKEN)
    assert levels() == [0, 1, 1, 1, 1]
    mark(hall, 2, UNDO)
    assert levels() == [1, 1, 1, 1, 1]


def test_a_mark_may_come_to_the_time_series_before_its_point(hall):
    mark(hall, 2, MISTAKEN)
    while hall.notebook.projections["timeseries_annotations"].step():
        pass
    assert hall.timeseries.not_adopted() == {}
    hall.project()
    assert hall.timeseries.not_adopted() == {"e-001": 1}


def test_a_lost_time_series_is_built_again_with_its_marks(hall, tmp_path):
    mark(hall, 2, MISTAKEN)
    hall.project()
    hall.stop()
    for path in tmp_path.glob("timeseries.duckdb*"):
        path.unlink()
    again = WebHall(tmp_path, keys=hall.keys)
    again.project()
    assert again.timeseries.not_adopted() == {"e-001": 1}
    assert again.timeseries.counts()["e-001"].ratings == 6
    again.stop()


def test_a_page_written_twice_changes_nothing(hall):
    for content in (MISTAKEN, UNDO, MISTAKEN):
        mark(hall, 2, content)
    page = hall.notebook.source.records_after(0, 100)
    hall.project()
    hall.timeseries.annotate(page)
    hall.timeseries.annotate(page[-1:])
    assert (hall.timeseries.not_adopted(), hall.timeseries.annotated()) == ({"e-001": 1}, 3)


def test_a_mark_reaches_the_feed_of_no_window(hall):
    hall.project()
    before = hall.live.snapshot()["feed"]
    mark(hall, 2, MISTAKEN)
    hall.project()
    assert hall.live.snapshot()["feed"] == before


def test_unknown_records_and_events_are_never_marked_by_the_way(hall):
    device = hall.devices["e-001"]
    hall.take(device.event(event.BOOT))
    mark(hall, 2, MISTAKEN)
    assert {row["record"] for row in hall.rows(schema.annotation)} == {2}


def test_a_rating_that_retention_took_away_counts_as_not_adopted_nowhere(hall):
    for seq in (2, 3, 4):
        mark(hall, seq, MISTAKEN)
    hall.project()
    cutoff_s = MORNING_S + 900
    hall.ledger.write(lambda connection: retention.remove_records(connection, "ratings", 3, cutoff_s, 1)).result()
    hall.timeseries.remove(record.RATING, cutoff_s, 3)
    seen = counted(hall)
    assert seen["annotations"]["not_adopted"] == 1
    assert seen["by_device"]["e-001"]["not_adopted"]["ledger"] == 1
    mark(hall, 4, UNDO)
    assert counted(hall)["by_device"]["e-001"]["not_adopted"]["ledger"] == 0


def test_what_was_said_of_a_point_goes_with_it_and_nothing_else(hall):
    mark(hall, 2, MISTAKEN)
    hall.project()
    assert hall.timeseries.remove(record.PUNCH, MORNING_S + 900, 99) == 1
    assert hall.timeseries.not_adopted() == {"e-001": 1}
    assert hall.timeseries.remove(record.RATING, MORNING_S + 900, 99) == 6
    assert hall.timeseries._rows("FROM standing") == []
    assert len(hall.rows(schema.annotation)) == 1, "the ledger's own word stays"
