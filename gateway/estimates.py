"""Time estimates: every record whose device did not know the time gets one, once a word of its boot states the time.

A small follower of the ledger. Its cursor is `boot_clock.done`, one for each boot, moved in the transaction of the
estimates it stands for: a crash neither loses one nor makes it twice.
"""

import contextlib
from typing import Any

from sqlalchemy import Connection, select

from gateway import schema
from gateway.annotations import AnnotationSource, AnnotationWriter, Draft
from gateway.boot_clocks import UNSYNCHRONISED, BootClocks, BootKey
from gateway.hall_clock import HallClock
from gateway.ledger import Ledger
from gateway.ledger_file import LedgerError
from gateway.metrics import Metrics
from gateway.periodic import Periodic
from gateway.time_estimate import BootClock, estimate
from protocol import annotation
from protocol.record import RATING, coarse

# Estimates of one transaction: signed and stored, 64 are some 6 ms of the writer thread; a receipt may wait that long.
PAGE = 64
# How long the thread sleeps before it looks again; an estimate is wanted within seconds, not at once.
POLL_S = 0.5


class Estimates:
    """`start` follows in a thread of its own; `step` does one transaction in the caller's."""

    def __init__(
        self,
        ledger: Ledger,
        clocks: BootClocks,
        writer: AnnotationWriter,
        source: AnnotationSource,
        clock: HallClock,
        metrics: Metrics,
    ) -> None:
        self._ledger = ledger
        self._clocks = clocks
        self._writer = writer
        self._source = source
        self._clock = clock
        self._metrics = metrics
        self._turns = Periodic("estimates", POLL_S, self._catch_up)

    def start(self) -> None:
        """Start following; returns at once."""
        self._turns.start()

    def stop(self) -> None:
        """End; what is owed is found again at the next start."""
        self._turns.stop(2 * POLL_S)

    def step(self) -> int:
        """Make at most PAGE estimates, of one boot; how many. Raises what the ledger raises."""
        made = self._ledger.write(self._make).result()
        if made:
            self._metrics.count("time_estimates", made)
            self._source.grown()
        return made

    def _catch_up(self) -> None:
        """All that are owed now. A disk that fails is mended by time: the ledger holds what is owed."""
        with contextlib.suppress(LedgerError):  # closed
            while self._clocks.owing and not self._turns.stopping():
                self.step()

    def _make(self, connection: Connection) -> int:
        """In the writer thread."""
        owed = self._clocks.owed(connection)
        if owed is None:
            return 0
        key, clock, done = owed
        rows = connection.execute(_waiting(key, done)).all()
        self._writer.add(connection, [_draft(row, clock, self._clock.now_s()) for row in rows])
        self._clocks.done(connection, key, rows[-1].id if rows else done, finished=len(rows) < PAGE)
        return len(rows)


def _waiting(key: BootKey, done: int) -> Any:
    """The next records of the boot without time."""
    table = schema.record
    shown = (table.c.id, table.c.device, table.c.stream, table.c.seq, table.c.digest, table.c.kind)
    mine = UNSYNCHRONISED & (table.c.device == key[0]) & (table.c.boot == key[1]) & (table.c.id > done)
    return select(*shown, table.c.uptime_ms, table.c.received_s).where(mine).order_by(table.c.id).limit(PAGE)


def _draft(row: Any, clock: BootClock, now_s: int) -> Draft:
    """The estimate of a record. A rating that has just come must not show by the time when its estimate was made."""
    assert clock.anchor is not None
    found = estimate(clock, row.kind, row.uptime_ms, row.received_s)
    claims = {
        annotation.ESTIMATE: found.estimate_s,
        annotation.EARLIEST: found.earliest_s,
        annotation.LATEST: found.latest_s,
        annotation.RECORD_KIND: row.kind,
        annotation.ANCHOR_STREAM: bytes.fromhex(clock.anchor[0]),
        annotation.ANCHOR_SEQ: clock.anchor[1],
    }
    made_s = coarse(now_s) if row.kind == RATING else now_s
    return Draft(row.id, row.device, row.stream, row.seq, row.digest, annotation.TIME_ESTIMATE, made_s, claims)
