"""COSE_Encrypt0 (RFC 9052 5.2): the outer layer that the broker sees. Pure structure; keys live in channel.py.

The algorithm is pinned: AES-CCM-16-128-256 (31). The clear header tells whose key (4: device name), which derivation
(10: key epoch and PartyU nonce) and which type of message (16); all of it is authenticated, and so is the topic.
"""

from protocol import cbor, topic
from protocol.limits import IV_BYTES, MESSAGE_BYTES_MAX, NONCE_BYTES, TAG_BYTES
from protocol.refusal import Refused

TAG = 0xD0  # tag 16 in one byte
AES_CCM_16_128_256 = 31
ALG, KID, IV, KID_CONTEXT, TYP = 1, 4, 5, 10, 16
KID_CONTEXT_BYTES = 1 + NONCE_BYTES

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
    message = bytes((TAG,)) + cbor.encode([protected, {IV: iv}, ciphertext])
    if len(message) > MESSAGE_BYTES_MAX:
        raise ValueError("size")
    return message


def _check_protected(protected: bytes) -> tuple[str, bytes, str]:
    """(device, context, typ) of a protected header that is exactly ours."""
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
    if data[0] != TAG:
        raise Refused("structure", "tag")
    protected, unprotected, ciphertext = cbor.decode_list(data[1:], 3)
    if not isinstance(protected, bytes) or not isinstance(unprotected, dict) or not isinstance(ciphertext, bytes):
        raise Refused("structure", "encrypt0")
    device, context, typ = _check_protected(protected)
    # Partial IV (label 6) would let the sender choose half of the nonce; only a whole IV of ours passes.
    iv = unprotected.get(IV)
    if list(unprotected) != [IV] or not isinstance(iv, bytes) or len(iv) != IV_BYTES or len(ciphertext) < TAG_BYTES:
        raise Refused("structure", "iv")
    return Envelope(protected, device, context, typ, iv, ciphertext)
