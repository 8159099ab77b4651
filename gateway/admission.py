"""One batch enters the ledger: duplicates, contradictions, gaps and breaks of the chain are found here.

Runs inside a transaction of the ledger's writer thread, which alone owns the state of the streams.
"""

from collections import Counter, OrderedDict
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, insert, select, tuple_
from sqlalchemy.dialects import sqlite

from gateway import heartbeats, rules, schema, stream_rows
from gateway.batch import DUPLICATE, EQUIVOCATION, STORED, Batch, Outcome, Standing, StreamKey, copy, stray
from gateway.boot_clocks import BootClocks
from gateway.continuity import Continuity
from gateway.facts import StreamFacts
from gateway.history import History
from gateway.opening import Admitted, Beat
from gateway.quarantine import Quarantine
from gateway.visit import NO_VISIT
from gateway.visit_book import VisitBook
from gateway.visit_settling import Settling
from protocol import heartbeat, record, sign1
from protocol.limits import PREV_BYTES

# Streams whose state stays in memory, about 1 KiB each. A hall has one living stream per device; beyond the bound the
# longest unused is read from the ledger again.
STREAMS_MAX = 8192
# Streams of one device that need no record to be noted: a heartbeat or an opening event names them. A device begins a
# new one when its flash is made anew; one that names ever more of them wants to fill the table.
STREAMS_NAMED_MAX = 64
# Contradictions kept as evidence for one stream; more of them say nothing new, and are counted.
EQUIVOCATIONS_KEPT = 256


class Admission:
    """Owns the continuity of all streams. `admit` and `forget` run in the writer thread only."""

    def __init__(self, quarantine: Quarantine, visits: VisitBook, history: History, boot_clocks: BootClocks) -> None:
        self.quarantine = quarantine
        self.visits = visits
        self.history = history
        self._boot_clocks = boot_clocks
        self._streams: OrderedDict[StreamKey, Continuity] = OrderedDict()

    def forget(self) -> None:
        """After a rollback: read the streams from disk again."""
        self._streams.clear()
        self.quarantine.forget()
        self.history.forget()
        self._boot_clocks.forget()

    def admit(self, connection: Connection, batch: Batch) -> Outcome:
        """Write the batch. Changes nothing in `batch`, so that it can run again after a rollback."""
        run = _Run(self, connection, batch)
        outcomes = [run.offer(one) for one in batch.records]
        copies = [(one, run.has(one)) for one in batch.copies]
        beats, strays = [], [*batch.strays, *(copy(one) for one, held in copies if not held)]
        for beat in batch.beats:
            age = run.hear(beat)
            if age == heartbeats.NEW:
                beats.append(beat)
            elif age == heartbeats.OLD:
                strays.append(stray("replayed", beat.arrival, beat.device))
        run.write()
        self._boot_clocks.note(connection, run.stored(), beats)
        taken = [one.arrival for one, became in zip(batch.records, outcomes, strict=True) if became != EQUIVOCATION]
        self.quarantine.release_all(connection, ((one.topic, one.message) for one in taken))
        self.quarantine.put(connection, strays)
        self._trim()
        standings = {key: _standing(key, state) for key, state in run.touched.items()}
        refused = [one.reason for one in strays]
        repeated, held = run.repeated - run.fresh, [one.kind for one, held in copies if held]
        return Outcome(outcomes, beats, refused, standings, run.fresh, repeated, run.flags, held)

    def _trim(self) -> None:
        while len(self._streams) > STREAMS_MAX:
            self._streams.popitem(last=False)

    def knows(self, connection: Connection, key: StreamKey) -> bool:
        """True when the stream was seen before."""
        return key in self._streams or stream_rows.load(connection, key) is not None

    def state(self, connection: Connection, key: StreamKey, now_s: int) -> Continuity:
        """The stream's state: from memory, from the ledger, or that of a stream never seen."""
        state = self._streams.get(key)
        if state is None:
            state = self._streams[key] = stream_rows.load(connection, key) or Continuity(
                stream_rows.next_number(connection, key[0]), now_s
            )
        self._streams.move_to_end(key)
        return state


def _standing(key: StreamKey, state: Continuity) -> Standing:
    return Standing(key[0], key[1], state.through, *state.report())


class _Run:
    """One batch, while its transaction is open."""

    def __init__(self, owner: Admission, connection: Connection, batch: Batch) -> None:
        self._owner = owner
        self._connection = connection
        self._visits = Settling(owner.visits, connection, [one.answer.visit for one in batch.records if one.answer])
        self._batch = batch
        self._stored: dict[tuple[str, str, int], bytes] | None = None
        self._rows: list[dict[str, Any]] = []
        self._new: dict[tuple[str, str, int], Admitted] = {}
        self.touched: dict[StreamKey, Continuity] = {}
        self.fresh: set[StreamKey] = set()
        self.repeated: set[StreamKey] = set()
        self.flags: Counter[str] = Counter()

    def _touch(self, key: StreamKey, now_s: int) -> Continuity:
        state = self.touched.get(key)
        if state is None:
            state = self.touched[key] = self._owner.state(self._connection, key, now_s)
            if state.stored == 0 and state.declared == 0:
                stream_rows.save(
                    self._connection, {key: state}
                )  # the number is taken, should the same batch open another stream
        return state

    def offer(self, one: Admitted) -> str:
        """Store a record, or find that its number is taken."""
        key = (one.device.name, one.stream)
        state = self._touch(key, one.received_s)
        if self._held(key, state, one.seq):
            return self._again(key, state, one)
        settled = self._visits.settle(one.answer, one.stream, one.seq) if one.answer else NO_VISIT
        codes = [*one.flags, *self._past_flags(one), *self._stream_codes(key, state, one), *settled.flags]
        self._compare_head(key, state, one)
        state.add(one.seq, one.digest)
        self.flags.update(codes)
        self._rows.append(_row(one, rules.kept(codes), settled.context_json))
        self._new[(*key, one.seq)] = one
        self.fresh.add(key)
        return STORED

    def _held(self, key: StreamKey, state: Continuity, seq: int) -> bool:
        held = state.holds(seq)
        return self._digest(key, seq) is not None if held is None else held

    def _digest(self, key: StreamKey, seq: int) -> bytes | None:
        """SHA-256 of the stored payload; None when it is not stored."""
        new = self._new.get((*key, seq))
        if new:
            return new.digest
        if self._stored is None:
            self._stored = self._stored_digests()
        return self._stored.get((*key, seq)) or self._column(key, seq, schema.record.c.digest)

    def _stored_digests(self) -> dict[tuple[str, str, int], bytes]:
        """Digests under the numbers of this batch, in one query: after a broken link whole batches are repeats."""
        table, wanted = schema.record, {(one.device.name, one.stream, one.seq) for one in self._batch.records}
        identity = (table.c.device, table.c.stream, table.c.seq)
        rows = self._connection.execute(select(*identity, table.c.digest).where(tuple_(*identity).in_(list(wanted))))
        return {(row.device, row.stream, row.seq): row.digest for row in rows}

    def _column(self, key: StreamKey, seq: int, column: Any) -> bytes | None:
        table = schema.record
        query = select(column).where(table.c.device == key[0], table.c.stream == key[1], table.c.seq == seq)
        found: bytes | None = self._connection.execute(query).scalar()
        return found

    def _again(self, key: StreamKey, state: Continuity, one: Admitted) -> str:
        stored = self._digest(key, one.seq)
        self.repeated.add(key)
        if stored is None or stored == one.digest:  # None: so old that it was removed, and nothing is left to compare
            state.duplicates += 1
            return DUPLICATE
        self._contradict(key, state, one.seq, stored, one.digest, one.evidence, one.received_s)
        return EQUIVOCATION

    def has(self, one: Admitted) -> bool:
        """True when this copy, which the broker kept, is of a record that the ledger has or had; it is counted then.

        Nothing of it is kept: in quarantine the salts would live on that went when the record was sealed.
        """
        key = (one.device.name, one.stream)
        if key not in self.touched and not self._owner.knows(self._connection, key):
            return False
        state = self._touch(key, one.received_s)
        if not self._held(key, state, one.seq) or self._digest(key, one.seq) not in (None, one.digest):
            return False
        state.duplicates += 1
        return True

    def _contradict(
        self, key: StreamKey, state: Continuity, seq: int, stored: bytes, digest: bytes, evidence: bytes, now_s: int
    ) -> None:
        """Keep the second statement beside the first; once for each."""
        if state.equivocations >= EQUIVOCATIONS_KEPT:
            state.equivocations += 1
            return
        row = {
            "device": key[0],
            "stream": key[1],
            "seq": seq,
            "digest": digest,
            "stored_digest": stored,
            "evidence": evidence,
            "received_s": now_s,
        }
        state.equivocations += self._connection.execute(
            sqlite.insert(schema.equivocation).values(row).on_conflict_do_nothing()
        ).rowcount

    def _compare_head(self, key: StreamKey, state: Continuity, one: Admitted) -> None:
        """A heartbeat that was faster than this record has stated its hash."""
        if state.declared != one.seq:
            return
        stated = heartbeats.stated(self._connection, key, one.seq)
        if stated is not None and stated.head_digest != one.digest[:PREV_BYTES]:
            self._contradict(key, state, one.seq, one.digest, stated.head_digest, stated.evidence, one.received_s)

    def _past_flags(self, one: Admitted) -> list[str]:
        return rules.past_flags(one.kind, self._owner.history.take(self._connection, one.act))

    def _stream_codes(self, key: StreamKey, state: Continuity, one: Admitted) -> list[str]:
        facts = StreamFacts(one.seq, state.highest, self._chained(key, state, one))
        if one.opening is not None:
            facts = self._opening_facts(key, state, one, facts)
        return rules.stream_codes(facts)

    def _opening_facts(self, key: StreamKey, state: Continuity, one: Admitted, facts: StreamFacts) -> StreamFacts:
        """What the device says of the stream before, and what the ledger knows of it."""
        assert one.opening is not None
        before = self._stream_before(key, state)
        claimed, head = one.opening.previous_stream, one.opening.previous_head or 0
        known_head = self._touch((key[0], before), one.received_s).highest if before else 0
        names_another = claimed is not None and claimed != key[1] and head
        one_too_many = names_another and self._declare((key[0], str(claimed)), head, one.received_s) is None
        return facts._replace(
            number=state.number,
            opens=True,
            before=before,
            before_highest=known_head,
            claimed=claimed,
            claimed_head=head,
            one_too_many=bool(one_too_many),
        )

    def _declare(self, key: StreamKey, head: int, now_s: int) -> Continuity | None:
        """Note that the device itself has signed that the stream goes up to `head`; None for one stream too many."""
        is_new = not self._owner.knows(self._connection, key)
        if is_new and stream_rows.next_number(self._connection, key[0]) > STREAMS_NAMED_MAX:
            return None
        state = self._touch(key, now_s)
        state.declared = max(state.declared, head)
        return state

    def _stream_before(self, key: StreamKey, state: Continuity) -> str | None:
        table = schema.stream
        query = select(table.c.stream).where(table.c.device == key[0], table.c.number < state.number)
        found: str | None = self._connection.execute(query.order_by(table.c.number.desc()).limit(1)).scalar()
        return found

    def _chained(self, key: StreamKey, state: Continuity, one: Admitted) -> bool:
        """The hash chain holds towards the neighbours that are stored."""
        if one.seq > 1 and self._held(key, state, one.seq - 1):
            known = state.through_digest if one.seq - 1 == state.through else None
            before = known or self._digest(key, one.seq - 1)
            if before is not None and before[:PREV_BYTES] != one.prev:
                return False
        if one.seq < state.highest and self._held(key, state, one.seq + 1):
            return self._prev_of(key, one.seq + 1) in (None, one.digest[:PREV_BYTES])
        return True

    def _prev_of(self, key: StreamKey, seq: int) -> bytes | None:
        new = self._new.get((*key, seq))
        if new is not None:
            return new.prev
        evidence = self._column(key, seq, schema.record.c.evidence)
        return record.decode(sign1.parse(evidence, sign1.RECORD_TYP).payload).prev if evidence else None

    def hear(self, beat: Beat) -> str:
        """Take a heartbeat; heartbeats.NEW, AGAIN or OLD."""
        age = heartbeats.put(self._connection, beat)
        if age != heartbeats.NEW:
            return age
        key, head = (beat.device.name, beat.stream), beat.claims[heartbeat.HEAD]
        state = self._declare(key, head, beat.received_s)
        if state is None:
            self.flags.update(["streams"])
            return age
        state.given_up = max(state.given_up, min(head, beat.claims[heartbeat.THROUGH]))
        if head and self._held(key, state, head):
            stored, stated = self._digest(key, head), beat.claims[heartbeat.HEAD_HASH]
            if stored is not None and stored[:PREV_BYTES] != stated:
                self._contradict(key, state, head, stored, stated, beat.evidence, beat.received_s)
        return age

    def stored(self) -> list[Admitted]:
        """The records that are new."""
        return list(self._new.values())

    def write(self) -> None:
        """All new rows in one statement, all changed streams in another."""
        if self._rows:
            self._connection.execute(insert(schema.record), self._rows)
        for key, state in self.touched.items():
            if state.outdated:  # only now, for it reads the rows just written as well
                state.reload(stream_rows.stored_above(self._connection, key, state.through))
        stream_rows.save(self._connection, self.touched)
        self._visits.write()


def _row(one: Admitted, flags: Sequence[str], visit_json: str | None) -> dict[str, Any]:
    return {
        "device": one.device.name,
        "stream": one.stream,
        "seq": one.seq,
        "kind": one.kind,
        "window": one.window,
        "digest": one.digest,
        "evidence": one.evidence,
        "coarse_s": one.coarse_s,
        "received_s": one.received_s,
        "source": one.source,
        "uptime_ms": one.uptime_ms,
        "boot": one.boot,
        "claims_json": one.claims_json,
        "masked_json": one.masked_json,
        "sealed": one.sealed,
        "flags_json": _flags_json(flags),
        "pseudonym": one.pseudonym,
        "visit_json": visit_json,
    }


def _flags_json(flags: Sequence[str]) -> str:
    """JSON list of rule codes, which need no escaping."""
    return "[" + ",".join(f'"{flag}"' for flag in flags) + "]"
