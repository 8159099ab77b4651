"""The hall's ledger: one SQLite file in WAL mode with full sync, one writer thread, grouped commits.

Readers may call from any thread; they see whole commits only, in the order of `position`.
"""

import json
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import Connection, func, select
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import SQLAlchemyError

from gateway import ledger_file, quarantine, retention, schema
from gateway.ledger_file import LedgerError
from gateway.logs import Log

# What one call of records_after returns at most: a page of about 2 MiB.
PAGE_RECORDS_MAX = 1000
# Jobs that may wait for the writer; beyond that the one who submits waits (a batch of the intake is one job).
JOBS_MAX = 64
# Jobs that share one transaction and one sync.
GROUP_MAX = 32
_log = Log("ledger")
_Result = TypeVar("_Result")


class LedgerRecord(NamedTuple):
    """One row of the ledger. `position` grows in commit order; pass the last one seen to `records_after`."""

    position: int
    device: str
    stream: str  # 16 hex digits
    seq: int
    kind: int  # protocol.record.RATING, PUNCH, EVENT
    window: str
    digest: bytes  # 32, SHA-256 of the payload
    evidence: bytes  # COSE_Sign1 without disclosures
    coarse_s: int
    received_s: int
    source: int
    uptime_ms: int
    boot: str
    claims: Mapping[str, object]  # by name, see gateway.claims
    masked: Mapping[str, str] | None
    sealed: bytes | None  # empty: removed, its time was over
    flags: Sequence[str]
    pseudonym: str | None = None  # 32 hex digits, see gateway.pseudonym
    visit: Mapping[str, object] | None = None  # the business system's words, see gateway.matter


class StreamState(NamedTuple):
    """Continuity of one ledger stream. missing: seqs up to max(highest, declared) that the ledger lacks."""

    device: str
    stream: str
    number: int
    through: int
    highest: int
    declared: int
    stored: int
    duplicates: int
    equivocations: int
    missing: int


class Heartbeat(NamedTuple):
    """The latest heartbeat of a device."""

    device: str
    received_s: int
    boot: str
    uptime_ms: int
    source: int
    stream: str
    head: int
    presses: Sequence[int]  # five; index 0 is level 1
    pending: int
    free_flash_bytes: int
    free_heap_bytes: int
    config_version: int
    roster_version: int
    firmware: str
    receipted_through: int
    drift_ppm: int | None = None  # how much faster its clock runs than ours, in millionths
    unknown_fingers: int | None = None  # of a clock: touches since boot that belong to nobody
    release_sequence: int | None = None  # the release that it runs; 0: the program that it was delivered with
    refused_sequence: int | None = None  # the newest release that it refused or went back from


class Summary(NamedTuple):
    """Counts of the whole ledger, from its rows."""

    position: int  # of the last record; 0 when empty
    by_device: Mapping[str, Mapping[int, int]]  # device -> kind -> records


class _Job(NamedTuple):
    run: Callable[[Connection], Any]
    future: "Future[Any]"


class Ledger:
    """Opens or creates the ledger file. Raises LedgerError when it cannot be used safely.

    observe: called with the seconds of each commit, from the writer thread.
    """

    def __init__(self, path: Path, observe: Callable[[float], None] = lambda seconds: None) -> None:
        self._observe = observe
        self._lock_file = ledger_file.lock(path)
        try:
            self._writing = ledger_file.engine(path, writer=True)
            self._reading = ledger_file.engine(path, writer=False)
            self._connection = self._writing.connect()
            ledger_file.prepare(self._connection)
            with self._connection.begin():
                self._position = _last_position(self._connection)
        except SQLAlchemyError as error:
            self._lock_file.close()
            raise LedgerError(f"{path}: cannot be opened ({type(error.__cause__ or error).__name__})") from None
        except LedgerError as error:
            self._lock_file.close()
            raise LedgerError(f"{path}: {error}") from None
        self._rollback_hooks: list[Callable[[], None]] = []
        self._grown = threading.Condition()
        self._closing = False
        self._jobs: queue.Queue[_Job | None] = queue.Queue(JOBS_MAX)
        self._thread = threading.Thread(target=self._write_jobs, name="ledger-writer", daemon=True)
        self._thread.start()

    # Writing: one thread, many jobs a transaction.

    def write(self, run: Callable[[Connection], _Result]) -> "Future[_Result]":
        """Run `run(connection)` in the writer thread; the future is done after the commit is on disk.

        Jobs that wait together share a transaction; when one fails, each is run again alone, so `run` must not
        change anything outside the connection (state in memory: see on_rollback). Blocks while JOBS_MAX wait.
        Never call this from a job or from a done-callback. Raises LedgerError when the ledger is closed.
        """
        if self._closing:
            raise LedgerError("the ledger is closed")
        future: Future[_Result] = Future()
        self._jobs.put(_Job(run, future))
        return future

    def on_rollback(self, forget: Callable[[], None]) -> None:
        """`forget` is called in the writer thread after a rollback: state in memory may be ahead of the disk."""
        self._rollback_hooks.append(forget)

    def _write_jobs(self) -> None:
        while (job := self._jobs.get()) is not None:
            group = [job]
            while len(group) < GROUP_MAX and not self._jobs.empty():
                more = self._jobs.get()
                if more is None:
                    self._commit(group)
                    return
                group.append(more)
            self._commit(group)

    def _commit(self, group: Sequence[_Job]) -> None:
        started_s = time.monotonic()
        try:
            with self._connection.begin():
                results = [job.run(self._connection) for job in group]
                position = _last_position(self._connection)
        except Exception as error:  # a job may fail in any way; the writer thread must outlive it
            for forget in self._rollback_hooks:
                forget()
            if len(group) == 1:
                _log.error("commit failed", error)
                group[0].future.set_exception(error)
                return
            for job in group:
                self._commit([job])
            return
        self._observe(time.monotonic() - started_s)
        with self._grown:
            self._position = position
            self._grown.notify_all()
        for job, result in zip(group, results, strict=True):
            job.future.set_result(result)

    def set_cursor(self, destination: str, position: int) -> None:
        """Durable when it returns. A cursor may move back (rebuild)."""
        statement = sqlite.insert(schema.cursor).values(destination=destination, position=position)
        statement = statement.on_conflict_do_update(
            index_elements=[schema.cursor.c.destination], set_={"position": position}
        )

        def save(connection: Connection) -> None:
            connection.execute(statement)

        self.write(save).result()

    # Reading: any thread.

    def read(self, query: Callable[[Connection], _Result]) -> _Result:
        """`query(connection)` on a connection of its own that cannot write."""
        with self._reading.connect() as connection:
            return query(connection)

    def records_after(self, position: int, limit: int) -> list[LedgerRecord]:
        """Up to `limit` (1..PAGE_RECORDS_MAX) records with a position above `position` (>= 0), ascending."""
        if not 1 <= limit <= PAGE_RECORDS_MAX or position < 0:
            raise ValueError("limit or position out of range")
        query = select(schema.record).where(schema.record.c.id > position).order_by(schema.record.c.id).limit(limit)
        return self.read(lambda connection: [record_of(row) for row in connection.execute(query)])

    def last_position(self) -> int:
        """Position of the newest record; 0 when there is none."""
        return self._position

    def wait_beyond(self, position: int, timeout_s: float) -> bool:
        """Block until a record beyond `position` is committed, or the time is over, or the ledger closes."""
        with self._grown:
            self._grown.wait_for(lambda: self._position > position or self._closing, timeout_s)
            return self._position > position

    def cursor(self, destination: str) -> int:
        """Position the projection `destination` has finished; 0 at first."""
        query = select(schema.cursor.c.position).where(schema.cursor.c.destination == destination)
        return self.read(lambda connection: connection.execute(query).scalar()) or 0

    def summary(self) -> Summary:
        """Counts by device and kind, from one snapshot. Every row is counted anew: this is what finds a lost one."""
        return self.read(_summary)

    def streams(self) -> list[StreamState]:
        """All ledger streams, by device and number."""
        table = schema.stream
        query = select(table).order_by(table.c.device, table.c.number)
        return self.read(lambda connection: [_stream_state(row) for row in connection.execute(query)])

    def heartbeats(self) -> dict[str, Heartbeat]:
        """Latest heartbeat by device."""
        query = select(schema.heartbeat)
        return self.read(lambda connection: {row.device: _heartbeat(row) for row in connection.execute(query)})

    def refusals(self) -> dict[str, int]:
        """Messages refused so far, by reason, over restarts."""
        query = select(schema.refusal).order_by(schema.refusal.c.reason)
        return self.read(lambda connection: {row[0]: row[1] for row in connection.execute(query)})

    def quarantined(self) -> dict[str, int]:
        """Messages in quarantine now, by reason."""
        return self.read(quarantine.held_by_reason)

    def removed(self) -> dict[str, int]:
        """Records that retention took away so far, by device."""
        return self.read(retention.removed_records)

    def erase_traces(self) -> bool:
        """Take out of the write-ahead log what it still holds of overwritten rows; False: in use, try again later.

        Blocks the writer for a moment. Never call this from a job.
        """
        return ledger_file.truncate_wal(self._writing)

    def alive(self) -> bool:
        """True while the writer thread runs."""
        return self._thread.is_alive()

    def close(self) -> None:
        """Finish what is queued, then close. Safe to call twice."""
        if self._closing:
            return
        self._closing = True
        self._jobs.put(None)
        self._thread.join()
        while not self._jobs.empty():  # handed in while we closed: whoever waits for it must know
            late = self._jobs.get()
            if late is not None:
                late.future.set_exception(LedgerError("the ledger is closed"))
        with self._grown:
            self._grown.notify_all()
        self._connection.close()
        self._writing.dispose()
        self._reading.dispose()
        self._lock_file.close()


def _last_position(connection: Connection) -> int:
    return connection.execute(select(func.max(schema.record.c.id))).scalar() or 0


def record_of(row: Any) -> LedgerRecord:
    """A row of schema.record; its columns stand in the order of LedgerRecord."""
    values = list(row)
    values[13] = json.loads(values[13])
    values[14] = None if values[14] is None else json.loads(values[14])
    values[16] = json.loads(values[16])
    values[18] = None if values[18] is None else json.loads(values[18])
    return LedgerRecord(*values)


def _stream_state(row: Any) -> StreamState:
    missing = max(row.highest, row.declared) - row.stored
    return StreamState(
        row.device,
        row.stream,
        row.number,
        row.through,
        row.highest,
        row.declared,
        row.stored,
        row.duplicates,
        row.equivocations,
        missing,
    )


def _heartbeat(row: Any) -> Heartbeat:
    return Heartbeat(
        device=row.device,
        received_s=row.received_s,
        boot=row.boot,
        uptime_ms=row.uptime_ms,
        source=row.source,
        stream=row.stream,
        head=row.head,
        presses=json.loads(row.presses_json),
        pending=row.pending,
        free_flash_bytes=row.free_flash_bytes,
        free_heap_bytes=row.free_heap_bytes,
        config_version=row.config_version,
        roster_version=row.roster_version,
        firmware=row.firmware,
        receipted_through=row.receipted_through,
        drift_ppm=row.drift_ppm,
        unknown_fingers=row.unknown_fingers,
        release_sequence=row.release_sequence,
        refused_sequence=row.refused_sequence,
    )


def _summary(connection: Connection) -> Summary:
    table = schema.record
    query = select(table.c.device, table.c.kind, func.count(), func.max(table.c.id)).group_by(
        table.c.device, table.c.kind
    )
    by_device: dict[str, dict[int, int]] = {}
    position = 0
    for device, kind, count, last in connection.execute(query):
        by_device.setdefault(device, {})[kind] = count
        position = max(position, last)
    return Summary(position, by_device)
