"""Padding to buckets: 0x80, then zeros (ISO/IEC 7816-4), so that the length of a message tells nothing."""

from protocol.limits import BUCKETS_BYTES
from protocol.refusal import Refused


def pad(content: bytes) -> bytes:
    """`content` padded to the smallest bucket. Raises ValueError (our fault) when no bucket holds it."""
    for size in BUCKETS_BYTES:
        if len(content) < size:
            return content + b"\x80" + bytes(size - len(content) - 1)
    raise ValueError("bucket")


def unpad(plaintext: bytes) -> bytes:
    """The content of a padded plaintext. Raises Refused("padding") unless it is exactly what pad() makes."""
    end = len(plaintext)
    while end and not plaintext[end - 1]:
        end -= 1
    if len(plaintext) not in BUCKETS_BYTES or not end or plaintext[end - 1] != 0x80:
        raise Refused("padding")
    for size in BUCKETS_BYTES:
        if end <= size:  # the smallest bucket that holds it
            if size != len(plaintext):
                raise Refused("padding", "bucket")
            break
    return plaintext[: end - 1]
