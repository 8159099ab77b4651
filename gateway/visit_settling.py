"""What the records of one batch say about visits: settled in memory, written with one statement.

Runs inside the batch's transaction, in the ledger's writer thread. A batch that is rolled back begins anew.
"""

import json
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, bindparam, update

from gateway import schema, visit_states
from gateway.clock_rules import CLOCK_TOLERANCE_S
from gateway.visit import Answer, Settled
from gateway.visit_book import Row, VisitBook
from protocol import command, field

# A question may begin when its command is about to expire, and then stands for as long as a question can.
ASKED_S_MAX = next(high for key, _, _, _, high, _ in field.rows(command.REQUEST_ROWS) if key == command.TIMEOUT_S)
LATE_S = ASKED_S_MAX + CLOCK_TOLERANCE_S

_table = schema.visit
_WRITE = (
    update(_table)
    .where(_table.c.token == bindparam("of"))
    .values(
        {"state": bindparam("to"), "change": bindparam("number"), "notice": bindparam("tell")}
        | {"stream": bindparam("in_stream"), "seq": bindparam("at_seq"), "answered": 1, "expires_s": 0}
    )
)


class Settling:
    """The visits that a batch names. visits: their numbers."""

    def __init__(self, book: VisitBook, connection: Connection, visits: Iterable[str]) -> None:
        self._book = book
        self._connection = connection
        self._rows = book.find_all(connection, visits)
        self._settled: list[dict[str, Any]] = []
        self._wholes: dict[bytes, None] = {}

    def settle(self, answer: Answer, stream: str, seq: int) -> Settled:
        """Note what a device recorded, in the record `seq` of `stream` (hex); what joins that record."""
        found = self._rows.get(answer.visit)
        if found is None:
            return Settled(["visit_unknown"], None)
        late = bool(found.expires_s and answer.at_s > found.expires_s + LATE_S)
        move = visit_states.answered(found.state, bool(found.answered), answer.rated, late)
        flags = [*move.flags, *json.loads(found.flags_json)]
        if answer.window != found.window:
            flags.insert(0, "visit_other_window")
        if not found.answered:
            self._rows[answer.visit] = self._move(found, move.state, stream, seq)
        return Settled(flags, found.context_json)

    def _move(self, found: Row, state: str, stream: str, seq: int) -> Row:
        moved = replace(found, state=state, change=found.change + 1, answered=1, expires_s=0)
        tell = 0 if self._book.tells and found.parent is None else None
        row = {"of": found.token, "to": state, "number": moved.change, "tell": tell}
        self._settled.append({**row, "in_stream": stream, "at_seq": seq})
        if found.parent is not None:
            self._wholes[found.parent] = None
        return moved

    def write(self) -> None:
        """Write what was settled."""
        if self._settled:
            self._connection.execute(_WRITE, self._settled)
        for whole in self._wholes:
            self._book.settle_whole(self._connection, whole)
