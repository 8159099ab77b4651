"""The counter of the commands to each device: it never repeats, not even after SIGKILL or a lost commit."""

from sqlalchemy import Connection, select
from sqlalchemy.dialects import sqlite

from gateway import schema
from gateway.ledger import Ledger

# Numbers taken from the ledger at once: one sync pays for that many commands; after a restart the rest is skipped.
BLOCK = 64


class CommandCounters:
    """One thread at a time. Never to be called from the ledger's writer thread."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._blocks: dict[str, tuple[int, int]] = {}  # device -> (last used, last reserved)

    def next(self, device: str) -> int:
        """A number above all that this device was ever sent, from 1; reserved on disk before it is returned."""
        used, reserved = self._blocks.get(device, (0, 0))
        if used >= reserved:
            reserved = self._ledger.write(lambda connection: _reserve(connection, device)).result()
            used = reserved - BLOCK
        self._blocks[device] = (used + 1, reserved)
        return used + 1


def _reserve(connection: Connection, device: str) -> int:
    """Take BLOCK numbers; the highest of them."""
    table = schema.counter
    before = connection.execute(select(table.c.reserved).where(table.c.device == device)).scalar() or 0
    row = sqlite.insert(table).values(device=device, reserved=before + BLOCK)
    connection.execute(row.on_conflict_do_update(index_elements=[table.c.device], set_={"reserved": before + BLOCK}))
    return before + BLOCK
