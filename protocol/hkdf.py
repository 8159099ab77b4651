"""HMAC-SHA256 (RFC 2104) and HKDF-SHA256 (RFC 5869) on hashlib: MicroPython has neither."""

import hashlib

_BLOCK_BYTES = 64
_HASH_BYTES = 32


def hmac_sha256(key: bytes, message: bytes) -> bytes:
    """The 32-byte tag of `message` under `key` (any length)."""
    if len(key) > _BLOCK_BYTES:
        key = hashlib.sha256(key).digest()
    key = key + bytes(_BLOCK_BYTES - len(key))
    inner = hashlib.sha256(bytes([byte ^ 0x36 for byte in key]))
    inner.update(message)
    outer = hashlib.sha256(bytes([byte ^ 0x5C for byte in key]))
    outer.update(inner.digest())
    return outer.digest()


def hkdf_sha256(secret: bytes, salt: bytes, info: bytes, size: int) -> bytes:
    """`size` bytes (1 to 8160) from `secret`. An empty salt means 32 zero bytes, as RFC 5869 2.2 says."""
    if not 1 <= size <= 255 * _HASH_BYTES:
        raise ValueError("HKDF gives 1 to 8160 bytes")
    key = hmac_sha256(salt or bytes(_HASH_BYTES), secret)
    result, block, number = b"", b"", 1
    while len(result) < size:
        block = hmac_sha256(key, block + info + bytes((number,)))
        result += block
        number += 1
    return result[:size]
