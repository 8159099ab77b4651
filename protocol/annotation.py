"""Annotations: what a hall's gateway says of a record afterwards. The record itself never changes.

Each is a COSE_Sign1 of its own type by the hall's command key. It names its record by identity and digest, and the
annotation before it by digest, so that all of a hall's annotations are one chain: none can be taken out unseen.
"""

from protocol import cbor, field, sign1
from protocol.limits import COARSE_S, DIGEST_BYTES
from protocol.record import RATING
from protocol.refusal import Refused
from protocol.topic import is_name

TYP = "hs-ann"  # never taken for a command, though the same key signs both
# As in records and commands where these have the same field.
ISSUER, DEVICE, HALL, MADE, KIND, STREAM, SEQ, PREV, CLAIMS, NUMBER, DIGEST = 1, 2, 3, 6, 9, 10, 11, 12, 16, 18, 19
ISSUER_NAME = "gateway"
GENESIS_PREV = bytes(DIGEST_BYTES)

NOT_ADOPTED, ADOPTED, TIME_ESTIMATE = 1, 2, 3
KIND_NAMES = {NOT_ADOPTED: "not_adopted", ADOPTED: "adopted", TIME_ESTIMATE: "time_estimate"}

ROWS = field.table("""
     1 issuer text   1         32 required
     2 device text   1         32 required
     3 hall   text   1         32 required
     6 made_s int    1 4294967295 required
     9 kind   int    1          3 required
    10 stream bytes  8          8 required
    11 seq    int    1 4294967295 required
    12 prev   bytes 32         32 required
    16 claims map    1         20 required
    18 number int    1 4294967295 required
    19 digest bytes 32         32 required
""")

# Not adopted: the rating stays and is not counted. Adopted takes that back.
REASON, AUTHOR = 1, 2
MISTAKEN, MALICIOUS, FAKED = 1, 2, 3
REASON_NAMES = {MISTAKEN: "mistaken", MALICIOUS: "malicious", FAKED: "faked"}
NOT_ADOPTED_ROWS = field.table("""
    1 reason int  1  3 required
    2 author text 1 20 required
""")
ADOPTED_ROWS = field.table("""
    2 author text 1 20 required
""")

# Time estimate of a record whose device did not know the time: the synchronised word of the same boot that it comes
# from, and between which two instants the truth lies.
ESTIMATE, EARLIEST, LATEST, RECORD_KIND, ANCHOR_STREAM, ANCHOR_SEQ = 1, 2, 3, 4, 5, 6
ESTIMATE_ROWS = field.table("""
    1 estimate_s    int   0 4294967295 required
    2 earliest_s    int   0 4294967295 required
    3 latest_s      int   0 4294967295 required
    4 record_kind   int   1          3 required
    5 anchor_stream bytes 8          8 required
    6 anchor_seq    int   1 4294967295 required
""")

CLAIM_ROWS = {NOT_ADOPTED: NOT_ADOPTED_ROWS, ADOPTED: ADOPTED_ROWS, TIME_ESTIMATE: ESTIMATE_ROWS}


class Annotation:
    """One annotation, attributes as in ROWS. claims: {int: value} of the kind."""

    def __init__(
        self,
        device: str,
        hall: str,
        made_s: int,
        kind: int,
        stream: bytes,
        seq: int,
        prev: bytes,
        claims: dict[int, object],
        number: int,
        digest: bytes,
    ) -> None:
        self.device = device
        self.hall = hall
        self.made_s = made_s
        self.kind = kind
        self.stream = stream
        self.seq = seq
        self.prev = prev
        self.claims = claims
        self.number = number
        self.digest = digest


def _check_estimate(claims: dict[int, object], made_s: int) -> None:
    """In order; and of a rating everything in quarters of an hour, for its exact time is the reviewer's."""
    earliest_s, estimate_s, latest_s = claims[EARLIEST], claims[ESTIMATE], claims[LATEST]
    if not earliest_s <= estimate_s <= latest_s:  # type: ignore[operator]  # the rows have looked at the types
        raise Refused("schema", "estimate_s")
    for time_s in (earliest_s, estimate_s, latest_s, made_s):
        if claims[RECORD_KIND] == RATING and time_s % COARSE_S:  # type: ignore[operator]
            raise Refused("schema", "estimate_s")


def _check(fields: dict[int, object]) -> None:
    field.check(ROWS, fields)
    if fields[ISSUER] != ISSUER_NAME or not is_name(fields[DEVICE]) or not is_name(fields[HALL]):
        raise Refused("schema", "issuer")
    if (fields[NUMBER] == 1) != (fields[PREV] == GENESIS_PREV):
        raise Refused("schema", "prev")
    claims: dict[int, object] = fields[CLAIMS]  # type: ignore[assignment]  # the rows have looked at the types
    kind: int = fields[KIND]  # type: ignore[assignment]
    field.check(CLAIM_ROWS[kind], claims)
    if kind == TIME_ESTIMATE:
        _check_estimate(claims, fields[MADE])  # type: ignore[arg-type]


def encode(annotation: Annotation) -> bytes:
    """The payload bytes, to be signed. Raises Refused("schema") for an annotation that no receiver would take."""
    fields: dict[int, object] = {
        ISSUER: ISSUER_NAME,
        DEVICE: annotation.device,
        HALL: annotation.hall,
        MADE: annotation.made_s,
        KIND: annotation.kind,
        STREAM: annotation.stream,
        SEQ: annotation.seq,
        PREV: annotation.prev,
        CLAIMS: annotation.claims,
        NUMBER: annotation.number,
        DIGEST: annotation.digest,
    }
    _check(fields)
    return cbor.encode(fields)


def decode(payload: bytes) -> Annotation:
    """The annotation in a payload, every bound checked. Raises Refused (encoding, structure, schema)."""
    fields = cbor.decode_map(payload)
    _check(fields)
    return Annotation(
        fields[DEVICE],  # type: ignore[arg-type]  # _check has looked at every type
        fields[HALL],  # type: ignore[arg-type]
        fields[MADE],  # type: ignore[arg-type]
        fields[KIND],  # type: ignore[arg-type]
        fields[STREAM],  # type: ignore[arg-type]
        fields[SEQ],  # type: ignore[arg-type]
        fields[PREV],  # type: ignore[arg-type]
        fields[CLAIMS],  # type: ignore[arg-type]
        fields[NUMBER],  # type: ignore[arg-type]
        fields[DIGEST],  # type: ignore[arg-type]
    )


def open(suite: object, public: object, statement: bytes) -> tuple[Annotation, bytes]:
    """(annotation, digest) of a statement: its signature by `public` is checked; hall and chain are the caller's.

    public: key object of the hall's command key. digest: SHA-256 of the payload, what the next one states as `prev`.
    Raises Refused.
    """
    signed = sign1.parse(statement, TYP)
    if signed.disclosures:
        raise Refused("structure", "disclosures")
    if not sign1.verify(suite, public, signed):
        raise Refused("signature")
    return decode(signed.payload), suite.sha256(signed.payload)  # type: ignore[attr-defined]
