"""A device for tests of the gateway: it signs and seals real messages, honest ones and others."""

from protocol import (
    channel,
    command,
    disclosure,
    event,
    heartbeat,
    punch,
    rating,
    receipt,
    record,
    sealed_record,
    sign1,
)
from protocol import topic as topics
from protocol.limits import PREV_BYTES
from protocol.suite_host import HostSuite

SUITE = HostSuite()
HALL = "yongxing"
MORNING_S = 1_790_000_237  # 2026-09-21 UTC, 137 s into a quarter of an hour
# A month before: whatever a test dates, the device was running then.
BOOTED_S = MORNING_S - 30 * 24 * 3600


class SealingDevice:
    """Keys, a ledger stream and a telemetry stream of one device. Times are hall seconds, given by the test."""

    def __init__(self, name, gateway_public, kind="evaluator", place="01", hall=HALL, command_public=None):
        self.name, self.kind, self.place, self.hall = name, kind, place, hall
        signing, self.agreement_private = SUITE.generate_private(), SUITE.generate_private()
        self.take_keys(signing, self.agreement_private, gateway_public)
        self.command_public = SUITE.load_public(command_public) if command_public else None
        self.boot, self.booted_s = SUITE.random_bytes(8), BOOTED_S
        self.telemetry, self.beats = SUITE.random_bytes(8), 0
        self.previous = None
        self.open_stream()

    def take_keys(self, signing, agreement, gateway_public):
        self.signer = sign1.Signer(SUITE, signing)
        private = SUITE.load_private(agreement)
        self.agreement_public = SUITE.public_bytes(private)
        self.channel = channel.Channel(
            SUITE, self.hall, self.name, private, SUITE.load_public(gateway_public), channel.DEVICE
        )

    def open_stream(self):
        """A new ledger stream; the next record is its first."""
        self.stream, self.seq, self.prev = SUITE.random_bytes(8), 0, bytes(PREV_BYTES)

    @property
    def topic(self):
        return topics.up(self.hall, self.name)

    def entry(self, status="active", **more):
        """The device's entry in registry.json."""
        return {
            "device": self.name,
            "kind": self.kind,
            "window": self.place,
            "status": status,
            "signing": self.signer.public_key.hex(),
            "agreement": self.agreement_public.hex(),
            "revoked_at_s": None,
            **more,
        }

    def make(self, kind, claims, at_s=MORNING_S, redactable=None, source=1, uptime_ms=None, hall=None, device=None):
        """(Record, disclosures): the next of the ledger stream, not sealed yet. uptime_ms: None fits at_s."""
        if uptime_ms is None:
            uptime_ms = 1000 * (at_s - self.booted_s)
        disclosures, digests = [], {}
        for claim, value in (redactable or {}).items():
            made, digests[claim] = disclosure.make(SUITE, claim, value)
            disclosures.append(made)
        self.seq += 1
        coarse_s = record.coarse(at_s) if source else 0
        made = record.Record(
            device or self.name, hall or self.hall, coarse_s, kind, self.stream, self.seq, self.prev, self.boot,
            record.uptime_shown(kind, uptime_ms), source, claims, digests,
        )  # fmt: skip
        self.prev = record.payload_hash(SUITE, record.encode(made))
        return made, disclosures

    def seal(self, made, disclosures=()):
        """The message of a record."""
        return sealed_record.seal(self.channel, self.signer, record.encode(made), list(disclosures))

    def opened(self, at_s=MORNING_S, previous=None):
        """The opening event of the stream. previous: (stream, head) of the one before."""
        claims = {event.CODE: event.STREAM_OPENED}
        if previous:
            claims.update({event.PREVIOUS_STREAM: previous[0], event.PREVIOUS_HEAD: previous[1]})
        return self.seal(*self.make(record.EVENT, claims, at_s))

    def event(self, code=event.BOOT, at_s=MORNING_S, **claims):
        """An event. claims: by the names of protocol.event."""
        stated = {getattr(event, name): value for name, value in claims.items()}
        return self.seal(*self.make(record.EVENT, {event.CODE: code, **stated}, at_s))

    def rating_claims(self, level=5, mode=rating.WALK_UP, **more):
        claims = {rating.WINDOW: self.place, rating.MODE: mode}
        claims.update({rating.OUTCOME: rating.RATED, rating.LEVEL: level} if level else {rating.OUTCOME: 2})
        claims.update(more.pop("claims", {}))
        return claims

    def rating(self, level=5, at_s=MORNING_S, visit=None, identity=None, comment=None, claims=None, **more):
        """A rating message; level None is a time-out."""
        redactable = {rating.OCCASION: [at_s, visit or ""]}
        for key, value in ((rating.COMMENT, comment), (rating.IDENTITY, identity)):
            if value is not None:
                redactable[key] = value
        mode = rating.VISIT_MODE if visit else rating.WALK_UP
        made = self.make(record.RATING, self.rating_claims(level, mode, claims=claims or {}), at_s, redactable, **more)
        return self.seal(*made)

    def punch(self, staff="S001", at_s=MORNING_S, **more):
        claims = {
            punch.DOOR: self.place, punch.STAFF: staff, punch.DIRECTION: punch.AUTO, punch.SCORE: 120,
            punch.TIME: at_s, punch.METHOD: punch.FINGERPRINT,
        }  # fmt: skip
        return self.seal(*self.make(record.PUNCH, claims, at_s, **more))

    def heartbeat(self, at_s=MORNING_S, uptime_ms=1000, source=1, **claims):
        """A heartbeat about the ledger stream as it is now. claims: by the names of protocol.heartbeat."""
        self.beats += 1
        values = {
            "STREAM": self.stream, "HEAD": self.seq, "HEAD_HASH": self.prev, "PRESSES": [0, 0, 0, 0, 0],
            "PENDING": 0, "FREE_FLASH": 100_000, "FREE_HEAP": 30_000, "CONFIG_VERSION": 0, "FIRMWARE": "0.1.0",
            "THROUGH": 0, "ROSTER_VERSION": 0, **claims,
        }  # fmt: skip
        made = record.Record(
            self.name, self.hall, record.coarse(at_s) if source else 0, record.HEARTBEAT, self.telemetry, self.beats,
            bytes(PREV_BYTES) if self.beats == 1 else SUITE.random_bytes(PREV_BYTES), self.boot, uptime_ms,
            source,
            {getattr(heartbeat, name): value for name, value in values.items()}, {},
        )  # fmt: skip
        return self.seal(made)

    def read(self, message):
        """("receipt", Receipt) or ("command", Command) of a message from the gateway."""
        if channel.peek_type(message) == receipt.TYP:
            return "receipt", receipt.open(self.channel, message)
        return "command", command.open(self.channel, self.command_public, message)
