"""The encoding against cbor2, an implementation that is not ours: same bytes, same values, nothing more is taken."""

import contextlib

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from refusing import refusal_of

from protocol import cbor
from protocol.limits import CBOR_DEPTH_MAX, CBOR_ITEMS_MAX
from protocol.refusal import Refused

KEYS = st.integers(-24, 23)
NUMBERS = st.integers(-(2**64), 2**64 - 1)
LEAVES = st.none() | st.booleans() | NUMBERS | st.binary(max_size=60) | st.text(max_size=30)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(KEYS, inner, max_size=6),
    max_leaves=25,
)


def _depth(value: object) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max((_depth(item) for item in inner), default=0)


def _is_canonical(data: bytes) -> bool:
    """What cbor2, asked to be strict, and a second encoding say. Its tags, floats and other keys are sorted out."""
    try:
        value = cbor2.loads(data, max_depth=64, allow_indefinite=False, allow_duplicate_keys=False)
        return cbor2.dumps(value, canonical=True) == data and _is_ours(value) and _depth(value) <= CBOR_DEPTH_MAX
    except Exception:
        return False


def _is_ours(value: object) -> bool:
    if isinstance(value, bool | bytes | str | None):
        return True
    if isinstance(value, int):
        return -(2**64) <= value < 2**64
    if isinstance(value, list):
        return len(value) <= CBOR_ITEMS_MAX and all(_is_ours(item) for item in value)
    return isinstance(value, dict) and all(
        isinstance(key, int) and not isinstance(key, bool) and -24 <= key <= 23 and _is_ours(item)
        for key, item in value.items()
    )


@settings(max_examples=300, deadline=None)
@given(VALUES)
def test_values_are_encoded_as_cbor2_encodes_them_canonically(value: object) -> None:
    encoded = cbor.encode(value)
    assert encoded == cbor2.dumps(value, canonical=True)
    if len(encoded) <= 4096 and _depth(value) <= CBOR_DEPTH_MAX:
        assert cbor.decode(encoded) == value
        assert cbor2.loads(encoded) == value


@settings(max_examples=1500, deadline=None)
@given(st.binary(min_size=1, max_size=30))
def test_bytes_are_taken_exactly_when_cbor2_finds_them_canonical(data: bytes) -> None:
    assert (refusal_of(cbor.decode, data) is None) == _is_canonical(data)


@settings(max_examples=300, deadline=None)
@given(VALUES, st.integers(0, 4095), st.integers(0, 255), st.booleans())
def test_spoilt_encodings_are_taken_exactly_when_cbor2_finds_them_canonical(
    value: object, at: int, byte: int, insert: bool
) -> None:
    encoded = cbor.encode(value)
    at %= len(encoded)
    spoilt = encoded[:at] + bytes((byte,)) + encoded[at + (not insert) :]
    if len(spoilt) <= 4096:
        assert (refusal_of(cbor.decode, spoilt) is None) == _is_canonical(spoilt)


@pytest.mark.parametrize("size", [1, 2, 3])
def test_every_short_message_is_judged_as_cbor2_judges_it(size: int) -> None:
    """All of one and two bytes, and every third of three: no corner is left out."""
    for number in range(0, 256**size, 1 if size < 3 else 331):
        data = number.to_bytes(size, "big")
        assert (refusal_of(cbor.decode, data) is None) == _is_canonical(data), data.hex()


def test_the_text_check_for_lenient_interpreters_agrees_with_cpython() -> None:
    """MicroPython takes what has lead and continuation bytes in order; this rest is checked by us."""
    for first in (0x41, 0xC0, 0xC1, 0xC2, 0xDF, 0xE0, 0xE1, 0xEC, 0xED, 0xEE, 0xEF, 0xF0, 0xF1, 0xF3, 0xF4, 0xF5, 0xF7):
        more = 0 if first < 0x80 else 1 if first < 0xE0 else 2 if first < 0xF0 else 3
        for second in range(0x80, 0xC0):
            for last in (0x80, 0xBF):
                raw = bytes((first, second, last, last)[: 1 + more]) + b"z"
                assert cbor._is_strict_text(raw) == _decodes(raw), raw.hex()


def _decodes(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


def test_no_byte_of_a_hostile_message_is_read_twice() -> None:
    reads = []

    class Counting(cbor.Reader):
        def take(self, count: int) -> bytes:
            reads.append(count)
            return super().take(count)

    for data in (b"\x99\x01\x00" * 6 + b"\x80" * 4000, b"\x88" * 4000, b"\xb7" * 4000, b"\x00" * 4096):
        reads.clear()
        with contextlib.suppress(Refused):
            Counting(data).item(1)
        assert len(reads) <= len(data) + 1
