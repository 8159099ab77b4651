"""Messages from quarantine, offered again after a key or the registry was mended.

They take the way of every message: opened, verified, checked, stored in one transaction, receipted; and in the same
transaction they leave the quarantine. Receive time is the first one, for the rules that look at it; the record is
marked "readmitted", and the operator log tells when, by whom and of which streams.
"""

import time
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from gateway import quarantine
from gateway.admission import Admission
from gateway.batch import DUPLICATE, STORED, Batch, Outcome
from gateway.intake import Intake
from gateway.ledger import Ledger
from gateway.ledger_file import LedgerError
from gateway.metrics import Metrics
from gateway.opening import Arrival
from gateway.operator_log import READMIT, Note, OperatorLog
from gateway.quarantine import OFFERED_MAX, Kept
from gateway.registry import Registry
from gateway.retention import READMITTED
from protocol import topic

# What became of a message, besides STORED, DUPLICATE and EQUIVOCATION. Those three leave the quarantine; CUT and
# REFUSED stay; GONE is there no more: somebody else has offered it, or it had to make room.
REFUSED, CUT, GONE = "refused", "cut", "gone"


class Result(NamedTuple):
    """reason: of a message that was refused again; else None."""

    id: int
    result: str
    reason: str | None = None


class Selection(NamedTuple):
    """Which messages: by reason, by device (its topic), or both."""

    reason: str | None = None
    device: str | None = None


class _Offer(NamedTuple):
    kept: Kept
    batch: Batch


class _Answer(NamedTuple):
    offer: _Offer
    result: Result
    outcome: Outcome | None


class Readmission:
    """Any thread but the ledger's writer; each call blocks for one commit. Offering a message twice changes nothing."""

    def __init__(
        self,
        hall: str,
        registry: Registry,
        ledger: Ledger,
        intake: Intake,
        admission: Admission,
        log: OperatorLog,
        metrics: Metrics,
    ) -> None:
        self._hall = hall
        self._registry = registry
        self._ledger = ledger
        self._intake = intake
        self._admission = admission
        self._quarantine = admission.quarantine
        self._log = log
        self._metrics = metrics

    def topic_of(self, device: str) -> str:
        """Where the messages of `device` came, if they came where they should. Raises ValueError: no device's name."""
        return topic.up(self._hall, device)

    def chosen(self, selection: Selection, after: int = 0) -> list[int]:
        """Ids of the selection above `after`, the oldest OFFERED_MAX, ascending."""
        on = self.topic_of(selection.device) if selection.device else None
        return self._ledger.read(
            lambda connection: quarantine.ids_after(connection, after, OFFERED_MAX, selection.reason, on)
        )

    def offer(self, ids: Sequence[int], actor: str) -> list[Result]:
        """Offer the messages of `ids` (at most OFFERED_MAX) again, the oldest first; what became of each, by id.

        Raises ValueError for too many, and what the ledger raises when it cannot write: nothing has changed then.
        """
        if len(ids) > OFFERED_MAX:
            raise ValueError("ids")
        self._registry.refresh(time.monotonic(), at_once=True)  # the technician has just mended it
        found = self._ledger.read(lambda connection: quarantine.kept(connection, ids))
        offers = [self._prepare(one) for one in found if one.is_whole()]
        results = {one.id: Result(one.id, CUT) for one in found if not one.is_whole()}
        results.update({one.id: one for one in self._write(offers, actor)})
        return [results.get(number, Result(number, GONE)) for number in sorted(set(ids))]

    def _prepare(self, kept: Kept) -> _Offer:
        """A message as it was when it came; only the broker's mark is not believed a second time: see `retained`."""
        batch = self._intake.prepare([Arrival(kept.topic, kept.message, False, 1000 * kept.received_s)])
        for one in batch.records:
            one.flags.append(READMITTED)
        return _Offer(kept, batch)

    def _write(self, offers: Sequence[_Offer], actor: str) -> list[Result]:
        """All in one transaction; each in its own when one of them is more than the ledger can take."""
        if not offers:
            return []
        try:
            answers = self._ledger.write(lambda connection: self._admit(connection, offers, actor)).result()
        except (OperationalError, LedgerError):  # the disk's: time mends it
            raise
        except Exception:  # whatever a message does to us, the others go on; logged by the ledger
            if len(offers) > 1:
                return [result for one in offers for result in self._write([one], actor)]
            if offers[0].batch.strays:
                raise  # it was never to be stored: the fault is not the message's
            return self._write([offers[0]._replace(batch=offers[0].batch.as_strays("internal"))], actor)
        self._committed(answers)
        return [one.result for one in answers]

    def _admit(self, connection: Connection, offers: Sequence[_Offer], actor: str) -> list[_Answer]:
        """In the ledger's transaction: what is stored leaves quarantine, and the operator log tells it."""
        present = {one.id for one in quarantine.kept(connection, [one.kept.id for one in offers])}
        answers = [self._admit_one(connection, one, one.kept.id in present) for one in offers]
        self._log.append(connection, Note(actor, READMIT, "", _details(answers)))
        return answers

    def _admit_one(self, connection: Connection, one: _Offer, is_present: bool) -> _Answer:
        if not is_present:
            return _Answer(one, Result(one.kept.id, GONE), None)
        outcome = self._admission.admit(connection, one.batch)
        if outcome.refused:
            reason = outcome.refused[0]
            if reason != one.kept.reason:
                self._quarantine.rename(connection, one.kept, reason)
            return _Answer(one, Result(one.kept.id, REFUSED, reason), outcome)
        self._quarantine.release(connection, one.kept)
        stored = STORED if outcome.beats else DUPLICATE  # of a heartbeat
        return _Answer(one, Result(one.kept.id, outcome.records[0] if outcome.records else stored), outcome)

    def _committed(self, answers: Sequence[_Answer]) -> None:
        """Counted and receipted as a fresh arrival is."""
        for answer in answers:
            self._metrics.count("readmitted", result=answer.result.result)
        self._intake.done(*_together([one for one in answers if one.outcome is not None]))


def _together(answers: Sequence[_Answer]) -> tuple[Batch, Outcome]:
    """One batch and outcome of all, so that each stream has one receipt.

    Without heartbeats: one of then is not answered now, for it asked for the time of that moment.
    """
    batch, whole = Batch(), Outcome([], [], [], {}, set(), set(), Counter())
    flags: Counter[str] = Counter()
    for answer in answers:
        outcome = answer.outcome
        if outcome is not None:
            batch.records += answer.offer.batch.records
            whole.records += outcome.records
            whole.refused += outcome.refused
            whole.standings.update(outcome.standings)
            whole.fresh |= outcome.fresh
            whole.repeated |= outcome.repeated
            flags.update(outcome.flags)
    whole.flags, whole.repeated = flags, whole.repeated - whole.fresh
    return batch, whole


def _details(answers: Sequence[_Answer]) -> dict[str, object]:
    """How many of each result, and [device, stream, first seq, last seq, records] of what was stored."""
    streams: dict[tuple[str, str], list[int]] = {}
    for answer in answers:
        for one in answer.offer.batch.records:
            if answer.result.result == STORED:
                streams.setdefault((one.device.name, one.stream), []).append(one.seq)
    ranges = [[*key, min(seqs), max(seqs), len(seqs)] for key, seqs in streams.items()]
    return {**Counter(answer.result.result for answer in answers), "streams": ranges}
