"""The staff who punch at the clocks: slot in the fingerprint sensor, number, display name. Names are made up."""

import json
from dataclasses import dataclass

# Rows of one roster command (4 KiB, see protocol/limits.py); the sensor itself would hold 200 templates.
STAFF_MAX = 120

_SURNAMES = "陈林黄周吴徐孙马朱胡郭何高罗郑梁谢宋唐许韩冯邓曹"
_GIVEN = (
    "晓梅 建国 丽华 志远 雨桐 海涛 秀兰 明轩 佳怡 国强 思源 春燕 俊杰 "
    "文静 立新 慧敏 永康 雪莹 家豪 玉珍 子涵 德明 若楠 振宇 美玲"
).split()


@dataclass(frozen=True)
class Staff:
    """slot: 1..STAFF_MAX in the sensor. number: as the hall knows the person. name: what a display shows.

    administrator: whose finger lets a clock enrol others; a hall without one cannot enrol anybody.
    """

    slot: int
    number: str
    name: str
    administrator: bool = False


def made_up(count: int) -> list[Staff]:
    """`count` (0..STAFF_MAX) staff with different names, the same at every call; the first is the administrator."""
    if not 0 <= count <= STAFF_MAX:
        raise ValueError(f"a roster has 0 to {STAFF_MAX} staff")
    # 24 surnames and 25 given names share no factor, so no pair comes back before 600 people.
    names = [_SURNAMES[index % len(_SURNAMES)] + _GIVEN[index % len(_GIVEN)] for index in range(count)]
    return [Staff(slot, f"S{slot:03}", name, slot == 1) for slot, name in enumerate(names, 1)]


def to_text(staff: list[Staff], version: int = 1) -> str:
    """roster.json. version: grows with every change, so that a clock takes the newer one."""
    rows = [_row(each) for each in staff]
    return json.dumps({"version": version, "staff": rows}, ensure_ascii=False, indent=1) + "\n"


def _row(each: Staff) -> dict[str, object]:
    row: dict[str, object] = {"slot": each.slot, "number": each.number, "name": each.name}
    if each.administrator:
        row["administrator"] = True
    return row
