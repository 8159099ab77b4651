"""Claims of a device event: what happened to the device itself, in the stream of its ratings or punches."""

from protocol import field
from protocol.limits import SEQ_MAX, STREAM_BYTES

CODE, TEXT, VALUE, PREVIOUS_STREAM, PREVIOUS_HEAD = 1, 2, 3, 4, 5

# Code -> name. A number is never used again for another meaning.
STREAM_OPENED, BOOT, CLOCK_STEPPED, TAMPER, JOURNAL_FULL, SELF_CHECK, UNKNOWN_FINGER, FAULT = 1, 2, 3, 4, 5, 6, 7, 8
NAMES = {
    STREAM_OPENED: "stream opened",
    BOOT: "boot",
    CLOCK_STEPPED: "clock stepped",
    TAMPER: "tamper switch opened",
    JOURNAL_FULL: "journal full",
    SELF_CHECK: "self check",
    UNKNOWN_FINGER: "unknown finger",
    FAULT: "fault",
}
CODE_MAX = 255  # room for codes of later firmware: an older gateway keeps what it cannot name

ROWS = (
    (CODE, "code", field.INT, 1, CODE_MAX, True),
    (TEXT, "text", field.TEXT, 1, 96, False),
    (VALUE, "value", field.INT, -0x7FFFFFFFFFFF, 0x7FFFFFFFFFFF, False),
    (PREVIOUS_STREAM, "previous_stream", field.BYTES, STREAM_BYTES, STREAM_BYTES, False),
    (PREVIOUS_HEAD, "previous_head", field.INT, 0, SEQ_MAX, False),
)


def check(claims: dict[int, object]) -> None:
    """Raises Refused("schema") unless the claims are those of an event."""
    field.check(ROWS, claims)
