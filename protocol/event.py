"""Claims of a device event: what happened to the device itself, in the stream of its ratings or punches."""

from protocol import field

CODE, TEXT, VALUE, PREVIOUS_STREAM, PREVIOUS_HEAD, DIGEST, BY = 1, 2, 3, 4, 5, 6, 7

# Code -> name. A number is never used again for another meaning.
STREAM_OPENED, BOOT, CLOCK_STEPPED, TAMPER, JOURNAL_FULL, SELF_CHECK, UNKNOWN_FINGER, FAULT = 1, 2, 3, 4, 5, 6, 7, 8
CRASH, OPENING_CHECK, FINGER_ENROLLED, FINGER_DELETED, KEYS_ERASED, DECOMMISSIONED, ENROLMENT_REFUSED = range(9, 16)
UPDATE_REFUSED, UPDATE_INSTALLED, UPDATE_CONFIRMED, UPDATE_REVERTED = 16, 17, 18, 19
NAMES = {
    STREAM_OPENED: "stream opened",
    BOOT: "boot",
    CLOCK_STEPPED: "clock stepped",
    TAMPER: "tamper switch opened",
    JOURNAL_FULL: "journal full",
    SELF_CHECK: "self check",
    UNKNOWN_FINGER: "unknown finger",
    FAULT: "fault",
    CRASH: "crash",
    OPENING_CHECK: "opening check",
    FINGER_ENROLLED: "finger enrolled",
    FINGER_DELETED: "finger deleted",
    KEYS_ERASED: "keys erased",
    DECOMMISSIONED: "decommissioned",
    ENROLMENT_REFUSED: "enrolment refused",
    UPDATE_REFUSED: "update refused",
    UPDATE_INSTALLED: "update installed",
    UPDATE_CONFIRMED: "update confirmed",
    UPDATE_REVERTED: "update reverted",
}
CODE_MAX = 255  # room for codes of later firmware: an older gateway keeps what it cannot name

ROWS = field.table("""
    1 code            int                  1             255 required
    2 text            text                 1             160 optional
    3 value           int   -140737488355327 140737488355327 optional
    4 previous_stream bytes                8               8 optional
    5 previous_head   int                  0      4294967295 optional
    6 digest          bytes               16              16 optional
    7 by              text                 1              20 optional
""")


def check(claims: dict[int, object]) -> None:
    """Raises Refused("schema") unless the claims are those of an event."""
    field.check(ROWS, claims)
