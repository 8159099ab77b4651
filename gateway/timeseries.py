"""The hall's time series: one point per record, for counts and rates over time. A projection of the ledger.

Points hold clear claims only. The DuckDB store keeps them in one file with one writer; losing that file loses nothing,
for it is built again from the ledger.
"""

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import duckdb

from gateway.annotations import Annotation
from gateway.ledger import LedgerRecord
from gateway.ledger_file import LedgerError
from gateway.logs import Log
from gateway.rates import Rates
from protocol import record as wire

# Raised when a table changes its meaning; a file of another version is set aside and built again from the ledger.
SCHEMA_VERSION = 2
# DuckDB takes 80 % of the machine's memory unless told. A page of 500 points needs 2 MiB, a month of a hall 30 MiB.
MEMORY_LIMIT = "128MB"

_log = Log("timeseries")


class Point(NamedTuple):
    """One record as a row. at_s: UTC seconds; of a rating and an event coarse, of a punch exact."""

    position: int
    device: str
    stream: str
    seq: int
    kind: int
    place: str  # window or door
    at_s: int
    received_s: int
    outcome: str | None  # "rated", "timed_out"
    level: int | None  # 1..5, 5 is 非常满意
    mode: str | None  # "visit", "walk_up"
    delay_ms: int | None
    staff: str | None
    code: int | None  # of an event
    value: int | None
    tags: str | None  # numbers with commas between
    flags: str | None  # rule codes with commas between
    # Of the visit, in the business system's words: what has few values. Items are many, and stay in the ledger.
    visit_kind: str | None
    applicant_kind: str | None
    department: str | None  # its code, else its credit code


class Counts(NamedTuple):
    """Points of one device."""

    ratings: int
    punches: int
    events: int


class TimeSeries(Protocol):
    """What any time-series store offers."""

    def write_batch(self, points: Sequence[Point]) -> None:
        """Durable when it returns. A point that is there already (device, stream, seq) stays as it is."""

    def position(self) -> int:
        """Ledger position up to which the store itself knows that it has all; 0 when it is new."""

    def annotate(self, page: Sequence[Annotation]) -> None:
        """Durable when it returns. Of one record the last word counts, whether its point is there yet or not."""

    def annotated(self) -> int:
        """Number of the annotation up to which the store itself knows that it has all; 0 when it is new."""

    def counts(self) -> Mapping[str, Counts]:
        """Points by device."""

    def not_adopted(self) -> Mapping[str, int]:
        """Points of ratings that are not adopted, by device."""

    def rates(self, from_s: int, until_s: int) -> Rates:
        """Rates of the adopted ratings made (as far as is known, or estimated) from from_s to before until_s."""

    def remove(self, kind: int, before_s: int, through: int) -> int:
        """Let the points of a kind of record go that were received before `before_s`; how many went.

        through: position of the ledger up to which it let its records go; a re-admitted one stays longer in both.
        """

    def close(self) -> None:
        """Flush and close; nothing may be called afterwards."""


def point_of(record: LedgerRecord) -> Point:
    """The point of a ledger record; a record without known time stands at the gateway's receive time."""
    claims: Mapping[str, Any] = record.claims
    at_s = int(claims.get("time_s") or record.coarse_s or record.received_s)
    tags = claims.get("tags")
    visit: Mapping[str, Any] = record.visit or {}
    return Point(
        position=record.position,
        device=record.device,
        stream=record.stream,
        seq=record.seq,
        kind=record.kind,
        place=record.window,
        at_s=at_s,
        received_s=record.received_s,
        outcome=claims.get("outcome"),
        level=claims.get("level"),
        mode=claims.get("mode"),
        delay_ms=claims.get("delay_ms"),
        staff=claims.get("staff"),
        code=claims.get("code"),
        value=claims.get("value"),
        tags=",".join(str(tag) for tag in tags) if tags else None,
        flags=",".join(record.flags) or None,
        visit_kind=visit.get("kind"),
        applicant_kind=visit.get("applicant_kind"),
        department=visit.get("department_code") or visit.get("credit_code"),
    )


_TABLES = """
CREATE TABLE IF NOT EXISTS schema_version (version INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS progress (position BIGINT NOT NULL, annotated BIGINT NOT NULL);
INSERT INTO progress SELECT 0, 0 WHERE NOT EXISTS (FROM progress);
CREATE TABLE IF NOT EXISTS point (
    position BIGINT NOT NULL, device VARCHAR NOT NULL, stream VARCHAR NOT NULL, seq UINTEGER NOT NULL,
    kind UTINYINT NOT NULL, place VARCHAR NOT NULL, at_s BIGINT NOT NULL, received_s BIGINT NOT NULL,
    outcome VARCHAR, level UTINYINT, mode VARCHAR, delay_ms UINTEGER, staff VARCHAR, code UTINYINT, value BIGINT,
    tags VARCHAR, flags VARCHAR, visit_kind VARCHAR, applicant_kind VARCHAR, department VARCHAR,
    PRIMARY KEY (device, stream, seq));
"""
# What was said of a record afterwards, beside its point, for either may come first. A point itself is never changed.
_STANDING = """
CREATE TABLE IF NOT EXISTS standing (
    device VARCHAR NOT NULL, stream VARCHAR NOT NULL, seq UINTEGER NOT NULL, adopted BOOLEAN, estimated_s BIGINT,
    PRIMARY KEY (device, stream, seq));
CREATE OR REPLACE VIEW annotated_point AS
    SELECT point.*, coalesce(standing.adopted, true) AS adopted, standing.estimated_s,
        coalesce(standing.estimated_s, point.at_s) AS made_s
    FROM point LEFT JOIN standing USING (device, stream, seq);
"""
_ANNOTATE = """
INSERT INTO standing
    SELECT unnest($1::VARCHAR[]), unnest($2::VARCHAR[]), unnest($3::UINTEGER[]), unnest($4::BOOLEAN[]),
        unnest($5::BIGINT[])
    ON CONFLICT DO UPDATE SET adopted = coalesce(excluded.adopted, adopted),
        estimated_s = coalesce(excluded.estimated_s, estimated_s)
"""
_TYPES = (
    "BIGINT", "VARCHAR", "VARCHAR", "UINTEGER", "UTINYINT", "VARCHAR", "BIGINT", "BIGINT",
    "VARCHAR", "UTINYINT", "VARCHAR", "UINTEGER", "VARCHAR", "UTINYINT", "BIGINT", "VARCHAR", "VARCHAR", "VARCHAR",
    "VARCHAR", "VARCHAR",
)  # fmt: skip
# One list per column: 13 us a row, where row-wise parameters take 140 and executemany 2 900 (500 rows, measured).
_INSERT = "INSERT OR IGNORE INTO point SELECT " + ", ".join(
    f"unnest(${number}::{name}[])" for number, name in enumerate(_TYPES, 1)
)


def standings(page: Sequence[Annotation]) -> list[tuple[str, str, int, bool | None, int | None]]:
    """(device, stream, seq, adopted, estimated_s) of each annotated record, by the last word of the page."""
    found: dict[tuple[str, str, int], tuple[bool | None, int | None]] = {}
    for one in page:
        key = (one.device, one.stream, one.seq)
        adopted, estimated_s = found.get(key, (None, None))
        found[key] = (
            adopted if one.adopted is None else one.adopted,
            one.content.get("estimate_s", estimated_s),
        )
    return [(*key, *values) for key, values in found.items()]


class DuckTimeSeries:
    """The embedded store: one DuckDB file, one connection, any thread (one at a time).

    A file that DuckDB cannot read, or of another schema, is set aside as `<name>.unusable` and a new one begun:
    `position()` is 0 then, and the projection builds it again.
    """

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        try:
            self._connection = _open(path)
        except duckdb.Error as error:
            if not path.is_file() or "set lock on file" in str(error):
                raise  # no file, or another process writes it: its content is not what is wrong
            _log.error("store set aside, to be built again", error)
            _set_aside(path)
            self._connection = _open(path)

    def write_batch(self, points: Sequence[Point]) -> None:
        """See TimeSeries. One transaction: points and position are durable together or not at all."""
        if not points:
            return
        highest = max(point.position for point in points)
        self._write(_INSERT, points, "UPDATE progress SET position = greatest(position, $1)", highest)

    def annotate(self, page: Sequence[Annotation]) -> None:
        """See TimeSeries. One transaction, like write_batch."""
        if page:
            progress = "UPDATE progress SET annotated = greatest(annotated, $1)"
            self._write(_ANNOTATE, standings(page), progress, page[-1].position)

    def _write(self, statement: str, rows: Sequence[tuple[Any, ...]], progress: str, through: int) -> None:
        columns = [list(column) for column in zip(*rows, strict=True)]
        with self._lock:
            self._connection.execute("BEGIN")
            try:
                self._connection.execute(statement, columns)
                self._connection.execute(progress, [through])
                self._connection.execute("COMMIT")
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise

    def position(self) -> int:
        """See TimeSeries."""
        return int(self._rows("SELECT position FROM progress")[0][0])

    def annotated(self) -> int:
        """See TimeSeries."""
        return int(self._rows("SELECT annotated FROM progress")[0][0])

    def not_adopted(self) -> dict[str, int]:
        """See TimeSeries."""
        query = "SELECT device, count(*) FROM annotated_point WHERE NOT adopted GROUP BY device"
        return {row[0]: row[1] for row in self._rows(query)}

    def counts(self) -> dict[str, Counts]:
        """See TimeSeries."""
        query = f"""SELECT device, count(*) FILTER (kind = {wire.RATING}), count(*) FILTER (kind = {wire.PUNCH}),
                    count(*) FILTER (kind = {wire.EVENT}) FROM point GROUP BY device"""  # noqa: S608  # our own numbers
        return {row[0]: Counts(row[1], row[2], row[3]) for row in self._rows(query)}

    def rates(self, from_s: int, until_s: int) -> Rates:
        """See TimeSeries."""
        query = """SELECT coalesce(level, 0), outcome = 'timed_out', mode = 'visit', count(*) FROM annotated_point
                   WHERE kind = $1 AND adopted AND made_s >= $2 AND made_s < $3 GROUP BY ALL"""
        rates = Rates()
        for level, timed_out, visit, count in self._rows(query, [wire.RATING, from_s, until_s]):
            rates.add(None if timed_out else level, visit, count)
        return rates

    def remove(self, kind: int, before_s: int, through: int) -> int:
        """See TimeSeries. What was said of a point goes first: a crash between the two leaves no standing alone."""
        old = [kind, before_s, through]
        self._rows(
            "DELETE FROM standing USING point WHERE standing.device = point.device AND standing.stream = point.stream "
            "AND standing.seq = point.seq AND point.kind = $1 AND point.received_s < $2 "
            "AND point.position <= $3",
            old,
        )
        removed = self._rows("DELETE FROM point WHERE kind = $1 AND received_s < $2 AND position <= $3", old)
        return int(removed[0][0])

    def close(self) -> None:
        """See TimeSeries."""
        with self._lock:
            self._connection.close()

    def _rows(self, query: str, values: Sequence[object] = ()) -> list[Any]:
        with self._lock:
            return self._connection.execute(query, list(values)).fetchall()


def open_store(path: Path) -> DuckTimeSeries:
    """The store at `path`. Raises LedgerError when it cannot be opened and is not damaged: that is put aside."""
    try:
        return DuckTimeSeries(path)
    except (duckdb.Error, OSError) as error:
        held = "set lock on file" in str(error)
        advice = "another program has it open; end that first" if held else "check the folder and its owner"
        raise LedgerError(f"{path}: the time series cannot be opened; {advice} ({type(error).__name__})") from None


def _open(path: Path) -> duckdb.DuckDBPyConnection:
    # One thread: the store is small, and the other core verifies signatures. No extension may be fetched from outside.
    connection = duckdb.connect(
        str(path),
        config={"threads": "1", "memory_limit": MEMORY_LIMIT, "autoinstall_known_extensions": "false"},
    )
    try:
        connection.execute(_TABLES)
        connection.execute(_STANDING)
        connection.execute(
            "INSERT INTO schema_version SELECT $1 WHERE NOT EXISTS (FROM schema_version)", [SCHEMA_VERSION]
        )
        found = connection.execute("SELECT version FROM schema_version").fetchone()
        if found is None or found[0] != SCHEMA_VERSION:
            raise duckdb.DataError("schema version")
        # Must come after opening: it shuts every other file, and the network, to whatever SQL is run here.
        connection.execute("SET enable_external_access = false; SET lock_configuration = true")
    except duckdb.Error:
        connection.close()
        raise
    return connection


def _set_aside(path: Path) -> None:
    wal = path.with_name(path.name + ".wal")
    for found in (path, wal):
        if found.exists():
            found.replace(found.with_name(found.name + ".unusable"))
