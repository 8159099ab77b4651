"""The forwarder against the central double over real HTTPS: each record arrives once, whatever happens on the way."""

import io
import json
import logging
import time

import httpx
import pytest
from central_double import TOKEN
from gateway_hall import hall_of

from gateway import forwarder as forwarder_module
from gateway import logs
from gateway.dead_letters import DeadLetter, DeadLetters
from gateway.forwarder import RECORDS, Forwarder, central_client, read_verdicts
from gateway.projection import Projection, UnavailableError
from protocol import rating

IDENTITY = {rating.NAME: "欧阳娜娜", rating.PHONE: "13987654321"}


hall = hall_of(("e-001", "evaluator"), ("e-002", "evaluator"), ("c-001", "clock"))


@pytest.fixture
def dead_letters(tmp_path):
    made = DeadLetters(tmp_path / "dead-letters.db")
    yield made
    made.close()


def fill(hall, count=10):
    """`count` records of each evaluator and the clock's opening, committed."""
    first, second, clock = hall.devices.values()
    hall.take((clock, clock.opened()))
    for device in (first, second):
        messages = [device.opened()]
        messages += [
            device.rating(1 + at % 5, visit=f"{device.name}-{at}", identity=IDENTITY) for at in range(count - 1)
        ]
        hall.take(*[(device, message) for message in messages])
    return hall.records()


def forwarder(hall, client, dead_letters):
    head = hall.operator_log.head
    return Forwarder("yongxing", client, dead_letters, hall.metrics, hall.clock.now_s, RECORDS, head)


def test_a_page_arrives_with_signatures_and_sealed_identities(hall, double, dead_letters):
    page = fill(hall)
    with double.client() as client:
        forwarder(hall, client, dead_letters).take(page)
    summary = double.summary()
    assert (summary["records"], summary["duplicates_offered"], summary["refused"]) == (21, 0, {})
    assert summary["by_device"]["e-001"]["ratings"] == 9
    assert summary["disclosures_opened"] == 18 * 2
    assert summary["unmasked"] == 0
    assert hall.metrics.value("forwarded", verdict="stored") == 21
    assert dead_letters.by_reason() == {}


def test_what_comes_twice_is_a_success(hall, double, dead_letters):
    page = fill(hall)
    with double.client() as client:
        sender = forwarder(hall, client, dead_letters)
        sender.take(page)
        sender.take(page)
    assert double.summary()["records"] == 21
    assert hall.metrics.value("forwarded", verdict="duplicate") == 21
    assert dead_letters.by_reason() == {}


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ({"mode": "error", "status": 500}, "http_500"),
        ({"mode": "error", "status": 429}, "http_429"),
        ({"mode": "error", "status": 404}, "http_404"),
        ({"mode": "lost_answer"}, "http_500"),
        ({"mode": "garbage"}, "answer_unreadable"),
        ({"mode": "slow", "delay_s": 1, "count": 1}, "timeout"),
        # Turned away as a whole, every part of it as well: a wrong setting, not wrong records.
        ({"mode": "error", "status": 400}, "http_400"),
        ({"mode": "error", "status": 413}, "http_413"),
    ],
)
def test_no_outage_makes_a_dead_letter_and_all_arrive_once_afterwards(hall, double, dead_letters, fault, reason):
    page = fill(hall, 3)
    double.fail(**fault)
    # Only the fault that is a timeout needs a short one; every other exchange may be slow on a loaded machine.
    with double.client(timeout_s=0.4 if reason == "timeout" else 10) as client:
        with pytest.raises(UnavailableError) as raised:
            forwarder(hall, client, dead_letters).take(page)
        assert raised.value.reason == reason
        assert dead_letters.by_reason() == {}
    double.fail("none")
    with double.client(timeout_s=10) as client:
        forwarder(hall, client, dead_letters).take(page)
    summary = double.summary()
    assert (summary["records"], summary["distinct"], summary["refused"]) == (7, 7, {})


def test_a_wrong_token_is_an_outage_and_not_a_verdict(hall, double, dead_letters):
    page = fill(hall, 2)
    with double.client(token="wrong") as client, pytest.raises(UnavailableError, match="http_401"):
        forwarder(hall, client, dead_letters).take(page)
    assert dead_letters.by_reason() == {}


def test_nothing_is_sent_to_a_server_that_another_authority_vouches_for(hall, double, dead_letters, hall_dir):
    page = fill(hall, 2)
    stranger = hall_dir / "broker" / "server.pem"  # any certificate that did not sign the central system's
    client = central_client(double.url, TOKEN, stranger)
    with client, pytest.raises(UnavailableError, match="tls"):
        forwarder(hall, client, dead_letters).take(page)
    assert double.summary()["records"] == 0


def test_records_never_leave_unencrypted():
    with pytest.raises(ValueError, match="https"):
        central_client("http://central.example", TOKEN, None)


def test_a_central_system_that_is_not_there_is_an_outage(hall, dead_letters, hall_dir):
    page = fill(hall, 2)
    client = central_client("https://127.0.0.1:9", TOKEN, hall_dir / "central" / "root.pem")
    with client, pytest.raises(UnavailableError, match="connect"):
        forwarder(hall, client, dead_letters).take(page)


def test_a_refused_record_becomes_a_dead_letter_and_holds_nobody_up(hall, double, dead_letters):
    page = fill(hall, 3)
    double.fail("refuse", devices=["e-002"], reason="item is unknown")
    with double.client() as client:
        forwarder(hall, client, dead_letters).take(page)
    assert double.summary()["records"] == 4
    assert dead_letters.by_reason() == {"item is unknown": 3}
    kept = dead_letters.page()
    assert {(one.device, one.seq) for one in kept} == {("e-002", 1), ("e-002", 2), ("e-002", 3)}
    assert kept[0].refused_s == hall.clock.now_s()


def test_one_poisonous_record_is_found_among_many_and_set_aside(hall, double, dead_letters):
    page = fill(hall, 12)
    double.fail("error", status=422, devices=["c-001"])
    with double.client() as client:
        forwarder(hall, client, dead_letters).take(page)
    assert double.summary()["records"] == 24
    assert double.summary()["duplicates_offered"] == 0
    assert dead_letters.by_reason() == {"http_422": 1}
    assert dead_letters.page()[0].device == "c-001"


def test_a_poisonous_record_alone_waits_until_another_shows_that_it_is_not_the_line(hall, double, dead_letters):
    page = fill(hall, 2)
    double.fail("error", status=400, devices=["c-001"])
    with double.client() as client:
        sender = forwarder(hall, client, dead_letters)
        with pytest.raises(UnavailableError, match="http_400"):
            sender.take(page[:1])
        assert dead_letters.by_reason() == {}
        sender.take(page)
    assert dead_letters.by_reason() == {"http_400": 1}


def test_a_projection_carries_the_ledger_over_an_outage_and_a_restart(hall, double, dead_letters):
    fill(hall, 30)
    double.fail("error", count=2)

    def start(client):
        sender = forwarder(hall, client, dead_letters)
        projection = Projection(
            "central", hall.ledger, hall.ledger.cursor("central"), sender.take,
            lambda done: hall.ledger.set_cursor("central", done), hall.metrics, page_records=7, retry_cap_s=0.02,
        )  # fmt: skip
        projection.start()
        return projection

    with double.client() as client:
        projection = start(client)
        deadline = time.monotonic() + 10
        while hall.ledger.cursor("central") < 7 and time.monotonic() < deadline:
            time.sleep(0.005)
        projection.stop(0)
        again = start(client)
        assert again.stop(10)
    summary = double.summary()
    assert (summary["records"], summary["distinct"]) == (61, 61)
    assert hall.ledger.cursor("central") == hall.ledger.last_position()
    assert all(one["gaps"] == 0 for one in summary["by_device"].values())


def test_an_endless_answer_is_cut_off(monkeypatch, hall, double, dead_letters):
    page = fill(hall, 2)
    monkeypatch.setattr(forwarder_module, "ANSWER_BYTES_MAX", 10)
    with double.client() as client, pytest.raises(UnavailableError, match="answer_too_large"):
        forwarder(hall, client, dead_letters).take(page)


def test_a_redirect_is_not_followed(hall, dead_letters):
    page = fill(hall, 2)
    elsewhere = httpx.MockTransport(
        lambda request: httpx.Response(307, headers={"Location": "https://elsewhere.example"})
    )
    client = httpx.Client(base_url="https://central.example", transport=elsewhere)
    with client, pytest.raises(UnavailableError, match="http_307"):
        forwarder(hall, client, dead_letters).take(page)


@pytest.mark.parametrize(
    "answer",
    [b"", b"{}", b"[]", b'{"verdicts":3}', b'{"verdicts":[3]}', b'{"verdicts":[{"device":"e"}]}', b"[" * 100_000],
)
def test_an_answer_that_is_none_is_an_outage(answer):
    with pytest.raises(UnavailableError, match="answer_unreadable"):
        read_verdicts(answer)


def test_an_answer_without_a_verdict_for_every_record_is_an_outage(hall, dead_letters):
    page = fill(hall, 2)
    silent = httpx.MockTransport(lambda request: httpx.Response(200, json={"verdicts": []}))
    client = httpx.Client(base_url="https://central.example", transport=silent)
    with client, pytest.raises(UnavailableError, match="verdict_missing"):
        forwarder(hall, client, dead_letters).take(page)


def test_logs_of_a_refusal_hold_no_identity(hall, double, dead_letters, monkeypatch):
    page = fill(hall, 3)
    stream = io.StringIO()
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    logs.setup(stream, logging.DEBUG)
    double.fail("refuse", reason="欧阳娜娜 13987654321")  # a careless central system repeats what it read
    with double.client() as client:
        forwarder(hall, client, dead_letters).take(page)
    written = stream.getvalue()
    assert [json.loads(line)["event"] for line in written.splitlines()] == ["record refused by central"] * 7
    assert "欧阳" not in written
    assert "1398765" not in written


def letter(position, reason="item"):
    return DeadLetter(position, "e-001", "ab" * 8, position, reason, 1_790_000_000)


def test_dead_letters_are_kept_once_and_survive_a_restart(tmp_path):
    first = DeadLetters(tmp_path / "dead.db")
    assert first.add([letter(1), letter(2)]) == 0
    assert first.add([letter(2, "again"), letter(3)]) == 0
    first.close()
    second = DeadLetters(tmp_path / "dead.db")
    assert [(one.position, one.reason) for one in second.page()] == [(1, "item"), (2, "item"), (3, "item")]
    assert second.by_reason() == {"item": 3}
    second.close()


def test_dead_letters_are_bounded_and_what_found_no_place_is_counted(tmp_path):
    letters = DeadLetters(tmp_path / "dead.db", rows_max=2)
    assert letters.add([letter(1), letter(2), letter(3)]) == 1
    assert letters.add([letter(4)]) == 1
    assert len(letters.page()) == 2
    letters.close()


# --- The end of the operator log.


def operate(hall, count=1):
    """`count` lines; the head afterwards."""
    for _ in range(count):
        hall.operator_log.note("technician", "order", "c-001")
    return hall.operator_log.head()


def kept(double):
    with double.client() as client:
        heads = client.get("/api/v1/operator-heads").raise_for_status().json()["heads"]
    return [(one["number"], one["hash"]) for one in heads]


def test_every_batch_takes_the_end_of_the_operator_log_along(hall, double, dead_letters):
    page = fill(hall, 3)
    with double.client() as client:
        sender = forwarder(hall, client, dead_letters)
        sender.take(page[:3])
        first = operate(hall, 3)
        sender.take(page[3:])
    assert kept(double) == [(0, "00" * 32), (3, first.hash.hex())]
    told = double.summary()["operator_log"]
    assert told == {"number": 3, "hash": first.hash.hex(), "changed": 0, "shrank": 0}


def test_without_records_the_end_of_the_operator_log_goes_alone_and_once(hall, double, dead_letters):
    head = operate(hall, 2)
    with double.client() as client:
        sender = forwarder(hall, client, dead_letters)
        sender.tell_head()
        sender.tell_head()
        assert hall.metrics.value("forward_requests", status=200) == 1
        sender.take(fill(hall, 2))
        sender.tell_head()
        assert hall.metrics.value("forward_requests", status=200) == 2
        double.fail("error", status=400)
        operate(hall)
        with pytest.raises(UnavailableError, match="http_400"):
            sender.tell_head()
    assert kept(double) == [(2, head.hash.hex())]


def test_a_log_that_was_written_anew_is_found_at_the_central_system(hall, double, dead_letters):
    page = fill(hall, 3)
    operate(hall, 3)
    with double.client() as client:
        sender = forwarder(hall, client, dead_letters)
        sender.take(page)
        hall.ledger.write(
            lambda connection: connection.exec_driver_sql("DELETE FROM operator_action WHERE number >= 2") and None
        ).result()
        sender.take(page)
        assert double.summary()["operator_log"]["shrank"] == 0  # may have been on its way when a newer one came
        sender.take(page)
        assert double.summary()["operator_log"]["shrank"] == 1
        hall.real.now_s += 60
        operate(hall, 2)
        sender.take(page)
    assert double.summary()["operator_log"]["changed"] == 1


def test_a_batch_that_was_late_accuses_nobody(double):
    store = double.store
    for number, digest in ((5, "aa"), (4, "bb"), (6, "cc"), (3, "dd"), (6, "cc")):
        store.take_operator_head(number, digest * 32)
    assert double.summary()["operator_log"] == {"number": 6, "hash": "cc" * 32, "changed": 0, "shrank": 0}
