"""Claims of a heartbeat: the device is alive, and how far its ledger stream has come. Telemetry, not journaled."""

from protocol import field
from protocol.limits import PREV_BYTES, SEQ_MAX, STREAM_BYTES, TIME_NONCE_BYTES

STREAM, HEAD, HEAD_HASH, PRESSES, PENDING, FREE_FLASH, FREE_HEAP, CONFIG_VERSION, FIRMWARE = 1, 2, 3, 4, 5, 6, 7, 8, 9
THROUGH, TIME_NONCE, ROSTER_VERSION = 10, 11, 12
COUNT_MAX = 0xFFFFFFFF

ROWS = (
    (STREAM, "ledger_stream", field.BYTES, STREAM_BYTES, STREAM_BYTES, True),
    (HEAD, "head", field.INT, 0, SEQ_MAX, True),
    (HEAD_HASH, "head_hash", field.BYTES, PREV_BYTES, PREV_BYTES, True),
    (PRESSES, "presses", field.LIST, 5, 5, True),  # per button since first boot; index 0 is level 1
    (PENDING, "pending", field.INT, 0, SEQ_MAX, True),
    (FREE_FLASH, "free_flash_bytes", field.INT, 0, COUNT_MAX, True),
    (FREE_HEAP, "free_heap_bytes", field.INT, 0, COUNT_MAX, True),
    (CONFIG_VERSION, "config_version", field.INT, 0, COUNT_MAX, True),
    (FIRMWARE, "firmware", field.TEXT, 1, 16, True),
    (THROUGH, "through", field.INT, 0, SEQ_MAX, True),  # the last receipt that the device has stored
    (TIME_NONCE, "time_nonce", field.BYTES, TIME_NONCE_BYTES, TIME_NONCE_BYTES, False),  # asks for a time answer
    (ROSTER_VERSION, "roster_version", field.INT, 0, COUNT_MAX, True),
)


def check(claims: dict[int, object]) -> None:
    """Raises Refused("schema") unless the claims are those of a heartbeat."""
    field.check(ROWS, claims)
    presses = claims[PRESSES]
    for count in presses if isinstance(presses, list) else ():
        field.check_value("presses", count, field.INT, 0, COUNT_MAX)
