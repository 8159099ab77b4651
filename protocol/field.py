"""Fields of a map, declared as tables of text: what a message may hold stands in one place, and one function checks it.

A row: key, name, kind, low, high, "required" or "optional". Low and high, both inclusive, bound the value of an INT,
the length of BYTES, the characters of TEXT, the entries of a LIST or MAP.
"""

import sys

from protocol.refusal import Refused

INT, BYTES, TEXT, LIST, MAP = "int", "bytes", "text", "list", "map"
_REQUIRED = "required"


def _row(line: str) -> tuple[int, str, str, int, int, bool]:
    key, name, kind, low, high, need = line.split()
    return int(key), name, kind, int(low), int(high), need == _REQUIRED


def rows(table: object) -> list[tuple[int, str, str, int, int, bool]]:
    """The rows of a table: (key, name, kind, low, high, required)."""
    if isinstance(table, str):
        return [_row(line) for line in table.strip().split("\n")]
    return table  # type: ignore[return-value]  # made by table()


def table(text: str) -> object:
    """A table from its text. On a device it stays text, which lies in flash; parsed rows would take 6 KB of heap."""
    return text if sys.implementation.name == "micropython" else rows(text)


def _size(value: object, kind: str) -> int | None:
    """What low and high bound, or None when the value is not of that kind."""
    if kind == INT:
        return value if isinstance(value, int) and not isinstance(value, bool) else None
    if kind == BYTES:
        return len(value) if isinstance(value, bytes) else None
    if kind == TEXT:
        return len(value) if isinstance(value, str) else None
    if kind == LIST:
        return len(value) if isinstance(value, list) else None
    return len(value) if isinstance(value, dict) else None


def check_value(name: str, value: object, kind: str, low: int, high: int) -> None:
    """Raises Refused("schema", name) unless `value` is of `kind` within [low, high]."""
    size = _size(value, kind)
    if size is None or not low <= size <= high:
        raise Refused("schema", name)


def check(table: object, fields: dict[int, object]) -> None:
    """Raises Refused("schema", field name) for a missing, unknown, mistyped or out-of-bounds field."""
    known = 0
    for key, name, kind, low, high, required in rows(table):
        if key in fields:
            known += 1
            check_value(name, fields[key], kind, low, high)
        elif required:
            raise Refused("schema", name)
    if known != len(fields):
        raise Refused("schema", "unknown")
