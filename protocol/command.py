"""Commands from the gateway: signed by the hall's command key, then encrypted to one device.

Whoever holds the gateway's agreement key alone can send receipts, but no command. A device takes a command once:
its counter must be above the last one, and its expiry ahead (a time answer is bound to the device's nonce instead).
"""

from protocol import cbor, field, rating, sign1
from protocol.channel import Channel
from protocol.limits import CBOR_ITEMS_MAX, TIME_NONCE_BYTES, UTC_S_MAX
from protocol.refusal import Refused
from protocol.topic import is_name

TYP = sign1.COMMAND_TYP
ISSUER, DEVICE, HALL, EXPIRES, ISSUED, KIND, COUNTER, CLAIMS = 1, 2, 3, 4, 6, 9, 11, 16
ISSUER_NAME = "gateway"
COUNTER_MAX = 0xFFFFFFFFFFFF
EVALUATION_REQUEST, TIME_ANSWER, CONFIG, EVALUATION_CANCEL, ROSTER = 1, 2, 3, 4, 5

ROWS = (
    (ISSUER, "issuer", field.TEXT, 1, 32, True),
    (DEVICE, "device", field.TEXT, 1, 32, True),
    (HALL, "hall", field.TEXT, 1, 32, True),
    (EXPIRES, "expires_s", field.INT, 0, UTC_S_MAX, True),
    (ISSUED, "issued_s", field.INT, 0, UTC_S_MAX, True),
    (KIND, "kind", field.INT, EVALUATION_REQUEST, ROSTER, True),
    (COUNTER, "counter", field.INT, 1, COUNTER_MAX, True),
    (CLAIMS, "claims", field.MAP, 1, 16, True),
)

# Evaluation request: ask the visitor of this visit. Cancel: stop asking.
VISIT, WINDOW, STAFF, TIMEOUT_S, APPLICANT = 1, 2, 3, 4, 5
REQUEST_ROWS = (
    (VISIT, "visit", field.TEXT, 1, 50, True),
    (WINDOW, "window", field.TEXT, 1, 16, True),
    (STAFF, "staff", field.TEXT, 1, 20, False),
    (TIMEOUT_S, "timeout_s", field.INT, 5, 600, True),
    (APPLICANT, "applicant", field.MAP, 1, 4, False),  # rating.IDENTITY_ROWS; the device binds it to the rating
)
CANCEL_ROWS = ((VISIT, "visit", field.TEXT, 1, 50, True),)

# Time answer.
NONCE, TIME_MS = 1, 2
TIME_ROWS = (
    (NONCE, "nonce", field.BYTES, TIME_NONCE_BYTES, TIME_NONCE_BYTES, True),
    (TIME_MS, "time_ms", field.INT, 1, 1000 * UTC_S_MAX, True),
)

# Config: the whole of it each time, so that a device never mixes two.
VERSION, PLACE, STAFF_NAME, LANGUAGE, RATING_TIMEOUT_S, HEARTBEAT_S, BRIGHTNESS, STAFF_NUMBER = 1, 2, 3, 4, 5, 6, 7, 8
CONFIG_ROWS = (
    (VERSION, "version", field.INT, 1, 0xFFFFFFFF, True),
    (PLACE, "place", field.TEXT, 1, 16, True),  # window of an evaluator, door of a clock
    (STAFF_NAME, "staff_name", field.TEXT, 1, 12, False),
    (LANGUAGE, "language", field.TEXT, 2, 2, True),
    (RATING_TIMEOUT_S, "rating_timeout_s", field.INT, 5, 600, True),
    (HEARTBEAT_S, "heartbeat_s", field.INT, 10, 3600, True),
    (BRIGHTNESS, "brightness", field.INT, 0, 255, True),
    (STAFF_NUMBER, "staff_number", field.TEXT, 1, 20, False),
)
LANGUAGES = ("zh", "en")

# Roster of a clock: rows [slot, staff number, display name].
ROSTER_VERSION, STAFF_ROWS = 1, 2
ROSTER_ROWS = (
    (ROSTER_VERSION, "version", field.INT, 1, 0xFFFFFFFF, True),
    (STAFF_ROWS, "staff_rows", field.LIST, 0, CBOR_ITEMS_MAX, True),
)

CLAIM_ROWS = {
    EVALUATION_REQUEST: REQUEST_ROWS,
    TIME_ANSWER: TIME_ROWS,
    CONFIG: CONFIG_ROWS,
    EVALUATION_CANCEL: CANCEL_ROWS,
    ROSTER: ROSTER_ROWS,
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
        if not isinstance(row, list) or len(row) != 3:
            raise Refused("schema", "staff_rows")
        field.check_value("slot", row[0], field.INT, 0, 0xFFFF)
        field.check_value("staff", row[1], field.TEXT, 1, 20)
        field.check_value("name", row[2], field.TEXT, 1, 12)


def _check(fields: dict[int, object]) -> None:
    field.check(ROWS, fields)
    if fields[ISSUER] != ISSUER_NAME or not is_name(fields[DEVICE]) or not is_name(fields[HALL]):
        raise Refused("schema", "issuer")
    claims: dict[int, object] = fields[CLAIMS]  # type: ignore[assignment]  # the rows have looked at the types
    kind: int = fields[KIND]  # type: ignore[assignment]
    field.check(CLAIM_ROWS[kind], claims)
    if kind == ROSTER:
        _check_roster(claims[STAFF_ROWS])
    if kind == CONFIG and claims[LANGUAGE] not in LANGUAGES:
        raise Refused("schema", "language")
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
    signed = sign1.parse(channel.open(TYP, message), TYP)
    if signed.disclosures:
        raise Refused("structure", "disclosures")
    if not sign1.verify(channel.suite, command_public, signed):
        raise Refused("signature")
    command = decode(signed.payload)
    if command.device != channel.device or command.hall != channel.hall:
        raise Refused("address", "device")
    return command
