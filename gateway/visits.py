"""Visits opened by the window business system: asked, rated, timed out, closed. No state tells a level.

The visit number is the reviewer's (security reference, threat 14), so the ledger never holds it: a visit is known by a
keyed hash of its number, under a key of the day that is destroyed two days later, and its row with it.
"""

import hmac
import secrets
from collections.abc import Iterable, Mapping
from typing import NamedTuple, Protocol

from sqlalchemy import Connection, delete, func, insert, select, update

from gateway import schema
from gateway.hall_clock import HallClock
from gateway.ledger import Ledger
from gateway.registry import Device, Registry
from protocol import command, field, rating
from protocol.refusal import Refused

ASKED = "asked"
RATED = "rated"
TIMED_OUT = "timed_out"
CLOSED = "closed"

# A hall serves some thousand visits a day; beyond this the business system has gone mad.
VISITS_PER_DAY_MAX = 100_000
DAY_S = 24 * 3600
# Days whose keys live: a visit may begin before midnight (UTC) and be rated after.
DAYS_KEPT = 2
# Real seconds that broker, network and a slow device may add before an unanswered visit counts as closed.
NETWORK_ALLOWANCE_S = 10

_IDENTITY_KEYS = {name: key for key, name, *_ in field.rows(rating.IDENTITY_ROWS)}


class VisitRefused(Exception):  # the caller's request is refused; nothing of ours failed
    """The request cannot be taken. reason: "window" (no active evaluator there), "field" (detail names it), "busy"."""

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


class _Row(NamedTuple):
    """A visit as the table has it."""

    token: bytes
    window: str
    device: str
    state: str
    expires_s: int


class VisitBook:
    """The table of visits; its methods run inside jobs of the ledger's writer thread, `find` also in readers."""

    def __init__(self, clock: HallClock) -> None:
        self._clock = clock

    def find(self, connection: Connection, visit: str) -> _Row | None:
        """The visit of that number, opened today or yesterday."""
        return self.find_all(connection, [visit]).get(visit)

    def find_all(self, connection: Connection, visits: Iterable[str]) -> dict[str, _Row]:
        """Those of `visits` that were opened today or yesterday, by number."""
        keys, table = schema.visit_key, schema.visit
        first_day = self._clock.now_s() // DAY_S - DAYS_KEPT + 1
        living = connection.execute(select(keys.c.key).where(keys.c.day >= first_day)).scalars().all()
        tokens = {_token(key, visit): visit for visit in visits for key in living}
        if not tokens:
            return {}
        shown = (table.c.token, table.c.window, table.c.device, table.c.state, table.c.expires_s)
        rows = connection.execute(select(*shown).where(table.c.token.in_(tokens)))
        return {tokens[row.token]: _Row(*row) for row in rows}

    def open(self, connection: Connection, visit: str, window: str, device: str, expires_s: int) -> Visit:
        """Note the visit as asked, unless it is known. Raises VisitRefused("busy") when the day is full."""
        found = self.find(connection, visit)
        if found:
            return Visit(visit, found.window, self.shown_state(found), False)
        day = self._clock.now_s() // DAY_S
        key = self._key_of(connection, day)
        table = schema.visit
        if (connection.execute(select(func.count()).where(table.c.day == day)).scalar() or 0) >= VISITS_PER_DAY_MAX:
            raise VisitRefused("busy", "too many visits today")
        row = {"token": _token(key, visit), "day": day, "window": window, "device": device, "state": ASKED}
        row["expires_s"] = expires_s
        connection.execute(insert(table), [row])
        return Visit(visit, window, ASKED, True)

    def _key_of(self, connection: Connection, day: int) -> bytes:
        """The key of `day`; with a new one, what is too old goes (a hall that opens no visit: see the daily round)."""
        keys = schema.visit_key
        key = connection.execute(select(keys.c.key).where(keys.c.day == day)).scalar()
        if key is None:
            key = secrets.token_bytes(32)
            connection.execute(insert(keys), [{"day": day, "key": key}])
            self.expire(connection)
        return bytes(key)

    def expire(self, connection: Connection) -> None:
        """What is too old goes: visits, and the keys that could tell whose they were."""
        last_day = self._clock.now_s() // DAY_S - DAYS_KEPT
        for table in (schema.visit_key, schema.visit):
            connection.execute(delete(table).where(table.c.day <= last_day))

    def settle(self, connection: Connection, known: dict[str, _Row], visit: str, window: str, rated: bool) -> list[str]:
        """Note the outcome that a device recorded at `window`; the rule codes it earns, see visit_rules.

        known: of find_all, kept up to date.
        """
        found = known.get(visit)
        if found is None:
            return ["visit_unknown"]
        codes = ["visit_other_window"] if found.window != window else []
        if found.state in (RATED, TIMED_OUT):
            return [*codes, "visit_again"]
        if found.state == CLOSED:
            codes.append("visit_closed")
        state = RATED if rated else TIMED_OUT
        self._set(connection, found.token, state)
        known[visit] = found._replace(state=state)
        return codes

    def forget(self, connection: Connection, visit: str) -> None:
        """Undo open() of a visit that nobody was asked about: the next request opens it anew."""
        found = self.find(connection, visit)
        if found and found.state == ASKED:
            connection.execute(delete(schema.visit).where(schema.visit.c.token == found.token))

    def close(self, connection: Connection, visit: str) -> _Row | None:
        """Close a visit that has no outcome yet; its row before, or None when it is unknown."""
        found = self.find(connection, visit)
        if found and found.state == ASKED:
            self._set(connection, found.token, CLOSED)
        return found

    def _set(self, connection: Connection, token: bytes, state: str) -> None:
        connection.execute(update(schema.visit).where(schema.visit.c.token == token).values(state=state, expires_s=0))

    def shown_state(self, row: _Row) -> str:
        """The state as told: a visit that nobody answered in time is closed."""
        return CLOSED if row.state == ASKED and self._clock.now_s() > row.expires_s else row.state


def _token(key: bytes, visit: str) -> bytes:
    return hmac.digest(key, visit.encode(), "sha256")


class Asking(Protocol):
    """What visits need of the downlink."""

    def command(self, device: Device, kind: int, claims: dict[int, object], expires_s: int) -> bool:
        """Queue a command; False when the queue is full."""


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
    ) -> None:
        """timeout_s: how long a device asks when the request does not say: what its config says."""
        self._ledger = ledger
        self._book = book
        self._registry = registry
        self._downlink = downlink
        self._clock = clock
        self._timeout_s = timeout_s

    def open(
        self,
        window: str,
        visit: str,
        staff: str | None = None,
        timeout_s: int | None = None,
        applicant: Mapping[str, str] | None = None,
    ) -> Visit:
        """Ask the evaluator of `window` to rate `visit` (1..50 characters).

        timeout_s: 5..600. applicant: {"name", "phone", "id_number", "id_kind"}, each optional; it is sent to the
        device and kept nowhere. Raises VisitRefused.
        """
        claims = _request(window, visit, staff, timeout_s, applicant)
        device = self._registry.evaluator_at(window)
        if device is None:
            raise VisitRefused("window", "no active evaluator")
        asked_s = timeout_s or self._timeout_s
        expires_s = self._clock.now_s() + asked_s + int(NETWORK_ALLOWANCE_S * self._clock.speed)
        opened = self._ledger.write(
            lambda connection: self._book.open(connection, visit, window, device.name, expires_s)
        ).result()
        if opened.state == ASKED:  # again too: a crash may have come between commit and command; devices ask once
            self._ask(device, visit, claims, expires_s, opened.new)
        return opened

    def _ask(self, device: Device, visit: str, claims: dict[int, object], expires_s: int, new: bool) -> None:
        if self._downlink.command(device, command.EVALUATION_REQUEST, claims, expires_s):
            return
        if new:
            self._ledger.write(lambda connection: self._book.forget(connection, visit)).result()
        raise VisitRefused("busy", "too many commands wait")

    def cancel(self, visit: str) -> Visit | None:
        """Stop asking; None when the number is unknown. A visit that has its outcome stays as it is."""
        found = self._ledger.write(lambda connection: self._book.close(connection, visit)).result()
        if found is None:
            return None
        device = self._registry.get(found.device)
        if found.state != ASKED or device is None:
            return Visit(visit, found.window, found.state, False)
        self._downlink.command(device, command.EVALUATION_CANCEL, {command.VISIT: visit}, found.expires_s)
        return Visit(visit, found.window, CLOSED, False)

    def state(self, visit: str) -> Visit | None:
        """None when the number is unknown (or older than two days)."""
        found = self._ledger.read(lambda connection: self._book.find(connection, visit))
        return Visit(visit, found.window, self._book.shown_state(found), False) if found else None


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
        field.check(command.REQUEST_ROWS, claims)
        if applicant:
            field.check(rating.IDENTITY_ROWS, claims[command.APPLICANT])  # type: ignore[arg-type]  # built just above
    except Refused as refused:
        raise VisitRefused("field", refused.detail.split()[0]) from None
    return claims
