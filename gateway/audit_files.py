"""One file of an audit: its opening is read at once, manifests and records frame by frame later."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from gateway import bundle_file as kinds
from gateway.bundle_file import BundleError, BundleReader, Frame

# Frames before the first manifest: a hall of 10 000 devices has 40 000.
OPENING_FRAMES_MAX = 500_000


class AuditFile:
    """opening: the frames before the manifests, by kind. misplaced: how many of them stand in a wrong place.

    damage: why the file could not be read to its end, "" where it could. Raises BundleError for what is no export.
    """

    def __init__(self, path: Path, files: ExitStack) -> None:
        self.name = path.name
        try:
            self.reader = BundleReader(files.enter_context(path.open("rb")))
        except BundleError as error:
            raise BundleError(f"{path}: {error}") from None
        except OSError as error:
            raise BundleError(f"{path}: cannot be read ({error.strerror})") from None
        self.opening: dict[int, list[list[Any]]] = {kind: [] for kind in range(kinds.HEAD, kinds.MANIFEST)}
        self.misplaced = 0
        self.damage = ""
        self._frames = self._guarded()
        self._first: Frame | None = None
        self._read_opening()
        head = self.opening[kinds.HEAD]
        if len(head) != 1 or not is_head(head[0]):
            raise BundleError(f"{path}: has no head; it is no export of hallseal-gateway")
        self.hall, self.coarse_s, self.first_number, self.link, self.open_end, self.masking, self.retention = head[0]

    def _guarded(self) -> Iterator[Frame]:
        """Frames until the end, or until the file cannot be read any further."""
        try:
            yield from self.reader.frames()
        except BundleError as error:
            self.damage = str(error)

    def _read_opening(self) -> None:
        before = kinds.HEAD
        for number, frame in enumerate(self._frames):
            if frame.kind not in self.opening or number > OPENING_FRAMES_MAX:
                self._first = frame
                return
            self.misplaced += frame.kind < before
            before = frame.kind
            self.opening[frame.kind].append(frame.values)

    def body(self) -> Iterator[Frame]:
        """Manifests, records and the seal."""
        if self._first is not None:
            yield self._first
            yield from self._frames

    def certificates(self) -> list[bytes]:
        """DER of each."""
        return [values[0] for values in self.opening[kinds.CERTIFICATE] if is_bytes(values, 1)]

    def registers(self) -> list[tuple[bytes, bytes]]:
        """(hashes of the certificates, DER of the revocations) of each; the present one comes last."""
        return [(values[0], values[1]) for values in self.opening[kinds.REGISTER] if is_bytes(values, 2)]


def is_bytes(values: list[Any], count: int) -> bool:
    """True for `count` byte strings."""
    return len(values) == count and all(isinstance(one, bytes) for one in values)


def is_standing(values: list[Any]) -> bool:
    """True for device, stream, number, digest."""
    types = (str, bytes, int, bytes)
    return len(values) == 4 and all(isinstance(one, kind) for one, kind in zip(values, types, strict=True))


def is_head(values: list[Any]) -> bool:
    """True for what the head of a file has."""
    types = (str, int, int, bytes, bool, str, str)
    return len(values) == 7 and all(isinstance(one, kind) for one, kind in zip(values, types, strict=True))
