"""Quarantine and operator log over HTTP: who may see what, page by page, and offer messages again."""

import json

import pytest
from sealed_pair import flip
from sealing_device import SUITE, SealingDevice
from sqlalchemy.exc import OperationalError
from web_hall import AUDIT_TOKEN, BUSINESS_TOKEN, TECHNICIAN_TOKEN, WebHall

from gateway import schema
from gateway.quarantine import OFFERED_MAX
from gateway.quarantine_view import structure
from gateway.tokens import ApiTokens
from protocol import cbor, rating
from protocol import topic as topics

IDENTITY = {rating.NAME: "欧阳娜娜", rating.PHONE: "13987654321"}
READMIT = "/api/v1/quarantine/readmit"


@pytest.fixture
def hall(tmp_path):
    made = WebHall(tmp_path, [("e-001", "evaluator"), ("c-001", "clock")], started=True)
    yield made
    made.stop()


@pytest.fixture
def stranger(hall):
    return SealingDevice("e-009", hall.public)


def get(hall, path, token=TECHNICIAN_TOKEN, **query):
    with hall.business(token) as client:
        return client.get(path, params=query)


def post(hall, content, token=TECHNICIAN_TOKEN, path=READMIT):
    with hall.business(token) as client:
        return client.post(path, json=content)


def ids(answer):
    return [one["id"] for one in answer.json()["messages"]]


def enrol(hall, device, status="active"):
    hall.devices[device.name] = device
    hall.write_registry(**{device.name.replace("-", "_"): status})


def fill(hall, stranger):
    """Ids 1 to 6: unknown, unknown, decrypt, retained, size, topic."""
    evaluator = hall.devices["e-001"]
    hall.take((stranger, stranger.opened()), (stranger, stranger.rating(2, visit="A-17", identity=IDENTITY)))
    hall.take((evaluator, flip(evaluator.opened(), -160)))
    hall.take((evaluator, evaluator.event()), retained=True)
    hall.take((evaluator, bytes(5000)))
    hall.take((evaluator, b"\xd1"), on="hallseal/1/yongxing/e-001/other")


# --- The list.


def test_the_list_is_newest_first_and_filtered_by_reason_device_and_topic(hall, stranger):
    fill(hall, stranger)
    path = "/api/v1/quarantine"
    answer = get(hall, path)
    assert ids(answer) == [6, 5, 4, 3, 2, 1]
    assert answer.json()["by_reason"] == {"decrypt": 1, "retained": 1, "size": 1, "topic": 1, "unknown": 2}
    assert answer.json()["next"] is None
    assert ids(get(hall, path, reason="unknown")) == [2, 1]
    assert ids(get(hall, path, device="e-001")) == [5, 4, 3]
    assert ids(get(hall, path, device="e-001", reason="size")) == [5]
    assert ids(get(hall, path, topic="hallseal/1/yongxing/e-001/other")) == [6]
    assert ids(get(hall, path, topic="hallseal/1/yongxing/%")) == []


def test_the_list_comes_in_pages_and_no_message_is_left_out(hall, stranger):
    fill(hall, stranger)
    seen, before = [], None
    while True:
        answer = get(hall, "/api/v1/quarantine", limit=4, **({"before": before} if before else {}))
        seen += ids(answer)
        before = answer.json()["next"]
        if before is None:
            break
    assert seen == [6, 5, 4, 3, 2, 1]


BAD_QUESTIONS = [
    ({"limit": 0}, "limit"),
    ({"limit": 1001}, "limit"),
    ({"reason": "王"}, "reason"),
    ({"device": "E 1"}, "device"),
    ({"before": 0}, "before"),
    ({"before": 1 << 63}, "before"),
    ({"topic": "t" * 201}, "topic"),
]


def test_a_bad_question_is_refused_with_the_name_of_its_field(hall):
    for query, error in BAD_QUESTIONS:
        answer = get(hall, "/api/v1/quarantine", **query)
        assert (answer.status_code, answer.json()) == (422, {"error": "field", "fields": [error]}), query


def test_device_and_topic_exclude_each_other(hall):
    answer = get(hall, "/api/v1/quarantine", device="e-001", topic=topics.up("yongxing", "e-001"))
    assert (answer.status_code, answer.json()) == (422, {"error": "selection"})


# --- One message.


def test_a_message_is_shown_from_outside_only(hall, stranger):
    fill(hall, stranger)
    answer = get(hall, "/api/v1/quarantine/2")
    shown = answer.json()
    outside = shown["structure"]
    assert outside.pop("sealed_bytes") > 300
    assert outside == {"device": "e-009", "algorithm": 31, "epoch": 1, "type": "hs-rec"}
    assert (shown["reason"], shown["whole"], shown["offered"]) == ("unknown", True, 1)
    assert shown["meaning"] == "the registry has no such device"
    assert len(shown["digest"]) == 64
    kept = hall.rows(schema.quarantine, id=2)[0]["message"]
    assert kept[40:60].hex() not in answer.text
    assert "message" not in shown


NOISE = (
    b"",
    b"\xd1",
    bytes(300),
    b"\xd0\x83\x41",
    b"\xd0\x83\x44\xa1\x04\x41\xff",
    b"\xd0\x83\x4c" + "欧阳娜娜".encode(),
)


def test_the_outside_of_noise_is_empty():
    for message in NOISE:
        assert set(structure(message)) == {None}, message


def test_a_header_that_says_something_else_than_ours_is_not_repeated(hall):
    header = cbor.encode({1: 13987654321, 4: "欧阳娜娜".encode(), 10: b"13987654321", 16: "13987654321"})
    hall.take((hall.devices["e-001"], b"\xd0\x83" + cbor.encode(header)))
    answer = get(hall, "/api/v1/quarantine/1")
    assert set(answer.json()["structure"].values()) == {None}
    assert "13987654321" not in answer.text


def test_a_message_that_is_not_there_is_said(hall):
    assert (get(hall, "/api/v1/quarantine/7").status_code, get(hall, "/api/v1/quarantine/7").json()) == (
        404, {"error": "message"},
    )  # fmt: skip
    assert get(hall, "/api/v1/quarantine/x").status_code == 422


# --- Offering again.


def test_messages_are_offered_again_by_number(hall, stranger):
    fill(hall, stranger)
    enrol(hall, stranger)
    answer = post(hall, {"ids": [1, 2, 3, 5, 99]})
    assert answer.json() == {
        "results": [
            {"id": 1, "result": "stored"}, {"id": 2, "result": "stored"},
            {"id": 3, "result": "refused", "reason": "decrypt"}, {"id": 5, "result": "cut"},
            {"id": 99, "result": "gone"},
        ],
        "next": None,
    }  # fmt: skip
    assert ids(get(hall, "/api/v1/quarantine")) == [6, 5, 4, 3]
    assert [one["result"] for one in post(hall, {"ids": [1, 2]}).json()["results"]] == ["gone", "gone"]
    assert hall.ledger.last_position() == 2


def test_all_of_a_reason_come_back_page_by_page_and_what_stays_is_not_offered_for_ever(hall, stranger):
    other = SealingDevice("e-010", hall.public)
    hall.take((stranger, stranger.opened()), *((stranger, stranger.event()) for _ in range(OFFERED_MAX - 4)))
    hall.take(*((other, other.event()) for _ in range(10)))
    hall.take(*((stranger, stranger.event()) for _ in range(5)))
    enrol(hall, stranger)
    results, content = [], {"reason": "unknown"}
    while True:
        answer = post(hall, content).json()
        results += [one["result"] for one in answer["results"]]
        if answer["next"] is None:
            break
        content["after"] = answer["next"]
    assert (results.count("stored"), results.count("refused"), len(results)) == (OFFERED_MAX + 2, 10, OFFERED_MAX + 12)
    assert post(hall, {"device": "e-009"}).json() == {"results": [], "next": None}


BAD_REQUESTS = [
    ({}, {"error": "selection"}),
    ({"after": 1}, {"error": "selection"}),
    ({"ids": [1], "reason": "unknown"}, {"error": "selection"}),
    ({"ids": []}, {"error": "field", "fields": ["ids"]}),
    ({"ids": [0]}, {"error": "field", "fields": ["ids.0"]}),
    ({"ids": list(range(1, OFFERED_MAX + 2))}, {"error": "field", "fields": ["ids"]}),
    ({"reason": "x y"}, {"error": "field", "fields": ["reason"]}),
    ({"device": "../e"}, {"error": "field", "fields": ["device"]}),
    ({"all": True}, {"error": "field", "fields": ["all"]}),
]


def test_a_request_must_say_which_messages(hall):
    for content, answer in BAD_REQUESTS:
        got = post(hall, content)
        assert (got.status_code, got.json()) == (422, answer), content
    assert {one.action for one in hall.operator_log.lines_after(0, 9)} <= {"login"}


def test_a_disk_that_is_full_is_said_and_nothing_has_changed(hall, stranger, monkeypatch):
    fill(hall, stranger)
    enrol(hall, stranger)

    def full(*_):
        raise OperationalError("insert", {}, OSError("disk I/O error"))

    with monkeypatch.context() as patched:
        patched.setattr(hall.admission, "admit", full)
        answer = post(hall, {"ids": [1]})
    assert (answer.status_code, answer.json(), answer.headers["retry-after"]) == (503, {"error": "busy"}, "5")
    assert post(hall, {"ids": [1]}).json()["results"] == [{"id": 1, "result": "stored"}]


# --- Who may.


def test_only_the_technician_works_with_the_quarantine(hall, stranger):
    fill(hall, stranger)
    enrol(hall, stranger)
    for token in (BUSINESS_TOKEN, AUDIT_TOKEN, TECHNICIAN_TOKEN + "x", "x"):
        asked = get(hall, "/api/v1/quarantine", token), get(hall, "/api/v1/quarantine/1", token)
        for answer in (*asked, post(hall, {"ids": [1]}, token)):
            assert (answer.status_code, answer.json()) == (401, {"error": "token"})
    assert hall.ledger.last_position() == 0


def test_without_tokens_quarantine_and_operator_log_are_closed(tmp_path):
    hall = WebHall(tmp_path, [("e-001", "evaluator")], tokens=ApiTokens(BUSINESS_TOKEN))
    assert get(hall, "/api/v1/quarantine").json() == {"error": "quarantine_closed"}
    assert post(hall, {"ids": [1]}).json() == {"error": "quarantine_closed"}
    assert get(hall, "/api/v1/operator-log", AUDIT_TOKEN).json() == {"error": "counts_closed"}
    hall.stop()


# --- The operator log.


def test_the_auditor_reads_the_operator_log_page_by_page(hall):
    for number in range(5):
        hall.operator_log.note("technician", "order", "c-001", slot=number)
    answer = get(hall, "/api/v1/operator-log", AUDIT_TOKEN, limit=2)
    first = answer.json()["lines"]
    assert [one["details"] for one in first] == [{"slot": 0}, {"slot": 1}]
    assert first[1]["previous"] == first[0]["hash"]
    assert answer.json()["next"] == 2
    rest = get(hall, "/api/v1/operator-log", AUDIT_TOKEN, after=2, limit=1000).json()
    assert [one["number"] for one in rest["lines"]] == [3, 4, 5, 6]
    assert rest["lines"][-1]["action"] == "login"
    assert rest["head"] == {"number": 6, "hash": rest["lines"][-1]["hash"]}
    assert rest["next"] is None
    assert get(hall, "/api/v1/operator-log", TECHNICIAN_TOKEN).status_code == 401


def test_the_counts_state_the_head_of_the_operator_log(hall):
    hall.operator_log.note("technician", "order", "c-001")
    head = get(hall, "/api/v1/reconciliation", AUDIT_TOKEN).json()["operator_log"]
    lines = {one.number: one.hash.hex() for one in hall.operator_log.lines_after(0, 9)}
    assert lines[head["number"]] == head["hash"]


def test_an_export_is_told_by_whoever_made_it(hall):
    path = "/api/v1/operator-log/exports"
    digest = SUITE.sha256(b"a bundle").hex()
    answer = post(hall, {"digest": digest, "records": 1200}, AUDIT_TOKEN, path)
    assert answer.status_code == 201
    line = next(one for one in hall.operator_log.lines_after(0, 9) if one.action == "export")
    assert (line.actor, json.loads(line.details)) == ("audit", {"digest": digest, "records": 1200})
    assert answer.json() == {"number": line.number, "hash": line.hash.hex()}
    for wrong in ({"digest": "x", "records": 1}, {"digest": digest, "records": -1}, {"digest": digest}):
        assert post(hall, wrong, AUDIT_TOKEN, path).status_code == 422
    assert post(hall, {"digest": digest, "records": 1}, TECHNICIAN_TOKEN, path).status_code == 401
