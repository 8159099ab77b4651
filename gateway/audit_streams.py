"""What an audit checks of records together: numbers without gap, each naming the one before, heads that devices signed.

Memory grows with streams and their gaps, not with records.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from gateway.findings import Findings
from protocol import event, heartbeat, rating, record
from protocol.limits import PREV_BYTES
from protocol.record import Record

# Runs of numbers that are followed in one stream; honest ones have a handful of gaps in a lifetime.
RUNS_MAX = 4096

# What a device records of itself that explains missing records or presses.
DECLARED = {event.TAMPER, event.JOURNAL_FULL, event.FAULT, event.CRASH, event.KEYS_ERASED, event.DECOMMISSIONED}

StreamKey = tuple[str, str]  # device, stream in hex


class Opening(NamedTuple):
    """What an opening event says of the stream before; None, 0 where it names none."""

    stream: str | None
    head: int


class Head(NamedTuple):
    """What the newest heartbeat of a device states. digest: first 16 bytes of the hash of the record at `head`."""

    stream: str
    head: int
    digest: bytes
    presses: list[int]
    through: int


@dataclass(slots=True)
class _Run:
    first: int
    last: int
    first_prev: bytes
    last_digest: bytes


@dataclass(slots=True)
class Stream:
    """One stream as the files tell it. presumed: numbers up to here came before the first manifest."""

    head: int | None = None  # of the device's newest heartbeat, where it speaks of this stream
    presumed: int = 0
    runs: list[_Run] = field(default_factory=list)
    opening: Opening | None = None
    levels: Counter[int] = field(default_factory=Counter)  # ratings up to `head`, or all where that is None
    ragged: bool = False

    @property
    def highest(self) -> int:
        """The highest number seen; 0 for none."""
        return self.runs[-1].last if self.runs else 0

    def presume(self, seq: int, digest: bytes) -> None:
        """Take what came before the first manifest as given."""
        self.presumed = seq
        self.runs = [_Run(1, seq, b"", digest[:PREV_BYTES])]

    def add(self, seq: int, prev: bytes, digest: bytes) -> list[tuple[str, int]]:
        """Put a record in its place: [(code, number)] of what does not fit. digest: 16 bytes.

        prev and digest are empty for a record that retention took away: then nothing is known of its links.
        """
        if seq <= self.presumed or self.ragged:
            return []
        at = bisect_right(self.runs, seq, key=lambda run: run.first)
        before = self.runs[at - 1] if at else None
        after = self.runs[at] if at < len(self.runs) else None
        if before is not None and seq <= before.last:
            return [("equivocation" if seq == before.last and digest != before.last_digest else "duplicate", seq)]
        found = []
        joins_left = before is not None and before.last == seq - 1
        joins_right = after is not None and after.first == seq + 1
        if joins_left and before is not None and _differ(before.last_digest, prev):
            found.append(("chain", seq))
        if joins_right and after is not None and _differ(after.first_prev, digest):
            found.append(("chain", seq + 1))
        self._join(at, joins_left, joins_right, _Run(seq, seq, prev, digest))
        if len(self.runs) > RUNS_MAX:
            self.ragged = True
            found.append(("ragged", seq))
        return found

    def _join(self, at: int, joins_left: bool, joins_right: bool, new: _Run) -> None:
        if joins_left and joins_right:
            after = self.runs.pop(at)
            self.runs[at - 1].last, self.runs[at - 1].last_digest = after.last, after.last_digest
        elif joins_left:
            self.runs[at - 1].last, self.runs[at - 1].last_digest = new.last, new.last_digest
        elif joins_right:
            self.runs[at].first, self.runs[at].first_prev = new.first, new.first_prev
        else:
            self.runs.insert(at, new)

    def gaps(self) -> Iterable[tuple[int, int]]:
        """Runs of numbers that are not there, below the highest."""
        after = 0
        for run in self.runs:
            if run.first > after + 1:
                yield after + 1, run.first - 1
            after = run.last


class Streams:
    """All streams of an audit. heads: by device, of the newest heartbeat that the files hold."""

    def __init__(self, heads: Mapping[str, Head], findings: Findings) -> None:
        self._heads = heads
        self._findings = findings
        self._streams: dict[StreamKey, Stream] = {}
        self.kinds: Counter[int] = Counter()

    def _stream(self, key: StreamKey) -> Stream:
        found = self._streams.get(key)
        if found is None:
            head = self._heads.get(key[0])
            stated = head.head if head is not None and head.stream == key[1] else None
            found = self._streams[key] = Stream(stated)
        return found

    def presume(self, device: str, stream: str, seq: int, digest: bytes) -> None:
        """See Stream.presume."""
        self._stream((device, stream)).presume(seq, digest)

    def add(self, content: Record, digest: bytes, verified: bool) -> None:
        """Take a record, verified or not: one that was changed is named for that, not for a gap as well."""
        key = (content.device, content.stream.hex())
        stream = self._stream(key)
        found = stream.add(content.seq, content.prev, digest[:PREV_BYTES])
        for code, seq in found:
            self._findings.add(code, *key, seq)
        if any(code in ("duplicate", "equivocation") for code, _ in found):
            return
        head = self._heads.get(content.device)
        if stream.head == content.seq and head is not None and head.digest != digest[:PREV_BYTES]:
            self._findings.add("head", *key, content.seq)
        if verified:
            self._count(key, stream, content)

    def remove(self, device: str, stream: str, seq: int) -> None:
        """Take a record as one that a manifest stated and that retention took away since."""
        self._stream((device, stream)).add(seq, b"", b"")

    def _count(self, key: StreamKey, stream: Stream, content: Record) -> None:
        self.kinds[content.kind] += 1
        code = content.claims.get(event.CODE) if content.kind == record.EVENT else None
        if content.seq == 1:
            if code == event.STREAM_OPENED:
                stream.opening = _opening(content.claims)
            else:
                self._findings.add("unopened", *key, 1)
        level = content.claims.get(rating.LEVEL) if content.kind == record.RATING else None
        if isinstance(level, int) and (stream.head is None or content.seq <= stream.head):
            stream.levels[level] += 1
        if isinstance(code, int) and code in DECLARED:
            self._findings.add("declared", *key, content.seq, detail=event.NAMES[code])

    def devices(self) -> set[str]:
        """Names of all devices that have a stream."""
        return {device for device, _ in self._streams}

    def __len__(self) -> int:
        return len(self._streams)

    def close(self, open_end: bool) -> None:
        """Name what only the end shows. open_end: the files go up to the newest heartbeats."""
        for key, stream in sorted(self._streams.items()):
            for first, last in stream.gaps():
                self._findings.add("gap", *key, first, last, _given_up(self._heads.get(key[0]), key[1], last))
            self._link(key, stream)
        if open_end:
            self._tails()

    def _link(self, key: StreamKey, stream: Stream) -> None:
        opening = stream.opening
        if opening is None:
            return
        device, before = key[0], opening.stream
        if before is None or before == key[1]:
            if self._has_older(key):
                self._findings.add("unlinked", *key, 1)
            return
        self._findings.add("reopened", *key, 1, detail=f"after {before}, which ended at {opening.head}")
        known = self._streams.get((device, before))
        if known is None and opening.head:
            self._findings.add("stream_missing", device, before, 1, opening.head)
        elif known is not None and known.highest < opening.head:
            self._findings.add(
                "hidden_tail", device, before, known.highest + 1, opening.head, "named when it began again"
            )

    def _has_older(self, key: StreamKey) -> bool:
        """True when another stream of the device may be older: of two beginnings one is told."""
        others = [
            (other, one) for (device, other), one in self._streams.items() if device == key[0] and other != key[1]
        ]
        return any(
            one.presumed or (one.opening is not None and one.opening.stream is None and other < key[1])
            for other, one in others
        )

    def _tails(self) -> None:
        for device, head in sorted(self._heads.items()):
            stream = self._streams.get((device, head.stream))
            highest = stream.highest if stream is not None else 0
            if highest < head.head:
                receipted = "the gateway had receipted them" if head.through > highest else "not receipted"
                self._findings.add("hidden_tail", device, head.stream, highest + 1, head.head, receipted)

    def presses(self, whole: bool) -> tuple[int, int]:
        """Hold the button counters against the ratings; (presses, ratings) of all devices with a heartbeat.

        whole: the files begin with the hall's first manifest, so that the ratings of all time are there.
        """
        pressed_all = rated_all = 0
        for device, head in sorted(self._heads.items()):
            rated = self._rated(device, head)
            for level, pressed in enumerate(head.presses, 1):
                if rated[level] > pressed:
                    words = f"level {level}: {rated[level]} ratings, {pressed} presses"
                    self._findings.add("presses", device, detail=words)
            pressed_all, rated_all = pressed_all + sum(head.presses), rated_all + rated.total()
            surplus = sum(head.presses) - rated.total()
            if whole and surplus > 0:
                self._findings.add("unrated", device, detail=f"{surplus} of {sum(head.presses)} presses")
        return pressed_all, rated_all

    def _rated(self, device: str, head: Head) -> Counter[int]:
        """Ratings by level, of every stream up to the heartbeat; a stream begun after it is not counted."""
        rated: Counter[int] = Counter()
        for (owner, name), stream in self._streams.items():
            if owner == device and not self._is_after(device, name, head.stream):
                rated.update(stream.levels)
        return rated

    def _is_after(self, device: str, name: str, earlier: str) -> bool:
        """True when stream `name` names `earlier` as one before it, over any number of steps."""
        for _ in range(len(self._streams)):
            stream = self._streams.get((device, name))
            before = stream.opening.stream if stream is not None and stream.opening is not None else None
            if before is None or before == name:
                return False
            if before == earlier:
                return True
            name = before
        return False


def _differ(one: bytes, other: bytes) -> bool:
    """True when both links are known, and not the same."""
    return bool(one and other and one != other)


def _given_up(head: Head | None, stream: str, last: int) -> str:
    """What the device itself says of a gap."""
    gone = head is not None and head.stream == stream and head.through >= last
    return "the device has nothing left to send there" if gone else ""


def _opening(claims: Mapping[int, Any]) -> Opening:
    before = claims.get(event.PREVIOUS_STREAM)
    return Opening(before.hex() if isinstance(before, bytes) else None, int(claims.get(event.PREVIOUS_HEAD) or 0))


def head_of(claims: Mapping[int, Any]) -> Head:
    """The head in the claims of a heartbeat."""
    return Head(
        bytes(claims[heartbeat.STREAM]).hex(),
        claims[heartbeat.HEAD],
        claims[heartbeat.HEAD_HASH],
        list(claims[heartbeat.PRESSES]),
        claims[heartbeat.THROUGH],
    )
