"""Claims of a rating: one visit, or one walk-up press, at one window. Level 5 is 非常满意, 1 is 非常不满意."""

from protocol import field
from protocol.limits import UTC_S_MAX
from protocol.refusal import Refused

WINDOW, OUTCOME, LEVEL, TAGS, MODE, STAFF_LEVEL, DELAY_MS, STAFF = 1, 2, 3, 4, 5, 6, 7, 8
RATED, TIMED_OUT = 1, 2  # a time-out is "not rated", never a level
VISIT_MODE, WALK_UP = 1, 2
LEVEL_MIN, LEVEL_MAX = 1, 5

ROWS = field.table("""
    1 window      text 1         16 required
    2 outcome     int  1          2 required
    3 level       int  1          5 optional
    4 tags        list 1          8 optional
    5 mode        int  1          2 required
    6 staff_level int  1          5 optional
    7 delay_ms    int  0 4294967295 optional
    8 staff       text 1         20 optional
""")

# Redactable: only their salted digests are signed in clear (record field 17).
# Occasion: [exact_time_s, visit], 0 and "" where there is none, absent where there is neither. The two always go to the
# same readers, so one salt and one digest do for both. Comment: what rating devices of the platforms allow.
OCCASION, COMMENT, IDENTITY = 1, 2, 3
REDACTABLE_ROWS = field.table("""
    1 occasion list 2   2 optional
    2 comment  text 1 150 optional
    3 identity map  1   4 optional
""")
VISIT_CHARS_MAX = 50  # as case numbers in GB/T 39046 table 9, no. 1

# Name: GB/T 39046 table 9, no. 3. Kind of document: 111 is the resident identity card.
NAME, PHONE, ID_NUMBER, ID_KIND = 1, 2, 3, 4
IDENTITY_ROWS = field.table("""
    1 name      text 1 30 optional
    2 phone     text 1 20 optional
    3 id_number text 1 32 optional
    4 id_kind   text 1  8 optional
""")


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
    occasion = values.get(OCCASION)
    if isinstance(occasion, list):
        exact_s, visit = occasion
        field.check_value("exact_time_s", exact_s, field.INT, 0, UTC_S_MAX)
        field.check_value("visit", visit, field.TEXT, 0, VISIT_CHARS_MAX)
        if not exact_s and not visit:
            raise Refused("schema", "occasion")
    identity = values.get(IDENTITY)
    if isinstance(identity, dict):
        field.check(IDENTITY_ROWS, identity)
