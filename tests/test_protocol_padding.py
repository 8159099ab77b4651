"""Padding: the length of a message tells nothing about what it holds. Runs on CPython and on MicroPython."""

import wire_samples
from refusing import is_our_fault, refusal_of
from sealed_pair import Pair, flip
from suites import ON_VM, suites
from wire_samples import NOW_S

from protocol import padding, rating, record, sealed_record
from protocol.limits import BUCKETS_BYTES, MESSAGE_BYTES_MAX

HEAP_KIB = 128  # the fullest message is made at one end and opened at the other, in words of 64 bits


def test_content_comes_back_at_both_ends_of_every_bucket():
    before = 0
    for bucket in BUCKETS_BYTES:
        for size in (before, before + 1, bucket - 2, bucket - 1):
            for fill in (b"\x00", b"\x80", b"\xff", b"a"):
                padded = padding.pad(fill * size)
                assert len(padded) == bucket, (size, bucket)
                assert padding.unpad(padded) == fill * size, (size, fill)
        before = bucket


def test_content_that_fits_no_bucket_is_our_fault():
    assert is_our_fault(padding.pad, bytes(BUCKETS_BYTES[-1]))


def test_padding_is_a_mark_and_zeros():
    assert padding.pad(b"abc") == b"abc\x80" + bytes(BUCKETS_BYTES[0] - 4)


def test_other_lengths_than_the_buckets_are_refused():
    for size in range(1, BUCKETS_BYTES[-1] + 20, 13):
        if size not in BUCKETS_BYTES:
            assert refusal_of(padding.unpad, b"a" * (size - 1) + b"\x80") == "padding", size
    assert refusal_of(padding.unpad, b"") == "padding"


def test_a_bigger_bucket_than_needed_is_refused():
    for small, big in zip(BUCKETS_BYTES, BUCKETS_BYTES[1:]):
        assert refusal_of(padding.unpad, b"a" * (small - 1) + b"\x80" + bytes(big - small)) == "padding"
        assert refusal_of(padding.unpad, b"a" * small + b"\x80" + bytes(big - small - 1)) is None


def test_padding_without_its_mark_is_refused():
    for bucket in BUCKETS_BYTES:
        assert refusal_of(padding.unpad, bytes(bucket)) == "padding"
        assert refusal_of(padding.unpad, b"a" * bucket) == "padding"
        assert refusal_of(padding.unpad, bytes(bucket - 1) + b"\x81") == "padding"


def test_every_bit_of_the_padding_counts():
    content = b"content"
    padded = padding.pad(content)
    for bit in range(8 * len(content), 8 * len(padded)):
        try:
            assert padding.unpad(flip(padded, bit)) != content, bit
        except Exception as error:
            assert error.reason == "padding", bit


def _message_bytes(pair, claims, redactable, **more):
    disclosures, digests = wire_samples.disclosed(pair.suite, redactable)
    made = wire_samples.a_record(
        record.RATING, claims, digests, seq=0xFFFFFFFF, device="e-000001", hall="chaoyang-001", **more
    )
    return len(sealed_record.seal(pair.device, pair.signer, record.encode(made), disclosures))


def _every_rating():
    """Claims of every outcome, level and number of tags that a window can send."""
    yield wire_samples.rating_bare()
    yield wire_samples.rating_timed_out()
    long = {rating.WINDOW: "A012", rating.STAFF: "S0000001"}
    for level in range(rating.LEVEL_MIN, rating.LEVEL_MAX + 1):
        for tags in range(9):
            claims = wire_samples.rating_full()
            claims.update(long)
            claims[rating.LEVEL] = level
            claims[rating.STAFF_LEVEL] = 6 - level
            claims[rating.DELAY_MS] = 599_999
            claims[rating.TAGS] = [999] * tags
            if not tags:
                del claims[rating.TAGS]
            yield claims


def test_the_length_of_a_rating_does_not_tell_level_outcome_or_tags():
    """And it is within the budget, after months of uptime as well."""
    pair = Pair(suites()[0], name="e-000001", hall="chaoyang-001")
    visit = {rating.OCCASION: [NOW_S, "BJ-20260921-00000123"]}
    months_ms = {"uptime_ms": record.uptime_shown(record.RATING, 1 << 33)}
    sizes = set([_message_bytes(pair, claims, visit, **months_ms) for claims in _every_rating()])
    visit[rating.IDENTITY] = dict(wire_samples.IDENTITY)
    visit[rating.IDENTITY][rating.NAME] = "欧阳娜娜古丽扎尔"
    with_identity = set([_message_bytes(pair, claims, visit, **months_ms) for claims in _every_rating()])
    print("a rating on the wire:", sizes, "bytes, with identity", with_identity)
    assert len(sizes) == len(with_identity) == 1
    assert max(sizes) <= 420 and max(with_identity) <= 640


def test_the_length_of_a_receipt_and_a_short_command_are_the_same():
    pair = Pair(suites()[0])
    assert len(pair.gateway.seal("hs-rcp", b"short")) == len(pair.gateway.seal("hs-cmd", bytes(300)))


def test_the_fullest_message_of_the_longest_names_is_within_the_limit():
    pair = Pair(suites()[0], hall="h" * 32, name="d" * 32)
    bucket = 2048 if ON_VM else BUCKETS_BYTES[-1]  # no device seals a bigger one
    message = pair.device.seal("hs-rec", bytes(bucket - 1))
    assert len(message) + BUCKETS_BYTES[-1] - bucket <= MESSAGE_BYTES_MAX
    assert pair.gateway.open("hs-rec", message) == bytes(bucket - 1)
