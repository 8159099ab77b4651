"""AES-CCM-16-128-256 (COSE algorithm 31; RFC 3610 with L=2, M=16) from CBC and ECB, the two modes that cryptolib has.

One CBC call makes the MAC, one ECB call over all counter blocks the key stream, one big-integer XOR the ciphertext:
on a device the time goes into C, not into a Python loop.

`aes(key, mode, iv)` is cryptolib's constructor: mode 1 is ECB (without iv), mode 2 CBC; the object has `encrypt(data)`.
"""

from protocol.limits import IV_BYTES, TAG_BYTES
from protocol.refusal import Refused

_ECB, _CBC = 1, 2
_BLOCK_BYTES = 16
# B_0 flags: 64 * has associated data + 8 * (M - 2) / 2 + (L - 1), RFC 3610 2.2; counter flags: L - 1.
_MAC_FLAGS = 0x79
_COUNTER_FLAGS = 0x01


def _to_block(data: bytes) -> bytes:
    return data + bytes(-len(data) % _BLOCK_BYTES)


def _mac(aes: object, key: bytes, iv: bytes, aad: bytes, plaintext: bytes) -> bytes:
    """The unencrypted MAC: last block of CBC over B_0, the associated data with its length, the plaintext."""
    first = bytes((_MAC_FLAGS,)) + iv + len(plaintext).to_bytes(2, "big")
    blocks = first + _to_block(len(aad).to_bytes(2, "big") + aad) + _to_block(plaintext)
    encrypted: bytes = aes(key, _CBC, bytes(_BLOCK_BYTES)).encrypt(blocks)  # type: ignore[operator]  # duck-typed module
    return encrypted[-_BLOCK_BYTES:]


def _key_stream(aes: object, key: bytes, iv: bytes, size: int) -> bytes:
    """Counter blocks 0, 1, 2 … encrypted: block 0 covers the MAC, the others the plaintext of `size` bytes."""
    head = bytes((_COUNTER_FLAGS,)) + iv
    counters = b"".join([head + i.to_bytes(2, "big") for i in range(1 + (size + _BLOCK_BYTES - 1) // _BLOCK_BYTES)])
    stream: bytes = aes(key, _ECB).encrypt(counters)  # type: ignore[operator]
    return stream


def _xor(left: bytes, right: bytes) -> bytes:
    """Both of equal length."""
    if not left:
        return b""
    return (int.from_bytes(left, "big") ^ int.from_bytes(right, "big")).to_bytes(len(left), "big")


def _check(iv: bytes, aad: bytes, size: int) -> None:
    # RFC 3610: two length bytes for the message, and for the associated data while it is below 0xFF00.
    if len(iv) != IV_BYTES or not 0 < len(aad) < 0xFF00 or size > 0xFFFF:
        raise ValueError("IV of 13 bytes, associated data of 1 to 65279, message up to 65535")


def seal(aes: object, key: bytes, iv: bytes, aad: bytes, plaintext: bytes) -> bytes:
    """Ciphertext with the 16-byte tag behind it. `aad` must not be empty (COSE never leaves it empty)."""
    _check(iv, aad, len(plaintext))
    stream = _key_stream(aes, key, iv, len(plaintext))
    tag = _xor(_mac(aes, key, iv, aad, plaintext), stream[:TAG_BYTES])
    return _xor(plaintext, stream[_BLOCK_BYTES : _BLOCK_BYTES + len(plaintext)]) + tag


def open(aes: object, key: bytes, iv: bytes, aad: bytes, ciphertext: bytes) -> bytes:
    """The plaintext. Raises Refused("decrypt") when the tag does not fit; nothing of the plaintext leaves then."""
    size = len(ciphertext) - TAG_BYTES
    if size < 0:
        raise Refused("decrypt", "size")
    _check(iv, aad, size)
    stream = _key_stream(aes, key, iv, size)
    plaintext = _xor(ciphertext[:size], stream[_BLOCK_BYTES : _BLOCK_BYTES + size])
    tag = _xor(_mac(aes, key, iv, aad, plaintext), stream[:TAG_BYTES])
    difference = 0
    for ours, theirs in zip(tag, ciphertext[size:]):  # the whole tag always: the time tells nothing
        difference |= ours ^ theirs
    if difference:
        raise Refused("decrypt")
    return plaintext
