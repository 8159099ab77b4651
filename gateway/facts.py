"""What the checks of the rules are given. Facts are gathered by whoever takes the message; checks only compare them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, Protocol

from gateway.registry import Device, Roster, RosterFile
from gateway.rule_settings import USUAL, RuleSettings, tags_in_force
from protocol.record import Record


@dataclass(frozen=True)
class HallFacts:
    """What the hall has set and knows. staff: numbers of its roster, None where it has no roster."""

    settings: RuleSettings = USUAL
    tags: frozenset[int] = field(default_factory=lambda: tags_in_force(()))
    staff: frozenset[str] | None = None


class HallNow:
    """Gives the facts of the moment: the roster may change while the gateway runs."""

    def __init__(self, settings: RuleSettings, tag_codes: Iterable[int], roster: RosterFile) -> None:
        self._roster = roster
        self._settled = HallFacts(settings, tags_in_force(tag_codes))
        self._known: tuple[Roster, HallFacts] | None = None

    def __call__(self) -> HallFacts:
        """The same object until the roster changes."""
        roster = self._roster.current()
        if self._known is None or self._known[0] is not roster:
            staff = frozenset(row.number for row in roster.rows) if roster.version else None
            self._known = roster, replace(self._settled, staff=staff)
        return self._known[1]


class Addressed(Protocol):
    """What names the hall that it is meant for."""

    @property
    def hall(self) -> str:
        """Ours."""

    @property
    def stated_hall(self) -> str:
        """The one that the message names."""


class SenderFacts(NamedTuple):
    """Of a message that is not opened yet: what its topic says, and the registry's device of that name."""

    hall: str
    stated_hall: str
    device: Device | None


class OriginFacts(NamedTuple):
    """Of a verified payload, before anything else of it is believed. device: the one that signed it."""

    hall: str
    stated_hall: str
    device: Device
    stated_device: str
    kind: int


class RecordFacts(NamedTuple):
    """Of one record, by itself. received_s: the gateway's time. disclosed: {claim: value} of a rating's disclosures."""

    record: Record
    device: Device
    received_s: int
    disclosed: Mapping[int, Any]
    hall: HallFacts


class StreamFacts(NamedTuple):
    """Of one new record in its stream, which is the device's stream `number` (from 1)."""

    seq: int
    highest: int  # seq that the ledger holds of the stream
    chained: bool  # prev is the hash of the record before, and the record after has ours, where they are stored
    number: int = 1
    opens: bool = False  # it is the stream's opening event
    before: str | None = None  # the device's stream before, as the ledger knows it, and its highest seq
    before_highest: int = 0
    claimed: str | None = None  # the stream before, as the opening event has it, and its head
    claimed_head: int = 0
    one_too_many: bool = False  # the claimed stream would be one more than a device may name


class PastFacts(NamedTuple):
    """Of one new record beside those that came before it, see history.py. Numbers count the record itself."""

    settings: RuleSettings
    stepped_s: int = 0  # by how much its time contradicts the earlier ones of its boot, beyond what drift explains
    step_told: bool = False  # the device says itself that its clock was stepped
    in_minute: int = 0  # ratings at its window in the 60 s up to it, as far as seconds are known
    in_quarter: int = 0  # ratings at its window in its quarter of an hour
    level_run: int = 0  # ratings at its window since one had another level
    same_door_s: int | None = None  # to the nearest punch of the same person at the same door; None: there is none
    other_door_s: int | None = None  # … at another door
