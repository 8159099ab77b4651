"""From the bytes of one message to a record that may enter the ledger, or to the reason why not.

Two halves with the signature between them, because only the signature is worth a thread: `open` is everything that
needs the device's channel, `finish` everything that may be believed only after the signature is verified.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from gateway import act, claims, rules
from gateway.act import Act
from gateway.channels import Channels
from gateway.facts import HallFacts, OriginFacts, RecordFacts, SenderFacts
from gateway.masking import MaskingRule
from gateway.pseudonym import Pseudonyms
from gateway.registry import Device, Registry
from gateway.rules import Refusal
from gateway.visit import Answer
from protocol import disclosure, encrypt0, event, heartbeat, rating, record, sign1, topic
from protocol.limits import MESSAGE_BYTES_MAX
from protocol.record import Record, coarse
from protocol.refusal import Refused
from protocol.suite_host import HostSuite


class Arrival(NamedTuple):
    """One message from the broker. received_ms: hall time in UTC ms. Never shown: the message names a person's act."""

    topic: str
    message: bytes
    retained: bool
    received_ms: int


@dataclass(frozen=True, slots=True)
class Opened:
    """Decrypted, not verified. Shows nothing of itself: it holds what the reviewer said of himself."""

    arrival: Arrival = field(repr=False)
    device: Device
    signed: sign1.Signed = field(repr=False)


@dataclass(slots=True)
class Admitted:
    """A verified record, on its way to the ledger; columns as in schema.record.

    disclosures are taken away by sealing; act serves the rules, answer the visits of this gateway: not stored.
    """

    arrival: Arrival = field(repr=False)
    device: Device
    stream: str
    seq: int
    kind: int
    window: str
    digest: bytes
    evidence: bytes
    prev: bytes
    coarse_s: int
    received_s: int
    source: int
    uptime_ms: int
    boot: str
    claims_json: str
    masked_json: str | None
    pseudonym: str | None
    flags: list[str]
    act: Act = field(repr=False)
    opening: "Opening | None" = None
    disclosures: list[bytes] = field(default_factory=list, repr=False)
    sealed: bytes | None = field(default=None, repr=False)
    answer: Answer | None = field(default=None, repr=False)


class Opening(NamedTuple):
    """What a stream's opening event says about the stream before; None where the device had none."""

    previous_stream: str | None
    previous_head: int | None


@dataclass(slots=True)
class Beat:
    """A verified heartbeat."""

    arrival: Arrival = field(repr=False)
    device: Device
    telemetry: str
    seq: int
    boot: str
    uptime_ms: int
    source: int
    received_s: int
    coarse_s: int
    claims: dict[int, Any]
    evidence: bytes

    @property
    def stream(self) -> str:
        """Hex of the ledger stream it speaks of."""
        return bytes(self.claims[heartbeat.STREAM]).hex()


class Opener:
    """Opens messages for one hall. `open` and `finish` run in the intake's thread, `verify` in any."""

    def __init__(
        self,
        hall: str,
        suite: HostSuite,
        registry: Registry,
        channels: Channels,
        masking: MaskingRule,
        pseudonyms: Pseudonyms,
        facts: Callable[[], HallFacts] = HallFacts,
    ) -> None:
        """facts: what the hall has set and knows at the moment, see rules."""
        self._hall = hall
        self._suite = suite
        self._registry = registry
        self._channels = channels
        self._masking = masking
        self._pseudonyms = pseudonyms
        self._facts = facts

    def open(self, arrival: Arrival) -> Opened:
        """Size, topic, registry, key id, decryption, structure. Raises Refusal or protocol Refused."""
        if not 0 < len(arrival.message) <= MESSAGE_BYTES_MAX:
            raise Refusal("size")
        device = self._sender(arrival.topic)
        return Opened(arrival, device, self._channels.open_record(device, encrypt0.parse(arrival.message)))

    def speaker(self, on_topic: str) -> Device | None:
        """The device whose topic it is, whatever its status; None where the registry has none."""
        try:
            return self._registry.get(topic.parse(on_topic)[1])
        except Refused:
            return None

    def _sender(self, on_topic: str) -> Device:
        hall, name, direction = topic.parse(on_topic)
        if direction != topic.UP:
            raise Refusal("topic")
        device = self._registry.get(name)
        rules.check_sender(SenderFacts(self._hall, hall, device))
        assert device is not None  # or it was refused
        return device

    def verify(self, opened: Opened) -> bool:
        """True when the device signed it."""
        return sign1.verify(self._suite, opened.device.signing_key, opened.signed)

    def finish(self, opened: Opened, verified: bool) -> Admitted | Beat:
        """Decode, check and mask what was verified. Raises Refusal or protocol Refused."""
        if not verified:
            raise Refusal("signature")
        signed, device = opened.signed, opened.device
        content = record.decode(signed.payload)
        rules.check_origin(OriginFacts(self._hall, content.hall, device, content.device, content.kind))
        disclosed = disclosure.check(self._suite, signed.disclosures, content.digests)
        if content.kind == record.HEARTBEAT:
            return _beat(opened, content)
        rating.check_redactable(disclosed)
        return self._admit(opened, content, disclosed)

    def _admit(self, opened: Opened, content: Record, disclosed: dict[int, Any]) -> Admitted:
        signed, device = opened.signed, opened.device
        received_s = opened.arrival.received_ms // 1000
        identity = disclosed.get(rating.IDENTITY)
        is_rating = content.kind == record.RATING
        window = claims.place(content, device.place)
        return Admitted(
            arrival=opened.arrival,
            device=device,
            stream=content.stream.hex(),
            seq=content.seq,
            kind=content.kind,
            window=window,
            digest=self._suite.sha256(signed.payload),
            evidence=signed.evidence(),
            prev=content.prev,
            coarse_s=content.coarse_s,
            # The exact time of a rating is the reviewer's (security reference, threat 14): not even ours is kept.
            received_s=coarse(received_s) if is_rating else received_s,
            source=content.source,
            uptime_ms=content.uptime_ms,
            boot=content.boot.hex(),
            claims_json=_json(claims.named(content)),
            masked_json=_json(self._masking.identity(identity)) if identity else None,
            pseudonym=self._pseudonyms.of(identity) if identity else None,
            flags=rules.flags(RecordFacts(content, device, received_s, disclosed, self._facts())),
            act=act.of_record(content, window, disclosed),
            opening=_opening(content),
            disclosures=signed.disclosures,
            answer=_answer(content, disclosed) if is_rating else None,
        )


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _answer(content: Record, disclosed: Mapping[int, Any]) -> Answer | None:
    """What the rating says about the visit that it names."""
    at_s, visit = disclosed.get(rating.OCCASION, (0, ""))
    rated = content.claims[rating.OUTCOME] == rating.RATED
    return Answer(visit, str(content.claims[rating.WINDOW]), rated, at_s) if visit else None


def _opening(content: Record) -> Opening | None:
    if content.kind != record.EVENT or content.claims[event.CODE] != event.STREAM_OPENED:
        return None
    previous = content.claims.get(event.PREVIOUS_STREAM)
    head = content.claims.get(event.PREVIOUS_HEAD)
    return Opening(previous.hex() if isinstance(previous, bytes) else None, head if isinstance(head, int) else None)


def _beat(opened: Opened, content: Record) -> Beat:
    return Beat(
        arrival=opened.arrival,
        device=opened.device,
        telemetry=content.stream.hex(),
        seq=content.seq,
        boot=content.boot.hex(),
        uptime_ms=content.uptime_ms,
        source=content.source,
        received_s=opened.arrival.received_ms // 1000,
        coarse_s=content.coarse_s,
        claims=content.claims,
        evidence=opened.signed.evidence(),
    )
