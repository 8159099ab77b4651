"""Marks of a supervisor: a rating is not adopted, or adopted again. The rating stays; each mark is one more annotation.

Nothing here reads a level: a bad rating that was a mistake and a good one that was faked are marked alike.
"""

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, select

from gateway import annotations, operator_log, schema
from gateway.annotations import Annotation, AnnotationSource, AnnotationWriter, Draft
from gateway.hall_clock import HallClock
from gateway.ledger import Ledger
from gateway.logs import Log
from protocol import annotation
from protocol.record import RATING

WHATS = {annotation.KIND_NAMES[kind]: kind for kind in (annotation.NOT_ADOPTED, annotation.ADOPTED)}
REASONS = {name: number for number, name in annotation.REASON_NAMES.items()}

# A case that goes back and forth more often than this is no longer about the rating.
MARKS_MAX = 64
# A staff number, and nothing that names anybody else: no name fits, a phone has 11 digits, an identity card 15 or 18.
_AUTHOR = re.compile("[A-Za-z0-9][A-Za-z0-9-]{0,15}")
AUTHOR_DIGITS_MAX = 10

_log = Log("marks")


class MarkRefused(Exception):  # the supervisor's request is refused; nothing of ours failed
    """The mark is not made. reason: "rating" (there is none of that number), "reason" (missing, or too much),
    "author" (no staff number), "full".
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Marked(NamedTuple):
    """A rating and all that was said of it. new: False where a request only repeated how it stands."""

    device: str
    stream: str
    seq: int
    coarse_s: int  # as the device signed it; 0 is unknown
    history: Sequence[Annotation]
    new: bool = False


def claims_of(kind: int, reason: str | None, author: str) -> dict[int, object]:
    """The claims of a mark, as protocol.annotation has them. Raises MarkRefused."""
    if not _AUTHOR.fullmatch(author) or sum(map(str.isdigit, author)) > AUTHOR_DIGITS_MAX:
        raise MarkRefused("author")
    if (kind == annotation.NOT_ADOPTED) != (reason is not None):
        raise MarkRefused("reason")
    if reason is None:
        return {annotation.AUTHOR: author}
    return {annotation.REASON: REASONS[reason], annotation.AUTHOR: author}


def changes(history: Sequence[Annotation], kind: int, reason: str | None) -> bool:
    """True when a mark would change how the rating stands, or why. Raises MarkRefused when there are too many."""
    present = annotations.standing(history)
    if present is None:
        return kind == annotation.NOT_ADOPTED  # a rating is adopted from the start
    if present.kind == kind and present.content.get("reason") == reason:
        return False
    if sum(one.adopted is not None for one in history) >= MARKS_MAX:
        raise MarkRefused("full")
    return True


class Marks:
    """Any thread; each call blocks for one commit or one read."""

    def __init__(self, ledger: Ledger, writer: AnnotationWriter, source: AnnotationSource, clock: HallClock) -> None:
        self._ledger = ledger
        self._writer = writer
        self._source = source
        self._clock = clock

    def look(self, device: str, stream: str, seq: int) -> Marked:
        """The rating and its annotations. Raises MarkRefused("rating")."""
        return self._ledger.read(lambda connection: _found(connection, device, stream, seq)[1])

    def mark(self, device: str, stream: str, seq: int, what: str, reason: str | None, author: str) -> Marked:
        """Say that the rating is not adopted, or adopted again. what: of WHATS; reason: of REASONS, None for adopted.

        A request that changes nothing adds nothing: asking twice is harmless. Raises MarkRefused.
        """
        kind = WHATS[what]
        claims = claims_of(kind, reason, author)

        def write(connection: Connection) -> Marked | MarkRefused:
            try:
                row, before = _found(connection, device, stream, seq)
                if not changes(before.history, kind, reason):
                    return before
            except MarkRefused as refused:
                return refused  # raised here it would roll back the batches beside it
            draft = Draft(row.id, device, stream, seq, row.digest, kind, self._clock.now_s(), claims)
            self._writer.add(connection, [draft])
            operator_log.append(connection, draft.made_s, _note(draft, what, reason, author))
            return before._replace(history=annotations.of_record(connection, row.id), new=True)

        marked = self._ledger.write(write).result()
        if isinstance(marked, MarkRefused):
            raise marked
        if marked.new:
            self._source.grown()
            _log.info("rating marked", device=device, stream=stream, seq=seq, kind=what)
        return marked


def _note(draft: Draft, what: str, reason: str | None, author: str) -> operator_log.Note:
    """The line of the operator log, in the transaction of the mark."""
    subject = f"{draft.device}/{draft.stream}/{draft.seq}"
    return operator_log.Note(author, operator_log.ANNOTATE, subject, {"what": what, "reason": reason or ""})


def _found(connection: Connection, device: str, stream: str, seq: int) -> tuple[Any, Marked]:
    """(id and digest of the rating, the rating). Raises MarkRefused("rating")."""
    table = schema.record
    query = select(table.c.id, table.c.digest, table.c.coarse_s).where(
        table.c.device == device, table.c.stream == stream, table.c.seq == seq, table.c.kind == RATING
    )
    row = connection.execute(query).first()
    if row is None:
        raise MarkRefused("rating")
    return row, Marked(device, stream, seq, row.coarse_s, annotations.of_record(connection, row.id))
