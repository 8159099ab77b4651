"""Seals the disclosures of a record to the central system's public key, so that the gateway can forget them.

HPKE base mode (RFC 9180), the suite of its appendix A.3: DHKEM(P-256, HKDF-SHA256), HKDF-SHA256, AES-128-GCM.
    plaintext = CBOR array of the disclosures as they came (byte strings), then 0x80, then zeros
                up to a multiple of 128 bytes; the length tells nothing about a name
    info      = CBOR array ["hallseal/1", hall, device, stream (8 bytes), seq]
    sealed    = enc (65 bytes) || ciphertext
"""

from collections.abc import Sequence

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from protocol import cbor

PROFILE = "hallseal/1"

# security.md, threat 15: padded, so that the length of a name or comment does not show.
PADDED_BYTES = 128

SUITE = Suite(KEM.P256, KDF.HKDF_SHA256, AEAD.AES_128_GCM)


def info(hall: str, device: str, stream: bytes, seq: int) -> bytes:
    """Context that binds a sealed blob to one record."""
    return bytes(cbor.encode([PROFILE, hall, device, stream, seq]))


def pad(plaintext: bytes) -> bytes:
    """`plaintext`, 0x80 and zeros up to the next multiple of PADDED_BYTES."""
    marked = plaintext + b"\x80"
    return marked + bytes(-len(marked) % PADDED_BYTES)


class IdentitySeal:
    """Seals to one central key.

    central_public: 65 bytes, uncompressed P-256 point. Raises ValueError when it is not one.
    """

    def __init__(self, hall: str, central_public: bytes) -> None:
        self._hall = hall
        self._key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), central_public)

    def seal(self, device: str, stream: bytes, seq: int, disclosures: Sequence[bytes]) -> bytes:
        """One sealed blob of all `disclosures` of the record (device, stream, seq)."""
        plaintext = pad(bytes(cbor.encode(list(disclosures))))
        return SUITE.encrypt(plaintext, self._key, info(self._hall, device, stream, seq))
