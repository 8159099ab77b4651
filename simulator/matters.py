"""What the simulated windows handle: items of a small made-up library; now and then a window has them wrong."""

import csv
import random
from functools import cache
from pathlib import Path
from typing import Any

# Codes in the form of the real ones, of departments in a district that does not exist.
LIBRARY = Path(__file__).with_name("example_items.csv")
_KINDS = ("single", "consultation", "theme")
_KIND_WEIGHTS = (90, 5, 5)
# One window in thirty still uses the name of last year.
_WRONG = 1 / 30


@cache
def items() -> tuple[dict[str, str], ...]:
    """Rows of the library that are in use, by column title."""
    with LIBRARY.open(encoding="utf-8", newline="") as file:
        return tuple(row for row in csv.DictReader(file) if row["是否在用"] == "是")


def choose(chance: random.Random) -> dict[str, Any]:
    """What a visit is about, as fields of the request that opens it."""
    kind = chance.choices(_KINDS, _KIND_WEIGHTS)[0]
    if kind == "consultation":
        return {"kind": kind}
    if kind == "theme":
        return {
            "kind": kind,
            "item_name": "开办餐饮店",
            "parts": [as_request(row) for row in chance.sample(items(), 3)],
        }
    chosen = as_request(chance.choice(items()))
    if chance.random() < _WRONG:
        chosen["item_name"] += "（原）"
    return {"kind": kind, **chosen}


def as_request(row: dict[str, str]) -> dict[str, Any]:
    """A row of the library as fields of a request."""
    department = {"code": row["部门编码"], "name": row["受理部门名称"], "credit_code": row["统一社会信用代码"]}
    return {"item_code": row["事项编码"], "item_name": row["事项名称"], "department": department}
