"""What happens in a hall on a morning, decided from a seed: visits, visitors, staff. Pure; hall seconds throughout."""

import random
from dataclasses import dataclass
from typing import Any

from simulator import matters

OPENS_S = 8 * 3600 + 15 * 60  # visitors come from a quarter past eight, local time of day
CLOSES_S = 12 * 3600
SIGN_IN_LIMIT_S = 8 * 3600 + 30 * 60  # domain reference A4
# How people rate: mostly well, and one in ten badly. Bad ones must occur, or nobody could see that they arrive.
_LEVELS = (5, 4, 3, 2, 1)
_LEVEL_WEIGHTS = (58, 20, 10, 7, 5)
# Handing in and collecting papers takes a window one to four minutes a visitor.
_VISIT_GAP_S = (70, 240)
_PRESS_DELAY_S = (2, 15)
# A finger that no sensor knows.
STRANGER = -1
RATED, TIMED_OUT, WALK_UP = "rated", "timed out", "walk-up"
_OUTCOME_WEIGHTS = (78, 12, 10)
# Visitors who will press are asked for longer than they take, the others for the hall's usual minute.
PATIENT_S, USUAL_S = 300, 60
_NAMES = ("赵一", "钱小二", "孙三", "李思思", "欧阳五", "周六", "吴琪", "阿依古丽·买买提")


@dataclass(frozen=True)
class Act:
    """One visit, or one walk-up press. gap_s: since the one before at this window. level: None when nobody presses."""

    gap_s: float
    outcome: str
    level: int | None
    delay_s: float
    number: str
    applicant: dict[str, str] | None
    about: dict[str, Any]  # what the visit is about, see matters.py

    @property
    def timeout_s(self) -> int:
        return USUAL_S if self.outcome == TIMED_OUT else PATIENT_S


class Window:
    """The endless line of visitors at one window. next() is the same for the same seed and window."""

    def __init__(self, seed: int, window: str) -> None:
        self._chance = random.Random(f"{seed}/{window}")
        self._matters = random.Random(f"{seed}/{window}/matters")
        self._window = window
        self._count = 0

    def next(self) -> Act:
        chance = self._chance
        outcome = chance.choices((RATED, TIMED_OUT, WALK_UP), _OUTCOME_WEIGHTS)[0]
        level = None if outcome == TIMED_OUT else chance.choices(_LEVELS, _LEVEL_WEIGHTS)[0]
        first = self._count == 0  # windows do not all begin with a visitor at the door
        gap_s = chance.uniform(0, _VISIT_GAP_S[1]) if first else chance.uniform(*_VISIT_GAP_S)
        self._count += 1
        return Act(
            gap_s,
            outcome,
            level,
            chance.uniform(*_PRESS_DELAY_S),
            f"BJ{self._window}-{self._count:06d}",
            _applicant(chance) if outcome == RATED and chance.random() < 0.25 else None,
            matters.choose(self._matters),
        )


def _applicant(chance: random.Random) -> dict[str, str]:
    """A made-up person; the numbers belong to nobody."""
    return {
        "name": chance.choice(_NAMES),
        "phone": f"199{chance.randrange(10**8):08d}",
        "id_number": f"999999{chance.randrange(10**12):012d}",
        "id_kind": "111",
        "kind": "natural_person",
    }


@dataclass(frozen=True)
class Touch:
    """One finger at one door. at_s: time of day. slot: of the sensor, or STRANGER."""

    at_s: float
    slot: int


def touches(seed: int, doors: int, slots: list[int]) -> list[list[Touch]]:
    """For each door the touches of the morning, in order: everybody once, some late, a stranger now and then."""
    chance = random.Random(f"{seed}/doors")
    plan: list[list[Touch]] = [[] for _ in range(doors)]
    for slot in slots:
        late = chance.random() < 0.15
        at_s = chance.uniform(SIGN_IN_LIMIT_S + 60, SIGN_IN_LIMIT_S + 14 * 60) if late else _early(chance)
        plan[chance.randrange(doors)].append(Touch(at_s, slot))
    for door in plan:
        if door:
            door.append(Touch(chance.choice(door).at_s + 90, STRANGER))
        door.sort(key=lambda touch: touch.at_s)
    return plan


def _early(chance: random.Random) -> float:
    return chance.uniform(OPENS_S + 120, SIGN_IN_LIMIT_S - 30)


def is_late(at_s: float) -> bool:
    """True for a sign-in after the limit."""
    return at_s > SIGN_IN_LIMIT_S
