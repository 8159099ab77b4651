"""What retention has taken away, by the gateway's word: such a gap is no loss, as long as it was old enough.

The word is worth what the gateway is worth; so an audit counts what is missing for this reason, and believes nothing
of records that were too young for any hall's rule.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from gateway.findings import Findings
from gateway.retention import DAY_S, EQUIVOCATIONS, EVIDENCE_DAYS_MIN, MASKED, RECORD_KINDS, SEALED

# Days of a hall begin up to 14 hours before those of UTC, and a record is up to a day older than its cutoff.
_TOLERANCE_S = 2 * DAY_S

StreamKey = tuple[str, str]
_Line = tuple[int, int, int]  # first, last, day


class Removals:
    """All removals that the files name. Memory grows with them: a run of records is one."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._whole: dict[StreamKey, list[_Line]] = {}
        self._emptied: dict[str, dict[StreamKey, list[_Line]]] = {SEALED: {}, MASKED: {}}
        self._counts: Counter[str] = Counter()

    def learn(self, frames: Iterable[Sequence[Any]]) -> None:
        """Take the frames of one export; what another one has as well counts once."""
        seen: set[tuple[Any, ...]] = set()
        for values in frames:
            if not _is_removal(values):
                self._findings.add("schema", detail="a removal")
            elif tuple(values) not in seen:
                seen.add(tuple(values))
                self._take(*values)
        for lines in (self._whole, *self._emptied.values()):
            for each in lines.values():
                each.sort()

    def _take(self, kind: str, device: str, stream: bytes, first: int, last: int, count: int, day: int) -> None:
        self._counts[kind] += count
        lines = self._whole if kind in RECORD_KINDS else self._emptied.get(kind)
        if lines is not None:
            lines.setdefault((device, stream.hex()), []).append((first, last, day))

    def touches(self, key: StreamKey) -> bool:
        """True when records of a stream were removed."""
        return key in self._whole

    def explains(self, key: StreamKey, seq: int, stated_s: int) -> bool:
        """True when a record that a manifest stated at `stated_s` was removed, and not before it was old enough."""
        day = _day(self._whole.get(key), seq)
        return day is not None and stated_s + EVIDENCE_DAYS_MIN * DAY_S <= day * DAY_S + _TOLERANCE_S

    def emptied(self, kind: str, key: StreamKey, seq: int) -> bool:
        """True when the sealed part (SEALED) or the masked fields (MASKED) of this record were removed."""
        return _day(self._emptied[kind].get(key), seq) is not None

    def equivocations(self) -> int:
        """How many contradictions of devices were removed."""
        return self._counts[EQUIVOCATIONS]

    def close(self) -> None:
        """Name them, kind by kind."""
        for kind, count in sorted(self._counts.items()):
            self._findings.add("removed", detail=f"{kind}: {count}")


def _day(lines: list[_Line] | None, seq: int) -> int | None:
    """On which day the number was removed."""
    at = bisect_right(lines, seq, key=lambda line: line[0]) if lines else 0
    return lines[at - 1][2] if lines and at and seq <= lines[at - 1][1] else None


def _is_removal(values: Sequence[Any]) -> bool:
    types = (str, str, bytes, int, int, int, int)
    return len(values) == len(types) and all(isinstance(one, kind) for one, kind in zip(values, types, strict=True))
