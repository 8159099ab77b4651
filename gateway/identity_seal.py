"""Seals the disclosures of a record to the central system's public key, so that the gateway can forget them.

HPKE base mode (RFC 9180), the suite of its appendix A.3: DHKEM(P-256, HKDF-SHA256), HKDF-SHA256, AES-128-GCM.
    plaintext, info: see protocol/sealed_part.py
    sealed = enc (65 bytes) || ciphertext
"""

from collections.abc import Sequence

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from protocol import sealed_part

SUITE = Suite(KEM.P256, KDF.HKDF_SHA256, AEAD.AES_128_GCM)


class IdentitySeal:
    """Seals to one central key.

    central_public: 65 bytes, uncompressed P-256 point. Raises ValueError when it is not one.
    """

    def __init__(self, hall: str, central_public: bytes) -> None:
        self._hall = hall
        self._key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), central_public)

    def seal(self, device: str, stream: bytes, seq: int, disclosures: Sequence[bytes]) -> bytes:
        """One sealed blob of all `disclosures` of the record (device, stream, seq)."""
        info = sealed_part.info(self._hall, device, stream, seq)
        return SUITE.encrypt(sealed_part.pack(list(disclosures)), self._key, info)
