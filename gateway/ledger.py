"""The hall's ledger: one SQLite file in WAL mode with full sync, one writer thread, grouped commits.

Readers may call from any thread; they see whole commits only.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

# What one call of records_after returns at most: a page of about 2 MiB.
PAGE_RECORDS_MAX = 1000


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
    sealed: bytes | None
    flags: Sequence[str]


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


class Summary(NamedTuple):
    """Counts of the whole ledger, from its rows."""

    position: int  # of the last record; 0 when empty
    by_device: Mapping[str, Mapping[int, int]]  # device -> kind -> records


class Ledger:
    """Opens or creates the ledger file. Raises LedgerError when it cannot be used safely."""

    def __init__(self, path: Path) -> None:
        raise NotImplementedError

    def records_after(self, position: int, limit: int) -> list[LedgerRecord]:
        """Up to `limit` (1..PAGE_RECORDS_MAX) records with a position above `position` (>= 0), ascending."""
        raise NotImplementedError

    def last_position(self) -> int:
        """Position of the newest record; 0 when there is none."""
        raise NotImplementedError

    def wait_beyond(self, position: int, timeout_s: float) -> bool:
        """Block until a record beyond `position` is committed, or the time is over, or the ledger closes."""
        raise NotImplementedError

    def cursor(self, destination: str) -> int:
        """Position the projection `destination` has finished; 0 at first."""
        raise NotImplementedError

    def set_cursor(self, destination: str, position: int) -> None:
        """Durable when it returns. A cursor may move back (rebuild)."""
        raise NotImplementedError

    def summary(self) -> Summary:
        """Counts by device and kind."""
        raise NotImplementedError

    def streams(self) -> list[StreamState]:
        """All ledger streams, by device and number."""
        raise NotImplementedError

    def heartbeats(self) -> dict[str, Heartbeat]:
        """Latest heartbeat by device."""
        raise NotImplementedError

    def refusals(self) -> dict[str, int]:
        """Messages refused so far, by reason, over restarts."""
        raise NotImplementedError

    def quarantined(self) -> dict[str, int]:
        """Messages in quarantine now, by reason."""
        raise NotImplementedError

    def close(self) -> None:
        """Finish what is queued, then close."""
        raise NotImplementedError
