"""The way of every message into the ledger: inbox -> batch -> open -> verify -> check and seal -> commit -> receipt.

Three kinds of threads: the link's fills the inbox and waits when it is full; one thread here makes batches, with two
more for the signatures, which alone are worth a thread; the ledger's writer commits while the next batch is being made.
Whatever a message holds, it ends in a batch: as a record, as a heartbeat, or as a stray for the quarantine. What a
device sends beyond its share of the intake is dropped before it is looked at: it has no receipt, so that an honest
device sends it again.
"""

import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from sqlalchemy.exc import OperationalError, SQLAlchemyError

from gateway import rules
from gateway.admission import STREAMS_MAX, Admission
from gateway.batch import DUPLICATE, STORED, Batch, Outcome, stray
from gateway.configuration import IntakeSettings
from gateway.hall_clock import HallClock
from gateway.identity_seal import IdentitySeal
from gateway.ledger import Ledger
from gateway.ledger_file import LedgerError
from gateway.logs import Log
from gateway.metrics import Metrics
from gateway.opening import Admitted, Arrival, Opened, Opener
from gateway.rules import Refusal
from gateway.shares import Shares
from protocol.record import KIND_NAMES
from protocol.refusal import Refused

# Cores of the smallest hall server; OpenSSL frees the GIL while it verifies (1.78 times on two threads).
VERIFY_THREADS = 2
# Batches that may wait for the writer: one is committed, one waits, one is made.
BATCHES_WAITING = 2
# Real seconds before a batch that could not be written (disk full) is tried again; the inbox fills and pushes back.
RETRY_S = 1.0
# A device beyond its share is told to the log this often, not thousands of times a second.
CROWDING_TOLD_S = 60.0
# How long a blocked thread sleeps before it looks whether it shall stop.
POLL_S = 0.2

_log = Log("intake")


class Intake:
    """committed: called with each Outcome by the ledger's writer thread, after the batch is on disk."""

    def __init__(
        self,
        opener: Opener,
        seal: IdentitySeal,
        ledger: Ledger,
        admission: Admission,
        clock: HallClock,
        committed: Callable[[Outcome], None],
        refresh: Callable[[], None],
        metrics: Metrics,
        settings: IntakeSettings,
    ) -> None:
        """refresh: called before each batch; looks whether the registry has changed."""
        self._opener = opener
        self._seal = seal
        self._ledger = ledger
        self._admission = admission
        self._clock = clock
        self._committed = committed
        self._refresh = refresh
        self._metrics = metrics
        self._settings = settings
        self._inbox: queue.Queue[Arrival] = queue.Queue(settings.inbox_messages)
        self._slots = threading.Semaphore(BATCHES_WAITING)
        self._shares = Shares(settings.inbox_messages)
        self._crowding_told_s = -CROWDING_TOLD_S
        # Through which seq a stream is on disk: what comes again needs no seal. Only ever behind the ledger.
        self._durable: dict[tuple[str, str], int] = {}
        self._draining = threading.Event()
        self._stopping = threading.Event()
        self._verifiers = ThreadPoolExecutor(VERIFY_THREADS, "verify")
        self._thread = threading.Thread(target=self._run, name="intake", daemon=True)
        ledger.on_rollback(admission.forget)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self, timeout_s: float) -> bool:
        """Take nothing more, commit what waits, at most for `timeout_s`; True when all went."""
        self._draining.set()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join(2 * POLL_S)
        self._verifiers.shutdown(wait=False, cancel_futures=True)
        return self.pending() == 0

    def alive(self) -> bool:
        """True while the thread runs."""
        return self._thread.is_alive()

    def pending(self) -> int:
        """Messages taken from the broker and not yet on disk."""
        return self._shares.total()

    def arrive(self, topic: str, message: bytes, retained: bool) -> bool:
        """Take one message; blocks while the inbox is full, so that the broker holds the rest.

        False, and not taken, when the intake is stopping: the broker shall keep it. What is beyond the share of its
        topic is dropped, and True: kept by the broker, it would come before what other devices send.
        """
        if not self._shares.take(topic):  # before the thread can have it
            self._drop(topic)
            return True
        arrival = Arrival(topic, message, retained, self._clock.now_ms())
        while not self._draining.is_set():
            try:
                self._inbox.put(arrival, timeout=POLL_S)
                return True
            except queue.Full:
                self._metrics.count("inbox_full")
        self._shares.give_back([topic])
        return False

    def _drop(self, topic: str) -> None:
        self._metrics.count("dropped", reason="share")
        now_s = time.monotonic()
        if now_s - self._crowding_told_s >= CROWDING_TOLD_S:
            self._crowding_told_s = now_s
            _log.warning("a device sends more than its share", topic=topic)

    # The thread.

    def _run(self) -> None:
        while not self._stopping.is_set():
            arrivals = self._gather()
            if not arrivals:
                if self._draining.is_set():
                    break
                continue
            self._refresh()
            self._commit(self.prepare(arrivals), [arrival.topic for arrival in arrivals])
        self._await_commits()

    def _gather(self) -> list[Arrival]:
        """Up to batch_messages, or what came within linger_ms after the first; empty when nothing comes for a while."""
        try:
            arrivals = [self._inbox.get(timeout=POLL_S)]
        except queue.Empty:
            return []
        deadline_s = time.monotonic() + self._settings.linger_ms / 1000
        while len(arrivals) < self._settings.batch_messages:
            try:
                arrivals.append(self._inbox.get_nowait())
                continue
            except queue.Empty:
                left_s = deadline_s - time.monotonic()
            if left_s <= 0 or self._draining.is_set():
                break
            try:
                arrivals.append(self._inbox.get(timeout=left_s))
            except queue.Empty:
                break
        return arrivals

    def prepare(self, arrivals: Sequence[Arrival]) -> Batch:
        """Everything but the commit, in the order of arrival. Never raises for what a message holds."""
        batch = Batch()
        opened = [one for one in (self._open(arrival, batch) for arrival in arrivals) if one is not None]
        for one, verified in zip(opened, self._verify(opened), strict=True):
            self._finish(one, verified, batch)
        return batch

    def _open(self, arrival: Arrival, batch: Batch) -> Opened | None:
        try:
            return self._opener.open(arrival)
        except Exception as error:  # a message must never end the thread
            self._refuse(arrival, error, batch)
            return None

    def _verify(self, opened: Sequence[Opened]) -> list[bool]:
        """Signatures, one share for each thread; a small batch is not worth the way to another thread."""
        if len(opened) < 2 * VERIFY_THREADS:
            return [self._opener.verify(one) for one in opened]
        size = -(-len(opened) // VERIFY_THREADS)
        shares = [opened[at : at + size] for at in range(0, len(opened), size)]
        results = self._verifiers.map(lambda share: [self._opener.verify(one) for one in share], shares)
        return [verified for share in results for verified in share]

    def _finish(self, opened: Opened, verified: bool, batch: Batch) -> None:
        try:
            made = self._opener.finish(opened, verified)
            if isinstance(made, Admitted):
                self._seal_what_is_new(made)
            batch.take(made)
        except Exception as error:  # as above
            self._refuse(opened.arrival, error, batch)

    def _seal_what_is_new(self, made: Admitted) -> None:
        """Its disclosures go in any case."""
        is_stored = made.seq <= self._durable.get((made.device.name, made.stream), 0)
        if made.disclosures and not is_stored and not made.arrival.retained:
            made.sealed = self._seal.seal(made.device.name, bytes.fromhex(made.stream), made.seq, made.disclosures)
        made.disclosures = []

    def _refuse(self, arrival: Arrival, error: Exception, batch: Batch) -> None:
        """Into the quarantine, with its reason; of a fault of ours only type and place are logged."""
        reason = error.reason if isinstance(error, Refusal | Refused) else "internal"
        if reason == "internal":
            _log.error("intake failed on a message", error)
        reason = "retained" if arrival.retained else reason
        batch.strays.append(stray(reason, arrival, self._opener.speaker(arrival.topic)))

    def _commit(self, batch: Batch, topics: list[str]) -> None:
        """Hand the batch, made of messages on `topics`, to the writer; wait while BATCHES_WAITING are on their way."""
        while not self._slots.acquire(timeout=POLL_S):
            if self._stopping.is_set():
                return
        self._submit(batch, topics)

    def _submit(self, batch: Batch, topics: list[str]) -> None:
        self._write(batch).add_done_callback(lambda done: self._written(done, batch, topics))

    def _write(self, batch: Batch) -> "Future[Outcome]":
        return self._ledger.write(lambda connection: self._admission.admit(connection, batch))

    def _written(self, done: "Future[Outcome]", batch: Batch, topics: list[str]) -> None:
        """In the writer's thread. A batch that failed is handed in again: no store has it, and nothing is dropped."""
        error = done.exception()
        if error is None:
            self.done(batch, done.result())
            self._release(topics)
            return
        self._metrics.count("commit_failed")
        # An OperationalError is the disk's (full, busy), and time mends it; any other is ours, caused by one message.
        again = self._again if isinstance(error, OperationalError) else self._one_by_one
        retry = threading.Timer(RETRY_S, again, (batch, topics))
        retry.daemon = True
        retry.start()

    def _again(self, batch: Batch, topics: list[str]) -> None:
        try:
            if not self._stopping.is_set():
                self._submit(batch, topics)
        except LedgerError:
            pass  # closed: the devices hold what was never receipted

    def _one_by_one(self, batch: Batch, topics: list[str]) -> None:
        """Find the message that the ledger cannot take, and keep it in quarantine; the others go in."""
        try:
            for one in batch.single():
                self.done(*self._write_or_keep(one))
        except (LedgerError, SQLAlchemyError):
            self._again(batch, topics)  # the disk; what went in already is a duplicate then
            return
        self._release(topics)

    def _write_or_keep(self, one: Batch) -> tuple[Batch, Outcome]:
        try:
            return one, self._write(one).result()
        except OperationalError:
            raise
        except Exception:  # logged by the ledger
            kept = one.as_strays("internal")
            return kept, self._write(kept).result()

    def done(self, batch: Batch, outcome: Outcome) -> None:
        """Count a batch that is on disk, and have it receipted. Any thread."""
        if len(self._durable) > STREAMS_MAX:
            self._durable.clear()
        self._durable.update((key, standing.through) for key, standing in outcome.standings.items())
        self._count(batch, outcome)
        self._committed(outcome)

    def _release(self, topics: list[str]) -> None:
        self._shares.give_back(topics)
        self._slots.release()

    def _await_commits(self) -> None:
        for _ in range(BATCHES_WAITING):
            while not self._slots.acquire(timeout=POLL_S):
                if self._stopping.is_set():
                    return

    def _count(self, batch: Batch, outcome: Outcome) -> None:
        """STORED shows as "records", the others under their own names."""
        seen = Counter((became, one.kind) for one, became in zip(batch.records, outcome.records, strict=True))
        for (became, kind), count in seen.items():
            name = "records" if became == STORED else became
            self._metrics.count(name, count, kind=KIND_NAMES[kind])
        for kind in outcome.copies:
            self._metrics.count(DUPLICATE, kind=KIND_NAMES[kind])
        self._metrics.count("heartbeats", len(outcome.beats))
        for reason, count in Counter(outcome.refused).items():
            self._metrics.count("refused", count, reason=reason)
        for flag, count in outcome.flags.items():
            if flag not in rules.TELL_LEVEL:
                self._metrics.count("flagged", count, flag=flag)
