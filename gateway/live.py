"""What the hall looks like now: every window and door, the day's counts, the morning's sign-ins, the latest events.

Kept in memory, bounded, and built again from the end of the ledger at every start. It holds no reviewer, not even a
masked one, of a rating no time finer than the quarter of an hour, and levels only in groups (see publication.py): this
is shown on a wall.
"""

import re
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from gateway import rules
from gateway.ledger import Heartbeat, LedgerRecord
from gateway.live_marks import LiveMark, level_of, time_of
from gateway.publication import GROUP, Publication, total
from gateway.registry import ACTIVE, CLOCK, EVALUATOR, REVOKED, Device
from gateway.sign_in import DayRule, Morning
from protocol import event, record

# The busiest hall we know of makes about 12 000 records a day; so the end of the ledger holds today.
REBUILD_RECORDS = 20_000
FEED_EVENTS = 50
# 8 times the largest hall; beyond it the page would be unreadable and the snapshot too long.
DEVICES_MAX = 500

ONLINE, OFFLINE, FAULT, WAITING = "online", "offline", "fault", "waiting"
_FAULTS = {event.TAMPER, event.JOURNAL_FULL, event.FAULT, event.KEYS_ERASED, event.DECOMMISSIONED}
_CHECKS = {event.SELF_CHECK, event.OPENING_CHECK}
# A check passed, or a new start: whatever still is wrong will be said again.
_MENDED = {*_CHECKS, event.BOOT}
_DIGITS = re.compile(r"([0-9]+)")
_KIND_NAMES = {record.PUNCH: "punch", record.EVENT: "event"}


class Clock(Protocol):
    """The hall's clock; HallClock is one."""

    speed: float

    def now_s(self) -> int:
        """Hall time in UTC seconds."""


@dataclass
class _DeviceView:
    """What the ledger said last about one device."""

    seen_s: int = 0
    fault_code: int = 0


class _Day:
    """Everything that begins anew at midnight."""

    def __init__(self, number: int, rule: DayRule) -> None:
        self.number = number
        self.by_device: dict[str, Publication] = {}
        self.punches: dict[str, int] = {}
        self.morning = Morning(rule)
        self.excluded: set[int] = set()  # positions of ratings that are not adopted; at most the day's ratings


def rebuild_from(last_position: int) -> int:
    """The ledger position after which the live view starts reading."""
    return max(0, last_position - REBUILD_RECORDS)


class LiveView:
    """`take` is the work of the projection "live"; `snapshot` may be called from any thread.

    offline_after_s: a device whose last sign of life is older is offline; three heartbeats, for one may be lost.
    """

    def __init__(
        self,
        hall: str,
        devices: Callable[[], Mapping[str, Device]],
        heartbeats: Callable[[], Mapping[str, Heartbeat]],
        clock: Clock,
        offline_after_s: int = 900,
        rule: DayRule | None = None,
    ) -> None:
        self._hall = hall
        self._devices = devices
        self._heartbeats = heartbeats
        self._clock = clock
        self._offline_after_s = offline_after_s
        self._rule = rule or DayRule()
        self._lock = threading.Lock()
        self._views: dict[str, _DeviceView] = {}
        self._feed: deque[dict[str, object]] = deque(maxlen=FEED_EVENTS)
        self._day = _Day(self._rule.day_of(clock.now_s()), self._rule)
        self._first: int | None = None  # positions of the first and the last record taken
        self._last = 0

    def take(self, page: Sequence[LedgerRecord]) -> None:
        """Add records in ledger order."""
        with self._lock:
            self._turn_day()
            for one in page:
                self._take_one(one)
                self._first, self._last = self._first or one.position, one.position

    def mark(self, page: Sequence[LiveMark]) -> None:
        """Take marks of ratings in their order; each may come before its rating or after it."""
        with self._lock:
            self._turn_day()
            for one in page:
                if self._rule.day_of(one.time_s) == self._day.number:
                    self._mark_one(one)

    def _mark_one(self, one: LiveMark) -> None:
        if one.adopted == (one.position not in self._day.excluded):
            return
        (self._day.excluded.remove if one.adopted else self._day.excluded.add)(one.position)
        if self._first is None or not self._first <= one.position <= self._last:
            return  # take() looks when the rating comes
        shown = self._day.by_device.setdefault(one.device, Publication())
        (shown.restore if one.adopted else shown.withdraw)(one.level, one.visit, one.position)

    def snapshot(self) -> dict[str, object]:
        """Everything the page shows, as JSON types; see api `/api/v1/live`."""
        devices, heartbeats, now_s = self._devices(), self._heartbeats(), self._clock.now_s()
        with self._lock:
            self._turn_day()
            shown = sorted((one for one in devices.values() if one.status != REVOKED), key=_place_order)[:DEVICES_MAX]
            windows = [self._window(one, heartbeats, now_s) for one in shown if one.kind == EVALUATOR]
            doors = [self._door(one, heartbeats, now_s) for one in shown if one.kind == CLOCK]
            return {
                "hall": self._hall,
                "now_s": now_s,
                "speed": self._clock.speed,
                "utc_offset_s": self._rule.utc_offset_s,
                "group": GROUP,
                "states": _count_states([*windows, *doors]),
                "windows": windows,
                "doors": doors,
                **self._totals(),
                **self._attendance(),
                "feed": list(reversed(self._feed)),
            }

    def _turn_day(self) -> None:
        today = self._rule.day_of(self._clock.now_s())
        if today != self._day.number:
            self._day = _Day(today, self._rule)

    def _take_one(self, one: LedgerRecord) -> None:
        view = self._view(one.device)
        time_s = time_of(one.claims, one.coarse_s, one.received_s)
        view.seen_s = max(view.seen_s, one.received_s)
        today = self._rule.day_of(time_s) == self._day.number
        if one.kind == record.RATING:
            if today:
                self._take_rating(one, time_s)
            return
        if one.kind == record.PUNCH:
            self._take_punch(one, today)
        elif one.kind == record.EVENT:
            _take_event(one, view)
        self._feed.append(self._feed_event(one, time_s))

    def _view(self, device: str) -> _DeviceView:
        if device not in self._views and len(self._views) >= 2 * DEVICES_MAX:
            # What the ledger holds of devices that were taken out of the registry; at most the registry remains.
            living = self._devices()
            self._views = {name: view for name, view in self._views.items() if name in living}
        return self._views.setdefault(device, _DeviceView())

    def _take_rating(self, one: LedgerRecord, time_s: int) -> None:
        """Count it; the feed tells of a window's groups only."""
        level, visit = level_of(one.claims), one.claims.get("mode") == "visit"
        window = self._day.by_device.setdefault(one.device, Publication())
        if one.position in self._day.excluded:
            window.add_not_adopted()
            return
        group = window.add(level, visit, rules.shown(one.flags), one.position)
        if group:
            self._feed.append({**_feed_head(one, "ratings", time_s), "levels": group, "flags": window.last_flags})

    def _take_punch(self, one: LedgerRecord, today: bool) -> None:
        if today:
            claims: Mapping[str, Any] = one.claims
            self._day.punches[one.device] = self._day.punches.get(one.device, 0) + 1
            self._day.morning.add(
                str(claims.get("staff", "")), one.window, claims.get("time_s"), str(claims["direction"])
            )

    def _feed_event(self, one: LedgerRecord, time_s: int) -> dict[str, object]:
        claims = one.claims
        shown = _feed_head(one, _KIND_NAMES.get(one.kind, "event"), time_s)
        if one.kind == record.PUNCH:
            time_known = claims.get("time_s") is not None
            morning = time_known and self._rule.is_morning(time_s)
            shown.update(staff=claims.get("staff"), late=morning and self._rule.is_late(time_s), time_known=time_known)
        else:
            shown.update(code=claims.get("code"))
        return {**shown, "flags": rules.shown(one.flags)}

    def _state(self, device: Device, heartbeats: Mapping[str, Heartbeat], now_s: int) -> dict[str, object]:
        view = self._views.get(device.name, _NOTHING_SEEN)
        heartbeat = heartbeats.get(device.name)
        seen_s = max(view.seen_s, heartbeat.received_s if heartbeat else 0)
        return {
            "device": device.name,
            "place": device.place,
            "state": device_state(device.status, seen_s, now_s, self._offline_after_s, view.fault_code),
            "seen_s": seen_s or None,
            "fault_code": view.fault_code or None,
            "pending": heartbeat.pending if heartbeat else None,
        }

    def _window(self, device: Device, heartbeats: Mapping[str, Heartbeat], now_s: int) -> dict[str, object]:
        shown = self._day.by_device.get(device.name, _NO_RATINGS)
        return {
            **self._state(device, heartbeats, now_s),
            "last_levels": list(shown.last_levels),
            "levels": list(shown.rates.levels),
            "timed_out": shown.rates.timed_out,
            "waiting": shown.waiting,
            "visits": shown.visits,
        }

    def _door(self, device: Device, heartbeats: Mapping[str, Heartbeat], now_s: int) -> dict[str, object]:
        return {**self._state(device, heartbeats, now_s), "punches": self._day.punches.get(device.name, 0)}

    def _totals(self) -> dict[str, object]:
        windows = self._day.by_device.values()
        rates = total(windows)
        return {
            "levels": list(rates.levels),
            "timed_out": rates.timed_out,
            "waiting": sum(one.waiting for one in windows),
            "not_adopted": sum(one.not_adopted for one in windows),
            "visits_rated": rates.visits_rated,
            "good_rate": rates.good_rate,
            "rating_rate": rates.rating_rate,
        }

    def _attendance(self) -> dict[str, object]:
        sign_ins = self._day.morning.sign_ins()
        return {
            "sign_in_limit_s": self._rule.sign_in_limit_s,
            "signed_in": len(sign_ins),
            "late": sum(1 for one in sign_ins if one.late),
            "sign_ins": [one._asdict() for one in sign_ins],
        }


_NOTHING_SEEN = _DeviceView()
_NO_RATINGS = Publication()


def device_state(status: str, seen_s: int, now_s: int, offline_after_s: int, fault_code: int) -> str:
    """ "waiting" (never heard, or not yet active), "offline", "fault" or "online". Silence outweighs an old fault."""
    if status != ACTIVE or not seen_s:
        return WAITING
    if now_s - seen_s > offline_after_s:
        return OFFLINE
    return FAULT if fault_code else ONLINE


def _place_order(device: Device) -> tuple[list[tuple[int, str]], str]:
    """Window 2 before window 10, whatever else stands in the names."""
    parts = [
        (int(part), "") if part.isascii() and part.isdigit() else (0, part) for part in _DIGITS.split(device.place)
    ]
    return parts, device.name


def _feed_head(one: LedgerRecord, kind: str, time_s: int) -> dict[str, object]:
    return {"id": one.position, "kind": kind, "device": one.device, "place": one.window, "at_s": time_s}


def _take_event(one: LedgerRecord, view: _DeviceView) -> None:
    code = one.claims.get("code")
    if code in _FAULTS and isinstance(code, int):
        view.fault_code = code
    elif code in _MENDED and not (code in _CHECKS and one.claims.get("value")):
        view.fault_code = 0


def _count_states(devices: Sequence[Mapping[str, object]]) -> dict[str, int]:
    counts = dict.fromkeys((ONLINE, OFFLINE, FAULT, WAITING), 0)
    for one in devices:
        counts[str(one["state"])] += 1
    return counts
