"""Deterministic CBOR (RFC 8949 4.2.1), only the part that the wire uses.

Values: int (64 bit), bytes, str, bool, None, list, and dict with integer keys from -24 to 23.
One value has one encoding, and the decoder takes no other: no tags, floats, indefinite lengths, duplicate or
unordered keys, longer-than-needed numbers, trailing bytes. Because every key is one byte, "bytewise" and "length-first"
key order are the same.
"""

import sys

from protocol.limits import CBOR_DEPTH_MAX, CBOR_ITEMS_MAX, MESSAGE_BYTES_MAX
from protocol.refusal import Refused

_UINT, _NEGATIVE, _BYTES, _TEXT, _ARRAY, _MAP = 0, 1, 2, 3, 4, 5
_FALSE, _TRUE, _NULL = 0xF4, 0xF5, 0xF6


def _head(major: int, number: int) -> bytes:
    """The initial bytes of an item: major type 0..5 and its number, 0 <= number < 2**64, in the shortest form."""
    if number < 24:
        return bytes((major << 5 | number,))
    for info, size in ((24, 1), (25, 2), (26, 4), (27, 8)):
        if number < 1 << (8 * size):
            return bytes((major << 5 | info,)) + number.to_bytes(size, "big")
    raise ValueError("number needs more than 64 bits")


def _key(key: object) -> int:
    """The one byte that encodes a map key; ValueError (our fault) for any other key."""
    if isinstance(key, bool) or not isinstance(key, int) or not -24 <= key <= 23:
        raise ValueError("map keys are integers from -24 to 23")
    return key if key >= 0 else 0x20 | (-1 - key)


def _encode_map(value: dict[int, object], out: bytearray) -> None:
    out += _head(_MAP, len(value))
    for byte, key in sorted([(_key(key), key) for key in value]):
        out.append(byte)
        _encode(value[key], out)


def _encode(value: object, out: bytearray) -> None:
    if value is None or value is True or value is False:
        out.append(_NULL if value is None else _TRUE if value else _FALSE)
    elif isinstance(value, int):
        out += _head(_UINT, value) if value >= 0 else _head(_NEGATIVE, -1 - value)
    elif isinstance(value, (bytes, bytearray, memoryview)):
        out += _head(_BYTES, len(value))
        out += value
    elif isinstance(value, str):
        raw = value.encode()
        out += _head(_TEXT, len(raw))
        out += raw
    elif isinstance(value, (list, tuple)):
        out += _head(_ARRAY, len(value))
        for item in value:
            _encode(item, out)
    elif isinstance(value, dict):
        _encode_map(value, out)
    else:
        raise ValueError("this type has no place on the wire")


def encode(value: object, tag: bytes = b"") -> bytes:
    """The one encoding of `value`. Raises ValueError (our fault) for a value outside the profile.

    tag: encoded, goes before it; added afterwards it would cost a device's heap the whole message once more.
    """
    out = bytearray(tag)
    _encode(value, out)
    return bytes(out)


# MicroPython's text decoder checks lead and continuation bytes, not whether the form is the shortest, nor surrogates.
_LENIENT = sys.implementation.name == "micropython"


def _is_strict_text(raw: bytes) -> bool:
    """RFC 3629 4, as far as a lenient decoder leaves it open: first bytes never used, second bytes out of range."""
    before = 0
    for byte in raw:
        if byte > 0xF4 or byte in (0xC0, 0xC1):
            return False
        if (before in (0xE0, 0xF0) and byte < (0xA0 if before == 0xE0 else 0x90)) or (
            before in (0xED, 0xF4) and byte > (0x9F if before == 0xED else 0x8F)
        ):
            return False
        before = byte
    return True


class Reader:
    """A position in a message; every read checks the end first, so that a claimed length costs nothing."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, count: int) -> bytes:
        """The next `count` bytes."""
        end = self.at + count
        if end > len(self.data):
            raise Refused("encoding", "end")
        piece = self.data[self.at : end]
        self.at = end
        return piece

    def end(self) -> None:
        """Refuses what stands behind the last item."""
        if self.at != len(self.data):
            raise Refused("encoding", "trailing")

    def byte_string(self) -> bytes:
        """The next item, in a place that holds a byte string. Raises Refused("structure") for another one."""
        byte = self.take(1)[0]
        if byte >> 5 != _BYTES:
            raise Refused("structure", "bytes")
        return self.take(self.number(byte & 0x1F))

    def number(self, info: int) -> int:
        """The number behind an initial byte whose low five bits are `info`; refuses all but the shortest form."""
        if info < 24:
            return info
        if info > 27:
            raise Refused("encoding", "length")
        size = 1 << (info - 24)
        value = int.from_bytes(self.take(size), "big")
        if value < (24 if size == 1 else 1 << (4 * size)):
            raise Refused("encoding", "shortest")
        return value

    def count(self, info: int) -> int:
        """The entries of an array or map; each of them takes a byte at least."""
        value = self.number(info)
        if value > CBOR_ITEMS_MAX:
            raise Refused("encoding", "items")
        if value > len(self.data) - self.at:
            raise Refused("encoding", "end")
        return value

    def text(self, info: int) -> str:
        raw = self.take(self.number(info))
        try:
            text = str(raw, "utf-8")
            if not _LENIENT or _is_strict_text(raw):
                return text
        except UnicodeError:
            pass
        raise Refused("encoding", "text")

    def array(self, info: int, depth: int) -> list[object]:
        # As long as it will be from the start: one that grows between its items leaves holes in a small heap, and a
        # roster of 150 then needs four times the memory.
        items: list[object] = [None] * self.count(info)
        for at in range(len(items)):
            items[at] = self.item(depth + 1)
        return items

    def map(self, info: int, depth: int) -> dict[int, object]:
        result: dict[int, object] = {}
        before = -1
        for _ in range(self.count(info)):
            byte = self.take(1)[0]
            if byte > 0x37 or 0x17 < byte < 0x20:
                raise Refused("encoding", "key")
            if byte <= before:
                raise Refused("encoding", "order")
            before = byte
            result[byte if byte < 0x20 else -1 - (byte & 0x1F)] = self.item(depth + 1)
        return result

    def item(self, depth: int) -> object:
        if depth > CBOR_DEPTH_MAX:
            raise Refused("encoding", "depth")
        byte = self.take(1)[0]
        major, info = byte >> 5, byte & 0x1F
        if major == _UINT:
            return self.number(info)
        if major == _NEGATIVE:
            return -1 - self.number(info)
        if major == _BYTES:
            return self.take(self.number(info))
        if major == _TEXT:
            return self.text(info)
        if major == _ARRAY:
            return self.array(info, depth)
        if major == _MAP:
            return self.map(info, depth)
        return self.simple(byte)

    def simple(self, byte: int) -> bool | None:
        if byte == _NULL:
            return None
        if byte in (_FALSE, _TRUE):
            return byte == _TRUE
        raise Refused("encoding", "simple")


def decode(data: bytes) -> object:
    """The value of `data`, a whole message. Raises Refused("size") or Refused("encoding")."""
    if not 0 < len(data) <= MESSAGE_BYTES_MAX:
        raise Refused("size")
    reader = Reader(data)
    value = reader.item(1)
    reader.end()
    return value


def decode_map(data: bytes) -> dict[int, object]:
    """Like decode, for a place that holds a map. Raises Refused("structure") for another value."""
    value = decode(data)
    if not isinstance(value, dict):
        raise Refused("structure", "map")
    return value


def decode_list(data: bytes, count: int) -> list[object]:
    """Like decode, for a place that holds an array of `count` items. Raises Refused("structure") for another value."""
    value = decode(data)
    if not isinstance(value, list) or len(value) != count:
        raise Refused("structure", "list")
    return value
