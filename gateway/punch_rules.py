"""Rules about punches: who, at which door, how soon after another."""

from gateway.facts import PastFacts, RecordFacts
from gateway.rule import FLAG, Checked
from protocol import punch


def _staff_unknown(facts: RecordFacts) -> bool:
    staff = facts.hall.staff
    return staff is not None and facts.record.claims[punch.STAFF] not in staff


def _punch_again(facts: PastFacts) -> bool:
    return facts.same_door_s is not None and facts.same_door_s < facts.settings.punch_again_s


def _two_doors(facts: PastFacts) -> bool:
    return facts.other_door_s is not None and facts.other_door_s < facts.settings.two_doors_s


ALONE: tuple[Checked[RecordFacts], ...] = (
    Checked(
        "staff_unknown",
        FLAG,
        "the roster has nobody of that staff number",
        "花名册中没有这个工号",
        check=_staff_unknown,
    ),
)

PAST: tuple[Checked[PastFacts], ...] = (
    Checked(
        "punch_again",
        FLAG,
        "the same person at the same door a moment ago",
        "同一人同一门短时间内重复打卡",
        check=_punch_again,
    ),
    Checked(
        "two_doors",
        FLAG,
        "the same person at two doors at nearly the same time",
        "同一人几乎同时在两个门打卡",
        check=_two_doors,
    ),
)
