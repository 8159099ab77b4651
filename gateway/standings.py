"""Where each stream stood at a manifest, so that an audit can hold what follows against it."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from sqlalchemy import Connection, func, select, tuple_

from gateway import schema
from gateway.manifests import Last
from gateway.retention import RECORD_KINDS
from protocol import manifest, sign1

# Manifests read in one query, 4 KiB each at most.
_PAGE_MANIFESTS = 256

StreamKey = tuple[str, str]  # device, stream in hex


class Standing(NamedTuple):
    """The highest number of a stream at a moment. digest: of that record; empty where retention took it away."""

    device: str
    stream: str
    seq: int
    digest: bytes


def at(connection: Connection, before: Last) -> list[Standing]:
    """All streams as they stood when manifest `before` was made, by device and stream."""
    if not before.position:
        return []
    found = _remaining(connection, before.position)
    for key, seq in _removed(connection, before.number, found).items():
        if key not in found or found[key].seq < seq:
            found[key] = Standing(*key, seq, b"")
    return [found[key] for key in sorted(found)]


def _remaining(connection: Connection, position: int) -> dict[StreamKey, Standing]:
    table = schema.record
    newest = (
        select(table.c.device, table.c.stream, func.max(table.c.seq))
        .where(table.c.id <= position)
        .group_by(table.c.device, table.c.stream)
    )
    identity = tuple_(table.c.device, table.c.stream, table.c.seq)
    columns = (table.c.device, table.c.stream, table.c.seq, table.c.digest)
    rows = connection.execute(select(*columns).where(identity.in_(newest)))
    return {(row.device, row.stream): Standing(*row) for row in rows}


def _removed(connection: Connection, number: int, remaining: Mapping[StreamKey, Standing]) -> dict[StreamKey, int]:
    """Highest number that a manifest up to `number` states, of streams that had records removed above what remains.

    The table `removal` has no positions, and whoever writes in the ledger can write in it; manifests are signed.
    """
    sought = {
        key: last
        for key, last in _highest_removed(connection).items()
        if key not in remaining or remaining[key].seq < last
    }
    found: dict[StreamKey, int] = {}
    for device, stream, last in _stated_down_from(connection, number) if sought else ():
        key = (device, stream.hex())
        if key in sought:
            found[key] = max(found.get(key, 0), last)
            if found[key] >= sought[key]:
                del sought[key]
                if not sought:
                    break
    return found


def _highest_removed(connection: Connection) -> dict[StreamKey, int]:
    table = schema.removal
    query = select(table.c.device, table.c.stream, func.max(table.c.last)).where(table.c.kind.in_(RECORD_KINDS))
    return {(row[0], row[1]): row[2] for row in connection.execute(query.group_by(table.c.device, table.c.stream))}


def _stated_down_from(connection: Connection, number: int) -> Iterator[tuple[str, bytes, int]]:
    """(device, stream, last number) of every run that a manifest states, from manifest `number` down to the first."""
    table = schema.manifest
    while number > 0:
        query = select(table.c.number, table.c.statement).where(table.c.number <= number)
        page = connection.execute(query.order_by(table.c.number.desc()).limit(_PAGE_MANIFESTS)).all()
        for _, statement in page:
            content = manifest.decode(sign1.parse(statement, manifest.MANIFEST_TYP).payload)
            yield from ((device, stream, last) for device, stream, _, last in content.runs)
        number = page[-1][0] - 1 if page else 0
