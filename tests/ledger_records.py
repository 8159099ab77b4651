"""Ledger records made by hand, for tests of what reads the ledger; and a ledger in memory that holds them."""

import threading

from sealing_device import MORNING_S

from gateway.ledger import LedgerRecord
from protocol import record


def ledger_record(position, device="e-001", kind=record.RATING, claims=None, at_s=MORNING_S, **more):
    """One record; its seq is its position unless given."""
    coarse_s = record.coarse(at_s)
    values = {
        "position": position, "device": device, "stream": "ab" * 8, "seq": position, "kind": kind, "window": "01",
        "digest": bytes(32), "evidence": b"evidence", "coarse_s": coarse_s,
        "received_s": coarse_s if kind == record.RATING else at_s, "source": 1, "uptime_ms": 1000, "boot": "00" * 8,
        "claims": claims or {}, "masked": None, "sealed": None, "flags": [],
    }  # fmt: skip
    return LedgerRecord(**{**values, **more})


def rating(position, level=5, mode="visit", **more):
    """A rating; level None is a visit that timed out."""
    outcome = {"outcome": "rated", "level": level} if level else {"outcome": "timed_out"}
    return ledger_record(position, kind=record.RATING, claims={"window": "01", "mode": mode, **outcome}, **more)


def punch(position, staff="S001", at_s=MORNING_S, time_known=True, direction="auto", **more):
    """A punch at the clock c-001."""
    claims = {"door": "D1", "staff": staff, "direction": direction, "score": 120, "method": "fingerprint"}
    if time_known:
        claims["time_s"] = at_s
    more = {"device": "c-001", "window": "D1", **more}
    return ledger_record(position, kind=record.PUNCH, claims=claims, at_s=at_s, **more)


def device_event(position, code, device="e-001", at_s=MORNING_S, **claims):
    """A device event."""
    return ledger_record(position, device, record.EVENT, {"code": code, **claims}, at_s)


class LedgerInMemory:
    """What a projection asks of a ledger; `append` wakes whoever waits."""

    def __init__(self, *records):
        self.records = list(records)
        self.grown = threading.Condition()

    def append(self, *records):
        with self.grown:
            self.records += records
            self.grown.notify_all()

    def records_after(self, position, limit):
        return [one for one in self.records if one.position > position][:limit]

    def last_position(self):
        return self.records[-1].position if self.records else 0

    def wait_beyond(self, position, timeout_s):
        with self.grown:
            return self.grown.wait_for(lambda: self.last_position() > position, timeout_s)
