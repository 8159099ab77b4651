"""What the intake thinks of a message: one table of codes, and the pure functions that find them.

Every code has one effect:
    ACCEPT      stored or known already; nothing is marked
    FLAG        stored, counted, forwarded like any other; the code stands in the record's flags
    EVIDENCE    a second payload under a number that is taken: kept beside the first, never counted
    QUARANTINE  kept with its bytes, not stored as a record; the device gets no receipt and the gap shows
There is no effect that drops. No rule reads the level of a rating to decide its effect: a bad rating is never refused.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from gateway.registry import KINDS, Device
from protocol import punch, rating
from protocol.limits import COARSE_S
from protocol.record import NO_TIME, PUNCH, RATING, Record, coarse

ACCEPT, FLAG, EVIDENCE, QUARANTINE = "accept", "flag", "evidence", "quarantine"


class Rule(NamedTuple):
    """One line of the table. code: word that is counted, logged and stored. meaning: for a person."""

    code: str
    effect: str
    meaning: str


_TABLE = (
    Rule("size", QUARANTINE, "empty, or longer than a message may be"),
    Rule("topic", QUARANTINE, "not on a topic where devices send"),
    Rule("encoding", QUARANTINE, "not deterministic CBOR within the bounds of the wire"),
    Rule("structure", QUARANTINE, "not the COSE structure of a record"),
    Rule("algorithm", QUARANTINE, "names another algorithm, or an unknown header"),
    Rule("type", QUARANTINE, "a message of another type"),
    Rule("address", QUARANTINE, "topic, key id and issuer do not name the same device"),
    Rule("key", QUARANTINE, "made for another key epoch of this gateway"),
    Rule("decrypt", QUARANTINE, "forged, damaged, or sealed for another topic"),
    Rule("padding", QUARANTINE, "not padded as the wire demands"),
    Rule("signature", QUARANTINE, "the signature is not the device's"),
    Rule("schema", QUARANTINE, "a field is missing, unknown or out of bounds"),
    Rule("disclosure", QUARANTINE, "a disclosure that nobody signed"),
    Rule("duplicate", ACCEPT, "the ledger holds the same payload already: receipted again, not counted again"),
    Rule(
        "equivocation", EVIDENCE, "another payload under a number that the ledger holds: the device contradicts itself"
    ),
    Rule("retained", QUARANTINE, "a stored copy from the broker: devices never retain, so nobody knows how old it is"),
    Rule("hall", QUARANTINE, "made for another hall"),
    Rule("unknown", QUARANTINE, "the registry has no such device"),
    Rule("pending", QUARANTINE, "the device is enrolled but not approved yet"),
    Rule("revoked", QUARANTINE, "the device is revoked"),
    Rule("kind", QUARANTINE, "a kind of record that this kind of device does not make"),
    Rule("replayed", QUARANTINE, "a heartbeat older than one that was seen"),
    Rule("internal", QUARANTINE, "our fault: the intake failed on this message"),
    Rule("window", FLAG, "made at another window or door than the registry has for the device"),
    Rule("no_clock", FLAG, "the device did not know the time"),
    Rule("clock_ahead", FLAG, "dated later than the gateway's own clock"),
    Rule("late", FLAG, "more than a day old when it arrived"),
    Rule("time_differs", FLAG, "the disclosed time is not in the signed quarter of an hour"),
    Rule("reason_missing", FLAG, "a bad rating without tag and comment"),
    Rule("tag_level", FLAG, "a tag that belongs to another level"),
    Rule("quick", FLAG, "pressed faster than a person can read the question"),
    Rule("visit_missing", FLAG, "a rating for a visit, without visit number"),
    Rule("visit_unknown", FLAG, "the visit was not opened at this gateway"),
    Rule("visit_again", FLAG, "a second outcome of one visit"),
    Rule("visit_other_window", FLAG, "the visit was opened at another window"),
    Rule("visit_closed", FLAG, "the business system had cancelled the visit"),
    Rule("visit_superseded", FLAG, "the next visit at the window was opened before this outcome arrived"),
    Rule("visit_late", FLAG, "made long after the question for the visit should have ended"),
    Rule("item_code", FLAG, "the visit's item code has neither 31 nor 33 characters"),
    Rule("item_unknown", FLAG, "the item library has no such item"),
    Rule("item_inactive", FLAG, "the item library has the item as no longer in use"),
    Rule("item_differs", FLAG, "the visit's item has another name than in the item library"),
    Rule("department_differs", FLAG, "the visit's department is not the one that the item library has for the item"),
    Rule("credit_code", FLAG, "the visit's unified social credit code fails its check"),
    Rule("item_words", FLAG, "the visit's words held the applicant's name or a number: they are not kept"),
    Rule(
        "streams",
        FLAG,
        "heartbeat or opening event name one more stream than a device may: what it lacks is not counted as a gap",
    ),
    Rule("reopened", FLAG, "the device began a new stream"),
    Rule("unopened", FLAG, "the stream does not begin with its opening event"),
    Rule("previous_differs", FLAG, "the opening event names another previous stream or head than the ledger knows"),
    Rule("chain", FLAG, "prev is not the hash of the record before"),
)

# Marks that only some levels can earn. They travel with the record, but a count that grows at once would tell a window
# of the rating that was just given there.
TELL_LEVEL = {"reason_missing", "tag_level"}

RULES: Mapping[str, Rule] = {rule.code: rule for rule in _TABLE}

# Device clocks are set to about a second; five minutes allow a clock that ran free for a month.
CLOCK_TOLERANCE_S = 300
# A journal that empties after a night without network is normal; more than a day deserves a look.
LATE_S = 24 * 3600
# Reading five words and choosing takes a person longer; faster ones are habit, test or machine.
QUICK_MS = 300
BAD_LEVEL_MAX = 2  # domain reference P4: the last two levels are bad


class Refusal(Exception):  # what happened to the message, not a fault of ours
    """A message for the quarantine. reason: a code of RULES with that effect. Holds nothing of the message."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def check_origin(record: Record, device: Device, hall: str) -> None:
    """The verified record is the device's own, for this hall, and of a kind it makes. Raises Refusal."""
    if record.device != device.name:
        raise Refusal("address")
    if record.hall != hall:
        raise Refusal("hall")
    if record.kind not in KINDS[device.kind]:
        raise Refusal("kind")


def flags(record: Record, device: Device, received_s: int, disclosed: Mapping[int, Any]) -> list[str]:
    """Codes with effect FLAG that the record alone shows, in the order of the table.

    received_s: the gateway's time. disclosed: {claim: value} of a rating's disclosures.
    """
    found = _clock_flags(record, received_s)
    if record.kind in (RATING, PUNCH) and _place(record) != device.place:
        found.insert(0, "window")
    if record.kind == RATING:
        found += _rating_flags(record, disclosed)
    return found


def _place(record: Record) -> object:
    return record.claims[rating.WINDOW if record.kind == RATING else punch.DOOR]


def _clock_flags(record: Record, received_s: int) -> list[str]:
    if record.source == NO_TIME:
        return ["no_clock"]
    if record.coarse_s > received_s + CLOCK_TOLERANCE_S:
        return ["clock_ahead"]
    # The whole quarter of an hour must be more than a day ago.
    return ["late"] if received_s - (record.coarse_s + COARSE_S) > LATE_S else []


def _rating_flags(record: Record, disclosed: Mapping[int, Any]) -> list[str]:
    claims, found = record.claims, []
    exact_s, visit = disclosed.get(rating.OCCASION, (0, ""))
    if exact_s and coarse(exact_s) != record.coarse_s:
        found.append("time_differs")
    level, tags = claims.get(rating.LEVEL), claims.get(rating.TAGS)
    if isinstance(level, int) and level <= BAD_LEVEL_MAX and not tags and rating.COMMENT not in disclosed:
        found.append("reason_missing")
    if isinstance(tags, list) and any(tag // 100 not in (level, claims.get(rating.STAFF_LEVEL)) for tag in tags):
        found.append("tag_level")
    delay_ms = claims.get(rating.DELAY_MS)
    if isinstance(level, int) and isinstance(delay_ms, int) and delay_ms < QUICK_MS:
        found.append("quick")
    if claims[rating.MODE] == rating.VISIT_MODE and not visit:
        found.append("visit_missing")
    return found
