"""Channel: the two keys, up and down, between one device and its gateway.

ECDH-SS + HKDF-256 (COSE -27, RFC 9053 6.3.1): both sides multiply their static agreement keys once; every
derivation mixes in a fresh nonce of the sender (PartyU), the names of both, and the topic: up and down share no key.
A device draws its nonce once per boot, a gateway once per start: no counter survives to be rolled back.
"""

from protocol import cbor, encrypt0, padding, topic
from protocol.limits import IV_BYTES, KEY_BYTES, NONCE_BYTES
from protocol.refusal import Refused

DEVICE = "device"
GATEWAY = "gateway"
_ECDH_SS_HKDF_256 = -27
# Inbound keys kept per channel: a device's journal may hold records of several boots, in order, so few suffice.
_KEYS_KEPT = 4


def kdf_context(sender: str, receiver: str, nonce: bytes, on_topic: str) -> bytes:
    """COSE_KDF_Context (RFC 9053 5.2) of one derivation. sender, receiver: names as bytes in the Party fields."""
    recipient_header = cbor.encode({1: _ECDH_SS_HKDF_256})
    return cbor.encode(
        [
            encrypt0.AES_CCM_16_128_256,
            [sender.encode(), nonce, None],
            [receiver.encode(), None, None],
            [8 * KEY_BYTES, recipient_header, on_topic.encode()],
        ]
    )


class Channel:
    """Seals outgoing and opens incoming messages of one device. One thread at a time.

    hall, device: names. private: own agreement key object; peer_public: the other side's. side: DEVICE or GATEWAY.
    epoch: 0..255, of the gateway's agreement key; the other side must use the same.
    """

    def __init__(
        self, suite: object, hall: str, device: str, private: object, peer_public: object, side: str, epoch: int = 1
    ) -> None:
        up, down = topic.up(hall, device), topic.down(hall, device)
        self.device = device
        self.hall = hall
        self.epoch = epoch
        self.suite = suite
        self._private = private
        self._peer_public = peer_public
        self._secret = b""
        gateway = hall + "/gateway"
        if side == DEVICE:
            self._out, self._in = (device, gateway, up), (gateway, device, down)
        elif side == GATEWAY:
            self._out, self._in = (gateway, device, down), (device, gateway, up)
        else:
            raise ValueError(side)
        self._out_context = b""
        self._out_key = b""
        self._in_keys: list[tuple[bytes, bytes]] = []

    def _derive(self, parties: tuple[str, str, str], nonce: bytes) -> bytes:
        if not self._secret:
            self._secret = self.suite.agree(self._private, self._peer_public)  # type: ignore[attr-defined]
        context = kdf_context(parties[0], parties[1], nonce, parties[2])
        key: bytes = self.suite.hkdf(self._secret, b"", context, KEY_BYTES)  # type: ignore[attr-defined]
        return key

    def _in_key(self, context: bytes) -> bytes:
        """The inbound key of one derivation; the newest _KEYS_KEPT are remembered."""
        for known, key in self._in_keys:
            if known == context:
                return key
        key = self._derive(self._in, context[1:])
        self._in_keys = [(context, key)] + self._in_keys[: _KEYS_KEPT - 1]
        return key

    def seal(self, typ: str, content: bytes) -> bytes:
        """A message to the other side: `content` padded and encrypted under a fresh random IV.

        Raises ValueError (our fault) when the content fits no bucket.
        """
        if not self._out_key:
            nonce = self.suite.random_bytes(NONCE_BYTES)  # type: ignore[attr-defined]
            self._out_context = bytes((self.epoch,)) + nonce
            self._out_key = self._derive(self._out, nonce)
        iv = self.suite.random_bytes(IV_BYTES)  # type: ignore[attr-defined]
        protected = encrypt0.protected_header(self.device, self._out_context, typ)
        aad = encrypt0.encryption_input(protected, self._out[2].encode())
        sealed = self.suite.ccm_seal(self._out_key, iv, aad, padding.pad(content))  # type: ignore[attr-defined]
        return encrypt0.encode(protected, iv, sealed)

    def open(self, typ: str, message: bytes) -> bytes:
        """The content of a message from the other side. Raises Refused."""
        return self.open_envelope(typ, encrypt0.parse(message))

    def open_envelope(self, typ: str, envelope: encrypt0.Envelope) -> bytes:
        """Like open, for a message that is parsed already (a gateway parses first to learn whose channel it needs)."""
        if envelope.typ != typ:
            raise Refused("type", "encrypt0")
        if envelope.device != self.device:
            raise Refused("address", "kid")
        if envelope.context[0] != self.epoch:
            raise Refused("key", "epoch")
        aad = encrypt0.encryption_input(envelope.protected, self._in[2].encode())
        key = self._in_key(envelope.context)
        return padding.unpad(self.suite.ccm_open(key, envelope.iv, aad, envelope.ciphertext))  # type: ignore[attr-defined]


def peek_kid(message: bytes) -> str:
    """The device named in a message's clear header; believed only after open()."""
    return encrypt0.parse(message).device


def peek_type(message: bytes) -> str:
    """The type in a message's clear header: one of encrypt0.TYPES."""
    return encrypt0.parse(message).typ
