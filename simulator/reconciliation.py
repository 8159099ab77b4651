"""Does everybody agree? What people did, what devices wrote and got receipts for, and what every store holds. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any


@dataclass(frozen=True)
class Line:
    """Ratings and punches of one group of devices, at every station of their way; then what is wrong, events

    included.
    """

    pressed: int = 0
    journaled: int = 0
    receipted: int = 0
    ledger: int = 0
    timeseries: int = 0
    central: int = 0
    lost: int = 0
    duplicated: int = 0
    gaps: int = 0

    def __add__(self, other: "Line") -> "Line":
        return Line(*(getattr(self, one.name) + getattr(other, one.name) for one in fields(Line)))

    def __str__(self) -> str:
        return " ".join(f"{one.name}={getattr(self, one.name)}" for one in fields(Line))

    def agrees(self) -> bool:
        """True when every station counts the same, and nothing is lost, duplicated or missing."""
        stations = {self.pressed, self.journaled, self.receipted, self.ledger, self.timeseries, self.central}
        return len(stations) == 1 and not (self.lost or self.duplicated or self.gaps)


def _people(counts: Mapping[str, Any]) -> int:
    """Ratings and punches in a store's counts; events are made by no person."""
    return int(counts.get("ratings", 0)) + int(counts.get("punches", 0))


def _all(counts: Mapping[str, Any]) -> int:
    return _people(counts) + int(counts.get("events", 0))


def device_line(
    pressed: int, status: Mapping[str, Any], gateway: Mapping[str, Any], central: Mapping[str, Any]
) -> Line:
    """The line of one device.

    pressed: counted by the people. status: of the device. gateway: its entry in /api/v1/reconciliation; central: its
    entry in the central system's summary. {} where a store knows nothing of the device.
    """
    head = int(status["head"])  # the device's own word on how many records of any kind there must be
    ledger, timeseries = gateway.get("ledger", {}), gateway.get("timeseries", {})
    totals = (_all(ledger), _all(timeseries), _all(central))
    return Line(
        pressed=pressed,
        journaled=sum(status["journaled"][:2]),
        receipted=sum(status["receipted"][:2]),
        ledger=_people(ledger),
        timeseries=_people(timeseries),
        central=_people(central),
        lost=max(0, head - min(totals)),
        duplicated=sum(max(0, total - head) for total in totals),
        gaps=int(gateway.get("gaps", 0)) + int(central.get("gaps", 0)),
    )


def total(lines: Iterable[Line]) -> Line:
    """The sum of lines."""
    return sum(lines, Line())


def settled(statuses: Iterable[Mapping[str, Any]], gateway: Mapping[str, Any], central: Mapping[str, Any]) -> bool:
    """True when nothing is on its way any more: no receipt, projection or forwarding is owed."""
    statuses = list(statuses)
    if any(status["pending"] for status in statuses) or any(gateway.get("pending", {"none": 1}).values()):
        return False
    by_device = central.get("by_device", {})
    return all(by_device.get(status["device"], {}).get("records", 0) >= status["head"] for status in statuses)


def percentile(values: list[int], part: float) -> int | None:
    """The value that `part` (0 to 1) of the values do not exceed; None for no values."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))] if ordered else None
