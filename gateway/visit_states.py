"""The states of a visit, and what moves it from one to the next. Pure; docs/visits.md shows the same as a table.

    asked       the evaluator asks for it
    waiting     of a part: its turn has not come
    rated       a device has recorded a rating
    timed_out   a device has recorded that nobody answered in time
    closed      its time is over and no device has said anything, or the part before it was not rated
    cancelled   the business system has taken it back
    superseded  the next visit at its window was opened before it had an outcome
No state tells a level. A device's word outweighs all others: whatever the state is, a rating makes it "rated".
"""

from collections.abc import Sequence
from typing import NamedTuple

ASKED = "asked"
WAITING = "waiting"
RATED = "rated"
TIMED_OUT = "timed_out"
CLOSED = "closed"
CANCELLED = "cancelled"
SUPERSEDED = "superseded"

# An outcome may still come.
OPEN = (ASKED, WAITING)


class Move(NamedTuple):
    """The state after a device's record, and the rule codes that the record earns."""

    state: str
    flags: list[str]


def answered(state: str, already: bool, rated: bool, late: bool) -> Move:
    """What a device's record does to a visit.

    already: an earlier record has named it. rated: False for a time-out. late: made long after the question's end.
    """
    if already:
        return Move(state, ["visit_again"])
    if state == WAITING:
        return Move(RATED if rated else TIMED_OUT, ["visit_unknown"])  # nobody was asked yet
    flags = ["visit_late"] if late else []
    if state == SUPERSEDED:
        # A device times out the visit that the next one ends; or it was being rated at that moment.
        return Move(RATED, [*flags, "visit_superseded"]) if rated else Move(SUPERSEDED, flags)
    if state == CANCELLED:
        return Move(RATED if rated else CANCELLED, [*flags, "visit_closed"])
    return Move(RATED if rated else TIMED_OUT, flags)


def of_parts(parts: Sequence[str]) -> str:
    """The state of a visit whose parts (one or more, in order) have these states."""
    for state in (ASKED, WAITING):
        if state in parts:
            return ASKED
    for state in (RATED, TIMED_OUT):
        if state in parts:
            return state
    return parts[0]


def turn(parts: Sequence[str]) -> int | None:
    """The number (from 1) of the part that is to be asked now; None when nobody is to be asked.

    Parts are asked one after the other, and only as long as the visitor answers.
    """
    for number, state in enumerate(parts, 1):
        if state in OPEN:
            return number
        if state != RATED:
            return None
    return None
