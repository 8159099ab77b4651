"""A visit as it comes and goes: what opens it, what a device says about it, and how its state is told."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from gateway.matter import Context


class VisitRefused(Exception):  # the caller's request is refused; nothing of ours failed
    """The request cannot be taken.

    reason: "window" (no active evaluator there), "field" (detail names it), "busy", "visit_differs" (the number was
    opened with another body), "visit_answered" (and cannot be superseded any more, for a device has recorded it).
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail


class Visit(NamedTuple):
    """State of one visit. id: its name towards the business system's webhook, 32 hex digits."""

    visit: str
    window: str
    state: str
    new: bool  # False when the same visit was opened before: the same answer again
    id: str = ""
    flags: Sequence[str] = ()  # rule codes of what does not fit the item library
    parts: Sequence[str] = ()  # states of the parts, where each is rated by itself


@dataclass(frozen=True)
class NewVisit:
    """A visit to be opened. body: the request in one canonical form. parts: contexts, where each is rated by itself."""

    visit: str = field(repr=False)
    window: str
    device: str
    expires_s: int
    body: bytes = field(repr=False)
    context: Context
    parts: Sequence[Context] = ()
    supersede: bool = False


class Answer(NamedTuple):
    """What a device recorded about a visit. at_s: exact UTC seconds of it by the device's clock, 0 is unknown."""

    visit: str
    window: str
    rated: bool
    at_s: int


class Settled(NamedTuple):
    """What joins the record: rule codes, and the context of its visit (JSON)."""

    flags: list[str]
    context_json: str | None


NO_VISIT = Settled([], None)
