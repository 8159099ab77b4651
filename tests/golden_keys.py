"""What a suite makes of 60 fixed keys, in a form short enough for a device. Runs on CPython and on MicroPython."""

import hashlib

KEYS = 60
# Enough to see any difference; whole values would not fit a device's heap beside the code.
_SHOWN_BYTES = 8


def _private(index):
    return hashlib.sha256(("hallseal key " + str(index)).encode()).digest()


def row(suite, index):
    """Five words of hex for key number `index`: SHA-256 of each result, cut to its first 8 bytes.

    Public key; signature of a message; agreement with the next key; key derived from it; the message sealed by that.
    """
    raw = _private(index)
    private, peer = suite.load_private(raw), suite.load_private(_private(index + 1))
    message = ("message " + str(index)).encode() * index
    secret = suite.agree(private, suite.load_public(suite.public_bytes(peer)))
    key = suite.hkdf(secret, raw[: index % 33], message, 32)
    made = (
        suite.public_bytes(private),
        suite.sign(private, message),
        secret,
        key,
        suite.ccm_seal(key, raw[:13], raw[: 1 + index % 32], message),
    )
    return [hashlib.sha256(each).digest()[:_SHOWN_BYTES].hex() for each in made]
