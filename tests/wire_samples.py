"""Records, receipts and commands as a hall sends them, for tests of the wire. Runs on CPython and on MicroPython.

Functions, not constants: each call gives fresh values that a test may spoil.
"""

from protocol import command, disclosure, event, heartbeat, punch, rating, record, release
from protocol.receipt import Receipt

HALL = "yongxing"
NAME = "e-001"
NOW_S = 1_790_000_123
STREAM = b"\xa1\xb2\xc3\xd4\xe5\xf6\x07\x18"
BOOT = b"\x11\x22\x33\x44\x55\x66\x77\x88"
PREV = bytes(range(16))

VISIT = "BJ20260921-000123"
IDENTITY = {
    rating.NAME: "张三丰",
    rating.PHONE: "13800138000",
    rating.ID_NUMBER: "110101199003074514",
    rating.ID_KIND: "111",
}


def rating_bare():
    """Claims of a walk-up press."""
    return {rating.WINDOW: "12", rating.OUTCOME: rating.RATED, rating.LEVEL: 5, rating.MODE: rating.WALK_UP}


def rating_full():
    """Claims of a rated visit, every optional one present."""
    return {
        rating.WINDOW: "12",
        rating.OUTCOME: rating.RATED,
        rating.LEVEL: 1,
        rating.TAGS: [101, 203],
        rating.MODE: rating.VISIT_MODE,
        rating.STAFF_LEVEL: 2,
        rating.DELAY_MS: 4200,
        rating.STAFF: "S001",
    }


def rating_timed_out():
    """Claims of a visit that nobody rated."""
    return {rating.WINDOW: "12", rating.OUTCOME: rating.TIMED_OUT, rating.MODE: rating.VISIT_MODE, rating.STAFF: "S001"}


def redactable():
    """Every redactable claim of a rating."""
    return {
        rating.OCCASION: [NOW_S, VISIT],
        rating.COMMENT: "等了很久，窗口没有人。",
        rating.IDENTITY: dict(IDENTITY),
    }


def punch_full():
    """Claims of a punch at a known time."""
    return {
        punch.DOOR: "东门",
        punch.STAFF: "S001",
        punch.DIRECTION: punch.AUTO,
        punch.SCORE: 187,
        punch.TIME: NOW_S,
        punch.METHOD: punch.FINGERPRINT,
    }


def event_opened():
    """Claims of a stream's first record, every optional one present."""
    return {
        event.CODE: event.STREAM_OPENED,
        event.TEXT: "after repair",
        event.VALUE: -3,
        event.PREVIOUS_STREAM: bytes(8),
        event.PREVIOUS_HEAD: 41,
        event.DIGEST: PREV,
        event.BY: "S002",
    }


def heartbeat_full():
    """Claims of a heartbeat that asks for the time."""
    return {
        heartbeat.STREAM: STREAM,
        heartbeat.HEAD: 70_000,
        heartbeat.HEAD_HASH: PREV,
        heartbeat.PRESSES: [3, 1, 4, 15, 926],
        heartbeat.PENDING: 2,
        heartbeat.FREE_FLASH: 1_500_000,
        heartbeat.FREE_HEAP: 31_000,
        heartbeat.CONFIG_VERSION: 7,
        heartbeat.FIRMWARE: "0.1.0",
        heartbeat.THROUGH: 69_998,
        heartbeat.TIME_NONCE: BOOT,
        heartbeat.ROSTER_VERSION: 0,
        heartbeat.DRIFT_PPM: -17,
        heartbeat.UNKNOWN_FINGERS: 3,
        heartbeat.RELEASE: 4,
        heartbeat.UPDATE_SEQUENCE: 6,
        heartbeat.UPDATE_BYTES: 3584,
        heartbeat.UPDATE_REFUSED: 5,
    }


CLAIMS = {
    record.RATING: rating_full,
    record.PUNCH: punch_full,
    record.EVENT: event_opened,
    record.HEARTBEAT: heartbeat_full,
}


def a_record(kind=record.RATING, claims=None, digests=None, **changes):
    """A Record in the middle of a stream. changes: attributes that shall differ."""
    made = record.Record(
        NAME, HALL, record.coarse(NOW_S), kind, STREAM, 70_001, PREV, BOOT, record.uptime_shown(kind, 123_456_789),
        record.GATEWAY_TIME, CLAIMS[kind]() if claims is None else claims, digests or {},
    )  # fmt: skip
    for name in changes:
        setattr(made, name, changes[name])
    return made


def disclosed(suite, values):
    """(disclosures, digests) of redactable values, in the order of their claim numbers."""
    disclosures, digests = [], {}
    for claim in sorted(values):
        one, digests[claim] = disclosure.make(suite, claim, values[claim])
        disclosures.append(one)
    return disclosures, digests


def a_receipt():
    """A receipt with holes."""
    return Receipt(STREAM, 69_990, [[69_991, 69_991], [69_995, 69_998]], 70_001)


def evaluation_request():
    """Claims of command kind 1, every optional one present."""
    return {
        command.VISIT: VISIT,
        command.WINDOW: "12",
        command.STAFF: "S001",
        command.TIMEOUT_S: 60,
        command.APPLICANT: dict(IDENTITY),
    }


def time_answer():
    """Claims of command kind 2."""
    return {command.NONCE: BOOT, command.TIME_MS: NOW_S * 1000 + 456}


def config():
    """Claims of command kind 3, every optional one present."""
    return {
        command.VERSION: 7,
        command.PLACE: "12",
        command.STAFF_NAME: "李明",
        command.LANGUAGE: "zh",
        command.RATING_TIMEOUT_S: 60,
        command.HEARTBEAT_S: 300,
        command.BRIGHTNESS: 128,
        command.STAFF_NUMBER: "S001",
        command.RATE_STAFF: 1,
        command.TAG_CODES: [115, 114, 214, 213],
        command.ASK_PHONE: 1,
        command.OPENING_MIN: 510,
        command.QUIET_FROM_MIN: 1080,
        command.QUIET_UNTIL_MIN: 480,
        command.UTC_OFFSET_MIN: 480,
        command.ERASE_ON_TAMPER: 1,
        command.SENSOR_PASSWORD: 1886,
    }


def cancel():
    """Claims of command kind 4."""
    return {command.VISIT: VISIT}


def roster():
    """Claims of command kind 5."""
    return {command.ROSTER_VERSION: 3, command.STAFF_ROWS: [[1, "S001", "李明"], [2, "S002", "王芳", 1]]}


def slot():
    """Claims of command kinds 6 and 7."""
    return {command.SLOT: 2}


def decommission():
    """Claims of command kind 8."""
    return {command.RETIRED: NAME}


def update_notice():
    """Claims of command kind 9."""
    return {command.RELEASE: b"\xd8\x62\x84"}


def update_chunk():
    """Claims of command kind 10."""
    return {command.SEQUENCE: 6, command.OFFSET: 3584, command.DATA: bytes(range(64))}


def a_notice(**changes):
    """A release notice. changes: attributes that shall differ."""
    made = release.Notice("evaluator", 6, "0.2.0", NOW_S + 86400, 80_000, bytes(range(32)))
    for name in changes:
        setattr(made, name, changes[name])
    return made


def roster_row(slot):
    """A row of a big roster."""
    return [slot, "S" + str(100 + slot), "欧阳明"]


COMMAND_CLAIMS = {
    command.EVALUATION_REQUEST: evaluation_request,
    command.TIME_ANSWER: time_answer,
    command.CONFIG: config,
    command.EVALUATION_CANCEL: cancel,
    command.ROSTER: roster,
    command.ENROL: slot,
    command.DELETE_FINGER: slot,
    command.DECOMMISSION: decommission,
    command.UPDATE_NOTICE: update_notice,
    command.UPDATE_CHUNK: update_chunk,
}


def a_command(kind=command.EVALUATION_REQUEST, claims=None, **changes):
    """A Command for the device of these samples. changes: attributes that shall differ."""
    made = command.Command(
        NAME, HALL, NOW_S + 60, NOW_S, kind, 42, COMMAND_CLAIMS[kind]() if claims is None else claims
    )
    for name in changes:
        setattr(made, name, changes[name])
    return made
