"""A batch on its way into the ledger, and what became of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from gateway.opening import Admitted, Arrival, Beat
from gateway.quarantine import Stray

STORED, DUPLICATE, EQUIVOCATION = "stored", "duplicate", "equivocation"

# (device, stream): what identifies a stream; the stream in hex.
StreamKey = tuple[str, str]


@dataclass(slots=True)
class Batch:
    """What the intake made of a batch of messages."""

    records: list[Admitted] = field(default_factory=list)
    beats: list[Beat] = field(default_factory=list)
    strays: list[Stray] = field(default_factory=list)

    def single(self) -> "list[Batch]":
        """The same, one message a batch."""
        return [
            *(Batch(records=[one]) for one in self.records),
            *(Batch(beats=[one]) for one in self.beats),
            *(Batch(strays=[one]) for one in self.strays),
        ]

    def as_strays(self, reason: str) -> "Batch":
        """The same messages, none of them accepted."""
        arrivals = [one.arrival for one in self.records] + [one.arrival for one in self.beats]
        return Batch(strays=[*(stray(reason, arrival) for arrival in arrivals), *self.strays])


def stray(reason: str, arrival: Arrival) -> Stray:
    """The message for the quarantine."""
    return Stray(reason, arrival.topic, arrival.message, arrival.received_ms // 1000)


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
    """

    records: list[str]
    beats: list[Beat]
    refused: list[str]
    standings: dict[StreamKey, Standing]
    fresh: set[StreamKey]
    repeated: set[StreamKey]
    flags: Mapping[str, int]
