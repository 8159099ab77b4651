"""Visits opened by the window business system: asked, rated, timed out, closed. No state tells a level.

What they are is told in visit_states.py, how they are kept in visit_book.py. Parts that are rated one by one are asked
one after the other, for a device ends a question when the next one comes.
"""

import json
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, field
from typing import Protocol

from sqlalchemy import Connection

from gateway import matter, visit_states
from gateway.applicant_words import ApplicantWords
from gateway.hall_clock import HallClock
from gateway.item_library import Library
from gateway.ledger import Ledger
from gateway.matter import Matter
from gateway.registry import Device, Registry
from gateway.visit import NewVisit, Visit, VisitRefused
from gateway.visit_book import PART_MARK, Opened, VisitBook, part_visit
from gateway.visit_states import ASKED
from protocol import command, rating
from protocol import field as wire_field
from protocol.refusal import Refused

# Real seconds that broker, network and a slow device may add before an unanswered visit counts as closed.
NETWORK_ALLOWANCE_S = 10
# Visits whose parts are being asked; one a window. Of more than that somebody has forgotten the first.
QUESTIONS_MAX = 500

_IDENTITY_KEYS = {name: key for key, name, *_ in wire_field.rows(rating.IDENTITY_ROWS)}
_PART_NUMBER = re.compile(f".*{PART_MARK}[0-9]{{1,2}}", re.DOTALL)


class Asking(Protocol):
    """What visits need of the downlink."""

    def command(self, device: Device, kind: int, claims: dict[int, object], expires_s: int) -> bool:
        """Queue a command; False when the queue is full."""


@dataclass
class _Questions:
    """The questions of one visit, in memory only: they hold the applicant. sent: parts that were asked so far."""

    device: Device
    claims: dict[int, object] = field(repr=False)
    asked_s: int
    parts: int
    sent: int = 0


class Visits:
    """Opens visits and tells their state; idempotent by visit number. Any thread; each call blocks for one commit."""

    def __init__(
        self,
        ledger: Ledger,
        book: VisitBook,
        registry: Registry,
        downlink: Asking,
        clock: HallClock,
        timeout_s: int,
        library: Callable[[], Library | None] = lambda: None,
        part_kinds: Collection[str] = (),
    ) -> None:
        """timeout_s: how long a device asks when the request does not say: what its config says.

        part_kinds: kinds of visits (gateway.matter) whose parts are rated one by one.
        """
        self._ledger = ledger
        self._book = book
        self._registry = registry
        self._downlink = downlink
        self._clock = clock
        self._timeout_s = timeout_s
        self._library = library
        self._part_kinds = part_kinds
        self._lock = threading.Lock()
        self._questions: OrderedDict[str, _Questions] = OrderedDict()

    def open(
        self,
        window: str,
        visit: str,
        staff: str | None = None,
        timeout_s: int | None = None,
        applicant: Mapping[str, str] | None = None,
        about: Matter | None = None,
        supersede: bool = False,
    ) -> Visit:
        """Ask the evaluator of `window` to rate `visit` (1..50 characters).

        timeout_s: 5..600. applicant: {"name", "phone", "id_number", "id_kind"}, each optional; it is sent to the
        device and kept nowhere. supersede: this request takes the place of an earlier one under the same number, as
        long as that has no outcome. Raises VisitRefused.
        """
        about = about or Matter()
        claims = _request(window, visit, staff, timeout_s, applicant)
        parts = len(about.parts) if about.kind in self._part_kinds else 0
        _check_number(visit, parts)
        device = self._registry.evaluator_at(window)
        if device is None:
            raise VisitRefused("window", "no active evaluator")
        questions = _Questions(device, claims, timeout_s or self._timeout_s, parts)
        wanted = self._wanted(questions, about, ApplicantWords(visit, applicant), supersede)
        opened = self._ledger.write(lambda connection: self._book.open(connection, wanted)).result()
        self._take_back(opened, visit)
        if opened.visit.state == ASKED:  # again too: a crash may have come between commit and command; devices ask once
            self._ask(visit, questions, wanted.expires_s, opened.visit)
        return opened.visit

    def _wanted(self, asked: _Questions, about: Matter, unsaid: ApplicantWords, supersede: bool) -> NewVisit:
        visit, staff = str(asked.claims[command.VISIT]), asked.claims.get(command.STAFF)
        clerk = None if staff is None else str(staff)
        library = self._library()
        numbers = range(1, asked.parts + 1)
        body = _body(asked.claims, about)
        if clerk is not None and unsaid.stand_in(clerk):
            del asked.claims[command.STAFF]  # a device signs it with the rating, in clear
        return NewVisit(
            visit,
            str(asked.claims[command.WINDOW]),
            asked.device.name,
            self._expiry_s(asked.asked_s),
            body,
            matter.whole(about, clerk, library, unsaid),
            [matter.part(about, number, clerk, library, unsaid) for number in numbers],
            supersede,
        )

    def _expiry_s(self, asked_s: int) -> int:
        return self._clock.now_s() + asked_s + int(NETWORK_ALLOWANCE_S * self._clock.speed)

    def _ask(self, visit: str, questions: _Questions, expires_s: int, opened: Visit) -> None:
        if questions.parts:
            self._keep(visit, questions)
            self._go_on(visit, questions)
        if questions.sent if questions.parts else self._send(visit, questions, expires_s):
            return
        if opened.new:
            self._ledger.write(lambda connection: self._book.forget(connection, visit)).result()
        raise VisitRefused("busy", "too many commands wait")

    def _send(self, visit: str, questions: _Questions, expires_s: int, number: int = 0) -> bool:
        """Ask for the visit, or for its part `number`; False when the queue is full."""
        asked = {**questions.claims, command.VISIT: part_visit(visit, number) if number else visit}
        sent = self._downlink.command(questions.device, command.EVALUATION_REQUEST, asked, expires_s)
        if sent:
            questions.sent = number
        return sent

    def _keep(self, visit: str, questions: _Questions) -> None:
        """For the parts that come later."""
        with self._lock:
            self._questions[visit] = questions
            while len(self._questions) > QUESTIONS_MAX:
                self._questions.popitem(last=False)

    def go_on(self) -> None:
        """Ask for the parts whose turn has come; what is over is forgotten. Called again and again."""
        with self._lock:
            waiting = list(self._questions.items())
        for visit, questions in waiting:
            if not self._go_on(visit, questions):
                with self._lock:
                    if self._questions.get(visit) is questions:
                        del self._questions[visit]

    def _go_on(self, visit: str, questions: _Questions) -> bool:
        """Ask for the part whose turn it is, once; False when there is nothing more to ask."""
        found = self.state(visit)
        number = visit_states.turn(found.parts) if found else None
        if found is None or number is None:
            return False
        if number != questions.sent:
            expires_s = self._expiry_s(questions.asked_s)
            if found.parts[number - 1] != ASKED:
                asked = self._ledger.write(lambda connection: self._book.ask_part(connection, visit, number, expires_s))
                if not asked.result():
                    return True  # something came between: look again
            self._send(visit, questions, expires_s, number)
        return True

    def _take_back(self, opened: Opened, visit: str) -> None:
        """Tell the device of a visit that this one took the place of, should it be another's or ask for parts."""
        before = opened.replaced
        if before is not None and before.state == ASKED:
            self._stop_asking(before.device, visit, before.parts, before.expires_s)

    def _stop_asking(self, device_name: str, visit: str, parts: int, expires_s: int) -> None:
        device = self._registry.get(device_name)
        if device is None:
            return
        for number in [part_visit(visit, number) for number in range(1, parts + 1)] or [visit]:
            self._downlink.command(device, command.EVALUATION_CANCEL, {command.VISIT: number}, expires_s)

    def cancel(self, visit: str) -> Visit | None:
        """Stop asking; None when the number is unknown. A visit that has its outcome stays as it is."""
        if _is_part(visit):
            return None
        before = self._ledger.write(lambda connection: self._book.cancel(connection, visit)).result()
        if before is not None and before.state == ASKED:
            self._stop_asking(before.device, visit, before.parts, before.expires_s)
        return self.state(visit)

    def state(self, visit: str) -> Visit | None:
        """None when the number is unknown (or older than two days)."""
        if _is_part(visit):
            return None

        def look(connection: Connection) -> Visit | None:
            found = self._book.find(connection, visit)
            return self._book.shown(connection, visit, found) if found else None

        return self._ledger.read(look)


def _is_part(visit: str) -> bool:
    return _PART_NUMBER.fullmatch(visit) is not None


def _check_number(visit: str, parts: int) -> None:
    """Raises VisitRefused("field") for a number that would be mistaken for a part's, or leaves no room for one."""
    room = rating.VISIT_CHARS_MAX - (len(part_visit("", parts)) if parts else 0)
    if _is_part(visit) or len(visit) > room:
        raise VisitRefused("field", "visit")


def _body(claims: Mapping[int, object], about: Matter) -> bytes:
    """The request in one form, so that the same again is known as the same."""
    said = [sorted(claims.items(), key=lambda claim: claim[0]), asdict(about)]
    return json.dumps(said, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def _request(
    window: str, visit: str, staff: str | None, timeout_s: int | None, applicant: Mapping[str, str] | None
) -> dict[int, object]:
    """Claims of an evaluation request. Raises VisitRefused("field", name of the field)."""
    claims: dict[int, object] = {command.VISIT: visit, command.WINDOW: window}
    if staff is not None:
        claims[command.STAFF] = staff
    if timeout_s is not None:  # else the device's config says
        claims[command.TIMEOUT_S] = timeout_s
    if applicant:
        unknown = set(applicant) - set(_IDENTITY_KEYS)
        if unknown:
            raise VisitRefused("field", "applicant")
        claims[command.APPLICANT] = {_IDENTITY_KEYS[name]: value for name, value in applicant.items()}
    try:
        wire_field.check(command.REQUEST_ROWS, claims)
        if applicant:
            wire_field.check(rating.IDENTITY_ROWS, claims[command.APPLICANT])  # type: ignore[arg-type]  # built just above
    except Refused as refused:
        raise VisitRefused("field", refused.detail.split()[0]) from None
    return claims
