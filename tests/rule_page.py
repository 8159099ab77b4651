"""The tables of docs/rules.md, from the rules themselves. `python tests/rule_page.py` writes them anew."""

import re
from pathlib import Path

from gateway import rules

PAGE = Path(__file__).resolve().parent.parent / "docs" / "rules.md"
MARK = "<!-- From here on the page is written by tests/rule_page.py from the tables in gateway/*_rules.py. -->\n"
TITLES = {
    "message": "Messages · 报文",
    "place": "Place · 地点",
    "clock": "Time · 时间",
    "rating": "Ratings · 评价",
    "visit": "Visits · 办件",
    "item": "Items · 事项",
    "punch": "Punches · 考勤",
    "stream": "Continuity · 连续性",
}


def tables() -> str:
    """What stands after MARK."""
    return "".join(_table(TITLES[subject], rows) for subject, rows in rules.SUBJECTS.items())


def _table(title: str, rows: tuple[rules.Rule, ...]) -> str:
    lines = ["", f"## {title}", "", "| code | effect | | meaning | 含义 |", "|---|---|---|---|---|"]
    for rule in dict.fromkeys(rows):
        told = "●" if rule.tells_level else ""
        lines.append(f"| `{rule.code}` | {rule.effect} | {told} | {rule.meaning} | {rule.chinese} |")
    return "\n".join(lines) + "\n"


def limits() -> dict[str, str]:
    """The keys of section [rules] that the page explains, with the default that it gives."""
    return dict(re.findall(r"^\| `(\w+)` \| ([\d-]+) \|", PAGE.read_text("utf-8").partition(MARK)[0], re.MULTILINE))


if __name__ == "__main__":
    PAGE.write_text(PAGE.read_text("utf-8").partition(MARK)[0] + MARK + tables(), "utf-8")
