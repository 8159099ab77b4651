"""The suite on a device: hashlib, cryptolib's AES, and our own P-256 and CCM.

A suite is a value that is handed to everything that needs cryptography, so that a second one can stand beside it.
Runs on CPython as well when `aes` is handed in (see ccm.py for its shape); tests hold it against HostSuite.
"""

import hashlib
import os

from protocol import ccm, p256
from protocol.hkdf import hkdf_sha256


class DeviceSuite:
    """P-256, SHA-256, HKDF, AES-CCM-16-128-256.

    aes: constructor like cryptolib.aes (default: cryptolib's own).
    random: function count -> bytes, os.urandom by default; an ESP32 needs RF or its entropy source on first.
    """

    def __init__(self, aes: object = None, random: object = None) -> None:
        if aes is None:
            import cryptolib  # type: ignore[import-not-found,unused-ignore]  # MicroPython only

            aes = cryptolib.aes
        self._aes = aes
        self._random = random or os.urandom

    def random_bytes(self, count: int) -> bytes:
        """`count` unpredictable bytes."""
        return self._random(count)  # type: ignore[no-any-return,operator]

    def sha256(self, data: bytes) -> bytes:
        """32 bytes."""
        return hashlib.sha256(data).digest()

    def hkdf(self, secret: bytes, salt: bytes, info: bytes, size: int) -> bytes:
        """`size` bytes by HKDF-SHA256; an empty salt means 32 zero bytes."""
        return hkdf_sha256(secret, salt, info, size)

    def generate_private(self) -> bytes:
        """A new private key, 32 bytes, from 1 to N - 1 (FIPS 186-5 A.2.1: 64 extra bits leave no bias)."""
        return (int.from_bytes(self.random_bytes(40), "big") % (p256.N - 1) + 1).to_bytes(32, "big")

    def load_private(self, raw: bytes) -> int:
        """Key object of 32 bytes. Raises Refused("key")."""
        return p256.load_private(raw)

    def load_public(self, raw: bytes) -> p256.PublicKey:
        """Key object of 65 bytes (0x04 || x || y). Raises Refused("key")."""
        return p256.load_public(raw)

    def public_bytes(self, private: int) -> bytes:
        """65 bytes of the public key that belongs to `private`."""
        return p256.public_bytes(private)

    def sign(self, private: int, message: bytes) -> bytes:
        """ECDSA over SHA-256(message), RFC 6979, r || s: 64 bytes."""
        return p256.sign(private, self.sha256(message))

    def verify(self, public: p256.PublicKey, message: bytes, signature: bytes) -> bool:
        """True when the signature fits."""
        return p256.verify(public, self.sha256(message), signature)

    def agree(self, private: int, public: p256.PublicKey) -> bytes:
        """ECDH: the 32-byte x coordinate."""
        return p256.agree(private, public)

    def ccm_seal(self, key: bytes, iv: bytes, aad: bytes, plaintext: bytes) -> bytes:
        """Ciphertext || 16-byte tag."""
        return ccm.seal(self._aes, key, iv, aad, plaintext)

    def ccm_open(self, key: bytes, iv: bytes, aad: bytes, ciphertext: bytes) -> bytes:
        """Plaintext, or Refused("decrypt")."""
        return ccm.open(self._aes, key, iv, aad, ciphertext)
