"""Annotations in the ledger: signed and chained as they are written, read by number, and what they come to.

`content` of an annotation, JSON types:
    not_adopted    {"reason": "mistaken" 误评 | "malicious" 恶意差评 | "faked" 刷好评, "author": staff number}
    adopted        {"author": staff number}
    time_estimate  {"estimate_s", "earliest_s", "latest_s"}, UTC seconds
"""

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, func, insert, select

from gateway import schema
from gateway.ledger import PAGE_RECORDS_MAX, Ledger
from protocol import annotation, sign1
from protocol.annotation import ADOPTED, NOT_ADOPTED, TIME_ESTIMATE


class Draft(NamedTuple):
    """What shall be said of a record. claims: as protocol.annotation has them for the kind."""

    record: int  # id in the ledger
    device: str
    stream: str  # 16 hex digits
    seq: int
    digest: bytes  # 32, SHA-256 of the record's payload
    kind: int
    made_s: int
    claims: dict[int, object]


class Annotation(NamedTuple):
    """One row of schema.annotation. position: its number, which grows by one in commit order."""

    position: int
    record: int
    device: str
    stream: str
    seq: int
    kind: int
    made_s: int
    content: Mapping[str, Any]
    statement: bytes

    @property
    def adopted(self) -> bool | None:
        """What it says of a rating's counting; None where it speaks of something else."""
        return None if self.kind == TIME_ESTIMATE else self.kind == ADOPTED


class AnnotationWriter:
    """Signs and stores; runs in jobs of the ledger's writer thread. signer: the hall's command key."""

    def __init__(self, hall: str, signer: sign1.Signer) -> None:
        self._hall = hall
        self._signer = signer

    def add(self, connection: Connection, drafts: Sequence[Draft]) -> None:
        """Write the drafts in their order, each naming the one before it."""
        rows, (number, prev) = [], _newest(connection)
        for draft in drafts:
            number += 1
            row, prev = self._row(draft, number, prev)
            rows.append(row)
        if rows:
            connection.execute(insert(schema.annotation), rows)

    def _row(self, draft: Draft, number: int, prev: bytes) -> tuple[dict[str, Any], bytes]:
        stream = bytes.fromhex(draft.stream)
        payload = annotation.encode(
            annotation.Annotation(
                draft.device, self._hall, draft.made_s, draft.kind, stream, draft.seq, prev, draft.claims, number,
                draft.digest,
            )
        )  # fmt: skip
        digest = hashlib.sha256(payload).digest()
        row = {**draft._asdict(), "number": number, "content_json": json.dumps(_content(draft)), "digest": digest}
        del row["claims"]
        return {**row, "statement": self._signer.sign(annotation.TYP, payload)}, digest


def _newest(connection: Connection) -> tuple[int, bytes]:
    """(number, digest) of the last annotation of the hall."""
    table = schema.annotation
    row = connection.execute(select(table.c.number, table.c.digest).order_by(table.c.number.desc()).limit(1)).first()
    return (row.number, row.digest) if row else (0, annotation.GENESIS_PREV)


def _content(draft: Draft) -> dict[str, object]:
    claims = draft.claims
    if draft.kind == TIME_ESTIMATE:
        names = {"estimate_s": annotation.ESTIMATE, "earliest_s": annotation.EARLIEST, "latest_s": annotation.LATEST}
        return {name: claims[key] for name, key in names.items()}
    content = {"author": claims[annotation.AUTHOR]}
    if draft.kind == NOT_ADOPTED:
        content["reason"] = annotation.REASON_NAMES[claims[annotation.REASON]]  # type: ignore[index]  # an int
    return content


def _read(row: Any) -> Annotation:
    content = json.loads(row.content_json)
    record = (row.record, row.device, row.stream, row.seq)
    return Annotation(row.number, *record, row.kind, row.made_s, content, row.statement)


def of_record(connection: Connection, record: int) -> list[Annotation]:
    """Everything that was said of the record with that id, in order."""
    table = schema.annotation
    mine = table.c.kind.in_(list(annotation.KIND_NAMES)) & (table.c.record == record)
    return [_read(row) for row in connection.execute(select(table).where(mine).order_by(table.c.number))]


def statements(connection: Connection) -> Iterator[bytes]:
    """All statements of the hall, from the first on, page by page: what an export holds."""
    table, number = schema.annotation, 0
    query = select(table.c.number, table.c.statement).order_by(table.c.number).limit(PAGE_RECORDS_MAX)
    while page := connection.execute(query.where(table.c.number > number)).all():
        yield from (row.statement for row in page)
        number = page[-1].number


def standing(history: Sequence[Annotation]) -> Annotation | None:
    """The annotation that decides whether the rating counts; None where nobody has marked it: it counts."""
    marks = [one for one in history if one.adopted is not None]
    return marks[-1] if marks else None


def not_adopted(connection: Connection) -> dict[str, int]:
    """Ratings of the ledger that are not adopted now, by device; what was said of removed ones counts no more."""
    mark, later = schema.annotation, schema.annotation.alias("later")
    taken_back = select(later.c.number).where(
        later.c.kind.in_([NOT_ADOPTED, ADOPTED]), later.c.record == mark.c.record, later.c.number > mark.c.number
    )
    present = mark.join(schema.record, schema.record.c.id == mark.c.record)
    mine = (mark.c.kind == NOT_ADOPTED) & ~taken_back.exists()
    query = select(mark.c.device, func.count()).select_from(present).where(mine)
    return {row[0]: row[1] for row in connection.execute(query.group_by(mark.c.device))}


class AnnotationSource:
    """The ledger's annotations as a projection reads them; any thread."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._grown = threading.Condition()
        self._last = ledger.read(lambda connection: _newest(connection)[0])

    def records_after(self, position: int, limit: int) -> list[Annotation]:
        """Up to `limit` (1..PAGE_RECORDS_MAX) annotations with a number above `position`, ascending."""
        if not 1 <= limit <= PAGE_RECORDS_MAX or position < 0:
            raise ValueError("limit or position out of range")
        table = schema.annotation
        query = select(table).where(table.c.number > position).order_by(table.c.number).limit(limit)
        return self._ledger.read(lambda connection: [_read(row) for row in connection.execute(query)])

    def last_position(self) -> int:
        """Number of the newest annotation; 0 where there is none."""
        return self._last

    def wait_beyond(self, position: int, timeout_s: float) -> bool:
        """Block until there is an annotation beyond `position`, at most `timeout_s`."""
        with self._grown:
            return self._grown.wait_for(lambda: self._last > position, timeout_s)

    def grown(self) -> None:
        """Look again: annotations were committed."""
        newest = self._ledger.read(lambda connection: _newest(connection)[0])
        with self._grown:
            self._last = max(self._last, newest)
            self._grown.notify_all()

    def before(self, record: int) -> int:
        """The number before the first mark of a record with an id above `record`: where the live view begins."""
        table = schema.annotation
        marks = table.c.kind.in_([NOT_ADOPTED, ADOPTED])
        query = select(func.min(table.c.number)).where(marks, table.c.record > record)
        first = self._ledger.read(lambda connection: connection.execute(query).scalar())
        return self.last_position() if first is None else first - 1
