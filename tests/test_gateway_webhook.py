"""The webhook: every outcome is told, signed, to the one receiver, once it is there; and nothing that names anybody."""

import json

import httpx
import pytest
from gateway_hall import GatewayHall
from webhook_receiver import SECRET, SECRET_LINE, WebhookReceiver

from gateway import backoff, https_client, schema, webhook
from gateway.matter import Item, Matter
from gateway.section import ConfigurationError
from gateway.visit_book import DAY_S
from gateway.webhook import Webhook

THEME = Matter("theme", parts=(Item("1" * 31), Item("2" * 31)))


@pytest.fixture
def receiver(hall_dir):
    made = WebhookReceiver(hall_dir / "central" / "server.pem", hall_dir / "central" / "server.key")
    yield made
    made.close()


@pytest.fixture
def hall(tmp_path):
    made = GatewayHall(tmp_path, [("e-001", "evaluator")], rate_parts_of=("theme",))
    made.take(made.devices["e-001"].opened())
    yield made
    made.stop()


@pytest.fixture
def tell(hall, receiver, hall_dir):
    """Function (url, ca) -> Webhook of the hall; all are closed with the test."""
    clients = []

    def make(url=receiver.url, ca=hall_dir / "central" / "root.pem", of=hall):
        clients.append(https_client.connect(url, {}, ca))
        return Webhook(of.ledger, of.book, clients[-1], url, SECRET, "yongxing", of.metrics, jitter=lambda: 0.0)

    yield make
    for client in clients:
        client.close()


def rate(hall, visit, level=5):
    hall.take(hall.devices["e-001"].rating(level, visit=visit, comment="慢"))


def waiting(hall):
    return sorted(row["notice"] for row in hall.rows(schema.visit) if row["notice"] is not None)


def test_the_signature_is_that_of_standard_webhooks():
    """The example of the specification's own libraries."""
    secret = b"1\xf2\x90\xf6\xbf\x06)\x8a\xabO\x08\xd4<?\x08,\xf6H\xa3b\xda-\xa4\xb0"
    headers = webhook.sign(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_every_outcome_is_told_once_signed_and_by_the_id_of_the_answer(hall, receiver, tell):
    told = tell()
    opened = [hall.visits.open("01", f"BJ-{number}") for number in range(4)]  # each supersedes the one before
    rate(hall, "BJ-3", 1)
    assert told.step()
    assert told.step()
    states = dict(receiver.states())
    assert [states[one.id] for one in opened] == ["superseded"] * 3 + ["rated"]
    assert len(receiver.told) == 4
    assert all(one.signed for one in receiver.told)
    assert {one.content["type"] for one in receiver.told} == {"visit.superseded", "visit.rated"}
    assert waiting(hall) == []


def test_no_message_tells_a_level_a_time_or_who_it_was(hall, receiver, tell):
    bodies = []
    for level in (1, 5):
        hall.visits.open("01", f"BJ-2026-{level}", "S001", applicant={"name": "欧阳娜娜"})
        rate(hall, f"BJ-2026-{level}", level)
        tell().step()
        body = receiver.told[-1].raw.decode()
        assert "BJ-2026" not in body
        assert "欧阳" not in body
        bodies.append({**json.loads(body), "id": ""})
    assert bodies[0] == bodies[1]
    assert set(bodies[0]) == {"type", "hall", "id", "window", "state", "change"}


def test_the_outcome_of_parts_is_told_with_the_whole(hall, receiver, tell):
    opened = hall.visits.open("01", "BJ-1", about=THEME)
    rate(hall, "BJ-1#1")
    hall.watch.step()
    assert tell().step()
    assert receiver.told == []  # a part alone is no outcome
    rate(hall, "BJ-1#2", None)
    tell().step()
    assert receiver.states() == [(opened.id, "rated")]
    assert receiver.told[0].content["parts"] == ["rated", "timed_out"]


def test_a_visit_that_nobody_answers_or_that_is_taken_back_is_told_as_well(hall, receiver, tell):
    overdue = hall.visits.open("01", "BJ-1")
    hall.real.now_s += 100
    hall.watch.step()
    cancelled = hall.visits.open("01", "BJ-2")
    hall.visits.cancel("BJ-2")
    tell().step()
    assert sorted(receiver.states()) == sorted([(overdue.id, "closed"), (cancelled.id, "cancelled")])


def test_what_a_late_answer_changes_is_told_again_under_another_id(hall, receiver, tell):
    hall.visits.open("01", "BJ-1")
    hall.visits.cancel("BJ-1")
    told = tell()
    told.step()
    rate(hall, "BJ-1")
    told.step()
    assert [one.content["state"] for one in receiver.told] == ["cancelled", "rated"]
    assert [one.content["change"] for one in receiver.told] == [1, 2]
    assert len({one.id for one in receiver.told}) == 2


def test_a_change_while_the_message_is_on_its_way_is_told_afterwards(hall, receiver, tell):
    hall.visits.open("01", "BJ-1")
    hall.visits.cancel("BJ-1")

    def answer(content):
        if content["state"] == "cancelled":
            rate(hall, "BJ-1")
        return 204

    receiver.answer = answer
    told = tell()
    told.step()
    assert waiting(hall) == [0]
    told.step()
    assert [one.content["state"] for one in receiver.told] == ["cancelled", "rated"]


@pytest.mark.parametrize("status", [500, 503, 401, 403, 404, 429])
def test_an_outage_costs_no_message_however_long_it_lasts(hall, receiver, tell, status):
    hall.visits.open("01", "BJ-1")
    rate(hall, "BJ-1")
    receiver.answer = lambda content: status
    told = tell()
    assert not any(told.step() for _ in range(3 * webhook.REFUSALS_MAX))
    assert waiting(hall) == [0]
    receiver.answer = lambda content: 200
    assert told.step()
    assert len({one.id for one in receiver.told}) == 1  # the receiver tells a repeat by its id
    assert len(receiver.states()) == 1


def test_nothing_is_lost_while_the_gateway_restarts(hall, receiver, tell, tmp_path):
    opened = hall.visits.open("01", "BJ-1")
    rate(hall, "BJ-1")
    receiver.answer = lambda content: 503
    assert not tell().step()
    hall.stop()
    again = GatewayHall(tmp_path, keys=hall.keys)
    receiver.answer = lambda content: 204
    assert tell(of=again).step()
    assert receiver.states() == [(opened.id, "rated")]
    assert len({one.id for one in receiver.told}) == 1
    again.stop()


def test_a_message_that_is_refused_again_and_again_dies_counted_and_holds_up_no_other(hall, receiver, tell):
    bad = hall.visits.open("01", "BJ-1")
    rate(hall, "BJ-1")
    good = hall.visits.open("01", "BJ-2")
    rate(hall, "BJ-2")
    receiver.answer = lambda content: 400 if content["id"] == bad.id else 204
    told = tell()
    assert not told.step()
    assert receiver.states() == [(good.id, "rated")]
    for _ in range(webhook.REFUSALS_MAX):
        told.step()
    assert sum(one.content["id"] == bad.id for one in receiver.told) == webhook.REFUSALS_MAX
    assert hall.metrics.by_label("webhook_dead", "reason") == {"refused": 1}
    assert waiting(hall) == [-1]
    assert hall.visits.state("BJ-1").state == "rated"  # who asks is still told


def test_what_was_refused_waits_behind_what_was_not_tried_yet(hall, receiver, tell, monkeypatch):
    monkeypatch.setattr(webhook, "ROUND_MAX", 1)
    receiver.answer = lambda content: 400
    visits = [hall.visits.open("01", f"BJ-{number}").id for number in range(3)]
    for number in range(3):
        rate(hall, f"BJ-{number}")
    told = tell()
    for _ in visits:
        told.step()
    assert sorted(one.content["id"] for one in receiver.told) == sorted(visits)


def test_what_could_not_be_told_for_two_days_is_counted_and_goes(hall):
    hall.visits.open("01", "BJ-1")
    rate(hall, "BJ-1")
    hall.real.now_s += 2 * DAY_S
    hall.watch.step()
    assert hall.metrics.by_label("webhook_dead", "reason") == {"old": 1}
    assert hall.rows(schema.visit) == hall.rows(schema.visit_key) == []


def test_a_receiver_with_another_certificate_is_told_nothing(hall, receiver, tell):
    hall.visits.open("01", "BJ-1")
    rate(hall, "BJ-1")
    assert not tell(ca=None).step()  # the machine's own trust store does not know the hall
    assert receiver.told == []
    with pytest.raises(ValueError, match="https"):
        https_client.connect("http://127.0.0.1/outcomes", {}, None)


def test_a_redirect_is_not_followed(hall, receiver, tell):
    hall.visits.open("01", "BJ-1")
    rate(hall, "BJ-1")
    receiver.answer = lambda content: 307
    assert not tell().step()
    assert len(receiver.told) == 1


def test_the_thread_tells_by_itself_waits_longer_after_each_failure_and_ends(hall, receiver, tell, monkeypatch):
    monkeypatch.setattr(webhook, "LOOK_S", 0.01)
    told = tell()
    assert told._pause_s() == webhook.LOOK_S
    told.start()
    hall.visits.open("01", "BJ-1")
    rate(hall, "BJ-1")
    receiver.wait(lambda messages: messages)
    told.stop()
    assert not told.alive()
    pauses = []
    for failures in (1, 2, 3, 40):
        told._failures = failures
        pauses.append(told._pause_s())
    assert pauses == sorted(pauses)
    assert pauses[-1] == backoff.CAP_S / 2  # without chance


def test_after_a_full_round_the_next_one_comes_at_once(hall, receiver, tell, monkeypatch):
    monkeypatch.setattr(webhook, "ROUND_MAX", 2)
    for number in range(3):
        hall.visits.open("01", f"BJ-{number}")
        rate(hall, f"BJ-{number}")
    told = tell()
    pauses = [told._pause_s() for _ in range(2) if told.step()]
    assert pauses == [0, webhook.LOOK_S]
    assert len(receiver.told) == 3


def test_a_thread_whose_receiver_is_gone_goes_on(hall, tell, monkeypatch):
    def broken(*_, **__):
        raise httpx.ConnectError("refused")

    told = tell()
    monkeypatch.setattr(told._client, "stream", broken)
    hall.visits.open("01", "BJ-1")
    rate(hall, "BJ-1")
    assert not told.step()
    assert hall.metrics.by_label("webhook_failed", "reason") == {"ConnectError": 1}
    assert waiting(hall) == [0]


@pytest.mark.parametrize(
    "line", ["", "whsec_", "whsec_dG9vIHNob3J0", SECRET_LINE[6:], "whsec_!!!!", "whsec_" + "QUJD" * 22]
)
def test_a_secret_that_is_none_is_told_with_how_to_make_one_and_never_shown(tmp_path, line):
    path = tmp_path / "webhook.secret"
    path.write_text(line)
    path.chmod(0o600)
    with pytest.raises(ConfigurationError, match=r"\[webhook\] secret_file: .*openssl rand") as refused:
        webhook.read_secret(path)
    assert not line[6:] or line[6:] not in str(refused.value)


def test_a_secret_is_for_the_gateway_alone(tmp_path):
    path = tmp_path / "webhook.secret"
    path.write_text(SECRET_LINE)
    path.chmod(0o600)
    assert webhook.read_secret(path) == SECRET
    path.chmod(0o644)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        webhook.read_secret(path)
