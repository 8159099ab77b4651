"""Lives of a device that the power-cut campaign records, and what it has promised at each moment of them.

A mark is CBOR [word, …]:
    ["begin", n, level, digest]  rating n may be on flash from now on, with this level; digest: of its redactable claims
    ["thank", n, level, digest]  rating n was thanked for with this level and these
    ["record", seq, hash, iv, digest, end]  the record is durable and may be sent; hash: what the next one carries as
                              `prev`; end: its last bytes, to find it on flash
    ["sent", iv, digest]      this was on the wire
    ["sealed", place, digest] key and IV were used for this, a record, a draft or whatever it was
    ["receipt", through]      the gateway has said so; from now on the device may forget
    ["setting", name, version], and ["set", name, version] when that is durable
    ["program", sequence]        this release may run from now on, and ["runs", sequence] when no other may any more
"""

import asyncio

from powercut_bench import Bench, disclosed_digest, fingerprint, program

from firmware import trial
from protocol import cbor, command, event, punch, rating, record, sealed_record

ROSTER_OF = 12  # a roster takes a few writes


class Life:
    """seed: of its chance. mark(bytes): see LoggedFlash."""

    def __init__(self, seed, mark):
        self._mark = mark
        self.bench = Bench(seed, lambda place, digest: self.mark("sealed", place, digest))
        self._noted = 0
        self.ratings = 0

    def mark(self, *words):
        self._mark(cbor.encode(list(words)))

    def boot(self):
        self.bench.boot()
        self.bench.tell_time()
        self.note()

    def note(self):
        """Mark the records that became durable."""
        journal = self.bench.device.journal
        for seq in range(max(self._noted, journal.through) + 1, journal.head + 1):
            message = journal.message(seq)
            payload = sealed_record.open(self.bench.pair.gateway, message).payload
            iv, digest = fingerprint(message)
            self.mark("record", seq, record.payload_hash(self.bench.suite, payload), iv, digest, message[-16:])
        self._noted = journal.head

    def keep(self, level, redactable=None):
        """A press: the draft of a rating, or its correction."""
        claims = {rating.WINDOW: "12", rating.OUTCOME: rating.RATED, rating.LEVEL: level, rating.MODE: rating.WALK_UP}
        given = self.ratings + 1, level, disclosed_digest(redactable or {})
        self.mark("begin", *given)
        self.bench.device.presses[level - 1] += 1
        self.bench.device.keep(claims, redactable or {})
        self.mark("thank", *given)

    def seal(self):
        self.bench.device.seal()
        self.ratings += 1
        self.note()

    def rate(self, level, redactable=None):
        self.keep(level, redactable)
        self.seal()

    def event(self, code=event.SELF_CHECK):
        self.bench.device.record(record.EVENT, {event.CODE: code, event.VALUE: 0})
        self.note()

    def punch(self):
        claims = {punch.DOOR: "12", punch.STAFF: "S001", punch.DIRECTION: punch.AUTO, punch.SCORE: 90}
        claims[punch.METHOD] = punch.FINGERPRINT
        claims[punch.TIME] = self.bench.device.wall_clock.now_s()
        self.bench.device.record(record.PUNCH, claims)
        self.note()

    def send(self):
        """What the uplink puts on the wire now."""
        messages = self.bench.send()
        assert len(messages) > 1, "a heartbeat, and what waits"
        for message in messages:
            self.mark("sent", *fingerprint(message))

    def receipt(self, through):
        self.mark("receipt", through)
        self.bench.receipt(through)

    def config(self, version):
        claims = {command.VERSION: version, command.PLACE: "12", command.LANGUAGE: "zh", command.BRIGHTNESS: 99}
        claims.update({command.RATING_TIMEOUT_S: 60, command.HEARTBEAT_S: 60, command.TAG_CODES: [115, 114, 214]})
        self.mark("setting", "config", version)
        self.bench.command(command.CONFIG, claims)
        self.mark("set", "config", version)

    def roster(self, version):
        rows = [[slot, "S%03d" % slot, "\u738b\u7433"] for slot in range(1, ROSTER_OF + version)]
        self.mark("setting", "roster", version)
        self.bench.command(command.ROSTER, {command.ROSTER_VERSION: version, command.STAFF_ROWS: rows})
        self.mark("set", "roster", version)

    def fetch(self, sequence, content):
        """Notice and chunks of a release, with a rating between two of them; content: what comes of its bundle."""
        bench = self.bench
        bench.command(command.UPDATE_NOTICE, {command.RELEASE: bench.notice(sequence)})
        for at in range(0, len(content), command.CHUNK_BYTES_MAX):
            data = content[at : at + command.CHUNK_BYTES_MAX]
            bench.command(command.UPDATE_CHUNK, {command.SEQUENCE: sequence, command.OFFSET: at, command.DATA: data})
            self.rate(at % 5 + 1)

    def install(self):
        for _ in self.bench.device.update.install(0):
            pass
        self.note()

    def prove(self):
        """The first receipt of a program on trial."""
        self.receipt(self.bench.device.journal.head)
        asyncio.run(trial.settle(self.bench.device))
        self.note()


def ratings(life):
    """A new device: its stream begins; ratings, corrected and plain; boots with a rating that is only a draft."""
    life.boot()
    for turn in range(9):
        for level in (5, 1, 3):
            life.keep(level)
            life.keep(level % 5 + 1)
            life.seal()
        life.keep(turn % 5 + 1)
        life.ratings += 1
        life.boot()


def receipts(life):
    """Segments fill, are sent, receipted, removed; some receipts come late, some twice."""
    life.boot()
    for turn in range(9):
        for level in range(1, 6):
            life.rate(level)
        life.send()
        head = life.bench.device.journal.head
        life.receipt(head - 3 if turn % 2 else head)
        if turn % 2:
            life.boot()
    life.receipt(life.bench.device.journal.head)


def settings(life):
    """Config and roster come between ratings, each in two copies."""
    life.boot()
    for version in range(1, 22):
        life.config(version)
        life.roster(version)
        life.rate(version % 5 + 1)
        if version % 3 == 0:
            life.boot()


def identities(life):
    """Ratings with identity and comment: records of every size."""
    life.boot()
    secret = {rating.IDENTITY: {rating.NAME: "\u738b\u7433", rating.PHONE: "13800138000"}}
    for _ in range(7):
        life.rate(1, secret)
        life.rate(5)
        life.rate(2, {rating.COMMENT: "\u6162" * 150, rating.IDENTITY: secret[rating.IDENTITY]})
        life.receipt(life.bench.device.journal.head - 2)
    life.boot()


def punches(life):
    """A staff door: punches and events, no drafts."""
    life.boot()
    for turn in range(10):
        life.punch()
        life.punch()
        life.event()
        if turn % 4 == 3:
            life.receipt(life.bench.device.journal.head)
            life.boot()


def updates(life):
    """Two releases, one into each slot, proven by a receipt; a third one came damaged and must never run."""
    life.boot()
    life.config(1)
    for sequence in (6, 7):
        life.fetch(sequence, program(sequence))
        life.mark("program", sequence)
        life.install()
        life.boot()
        life.rate(5)
        life.prove()
        life.mark("runs", sequence)
        life.boot()
    damaged = bytearray(program(8))
    damaged[-5] ^= 1
    life.fetch(8, bytes(damaged))
    life.install()
    life.boot()
    life.rate(4)


LIVES = {
    "ratings": ratings,
    "receipts": receipts,
    "settings": settings,
    "identities": identities,
    "punches": punches,
    "updates": updates,
}
