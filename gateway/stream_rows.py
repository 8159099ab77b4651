"""The continuity of streams, to and from their table."""

import heapq
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from sqlalchemy import Connection, func, select
from sqlalchemy.dialects import sqlite

from gateway import schema
from gateway.batch import StreamKey
from gateway.continuity import Continuity
from gateway.retention import RECORD_KINDS

_CHANGES = ("through", "through_digest", "highest", "declared", "stored", "duplicates", "equivocations")


def load(connection: Connection, key: StreamKey) -> Continuity | None:
    """The stream as the ledger has it; None when it has none of that name."""
    table = schema.stream
    row = connection.execute(select(table).where(table.c.device == key[0], table.c.stream == key[1])).first()
    if row is None:
        return None
    state = Continuity(
        number=row.number,
        opened_s=row.opened_s,
        through=row.through,
        through_digest=row.through_digest,
        highest=row.highest,
        declared=row.declared,
        stored=row.stored,
        duplicates=row.duplicates,
        equivocations=row.equivocations,
    )
    if state.through < state.highest:
        state.reload(stored_above(connection, key, state.through))
    return state


def next_number(connection: Connection, device: str) -> int:
    """The number of the device's next stream, from 1."""
    table = schema.stream
    last = connection.execute(select(func.max(table.c.number)).where(table.c.device == device)).scalar()
    return (last or 0) + 1


def stored_above(connection: Connection, key: StreamKey, through: int) -> Iterable[int]:
    """Seqs of the stream above `through` that are stored, or were until their time was over; ascending.

    They are read as they are asked for.
    """
    table = schema.record
    mine = (table.c.device == key[0]) & (table.c.stream == key[1])
    rows = connection.execute(select(table.c.seq).where(mine, table.c.seq > through).order_by(table.c.seq)).scalars()
    return heapq.merge(rows, _removed_above(connection, key, through))


def _removed_above(connection: Connection, key: StreamKey, through: int) -> Iterator[int]:
    table = schema.removal
    mine = (table.c.device == key[0]) & (table.c.stream == key[1]) & table.c.kind.in_(RECORD_KINDS)
    query = select(table.c.first, table.c.last).where(mine, table.c.last > through).order_by(table.c.first)
    for first, last in connection.execute(query):
        yield from range(max(first, through + 1), last + 1)


def save(connection: Connection, streams: Mapping[StreamKey, Continuity]) -> None:
    """Write all of them, in one statement."""
    rows = [_row(key, state) for key, state in streams.items()]
    if rows:
        statement = sqlite.insert(schema.stream)
        changed = {name: statement.excluded[name] for name in _CHANGES}
        keys = [schema.stream.c.device, schema.stream.c.stream]
        connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=changed), rows)


def _row(key: StreamKey, state: Continuity) -> dict[str, Any]:
    row: dict[str, Any] = {name: getattr(state, name) for name in _CHANGES}
    row.update(device=key[0], stream=key[1], number=state.number, opened_s=state.opened_s)
    return row
