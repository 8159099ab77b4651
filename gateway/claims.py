"""Names of the clear claims, as the ledger, the time series and the page read them.

    rating  window, outcome ("rated" | "timed_out"), level 1..5 (only when rated), tags [int],
            mode ("visit" | "walk_up"), staff_level 1..5, delay_ms, staff
    punch   door, staff, direction ("auto" | "in" | "out"), score, time_s (UTC), method ("fingerprint")
    event   code, text, value, previous_stream (hex), previous_head, digest (hex, of a crash), by (staff number of the
            administrator who allowed it)
A claim that the device did not state is absent.
"""

from collections.abc import Mapping

from protocol import event, field, punch, rating
from protocol.record import EVENT, PUNCH, RATING, Record

_TABLES = {RATING: rating.ROWS, PUNCH: punch.ROWS, EVENT: event.ROWS}
NAMES: Mapping[int, Mapping[int, str]] = {
    kind: {key: name for key, name, *_ in field.rows(table)} for kind, table in _TABLES.items()
}

# Numbers that read better as words.
WORDS: Mapping[tuple[int, int], Mapping[int, str]] = {
    (RATING, rating.OUTCOME): {rating.RATED: "rated", rating.TIMED_OUT: "timed_out"},
    (RATING, rating.MODE): {rating.VISIT_MODE: "visit", rating.WALK_UP: "walk_up"},
    (PUNCH, punch.DIRECTION): {punch.AUTO: "auto", punch.IN: "in", punch.OUT: "out"},
    (PUNCH, punch.METHOD): {punch.FINGERPRINT: "fingerprint"},
}


def named(record: Record) -> dict[str, object]:
    """The clear claims of a rating, punch or event, by name, ready for JSON."""
    names = NAMES[record.kind]
    return {names[key]: _shown(record.kind, key, value) for key, value in record.claims.items()}


def _shown(kind: int, key: int, value: object) -> object:
    words = WORDS.get((kind, key))
    if words is not None and isinstance(value, int):
        return words[value]
    return value.hex() if isinstance(value, bytes) else value


def place(record: Record, registered: str) -> str:
    """Where it was made: window of a rating, door of a punch; an event has the device's `registered` place."""
    if record.kind == EVENT:
        return registered
    return str(record.claims[rating.WINDOW if record.kind == RATING else punch.DOOR])
