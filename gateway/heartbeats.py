"""The latest heartbeat of each device, and which telemetry was seen, so that an old one cannot pass for new."""

import json
from typing import Any

from sqlalchemy import Connection, delete, func, select
from sqlalchemy.dialects import sqlite

from gateway import schema
from gateway.opening import Beat
from protocol import heartbeat

# Telemetry streams remembered per device. One is made at every boot, so this is two months of daily power-on. An older
# heartbeat is still known by its ledger head, which cannot go back.
TELEMETRY_MAX = 64


NEW, AGAIN, OLD = "new", "again", "old"


def put(connection: Connection, beat: Beat) -> str:
    """NEW: stored as the device's latest. AGAIN: the latest once more (the broker repeats). OLD: a replay."""
    age = _age(connection, beat)
    if age == NEW:
        _upsert(connection, schema.heartbeat, _row(beat), ("device",))
        _remember(connection, beat)
    return age


def stated(connection: Connection, key: tuple[str, str], head: int) -> Any:
    """The device's latest heartbeat (head_digest, evidence) where it states this head of this stream; else None."""
    table = schema.heartbeat
    query = select(table.c.head_digest, table.c.evidence).where(
        table.c.device == key[0], table.c.stream == key[1], table.c.head == head
    )
    return connection.execute(query).first()


def _age(connection: Connection, beat: Beat) -> str:
    table, latest = schema.telemetry, schema.heartbeat
    seen = select(table.c.seq).where(table.c.device == beat.device.name, table.c.stream == beat.telemetry)
    known = connection.execute(seen).scalar()
    if known is not None:
        return AGAIN if beat.seq == known else NEW if beat.seq > known else OLD
    last = connection.execute(select(latest).where(latest.c.device == beat.device.name)).first()
    behind = last is not None and last.stream == beat.stream and beat.claims[heartbeat.HEAD] < last.head
    return OLD if behind else NEW


def _remember(connection: Connection, beat: Beat) -> None:
    table = schema.telemetry
    mine = table.c.device == beat.device.name
    last = connection.execute(select(func.max(table.c.number)).where(mine)).scalar() or 0
    found = connection.execute(select(table.c.number).where(mine, table.c.stream == beat.telemetry)).scalar()
    number = found or last + 1
    row = {"device": beat.device.name, "stream": beat.telemetry, "number": number, "seq": beat.seq}
    _upsert(connection, table, row, ("device", "stream"))
    if found is None:
        connection.execute(delete(table).where(mine, table.c.number <= number - TELEMETRY_MAX))


def _upsert(connection: Connection, table: Any, row: dict[str, Any], keys: tuple[str, ...]) -> None:
    statement = sqlite.insert(table).values(row)
    changed = {name: statement.excluded[name] for name in row if name not in keys}
    connection.execute(statement.on_conflict_do_update(index_elements=list(keys), set_=changed))


def _row(beat: Beat) -> dict[str, Any]:
    claims = beat.claims
    return {
        "device": beat.device.name,
        "received_s": beat.received_s,
        "telemetry": beat.telemetry,
        "seq": beat.seq,
        "boot": beat.boot,
        "uptime_ms": beat.uptime_ms,
        "source": beat.source,
        "stream": beat.stream,
        "head": claims[heartbeat.HEAD],
        "head_digest": claims[heartbeat.HEAD_HASH],
        "presses_json": json.dumps(claims[heartbeat.PRESSES]),
        "pending": claims[heartbeat.PENDING],
        "free_flash_bytes": claims[heartbeat.FREE_FLASH],
        "free_heap_bytes": claims[heartbeat.FREE_HEAP],
        "config_version": claims[heartbeat.CONFIG_VERSION],
        "roster_version": claims[heartbeat.ROSTER_VERSION],
        "firmware": claims[heartbeat.FIRMWARE],
        "receipted_through": claims[heartbeat.THROUGH],
        "evidence": beat.evidence,
        "drift_ppm": claims.get(heartbeat.DRIFT_PPM),
        "unknown_fingers": claims.get(heartbeat.UNKNOWN_FINGERS),
        "release_sequence": claims.get(heartbeat.RELEASE),
        "refused_sequence": claims.get(heartbeat.UPDATE_REFUSED),
    }
