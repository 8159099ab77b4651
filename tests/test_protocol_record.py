"""Records: what a payload must say about its place, its time and its kind. Runs on CPython and on MicroPython."""

import wire_samples
from refusing import refusal_of
from suites import suites
from wire_samples import NOW_S

from protocol import cbor, event, heartbeat, punch, rating, record

NAMES = "device hall coarse_s kind stream seq prev boot uptime_ms source claims digests".split(" ")
DIGESTS = {1: bytes(32), 2: b"\xff" * 32}


def _refuses(kind=record.RATING, **changes):
    """True when neither encode nor decode takes a record with these changes."""
    made = wire_samples.a_record(kind)
    fields = cbor.decode(record.encode(made))
    for name in changes:
        setattr(made, name, changes[name])
        fields[KEYS[name]] = changes[name]
    encoding = refusal_of(record.encode, made)
    decoding = refusal_of(record.decode, cbor.encode(fields))
    assert encoding == decoding, (encoding, decoding, changes)
    return encoding == "schema"


KEYS = {
    "device": 1,
    "hall": 3,
    "coarse_s": 6,
    "kind": 9,
    "stream": 10,
    "seq": 11,
    "prev": 12,
    "uptime_ms": 14,
    "source": 15,
    "claims": 16,
}
KEYS["digests"] = 17


def test_a_record_comes_back_as_it_was():
    for kind in wire_samples.CLAIMS:
        made = wire_samples.a_record(kind, digests=DIGESTS if kind == record.RATING else None)
        found = record.decode(record.encode(made))
        for name in NAMES:
            assert getattr(found, name) == getattr(made, name), (kind, name)
        assert record.encode(found) == record.encode(made)


def test_barest_and_fullest_records_pass():
    bare = {punch.DOOR: "d", punch.STAFF: "s", punch.DIRECTION: 0, punch.SCORE: 0, punch.METHOD: 1}
    for made in (
        wire_samples.a_record(claims=wire_samples.rating_bare(), seq=1, prev=record.GENESIS_PREV, uptime_ms=0),
        wire_samples.a_record(claims=wire_samples.rating_timed_out()),
        wire_samples.a_record(record.PUNCH, bare, source=0, coarse_s=0),
        wire_samples.a_record(record.EVENT, {event.CODE: 255}),
        wire_samples.a_record(seq=4294967295, uptime_ms=281474976600000, coarse_s=4294966500, source=2),
        wire_samples.a_record(digests={1: bytes(32), 2: bytes(32), 3: bytes(32)}),
    ):
        assert record.encode(record.decode(record.encode(made))) == record.encode(made)


def test_device_and_hall_are_names():
    for name in ("E-001", "e 001", "e/1", "+", "张", ""):
        assert _refuses(device=name) and _refuses(hall=name), name


def test_only_the_first_record_of_a_stream_has_nothing_before_it():
    assert _refuses(seq=1)
    assert _refuses(prev=record.GENESIS_PREV)
    assert not _refuses(seq=1, prev=record.GENESIS_PREV)


def test_time_in_clear_is_a_quarter_of_an_hour():
    for coarse_s in (NOW_S, record.coarse(NOW_S) + 1, record.coarse(NOW_S) - 1, 899, 1):
        assert _refuses(coarse_s=coarse_s), coarse_s
    assert not _refuses(coarse_s=900)
    assert [record.coarse(time_s) for time_s in (0, 899, 900, 1799, 1800)] == [0, 0, 900, 900, 1800]


def test_the_uptime_of_a_rating_tells_its_moment_to_a_quarter_of_an_hour_and_no_better():
    assert record.uptime_shown(record.RATING, 1_799_999) == 900_000
    for uptime_ms in (1, 899_999, 900_001):
        assert _refuses(uptime_ms=uptime_ms), uptime_ms
        assert not _refuses(record.PUNCH, uptime_ms=uptime_ms)
    assert not _refuses(uptime_ms=900_000)


def test_a_record_without_a_clock_carries_no_time_and_only_it():
    assert not _refuses(source=0, coarse_s=0)
    assert _refuses(source=0)
    assert _refuses(coarse_s=0) and _refuses(source=2, coarse_s=0)
    timeless = wire_samples.punch_full()
    del timeless[punch.TIME]
    assert _refuses(record.PUNCH, source=0, coarse_s=0)
    assert _refuses(record.PUNCH, claims=timeless)
    assert not _refuses(record.PUNCH, claims=timeless, source=0, coarse_s=0)


def test_only_ratings_have_digests():
    for kind in (record.PUNCH, record.EVENT, record.HEARTBEAT):
        assert _refuses(kind, digests=DIGESTS)
    assert not _refuses(digests=DIGESTS)


def test_digests_are_32_bytes_of_known_claims():
    for digests in ({4: bytes(32)}, {0: bytes(32)}, {-1: bytes(32)}, {1: bytes(31)}, {1: bytes(33)}, {1: "a" * 32}):
        assert _refuses(digests=digests), digests
    assert _refuses(digests={1: None}) and _refuses(digests={1: [bytes(32)]})


def test_an_empty_map_of_digests_is_left_out():
    fields = cbor.decode(record.encode(wire_samples.a_record()))
    assert record.DIGESTS not in fields
    fields[record.DIGESTS] = {}
    assert refusal_of(record.decode, cbor.encode(fields)) == "schema"


def test_claims_of_another_kind_are_refused():
    for kind in wire_samples.CLAIMS:
        for other in wire_samples.CLAIMS:
            if other != kind:
                assert _refuses(kind, claims=wire_samples.CLAIMS[other]()), (kind, other)


def _rating(**changes):
    claims = wire_samples.rating_full()
    for name in changes:
        key = getattr(rating, name.upper())
        if changes[name] is None:
            del claims[key]
        else:
            claims[key] = changes[name]
    return claims


def test_a_level_stands_exactly_where_it_was_rated():
    assert _refuses(claims=_rating(level=None))
    assert _refuses(claims=_rating(outcome=rating.TIMED_OUT))
    assert _refuses(claims=_rating(outcome=rating.TIMED_OUT, level=None))  # staff level and tags still stand
    assert _refuses(claims=_rating(outcome=rating.TIMED_OUT, level=None, tags=None))
    assert _refuses(claims=_rating(outcome=rating.TIMED_OUT, level=None, staff_level=None))
    assert not _refuses(claims=_rating(outcome=rating.TIMED_OUT, level=None, tags=None, staff_level=None))
    assert _refuses(claims=_rating(outcome=rating.TIMED_OUT, tags=None, staff_level=None))


def test_every_level_of_every_rating_is_taken():
    for level in range(1, 6):
        assert not _refuses(claims=_rating(level=level, staff_level=6 - level))


def test_tags_are_codes():
    for tags in ([0], [1000], [-1], ["a"], [None], [True], [[1]], [1, 2, 0]):
        assert _refuses(claims=_rating(tags=tags)), tags
    assert not _refuses(claims=_rating(tags=[1, 999]))


def test_events_of_later_firmware_are_taken():
    named = sorted(event.NAMES)
    assert named == list(range(1, len(named) + 1))
    for code in (named[-1] + 1, 254, 255):
        assert not _refuses(record.EVENT, claims={event.CODE: code})


def test_presses_are_five_counts():
    for presses in ([0] * 4, [0] * 6, [0, 0, 0, 0, -1], [0, 0, 0, 0, 4294967296], [0, 0, 0, 0, True], ["0"] * 5):
        claims = wire_samples.heartbeat_full()
        claims[heartbeat.PRESSES] = presses
        assert _refuses(record.HEARTBEAT, claims=claims), presses


def test_redactable_values_are_bounded_as_well():
    def check(claim, value):
        values = wire_samples.redactable()
        values[claim] = value
        return refusal_of(rating.check_redactable, values)

    for identity in ({5: "x"}, {1: 1}, {1: ""}, {1: "字" * 31}, {2: b"138"}):
        assert check(rating.IDENTITY, identity) == "schema", identity
    for occasion in ([0, ""], [1], [1, "A", 1], [-1, "A"], [4294967296, "A"], ["A", 1], [True, "A"], [1, None]):
        assert check(rating.OCCASION, occasion) == "schema", occasion
    assert check(rating.OCCASION, [0, "A" * 51]) == "schema"
    for occasion in ([1, ""], [0, "A"], [4294967295, "字" * 50]):
        assert check(rating.OCCASION, occasion) is None, occasion
    assert refusal_of(rating.check_redactable, {}) is None
    assert refusal_of(rating.check_redactable, {rating.IDENTITY: {rating.PHONE: "1"}}) is None


def test_the_next_record_carries_the_hash_of_the_payload():
    for suite in suites():
        payload = record.encode(wire_samples.a_record())
        assert record.payload_hash(suite, payload) == suite.sha256(payload)[:16]


def test_other_values_than_a_map_are_no_record():
    for value in (None, 1, b"", "text", [], [1, 2]):
        assert refusal_of(record.decode, cbor.encode(value)) == "structure"
    assert refusal_of(record.decode, b"") == "size"
    assert refusal_of(record.decode, record.encode(wire_samples.a_record()) + b"\x00") == "encoding"
