"""The clocks of all boots: noted batch by batch in the ledger's writer thread, and which records they owe an estimate.

Nearly every record finds its boot settled in memory and costs one look.
"""

import json
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, delete, insert, literal_column, select, tuple_, update

from gateway import schema
from gateway.opening import Admitted, Beat
from gateway.time_estimate import BootClock, Word
from protocol.record import HEARTBEAT, NO_TIME, PUNCH

# (device, boot in hex).
BootKey = tuple[str, str]

# Boots in memory, about 300 bytes each. A hall has one living boot per device; what is forgotten is read again.
BOOTS_MAX = 8192
# Boots kept per device: two months of daily power-on, longer than any journal holds records back.
BOOTS_KEPT = 64

# As the index has it: SQLite does not compare a parameter with the condition of an index.
UNSYNCHRONISED = schema.record.c.source == literal_column(str(NO_TIME))


class BootClocks:
    """`note`, `owed` and `done` run in the writer thread; `forget` there too, after a rollback."""

    def __init__(self) -> None:
        self._known: OrderedDict[BootKey, BootClock] = OrderedDict()
        self._owed: dict[BootKey, None] | None = None  # None: only the disk knows

    @property
    def owing(self) -> bool:
        """True when a record may wait for its estimate; any thread."""
        return self._owed is None or bool(self._owed)

    def forget(self) -> None:
        """State in memory may be ahead of the disk."""
        self._known.clear()
        self._owed = None

    def note(self, connection: Connection, records: Sequence[Admitted], beats: Iterable[Beat]) -> None:
        """Learn from what a batch brought that is new: its stored records and its heartbeats."""
        words: list[Admitted | Beat] = [one for one in beats if not self._settled(one)]
        words += [one for one in records if not self._settled(one)]
        if words:
            self._load(connection, {_key(one) for one in words})
            self._save(connection, self._learn(words))
        for one in records:
            if one.source == NO_TIME:
                clock = self._known.get(_key(one))
                if clock is None or clock.anchor is not None:
                    self._owe(_key(one))

    def _settled(self, one: Admitted | Beat) -> bool:
        clock = self._known.get(_key(one))
        return clock is not None and clock.settled

    def _learn(self, words: Iterable[Admitted | Beat]) -> dict[BootKey, BootClock]:
        """The clocks that a word has changed."""
        changed = {}
        for one in words:
            key = _key(one)
            before = self._known[key]
            if before.settled:
                continue  # by a word of this batch
            after = _told(before, one)
            if after != before:
                self._known[key] = changed[key] = after
            if after.anchor != before.anchor:
                self._owe(key)
        return changed

    def _owe(self, key: BootKey) -> None:
        if self._owed is not None:
            self._owed[key] = None

    def _load(self, connection: Connection, keys: set[BootKey]) -> None:
        """Bring those into memory that are not there; a boot never seen begins empty."""
        missing = [key for key in keys if key not in self._known]
        if not missing:
            return
        while self._known and len(self._known) + len(keys) > BOOTS_MAX:
            forgotten, _ = self._known.popitem(last=False)
            if forgotten in keys:
                missing.append(forgotten)
        table = schema.boot_clock
        found = connection.execute(select(table).where(tuple_(table.c.device, table.c.boot).in_(missing)))
        self._known.update({key: BootClock() for key in missing})
        self._known.update({(row.device, row.boot): _clock(row) for row in found})

    def _save(self, connection: Connection, changed: dict[BootKey, BootClock]) -> None:
        table = schema.boot_clock
        new = []
        for key, clock in changed.items():
            row = _columns(clock)
            mine = (table.c.device == key[0]) & (table.c.boot == key[1])
            if not connection.execute(update(table).where(mine).values(row)).rowcount:
                new.append({"device": key[0], "boot": key[1], "done": 0, **row})
        if new:
            connection.execute(insert(table), new)
            for device in {row["device"] for row in new}:
                _forget_oldest(connection, device)

    def owed(self, connection: Connection) -> tuple[BootKey, BootClock, int] | None:
        """(boot, its clock, up to which record it is done) of one that may owe an estimate; None where none does."""
        if self._owed is None:
            self._owed = _owing(connection)
        table = schema.boot_clock
        while self._owed:
            key = next(iter(self._owed))
            mine = (table.c.device == key[0]) & (table.c.boot == key[1])
            row = connection.execute(select(table).where(mine)).first()
            if row is not None and row.anchor_stream is not None:
                return key, _clock(row), row.done
            del self._owed[key]  # a boot that its device has left far behind, or that went from memory unanchored
        return None

    def done(self, connection: Connection, key: BootKey, through: int, finished: bool) -> None:
        """Records of the boot without time have their estimates up to the id `through`; finished: there are no more."""
        table = schema.boot_clock
        mine = (table.c.device == key[0]) & (table.c.boot == key[1])
        connection.execute(update(table).where(mine).values(done=through))
        if finished and self._owed is not None:
            self._owed.pop(key, None)


def _key(one: Admitted | Beat) -> BootKey:
    return one.device.name, one.boot


def _told(clock: BootClock, one: Admitted | Beat) -> BootClock:
    if isinstance(one, Beat):
        clock = clock.hear(one.arrival.received_ms, one.uptime_ms)
        word = Word(one.telemetry, one.seq, HEARTBEAT, one.coarse_s, one.uptime_ms)
    else:
        time_s = json.loads(one.claims_json).get("time_s") if one.kind == PUNCH else None
        word = Word(one.stream, one.seq, one.kind, one.coarse_s, one.uptime_ms, time_s)
    return clock if one.source == NO_TIME else clock.anchored(word)


def _clock(row: Any) -> BootClock:
    anchor = None if row.anchor_stream is None else (row.anchor_stream, row.anchor_seq)
    return BootClock(row.heard_ms, row.earliest_ms, row.latest_ms, anchor)


def _columns(clock: BootClock) -> dict[str, Any]:
    stream, seq = clock.anchor or (None, None)
    row = {"heard_ms": clock.heard_ms, "earliest_ms": clock.earliest_ms, "latest_ms": clock.latest_ms}
    return {**row, "anchor_stream": stream, "anchor_seq": seq}


def _forget_oldest(connection: Connection, device: str) -> None:
    table = schema.boot_clock
    kept = select(table.c.id).where(table.c.device == device).order_by(table.c.id.desc()).limit(BOOTS_KEPT)
    connection.execute(delete(table).where(table.c.device == device, table.c.id.not_in(kept)))


def _owing(connection: Connection) -> dict[BootKey, None]:
    """The boots that know their time and have a record without it behind `done`."""
    clock, record = schema.boot_clock, schema.record
    waiting = select(record.c.id).where(
        UNSYNCHRONISED,
        record.c.device == clock.c.device,
        record.c.boot == clock.c.boot,
        record.c.id > clock.c.done,
    )
    query = select(clock.c.device, clock.c.boot).where(clock.c.anchor_stream.is_not(None), waiting.exists())
    return {(row.device, row.boot): None for row in connection.execute(query.order_by(clock.c.id))}
