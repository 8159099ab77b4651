"""What must hold when the power comes back: nothing promised is lost, nothing torn is sent, no number or IV comes back.

Runs on MicroPython, once for every cut.
"""

from powercut_bench import disclosed_digest, fingerprint, is_program

from firmware import slot
from firmware.tally import RATINGS, counts
from firmware.uplink import WINDOW
from protocol import cbor, command, disclosure, heartbeat, rating, record, sealed_record, sign1


class Promises:
    """What the marks of a life say that the device owes: see powercut_life.py."""

    def __init__(self):
        self._read = 0
        self.given = {}  # rating -> [(level, digest of what it discloses) that may be on flash, the thanked one first]
        self.thanked = 0
        self.presses = 0  # that were thanked for
        self.records = {}  # seq -> digest
        self.hashes = {0: record.GENESIS_PREV}  # seq -> hash of the payload
        self.ivs = {}  # IV under its key -> digest
        self.newest = (0, b"")  # seq, last bytes
        self.receipted = 0
        self.programs = [0]
        self.settings = {"config": [0, 0], "roster": [0, 0]}  # [durable, may be durable]

    def read(self, marks):
        """Take the marks that are new. Raises AssertionError when the life itself broke a promise; once for each."""
        while self._read < len(marks):
            word, *rest = cbor.decode(marks[self._read])
            self._read += 1
            getattr(self, "_" + word)(*rest)

    def _begin(self, number, *one):
        self.given[number] = self.given.get(number, [])[:1] + [one]

    def _thank(self, number, *one):
        self.thanked = max(self.thanked, number)
        self.presses += 1
        self.given[number] = [one]

    def _record(self, seq, payload_hash, iv, digest, end):
        self.records[seq], self.newest = digest, (seq, end)
        self.hashes[seq] = payload_hash
        self.note(iv, digest)

    def _sealed(self, place, digest):
        self.note(place, digest)

    def _sent(self, iv, digest):
        self.note(iv, digest)

    def check(self, iv, digest):
        """Raises AssertionError when key and IV were used before, for anything else."""
        assert self.ivs.get(iv, digest) == digest, "an IV comes back for other bytes"

    def note(self, iv, digest):
        self.check(iv, digest)
        self.ivs[iv] = digest

    def _receipt(self, through):
        self.receipted = max(self.receipted, through)

    def _program(self, sequence):
        self.programs.append(sequence)

    def _runs(self, sequence):
        self.programs = [sequence]

    def _setting(self, name, version):
        self.settings[name][1] = version

    def _set(self, name, version):
        self.settings[name] = [version, version]


def check(bench, promises):
    """The device has booted after a cut. Raises AssertionError with what is broken."""
    device = bench.device
    journal = device.journal
    assert journal.through <= promises.receipted, "a receipt that nobody sent"
    assert journal.head >= max([promises.receipted] + list(promises.records)), "a number would come back"
    assert not journal.lost, "the stream is lost"
    _check_records(bench, promises)
    number = counts(journal.tally)[RATINGS]
    assert promises.thanked <= number, "a thanked rating is lost"
    assert number <= len(promises.given), "a rating that nobody gave"
    assert device.owed() == journal.pending(), "a draft was not sealed"
    for name, version in (
        ("config", device.settings.get(command.VERSION)),
        ("roster", device.settings.roster_version),
    ):
        low, high = promises.settings[name]
        assert version in (low, high), name + " is neither the old nor the new one"

    _check_program(promises)


def _check_program(promises):
    """The loader has chosen the old program or the new one, and all of it is there."""
    pointer = slot.load("/flash")
    assert pointer.sequence in promises.programs, "program %d runs" % pointer.sequence
    assert not pointer.active or is_program(slot.FOLDERS[pointer.active], pointer.sequence), "a torn program runs"


def _check_records(bench, promises):
    """Everything without a receipt is whole, chained, signed by the device, and what it was when it was sent."""
    journal = bench.device.journal
    prev = promises.hashes[journal.through]
    number = counts(journal.state(journal.through)[1])[RATINGS]
    for seq in range(journal.through + 1, journal.head + 1):
        message = journal.message(seq)
        assert message, "a record is missing: %d" % seq
        iv, digest = fingerprint(message)
        assert promises.records.get(seq, digest) == digest, "a record was sent with other bytes"
        promises.check(iv, digest)
        signed = sealed_record.open(bench.pair.gateway, message)
        made = record.decode(signed.payload)
        assert (made.seq, made.stream) == (seq, journal.stream), "numbers"
        assert made.prev == prev, "the chain is broken"
        prev = record.payload_hash(bench.suite, signed.payload)
        if made.kind == record.RATING:
            number += 1
            given = promises.given.get(number, [])
            level = made.claims[rating.LEVEL]
            assert [one for one in given if one[0] == level], "rating %d has another level" % number
            shown = disclosed_digest(disclosure.check(bench.suite, signed.disclosures, made.digests))
            assert (level, shown) in given, "rating %d has lost what it discloses" % number
    if journal.head > journal.through:
        assert sign1.verify(bench.suite, bench.pair.signing_public, signed), "the signature"
        assert prev == journal.head_hash, "the next record would break the chain"


def check_damaged(bench, promises, seq):
    """As check(), after the flash has turned a bit of record `seq` as well: that one is gone, and nothing else."""
    journal = bench.device.journal
    assert journal.head >= max(list(promises.records)), "a number would come back"
    for number in range(journal.through + 1, journal.head + 1):
        message = journal.message(number)
        if message:
            digest = fingerprint(message)[1]
            assert promises.records.get(number, digest) == digest, "torn"
            sealed_record.open(bench.pair.gateway, message)
        else:
            assert number == seq, "a damaged record hides another: %d" % number


def _check_sent(bench, promises):
    """What goes out now: a heartbeat that states the head, and records as they are and were."""
    journal = bench.device.journal
    beat, *records = bench.send()
    assert len(records) == min(WINDOW, journal.pending()), "not all is sent"
    for seq, message in enumerate(records, journal.through + 1):
        assert message == journal.message(seq), "another record was sent"
        promises.check(*fingerprint(message))
    signed = sealed_record.open(bench.pair.gateway, beat)
    assert sign1.verify(bench.suite, bench.pair.signing_public, signed), "the signature of a heartbeat"
    claims = record.decode(signed.payload).claims
    assert (claims[heartbeat.HEAD], claims[heartbeat.HEAD_HASH]) == (journal.head, journal.head_hash), "another head"
    assert sum(claims[heartbeat.PRESSES]) >= promises.presses, "a press is forgotten"


def go_on(bench, promises, reboot):
    """The device goes on as if nothing had been: it sends; ratings, a receipt, a boot. reboot(): power off and on."""
    _check_sent(bench, promises)
    device = bench.device
    head = device.journal.head
    for level in (5, 1):
        device.keep({rating.WINDOW: "12", rating.OUTCOME: 1, rating.LEVEL: level, rating.MODE: 2}, {})
        device.seal()
    assert device.journal.head == head + 2
    bench.receipt(head + 1)
    device.journal.close()
    reboot()
    device = bench.device
    assert device.journal.head == head + 3  # and the boot
    assert device.journal.message(head + 2) and device.journal.message(head + 3)
