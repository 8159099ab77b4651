"""When each device was switched on, as its records tell it: a record whose time says otherwise contradicts them.

Uptime cannot be set, wall time can. Time minus uptime is the moment of the boot; each record bounds it, within its
quarter of an hour where it tells no second, and the records of one boot must leave a moment that fits all of them.
"""

from collections import OrderedDict
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, select

from gateway import act as acts
from gateway import schema
from gateway.act import Act
from protocol.limits import COARSE_S
from protocol.record import RATING, coarse

# Devices whose boots stay in memory; beyond the bound the longest silent is read from the ledger again.
DEVICES_MAX = 8192
# Boots of one device: a rating that was on flash at the power cut is sealed in the next boot, but states its own.
BOOTS_KEPT = 4
# Records of a stream that are read when its device is new in memory: one with a time of each boot is enough.
READ_RECORDS = 64
# How much faster or slower a crystal may run. A good one is off by 10 to 20 millionths, a bad one by 100.
DRIFT_PPM_MAX = 200


class Boot(NamedTuple):
    """The moment of a boot lies within [low_ms, high_ms] (UTC), as it was told at uptime_ms."""

    low_ms: int
    high_ms: int
    uptime_ms: int


def told(act: Act) -> Boot | None:
    """What one record says of its boot; None when the device did not know the time."""
    if not act.coarse_s:
        return None
    known = act.exact_s and coarse(act.exact_s) == act.coarse_s
    first_s, span_s = (act.exact_s, 1) if known else (act.coarse_s, COARSE_S)
    uptime_span_ms = 1000 * COARSE_S if act.kind == RATING else 0  # of a rating, uptime is coarse as well
    low_ms = 1000 * first_s - act.uptime_ms
    return Boot(low_ms - uptime_span_ms, low_ms + 1000 * span_s, act.uptime_ms)


def drifted(boot: Boot, uptime_ms: int) -> Boot:
    """The same at another uptime: the longer ago it was told, the less is known."""
    drift_ms = abs(uptime_ms - boot.uptime_ms) * DRIFT_PPM_MAX // 1_000_000
    return Boot(boot.low_ms - drift_ms, boot.high_ms + drift_ms, uptime_ms)


def apart_ms(one: Boot, other: Boot) -> int:
    """How far apart the two are; 0 where they can be the same moment."""
    return max(0, one.low_ms - other.high_ms, other.low_ms - one.high_ms)


class BootTimes:
    """The boots of all devices; in the ledger's writer thread."""

    def __init__(self) -> None:
        self._devices: OrderedDict[str, OrderedDict[str, Boot]] = OrderedDict()

    def forget(self) -> None:
        """After a rollback: the ledger knows."""
        self._devices.clear()

    def take(self, connection: Connection, act: Act) -> int:
        """Add a record; by how many seconds it contradicts those before it. What contradicts is not believed."""
        boots = self._devices.get(act.device)
        if boots is None:
            boots = self._devices[act.device] = OrderedDict()
            for row in connection.execute(_rows_before(act)):
                _add(boots, acts.of_row(row))
            if len(self._devices) > DEVICES_MAX:
                self._devices.popitem(last=False)
        self._devices.move_to_end(act.device)
        return _add(boots, act)


def _add(boots: "OrderedDict[str, Boot]", act: Act) -> int:
    new, known = told(act), boots.get(act.boot)
    if new is None:
        return 0
    if known is None or act.step_told:
        apart = 0
        boots[act.boot] = new
    else:
        known = drifted(known, act.uptime_ms)
        apart = apart_ms(known, new)
        if not apart:
            boots[act.boot] = Boot(max(known.low_ms, new.low_ms), min(known.high_ms, new.high_ms), act.uptime_ms)
    boots.move_to_end(act.boot)
    if len(boots) > BOOTS_KEPT:
        boots.popitem(last=False)
    return apart // 1000


def _rows_before(act: Act) -> Select[Any]:
    table = schema.record
    mine = (table.c.device == act.device) & (table.c.stream == act.stream)
    return select(*acts.COLUMNS).where(mine, table.c.seq > act.seq - READ_RECORDS).order_by(table.c.seq)
