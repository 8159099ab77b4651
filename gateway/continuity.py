"""Continuity of one ledger stream: what of it is stored, and what is missing. Pure; the ledger persists it."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from protocol.limits import HOLES_MAX

# Runs of stored records above the first gap that are remembered. A device sends in order, so a few are many; more than
# this comes from a device that skips numbers on purpose, and then the ledger is asked instead of the memory.
ISLANDS_MAX = 64


@dataclass(slots=True)
class Continuity:
    """State of one stream.

    through: every seq from 1 to it is stored. islands: runs [first, last] stored above it, ascending, never touching.
    complete: False when there are more islands than ISLANDS_MAX; those left out lie above the last one remembered.
    declared: highest head that the device itself has signed elsewhere. given_up: the device has nothing up to here any
    more, by its own word; known from its next heartbeat after a restart.
    """

    number: int
    opened_s: int
    through: int = 0
    through_digest: bytes | None = None
    highest: int = 0
    declared: int = 0
    stored: int = 0
    duplicates: int = 0
    equivocations: int = 0
    islands: list[list[int]] = field(default_factory=list)
    complete: bool = True
    given_up: int = 0

    def holds(self, seq: int) -> bool | None:
        """True when `seq` is stored, False when not, None when only the ledger knows."""
        if seq <= self.through:
            return True
        at = bisect_right(self.islands, seq, key=_first) - 1
        if at >= 0 and seq <= self.islands[at][1]:
            return True
        known_to = self.islands[-1][1] if self.islands else self.through
        return None if not self.complete and seq > known_to else False

    def add(self, seq: int, digest: bytes) -> None:
        """Note that `seq`, not held so far, is stored now. through_digest is None after a jump over islands."""
        self.stored += 1
        self.highest = max(self.highest, seq)
        if seq != self.through + 1:
            self._add_island(seq)
            return
        self.through, self.through_digest = seq, digest
        if self.islands and self.islands[0][0] == seq + 1:
            self.through, self.through_digest = self.islands.pop(0)[1], None

    def _add_island(self, seq: int) -> None:
        islands = self.islands
        at = bisect_right(islands, seq, key=_first)
        joins_left = at > 0 and islands[at - 1][1] == seq - 1
        joins_right = at < len(islands) and islands[at][0] == seq + 1
        if joins_left and joins_right:
            islands[at - 1][1] = islands.pop(at)[1]
        elif joins_left:
            islands[at - 1][1] = seq
        elif joins_right:
            islands[at][0] = seq
        elif self.complete or at < len(islands):
            islands.insert(at, [seq, seq])
            if len(islands) > ISLANDS_MAX:
                islands.pop()
                self.complete = False

    def report(self) -> tuple[list[list[int]], int]:
        """(holes, highest) for a receipt: missing runs [first, last] above `through`, and up to where that is all.

        At most HOLES_MAX runs: with more of them, highest ends before the next. What the device has given up is not
        asked for; it stays missing.
        """
        found: list[list[int]] = []
        after = self.through
        for first, last in self.islands:
            low = max(after, self.given_up) + 1
            if low < first:
                if len(found) == HOLES_MAX:
                    break
                found.append([low, first - 1])
            after = last
        return found, after

    @property
    def outdated(self) -> bool:
        """True when so few islands are left in memory that the ledger should be asked for the next ones."""
        return not self.complete and len(self.islands) < ISLANDS_MAX // 2

    def reload(self, above: Iterable[int]) -> None:
        """Take the islands anew from the stored numbers above `through`, ascending."""
        self.islands, self.complete = [], True
        for seq in above:
            if seq == self.through + 1:
                self.through, self.through_digest = seq, None
            elif self.islands and self.islands[-1][1] == seq - 1:
                self.islands[-1][1] = seq
            elif len(self.islands) == ISLANDS_MAX:
                self.complete = False
                return
            else:
                self.islands.append([seq, seq])

    @property
    def missing(self) -> int:
        """How many numbers the ledger lacks, as far as the device itself has signed."""
        return max(self.highest, self.declared) - self.stored


def _first(island: Sequence[int]) -> int:
    return island[0]
