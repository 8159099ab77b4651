"""Does everybody agree? What people did, what devices wrote and got receipts for, and what every store holds. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

# A device writes these kinds of records; its status counts them in this order.
_KINDS = ("ratings", "punches", "events")
_NOTHING: dict[str, Any] = {}


@dataclass(frozen=True)
class Line:
    """Ratings and punches of one group of devices, at every station of their way; then what is wrong, events

    included. Every disagreement at a device is in the last three, which only grow: what one device lost, another
    cannot make good in a sum.
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


@dataclass(frozen=True)
class Look:
    """What everybody said when asked. statuses: by device, of those that answered.

    gateway: its /api/v1/reconciliation; central: the central system's summary; {} where there was no answer.
    """

    statuses: Mapping[str, Mapping[str, Any]]
    gateway: Mapping[str, Any]
    central: Mapping[str, Any]

    def line(self, device: str, pressed: int) -> Line:
        """The line of one device, where people pressed so often."""
        return device_line(
            pressed,
            self.statuses.get(device, _NOTHING),
            self.gateway.get("by_device", _NOTHING).get(device, _NOTHING),
            self.central.get("by_device", _NOTHING).get(device, _NOTHING),
        )

    def stored_devices(self) -> set[str]:
        """Names of the devices that gateway or central system hold something of."""
        return {*self.gateway.get("by_device", ()), *self.central.get("by_device", ())}


def _counts(store: Mapping[str, Any]) -> tuple[int, ...]:
    return tuple(int(store.get(kind, 0)) for kind in _KINDS)


def _written(status: Mapping[str, Any], word: str) -> tuple[int, ...]:
    return tuple(int(count) for count in status.get(word, (0, 0, 0)))


def device_line(
    pressed: int, status: Mapping[str, Any], gateway: Mapping[str, Any], central: Mapping[str, Any]
) -> Line:
    """The line of one device.

    pressed: counted by the people. status: of the device. gateway: its entry in /api/v1/reconciliation; central: its
    entry in the central system's summary. {} where one knows nothing of the device.

    lost: presses without a record, and records that the station with the fewest of their kind lacks. duplicated:
    records without a press, and what any station has too many of any kind.
    """
    journaled, receipted = _written(status, "journaled"), _written(status, "receipted")
    ledger, timeseries = _counts(gateway.get("ledger", _NOTHING)), _counts(gateway.get("timeseries", _NOTHING))
    above = _counts(central)
    by_hand = sum(journaled[:2])
    lost, duplicated = max(0, pressed - by_hand), max(0, by_hand - pressed)
    for made, *stations in zip(journaled, receipted, ledger, timeseries, above, strict=True):
        lost += max(0, made - min(stations))
        duplicated += sum(max(0, held - made) for held in stations)
    return Line(
        pressed=pressed,
        journaled=by_hand,
        receipted=sum(receipted[:2]),
        ledger=sum(ledger[:2]),
        timeseries=sum(timeseries[:2]),
        central=sum(above[:2]),
        lost=lost,
        duplicated=duplicated,
        gaps=int(gateway.get("gaps", 0)) + int(central.get("gaps", 0)),
    )


def total(lines: Iterable[Line]) -> Line:
    """The sum of lines."""
    return sum(lines, Line())


def settled(look: Look, devices: Iterable[str]) -> bool:
    """True when nothing is on its way any more: everybody answered, no receipt, projection or forwarding is owed."""
    by_device = look.central.get("by_device", _NOTHING)
    owed = look.gateway.get("pending")
    if not owed or any(owed.values()):
        return False
    for device in devices:
        status = look.statuses.get(device)
        if not status or status["pending"] or by_device.get(device, _NOTHING).get("records", 0) < status["head"]:
            return False
    return True


def complaints(look: Look, devices: Iterable[str], whole: Line) -> list[str]:
    """What is wrong with a run beside its numbers, for people; [] for nothing. look: the last one.

    Where nobody was asked or nobody pressed, all numbers agree; that is no good end.
    """
    devices = list(devices)
    silent = [device for device in devices if device not in look.statuses]
    strange = sorted(look.stored_devices() - set(devices))
    above = look.central
    operators = above.get("operator_log", _NOTHING)
    notes = above.get("annotations", _NOTHING)
    found = {
        "nobody pressed anything": not whole.pressed,
        "the gateway does not answer": not look.gateway,
        "the central system does not answer": not look.central,
        f"no answer from {', '.join(silent)}": silent,
        f"stored, but not of this hall: {', '.join(strange)}": strange,
        f"the central system refused records: {above.get('refused')}": above.get("refused"),
        f"identities that reached the central system unmasked: {above.get('unmasked')}": above.get("unmasked"),
        f"two records under one number: {above.get('equivocations')}": above.get("equivocations"),
        f"the operator log was tampered with: {operators}": operators.get("changed") or operators.get("shrank"),
        f"manifests that do not fit the records: {above.get('manifests_refused')}": above.get("manifests_refused"),
        f"links of the chain broken at the central system: {above.get('broken_links')}": above.get("broken_links"),
        f"annotations missing at the central system: {notes.get('gaps')}": notes.get("gaps"),
        f"links of annotations broken at the central system: {notes.get('broken_links')}": notes.get("broken_links"),
        f"annotations of other records than they name: {notes.get('record_differs')}": notes.get("record_differs"),
    }
    return [sentence for sentence, wrong in found.items() if wrong]


def percentile(values: list[int], part: float) -> int | None:
    """The value that `part` (0 to 1) of the values do not exceed; None for no values."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))] if ordered else None
