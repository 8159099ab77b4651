"""Claims of a punch: one touch of an enrolled finger at one door. Its exact time stands in clear: it is the payload."""

from protocol import field
from protocol.limits import UTC_S_MAX

DOOR, STAFF, DIRECTION, SCORE, TIME, METHOD = 1, 2, 3, 4, 5, 6
AUTO, IN, OUT = 0, 1, 2
FINGERPRINT = 1

ROWS = (
    (DOOR, "door", field.TEXT, 1, 16, True),
    (STAFF, "staff", field.TEXT, 1, 20, True),
    (DIRECTION, "direction", field.INT, AUTO, OUT, True),
    (SCORE, "score", field.INT, 0, 0xFFFF, True),
    (TIME, "time_s", field.INT, 1, UTC_S_MAX, False),  # absent exactly when the clock source is none; record.py checks
    (METHOD, "method", field.INT, FINGERPRINT, FINGERPRINT, True),
)


def check(claims: dict[int, object]) -> None:
    """Raises Refused("schema") unless the claims are those of a punch."""
    field.check(ROWS, claims)
