"""The ledger's file: who may open it, how SQLite must treat it, and that it is ours."""

import fcntl
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import SQLAlchemyError

from gateway import schema

# Real ms that a connection waits for another process (a technician's query) before it fails and is tried again.
BUSY_TIMEOUT_MS = 5000
# Bytes that the write-ahead log is cut back to after a checkpoint.
WAL_BYTES_KEPT = 16 << 20

_Result = TypeVar("_Result")


class LedgerError(Exception):
    """The ledger, or a file beside it, cannot be used. str() says what to do; it holds no record content."""


def look(path: Path, query: Callable[[Connection], _Result]) -> _Result:
    """Run a query on the ledger file of a gateway that may be running. Raises LedgerError when there is none."""
    if not path.is_file():
        raise LedgerError(f"{path}: there is no ledger yet; the gateway makes it when it first runs")
    readers = engine(path, writer=False)
    try:
        with readers.connect() as connection:
            return query(connection)
    except SQLAlchemyError as error:
        raise LedgerError(f"{path}: cannot be read ({type(error.__cause__ or error).__name__})") from None
    finally:
        readers.dispose()


def lock(path: Path) -> Any:
    """Hold the file beside the ledger, so that no second gateway writes the same ledger; freed with the process."""
    try:
        descriptor = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        file = os.fdopen(descriptor, "r+")
        # The ledger itself is made here, so that it is never readable by others, not even for a moment.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise LedgerError(f"{path}: cannot be written ({error.strerror}); check the folder and its owner") from None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise LedgerError(f"{path}: another gateway uses this ledger; stop it first") from None
    return file


def engine(path: Path, writer: bool) -> Engine:
    """Connections of one kind. The readers' cannot write."""
    # hide_parameters: the text of an error must not carry a record.
    made = create_engine(f"sqlite:///{path}", hide_parameters=True)

    @event.listens_for(made, "connect")
    def configure(connection: Any, _: Any) -> None:
        execute = connection.execute
        execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
        if not writer:
            execute("PRAGMA query_only=ON")
            return
        if execute("PRAGMA journal_mode=WAL").fetchone()[0] != "wal":
            raise LedgerError("the folder's file system has no shared memory for WAL; put the ledger on a local disk")
        execute("PRAGMA synchronous=FULL")
        execute("PRAGMA secure_delete=ON")  # keys of past days shall be gone, not only unlinked
        execute(f"PRAGMA journal_size_limit={WAL_BYTES_KEPT}")

    return made


def truncate_wal(writing: Engine) -> bool:
    """Move everything from the write-ahead log into the file, and cut the log to nothing; False when it was in use.

    A row that was deleted is overwritten in the file, but the log's older pages would show it until they are reused.
    """
    with writing.connect() as connection:
        busy: int = connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").one()[0]
        return not busy


def prepare(connection: Connection) -> None:
    """Make the tables of a new ledger, or bring those of an older one up to date; refuse what a newer version made.

    All of it is one transaction: a crash leaves the ledger as it was.
    """
    with connection.begin():
        connection.exec_driver_sql("BEGIN IMMEDIATE")  # else Python begins with the first row, after the tables
        found = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
        if not 0 <= found <= schema.SCHEMA_VERSION:
            raise LedgerError(f"was made by another version of Hallseal (schema {found}); install that version")
        for version in range(found or schema.SCHEMA_VERSION, schema.SCHEMA_VERSION):
            for statement in schema.MIGRATIONS[version]:
                connection.exec_driver_sql(statement)
        schema.metadata.create_all(connection)
        connection.exec_driver_sql(f"PRAGMA user_version={schema.SCHEMA_VERSION}")
