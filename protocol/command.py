"""Commands from the gateway: signed by the hall's command key, then encrypted to one device.

Whoever holds the gateway's agreement key alone can send receipts, but no command. A device takes a command once:
its counter must be above the last one, and its expiry ahead (a time answer is bound to the device's nonce instead).
"""

from protocol import cbor, encrypt0, field, rating, sign1
from protocol.channel import Channel
from protocol.refusal import Refused
from protocol.topic import is_name

TYP = sign1.COMMAND_TYP
ISSUER, DEVICE, HALL, EXPIRES, ISSUED, KIND, COUNTER, CLAIMS = 1, 2, 3, 4, 6, 9, 11, 16
ISSUER_NAME = "gateway"
COUNTER_MAX = 0xFFFFFFFFFFFF
EVALUATION_REQUEST, TIME_ANSWER, CONFIG, EVALUATION_CANCEL, ROSTER, ENROL, DELETE_FINGER, DECOMMISSION = range(1, 9)
UPDATE_NOTICE, UPDATE_CHUNK = 9, 10

ROWS = field.table("""
     1 issuer    text 1              32 required
     2 device    text 1              32 required
     3 hall      text 1              32 required
     4 expires_s int  0      4294967295 required
     6 issued_s  int  0      4294967295 required
     9 kind      int  1              10 required
    11 counter   int  1 281474976710655 required
    16 claims    map  1              20 required
""")

# Evaluation request: ask the visitor of this visit. Cancel: stop asking.
VISIT, WINDOW, STAFF, TIMEOUT_S, APPLICANT = 1, 2, 3, 4, 5
REQUEST_ROWS = field.table("""
    1 visit     text 1  50 required
    2 window    text 1  16 required
    3 staff     text 1  20 optional
    4 timeout_s int  5 600 optional
    5 applicant map  1   4 optional
""")
CANCEL_ROWS = field.table("""
    1 visit text 1 50 required
""")

# Time answer.
NONCE, TIME_MS = 1, 2
TIME_ROWS = field.table("""
    1 nonce   bytes 8             8 required
    2 time_ms int   1 4294967295000 required
""")

# Config: the whole of it each time, so that a device never mixes two. Minutes are those of the hall's day.
VERSION, PLACE, STAFF_NAME, LANGUAGE, RATING_TIMEOUT_S, HEARTBEAT_S, BRIGHTNESS, STAFF_NUMBER = 1, 2, 3, 4, 5, 6, 7, 8
RATE_STAFF, TAG_CODES, ASK_PHONE, OPENING_MIN, QUIET_FROM_MIN, QUIET_UNTIL_MIN, UTC_OFFSET_MIN = range(9, 16)
ERASE_ON_TAMPER, SENSOR_PASSWORD = 16, 17
CONFIG_ROWS = field.table("""
     1 version          int     1 4294967295 required
     2 place            text    1         16 required
     3 staff_name       text    1         12 optional
     4 language         text    2          5 required
     5 rating_timeout_s int     5        600 required
     6 heartbeat_s      int    10       3600 required
     7 brightness       int     0        255 required
     8 staff_number     text    1         20 optional
     9 rate_staff       int     0          1 optional
    10 tag_codes        list    1         40 optional
    11 ask_phone        int     0          1 optional
    12 opening_min      int     0       1439 optional
    13 quiet_from_min   int     0       1439 optional
    14 quiet_until_min  int     0       1439 optional
    15 utc_offset_min   int  -720        840 optional
    16 erase_on_tamper  int     0          1 optional
    17 sensor_password  int     0 4294967295 optional
""")
# One language, or two that take turns.
LANGUAGES = ("zh", "en", "zh+en")
TAG_CODE_MIN, TAG_CODE_MAX = 100, 599  # domain reference 3.6: the first digit is the level

# Roster of a clock: rows [slot, staff number, display name], with ADMINISTRATOR behind where the person is one.
ROSTER_VERSION, STAFF_ROWS = 1, 2
ADMINISTRATOR = 1
ROSTER_ROWS = field.table("""
    1 version    int  1 4294967295 required
    2 staff_rows list 0        256 required
""")

# Enrol: ask for the finger of this slot's person, after an administrator's. Delete: forget the finger of this slot.
SLOT = 1
SLOT_ROWS = field.table("""
    1 slot int 0 65535 required
""")

# Decommission: names the device once more, for there is no way back.
RETIRED = 1
DECOMMISSION_ROWS = field.table("""
    1 retired text 1 32 required
""")

# Update notice: a signed release (see release.py) is there for this device. Chunk: bytes of its bundle from `offset`
# on; an empty one says that there are no more.
RELEASE = 1
NOTICE_ROWS = field.table("""
    1 release bytes 1 512 required
""")
SEQUENCE, OFFSET, DATA = 1, 2, 3
CHUNK_BYTES_MAX = 1792  # fits the bucket of 2048 with everything around it
CHUNK_ROWS = field.table("""
    1 sequence int   1 4294967295 required
    2 offset   int   0     262144 required
    3 data     bytes 0       1792 required
""")

CLAIM_ROWS = {
    EVALUATION_REQUEST: REQUEST_ROWS,
    TIME_ANSWER: TIME_ROWS,
    CONFIG: CONFIG_ROWS,
    EVALUATION_CANCEL: CANCEL_ROWS,
    ROSTER: ROSTER_ROWS,
    ENROL: SLOT_ROWS,
    DELETE_FINGER: SLOT_ROWS,
    DECOMMISSION: DECOMMISSION_ROWS,
    UPDATE_NOTICE: NOTICE_ROWS,
    UPDATE_CHUNK: CHUNK_ROWS,
}


class Command:
    """One command, attributes as in ROWS. claims: {int: value}, as in CLAIM_ROWS[kind]."""

    def __init__(
        self, device: str, hall: str, expires_s: int, issued_s: int, kind: int, counter: int, claims: dict[int, object]
    ) -> None:
        self.device = device
        self.hall = hall
        self.expires_s = expires_s
        self.issued_s = issued_s
        self.kind = kind
        self.counter = counter
        self.claims = claims


def _check_roster(rows: object) -> None:
    for row in rows if isinstance(rows, list) else ():
        if not isinstance(row, list) or len(row) not in (3, 4):
            raise Refused("schema", "staff_rows")
        field.check_value("slot", row[0], field.INT, 0, 0xFFFF)
        field.check_value("staff", row[1], field.TEXT, 1, 20)
        field.check_value("name", row[2], field.TEXT, 1, 12)
        if len(row) == 4:
            field.check_value("administrator", row[3], field.INT, ADMINISTRATOR, ADMINISTRATOR)


def _check_config(claims: dict[int, object]) -> None:
    if claims[LANGUAGE] not in LANGUAGES:
        raise Refused("schema", "language")
    if (QUIET_FROM_MIN in claims) != (QUIET_UNTIL_MIN in claims):
        raise Refused("schema", "quiet_until_min")
    codes = claims.get(TAG_CODES)
    for code in codes if isinstance(codes, list) else ():
        field.check_value("tag_codes", code, field.INT, TAG_CODE_MIN, TAG_CODE_MAX)


def _check(fields: dict[int, object]) -> None:
    field.check(ROWS, fields)
    if fields[ISSUER] != ISSUER_NAME or not is_name(fields[DEVICE]) or not is_name(fields[HALL]):
        raise Refused("schema", "issuer")
    claims: dict[int, object] = fields[CLAIMS]  # type: ignore[assignment]  # the rows have looked at the types
    kind: int = fields[KIND]  # type: ignore[assignment]
    field.check(CLAIM_ROWS[kind], claims)
    if kind == ROSTER:
        _check_roster(claims[STAFF_ROWS])
    elif kind == CONFIG:
        _check_config(claims)
    elif kind == DECOMMISSION and claims[RETIRED] != fields[DEVICE]:
        raise Refused("schema", "retired")
    applicant = claims.get(APPLICANT) if kind == EVALUATION_REQUEST else None
    if isinstance(applicant, dict):
        field.check(rating.IDENTITY_ROWS, applicant)


def encode(command: Command) -> bytes:
    """The payload to be signed. Raises Refused("schema") for a command that no device would take."""
    fields: dict[int, object] = {
        ISSUER: ISSUER_NAME,
        DEVICE: command.device,
        HALL: command.hall,
        EXPIRES: command.expires_s,
        ISSUED: command.issued_s,
        KIND: command.kind,
        COUNTER: command.counter,
        CLAIMS: command.claims,
    }
    _check(fields)
    return cbor.encode(fields)


def decode(payload: bytes) -> Command:
    """The command in a payload, every bound checked. Raises Refused (encoding, structure, schema)."""
    fields = cbor.decode_map(payload)
    _check(fields)
    return Command(
        fields[DEVICE],  # type: ignore[arg-type]  # _check has looked at every type
        fields[HALL],  # type: ignore[arg-type]
        fields[EXPIRES],  # type: ignore[arg-type]
        fields[ISSUED],  # type: ignore[arg-type]
        fields[KIND],  # type: ignore[arg-type]
        fields[COUNTER],  # type: ignore[arg-type]
        fields[CLAIMS],  # type: ignore[arg-type]
    )


def seal(channel: Channel, signer: sign1.Signer, command: Command) -> bytes:
    """The message to the device. signer: the hall's command key."""
    return channel.seal(TYP, signer.sign(TYP, encode(command)))


def open(channel: Channel, command_public: object, message: bytes) -> Command:
    """The command in a message: signature, device and hall checked; counter, expiry and nonce are the caller's.

    command_public: key object of the suite. Raises Refused.
    """
    return open_envelope(channel, command_public, encrypt0.parse(message))


def open_envelope(channel: Channel, command_public: object, envelope: encrypt0.Envelope) -> Command:
    """Like open, for a message that is parsed already."""
    signed = sign1.parse(channel.open_envelope(TYP, envelope), TYP)
    if signed.disclosures:
        raise Refused("structure", "disclosures")
    if not sign1.verify(channel.suite, command_public, signed):
        raise Refused("signature")
    command = decode(signed.payload)
    if command.device != channel.device or command.hall != channel.hall:
        raise Refused("address", "device")
    return command
