"""The closing lines of a demo: what people met, how fast it was, a line per device kind, and the verdict at the end."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from simulator import reconciliation
from simulator.evidence_run import Audited
from simulator.people import People
from simulator.reconciliation import Line, Look


@dataclass(frozen=True)
class Closing:
    """latest: the last words of everybody; fresh: those of whoever answered at the very end. groups: line by device

    kind. devices: names of the hall's. rss: MiB by process. started_s: UTC seconds when the command was given.
    told: what the business system was told of its visits, see outcomes.py.
    audited: what the gateway's audit said of the morning; None where nobody asked it.
    """

    people: People
    latest: Look
    fresh: Look
    groups: Mapping[str, Line]
    devices: Sequence[str]
    rss: Mapping[str, float]
    started_s: float
    told: Mapping[str, Any] = field(default_factory=dict)
    audited: Audited | None = None

    @property
    def whole(self) -> Line:
        """The sum of all groups."""
        return reconciliation.total(self.groups.values())

    def complaints(self) -> list[str]:
        """See reconciliation.complaints."""
        forged = self.told.get("forged", 0)
        wrong = [f"messages to the business system with a wrong signature: {forged}"] if forged else []
        return [*reconciliation.complaints(self.fresh, self.devices, self.whole), *wrong]

    def status(self) -> int:
        """Exit status: 0 only where everybody answered, every number agrees and the audit found nothing."""
        clean = self.audited is None or self.audited.status == 0
        return 0 if clean and self.whole.agrees() and not self.complaints() else 1

    def lines(self, kept: str) -> list[str]:
        """All of them; the last one is the verdict. kept: the folder that stays, "" where none does."""
        people = self.people
        rated = f"people: {sum(people.levels.values())} ratings, {people.timed_out} visits timed out"
        return [
            f"{rated}, {people.late} late",
            *self._hands(),
            f"levels: {' '.join(f'{level}={people.levels[level]}' for level in (5, 4, 3, 2, 1))}",
            *self._restarts(),
            f"quarantine: {self.latest.gateway.get('quarantine') or 'empty'}",
            self._told(),
            self._first_rating(),
            "memory: " + ", ".join(f"{name} {size:.0f} MiB" for name, size in sorted(self.rss.items())),
            self._latencies(),
            *(f"{group}: {line}" for group, line in sorted(self.groups.items())),
            *(self.audited.shown() if self.audited is not None else []),
            *(f"wrong: {sentence}" for sentence in self.complaints()),
            *([f"kept: {kept}"] if kept else []),
            str(self.whole),
        ]

    def _hands(self) -> list[str]:
        """What did not go as people wanted, where anything did not."""
        people = self.people
        counts = {f"refused by the word {word!r}": count for word, count in sorted(people.declined.items())}
        counts |= {"without thanks": people.unthanked, "device off": people.unable, "visits not taken": people.refused}
        odd = [f"{what}: {count}" for what, count in counts.items() if count]
        return ["hands: " + ", ".join(odd)] if odd else []

    def _restarts(self) -> list[str]:
        """Devices that ended and began again, where any did: nobody pulls their plug in a demo."""
        counts = {name: status.get("restarts", 0) for name, status in sorted(self.latest.statuses.items())}
        odd = [f"{name} {count}×" for name, count in counts.items() if count]
        return ["devices that restarted by themselves: " + ", ".join(odd)] if odd else []

    def _told(self) -> str:
        """What the business system was told. One visit more than it opened: an answer died with the gateway."""
        states = ", ".join(f"{state} {count}" for state, count in sorted(self.told.get("states", {}).items()))
        opened, told = self.people.opened, self.told.get("visits", 0)
        return f"business system: {opened} visits opened, told of {told}: {states or '-'}"

    def _first_rating(self) -> str:
        first_s = self.latest.central.get("first_rating_real_s")
        if not first_s:
            return "no rating at the central system"
        return f"first rating at the central system after {first_s - self.started_s:.1f} s"

    def _latencies(self) -> str:
        taken_ms = [value for status in self.latest.statuses.values() for value in status["press_to_receipt_ms"]]
        middle, slow = (reconciliation.percentile(taken_ms, part) for part in (0.5, 0.99))
        return f"press to receipt: p50 {middle} ms, p99 {slow} ms, of {len(taken_ms)}"
