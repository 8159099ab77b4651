"""Is the operator log whole? Pure: lines and known heads in, the broken places out, each named.

Whoever can write to the ledger's file can also compute hashes. So the chain alone finds clumsy changes; a head that the
central system has kept finds all of them, a missing end as well.
"""

import json
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from gateway.operator_log import CHECKPOINT, EMPTY, NOTHING, Head, Line

# The shortest time that a log must be kept (Cybersecurity Law of China, article 21: six months). A checkpoint that
# removed younger lines hides something. What it says of their age is worth nothing; that the first line which stayed is
# that old, and came after them, is in the chain: a compaction always leaves such a line (gateway.operator_checkpoint).
KEPT_S_MIN = 183 * 24 * 3600
# After these, more of them say nothing new.
FINDINGS_MAX = 20


class Finding(NamedTuple):
    """What is wrong at one line. code: one word; words: for a person."""

    number: int
    code: str
    words: str


class _Start(NamedTuple):
    """What a checkpoint says of the lines that it removed."""

    through: int
    hash: bytes
    until_s: int
    stated: Line


def check(lines: Iterable[Line], heads: Sequence[Head], now_s: int) -> tuple[Head, list[Finding]]:
    """(the log's head, findings by line number). lines: ascending by number. now_s: hall time.

    heads: kept elsewhere, in the last KEPT_S_MIN. No finding: the chain holds, from its first line or its last
    checkpoint on, and every head stands in it. At most FINDINGS_MAX findings.
    """
    walk = _Walk({head.number: head.hash for head in heads}, now_s)
    for line in lines:
        walk.take(line)
    walk.end()
    return walk.last, sorted(walk.findings, key=lambda finding: finding.number)


class _Walk:
    """One way along the chain; in memory is only what the next line is held against."""

    def __init__(self, heads: dict[int, bytes], now_s: int) -> None:
        self.last = EMPTY
        self.findings: list[Finding] = []
        self._heads = heads
        self._now_s = now_s
        # When the newest checkpoint was written, at the latest: whoever forges one may date it at will, but not the
        # lines that the gateway writes after it.
        self._written_s = now_s
        self._first: Line | None = None
        self._start: _Start | None = None

    def _find(self, number: int, code: str, words: str) -> None:
        if len(self.findings) < FINDINGS_MAX:
            self.findings.append(Finding(number, code, words))

    def take(self, line: Line) -> None:
        """Hold a line against itself, the one before, and the heads."""
        follows = self._first is not None and line.number == self.last.number + 1
        if self._first is None:
            self._first = line
        elif not follows:
            self._missing(self.last.number + 1, line.number - 1)
        if not _is_itself(line):
            self._find(line.number, "changed", f"line {line.number} is not what its hash says: it was changed or moved")
        elif follows and line.previous != self.last.hash:
            words = f"line {line.number} does not follow line {self.last.number}: one of the two was put there"
            self._find(line.number, "chain", words)
        known = self._heads.pop(line.number, None)
        if known is not None and known != line.hash:
            self._find(line.number, "head", f"line {line.number} is another than the one whose hash was kept elsewhere")
        if line.action == CHECKPOINT and (start := _start_of(line)) is not None:
            self._start, self._written_s = start, self._now_s
        if isinstance(line.at_s, int):
            self._written_s = min(self._written_s, line.at_s)
        self.last = Head(line.number, line.hash)

    def _missing(self, first: int, last: int) -> None:
        words = f"line {first} is missing" if first == last else f"lines {first} to {last} are missing"
        self._find(first, "missing", words)

    def end(self) -> None:
        """What only the whole log shows: its beginning and its end."""
        beyond = [number for number in self._heads if number > self.last.number]
        if beyond:
            self._missing(self.last.number + 1, max(beyond))
        if self._first is not None:
            self._check_beginning(self._first)

    def _check_beginning(self, first: Line) -> None:
        if self._start is None:
            if first.number > 1:
                self._missing(1, first.number - 1)
            elif first.number < 1 or first.previous != NOTHING:
                self._find(first.number, "chain", f"line {first.number} is no first line of a log")
            return
        if first.number > self._start.through + 1:
            self._missing(self._start.through + 1, first.number - 1)
        elif first.number == self._start.through + 1 and first.previous != self._start.hash:
            self._find(first.number, "chain", f"line {first.number} does not follow what a checkpoint removed")
        elif first.number <= self._start.through:
            self._find(first.number, "checkpoint", f"line {first.number} stands where a checkpoint has removed lines")
        self._check_removed(self._start, first)

    def _check_removed(self, start: _Start, first: Line) -> None:
        """What a checkpoint removed was old, and no line whose head was kept of late."""
        number = start.stated.number
        if self._heads.get(start.through, start.hash) != start.hash:
            words = f"line {number}: a checkpoint over another log than the one whose hash was kept elsewhere"
            self._find(number, "head", words)
        stayed_s = first.at_s if isinstance(first.at_s, int) else self._now_s
        if self._written_s - max(start.until_s, stayed_s) < KEPT_S_MIN:
            words = f"line {number}: a checkpoint that removed lines before their time"
            self._find(number, "checkpoint", words)
        removed = max((number for number in self._heads if 0 < number <= start.through), default=0)
        if removed:
            words = f"line {removed} was removed, and its hash was kept elsewhere: in the last six months it may not go"
            self._find(removed, "removed", words)


def _is_itself(line: Line) -> bool:
    try:
        return line.computed() == line.hash
    except (ValueError, TypeError, AttributeError, OverflowError):  # a value of a kind that no line has
        return False


def _start_of(line: Line) -> _Start | None:
    try:
        stated = json.loads(line.details)
        return _Start(int(stated["through"]), bytes.fromhex(stated["hash"]), int(stated["until_s"]), line)
    except (ValueError, KeyError, TypeError):
        return None
