"""Claims of a heartbeat: the device is alive, and how far its ledger stream has come. Telemetry, not journaled."""

from protocol import field

STREAM, HEAD, HEAD_HASH, PRESSES, PENDING, FREE_FLASH, FREE_HEAP, CONFIG_VERSION, FIRMWARE = 1, 2, 3, 4, 5, 6, 7, 8, 9
THROUGH, TIME_NONCE, ROSTER_VERSION, DRIFT_PPM, UNKNOWN_FINGERS = 10, 11, 12, 13, 14
RELEASE, UPDATE_SEQUENCE, UPDATE_BYTES, UPDATE_REFUSED = 15, 16, 17, 18
COUNT_MAX = 0xFFFFFFFF

ROWS = field.table("""
     1 ledger_stream    bytes  8          8 required
     2 head             int    0 4294967295 required
     3 head_hash        bytes 16         16 required
     4 presses          list   5          5 required
     5 pending          int    0 4294967295 required
     6 free_flash_bytes int    0 4294967295 required
     7 free_heap_bytes  int    0 4294967295 required
     8 config_version   int    0 4294967295 required
     9 firmware         text   1         16 required
    10 through          int    0 4294967295 required
    11 time_nonce       bytes  8          8 optional
    12 roster_version   int    0 4294967295 required
    13 drift_ppm        int -100000  100000 optional
    14 unknown_fingers  int    0 4294967295 optional
    15 release          int    0 4294967295 optional
    16 update_sequence  int    1 4294967295 optional
    17 update_bytes     int    0     262144 optional
    18 update_refused   int    1 4294967295 optional
""")


def check(claims: dict[int, object]) -> None:
    """Raises Refused("schema") unless the claims are those of a heartbeat."""
    field.check(ROWS, claims)
    presses = claims[PRESSES]
    for count in presses if isinstance(presses, list) else ():
        field.check_value("presses", count, field.INT, 0, COUNT_MAX)
