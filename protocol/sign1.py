"""COSE_Sign1 (RFC 9052 4.2): who says it. Records are signed by the device, commands by the hall's command key.

The algorithm is pinned: ESP256 (-9, RFC 9864). Nothing is negotiated, and a header that names another one is refused.
Disclosures (label 17, SD-CWT mechanism) travel in the unprotected header, so they can be taken away
and the signature still fits.
"""

from protocol import cbor
from protocol.limits import DISCLOSURES_MAX, SIGNATURE_BYTES
from protocol.refusal import Refused

TAG = 0xD2  # tag 18 in one byte
ESP256 = -9
ALG, KID, TYP, DISCLOSURES = 1, 4, 16, 17
KID_BYTES = 4  # of SHA-256 of the public key: tells the keys of one device apart, is no proof of anything

RECORD_TYP = "hs-rec"
COMMAND_TYP = "hs-cmd"


def signature_input(protected: bytes, payload: bytes) -> bytes:
    """Sig_structure (RFC 9052 4.4) with empty external data: the bytes that are signed."""
    return cbor.encode(["Signature1", protected, b"", payload])


def kid(suite: object, public_key: bytes) -> bytes:
    """The key id of a 65-byte public key: 4 bytes."""
    digest: bytes = suite.sha256(public_key)  # type: ignore[attr-defined]  # suites share no base class on MicroPython
    return digest[:KID_BYTES]


class Signed:
    """A parsed COSE_Sign1; its signature is not verified yet.

    protected, payload, signature: the bytes as received, never re-encoded. kid: 4 bytes. disclosures: list of bytes.
    """

    def __init__(
        self, protected: bytes, kid: bytes, payload: bytes, disclosures: list[bytes], signature: bytes
    ) -> None:
        self.protected = protected
        self.kid = kid
        self.payload = payload
        self.disclosures = disclosures
        self.signature = signature

    def encode(self) -> bytes:
        """The whole message, disclosures included."""
        unprotected = {DISCLOSURES: self.disclosures} if self.disclosures else {}
        return cbor.encode([self.protected, unprotected, self.payload, self.signature], bytes((TAG,)))

    def evidence(self) -> bytes:
        """The message without disclosures: what is kept and forwarded. The signature still verifies."""
        return Signed(self.protected, self.kid, self.payload, [], self.signature).encode()


class Signer:
    """A signing key with its id, made once (the id costs one multiplication on the curve)."""

    def __init__(self, suite: object, private_raw: bytes) -> None:
        """private_raw: 32 bytes. Raises Refused("key")."""
        self._suite = suite
        self._private = suite.load_private(private_raw)  # type: ignore[attr-defined]
        self.public_key: bytes = suite.public_bytes(self._private)  # type: ignore[attr-defined]
        self.kid = kid(suite, self.public_key)

    def sign(self, typ: str, payload: bytes, disclosures: list[bytes] | tuple[bytes, ...] = ()) -> bytes:
        """The encoded COSE_Sign1 of `payload`. typ: RECORD_TYP, COMMAND_TYP or annotation.TYP."""
        protected = cbor.encode({ALG: ESP256, KID: self.kid, TYP: typ})
        signature = self._suite.sign(self._private, signature_input(protected, payload))  # type: ignore[attr-defined]
        return Signed(protected, self.kid, payload, list(disclosures), signature).encode()


def _check_protected(protected: bytes, typ: str) -> bytes:
    """The key id of a protected header; every header but ours is refused, critical ones among them."""
    header = cbor.decode_map(protected)
    if header.get(ALG) != ESP256 or sorted(header) != [ALG, KID, TYP]:
        raise Refused("algorithm", "sign1")
    if header[TYP] != typ:
        raise Refused("type", "sign1")
    key_id = header[KID]
    if not isinstance(key_id, bytes) or len(key_id) != KID_BYTES:
        raise Refused("structure", "kid")
    return key_id


def _disclosures(unprotected: object) -> list[bytes]:
    if unprotected == {}:
        return []
    if not isinstance(unprotected, dict) or list(unprotected) != [DISCLOSURES]:
        raise Refused("structure", "unprotected")
    found = unprotected[DISCLOSURES]
    if not isinstance(found, list) or not 1 <= len(found) <= DISCLOSURES_MAX:
        raise Refused("structure", "disclosures")
    for one in found:
        if not isinstance(one, bytes):
            raise Refused("structure", "disclosures")
    return found


def parse(data: bytes, typ: str) -> Signed:
    """The parts of an encoded COSE_Sign1 of type `typ`. Raises Refused (structure, algorithm, type, encoding, size)."""
    if data[:1] != bytes((TAG,)):
        raise Refused("structure", "tag")
    protected, unprotected, payload, signature = cbor.decode_list(data[1:], 4)
    if not isinstance(protected, bytes) or not isinstance(payload, bytes) or not isinstance(signature, bytes):
        raise Refused("structure", "sign1")
    if len(signature) != SIGNATURE_BYTES:
        raise Refused("signature", "size")
    return Signed(protected, _check_protected(protected, typ), payload, _disclosures(unprotected), signature)


def verify(suite: object, public: object, signed: Signed) -> bool:
    """True when the signature is by `public` (a key object of the suite). Safe to call in any thread."""
    message = signature_input(signed.protected, signed.payload)
    return bool(suite.verify(public, message, signed.signature))  # type: ignore[attr-defined]
