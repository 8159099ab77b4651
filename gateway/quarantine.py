"""Messages that could not be accepted, with their bytes and a reason: bounded, oldest first out, all counted."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, delete, func, insert, select, update
from sqlalchemy.dialects import sqlite

from gateway import schema
from protocol.limits import MESSAGE_BYTES_MAX

# Of a message that is too long this much is kept: enough to see what it was.
KEPT_BYTES_MAX = MESSAGE_BYTES_MAX
# A topic that MQTT allows may be 64 KiB.
TOPIC_CHARACTERS_MAX = 200
# Rows looked at in one step of eviction.
_EVICT_PAGE = 256

EVICTED = "evicted"


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
    """One row of the quarantine, as the technician sees it. prefix: the first bytes of the message, in hex."""

    id: int
    received_s: int
    reason: str
    topic: str
    size_bytes: int
    offered: int
    prefix: str


class Quarantine:
    """Writes inside the transactions of the ledger's writer thread."""

    def __init__(self, messages_max: int, bytes_max: int) -> None:
        self._messages_max = messages_max
        self._bytes_max = bytes_max
        self._messages: int | None = None  # None: count when needed
        self._bytes = 0

    def forget(self) -> None:
        """After a rollback: what was counted in memory may not be on disk."""
        self._messages = None

    def put(self, connection: Connection, strays: Sequence[Stray]) -> None:
        """Keep `strays` and count their reasons; a message that is held already is only counted."""
        if not strays:
            return
        self._count_held(connection)
        for stray in strays:
            self._put(connection, stray)
        evicted = self._evict(connection)
        count_refusals(connection, Counter(stray.reason for stray in strays))
        if evicted:
            count_refusals(connection, {EVICTED: evicted})

    def _count_held(self, connection: Connection) -> None:
        if self._messages is None:
            table = schema.quarantine
            size = func.coalesce(func.sum(func.length(table.c.message)), 0)
            self._messages, self._bytes = connection.execute(select(func.count(), size).select_from(table)).one()

    def _put(self, connection: Connection, stray: Stray) -> None:
        table, digest = schema.quarantine, stray.digest()
        again = update(table).where(table.c.digest == digest).values(offered=table.c.offered + 1)
        if connection.execute(again).rowcount:
            return
        kept = stray.message[:KEPT_BYTES_MAX]
        row = {
            "received_s": stray.received_s,
            "topic": _plain(stray.topic),
            "reason": stray.reason,
            "digest": digest,
            "size_bytes": len(stray.message),
            "offered": 1,
            "message": kept,
        }
        connection.execute(insert(table), [row])
        assert self._messages is not None
        self._messages += 1
        self._bytes += len(kept)

    def _evict(self, connection: Connection) -> int:
        """Let the oldest go until both bounds hold; how many went."""
        table, evicted = schema.quarantine, 0
        assert self._messages is not None
        while self._messages > self._messages_max or self._bytes > self._bytes_max:
            size = func.length(table.c.message)
            page = connection.execute(select(table.c.id, size).order_by(table.c.id).limit(_EVICT_PAGE)).all()
            leaving = self._leaving([(row[0], row[1]) for row in page])
            connection.execute(delete(table).where(table.c.id <= leaving[-1]))
            evicted += len(leaving)
        return evicted

    def _leaving(self, oldest: Iterable[tuple[int, int]]) -> list[int]:
        """Ids of the oldest rows that must go for the bounds to hold; at least one."""
        assert self._messages is not None
        leaving: list[int] = []
        for row_id, size_bytes in oldest:
            if leaving and self._messages <= self._messages_max and self._bytes <= self._bytes_max:
                break
            leaving.append(row_id)
            self._messages -= 1
            self._bytes -= size_bytes
        return leaving


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


def held(connection: Connection, limit: int, reason: str | None = None) -> list[Held]:
    """The newest `limit` rows (1..1000), newest first; of one reason when it is given."""
    table = schema.quarantine
    shown = [table.c.id, table.c.received_s, table.c.reason, table.c.topic, table.c.size_bytes, table.c.offered]
    query = select(*shown, func.substr(table.c.message, 1, 8)).order_by(table.c.id.desc()).limit(limit)
    if reason is not None:
        query = query.where(table.c.reason == reason)
    return [Held(*row[:6], bytes(row[6]).hex()) for row in connection.execute(query)]


def held_by_reason(connection: Connection) -> dict[str, int]:
    """Messages in quarantine now, by reason."""
    table = schema.quarantine
    query = select(table.c.reason, func.count()).group_by(table.c.reason).order_by(table.c.reason)
    return {row[0]: row[1] for row in connection.execute(query)}
