"""The reconciliation says zero only where people, devices and every store counted the same, and all were asked."""

import asyncio
import copy
import dataclasses
import re
from dataclasses import replace

import httpx
import pytest

from simulator import reconciliation
from simulator.closing import Closing
from simulator.evidence_run import Audited
from simulator.hall_time import HallTime
from simulator.people import People
from simulator.reconciliation import Line, Look

EVALUATOR, CLOCK = "e-001", "c-001"
DEVICES = (EVALUATOR, CLOCK)
VERDICT = re.compile(
    r"pressed=\d+ journaled=\d+ receipted=\d+ ledger=\d+ timeseries=\d+ central=\d+ lost=\d+ duplicated=\d+ gaps=\d+"
)
STATIONS = ("journaled", "receipted", "ledger", "timeseries", "central")


def status(ratings, punches, events, seen=0):
    counts = [ratings, punches, events]
    return {
        "head": sum(counts), "journaled": counts, "receipted": list(counts), "pending": 0,
        "seen": {"timed_out": seen}, "press_to_receipt_ms": [40, 60],
    }  # fmt: skip


def stored(ratings, punches, events):
    return {"ratings": ratings, "punches": punches, "events": events}


class Hall:
    """A hall in which everybody agrees, until a test spoils one number: 7 ratings, 3 punches."""

    def __init__(self):
        self.pressed = {EVALUATOR: 7, CLOCK: 3}
        counts = {EVALUATOR: (7, 0, 2), CLOCK: (0, 3, 2)}
        self.statuses = {name: status(*each) for name, each in counts.items()}
        self.gateway = {
            "by_device": {
                name: {"ledger": stored(*each), "timeseries": stored(*each), "gaps": 0} for name, each in counts.items()
            },
            "pending": {"intake": 0, "timeseries": 0, "central": 0},
            "quarantine": {},
        }
        self.central = {
            "by_device": {name: {**stored(*each), "records": sum(each), "gaps": 0} for name, each in counts.items()},
            "refused": {}, "unmasked": 0, "equivocations": 0, "broken_links": 0, "first_rating_real_s": 1005.0,
        }  # fmt: skip

    def look(self):
        return Look(self.statuses, self.gateway, self.central)

    def closing(self, fresh=None):
        clock = HallTime(60, 0, 0, lambda: 0)
        people = People(httpx.AsyncClient(), clock, asyncio.Event())
        latest = self.look()
        devices = sorted({*DEVICES, *latest.stored_devices()})
        groups = {device: latest.line(device, self.pressed.get(device, 0)) for device in devices}
        return Closing(people, latest, fresh or latest, groups, DEVICES, {"gateway": 120.0}, 1000.0)

    def verdict(self):
        """(exit status, the last line as a Line)."""
        closing = self.closing()
        last = closing.lines("")[-1]
        assert VERDICT.fullmatch(last), last
        return closing.status(), Line(*(int(part.split("=")[1]) for part in last.split()))

    def add(self, station, device, kind, count):
        """Change what one station holds of one device."""
        at = reconciliation._KINDS.index(kind)
        if station in ("journaled", "receipted"):
            self.statuses[device][station][at] += count
        elif station == "central":
            self.central["by_device"][device][kind] += count
        else:
            self.gateway["by_device"][device][station][kind] += count


def test_a_hall_that_agrees_ends_with_zeros_and_status_0():
    hall = Hall()
    assert hall.closing().lines("")[-1] == (
        "pressed=10 journaled=10 receipted=10 ledger=10 timeseries=10 central=10 lost=0 duplicated=0 gaps=0"
    )
    assert hall.closing().status() == 0
    assert hall.closing().complaints() == []


@pytest.mark.parametrize("status", [1, 2])
def test_numbers_that_agree_are_no_good_end_where_the_audit_finds_something(status):
    closing = replace(
        Hall().closing(), audited=Audited(status, ["missing: gap (1)", "audit: 0 wrong, 1 missing, 0 notes"])
    )
    assert closing.status() == 1
    assert closing.lines("")[-3:-1] == ["audit: missing: gap (1)", "audit: 0 wrong, 1 missing, 0 notes"]
    assert replace(closing, audited=Audited(0, ["audit: clean, 0 notes"])).status() == 0


@pytest.mark.parametrize("station", STATIONS[1:])
@pytest.mark.parametrize(("device", "kind"), [(EVALUATOR, "ratings"), (CLOCK, "punches"), (CLOCK, "events")])
def test_a_record_that_one_station_lacks_is_lost(station, device, kind):
    hall = Hall()
    hall.add(station, device, kind, -1)
    result, line = hall.verdict()
    assert (result, line.lost, line.duplicated) == (1, 1, 0)
    assert getattr(line, station) == (10 if kind == "events" else 9)


@pytest.mark.parametrize(("device", "kind"), [(EVALUATOR, "ratings"), (CLOCK, "punches")])
def test_a_press_that_never_became_a_record_is_lost_though_every_store_agrees(device, kind):
    hall = Hall()
    for station in STATIONS:
        hall.add(station, device, kind, -1)
    result, line = hall.verdict()
    assert (result, line.pressed, line.journaled, line.central, line.lost) == (1, 10, 9, 9, 1)


def test_a_press_that_became_two_records_is_a_duplicate_though_every_store_agrees():
    hall = Hall()
    for station in STATIONS:
        hall.add(station, EVALUATOR, "ratings", 1)
    result, line = hall.verdict()
    assert (result, line.pressed, line.journaled, line.lost, line.duplicated) == (1, 10, 11, 0, 1)


@pytest.mark.parametrize("station", STATIONS[1:])
@pytest.mark.parametrize("kind", ["ratings", "events"])
def test_a_record_that_one_station_has_twice_is_a_duplicate(station, kind):
    hall = Hall()
    hall.add(station, EVALUATOR, kind, 1)
    result, line = hall.verdict()
    assert (result, line.lost, line.duplicated) == (1, 0, 1)


@pytest.mark.parametrize("where", ["gateway", "central"])
def test_a_gap_is_counted_though_the_numbers_agree(where):
    hall = Hall()
    getattr(hall, where)["by_device"][CLOCK]["gaps"] = 2
    result, line = hall.verdict()
    assert (result, line.lost, line.duplicated, line.gaps) == (1, 0, 0, 2)


def test_a_loss_here_and_a_duplicate_there_do_not_cancel_out():
    hall = Hall()
    hall.add("ledger", EVALUATOR, "ratings", -1)
    hall.add("ledger", CLOCK, "punches", 1)
    result, line = hall.verdict()
    assert (line.ledger, line.lost, line.duplicated) == (10, 1, 1)
    assert result == 1


def test_presses_at_two_devices_do_not_cancel_out():
    hall = Hall()
    hall.pressed = {EVALUATOR: 8, CLOCK: 2}
    result, line = hall.verdict()
    assert (line.pressed, line.journaled, line.lost, line.duplicated) == (10, 10, 1, 1)
    assert result == 1


def test_a_rating_that_became_an_event_is_lost():
    hall = Hall()
    hall.add("central", EVALUATOR, "ratings", -1)
    hall.add("central", EVALUATOR, "events", 1)
    result, line = hall.verdict()
    assert (result, line.lost, line.duplicated) == (1, 1, 1)


def test_a_run_in_which_nobody_pressed_agrees_on_nothing():
    hall = Hall()
    hall.pressed = {}
    for station in STATIONS:
        hall.add(station, EVALUATOR, "ratings", -7)
        hall.add(station, CLOCK, "punches", -3)
    result, line = hall.verdict()
    assert str(line) == "pressed=0 journaled=0 receipted=0 ledger=0 timeseries=0 central=0 lost=0 duplicated=0 gaps=0"
    assert result == 1
    assert hall.closing().complaints() == ["nobody pressed anything"]


def test_presses_at_a_device_that_never_answered_are_lost():
    hall = Hall()
    del hall.statuses[EVALUATOR]
    result, line = hall.verdict()
    assert result == 1
    assert line.lost >= 7
    assert hall.closing().complaints() == [f"no answer from {EVALUATOR}"]


@pytest.mark.parametrize(
    ("silent", "complaint"),
    [
        ("statuses", "no answer from e-001, c-001"),
        ("gateway", "the gateway does not answer"),
        ("central", "the central system does not answer"),
    ],
)
def test_last_words_of_somebody_who_is_silent_at_the_end_are_no_agreement(silent, complaint):
    hall = Hall()
    fresh = {"statuses": hall.statuses, "gateway": hall.gateway, "central": hall.central, silent: {}}
    closing = hall.closing(Look(**fresh))
    assert closing.whole.agrees()
    assert (closing.status(), closing.complaints()) == (1, [complaint])
    assert f"wrong: {complaint}" in closing.lines("")


@pytest.mark.parametrize("where", ["gateway", "central"])
def test_records_of_a_device_that_is_not_the_halls_are_too_many(where):
    hall = Hall()
    by_device = getattr(hall, where)["by_device"]
    by_device["e-666"] = copy.deepcopy(by_device[EVALUATOR])
    result, line = hall.verdict()
    assert (result, line.duplicated > 0) == (1, True)
    assert hall.closing().complaints() == ["stored, but not of this hall: e-666"]


@pytest.mark.parametrize("what", ["unmasked", "equivocations", "broken_links"])
def test_what_the_central_system_found_wrong_is_no_good_end(what):
    hall = Hall()
    hall.central[what] = 1
    assert (hall.closing().status(), len(hall.closing().complaints())) == (1, 1)
    hall.central[what] = 0
    hall.central["refused"] = {"signature": 2}
    assert hall.closing().complaints() == ["the central system refused records: {'signature': 2}"]


@pytest.mark.parametrize("how", ["changed", "shrank"])
def test_an_operator_log_that_the_central_system_found_tampered_with_is_no_good_end(how):
    hall = Hall()
    hall.central["operator_log"] = {"number": 3, "hash": "00" * 32, "changed": 0, "shrank": 0}
    assert hall.closing().complaints() == []
    hall.central["operator_log"][how] = 1
    (said,) = hall.closing().complaints()
    assert said.startswith("the operator log was tampered with: ")
    assert hall.closing().status() == 1


def test_the_verdict_is_the_last_line_also_where_the_folder_is_kept():
    hall = Hall()
    lines = hall.closing().lines("somewhere")
    assert VERDICT.fullmatch(lines[-1])
    assert lines[-2] == "kept: somewhere"
    assert "first rating at the central system after 5.0 s" in lines
    assert "press to receipt: p50 60 ms, p99 60 ms, of 4" in lines
    hall.central["first_rating_real_s"] = None
    assert "no rating at the central system" in hall.closing().lines("")


def test_nothing_is_settled_before_everybody_answered_and_owes_nothing():
    assert reconciliation.settled(Hall().look(), DEVICES)
    for spoil in (
        lambda hall: hall.statuses.pop(EVALUATOR),
        lambda hall: hall.statuses[CLOCK].update(pending=1),
        lambda hall: hall.gateway.update(pending={}),
        lambda hall: hall.gateway["pending"].update(central=1),
        lambda hall: hall.gateway.clear(),
        lambda hall: hall.central.clear(),
        lambda hall: hall.central["by_device"].pop(CLOCK),
        lambda hall: hall.central["by_device"][CLOCK].update(records=4),
    ):
        hall = Hall()
        spoil(hall)
        assert not reconciliation.settled(hall.look(), DEVICES)


def test_lines_add_up_station_by_station():
    line = Line(*range(1, 10)) + Line(*range(10, 100, 10))
    assert line == Line(*(one + 10 * one for one in range(1, 10)))
    assert reconciliation.total([]) == Line()


def test_a_percentile_is_one_of_the_values():
    values = list(range(1, 101))
    assert reconciliation.percentile(values, 0.5) == 51
    assert reconciliation.percentile(values, 0.99) == 100
    assert reconciliation.percentile([3], 0.99) == 3
    assert reconciliation.percentile([], 0.5) is None


def test_a_forged_message_to_the_business_system_is_wrong_and_what_it_was_told_is_shown():
    closing = Hall().closing()
    told = {"messages": 9, "forged": 1, "visits": 8, "states": {"timed_out": 1, "rated": 7}}
    closing = dataclasses.replace(closing, told=told)
    assert closing.status() == 1
    assert "wrong: messages to the business system with a wrong signature: 1" in closing.lines("")
    assert "business system: 0 visits opened, told of 8: rated 7, timed_out 1" in closing.lines("")
