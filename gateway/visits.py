"""Visits opened by the window business system: asked, rated, timed out, closed. No state tells a level."""

from collections.abc import Mapping
from typing import NamedTuple

ASKED = "asked"
RATED = "rated"
TIMED_OUT = "timed_out"
CLOSED = "closed"


class VisitRefused(Exception):
    """The request cannot be taken. reason: "window" (no active evaluator there), "field", "busy"."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail


class Visit(NamedTuple):
    """State of one visit."""

    visit: str
    window: str
    state: str
    new: bool  # False when the same visit was opened before: the same answer again


class Visits:
    """Idempotent by visit number."""

    def open(
        self,
        window: str,
        visit: str,
        staff: str | None = None,
        timeout_s: int | None = None,
        applicant: Mapping[str, str] | None = None,
    ) -> Visit:
        """Ask the evaluator of `window` to rate `visit` (1..50 characters).

        applicant: {"name", "phone", "id_number", "id_kind"}, each optional. Raises VisitRefused.
        Blocks for one commit; call from a worker thread.
        """
        raise NotImplementedError

    def state(self, visit: str) -> Visit | None:
        """None when the number is unknown (or older than two days)."""
        raise NotImplementedError
