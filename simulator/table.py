"""The live table of a demo in the terminal."""

from collections.abc import Mapping

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from simulator.reconciliation import Line

_COLUMNS = ("pressed", "journaled", "receipted", "ledger", "timeseries", "central")
_LEVEL_STYLES = {5: "green", 4: "cyan", 3: "yellow", 2: "red", 1: "bold red"}
_BAR_CHARS = 40


def time_of_day(seconds: float) -> str:
    """ "08:15:00"."""
    whole = int(seconds)
    return f"{whole // 3600:02d}:{whole % 3600 // 60:02d}:{whole % 60:02d}"


def levels_bar(levels: Mapping[int, int]) -> Text:
    """One bar of the levels pressed so far, best first."""
    whole = sum(levels.values())
    bar = Text()
    for level in (5, 4, 3, 2, 1):
        count = levels.get(level, 0)
        bar.append("█" * round(_BAR_CHARS * count / whole) if whole else "", _LEVEL_STYLES[level])
    bar.append("  " + "  ".join(f"{level}: {levels.get(level, 0)}" for level in (5, 4, 3, 2, 1)))
    return bar


def render(
    groups: Mapping[str, Line],
    online: Mapping[str, tuple[int, int]],
    levels: Mapping[int, int],
    title: str,
    part: float | None,
    note: str,
) -> Group:
    """groups: a line per device kind. online: (connected, all) per kind. part: 0 to 1 of the demo, None without end."""
    table = Table(title=title, title_justify="left", expand=False)
    table.add_column("device kind")
    table.add_column("online", justify="right")
    for column in _COLUMNS:
        table.add_column(column, justify="right")
    for kind, line in groups.items():
        up, every = online[kind]
        style = "" if up == every else "yellow"
        values = [str(getattr(line, column)) for column in _COLUMNS]
        table.add_row(kind, Text(f"{up}/{every}", style), *values)
    rows: list[RenderableType] = [table, levels_bar(levels), Text(note, "dim")]
    if part is not None:
        rows.append(ProgressBar(total=1.0, completed=min(1.0, part), width=_BAR_CHARS))
    return Group(*rows)
