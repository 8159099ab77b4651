"""Visits of several matters: one question for all of them, or one for each where the hall wants that."""

import json

import pytest
from gateway_hall import GatewayHall

from gateway import schema, visit_states
from gateway.matter import Item, Matter
from gateway.visit import VisitRefused
from gateway.visit_states import ASKED, CANCELLED, CLOSED, RATED, SUPERSEDED, TIMED_OUT, WAITING
from gateway.visits import NETWORK_ALLOWANCE_S
from protocol import command

CODES = ["1" * 31, "2" * 31, "3" * 33]
THEME = Matter("theme", Item(name="开办餐饮店"), "enterprise", tuple(Item(code) for code in CODES))
OVER_S = 60 + NETWORK_ALLOWANCE_S + 1


@pytest.fixture
def hall(tmp_path):
    made = GatewayHall(tmp_path, [("e-001", "evaluator")], started=True, rate_parts_of=("theme",))
    made.take(made.devices["e-001"].opened())
    made.down(made.devices["e-001"], 1)
    yield made
    made.stop()


@pytest.fixture
def device(hall):
    return hall.devices["e-001"]


def commands(hall, device, count):
    """(kind, visit number) of the next commands; receipts are left out."""
    found = []
    while len(found) < count:
        found += [(c.kind, c.claims[command.VISIT]) for word, c in hall.down(device, 1) if word == "command"]
    return found


def answer(hall, device, number, level):
    hall.take(device.rating(level, visit=f"BJ-1#{number}", comment="慢"))
    hall.watch.step()


def ask(hall, number):
    return (command.EVALUATION_REQUEST, f"BJ-1#{number}")


def test_parts_are_asked_one_after_the_other_and_each_rating_knows_its_own(hall, device):
    opened = hall.visits.open("01", "BJ-1", "S001", about=THEME, applicant={"name": "欧阳娜娜"})
    assert (opened.state, list(opened.parts)) == (ASKED, [ASKED, WAITING, WAITING])
    for number, level in ((1, 5), (2, 1), (3, 4)):
        assert commands(hall, device, 1) == [ask(hall, number)]
        answer(hall, device, number, level)
    found = hall.visits.state("BJ-1")
    assert (found.state, list(found.parts)) == (RATED, [RATED] * 3)
    ratings = hall.records()[1:]
    shared = {"kind": "theme", "staff": "S001", "applicant_kind": "enterprise"}
    assert [one.visit for one in ratings] == [
        {**shared, "item_code": code, "part": number} for number, code in enumerate(CODES, 1)
    ]
    assert [one.flags for one in ratings] == [[], [], []]
    assert [one.claims["level"] for one in ratings] == [5, 1, 4]


def test_a_part_is_asked_once_however_often_the_gateway_looks(hall, device):
    hall.visits.open("01", "BJ-1", about=THEME)
    for _ in range(3):
        hall.watch.step()
    answer(hall, device, 1, 5)
    for _ in range(3):
        hall.watch.step()
    assert commands(hall, device, 2) == [ask(hall, 1), ask(hall, 2)]
    with pytest.raises(AssertionError, match="0 of 1"):
        hall.down(device, 1, timeout_s=0.3)


def test_every_part_is_asked_with_the_applicant(hall, device):
    hall.visits.open("01", "BJ-1", about=THEME, applicant={"name": "欧阳娜娜"})
    first = hall.down(device, 1)[0][1]
    answer(hall, device, 1, 5)
    second = next(c for word, c in hall.down(device, 2) if word == "command")
    assert first.claims[command.APPLICANT] == second.claims[command.APPLICANT] == {1: "欧阳娜娜"}


def test_a_visitor_who_does_not_answer_one_part_is_asked_for_no_more(hall, device):
    hall.visits.open("01", "BJ-1", about=THEME)
    answer(hall, device, 1, 5)
    answer(hall, device, 2, None)
    found = hall.visits.state("BJ-1")
    assert (found.state, list(found.parts)) == (RATED, [RATED, TIMED_OUT, CLOSED])
    assert commands(hall, device, 2) == [ask(hall, 1), ask(hall, 2)]


def test_a_visit_of_which_no_part_is_answered_is_timed_out(hall, device):
    hall.visits.open("01", "BJ-1", about=THEME)
    answer(hall, device, 1, None)
    assert hall.visits.state("BJ-1").state == TIMED_OUT


def test_a_visit_whose_device_is_silent_is_closed_and_told_once_it_speaks(hall, device):
    hall.visits.open("01", "BJ-1", about=THEME)
    hall.real.now_s += OVER_S
    assert hall.visits.state("BJ-1").state == CLOSED  # before anybody has looked
    hall.watch.step()
    assert list(hall.visits.state("BJ-1").parts) == [CLOSED] * 3
    answer(hall, device, 1, 2)
    found = hall.visits.state("BJ-1")
    assert (found.state, list(found.parts)) == (RATED, [RATED, CLOSED, CLOSED])
    assert hall.records()[-1].flags == []


def test_after_a_restart_the_same_request_goes_on_where_it_was(hall, device, tmp_path):
    hall.visits.open("01", "BJ-1", about=THEME)
    hall.take(device.rating(5, visit="BJ-1#1"))
    hall.stop()
    again = GatewayHall(tmp_path, keys=hall.keys, started=True, rate_parts_of=("theme",))
    again.devices = hall.devices
    again.watch.step()  # the gateway knows no number any more: nobody is asked by itself
    assert again.visits.open("01", "BJ-1", about=THEME).new is False
    assert commands(again, device, 1) == [ask(again, 2)]
    assert list(again.visits.state("BJ-1").parts) == [RATED, ASKED, WAITING]
    again.stop()


def test_after_a_restart_without_another_request_the_parts_that_are_left_are_closed(hall, device, tmp_path):
    hall.visits.open("01", "BJ-1", about=THEME)
    hall.take(device.rating(5, visit="BJ-1#1"))
    hall.stop()
    again = GatewayHall(tmp_path, keys=hall.keys, started=True, rate_parts_of=("theme",))
    again.real.now_s = hall.real.now_s + OVER_S
    again.watch.step()
    found = again.visits.state("BJ-1")
    assert (found.state, list(found.parts)) == (RATED, [RATED, CLOSED, CLOSED])
    again.stop()


def test_taking_back_and_superseding_mean_all_parts_that_are_left(hall, device):
    hall.visits.open("01", "BJ-1", about=THEME)
    answer(hall, device, 1, 5)
    assert list(hall.visits.cancel("BJ-1").parts) == [RATED, CANCELLED, CANCELLED]
    hall.visits.open("01", "BJ-2", about=THEME)
    hall.visits.open("01", "BJ-3")
    assert list(hall.visits.state("BJ-2").parts) == [SUPERSEDED] * 3
    hall.watch.step()
    assert hall.visits._questions == {}


def test_a_question_that_found_no_room_is_asked_when_there_is(hall, device, monkeypatch):
    hall.visits.open("01", "BJ-1", about=THEME)
    with monkeypatch.context() as full:
        full.setattr(hall.downlink, "_put", lambda work: False)
        answer(hall, device, 1, 5)
    hall.watch.step()
    hall.watch.step()
    assert commands(hall, device, 2) == [ask(hall, 1), ask(hall, 2)]


def test_where_the_hall_wants_one_rating_there_is_one_question_and_all_items_stand_with_it(hall, device):
    batch = Matter("batch", Item("4" * 31), None, THEME.parts)
    opened = hall.visits.open("01", "BJ-1", about=batch)
    assert opened.parts == []
    assert commands(hall, device, 1) == [(command.EVALUATION_REQUEST, "BJ-1")]
    hall.take(device.rating(2, visit="BJ-1", comment="慢"))
    words = hall.records()[-1].visit
    assert words["kind"] == "batch"
    assert [part["item_code"] for part in words["parts"]] == CODES


@pytest.mark.parametrize("number", ["BJ-1#1", "BJ-1#12", "B" * 49, "第\n一#3"])
def test_a_number_that_would_be_a_parts_or_leaves_no_room_for_it_is_refused(hall, number):
    with pytest.raises(VisitRefused, match="field"):
        hall.visits.open("01", number, about=THEME)


def test_a_part_is_no_visit_of_its_own(hall):
    hall.visits.open("01", "BJ-1", about=THEME)
    assert hall.visits.state("BJ-1#1") is None
    assert hall.visits.cancel("BJ-1#1") is None


def test_a_device_that_rates_a_part_before_it_was_asked_is_flagged(hall, device):
    hall.visits.open("01", "BJ-1", about=THEME)
    hall.take(device.rating(5, visit="BJ-1#3"))
    assert hall.records()[-1].flags == ["visit_unknown"]


def test_neither_number_nor_applicant_of_a_part_is_in_the_ledger(hall, tmp_path):
    hall.visits.open("01", "BJ-20261124-0017", about=THEME, applicant={"name": "欧阳娜娜"})
    rows = hall.rows(schema.visit)
    assert len(rows) == 4
    assert json.loads(rows[0]["context_json"])["kind"] == "theme"
    for path in tmp_path.glob("ledger.db*"):
        assert b"BJ-2026" not in path.read_bytes()
        assert "欧阳".encode() not in path.read_bytes()


@pytest.mark.parametrize(
    ("parts", "number", "state"),
    [
        ([ASKED, WAITING], 1, ASKED),
        ([RATED, WAITING], 2, ASKED),
        ([RATED, ASKED], 2, ASKED),
        ([TIMED_OUT, WAITING], None, ASKED),
        ([CLOSED, RATED], None, RATED),
        ([RATED, RATED], None, RATED),
        ([TIMED_OUT, CLOSED], None, TIMED_OUT),
        ([CANCELLED, CANCELLED], None, CANCELLED),
        ([SUPERSEDED, SUPERSEDED], None, SUPERSEDED),
    ],
)
def test_whose_turn_it_is_and_what_the_whole_is(parts, number, state):
    assert visit_states.turn(parts) == number
    assert visit_states.of_parts(parts) == state
