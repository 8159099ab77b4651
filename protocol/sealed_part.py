"""The sealed part of a record, as gateway and central system agree on it; the sealing itself is HPKE, see
gateway/identity_seal.py.

    plaintext = CBOR array of the disclosures as they came (byte strings), then 0x80, then zeros
                up to a multiple of 128 bytes; the length tells nothing about a name
    info      = CBOR array ["hallseal/1", hall, device, stream (8 bytes), seq]
"""

from protocol import cbor
from protocol.limits import DISCLOSURES_MAX
from protocol.refusal import Refused

PROFILE = "hallseal/1"
# security.md, threat 15: padded, so that the length of a name or comment does not show.
PADDED_BYTES = 128


def info(hall: str, device: str, stream: bytes, seq: int) -> bytes:
    """Context that binds a sealed blob to one record."""
    return cbor.encode([PROFILE, hall, device, stream, seq])


def pad(content: bytes) -> bytes:
    """`content`, 0x80 and zeros up to the next multiple of PADDED_BYTES."""
    marked = content + b"\x80"
    return marked + bytes(-len(marked) % PADDED_BYTES)


def pack(disclosures: list[bytes]) -> bytes:
    """The plaintext of these disclosures."""
    return pad(cbor.encode(disclosures))


def unpack(padded: bytes) -> list[bytes]:
    """The disclosures in an opened plaintext. Raises Refused."""
    content = padded.rstrip(b"\0")
    if not content.endswith(b"\x80"):
        raise Refused("padding")
    found = cbor.decode(content[:-1])
    if not isinstance(found, list) or len(found) > DISCLOSURES_MAX or not all(isinstance(one, bytes) for one in found):
        raise Refused("structure")
    return found
