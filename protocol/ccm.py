"""AES-CCM-16-128-256 (COSE algorithm 31; RFC 3610 with L=2, M=16) from CBC and ECB, the two modes that cryptolib has.

CBC makes the MAC, ECB over counter blocks the key stream, a big-integer XOR the ciphertext: on a device the time goes
into C, not into a Python loop. A long message goes in chunks, so that a small heap holds it once, not nine times.

`aes(key, mode, iv)` is cryptolib's constructor: mode 1 is ECB (without iv), mode 2 CBC; the object has `encrypt(data)`,
and a CBC object goes on where its last call ended.
"""

from protocol.limits import IV_BYTES, TAG_BYTES
from protocol.refusal import Refused

_ECB, _CBC = 1, 2
_BLOCK_BYTES = 16
# B_0 flags: 64 * has associated data + 8 * (M - 2) / 2 + (L - 1), RFC 3610 2.2; counter flags: L - 1.
_MAC_FLAGS = 0x79
_COUNTER_FLAGS = 0x01
# A multiple of the block. A device needs ten times as much heap for a chunk; smaller ones cost time.
_CHUNK_BYTES = 128


def _to_block(data: bytes) -> bytes:
    return data + bytes(-len(data) % _BLOCK_BYTES)


def _mac(aes: object, key: bytes, iv: bytes, aad: bytes, plaintext: bytes) -> bytes:
    """The unencrypted MAC: last block of CBC over B_0, the associated data with its length, the plaintext."""
    cbc = aes(key, _CBC, bytes(_BLOCK_BYTES))  # type: ignore[operator]  # duck-typed module
    first = bytes((_MAC_FLAGS,)) + iv + len(plaintext).to_bytes(2, "big")
    last: bytes = cbc.encrypt(first + _to_block(len(aad).to_bytes(2, "big") + aad))
    for at in range(0, len(plaintext), _CHUNK_BYTES):
        last = cbc.encrypt(_to_block(plaintext[at : at + _CHUNK_BYTES]))
    return last[-_BLOCK_BYTES:]


def _counters(iv: bytes, first: int, size: int) -> bytes:
    """Counter blocks for `size` bytes, numbered from `first`: 0 covers the MAC, 1 and up the plaintext."""
    head = bytes((_COUNTER_FLAGS,)) + iv
    after = first + (size + _BLOCK_BYTES - 1) // _BLOCK_BYTES
    return b"".join([head + number.to_bytes(2, "big") for number in range(first, after)])


def _xor(left: bytes, right: bytes) -> bytes:
    """Both of equal length, not empty."""
    return (int.from_bytes(left, "big") ^ int.from_bytes(right, "big")).to_bytes(len(left), "big")


def _crypt(aes: object, key: bytes, iv: bytes, data: bytes, size: int) -> bytes:
    """The first `size` bytes of `data` encrypted or, the same thing, decrypted.

    The result has its place before the first chunk: kept chunks would scatter over a small heap, and leave no room.
    """
    ecb = aes(key, _ECB)  # type: ignore[operator]
    result = bytearray(size)
    for at in range(0, size, _CHUNK_BYTES):
        piece = data[at : min(at + _CHUNK_BYTES, size)]
        stream = ecb.encrypt(_counters(iv, 1 + at // _BLOCK_BYTES, len(piece)))
        result[at : at + len(piece)] = _xor(piece, stream[: len(piece)])
    return bytes(result)


def _tag(aes: object, key: bytes, iv: bytes, aad: bytes, plaintext: bytes) -> bytes:
    stream = aes(key, _ECB).encrypt(_counters(iv, 0, _BLOCK_BYTES))  # type: ignore[operator]
    return _xor(_mac(aes, key, iv, aad, plaintext), stream)[:TAG_BYTES]


def _check(iv: bytes, aad: bytes, size: int) -> None:
    # RFC 3610: two length bytes for the message, and for the associated data while it is below 0xFF00.
    if len(iv) != IV_BYTES or not 0 < len(aad) < 0xFF00 or size > 0xFFFF:
        raise ValueError("IV of 13 bytes, associated data of 1 to 65279, message up to 65535")


def seal(aes: object, key: bytes, iv: bytes, aad: bytes, plaintext: bytes) -> bytes:
    """Ciphertext with the 16-byte tag behind it. `aad` must not be empty (COSE never leaves it empty)."""
    _check(iv, aad, len(plaintext))
    return _crypt(aes, key, iv, plaintext, len(plaintext)) + _tag(aes, key, iv, aad, plaintext)


def open(aes: object, key: bytes, iv: bytes, aad: bytes, ciphertext: bytes) -> bytes:
    """The plaintext. Raises Refused("decrypt") when the tag does not fit; nothing of the plaintext leaves then."""
    size = len(ciphertext) - TAG_BYTES
    if size < 0:
        raise Refused("decrypt", "size")
    _check(iv, aad, size)
    plaintext = _crypt(aes, key, iv, ciphertext, size)
    tag = _tag(aes, key, iv, aad, plaintext)
    difference = 0
    for ours, theirs in zip(tag, ciphertext[size:]):  # the whole tag always: the time tells nothing
        difference |= ours ^ theirs
    if difference:
        raise Refused("decrypt")
    return plaintext
