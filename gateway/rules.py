"""The one table of rules, assembled from those of each subject, and the three places where records meet it.

Rules of a message and of a record alone run in the intake's thread, those of stream, past and visit in the ledger's
transaction, where the record takes its place among the others. rule.py tells the effects, docs/rules.md has the table.
"""

from collections.abc import Iterable, Mapping

from gateway import (
    clock_rules,
    item_rules,
    message_rules,
    place_rules,
    punch_rules,
    rating_rules,
    stream_rules,
    visit_rules,
)
from gateway.facts import OriginFacts, PastFacts, RecordFacts, SenderFacts, StreamFacts
from gateway.rule import ACCEPT, EVIDENCE, FLAG, QUARANTINE, Checked, Rule, found
from protocol.record import EVENT, PUNCH, RATING

__all__ = ["ACCEPT", "EVIDENCE", "FLAG", "QUARANTINE", "RULES", "SUBJECTS", "TELL_LEVEL", "Refusal"]

# Subject -> its rules, in the order in which a message meets them.
SUBJECTS: Mapping[str, tuple[Rule, ...]] = {
    "message": (*message_rules.WIRE, *message_rules.SENDER, *message_rules.ORIGIN, *message_rules.LEDGER),
    "place": place_rules.ALONE,
    "clock": (*clock_rules.ALONE, *clock_rules.PAST),
    "rating": (*rating_rules.ALONE, *rating_rules.PAST),
    "visit": (*visit_rules.ALONE, *visit_rules.BOOK),
    "item": item_rules.MATTER,
    "punch": (*punch_rules.ALONE, *punch_rules.PAST),
    "stream": stream_rules.STREAM,
}
RULES: Mapping[str, Rule] = {rule.code: rule for rules in SUBJECTS.values() for rule in rules}
TELL_LEVEL = frozenset(code for code, rule in RULES.items() if rule.tells_level)
_FLAGS = frozenset(code for code, rule in RULES.items() if rule.effect == FLAG)

_ALONE: Mapping[int, tuple[Checked[RecordFacts], ...]] = {
    RATING: (*place_rules.ALONE, *clock_rules.ALONE, *rating_rules.ALONE, *visit_rules.ALONE),
    PUNCH: (*place_rules.ALONE, *clock_rules.ALONE, *punch_rules.ALONE),
    EVENT: clock_rules.ALONE,
}
_PAST: Mapping[int, tuple[Checked[PastFacts], ...]] = {
    RATING: (*clock_rules.PAST, *rating_rules.PAST),
    PUNCH: (*clock_rules.PAST, *punch_rules.PAST),
    EVENT: clock_rules.PAST,
}


class Refusal(Exception):  # what happened to the message, not a fault of ours
    """A message for the quarantine. reason: a code of RULES with that effect. Holds nothing of the message."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def check_sender(facts: SenderFacts) -> None:
    """The topic is of this hall, and its device may speak. Raises Refusal."""
    for code in found(message_rules.SENDER, facts):
        raise Refusal(code)


def check_origin(facts: OriginFacts) -> None:
    """The verified record is the device's own, for this hall, and of a kind it makes. Raises Refusal."""
    for code in found(message_rules.ORIGIN, facts):
        raise Refusal(code)


def flags(facts: RecordFacts) -> list[str]:
    """Codes with effect FLAG that the record alone shows."""
    return found(_ALONE[facts.record.kind], facts)


def past_flags(kind: int, facts: PastFacts) -> list[str]:
    """Codes with effect FLAG that a record of this kind shows beside those that came before it."""
    return found(_PAST[kind], facts)


def stream_codes(facts: StreamFacts) -> list[str]:
    """Codes that a record shows by its place in its stream; those with effect FLAG belong to the record."""
    return found(stream_rules.STREAM, facts)


def kept(codes: Iterable[str]) -> list[str]:
    """Those codes that stand in the record's flags."""
    return [code for code in codes if code in _FLAGS]


def shown(codes: Iterable[str]) -> list[str]:
    """Those flags that may be shown at once to anybody: none that tells a level."""
    return [code for code in codes if code not in TELL_LEVEL]
