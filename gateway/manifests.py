"""Batch manifests of the ledger: each covers the records since the last one, is signed, and names the one before.

A quarter of an hour of the hall makes one, or less of it where more records came; it is made when that quarter is over,
so that it tells no reviewer's minute. They stand in the ledger, and go to the central system and into every export.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, func, insert, select
from sqlalchemy.dialects import sqlite

from gateway import schema
from gateway.evidence_keys import EvidenceKeys, Register
from gateway.ledger import Ledger, LedgerRecord
from gateway.metrics import Metrics
from protocol import manifest, merkle
from protocol.manifest import MANIFEST_TYP, RECORDS_MAX, REFUSALS_MAX, RUNS_MAX, Manifest
from protocol.record import coarse

OperatorHead = Callable[[Connection], bytes | None]


class Coverage(NamedTuple):
    """What a manifest says of the records that it covers."""

    records: int
    root: bytes
    words: bytes
    runs: list[tuple[str, bytes, int, int]]


class Last(NamedTuple):
    """The newest manifest of a ledger; number 0 where there is none."""

    number: int
    position: int
    link: bytes
    refused: Mapping[str, int]


class StoredManifest(NamedTuple):
    """One manifest of the ledger. position: its number, for whoever follows the chain like a ledger."""

    position: int
    record_position: int  # of the last record that it covers
    coarse_s: int
    statement: bytes


def order(one: LedgerRecord) -> tuple[str, str, int]:
    """In which order a manifest covers records."""
    return one.device, one.stream, one.seq


def cut(page: Sequence[LedgerRecord]) -> list[Sequence[LedgerRecord]]:
    """`page` in parts of at most RECORDS_MAX records in at most RUNS_MAX runs, each as long as it can be."""
    parts, began = [], 0
    numbers: set[tuple[str, str, int]] = set()
    runs = 0
    for at, one in enumerate(page):
        device, stream, seq = order(one)
        change = 1 - ((device, stream, seq - 1) in numbers) - ((device, stream, seq + 1) in numbers)
        if len(numbers) == RECORDS_MAX or runs + change > RUNS_MAX:
            parts.append(page[began:at])
            began, numbers, runs, change = at, set(), 0, 1
        numbers.add((device, stream, seq))
        runs += change
    return [*parts, page[began:]] if page else []


def cover(records: Iterable[LedgerRecord]) -> Coverage:
    """Roots and runs of records (at least one), given in any order."""
    ordered = sorted(records, key=order)
    evidence, words = merkle.Tree(), merkle.Tree()
    runs: list[tuple[str, bytes, int, int]] = []
    for one in ordered:
        evidence.add(one.digest)
        words.add(word_of(one))
        stream = bytes.fromhex(one.stream)
        if runs and runs[-1][:2] == (one.device, stream) and runs[-1][3] == one.seq - 1:
            runs[-1] = (one.device, stream, runs[-1][2], one.seq)
        else:
            runs.append((one.device, stream, one.seq, one.seq))
    return Coverage(len(ordered), evidence.root(), words.root(), runs)


def word_of(one: LedgerRecord) -> bytes:
    """What the gateway says of a record, as manifests cover it."""
    masked = None if one.masked is None else dict(one.masked)
    return manifest.word(one.received_s, list(one.flags), masked, one.sealed)


def last(connection: Connection) -> Last:
    """The newest manifest."""
    table = schema.manifest
    columns = (table.c.number, table.c.position, table.c.link, table.c.refused_json)
    row = connection.execute(select(*columns).order_by(table.c.number.desc()).limit(1)).first()
    return Last(row[0], row[1], row[2], json.loads(row[3])) if row else Last(0, 0, manifest.GENESIS, {})


def after(connection: Connection, number: int, limit: int) -> list[StoredManifest]:
    """Up to `limit` manifests above `number`, ascending."""
    table = schema.manifest
    columns = (table.c.number, table.c.position, table.c.coarse_s, table.c.statement)
    query = select(*columns).where(table.c.number > number).order_by(table.c.number).limit(limit)
    return [StoredManifest(*row) for row in connection.execute(query)]


class Statement(NamedTuple):
    """A manifest that is not signed yet, and the refusals so far, from which the next one subtracts."""

    payload: bytes
    refused: Mapping[str, int]


class Speaker(NamedTuple):
    """Who states, and when. register: hash of the devices in force. operator_head: of the operators' log, if any."""

    hall: str
    register: bytes
    now_s: int
    operator_head: OperatorHead


def state(connection: Connection, speaker: Speaker, before: Last, covered: Coverage) -> Statement:
    """The manifest after `before` of these records, with the counts as they stand in this transaction."""
    table = schema.refusal
    refused = {row[0]: row[1] for row in connection.execute(select(table.c.reason, table.c.count))}
    new = sorted((reason, count - before.refused.get(reason, 0)) for reason, count in refused.items())
    stated = Manifest(
        speaker.hall,
        before.number + 1,
        before.link,
        coarse(speaker.now_s),
        *covered,
        [(reason, count) for reason, count in new if count > 0][:REFUSALS_MAX],
        connection.execute(select(func.count()).select_from(schema.equivocation)).scalar_one(),
        speaker.register,
        speaker.operator_head(connection),
    )
    return Statement(manifest.encode(stated), refused)


class ManifestBook:
    """Makes the manifests of one ledger; `take` is the work of the projection "manifest".

    operator_head: hash of the newest line of the operators' log, read in the manifest's own transaction.
    """

    def __init__(
        self,
        hall: str,
        ledger: Ledger,
        keys: EvidenceKeys,
        register: Callable[[], Register],
        now_s: Callable[[], int],
        metrics: Metrics,
        operator_head: OperatorHead = lambda connection: None,
    ) -> None:
        self._hall = hall
        self._ledger = ledger
        self._keys = keys
        self._register = register
        self._now_s = now_s
        self._metrics = metrics
        self._operator_head = operator_head

    def take(self, page: Sequence[LedgerRecord]) -> None:
        """State every record of `page` in a manifest; those that are stated already are left alone."""
        register = self._register()
        for part in cut(page):
            self._make(part, cover(part), register)

    def _make(self, part: Sequence[LedgerRecord], covered: Coverage, register: Register) -> None:
        def write(connection: Connection) -> bool:
            before = last(connection)
            if part[-1].position <= before.position:
                return False  # after a crash the page comes again
            speaker = Speaker(self._hall, _keep(connection, register), self._now_s(), self._operator_head)
            made = state(connection, speaker, before, covered)
            row = self._row(before.number + 1, part[-1].position, speaker, made)
            connection.execute(insert(schema.manifest), [row])
            return True

        if self._ledger.write(write).result():
            self._metrics.count("manifests")

    def _row(self, number: int, position: int, speaker: Speaker, made: Statement) -> dict[str, Any]:
        return {
            "number": number,
            "position": position,
            "coarse_s": coarse(speaker.now_s),
            "link": manifest.link(made.payload),
            "register": speaker.register,
            "refused_json": json.dumps(made.refused),
            "statement": self._keys.signer.sign(MANIFEST_TYP, made.payload),
        }


def _keep(connection: Connection, register: Register) -> bytes:
    """Write a register that the ledger does not have yet; returns its hash."""
    digest, table = register.digest, schema.register
    if connection.execute(select(table.c.digest).where(table.c.digest == digest)).first():
        return digest
    members = register.members()
    rows = [{"digest": each, "certificate": der} for each, der in members]
    connection.execute(sqlite.insert(schema.certificate).on_conflict_do_nothing(), rows)
    row = {"digest": digest, "members": b"".join(each for each, _ in members), "revocations": register.revocations}
    connection.execute(insert(table), [row])
    return digest


class DueRecords:
    """The ledger as the manifests follow it: records show when a manifest of them is due.

    That is when RECORDS_MAX wait, when the oldest came in a quarter of an hour that is over, or when the gateway ends.
    """

    def __init__(self, ledger: Ledger, now_s: Callable[[], int]) -> None:
        self._ledger = ledger
        self._now_s = now_s
        self.ending = False  # True: whatever waits is due

    def records_after(self, position: int, limit: int) -> list[LedgerRecord]:
        """Up to `limit` records above `position`, ascending; none while they are not due."""
        waiting = self._ledger.last_position() - position
        if waiting < RECORDS_MAX and not self.ending:
            oldest = self._ledger.records_after(position, 1)
            if not oldest or coarse(oldest[0].received_s) == coarse(self._now_s()):
                return []
        return self._ledger.records_after(position, limit)

    def last_position(self) -> int:
        """Position of the newest record."""
        return self._ledger.last_position()

    def wait_beyond(self, position: int, timeout_s: float) -> bool:
        """Block until a full manifest waits above `position`, at most `timeout_s`."""
        return self._ledger.wait_beyond(position + RECORDS_MAX - 1, timeout_s)
