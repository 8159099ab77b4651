"""What happens to a visit in every state: answered, asked again, changed, taken back, left alone."""

import re

import pytest
from gateway_hall import GatewayHall
from sealing_device import MORNING_S
from source_tree import REPOSITORY

from gateway import rules, visit_states
from gateway.matter import Matter
from gateway.visit import VisitRefused
from gateway.visit_settling import LATE_S
from gateway.visit_states import ASKED, CANCELLED, CLOSED, RATED, SUPERSEDED, TIMED_OUT, WAITING
from gateway.visits import NETWORK_ALLOWANCE_S
from protocol import command

OVER_S = 60 + NETWORK_ALLOWANCE_S + 1
VISIT = "BJ-17"


@pytest.fixture
def hall(tmp_path):
    made = GatewayHall(tmp_path, [("e-001", "evaluator"), ("e-002", "evaluator")], started=True)
    made.devices["e-002"].place = "02"
    made.write_registry()
    made.registry._file._checked_s = None
    assert made.registry.refresh(0)
    made.take(made.devices["e-001"].opened())
    yield made
    made.stop()


@pytest.fixture
def device(hall):
    return hall.devices["e-001"]


def bring(hall, state):
    """Open VISIT at window 01 and bring it into `state`."""
    device = hall.devices["e-001"]
    hall.visits.open("01", VISIT, "S001")
    if state in (RATED, TIMED_OUT):
        hall.take(device.rating(3 if state == RATED else None, visit=VISIT))
    elif state == CLOSED:
        hall.real.now_s += OVER_S
        hall.watch.step()
    elif state == CANCELLED:
        hall.visits.cancel(VISIT)
    elif state == SUPERSEDED:
        hall.visits.open("01", "BJ-18")
    assert hall.visits.state(VISIT).state == state


# state -> (state after a rating, its flags, state after a time-out, its flags); docs/visits.md has the same table.
ANSWERS = {
    ASKED: (RATED, [], TIMED_OUT, []),
    CLOSED: (RATED, [], TIMED_OUT, []),
    RATED: (RATED, ["visit_again"], RATED, ["visit_again"]),
    TIMED_OUT: (TIMED_OUT, ["visit_again"], TIMED_OUT, ["visit_again"]),
    CANCELLED: (RATED, ["visit_closed"], CANCELLED, ["visit_closed"]),
    SUPERSEDED: (RATED, ["visit_superseded"], SUPERSEDED, []),
}


@pytest.mark.parametrize("state", ANSWERS)
@pytest.mark.parametrize("level", [1, 5, None])
def test_an_answer_is_stored_in_every_state_and_says_what_was_odd(hall, device, state, level):
    bring(hall, state)
    hall.take(device.rating(level, visit=VISIT, comment="慢" if level == 1 else None))
    after, flags = ANSWERS[state][:2] if level else ANSWERS[state][2:]
    assert hall.visits.state(VISIT).state == after
    newest = hall.records()[-1]
    assert (list(newest.flags), newest.claims.get("level")) == (flags, level)
    hall.take(device.rating(level, visit=VISIT, comment="慢" if level == 1 else None))
    assert hall.visits.state(VISIT).state == after
    assert hall.records()[-1].flags == ["visit_again"]


def test_no_state_and_no_flag_depends_on_the_level():
    for state in (*ANSWERS, WAITING):
        for late in (False, True):
            assert visit_states.answered(state, False, True, late).state == RATED or state in (RATED, TIMED_OUT)


def test_an_answer_that_came_late_but_was_given_in_time_is_no_late_answer(hall, device):
    hall.visits.open("01", VISIT)
    hall.real.now_s += 4 * 3600  # the link was broken all morning
    hall.watch.step()
    hall.take(device.rating(5, at_s=MORNING_S + 30, visit=VISIT))
    assert hall.visits.state(VISIT).state == RATED
    assert hall.records()[-1].flags == []


@pytest.mark.parametrize(("after_s", "flags"), [(0, []), (1, ["visit_late"])])
def test_an_answer_given_long_after_the_question_is_flagged_late(hall, device, after_s, flags):
    hall.visits.open("01", VISIT)
    hall.real.now_s += 4 * 3600
    hall.watch.step()
    ended_s = MORNING_S + 60 + NETWORK_ALLOWANCE_S
    hall.take(device.rating(5, at_s=ended_s + LATE_S + after_s, visit=VISIT))
    assert hall.records()[-1].flags == flags
    assert hall.visits.state(VISIT).state == RATED


def test_an_answer_of_another_window_is_flagged_and_counts(hall):
    hall.visits.open("01", VISIT)
    other = hall.devices["e-002"]
    hall.take((other, other.opened()), (other, other.rating(2, visit=VISIT, comment="慢")))
    assert hall.records()[-1].flags == ["visit_other_window"]
    assert hall.visits.state(VISIT).state == RATED


@pytest.mark.parametrize("state", ANSWERS)
def test_the_same_request_again_has_the_same_answer_in_every_state(hall, device, state):
    bring(hall, state)
    before = hall.visits.state(VISIT)
    again = hall.visits.open("01", VISIT, "S001")
    assert (again.state, again.id, again.new) == (state, before.id, False)


@pytest.mark.parametrize("state", ANSWERS)
def test_another_request_under_the_same_number_is_refused_in_every_state(hall, state):
    bring(hall, state)
    for other in ({"staff": "S002"}, {"staff": "S001", "about": Matter("batch")}, {"staff": "S001", "timeout_s": 90}):
        with pytest.raises(VisitRefused, match="visit_differs"):
            hall.visits.open("01", VISIT, **other)
    with pytest.raises(VisitRefused, match="visit_differs"):
        hall.visits.open("02", VISIT, "S001")
    assert hall.visits.state(VISIT).state == state


@pytest.mark.parametrize("state", ANSWERS)
def test_a_request_that_supersedes_takes_the_place_until_a_device_has_recorded_an_outcome(hall, device, state):
    bring(hall, state)
    if state in (RATED, TIMED_OUT):
        with pytest.raises(VisitRefused, match="visit_answered"):
            hall.visits.open("02", VISIT, supersede=True)
        return
    hall.down(device, {ASKED: 2, CLOSED: 2, CANCELLED: 3, SUPERSEDED: 3}[state])  # with the receipt of the opening
    moved = hall.visits.open("02", VISIT, supersede=True)
    assert (moved.state, moved.window, moved.new) == (ASKED, "02", True)
    ((_, asked),) = hall.down(hall.devices["e-002"], 1)
    assert (asked.kind, asked.claims[command.VISIT]) == (command.EVALUATION_REQUEST, VISIT)
    if state == ASKED:  # the old window must not ask any more
        ((_, told),) = hall.down(device, 1)
        assert (told.kind, told.claims) == (command.EVALUATION_CANCEL, {command.VISIT: VISIT})


def test_a_question_that_is_changed_at_its_own_window_is_asked_anew(hall, device):
    hall.visits.open("01", VISIT, applicant={"name": "欧阳娜娜"})
    hall.down(device, 2)
    hall.visits.open("01", VISIT, applicant={"name": "司马光"}, supersede=True)
    told = [content for _, content in hall.down(device, 2)]
    assert [one.kind for one in told] == [command.EVALUATION_CANCEL, command.EVALUATION_REQUEST]
    assert told[1].claims[command.APPLICANT] == {1: "司马光"}


@pytest.mark.parametrize("state", ANSWERS)
def test_taking_back_stops_only_what_nobody_has_answered(hall, state):
    bring(hall, state)
    assert hall.visits.cancel(VISIT).state == (CANCELLED if state == ASKED else state)


def test_the_next_visit_at_a_window_supersedes_only_what_is_asked_there(hall):
    hall.visits.open("01", "BJ-1")
    hall.visits.open("02", "BJ-2")
    hall.visits.open("01", "BJ-3")
    assert [hall.visits.state(f"BJ-{number}").state for number in (1, 2, 3)] == [SUPERSEDED, ASKED, ASKED]


def test_a_refused_request_supersedes_nothing(hall, monkeypatch):
    hall.visits.open("01", "BJ-1")
    hall.visits.open("02", "BJ-2")
    with pytest.raises(VisitRefused, match="visit_differs"):
        hall.visits.open("01", "BJ-2")
    monkeypatch.setattr("gateway.visit_book.VISITS_PER_DAY_MAX", 2)
    with pytest.raises(VisitRefused, match="busy"):
        hall.visits.open("01", "BJ-3")
    assert hall.visits.state("BJ-1").state == ASKED


def test_a_visit_that_was_overdue_when_the_next_opened_is_closed_and_not_superseded(hall):
    hall.visits.open("01", "BJ-1")
    hall.real.now_s += OVER_S
    hall.visits.open("01", "BJ-2")
    assert hall.visits.state("BJ-1").state == CLOSED


def test_the_applicant_is_in_no_byte_of_the_ledger(hall, tmp_path):
    applicant = {"name": "欧阳娜娜", "phone": "13987654321", "id_number": "110101199003078515"}
    hall.visits.open("01", "BJ-2026-0017", applicant=applicant)
    for path in tmp_path.glob("ledger.db*"):
        content = path.read_bytes()
        for secret in (*applicant.values(), "BJ-2026-0017"):
            assert secret.encode() not in content, path.name


@pytest.mark.parametrize("name", ["visits.md", "visits.zh-CN.md"])
def test_the_page_for_developers_has_the_same_table(name):
    text = (REPOSITORY / "docs" / name).read_text("utf-8")
    rows = re.findall(r"^\| `(\w+)` \| `(\w+)`(.*?) \| `(\w+)`(.*?) \|$", text, re.MULTILINE)
    told = {row[0]: (row[1], re.findall("`(.*?)`", row[2]), row[3], re.findall("`(.*?)`", row[4])) for row in rows}
    assert told == ANSWERS
    assert set(re.findall(r"`((?:visit|item|department|credit)_\w+)`", text)) >= {
        code for code in rules.RULES if re.match("visit_|item_|department_|credit_", code) and code != "visit_missing"
    }
