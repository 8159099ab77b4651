"""A batch on its way into the ledger, and what became of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from gateway.opening import Admitted, Arrival, Beat
from gateway.quarantine import Stray
from gateway.registry import KINDS, Device
from protocol.record import RATING, coarse

STORED, DUPLICATE, EQUIVOCATION = "stored", "duplicate", "equivocation"

# (device, stream): what identifies a stream; the stream in hex.
StreamKey = tuple[str, str]


@dataclass(slots=True)
class Batch:
    """What the intake made of a batch of messages."""

    records: list[Admitted] = field(default_factory=list)
    beats: list[Beat] = field(default_factory=list)
    strays: list[Stray] = field(default_factory=list)
    copies: list[Admitted] = field(default_factory=list)  # kept by the broker: compared with the ledger, never stored

    def take(self, made: Admitted | Beat) -> None:
        """Put it where it belongs. No copy of a heartbeat is compared: it tells of nobody."""
        if made.arrival.retained:
            self.strays.append(copy(made)) if isinstance(made, Beat) else self.copies.append(made)
        elif isinstance(made, Beat):
            self.beats.append(made)
        else:
            self.records.append(made)

    def single(self) -> "list[Batch]":
        """The same, one message a batch."""
        return [
            *(Batch(records=[one]) for one in self.records),
            *(Batch(beats=[one]) for one in self.beats),
            *(Batch(strays=[one]) for one in self.strays),
            *(Batch(copies=[one]) for one in self.copies),
        ]

    def as_strays(self, reason: str) -> "Batch":
        """The same messages, none of them accepted."""
        offered: list[Admitted | Beat] = [*self.records, *self.beats]
        refused = [stray(reason, one.arrival, one.device) for one in offered]
        return Batch(strays=[*refused, *self.strays, *(copy(one) for one in self.copies)])


def stray(reason: str, arrival: Arrival, device: Device | None) -> Stray:
    """The message for the quarantine. device: whose topic it is, where the registry has it.

    When an evaluator spoke is told to the quarter of an hour only, as in the ledger: its message may be a rating. A
    punch states its second itself, and its clock is held against that of its receipt when it is readmitted.
    """
    received_s = arrival.received_ms // 1000
    may_rate = device is not None and RATING in KINDS[device.kind]
    return Stray(reason, arrival.topic, arrival.message, coarse(received_s) if may_rate else received_s)


def copy(one: Admitted | Beat) -> Stray:
    """A copy that the broker kept, for the quarantine."""
    return stray("retained", one.arrival, one.device)


class Standing(NamedTuple):
    """How a stream stands after the commit: the content of a receipt."""

    device: str
    stream: str
    through: int
    holes: Sequence[Sequence[int]]
    highest: int


@dataclass(slots=True)
class Outcome:
    """What became of a batch, once it is on disk.

    records: STORED, DUPLICATE or EQUIVOCATION, one for each of the batch. beats: the heartbeats that are new.
    refused: reasons of what went to quarantine.
    standings: of every stream that the batch touched; `fresh` names those to which it added something, `repeated`
    those that only got again what they had. flags: how often each rule marked a new record.
    copies: kinds of those copies of the broker that the ledger has: duplicates, without a receipt.
    """

    records: list[str]
    beats: list[Beat]
    refused: list[str]
    standings: dict[StreamKey, Standing]
    fresh: set[StreamKey]
    repeated: set[StreamKey]
    flags: Mapping[str, int]
    copies: Sequence[int] = ()
