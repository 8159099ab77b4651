"""Fields of a map, declared as rows: what a record may hold stands in tables, and one function checks them all.

A row: (key, name, kind, low, high, required).
kind: INT (value between low and high), BYTES (length), TEXT (characters), MAP, LIST (entries).
"""

from protocol.refusal import Refused

INT, BYTES, TEXT, LIST, MAP = "int", "bytes", "text", "list", "map"


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


def check(rows: tuple[tuple[int, str, str, int, int, bool], ...], fields: dict[int, object]) -> None:
    """Raises Refused("schema", field name) for a missing, unknown, mistyped or out-of-bounds field."""
    known = 0
    for key, name, kind, low, high, required in rows:
        if key in fields:
            known += 1
            check_value(name, fields[key], kind, low, high)
        elif required:
            raise Refused("schema", name)
    if known != len(fields):
        raise Refused("schema", "unknown")
