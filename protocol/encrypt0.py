"""COSE_Encrypt0 (RFC 9052 5.2): the outer layer that the broker sees. Pure structure; keys live in channel.py.

The algorithm is pinned: AES-CCM-16-128-256 (31). The clear header tells whose key (4: device name), which derivation
(10: key epoch and PartyU nonce) and which type of message (16); all of it is authenticated, and so is the topic.
"""

from protocol import cbor, topic
from protocol.limits import IV_BYTES, MESSAGE_BYTES_MAX, NONCE_BYTES, TAG_BYTES
from protocol.refusal import Refused

TAG = 0xD0  # tag 16 in one byte
_OPENING = b"\xd0\x83"  # the tag, and an array of three
AES_CCM_16_128_256 = 31
ALG, KID, IV, KID_CONTEXT, TYP = 1, 4, 5, 10, 16
KID_CONTEXT_BYTES = 1 + NONCE_BYTES
# Ours has 62 at most. What is read before anything is authenticated must not be able to fill a device's heap.
_PROTECTED_BYTES_MAX = 96
# Between protected header and IV: a map of one entry, label 5, 13 bytes. No Partial IV (label 6), which would let the
# sender choose half of the nonce, nor anything else.
_BEFORE_IV = b"\xa1\x05\x4d"

TYPES = ("hs-rec", "hs-rcp", "hs-cmd")


class Envelope:
    """A parsed, still sealed message.

    device: name in the key id (str). context: epoch byte and nonce, 13 bytes. typ: one of TYPES.
    """

    def __init__(self, protected: bytes, device: str, context: bytes, typ: str, iv: bytes, ciphertext: bytes) -> None:
        self.protected = protected
        self.device = device
        self.context = context
        self.typ = typ
        self.iv = iv
        self.ciphertext = ciphertext


def encryption_input(protected: bytes, external: bytes) -> bytes:
    """Enc_structure (RFC 9052 5.3): the associated data. external: the topic as UTF-8."""
    return cbor.encode(["Encrypt0", protected, external])


def protected_header(device: str, context: bytes, typ: str) -> bytes:
    """The encoded protected header. context: epoch byte and PartyU nonce, 13 bytes."""
    return cbor.encode({ALG: AES_CCM_16_128_256, KID: device.encode(), KID_CONTEXT: context, TYP: typ})


def encode(protected: bytes, iv: bytes, ciphertext: bytes) -> bytes:
    """The message. Raises ValueError (our fault) when it would be longer than MESSAGE_BYTES_MAX."""
    message = cbor.encode([protected, {IV: iv}, ciphertext], bytes((TAG,)))
    if len(message) > MESSAGE_BYTES_MAX:
        raise ValueError("size")
    return message


def _check_protected(protected: bytes) -> tuple[str, bytes, str]:
    """(device, context, typ) of a protected header that is exactly ours."""
    if len(protected) > _PROTECTED_BYTES_MAX:
        raise Refused("structure", "protected")
    header = cbor.decode_map(protected)
    if header.get(ALG) != AES_CCM_16_128_256 or sorted(header) != [ALG, KID, KID_CONTEXT, TYP]:
        raise Refused("algorithm", "encrypt0")
    key_id, context, typ = header[KID], header[KID_CONTEXT], header[TYP]
    if not isinstance(context, bytes) or len(context) != KID_CONTEXT_BYTES or not isinstance(key_id, bytes):
        raise Refused("structure", "kid")
    if not isinstance(typ, str) or typ not in TYPES:
        raise Refused("type", "encrypt0")
    try:
        device = str(key_id, "utf-8")
    except UnicodeError:
        device = ""
    if not topic.is_name(device):
        raise Refused("address", "kid")
    return device, context, typ


def parse(data: bytes) -> Envelope:
    """The parts of a sealed message. Raises Refused (size, structure, algorithm, type, address, encoding)."""
    if not 0 < len(data) <= MESSAGE_BYTES_MAX:
        raise Refused("size")
    reader = cbor.Reader(data)
    if reader.take(2) != _OPENING:
        raise Refused("structure", "tag")
    protected = reader.byte_string()
    if reader.take(len(_BEFORE_IV)) != _BEFORE_IV:
        raise Refused("structure", "iv")
    iv = reader.take(IV_BYTES)
    ciphertext = reader.byte_string()
    reader.end()
    if len(ciphertext) < TAG_BYTES:
        raise Refused("structure", "ciphertext")
    device, context, typ = _check_protected(protected)
    return Envelope(protected, device, context, typ, iv, ciphertext)
