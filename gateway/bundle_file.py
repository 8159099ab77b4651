"""The file of an export: everything that an audit needs beside the hall's root certificate, one frame after the other.

    b"hallseal evidence 1\\n", then frames: a CBOR sequence (RFC 8742) of byte strings, each of which holds one array
    [kind, …] in deterministic CBOR. Kinds come in ascending order, but for the records, which follow their manifest.

     1 head          hall, coarse_s, first number, link before it, open end, masking (JSON), retention (JSON)
     2 certificate   DER
     3 register      SHA-256 of its certificates one behind the other, DER of the revocations
     4 heartbeat     evidence, received_s           the newest of each device, where the end is open
     5 equivocation  evidence, SHA-256 of the payload that was first, received_s
     6 standing      device, stream, seq, digest    newest record of a stream before the first manifest; an
                                                empty digest where retention took it away
     7 annotation    statement
     8 removal       kind, device, stream, first, last, count, day: what retention took away
     9 manifest      statement, followed by its records in the order of device, stream, seq
    10 record        evidence, received_s, flags, masked ([name, text] …, or null), sealed (or null)
    11 seal          statement, see gateway.seal

The seal has the gateway's signature over the hash of all frames of each kind, so that no byte can change unseen.
"""

import hashlib
from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple

from protocol import cbor
from protocol.refusal import Refused

MAGIC = b"hallseal evidence 1\n"
HEAD, CERTIFICATE, REGISTER, HEARTBEAT, EQUIVOCATION, STANDING, ANNOTATION, REMOVAL, MANIFEST, RECORD, SEAL = range(
    1, 12
)
KIND_NAMES = {
    HEAD: "head",
    CERTIFICATE: "certificates",
    REGISTER: "registers",
    HEARTBEAT: "heartbeats",
    EQUIVOCATION: "equivocations",
    STANDING: "standings",
    ANNOTATION: "annotations",
    REMOVAL: "removals",
    MANIFEST: "manifests",
    RECORD: "records",
}

# The longest is a register of 10 000 devices with as many revocations, 720 KiB. A record has 10 KiB at most.
FRAME_BYTES_MAX = 1 << 20
# A byte string's initial byte, and the sizes of the lengths that may follow it.
_BYTES, _LENGTHS = 0x40, {24: 1, 25: 2, 26: 4}


class BundleError(Exception):
    """The file is no export, or damaged. str() says where, for a person."""


class Section(NamedTuple):
    """All frames of one kind. digest: SHA-256 over them as they stand in the file."""

    kind: int
    frames: int
    digest: bytes


class _Sections:
    """Counts and hashes of the frames so far, by kind."""

    def __init__(self) -> None:
        self._counts = dict.fromkeys(KIND_NAMES, 0)
        self._hashes = {kind: hashlib.sha256() for kind in KIND_NAMES}

    def add(self, kind: int, frame: bytes) -> None:
        self._counts[kind] += 1
        self._hashes[kind].update(frame)

    def all(self) -> list[Section]:
        return [Section(kind, self._counts[kind], self._hashes[kind].digest()) for kind in KIND_NAMES]


class BundleWriter:
    """Writes frames to `out`, a file opened for bytes."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self._sections = _Sections()
        out.write(MAGIC)

    def add(self, kind: int, *values: object) -> None:
        """Append one frame; the seal comes last."""
        frame = cbor.encode(cbor.encode([kind, *values]))
        if kind != SEAL:
            self._sections.add(kind, frame)
        self._out.write(frame)

    def sections(self) -> list[Section]:
        """What the seal states."""
        return self._sections.all()


class Frame(NamedTuple):
    """kind: one of the numbers above. values: what follows it in the array."""

    kind: int
    values: list[Any]


class BundleReader:
    """Reads frames of `source`, a file opened for bytes. Raises BundleError for another file.

    truncated: True once the file has ended in the middle of a frame. sealed: what stood before the seal, once it came.
    """

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self._sections = _Sections()
        self._at = len(MAGIC)
        self.truncated = False
        self.sealed: list[Section] = []
        if source.read(len(MAGIC)) != MAGIC:
            raise BundleError("is no export of hallseal-gateway, or one of another version")

    def frames(self) -> Iterator[Frame]:
        """Every frame to the end of the file; a frame that was cut off ends it. Raises BundleError."""
        while (framed := self._next()) is not None:
            head, content = framed
            frame = self._parse(content)
            if frame.kind in KIND_NAMES:
                self._sections.add(frame.kind, head + content)
            elif frame.kind == SEAL:
                self.sealed = self._sections.all()
            self._at += len(head) + len(content)
            yield frame

    def _next(self) -> tuple[bytes, bytes] | None:
        initial = self._source.read(1)
        if not initial:
            return None
        info = initial[0] & 0x1F
        if initial[0] & 0xE0 != _BYTES or (info >= 24 and info not in _LENGTHS):
            raise self._damaged()
        length = self._source.read(_LENGTHS.get(info, 0))
        size = int.from_bytes(length, "big") if info in _LENGTHS else info
        if size > FRAME_BYTES_MAX:
            raise self._damaged()
        content = self._source.read(size)
        if len(length) < _LENGTHS.get(info, 0) or len(content) < size:
            self.truncated = True
            return None
        return initial + length, content

    def _parse(self, content: bytes) -> Frame:
        reader = cbor.Reader(content)
        try:
            found = reader.item(1)
            reader.end()
        except Refused:
            raise self._damaged() from None
        if not isinstance(found, list) or not found or not isinstance(found[0], int):
            raise self._damaged()
        return Frame(found[0], found[1:])

    def _damaged(self) -> BundleError:
        return BundleError(f"is damaged at byte {self._at}")
