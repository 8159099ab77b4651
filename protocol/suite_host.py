"""The suite on a host: the `cryptography` package. Same methods and bytes as DeviceSuite."""

import os
from collections.abc import Callable

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.ciphers.aead import AESCCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from protocol.limits import PUBLIC_KEY_BYTES, SIGNATURE_BYTES, TAG_BYTES
from protocol.refusal import Refused

_SIGNING = ec.ECDSA(hashes.SHA256(), deterministic_signing=True)
_VERIFYING = ec.ECDSA(hashes.SHA256())


class HostSuite:
    """P-256, SHA-256, HKDF, AES-CCM-16-128-256. random: function count -> bytes, os.urandom by default."""

    def __init__(self, random: Callable[[int], bytes] = os.urandom) -> None:
        self._random = random

    def random_bytes(self, count: int) -> bytes:
        """`count` unpredictable bytes."""
        return self._random(count)

    def sha256(self, data: bytes) -> bytes:
        """32 bytes."""
        digest = hashes.Hash(hashes.SHA256())
        digest.update(data)
        return digest.finalize()

    def hkdf(self, secret: bytes, salt: bytes, info: bytes, size: int) -> bytes:
        """`size` bytes by HKDF-SHA256; an empty salt means 32 zero bytes."""
        return HKDF(hashes.SHA256(), size, salt or None, info).derive(secret)

    def generate_private(self) -> bytes:
        """A new private key, 32 bytes, from the operating system's generator."""
        return ec.generate_private_key(ec.SECP256R1()).private_numbers().private_value.to_bytes(32, "big")

    def load_private(self, raw: bytes) -> ec.EllipticCurvePrivateKey:
        """Key object of 32 bytes. Raises Refused("key")."""
        try:
            if len(raw) == 32:
                return ec.derive_private_key(int.from_bytes(raw, "big"), ec.SECP256R1())
        except ValueError:
            pass
        raise Refused("key", "private")

    def load_public(self, raw: bytes) -> ec.EllipticCurvePublicKey:
        """Key object of 65 bytes (0x04 || x || y). Raises Refused("key")."""
        try:
            if len(raw) == PUBLIC_KEY_BYTES and raw[0] == 4:
                return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), bytes(raw))
        except ValueError:
            pass
        raise Refused("key", "public")

    def public_bytes(self, private: ec.EllipticCurvePrivateKey) -> bytes:
        """65 bytes of the public key that belongs to `private`."""
        return private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)

    def sign(self, private: ec.EllipticCurvePrivateKey, message: bytes) -> bytes:
        """ECDSA over SHA-256(message), RFC 6979, r || s: 64 bytes."""
        r, s = decode_dss_signature(private.sign(message, _SIGNING))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    def verify(self, public: ec.EllipticCurvePublicKey, message: bytes, signature: bytes) -> bool:
        """True when the signature fits. The GIL is free meanwhile, so threads verify side by side."""
        if len(signature) != SIGNATURE_BYTES:
            return False
        r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
        try:
            public.verify(encode_dss_signature(r, s), message, _VERIFYING)
        except InvalidSignature:
            return False
        return True

    def agree(self, private: ec.EllipticCurvePrivateKey, public: ec.EllipticCurvePublicKey) -> bytes:
        """ECDH: the 32-byte x coordinate."""
        return private.exchange(ec.ECDH(), public)

    def ccm_seal(self, key: bytes, iv: bytes, aad: bytes, plaintext: bytes) -> bytes:
        """Ciphertext || 16-byte tag."""
        return AESCCM(key, TAG_BYTES).encrypt(iv, plaintext, aad)

    def ccm_open(self, key: bytes, iv: bytes, aad: bytes, ciphertext: bytes) -> bytes:
        """Plaintext, or Refused("decrypt")."""
        try:
            return AESCCM(key, TAG_BYTES).decrypt(iv, ciphertext, aad)
        except InvalidTag:
            pass
        raise Refused("decrypt")
