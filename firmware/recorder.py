"""The recorder turns what happened into a sealed record on flash: stream, number, chain, time, signature, journal."""

import gc

from firmware import tally
from protocol import disclosure, event, record, sealed_record
from protocol.limits import BOOT_BYTES, STREAM_BYTES


class Recorder:
    """suite, identity, channel (device side), signer: keys of this device. journal, uptime, wall_clock: its own."""

    def __init__(self, suite, identity, channel, signer, journal, uptime, wall_clock):
        self._suite = suite
        self._identity = identity
        self._channel = channel
        self._signer = signer
        self._journal = journal
        self._uptime = uptime
        self._clock = wall_clock
        self._boot = suite.random_bytes(BOOT_BYTES)
        self._telemetry = suite.random_bytes(STREAM_BYTES)
        self._telemetry_seq = 0
        self._telemetry_prev = record.GENESIS_PREV
        opening = {event.CODE: event.STREAM_OPENED}
        if journal.lost:  # nothing readable is left, and a record without `prev` is none
            opening[event.PREVIOUS_STREAM], opening[event.PREVIOUS_HEAD] = journal.stream, journal.head
        if journal.lost or not journal.stream:
            journal.begin(suite.random_bytes(STREAM_BYTES))
        if not journal.head:
            self.record(record.EVENT, opening)

    def moment(self):
        """[boot, uptime_ms, source, now_s] of this instant, as a record states it."""
        return [self._boot, self._uptime.ms(), self._clock.source, self._clock.now_s()]

    def record(self, kind, claims, redactable=None, moment=None):
        """Seal one record of the ledger stream and write it to flash; its seq. Durable on return.

        redactable: {claim number: value}. moment: of what was promised before (see draft.py), which like an event may
        use the reserve; None is now. Raises JournalFull, OSError, Refused("schema").
        """
        journal = self._journal
        disclosures, digests = self._disclose(redactable or {})
        seq = journal.head + 1
        when = moment or self.moment()
        payload = self._payload(kind, claims, digests, journal.stream, seq, journal.head_hash, when)
        message = sealed_record.seal(self._channel, self._signer, payload, disclosures)
        journal.append(
            tally.code(kind, claims),
            record.payload_hash(self._suite, payload),
            message,
            kind == record.EVENT or moment is not None,
        )
        gc.collect()  # a signature leaves a third of a megabyte behind; better now than under the next finger
        return seq

    def heartbeat(self, claims):
        """The sealed message of a heartbeat: signed, numbered within this boot, not journaled."""
        self._telemetry_seq += 1
        payload = self._payload(
            record.HEARTBEAT, claims, {}, self._telemetry, self._telemetry_seq, self._telemetry_prev, self.moment()
        )
        self._telemetry_prev = record.payload_hash(self._suite, payload)
        message = sealed_record.seal(self._channel, self._signer, payload, [])
        gc.collect()
        return message

    def _disclose(self, redactable):
        disclosures, digests = [], {}
        for claim in sorted(redactable):
            one, digests[claim] = disclosure.make(self._suite, claim, redactable[claim])
            disclosures.append(one)
        return disclosures, digests

    def _payload(self, kind, claims, digests, stream, seq, prev, moment):
        boot, uptime_ms, source, now_s = moment
        return record.encode(
            record.Record(
                self._identity.device,
                self._identity.hall,
                record.coarse(now_s),
                kind,
                stream,
                seq,
                prev,
                boot,
                record.uptime_shown(kind, uptime_ms),
                source,
                claims,
                digests,
            )
        )

    def totals(self):
        """Ratings of level 1 … 5 in this stream, as a list of five."""
        return tally.counts(self._journal.tally)[: tally.RATINGS]
