"""Pseudonyms: one person is the same within a month, and nobody can tell beyond it."""

import dataclasses
import datetime

import pytest
from gateway_hall import SETTINGS, GatewayHall, hall_of
from sqlalchemy.exc import OperationalError

from gateway import live, schema, timeseries
from gateway.forwarder import entry
from gateway.opening import Arrival
from gateway.pseudonym import month_of, of_identity
from protocol import rating

CHINA_S = 8 * 3600
KEY, OTHER_KEY = bytes(range(32)), bytes(range(1, 33))
NUMBER, PHONE = "11010119900307851X", "13987654321"


hall = hall_of(("e-001", "evaluator"), ("c-001", "clock"))


def rate(hall, *identities, level=2):
    """The pseudonyms of ratings that these identities give now."""
    device, now_s = hall.devices["e-001"], int(hall.real.now_s)
    first = hall.ledger.last_position()
    messages = [device.rating(level, now_s, identity=one) for one in identities]
    hall.take(*([] if first else [device.opened()]), *messages)
    return [one.pseudonym for one in hall.ledger.records_after(first, 100) if one.kind == 1]


def at(text):
    return int(datetime.datetime.fromisoformat(text).timestamp())


def keys_in(hall):
    return [row["key"] for row in hall.rows(schema.pseudonym_key)]


SAME = [
    ({rating.ID_NUMBER: NUMBER}, {rating.ID_NUMBER: " 110101 19900307 851x"}),
    ({rating.ID_NUMBER: NUMBER}, {rating.ID_NUMBER: NUMBER, rating.PHONE: PHONE, rating.NAME: "张三"}),
    ({rating.ID_NUMBER: "H12345678"}, {rating.ID_NUMBER: "h1234567802"}),
    ({rating.PHONE: PHONE}, {rating.PHONE: "+86 139-8765-4321"}),
    ({rating.PHONE: PHONE}, {rating.PHONE: "１３９８７６５４３２１", rating.NAME: "李四"}),
    ({rating.PHONE: "010-12345678"}, {rating.PHONE: "+86 10 1234 5678"}),
]
DIFFERENT = [
    ({rating.ID_NUMBER: NUMBER}, {rating.ID_NUMBER: "110101199003078515"}),
    ({rating.ID_NUMBER: NUMBER}, {rating.PHONE: PHONE}),
    ({rating.ID_NUMBER: PHONE}, {rating.PHONE: PHONE}),  # the same digits in another field
    ({rating.PHONE: "010-12345678"}, {rating.PHONE: "021-12345678"}),
    ({rating.PHONE: "010-12345678-801"}, {rating.PHONE: "010-12345678-802"}),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_one_person_has_one_pseudonym_however_the_identity_was_typed(one, other):
    assert of_identity(KEY, one) == of_identity(KEY, other)
    assert len(bytes.fromhex(of_identity(KEY, one))) == 16


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_two_persons_have_two(one, other):
    assert of_identity(KEY, one) != of_identity(KEY, other)


def test_another_key_makes_another_pseudonym():
    assert of_identity(KEY, {rating.PHONE: PHONE}) != of_identity(OTHER_KEY, {rating.PHONE: PHONE})


@pytest.mark.parametrize("identity", [{}, {rating.NAME: "张三"}, {rating.ID_NUMBER: "", rating.PHONE: "无"}])
def test_a_name_alone_is_no_identity(identity):
    assert of_identity(KEY, identity) is None


def test_a_month_is_that_of_the_hall():
    assert month_of(at("2026-09-30T15:59:59+00:00"), CHINA_S) == 12 * 2026 + 8
    assert month_of(at("2026-09-30T16:00:00+00:00"), CHINA_S) == 12 * 2026 + 9
    assert month_of(at("2026-12-31T16:00:00+00:00"), CHINA_S) == 12 * 2027


def test_the_same_person_shows_within_the_month_and_after_a_restart(hall, tmp_path):
    first, second, third = rate(hall, {rating.PHONE: PHONE}, {rating.PHONE: "13800001111"}, {rating.PHONE: PHONE})
    assert first == third != second
    hall.stop()
    again = GatewayHall(tmp_path, keys=hall.keys)
    again.devices = hall.devices
    assert rate(again, {rating.PHONE: PHONE}) == [first]
    again.stop()


def test_a_rating_without_identity_has_no_pseudonym_and_makes_no_key(hall):
    device = hall.devices["e-001"]
    hall.take(device.opened(), device.rating(1, visit="A-17"), device.rating(5))
    assert {one.pseudonym for one in hall.records()} == {None}
    assert keys_in(hall) == []


def test_in_the_next_month_nobody_is_the_same_and_the_old_key_is_in_no_byte_of_the_ledger(hall, tmp_path):
    before = rate(hall, {rating.PHONE: PHONE})
    (old,) = keys_in(hall)
    assert any(old in path.read_bytes() for path in tmp_path.glob("ledger.db*")), "the search can find a key"
    hall.real.now_s += 31 * 86400
    after = rate(hall, {rating.PHONE: PHONE})
    assert before != after
    (new,) = keys_in(hall)
    assert new != old
    assert hall.ledger.erase_traces()
    assert not [path.name for path in tmp_path.glob("ledger.db*") if old in path.read_bytes()]


def test_the_key_goes_with_its_month_though_nobody_gives_an_identity(hall):
    rate(hall, {rating.PHONE: PHONE})
    (old,) = keys_in(hall)
    hall.real.now_s += 31 * 86400
    hall.pseudonyms.rotate()
    assert old not in keys_in(hall)


def test_a_record_that_comes_late_does_not_bring_back_the_key_of_its_month(hall):
    """As one that a technician takes back from the quarantine, with the time of its first arrival."""
    device = hall.devices["e-001"]
    (now,) = rate(hall, {rating.PHONE: PHONE})
    (key,) = keys_in(hall)
    arrival = Arrival(device.topic, device.rating(1, identity={rating.PHONE: PHONE}), False, 1000 * at("2026-07-01"))
    batch = hall.intake.prepare([arrival])
    assert [one.pseudonym for one in batch.records] == [now]
    assert keys_in(hall) == [key]


def test_a_hall_elsewhere_turns_its_month_by_its_own_clock(tmp_path):
    hall = GatewayHall(tmp_path, [("e-001", "evaluator")], settings=dataclasses.replace(SETTINGS, utc_offset_min=-300))
    hall.real.now_s = at("2026-10-01T04:59:00+00:00")
    rate(hall, {rating.PHONE: PHONE})
    assert [row["month"] for row in hall.rows(schema.pseudonym_key)] == [12 * 2026 + 8]
    hall.stop()


def test_a_ledger_that_cannot_give_a_key_refuses_no_rating(hall, monkeypatch):
    def full(_connection, _month):
        raise OperationalError("", {}, Exception("disk full"))

    monkeypatch.setattr("gateway.pseudonym._turn", full)
    assert rate(hall, {rating.PHONE: PHONE}, level=1) == [None]
    assert hall.reasons() == []


def test_the_central_system_gets_it_and_nothing_else_does(hall):
    (pseudonym,) = rate(hall, {rating.PHONE: PHONE})
    record = hall.records()[-1]
    assert entry(record)["pseudonym"] == pseudonym
    assert pseudonym not in str(timeseries.point_of(record))
    view = live.LiveView("yongxing", hall.registry.devices, hall.ledger.heartbeats, hall.clock)
    view.take(hall.records())
    assert pseudonym not in str(view.snapshot())
    assert pseudonym not in hall.metrics.text()
