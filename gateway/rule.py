"""What a rule is: a code, what it means, what it does to a message, and the check that finds it.

Every code has one effect:
    ACCEPT      stored or known already; nothing is marked
    FLAG        stored, counted, forwarded like any other; the code stands in the record's flags
    EVIDENCE    kept beside the records: a second payload under a number that is taken, a number that is missing
    QUARANTINE  kept with its bytes, not stored as a record; the device gets no receipt and the gap shows
There is no effect that drops. No rule reads the level of a rating to decide its effect: a bad rating is never refused.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

ACCEPT, FLAG, EVIDENCE, QUARANTINE = "accept", "flag", "evidence", "quarantine"
EFFECTS = (ACCEPT, FLAG, EVIDENCE, QUARANTINE)

# Contravariant: a check that needs little of its facts serves for richer ones as well.
_Facts = TypeVar("_Facts", contravariant=True)
_Given = TypeVar("_Given")


@dataclass(frozen=True)
class Rule:
    """One line of the table. code: word that is counted, logged and stored. meaning, chinese: for a person.

    tells_level: only some levels can earn the code, or it says that a level is that of others. It travels with the
    record, but a count that grows at once would tell a window of the rating that was just given there.
    A plain Rule is found where the message is taken apart, see its module; any other is a Checked.
    """

    code: str
    effect: str
    meaning: str
    chinese: str
    tells_level: bool = False


@dataclass(frozen=True)
class Checked(Rule, Generic[_Facts]):
    """A rule with its check: a pure function of the facts, True where the rule applies."""

    check: Callable[[_Facts], bool] = lambda facts: False


def found(rules: Iterable[Checked[_Given]], facts: _Given) -> list[str]:
    """Codes of those that apply, in their order."""
    return [rule.code for rule in rules if rule.check(facts)]
