"""Batch manifests: what a gateway states, signed, of the records that it has taken since its last statement.

Each names its number and the hash of the one before, so none can be left out; the runs of records that it covers, and
two Merkle roots over them in the order of device, stream and number: over what the devices signed (`root`), and over
what the gateway itself says of each record (`words`). Whoever holds the records can make both again.
"""

import hashlib

from protocol import cbor, field
from protocol.limits import COARSE_S, SEQ_MAX, STREAM_BYTES
from protocol.refusal import Refused
from protocol.topic import is_name

MANIFEST_TYP = "hs-man"
# The same statement outside the chain, made for one export: of records that the next manifest will cover.
TAIL_TYP = "hs-tail"

# What one manifest covers: a quarter of an hour of a hall, or less where that holds more. 256 records are verified in
# 20 ms. 54 runs of the longest names leave 700 of the 4096 bytes that a message has, for everything else.
RECORDS_MAX = 256
RUNS_MAX = 54
REFUSALS_MAX = 32
REASON_CHARS_MAX = 16

GENESIS = bytes(32)

HALL, NUMBER, PREVIOUS, COARSE, COUNT, ROOT, WORDS, RUNS, REFUSALS = 1, 2, 3, 4, 5, 6, 7, 8, 9
EQUIVOCATIONS, REGISTER, OPERATOR = 10, 11, 12

ROWS = field.table("""
     1 hall          text   1         32 required
     2 number        int    1 4294967295 required
     3 previous      bytes 32         32 required
     4 coarse_s      int    0 4294967295 required
     5 count         int    1        256 required
     6 root          bytes 32         32 required
     7 words         bytes 32         32 required
     8 runs          list   1         54 required
     9 refusals      list   0         32 required
    10 equivocations int    0 4294967295 required
    11 register      bytes 32         32 required
    12 operator      bytes 32         32 optional
""")


class Manifest:
    """What a manifest says, attributes as in ROWS.

    coarse_s: when it was made, a multiple of 900: the exact time would tell that of a rating. runs: (device, stream,
    first, last), every number from first to last is covered; ascending. refusals: (reason, count) since the manifest
    before. equivocations: how many the gateway has ever kept. register: hash of the devices in force. operator: head
    of the operators' log.
    """

    def __init__(
        self,
        hall: str,
        number: int,
        previous: bytes,
        coarse_s: int,
        count: int,
        root: bytes,
        words: bytes,
        runs: list[tuple[str, bytes, int, int]],
        refusals: list[tuple[str, int]],
        equivocations: int,
        register: bytes,
        operator: bytes | None = None,
    ) -> None:
        self.hall = hall
        self.number = number
        self.previous = previous
        self.coarse_s = coarse_s
        self.count = count
        self.root = root
        self.words = words
        self.runs = runs
        self.refusals = refusals
        self.equivocations = equivocations
        self.register = register
        self.operator = operator


def _check_runs(runs: list[object], count: int) -> None:
    """Ascending, apart from each other, and as many numbers as `count` says."""
    before: tuple[object, ...] = ("", b"", 0)
    covered = 0
    for run in runs:
        if not isinstance(run, list) or len(run) != 4:
            raise Refused("schema", "runs")
        device, stream, first, last = run
        if not isinstance(device, str) or not is_name(device):
            raise Refused("schema", "runs")
        field.check_value("runs", stream, field.BYTES, STREAM_BYTES, STREAM_BYTES)
        field.check_value("runs", first, field.INT, 1, SEQ_MAX)
        field.check_value("runs", last, field.INT, first, SEQ_MAX)
        if (device, stream, first) <= (before[0], before[1], before[2]):
            raise Refused("schema", "runs")
        before = (device, stream, last + 1)
        covered += last - first + 1
    if covered != count:
        raise Refused("schema", "count")


def _check_refusals(refusals: list[object]) -> None:
    for entry in refusals:
        if not isinstance(entry, list) or len(entry) != 2:
            raise Refused("schema", "refusals")
        field.check_value("refusals", entry[0], field.TEXT, 1, REASON_CHARS_MAX)
        field.check_value("refusals", entry[1], field.INT, 1, SEQ_MAX)


def _check(fields: dict[int, object]) -> None:
    field.check(ROWS, fields)
    if not is_name(fields[HALL]) or fields[COARSE] % COARSE_S:  # type: ignore[operator]  # the rows have looked
        raise Refused("schema", "hall")
    if (fields[NUMBER] == 1) != (fields[PREVIOUS] == GENESIS):
        raise Refused("schema", "previous")
    _check_runs(fields[RUNS], fields[COUNT])  # type: ignore[arg-type]
    _check_refusals(fields[REFUSALS])  # type: ignore[arg-type]


def encode(manifest: Manifest) -> bytes:
    """The payload that the gateway signs. Raises Refused("schema") for one that no receiver would take."""
    fields: dict[int, object] = {
        HALL: manifest.hall,
        NUMBER: manifest.number,
        PREVIOUS: manifest.previous,
        COARSE: manifest.coarse_s,
        COUNT: manifest.count,
        ROOT: manifest.root,
        WORDS: manifest.words,
        RUNS: [list(run) for run in manifest.runs],
        REFUSALS: [list(entry) for entry in manifest.refusals],
        EQUIVOCATIONS: manifest.equivocations,
        REGISTER: manifest.register,
    }
    if manifest.operator is not None:
        fields[OPERATOR] = manifest.operator
    _check(fields)
    return cbor.encode(fields)


def decode(payload: bytes) -> Manifest:
    """The manifest in a payload. Raises Refused (encoding, structure, schema)."""
    fields = cbor.decode_map(payload)
    _check(fields)
    return Manifest(
        fields[HALL],  # type: ignore[arg-type]  # _check has looked at every type
        fields[NUMBER],  # type: ignore[arg-type]
        fields[PREVIOUS],  # type: ignore[arg-type]
        fields[COARSE],  # type: ignore[arg-type]
        fields[COUNT],  # type: ignore[arg-type]
        fields[ROOT],  # type: ignore[arg-type]
        fields[WORDS],  # type: ignore[arg-type]
        [tuple(run) for run in fields[RUNS]],  # type: ignore[attr-defined]
        [tuple(entry) for entry in fields[REFUSALS]],  # type: ignore[attr-defined]
        fields[EQUIVOCATIONS],  # type: ignore[arg-type]
        fields[REGISTER],  # type: ignore[arg-type]
        fields.get(OPERATOR),  # type: ignore[arg-type]
    )


def link(payload: bytes) -> bytes:
    """What the next manifest carries as `previous`: SHA-256 of the payload."""
    return hashlib.sha256(payload).digest()


def word(received_s: int, flags: list[str], masked: dict[str, str] | None, sealed: bytes | None) -> bytes:
    """The entry of `words` for one record: everything that the gateway says of it beside the evidence.

    received_s: as the gateway keeps it, of a rating its quarter of an hour. masked: {field: text}, None where no
    identity came. sealed: the blob for the central system.
    """
    shown = None if masked is None else [[name, masked[name]] for name in sorted(masked)]
    return cbor.encode([received_s, list(flags), shown, None if sealed is None else hashlib.sha256(sealed).digest()])


def register(certificates: list[bytes], revocations: bytes) -> bytes:
    """The hash of the devices in force: 32 bytes over the hashes of their certificates, ascending, and of the CRL.

    certificates: DER of each, in any order. revocations: DER of the list, empty where there is none.
    """
    members = b"".join(sorted(hashlib.sha256(each).digest() for each in certificates))
    return hashlib.sha256(members + hashlib.sha256(revocations).digest()).digest()
