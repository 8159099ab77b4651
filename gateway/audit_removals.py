"""What retention has taken away, by the gateway's word: such a gap is no loss, as long as it was old enough.

Whoever writes in the ledger can write such a line as well. So a line counts only as the hall's retention would have
made it: on a day that had come when the file was sealed, of what was as old then as the rule in the file's head says.
"""

import json
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from gateway.findings import Findings
from gateway.retention import (
    DAY_S,
    DAYS_MAX,
    EQUIVOCATIONS,
    EVIDENCE_DAYS_MIN,
    HEARTBEATS,
    KINDS,
    MASKED,
    PERSONAL_KINDS,
    RECORD_KINDS,
    SEALED,
    RetentionRule,
)

# Days of a hall begin up to 14 hours before those of UTC, and a record is up to a day older than its cutoff.
_TOLERANCE_S = 2 * DAY_S
# The first place on earth in which a day begins.
_EAST_S = 14 * 3600

StreamKey = tuple[str, str]


class Line(NamedTuple):
    """A run of numbers of one kind, removed on a day of the hall that kept this kind for `kept_days`."""

    first: int
    last: int
    day: int
    kept_days: int
    kind: str

    def takes(self, stated_s: int) -> bool:
        """True when something that the gateway stated at `stated_s` was old enough on that day."""
        return stated_s + self.kept_days * DAY_S <= self.day * DAY_S + _TOLERANCE_S


class Removals:
    """All removals that the files name. Memory grows with them: a run of records is one."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._whole: dict[StreamKey, list[Line]] = {}
        self._emptied: dict[str, dict[StreamKey, list[Line]]] = {SEALED: {}, MASKED: {}}
        self._heartbeats: dict[str, list[Line]] = {}
        self._counts: Counter[str] = Counter()
        self._seen: set[tuple[Any, ...]] = set()
        self._ruled: set[tuple[Any, ...]] = set()

    def learn(self, frames: Iterable[Sequence[Any]], coarse_s: int, rule: str) -> None:
        """Take the frames of one export, with the time and the rule (JSON) of its head.

        What another one has as well counts once, and by the shorter of both rules: it was in force when it was sealed.
        """
        kept = self._rule(rule)
        for values in frames:
            if not _is_removal(values):
                self._findings.add("schema", detail="a removal")
            elif values[6] * DAY_S > coarse_s + _EAST_S:
                self._findings.add(
                    "removal", values[1] or None, values[2].hex() or None, values[3], values[4], values[0]
                )
            else:
                self._take(tuple(values), getattr(kept, values[0]))
        for lines in (self._whole, *self._emptied.values()):
            for each in lines.values():
                each.sort(key=lambda line: (line.first, line.day, -line.kept_days))

    def _rule(self, text: str) -> RetentionRule:
        try:
            return rule_of(text)
        except ValueError:
            self._findings.add("schema", detail="the retention rule of the head")
            return RetentionRule()

    def _take(self, values: tuple[Any, ...], kept_days: int) -> None:
        kind, device, stream, first, last, count, day = values
        if values not in self._seen:
            self._seen.add(values)
            self._counts[kind] += count
        if (*values, kept_days) in self._ruled:
            return
        self._ruled.add((*values, kept_days))
        line = Line(first, last, day, kept_days, kind)
        if kind == HEARTBEATS:
            self._heartbeats.setdefault(device, []).append(line)
        lines = self._whole if kind in RECORD_KINDS else self._emptied.get(kind)
        if lines is not None:
            lines.setdefault((device, stream.hex()), []).append(line)

    def explains(self, key: StreamKey, seq: int, stated_s: int) -> str | None:
        """The kind under which a record that a manifest stated at `stated_s` was removed; None: it was too young."""
        line = _line(self._whole.get(key), seq)
        return line.kind if line is not None and line.takes(stated_s) else None

    def emptied(self, kind: str, key: StreamKey, seq: int, stated_s: int) -> bool:
        """True when the sealed part (SEALED) or the masked fields (MASKED) of this record were removed in their time.

        stated_s: when the manifest of the record was made.
        """
        line = _line(self._emptied[kind].get(key), seq)
        return line is not None and line.takes(stated_s)

    def heartbeat(self, device: str, stated_s: int) -> bool:
        """True when the heartbeat of a device was removed, and its newest record, stated at `stated_s`, is as old."""
        return any(line.takes(stated_s) for line in self._heartbeats.get(device, ()))

    def equivocations(self) -> int:
        """How many contradictions of devices were removed."""
        return self._counts[EQUIVOCATIONS]

    def close(self) -> None:
        """Name them, kind by kind."""
        for kind, count in sorted(self._counts.items()):
            self._findings.add("removed", detail=f"{kind}: {count}")


def rule_of(text: str) -> RetentionRule:
    """The hall's rule that an export names. Raises ValueError when there is no such rule, or none that is allowed."""
    try:
        rule = RetentionRule(**json.loads(text))
    except TypeError:
        raise ValueError("no retention rule of this version") from None
    for kind in KINDS:
        days = getattr(rule, kind)
        if type(days) is not int or not (1 if kind in PERSONAL_KINDS else EVIDENCE_DAYS_MIN) <= days <= DAYS_MAX:
            raise ValueError(kind)
    return rule


def _line(lines: list[Line] | None, seq: int) -> Line | None:
    """The line of the number: each is removed once."""
    at = bisect_right(lines, seq, key=lambda line: line.first) if lines else 0
    return lines[at - 1] if lines and at and seq <= lines[at - 1].last else None


def _is_removal(values: Sequence[Any]) -> bool:
    types = (str, str, bytes, int, int, int, int)
    if len(values) != len(types) or not all(isinstance(one, kind) for one, kind in zip(values, types, strict=True)):
        return False
    return values[0] in KINDS
