"""Orders of a technician: for the right device only, signed like every command, and never left lying about."""

import queue
import time

import pytest
from sealing_device import MORNING_S
from web_hall import AUDIT_TOKEN, BUSINESS_TOKEN, TECHNICIAN_TOKEN, WebHall

from gateway import orders
from gateway.orders import DECOMMISSION, DELETE_FINGER, ENROL, OrderRefused, decide
from gateway.registry import ACTIVE, CLOCK, EVALUATOR, PENDING, REVOKED, Device
from gateway.tokens import ApiTokens
from protocol import command, event

DEVICES = [("e-001", "evaluator"), ("c-001", "clock")]


@pytest.fixture
def hall(tmp_path):
    made = WebHall(tmp_path, DEVICES, started=True)
    yield made
    made.stop()


def device(kind=CLOCK, status=ACTIVE):
    return Device("c-001", kind, "D1", status, b"", b"", None)


def give(hall, name, content, token=TECHNICIAN_TOKEN):
    with hall.business(token) as client:
        return client.post(f"/api/v1/devices/{name}/orders", json=content)


def commands(hall, name, count=1):
    return [content for what, content in hall.down(hall.devices[name], count) if what == "command"]


def is_silent(hall):
    """True when nothing comes down within half a second."""
    with hall.grown:
        return not hall.grown.wait_for(lambda: hall.published, 0.5)


# --- The decision.


@pytest.mark.parametrize(
    ("order", "slot", "confirm", "decision"),
    [
        (ENROL, 0, None, (command.ENROL, {command.SLOT: 0}, 300)),
        (DELETE_FINGER, 0xFFFF, None, (command.DELETE_FINGER, {command.SLOT: 0xFFFF}, 3600)),
        (DECOMMISSION, None, "c-001", (command.DECOMMISSION, {command.RETIRED: "c-001"}, 86_400)),
    ],
)
def test_an_order_becomes_its_command(order, slot, confirm, decision):
    assert decide(device(), order, slot, confirm) == decision


def test_only_a_clock_has_fingers_and_every_device_can_be_decommissioned():
    for order in (ENROL, DELETE_FINGER):
        with pytest.raises(OrderRefused, match="kind"):
            decide(device(EVALUATOR), order, 1, None)
    assert decide(device(EVALUATOR), DECOMMISSION, None, "c-001").kind == command.DECOMMISSION


@pytest.mark.parametrize("status", [PENDING, REVOKED])
def test_a_device_that_is_not_active_gets_no_order(status):
    for order, slot, confirm in ((ENROL, 1, None), (DELETE_FINGER, 1, None), (DECOMMISSION, None, "c-001")):
        with pytest.raises(OrderRefused, match="status"):
            decide(device(status=status), order, slot, confirm)


@pytest.mark.parametrize(
    ("order", "slot", "confirm", "reason"),
    [
        (ENROL, None, None, "slot"), (DELETE_FINGER, None, None, "slot"), (ENROL, 1, "c-001", "confirm"),
        (DECOMMISSION, None, None, "confirm"), (DECOMMISSION, None, "", "confirm"),
        (DECOMMISSION, None, "c-002", "confirm"), (DECOMMISSION, None, "C-001", "confirm"),
        (DECOMMISSION, 1, "c-001", "slot"),
    ],
)  # fmt: skip
def test_an_order_is_given_with_what_belongs_to_it_and_nothing_else(order, slot, confirm, reason):
    with pytest.raises(OrderRefused, match=reason):
        decide(device(), order, slot, confirm)


# --- From the request to the device.


@pytest.mark.parametrize(
    ("name", "content", "kind", "claims", "life_s"),
    [
        ("c-001", {"order": "enrol", "slot": 7}, command.ENROL, {command.SLOT: 7}, orders.ENROL_LIFE_S),
        ("c-001", {"order": "delete_finger", "slot": 0}, command.DELETE_FINGER, {command.SLOT: 0}, 3600),
        ("e-001", {"order": "decommission", "confirm": "e-001"}, command.DECOMMISSION, {1: "e-001"}, 24 * 3600),
    ],
)
def test_an_order_reaches_its_device_as_a_signed_command(hall, name, content, kind, claims, life_s):
    answer = give(hall, name, content)
    expires_s = MORNING_S + life_s
    assert answer.status_code == 202
    assert answer.json() == {"device": name, "order": content["order"], "expires_s": expires_s}
    (sent,) = commands(hall, name)
    assert (sent.kind, sent.claims, sent.expires_s, sent.device) == (kind, claims, expires_s, name)
    assert hall.metrics.value("orders", order=content["order"]) == 1


def test_only_the_technician_gives_orders(hall):
    content = {"order": "decommission", "confirm": "c-001"}
    for token in (BUSINESS_TOKEN, AUDIT_TOKEN, TECHNICIAN_TOKEN[:-1], TECHNICIAN_TOKEN + "x", "x"):
        answer = give(hall, "c-001", content, token)
        assert (answer.status_code, answer.json()) == (401, {"error": "token"}), token
    with hall.client() as client:
        assert client.post("/api/v1/devices/c-001/orders", json=content).status_code == 401
        assert client.get("/api/v1/devices/c-001/orders").status_code == 405
    assert is_silent(hall)


def test_the_technician_sees_neither_visits_nor_counts(hall):
    with hall.business(TECHNICIAN_TOKEN) as client:
        assert client.get("/api/v1/reconciliation").status_code == 401
        assert client.post("/api/v1/visits", json={"window": "01", "visit": "A-17"}).status_code == 401


def test_without_a_token_no_device_takes_orders(tmp_path):
    hall = WebHall(tmp_path, DEVICES, tokens=ApiTokens(BUSINESS_TOKEN, AUDIT_TOKEN))
    for token in ("None", BUSINESS_TOKEN, AUDIT_TOKEN):
        answer = give(hall, "c-001", {"order": "enrol", "slot": 7}, token)
        assert (answer.status_code, answer.json()) == (403, {"error": "orders_closed"})
    hall.stop()


def test_an_order_that_no_device_can_take_is_told(hall):
    for name, content, status, error in (
        ("c-002", {"order": "enrol", "slot": 7}, 404, "device"),
        ("c-002", {"order": "decommission", "confirm": "c-002"}, 404, "device"),
        ("e-001", {"order": "enrol", "slot": 7}, 409, "kind"),
        ("e-001", {"order": "delete_finger", "slot": 7}, 409, "kind"),
        ("c-001", {"order": "enrol"}, 422, "slot"),
        ("c-001", {"order": "decommission"}, 422, "confirm"),
        ("c-001", {"order": "decommission", "confirm": "e-001"}, 422, "confirm"),
    ):
        answer = give(hall, name, content)
        assert (answer.status_code, answer.json()) == (status, {"error": error}), content
    assert is_silent(hall)


def test_a_bad_body_is_refused_with_the_name_of_its_field(hall):
    for content, field in (
        ({}, "order"),
        ({"order": "reboot"}, "order"),
        ({"order": "enrol", "slot": -1}, "slot"),
        ({"order": "enrol", "slot": 0x10000}, "slot"),
        ({"order": "enrol", "slot": "7"}, "slot"),
        ({"order": "enrol", "slot": True}, "slot"),
        ({"order": "enrol", "slot": 7, "staff": "S001"}, "staff"),
        ({"order": "decommission", "confirm": "c" * 33}, "confirm"),
    ):
        answer = give(hall, "c-001", content)
        assert (answer.status_code, answer.json()) == (422, {"error": "field", "fields": [field]}), content
    assert is_silent(hall)


def test_a_revoked_device_gets_no_order(hall):
    hall.write_registry(c_001="revoked")
    hall.registry._file._checked_s = None
    hall.registry.refresh(0)
    answer = give(hall, "c-001", {"order": "enrol", "slot": 7})
    assert (answer.status_code, answer.json()) == (409, {"error": "status"})
    assert is_silent(hall)


class Unread(queue.Queue):
    """Nobody takes anything out."""

    def get(self, block=True, timeout=None):
        time.sleep(timeout or 0)
        raise queue.Empty


def test_an_order_for_which_there_is_no_room_is_refused(hall, monkeypatch):
    monkeypatch.setattr(hall.downlink, "_queue", Unread(1))
    assert give(hall, "c-001", {"order": "enrol", "slot": 7}).status_code == 202
    answer = give(hall, "c-001", {"order": "enrol", "slot": 7})
    assert (answer.status_code, answer.json()) == (503, {"error": "busy"})
    assert int(answer.headers["retry-after"]) > 0
    monkeypatch.undo()


def test_an_order_waits_for_a_broken_link_and_not_longer_than_it_is_worth(hall):
    hall.linked = False
    give(hall, "c-001", {"order": "enrol", "slot": 1})
    give(hall, "c-001", {"order": "delete_finger", "slot": 2})
    assert is_silent(hall)
    hall.real.now_s += orders.ENROL_LIFE_S + 1
    hall.linked = True
    (sent,) = commands(hall, "c-001")
    assert (sent.kind, sent.claims) == (command.DELETE_FINGER, {command.SLOT: 2})
    assert is_silent(hall)


def test_what_a_device_did_is_told_with_its_digest_and_who_allowed_it(hall):
    clock = hall.devices["c-001"]
    hall.take(
        (clock, clock.opened()),
        (clock, clock.event(event.FINGER_ENROLLED, VALUE=7, TEXT="S007", BY="S001")),
        (clock, clock.event(event.CRASH, TEXT="MemoryError", DIGEST=bytes(range(16)))),
    )
    assert [one.claims for one in hall.records()][1:] == [
        {"code": 11, "text": "S007", "value": 7, "by": "S001"},
        {"code": 9, "text": "MemoryError", "digest": "000102030405060708090a0b0c0d0e0f"},
    ]
    hall.project()
    assert hall.timeseries.counts()["c-001"].events == 3
