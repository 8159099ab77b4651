"""Claims of a rating: one visit, or one walk-up press, at one window. Level 5 is 非常满意, 1 is 非常不满意."""

from protocol import field
from protocol.limits import UTC_S_MAX
from protocol.refusal import Refused

WINDOW, OUTCOME, LEVEL, TAGS, MODE, STAFF_LEVEL, DELAY_MS, STAFF = 1, 2, 3, 4, 5, 6, 7, 8
RATED, TIMED_OUT = 1, 2  # a time-out is "not rated", never a level
VISIT_MODE, WALK_UP = 1, 2
LEVEL_MIN, LEVEL_MAX = 1, 5

ROWS = (
    (WINDOW, "window", field.TEXT, 1, 16, True),
    (OUTCOME, "outcome", field.INT, RATED, TIMED_OUT, True),
    (LEVEL, "level", field.INT, LEVEL_MIN, LEVEL_MAX, False),
    (TAGS, "tags", field.LIST, 1, 8, False),
    (MODE, "mode", field.INT, VISIT_MODE, WALK_UP, True),
    (STAFF_LEVEL, "staff_level", field.INT, LEVEL_MIN, LEVEL_MAX, False),
    (DELAY_MS, "delay_ms", field.INT, 0, 0xFFFFFFFF, False),
    (STAFF, "staff", field.TEXT, 1, 20, False),
)

# Redactable: only their salted digests are signed in clear (record field 17).
EXACT_TIME, VISIT, COMMENT, IDENTITY = 1, 2, 3, 4
REDACTABLE_ROWS = (
    (EXACT_TIME, "exact_time_s", field.INT, 1, UTC_S_MAX, False),
    (VISIT, "visit", field.TEXT, 1, 50, False),  # GB/T 39046 table 9, no. 1
    (COMMENT, "comment", field.TEXT, 1, 150, False),  # domain reference V8
    (IDENTITY, "identity", field.MAP, 1, 4, False),
)

NAME, PHONE, ID_NUMBER, ID_KIND = 1, 2, 3, 4
IDENTITY_ROWS = (
    (NAME, "name", field.TEXT, 1, 30, False),  # GB/T 39046 table 9, no. 3
    (PHONE, "phone", field.TEXT, 1, 20, False),
    (ID_NUMBER, "id_number", field.TEXT, 1, 32, False),
    (ID_KIND, "id_kind", field.TEXT, 1, 8, False),  # 111 = resident identity card
)


def check(claims: dict[int, object]) -> None:
    """Raises Refused("schema") unless the claims are those of a rating: a level if and only if it was rated."""
    field.check(ROWS, claims)
    rated = claims[OUTCOME] == RATED
    if rated != (LEVEL in claims):
        raise Refused("schema", "level")
    if not rated and (TAGS in claims or STAFF_LEVEL in claims):
        raise Refused("schema", "tags")
    tags = claims.get(TAGS)
    for tag in tags if isinstance(tags, list) else ():
        field.check_value("tag", tag, field.INT, 1, 999)


def check_redactable(values: dict[int, object]) -> None:
    """Raises Refused("schema") unless the disclosed values are within bounds."""
    field.check(REDACTABLE_ROWS, values)
    identity = values.get(IDENTITY)
    if isinstance(identity, dict):
        field.check(IDENTITY_ROWS, identity)
