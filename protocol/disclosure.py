"""Salted claims (SD-CWT mechanism): the signature covers a digest, the value travels beside it and can be taken away.

A disclosure is CBOR [salt, value, claim number]; the digest is SHA-256 over its encoding *as a byte string*.
Salts are fresh per claim and record and as secret as the value: whoever masks a value drops the salt with it.
"""

from protocol import cbor
from protocol.limits import SALT_BYTES
from protocol.refusal import Refused


def digest(suite: object, disclosure: bytes) -> bytes:
    """32 bytes: what the signed payload holds."""
    found: bytes = suite.sha256(cbor.encode(disclosure))  # type: ignore[attr-defined]
    return found


def make(suite: object, claim: int, value: object) -> tuple[bytes, bytes]:
    """(disclosure, digest) of a value under a fresh salt."""
    salt = suite.random_bytes(SALT_BYTES)  # type: ignore[attr-defined]
    disclosure = cbor.encode([salt, value, claim])
    return disclosure, digest(suite, disclosure)


def check(suite: object, disclosures: list[bytes], digests: dict[int, bytes]) -> dict[int, object]:
    """{claim: value} of the disclosures; a signed digest may lack its disclosure, never the other way.

    Raises Refused("disclosure") for one that matches no digest, comes twice, or has a short salt.
    """
    values: dict[int, object] = {}
    for disclosure in disclosures:
        salt, value, claim = cbor.decode_list(disclosure, 3)
        if not isinstance(salt, bytes) or len(salt) != SALT_BYTES:
            raise Refused("disclosure", "salt")
        if not isinstance(claim, int) or isinstance(claim, bool):  # True would pass for claim 1
            raise Refused("disclosure", "claim")
        if claim in values or digests.get(claim) != digest(suite, disclosure):
            raise Refused("disclosure", "claim")
        values[claim] = value
    return values
