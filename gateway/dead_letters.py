"""Records that the central system has refused: which, why and when. The records themselves stay in the ledger."""

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from gateway.ledger_file import LedgerError

# A row is about 100 bytes. A hall whose every record is refused for a month stays below this; what comes beyond is
# counted, and can be found again by comparing the ledger with the central system.
ROWS_MAX = 1_000_000
REASON_CHARACTERS_MAX = 64

metadata = sa.MetaData()

letter = sa.Table(
    "dead_letter",
    metadata,
    sa.Column("position", sa.Integer, primary_key=True),  # of the record in the ledger
    sa.Column("device", sa.String(32), nullable=False),
    sa.Column("stream", sa.String(16), nullable=False),
    sa.Column("seq", sa.Integer, nullable=False),
    sa.Column("reason", sa.String(REASON_CHARACTERS_MAX), nullable=False),
    sa.Column("refused_s", sa.Integer, nullable=False),  # UTC seconds
)


class DeadLetter(NamedTuple):
    """One refused record."""

    position: int
    device: str
    stream: str
    seq: int
    reason: str
    refused_s: int


class DeadLetters:
    """A small SQLite file beside the ledger; any thread may call."""

    def __init__(self, path: Path, rows_max: int = ROWS_MAX) -> None:
        self._rows_max = rows_max
        self._lock = threading.Lock()
        self._engine = sa.create_engine(f"sqlite:///{path}")
        sa.event.listen(self._engine, "connect", _set_pragmas)
        metadata.create_all(self._engine)

    def add(self, letters: Sequence[DeadLetter]) -> int:
        """Keep `letters`, durable on return; returns how many found no place. Adding one twice changes nothing."""
        if not letters:
            return 0
        with self._lock, self._engine.begin() as connection:
            room = max(0, self._rows_max - self._count(connection))
            kept = [{**one._asdict(), "reason": one.reason[:REASON_CHARACTERS_MAX]} for one in letters[:room]]
            if kept:
                connection.execute(insert(letter).on_conflict_do_nothing(), kept)
        return len(letters) - len(kept)

    def page(self, position: int = 0, limit: int = 100) -> list[DeadLetter]:
        """Up to `limit` letters above `position`, ascending."""
        query = sa.select(letter).where(letter.c.position > position).order_by(letter.c.position).limit(limit)
        with self._engine.connect() as connection:
            return [DeadLetter(*row) for row in connection.execute(query)]

    def remove_before(self, cutoff_s: int) -> int:
        """Let those go that were refused before `cutoff_s` (UTC seconds); how many went."""
        with self._lock, self._engine.begin() as connection:
            return connection.execute(sa.delete(letter).where(letter.c.refused_s < cutoff_s)).rowcount

    def by_reason(self) -> dict[str, int]:
        """How many are kept, by reason."""
        query = sa.select(letter.c.reason, sa.func.count()).group_by(letter.c.reason)
        with self._engine.connect() as connection:
            return {row[0]: row[1] for row in connection.execute(query)}

    def close(self) -> None:
        """Close the file."""
        self._engine.dispose()

    def _count(self, connection: sa.Connection) -> int:
        return connection.execute(sa.select(sa.func.count()).select_from(letter)).scalar_one()


def open_list(path: Path) -> DeadLetters:
    """The list at `path`. Raises LedgerError when it cannot be opened."""
    try:
        return DeadLetters(path)
    except (sa.exc.SQLAlchemyError, OSError) as error:
        cause = type(error.__cause__ or error).__name__
        advice = "check the folder and its owner; a damaged one may be moved away, for the records are in the ledger"
        raise LedgerError(f"{path}: cannot be used; {advice} ({cause})") from None


def _set_pragmas(connection: object, _record: object) -> None:
    cursor = connection.cursor()  # type: ignore[attr-defined]  # a DBAPI connection, which has no common type
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.close()
