"""Receipts: what is durable, and what is missing. Runs on CPython and on MicroPython."""

import wire_samples
from refusing import refusal_of
from sealed_pair import Pair
from suites import suites

from protocol import cbor, receipt
from protocol.receipt import Receipt

STREAM = bytes(8)
SEQ_MAX = 4294967295


def _decode(through, holes, highest):
    return receipt.decode(cbor.encode({2: through, 3: holes, 4: highest, 10: STREAM}))


def _refuses(through, holes, highest=SEQ_MAX):
    """True when neither encode nor decode takes it."""
    decoding = refusal_of(_decode, through, holes, highest)
    assert decoding == refusal_of(receipt.encode, Receipt(STREAM, through, holes, highest)), (through, holes)
    return decoding == "schema"


def test_a_receipt_comes_back_as_it_was():
    for suite in suites():
        pair = Pair(suite)
        some = [[1, 3], [5, 5], [9, 12]]
        for made in ((0, [], 0), (7, [], 9), (7, [[8, 8]], 9), (0, some, 99), (SEQ_MAX, [], SEQ_MAX)):
            found = receipt.open(pair.device, receipt.seal(pair.gateway, Receipt(STREAM, *made)))
            assert found.stream == STREAM
            assert (found.through, found.holes, found.highest) == made


def test_holes_lie_above_what_is_durable():
    assert not _refuses(7, [[8, 9]])
    for hole in ([7, 8], [7, 7], [1, 2], [0, 0], [-1, 8]):
        assert _refuses(7, [hole]), hole


def test_holes_ascend_and_do_not_touch():
    assert not _refuses(0, [[1, 2], [4, 4]])
    for holes in ([[1, 2], [3, 4]], [[1, 2], [2, 3]], [[4, 5], [1, 2]], [[1, 2], [1, 2]], [[1, 5], [2, 3]]):
        assert _refuses(0, holes), holes


def test_behind_every_hole_something_is_durable():
    assert not _refuses(7, [[8, 9]], 10)
    assert not _refuses(7, [], 7)
    for highest in (9, 8, 7, 0, -1, SEQ_MAX + 1, "10", None):
        assert _refuses(7, [[8, 9]], highest), highest
    assert _refuses(7, [], 6)


def test_a_hole_is_first_and_last():
    for hole in ([], [8], [8, 9, 10], [9, 8], ["8", "9"], [8, None], [True, 9], [8, True], {8: 9}, 8, b"89", None):
        assert _refuses(7, [hole]), hole


def test_holes_end_with_the_greatest_number():
    assert not _refuses(0, [[SEQ_MAX - 1, SEQ_MAX - 1]])
    assert _refuses(0, [[SEQ_MAX, SEQ_MAX]])
    assert _refuses(0, [[SEQ_MAX, SEQ_MAX + 1]])
    assert _refuses(SEQ_MAX, [[SEQ_MAX, SEQ_MAX]])
    assert _refuses(SEQ_MAX, [[SEQ_MAX + 1, SEQ_MAX + 1]])


def test_sixteen_holes_are_named_and_no_more():
    holes = [[2 * index, 2 * index] for index in range(1, 18)]
    assert not _refuses(0, holes[:16])
    assert _refuses(0, holes)


def test_the_fullest_receipt_is_as_long_as_the_shortest():
    pair = Pair(suites()[0])
    holes = [[SEQ_MAX - 3 * index, SEQ_MAX - 3 * index + 1] for index in range(16, 0, -1)]
    fullest = receipt.seal(pair.gateway, Receipt(STREAM, SEQ_MAX - 1000, holes, SEQ_MAX))
    assert len(fullest) == len(receipt.seal(pair.gateway, Receipt(STREAM, 0, [], 0)))


def test_a_device_takes_no_receipt_from_a_device():
    for suite in suites():
        pair = Pair(suite)
        message = receipt.seal(pair.device, wire_samples.a_receipt())
        assert refusal_of(receipt.open, pair.device, message) == "decrypt"


def test_other_content_is_no_receipt():
    for suite in suites():
        pair = Pair(suite)
        for content, reason in ((b"", "size"), (b"\xff", "encoding"), (b"\x80", "structure"), (b"\xa0", "schema")):
            assert refusal_of(receipt.open, pair.device, pair.gateway.seal(receipt.TYP, content)) == reason
