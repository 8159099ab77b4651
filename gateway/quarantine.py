"""Messages that could not be accepted, with their bytes and a reason: bounded, all counted.

What leaves for want of room is the oldest of the topic that holds most: a device gone mad pushes out its own messages,
never another's.
"""

import hashlib
import heapq
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, delete, func, insert, select, update
from sqlalchemy.dialects import sqlite

from gateway import schema
from protocol.limits import MESSAGE_BYTES_MAX

# Of a message that is too long this much is kept: enough to see what it was.
KEPT_BYTES_MAX = MESSAGE_BYTES_MAX
# A topic that MQTT allows may be 64 KiB.
TOPIC_CHARACTERS_MAX = 200
# Rows looked at in one step of eviction.
_EVICT_PAGE = 256

# Messages that are offered again in one transaction: some 60 ms in which the intake waits.
OFFERED_MAX = 64

EVICTED = "evicted"
EXPIRED = "expired"  # its time was over, see gateway.retention


class Stray(NamedTuple):
    """One refused message. reason: a code of gateway.rules."""

    reason: str
    topic: str
    message: bytes
    received_s: int

    def digest(self) -> bytes:
        """SHA-256 over topic and message: the same bytes again are the same stray."""
        return hashlib.sha256(self.topic.encode("utf-8", "replace") + b"\0" + self.message).digest()


class Held(NamedTuple):
    """One row of the quarantine, as the technician sees it: nothing of the message, which may hold anything."""

    id: int
    received_s: int
    reason: str
    topic: str
    size_bytes: int
    offered: int


class Kept(NamedTuple):
    """One row with its message, for inspection and to be offered again. message may be the beginning only."""

    id: int
    received_s: int
    topic: str
    reason: str
    digest: bytes
    size_bytes: int
    offered: int
    message: bytes

    def stray(self) -> Stray:
        """The message as it came, if it was kept whole."""
        return Stray(self.reason, self.topic, self.message, self.received_s)

    def is_whole(self) -> bool:
        """True when topic and message are all that came: of what is too long the beginning is kept."""
        return self.stray().digest() == self.digest


class Quarantine:
    """Writes inside the transactions of the ledger's writer thread."""

    def __init__(self, messages_max: int, bytes_max: int) -> None:
        self._messages_max = messages_max
        self._bytes_max = bytes_max
        self._held: _Held | None = None  # None: count when needed

    def forget(self) -> None:
        """After a rollback: what was counted in memory may not be on disk."""
        self._held = None

    def put(self, connection: Connection, strays: Sequence[Stray]) -> None:
        """Keep `strays` and count their reasons; a message that is held already is only counted."""
        if not strays:
            return
        held = self._held = self._held or _count_held(connection)
        for stray in strays:
            _put(connection, stray, held)
        evicted = self._evict(connection, held)
        count_refusals(connection, Counter(stray.reason for stray in strays))
        if evicted:
            count_refusals(connection, {EVICTED: evicted})

    def remove_before(self, connection: Connection, cutoff_s: int, limit: int) -> int:
        """Let up to `limit` messages go that came before `cutoff_s`, oldest first; how many went, counted as such."""
        table = schema.quarantine
        oldest = select(table.c.id, table.c.received_s).order_by(table.c.id).limit(limit)
        leaving = [row.id for row in connection.execute(oldest) if row.received_s < cutoff_s]
        if leaving:
            connection.execute(delete(table).where(table.c.id.in_(leaving)))
            count_refusals(connection, {EXPIRED: len(leaving)})
            self._held = None
        return len(leaving)

    def release(self, connection: Connection, kept: Kept) -> None:
        """Let a message go that the ledger has now; in the transaction in which it got there."""
        gone = connection.execute(delete(schema.quarantine).where(schema.quarantine.c.id == kept.id)).rowcount
        if gone and self._held is not None:
            self._held.add(kept.topic, -1, -len(kept.message))

    def release_all(self, connection: Connection, arrived: Iterable[tuple[str, bytes]]) -> None:
        """Let those of these messages, (topic, message), go that lie here: the ledger has them now.

        A device sends again what was refused, and what it kept is the same bytes.
        """
        table, held = schema.quarantine, self._held or _count_held(connection)
        self._held = held
        digests = [Stray("", topic, message, 0).digest() for topic, message in arrived if topic in held.messages]
        if digests:
            gone = delete(table).where(table.c.digest.in_(digests))
            for row in connection.execute(gone.returning(table.c.topic, func.length(table.c.message))).all():
                held.add(row[0], -1, -row[1])

    def rename(self, connection: Connection, kept: Kept, reason: str) -> None:
        """A message that was refused again, now for another reason."""
        table = schema.quarantine
        connection.execute(update(table).where(table.c.id == kept.id).values(reason=reason))

    def _evict(self, connection: Connection, held: "_Held") -> int:
        """Let messages go until both bounds hold; how many went."""
        evicted = 0
        while held.messages.total() > self._messages_max:
            evicted += _evict_from_fullest(connection, held, held.messages, self._messages_max)
        while held.bytes.total() > self._bytes_max:
            evicted += _evict_from_fullest(connection, held, held.bytes, self._bytes_max)
        return evicted


class _Held:
    """What is in quarantine, by topic. Bounded as the quarantine is."""

    def __init__(self, rows: Iterable[tuple[str, int, int]] = ()) -> None:
        """rows: (topic, messages, bytes)."""
        self.messages: Counter[str] = Counter()
        self.bytes: Counter[str] = Counter()
        for topic, messages, size_bytes in rows:
            self.add(topic, messages, size_bytes)

    def add(self, topic: str, messages: int, size_bytes: int) -> None:
        """Both numbers may be negative."""
        self.messages[topic] += messages
        self.bytes[topic] += size_bytes
        if not self.messages[topic]:
            del self.messages[topic], self.bytes[topic]


def _count_held(connection: Connection) -> _Held:
    table = schema.quarantine
    size = func.sum(func.length(table.c.message))
    query = select(table.c.topic, func.count(), size).group_by(table.c.topic)
    return _Held((row[0], row[1], row[2]) for row in connection.execute(query))


def _put(connection: Connection, stray: Stray, held: _Held) -> None:
    table, digest = schema.quarantine, stray.digest()
    again = update(table).where(table.c.digest == digest).values(offered=table.c.offered + 1)
    if connection.execute(again).rowcount:
        return
    kept, topic = stray.message[:KEPT_BYTES_MAX], _plain(stray.topic)
    row = {
        "received_s": stray.received_s,
        "topic": topic,
        "reason": stray.reason,
        "digest": digest,
        "size_bytes": len(stray.message),
        "offered": 1,
        "message": kept,
    }
    connection.execute(insert(table), [row])
    held.add(topic, 1, len(kept))


def _evict_from_fullest(connection: Connection, held: _Held, measure: Counter[str], at_most: int) -> int:
    """Delete the oldest of the topic with most of `measure` (one of held's) until the bound holds or another has more.

    How many went; at least one.
    """
    table = schema.quarantine
    (fullest, _), *others = heapq.nlargest(2, measure.items(), key=lambda item: item[1])
    next_most = others[0][1] if others else 0
    query = select(table.c.id, func.length(table.c.message)).where(table.c.topic == fullest)
    leaving: list[int] = []
    for row_id, size_bytes in connection.execute(query.order_by(table.c.id).limit(_EVICT_PAGE)).all():
        leaving.append(row_id)
        held.add(fullest, -1, -size_bytes)
        if measure.total() <= at_most or measure[fullest] < next_most:
            break
    connection.execute(delete(table).where(table.c.topic == fullest, table.c.id <= leaving[-1]))
    return len(leaving)


def _plain(topic: str) -> str:
    """The topic as text that a database takes: a hostile one may hold half characters."""
    return topic[:TOPIC_CHARACTERS_MAX].encode("utf-8", "replace").decode()


def count_refusals(connection: Connection, counts: Mapping[str, int]) -> None:
    """Add to the durable counters."""
    table = schema.refusal
    statement = sqlite.insert(table)
    statement = statement.on_conflict_do_update(
        index_elements=[table.c.reason], set_={"count": table.c.count + statement.excluded.count}
    )
    connection.execute(statement, [{"reason": reason, "count": count} for reason, count in counts.items()])


def held(
    connection: Connection, limit: int, reason: str | None = None, topic: str | None = None, before: int | None = None
) -> list[Held]:
    """The newest `limit` rows (1..1000), newest first; of one reason or topic, with ids below `before`, when given."""
    table = schema.quarantine
    shown = [table.c.id, table.c.received_s, table.c.reason, table.c.topic, table.c.size_bytes, table.c.offered]
    query = select(*shown).where(*_chosen(reason, topic))
    if before is not None:
        query = query.where(table.c.id < before)
    query = query.order_by(table.c.id.desc()).limit(limit)
    return [Held(*row) for row in connection.execute(query)]


def _chosen(reason: str | None, topic: str | None) -> list[ColumnElement[bool]]:
    table = schema.quarantine
    given = ((table.c.reason, reason), (table.c.topic, topic))
    return [column == value for column, value in given if value is not None]


def ids_after(connection: Connection, after: int, limit: int, reason: str | None, topic: str | None) -> list[int]:
    """The oldest `limit` ids above `after`, of one reason or topic when given, ascending."""
    table = schema.quarantine
    query = select(table.c.id).where(table.c.id > after, *_chosen(reason, topic)).order_by(table.c.id).limit(limit)
    return list(connection.execute(query).scalars())


def kept(connection: Connection, ids: Sequence[int]) -> list[Kept]:
    """The rows of `ids` that are still there, by id."""
    table = schema.quarantine
    shown = (table.c[name] for name in Kept._fields)
    query = select(*shown).where(table.c.id.in_(list(ids))).order_by(table.c.id)
    return [Kept(*row) for row in connection.execute(query)]


def held_by_reason(connection: Connection) -> dict[str, int]:
    """Messages in quarantine now, by reason."""
    table = schema.quarantine
    query = select(table.c.reason, func.count()).group_by(table.c.reason).order_by(table.c.reason)
    return {row[0]: row[1] for row in connection.execute(query)}
