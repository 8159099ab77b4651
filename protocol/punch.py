"""Claims of a punch: one touch of an enrolled finger at one door. Its exact time stands in clear: it is the payload."""

from protocol import field

DOOR, STAFF, DIRECTION, SCORE, TIME, METHOD = 1, 2, 3, 4, 5, 6
AUTO, IN, OUT = 0, 1, 2
FINGERPRINT = 1

ROWS = field.table("""
    1 door      text 1         16 required
    2 staff     text 1         20 required
    3 direction int  0          2 required
    4 score     int  0      65535 required
    5 time_s    int  1 4294967295 optional
    6 method    int  1          1 required
""")


def check(claims: dict[int, object]) -> None:
    """Raises Refused("schema") unless the claims are those of a punch."""
    field.check(ROWS, claims)
