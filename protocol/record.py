"""The signed payload of a record: which device, where in which stream, when by which clock, and its kind's claims."""

from protocol import cbor, event, field, heartbeat, punch, rating
from protocol.limits import (
    COARSE_S,
    DIGEST_BYTES,
    PREV_BYTES,
)
from protocol.refusal import Refused
from protocol.topic import is_name

# 1, 3 and 6 are iss, aud and iat of RFC 8392; the others are ours.
DEVICE, HALL, COARSE, KIND, STREAM, SEQ, PREV, BOOT, UPTIME_MS, SOURCE, CLAIMS, DIGESTS = (
    1,
    3,
    6,
    9,
    10,
    11,
    12,
    13,
    14,
    15,
    16,
    17,
)

RATING, PUNCH, EVENT, HEARTBEAT = 1, 2, 3, 4
KIND_NAMES = {RATING: "rating", PUNCH: "punch", EVENT: "event", HEARTBEAT: "heartbeat"}
_CHECKS = {RATING: rating.check, PUNCH: punch.check, EVENT: event.check, HEARTBEAT: heartbeat.check}

# Clock source: nobody told the time since power-on; the gateway answered a nonce in this boot; a battery kept it.
NO_TIME, GATEWAY_TIME, RTC_TIME = 0, 1, 2

GENESIS_PREV = bytes(PREV_BYTES)

ROWS = field.table("""
     1 device    text   1              32 required
     3 hall      text   1              32 required
     6 coarse_s  int    0      4294967295 required
     9 kind      int    1               4 required
    10 stream    bytes  8               8 required
    11 seq       int    1      4294967295 required
    12 prev      bytes 16              16 required
    13 boot      bytes  8               8 required
    14 uptime_ms int    0 281474976710655 required
    15 source    int    0               2 required
    16 claims    map    1              20 required
    17 digests   map    1               3 optional
""")


class Record:
    """One record, attributes as in ROWS.

    claims: {int: value}. digests: {claim number: 32 bytes}, {} where nothing is redactable.
    """

    def __init__(
        self,
        device: str,
        hall: str,
        coarse_s: int,
        kind: int,
        stream: bytes,
        seq: int,
        prev: bytes,
        boot: bytes,
        uptime_ms: int,
        source: int,
        claims: dict[int, object],
        digests: dict[int, bytes],
    ) -> None:
        self.device = device
        self.hall = hall
        self.coarse_s = coarse_s
        self.kind = kind
        self.stream = stream
        self.seq = seq
        self.prev = prev
        self.boot = boot
        self.uptime_ms = uptime_ms
        self.source = source
        self.claims = claims
        self.digests = digests


def coarse(time_s: int) -> int:
    """The quarter of an hour that `time_s` (UTC) lies in."""
    return time_s - time_s % COARSE_S


def uptime_shown(kind: int, uptime_ms: int) -> int:
    """The uptime that a record of this kind may state: a rating's is coarse, like its time.

    Else any heartbeat of the same boot, which states both exactly, would tell the second of the rating.
    """
    return uptime_ms - uptime_ms % (1000 * COARSE_S) if kind == RATING else uptime_ms


def _check_time(fields: dict[int, object]) -> None:
    """A record without a known time carries none; one with a time carries only its quarter of an hour."""
    if fields[UPTIME_MS] != uptime_shown(fields[KIND], fields[UPTIME_MS]):  # type: ignore[arg-type]
        raise Refused("schema", "uptime_ms")
    unknown = fields[SOURCE] == NO_TIME
    coarse_s = fields[COARSE]
    if unknown != (coarse_s == 0) or not isinstance(coarse_s, int) or coarse_s % COARSE_S:
        raise Refused("schema", "coarse_s")
    claims = fields[CLAIMS]
    if fields[KIND] == PUNCH and isinstance(claims, dict) and (punch.TIME in claims) == unknown:
        raise Refused("schema", "time_s")


def _check_digests(kind: object, digests: object) -> None:
    if not isinstance(digests, dict) or (digests and kind != RATING):
        raise Refused("schema", "digests")
    for claim in digests:
        field.check_value("digests", claim, field.INT, rating.OCCASION, rating.IDENTITY)
        field.check_value("digest", digests[claim], field.BYTES, DIGEST_BYTES, DIGEST_BYTES)


def _check(fields: dict[int, object]) -> None:
    """Everything about a payload that can be checked without knowing the device."""
    field.check(ROWS, fields)
    if not is_name(fields[DEVICE]) or not is_name(fields[HALL]):
        raise Refused("schema", "device")
    if (fields[SEQ] == 1) != (fields[PREV] == GENESIS_PREV):
        raise Refused("schema", "prev")
    _CHECKS[fields[KIND]](fields[CLAIMS])  # type: ignore[index,arg-type]  # kinds and types were checked by the rows
    _check_digests(fields[KIND], fields.get(DIGESTS, {}))
    _check_time(fields)


def encode(record: Record) -> bytes:
    """The payload bytes, to be signed. Raises Refused("schema") for a record that no receiver would take."""
    fields: dict[int, object] = {
        DEVICE: record.device,
        HALL: record.hall,
        COARSE: record.coarse_s,
        KIND: record.kind,
        STREAM: record.stream,
        SEQ: record.seq,
        PREV: record.prev,
        BOOT: record.boot,
        UPTIME_MS: record.uptime_ms,
        SOURCE: record.source,
        CLAIMS: record.claims,
    }
    if record.digests:
        fields[DIGESTS] = record.digests
    _check(fields)
    return cbor.encode(fields)


def decode(payload: bytes) -> Record:
    """The record of payload bytes, every bound checked. Raises Refused (encoding, structure, schema)."""
    fields = cbor.decode_map(payload)
    _check(fields)
    return Record(
        fields[DEVICE],  # type: ignore[arg-type]  # _check has looked at every type
        fields[HALL],  # type: ignore[arg-type]
        fields[COARSE],  # type: ignore[arg-type]
        fields[KIND],  # type: ignore[arg-type]
        fields[STREAM],  # type: ignore[arg-type]
        fields[SEQ],  # type: ignore[arg-type]
        fields[PREV],  # type: ignore[arg-type]
        fields[BOOT],  # type: ignore[arg-type]
        fields[UPTIME_MS],  # type: ignore[arg-type]
        fields[SOURCE],  # type: ignore[arg-type]
        fields[CLAIMS],  # type: ignore[arg-type]
        fields.get(DIGESTS, {}),  # type: ignore[arg-type]
    )


def payload_hash(suite: object, payload: bytes) -> bytes:
    """What the next record of the stream carries as `prev`: the first 16 bytes of SHA-256."""
    digest: bytes = suite.sha256(payload)  # type: ignore[attr-defined]
    return digest[:PREV_BYTES]
