"""Visits: asked once, told without level, and forgotten by number."""

import pytest
from gateway_hall import GatewayHall, hall_of
from sealing_device import MORNING_S

from gateway import schema
from gateway.visit import VisitRefused
from gateway.visit_book import DAY_S
from gateway.visit_states import ASKED, CANCELLED, CLOSED, RATED, TIMED_OUT
from gateway.visits import NETWORK_ALLOWANCE_S
from protocol import command

APPLICANT = {"name": "欧阳娜娜", "phone": "13987654321", "id_number": "110101199003078515", "id_kind": "111"}


hall = hall_of(("e-001", "evaluator"), ("c-001", "clock"), started=True)


@pytest.fixture
def device(hall):
    return hall.devices["e-001"]


def test_a_visit_is_asked_at_the_evaluator_of_its_window(hall, device):
    opened = hall.visits.open("01", "A-17", "S001", 45, APPLICANT)
    assert (opened.state, opened.new) == (ASKED, True)
    ((_, asked),) = hall.down(device, 1)
    assert asked.kind == command.EVALUATION_REQUEST
    assert asked.claims == {
        1: "A-17", 2: "01", 3: "S001", 4: 45, 5: {1: "欧阳娜娜", 2: "13987654321", 3: "110101199003078515", 4: "111"},
    }  # fmt: skip
    assert asked.expires_s == MORNING_S + 45 + NETWORK_ALLOWANCE_S


def test_a_visit_without_a_time_of_its_own_is_asked_as_long_as_the_devices_config_says(hall, device):
    hall.visits.open("01", "A-17")
    ((_, asked),) = hall.down(device, 1)
    assert command.TIMEOUT_S not in asked.claims
    assert asked.expires_s == MORNING_S + 60 + NETWORK_ALLOWANCE_S


def test_the_same_visit_again_is_the_same_answer_and_sent_again_until_it_has_an_outcome(hall, device):
    hall.visits.open("01", "A-17")
    hall.down(device, 1)
    again = hall.visits.open("01", "A-17")
    assert (again.state, again.new) == (ASKED, False)
    ((_, asked),) = hall.down(device, 1)  # should the first have been lost; a device asks once for one number
    assert asked.claims[command.VISIT] == "A-17"
    hall.take(device.opened(), device.rating(5, visit="A-17"))
    hall.down(device, 1)
    assert hall.visits.open("01", "A-17").state == RATED
    with pytest.raises(AssertionError, match="0 of 1"):
        hall.down(device, 1, timeout_s=0.5)


@pytest.mark.parametrize(("level", "state"), [(1, RATED), (5, RATED), (None, TIMED_OUT)])
def test_the_outcome_is_told_without_the_level(hall, device, level, state):
    hall.visits.open("01", "A-17")
    hall.take(device.opened(), device.rating(level, visit="A-17", comment="慢" if level else None))
    found = hall.visits.state("A-17")
    assert found.state == state
    assert not hasattr(found, "level")
    assert list(hall.records()[-1].flags) == []


def test_an_outcome_leaves_no_time_and_no_order_of_visitors_behind(hall, device):
    """Who can read the ledger file learns neither when a visit was opened nor which one came first."""
    numbers = [f"A-{number}" for number in range(40)]
    for number in numbers:
        hall.visits.open("01", number)
    hall.take(device.opened(), *(device.rating(5, visit=number) for number in numbers))
    rows = hall.rows(schema.visit)
    assert {row["expires_s"] for row in rows} == {0}
    assert {row["state"] for row in rows} == {RATED}
    tokens = [row["token"] for row in rows]
    assert tokens == sorted(tokens)  # keyed hashes: no other order is in the file
    assert not any("opened" in name for name in rows[0])


def test_a_second_outcome_of_one_visit_is_stored_and_flagged(hall, device):
    hall.visits.open("01", "A-17")
    hall.take(device.opened(), device.rating(5, visit="A-17"), device.rating(2, visit="A-17", comment="慢"))
    assert [list(row.flags) for row in hall.records()] == [[], [], ["visit_again"]]
    hall.take(device.rating(4, visit="A-17"))
    assert hall.records()[-1].flags == ["visit_again"]


def test_a_rating_offered_again_does_not_settle_its_visit_twice(hall, device):
    hall.visits.open("01", "A-17")
    hall.take(device.opened())
    message = device.rating(5, visit="A-17")
    hall.take(message)
    hall.take(message)
    assert [list(row.flags) for row in hall.records()] == [[], []]


def test_an_unknown_number_is_flagged_and_has_no_state(hall, device):
    hall.take(device.opened(), device.rating(5, visit="never"))
    assert hall.records()[-1].flags == ["visit_unknown"]
    assert hall.visits.state("never") is None


def test_a_visit_that_nobody_answers_is_closed_and_may_still_be_rated_late(hall, device):
    hall.visits.open("01", "A-17", timeout_s=60)
    hall.real.now_s += 60 + NETWORK_ALLOWANCE_S
    assert hall.visits.state("A-17").state == ASKED
    hall.real.now_s += 1
    assert hall.visits.state("A-17").state == CLOSED
    hall.take(device.opened(), device.rating(3, visit="A-17"))
    assert hall.visits.state("A-17").state == RATED


def test_a_cancelled_visit_is_told_to_the_device(hall, device):
    hall.visits.open("01", "A-17")
    hall.down(device, 1)
    assert hall.visits.cancel("A-17").state == CANCELLED
    ((_, told),) = hall.down(device, 1)
    assert (told.kind, told.claims) == (command.EVALUATION_CANCEL, {1: "A-17"})
    assert hall.visits.state("A-17").state == CANCELLED
    assert hall.visits.cancel("unknown") is None


def test_a_rated_visit_cannot_be_cancelled(hall, device):
    hall.visits.open("01", "A-17")
    hall.take(device.opened(), device.rating(1, visit="A-17", comment="慢"))
    assert hall.visits.cancel("A-17").state == RATED


@pytest.mark.parametrize(
    ("arguments", "reason", "detail"),
    [
        ({"window": "99"}, "window", "no active evaluator"),
        ({"window": ""}, "field", "window"),
        ({"visit": ""}, "field", "visit"),
        ({"visit": "V" * 51}, "field", "visit"),
        ({"staff": "S" * 21}, "field", "staff"),
        ({"timeout_s": 4}, "field", "timeout_s"),
        ({"timeout_s": 601}, "field", "timeout_s"),
        ({"applicant": {"name": "名" * 31}}, "field", "name"),
        ({"applicant": {"shoe_size": "44"}}, "field", "applicant"),
    ],
)
def test_a_request_out_of_bounds_is_refused_by_name(hall, arguments, reason, detail):
    with pytest.raises(VisitRefused) as refused:
        hall.visits.open(**{"window": "01", "visit": "A-17", **arguments})
    assert (refused.value.reason, refused.value.detail) == (reason, detail)
    assert hall.visits.state("A-17") is None


def test_a_refusal_repeats_nothing_of_the_applicant(hall):
    with pytest.raises(VisitRefused) as refused:
        hall.visits.open("01", "A-17", applicant={"phone": "1" * 30})
    assert "111" not in str(refused.value)


def test_a_window_whose_evaluator_is_revoked_has_none(hall):
    hall.write_registry(e_001="revoked")
    hall.registry._file._checked_s = None
    hall.registry.refresh(0)
    with pytest.raises(VisitRefused, match="window"):
        hall.visits.open("01", "A-17")


def test_a_visit_that_a_full_downlink_refused_is_asked_when_it_is_tried_again(hall, device, monkeypatch):
    with monkeypatch.context() as full:
        full.setattr(hall.downlink, "_put", lambda work: False)
        with pytest.raises(VisitRefused, match="busy"):
            hall.visits.open("01", "A-17")
    assert hall.visits.state("A-17") is None
    assert hall.visits.open("01", "A-17").new
    ((_, asked),) = hall.down(device, 1)
    assert asked.claims[command.VISIT] == "A-17"


def test_a_visit_that_a_crash_left_unasked_is_asked_when_it_is_tried_again(hall, device, tmp_path):
    hall.linked = False  # the command waits in memory, and is gone with it
    hall.visits.open("01", "A-17")
    hall.stop()
    again = GatewayHall(tmp_path, keys=hall.keys, started=True)
    again.devices = hall.devices
    assert again.visits.open("01", "A-17").new is False
    ((_, asked),) = again.down(device, 1)
    assert asked.claims[command.VISIT] == "A-17"
    again.stop()


def test_a_question_waits_for_a_broken_link_and_not_longer_than_the_visitor(hall, device):
    hall.linked = False
    hall.visits.open("01", "A-17", timeout_s=60)
    hall.visits.open("01", "A-18", timeout_s=600)
    hall.down(device, 0)
    hall.real.now_s += 100
    hall.linked = True
    ((_, asked),) = hall.down(device, 1)
    assert asked.claims[command.VISIT] == "A-18"


def test_visits_survive_a_restart(hall, tmp_path):
    hall.visits.open("01", "A-17")
    hall.stop()
    again = GatewayHall(tmp_path, keys=hall.keys)
    assert again.visits.state("A-17").state == ASKED
    again.stop()


def test_after_two_days_nobody_can_tell_which_visit_it_was(hall, tmp_path):
    hall.visits.open("01", "A-17")
    (key,) = [row["key"] for row in hall.rows(schema.visit_key)]
    (token,) = [row["token"] for row in hall.rows(schema.visit)]
    hall.real.now_s += DAY_S
    hall.visits.open("01", "A-18")
    assert hall.visits.state("A-17").state == CLOSED
    hall.real.now_s += DAY_S
    hall.visits.open("01", "A-19")
    assert hall.visits.state("A-17") is None
    assert len(hall.rows(schema.visit)) == len(hall.rows(schema.visit_key)) == 2
    hall.stop()
    content = (tmp_path / "ledger.db").read_bytes()
    assert key not in content
    assert token not in content


def test_the_number_of_visits_a_day_is_bounded(hall, monkeypatch):
    monkeypatch.setattr("gateway.visit_book.VISITS_PER_DAY_MAX", 2)
    hall.visits.open("01", "A-1")
    hall.visits.open("01", "A-2")
    with pytest.raises(VisitRefused, match="busy"):
        hall.visits.open("01", "A-3")
    assert hall.visits.open("01", "A-2").state == ASKED
