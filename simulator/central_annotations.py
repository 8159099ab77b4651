"""The annotations that the central double keeps: each once, beside the records, and whether their chain holds."""

import sqlite3
from typing import Any

from protocol import annotation
from simulator.annotation_check import CheckedAnnotation

STORED, DUPLICATE, EQUIVOCATION = "stored", "duplicate", "equivocation"

TABLE = """
CREATE TABLE IF NOT EXISTS annotation (
    number INTEGER PRIMARY KEY, device TEXT NOT NULL, stream TEXT NOT NULL, seq INTEGER NOT NULL,
    kind INTEGER NOT NULL, record_digest BLOB NOT NULL, prev BLOB NOT NULL, own_digest BLOB NOT NULL,
    statement BLOB NOT NULL);
"""
_KINDS = "SELECT kind, count(*) FROM annotation GROUP BY kind"
# The last word about a rating decides.
_NOT_ADOPTED = f"""
SELECT count(*) FROM annotation one WHERE kind = {annotation.NOT_ADOPTED} AND NOT EXISTS (
    SELECT 1 FROM annotation later WHERE later.device = one.device AND later.stream = one.stream
    AND later.seq = one.seq AND later.number > one.number AND later.kind != {annotation.TIME_ESTIMATE})
"""  # noqa: S608  # our own numbers
_BROKEN_LINKS = """
SELECT count(*) FROM annotation one JOIN annotation before ON before.number = one.number - 1
WHERE before.own_digest != one.prev
"""
_RECORDS = """
SELECT count(*) FILTER (WHERE record.digest IS NULL), count(*) FILTER (WHERE record.digest != one.record_digest)
FROM annotation one LEFT JOIN record USING (device, stream, seq)
"""


def take(connection: sqlite3.Connection, one: CheckedAnnotation) -> str:
    """Store one, in the caller's transaction: STORED, DUPLICATE, or EQUIVOCATION where its number says something else.

    The record it speaks of may still be on its way.
    """
    known = connection.execute("SELECT own_digest FROM annotation WHERE number = ?", (one.number,)).fetchone()
    if known is not None:
        return DUPLICATE if known[0] == one.own_digest else EQUIVOCATION
    row = (one.number, one.device, one.stream, one.seq, one.kind, one.record_digest, one.prev, one.own_digest)
    connection.execute("INSERT INTO annotation VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", (*row, one.statement))
    return STORED


def summary(connection: sqlite3.Connection) -> dict[str, Any]:
    """Counts by kind; gaps and broken links of the chain; annotations whose record is unknown, or another one."""
    kinds = dict(connection.execute(_KINDS).fetchall())
    highest, stored = connection.execute("SELECT coalesce(max(number), 0), count(*) FROM annotation").fetchone()
    unknown, other = connection.execute(_RECORDS).fetchone()
    return {
        **{name: kinds.get(kind, 0) for kind, name in annotation.KIND_NAMES.items()},
        "ratings_not_adopted": connection.execute(_NOT_ADOPTED).fetchone()[0],
        "gaps": highest - stored,
        "broken_links": connection.execute(_BROKEN_LINKS).fetchone()[0],
        "record_unknown": unknown,
        "record_differs": other,
    }
