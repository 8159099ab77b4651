"""Writes the evidence of a ledger, or of a period of it, into one file for `hallseal-gateway audit`.

It reads one snapshot of the ledger, also of a gateway that runs, manifest by manifest: memory does not grow with it.
"""

import dataclasses
import json
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import Connection, func, select

from gateway import manifests, schema, seal, standings
from gateway.bundle_file import (
    ANNOTATION,
    CERTIFICATE,
    EQUIVOCATION,
    HEAD,
    HEARTBEAT,
    MANIFEST,
    RECORD,
    REGISTER,
    REMOVAL,
    SEAL,
    STANDING,
    BundleWriter,
)
from gateway.evidence_keys import EvidenceKeys, Register
from gateway.ledger import PAGE_RECORDS_MAX, LedgerRecord, record_of
from gateway.ledger_file import LedgerError
from gateway.manifests import Last, Speaker, StoredManifest
from gateway.masking import MaskingRule
from gateway.retention import RetentionRule
from protocol.manifest import TAIL_TYP, link
from protocol.record import coarse
from protocol.sign1 import parse

# Manifests read in one query, 4 KiB each at most.
_PAGE_MANIFESTS = 256


class Period(NamedTuple):
    """Manifests made from `from_s` on and before `to_s`, UTC seconds; None: from the first, and to this moment."""

    from_s: int | None = None
    to_s: int | None = None


class Exporter(NamedTuple):
    """Who exports. now_s: hall time. register: the devices in force now."""

    hall: str
    keys: EvidenceKeys
    register: Register
    masking: MaskingRule
    retention: RetentionRule
    now_s: int
    operator_head: manifests.OperatorHead = lambda connection: None
    annotations: Callable[[Connection], Iterable[bytes]] = lambda connection: ()  # statements, from the first on


class Exported(NamedTuple):
    """What a file holds. tail: records that no manifest covers yet, and the file's own statements cover."""

    records: int
    first_number: int  # 0 where it holds no manifest
    last_number: int
    tail: int


def to_file(path: Path, run: Callable[[BundleWriter], Exported]) -> Exported:
    """`run` into the new file `path`, which appears when it is complete, for its owner's eyes only.

    Raises LedgerError when there is a file already: an export is evidence, too.
    """
    if path.exists():
        raise LedgerError(f"{path} is there already and is never overwritten; name another file")
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as out:
            exported = run(BundleWriter(out))
            out.flush()
            os.fsync(out.fileno())
        draft.rename(path)
    finally:
        draft.unlink(missing_ok=True)
    return exported


def write(connection: Connection, exporter: Exporter, period: Period, out: BundleWriter) -> Exported:
    """The whole export, from one snapshot of the ledger."""
    connection.exec_driver_sql("BEGIN")  # reads that follow see one moment
    run = _Export(connection, exporter, out)
    return run.write(*_numbers(connection, period), open_end=period.to_s is None)


def _numbers(connection: Connection, period: Period) -> tuple[int, int]:
    """First and last manifest of the period; (1, 0) for none in a ledger without any."""
    table = schema.manifest
    newest = manifests.last(connection).number
    first, last = 1, newest
    if period.from_s is not None:
        query = select(func.min(table.c.number)).where(table.c.coarse_s >= period.from_s)
        first = connection.execute(query).scalar() or newest + 1
    if period.to_s is not None:
        query = select(func.max(table.c.number)).where(table.c.coarse_s < period.to_s)
        last = connection.execute(query).scalar() or 0
    return first, max(last, first - 1)


class _Export:
    """One export, while its snapshot stands."""

    def __init__(self, connection: Connection, exporter: Exporter, out: BundleWriter) -> None:
        self._connection = connection
        self._exporter = exporter
        self._out = out
        self._records = 0
        self._tail = 0

    def write(self, first: int, last: int, open_end: bool) -> Exported:
        before = self._last_of(first - 1)
        rules = [
            json.dumps(dataclasses.asdict(one), sort_keys=True)
            for one in (self._exporter.masking, self._exporter.retention)
        ]
        quarter = coarse(self._exporter.now_s)
        self._out.add(HEAD, self._exporter.hall, quarter, first, before.link, open_end, *rules)
        self._registers(first, last, open_end)
        if open_end:
            self._heartbeats()
        self._equivocations()
        for one in standings.at(self._connection, before):
            self._out.add(STANDING, one.device, bytes.fromhex(one.stream), one.seq, one.digest)
        for statement in self._exporter.annotations(self._connection):
            self._out.add(ANNOTATION, statement)
        self._removals()
        end = self._manifests(before, last)
        if open_end:
            self._tail_of(end)
        self._seal(end)
        numbers = (first, last) if last >= first else (0, 0)
        return Exported(self._records, *numbers, self._tail)

    def _last_of(self, number: int) -> Last:
        """The manifest `number` as the one after it sees it."""
        table = schema.manifest
        query = select(table.c.number, table.c.position, table.c.link, table.c.refused_json)
        row = self._connection.execute(query.where(table.c.number == number)).first()
        return Last(row[0], row[1], row[2], json.loads(row[3])) if row else Last(0, 0, bytes(32), {})

    def _registers(self, first: int, last: int, open_end: bool) -> None:
        """The registers that these manifests name, and for the tail the present one; each certificate once."""
        table, manifest = schema.register, schema.manifest
        named = select(manifest.c.register).where(manifest.c.number.between(first, last))
        rows = self._connection.execute(select(table.c.members, table.c.revocations).where(table.c.digest.in_(named)))
        registers = [(row[0], row[1]) for row in rows]
        found: dict[bytes, bytes] = {}
        for members, _ in registers:
            for digest in (members[at : at + 32] for at in range(0, len(members), 32)):
                if digest not in found:
                    found[digest] = self._certificate(digest)
        if open_end:
            found.update(self._exporter.register.members())
            members = b"".join(digest for digest, _ in self._exporter.register.members())
            registers.append((members, self._exporter.register.revocations))
        for _, der in sorted(found.items()):
            self._out.add(CERTIFICATE, der)
        for members, revocations in dict.fromkeys(registers):
            self._out.add(REGISTER, members, revocations)

    def _certificate(self, digest: bytes) -> bytes:
        table = schema.certificate
        found: bytes = self._connection.execute(
            select(table.c.certificate).where(table.c.digest == digest)
        ).scalar_one()
        return found

    def _heartbeats(self) -> None:
        table = schema.heartbeat
        for row in self._connection.execute(select(table.c.evidence, table.c.received_s).order_by(table.c.device)):
            self._out.add(HEARTBEAT, row[0], row[1])

    def _equivocations(self) -> None:
        """All of them, whatever the period: they are few, and none may be forgotten."""
        table = schema.equivocation
        columns = (table.c.evidence, table.c.stored_digest, table.c.received_s)
        for row in self._connection.execute(select(*columns).order_by(table.c.id)):
            self._out.add(EQUIVOCATION, *row)

    def _removals(self) -> None:
        """What retention took away of any time: runs, of which there are as many as there are gaps between them."""
        table = schema.removal
        columns = (
            table.c.kind,
            table.c.device,
            table.c.stream,
            table.c.first,
            table.c.last,
            table.c.count,
            table.c.day,
        )
        for kind, device, stream, *numbers in self._connection.execute(select(*columns).order_by(table.c.id)):
            self._out.add(REMOVAL, kind, device, bytes.fromhex(stream), *numbers)

    def _manifests(self, before: Last, last: int) -> Last:
        """All manifests up to number `last` with their records; the last one, for whatever follows it."""
        while page := self._page(before.number, last):
            for one in page:
                self._out.add(MANIFEST, one.statement)
                self._write_records(self._between(before.position, one.record_position))
                payload = parse(one.statement, "hs-man").payload
                before = Last(one.position, one.record_position, link(payload), {})
        return self._last_of(before.number) if before.number else before

    def _page(self, number: int, last: int) -> list[StoredManifest]:
        found = manifests.after(self._connection, number, _PAGE_MANIFESTS)
        return [one for one in found if one.position <= last]

    def _between(self, after: int, to: int) -> list[LedgerRecord]:
        table = schema.record
        query = select(table).where(table.c.id > after, table.c.id <= to).order_by(table.c.id).limit(PAGE_RECORDS_MAX)
        return [record_of(row) for row in self._connection.execute(query)]

    def _write_records(self, records: list[LedgerRecord]) -> None:
        for one in sorted(records, key=manifests.order):
            masked = None if one.masked is None else [[name, text] for name, text in sorted(one.masked.items())]
            self._out.add(RECORD, one.evidence, one.received_s, list(one.flags), masked, one.sealed)
            self._records += 1

    def _tail_of(self, end: Last) -> None:
        """Records that no manifest covers yet, under statements of this export alone."""
        speaker = Speaker(
            self._exporter.hall, self._exporter.register.digest, self._exporter.now_s, self._exporter.operator_head
        )
        before = end
        for part in self._uncovered(end.position):
            made = manifests.state(self._connection, speaker, before, manifests.cover(part))
            self._out.add(MANIFEST, self._exporter.keys.signer.sign(TAIL_TYP, made.payload))
            self._write_records(list(part))
            self._tail += len(part)
            before = Last(before.number + 1, part[-1].position, link(made.payload), made.refused)

    def _uncovered(self, position: int) -> Iterator[list[LedgerRecord]]:
        newest = self._connection.execute(select(func.max(schema.record.c.id))).scalar() or 0
        while page := self._between(position, newest):
            yield from (list(part) for part in manifests.cut(page))
            position = page[-1].position

    def _seal(self, end: Last) -> None:
        made = seal.Seal(self._exporter.hall, end.number, end.link, coarse(self._exporter.now_s), self._out.sections())
        self._out.add(SEAL, self._exporter.keys.signer.sign(seal.SEAL_TYP, seal.encode(made)))
