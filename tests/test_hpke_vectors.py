"""HPKE (RFC 9180), which seals identities to the central system: public vectors for the suites of P-256 in base mode.

The package's own function that takes associated data is private, and the vectors have some; ours has none.
"""

import json
from pathlib import Path
from typing import Any

import pytest
import vector_files
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.bindings._rust import openssl
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from gateway import identity_seal
from protocol import sealed_part

BASE, P_256, HKDF_SHA256 = 0, 16, 1
AEADS = {1: AEAD.AES_128_GCM, 2: AEAD.AES_256_GCM, 3: AEAD.CHACHA20_POLY1305}


def _opens_first(vector: dict[str, Any]) -> bool:
    """True when the first message of the vector opens; each later one has a sequence number, which we never use."""
    suite = Suite(KEM.P256, KDF.HKDF_SHA256, AEADS[vector["aead_id"]])
    private = ec.derive_private_key(int(vector["skRm"], 16), ec.SECP256R1())
    first = vector["encryptions"][0]
    sealed, aad, info = (bytes.fromhex(text) for text in (vector["enc"] + first["ct"], first["aad"], vector["info"]))
    plain = openssl.hpke._decrypt_with_aad(suite, sealed, private, info, aad)
    with pytest.raises(InvalidTag):
        openssl.hpke._decrypt_with_aad(suite, sealed, private, info + b"x", aad)
    return bool(plain.hex() == first["pt"])


def test_shared_vectors_open() -> None:
    vectors = vector_files.shared("rfc/hpke_p256_base.json")
    assert [vector["aead_id"] for vector in vectors] == [1, 2]
    assert all(_opens_first(vector) for vector in vectors)


def test_vectors_of_the_package_open() -> None:
    vectors = [
        vector
        for vector in json.loads(Path(vector_files.package_path("HPKE/test-vectors.json")).read_text("utf-8"))
        if (vector["mode"], vector["kem_id"], vector["kdf_id"]) == (BASE, P_256, HKDF_SHA256) and vector["encryptions"]
    ]
    assert [vector["aead_id"] for vector in vectors] == [1, 2, 3]
    assert all(_opens_first(vector) for vector in vectors)


def test_the_gateway_seals_with_the_suite_of_the_first_vector() -> None:
    vector = vector_files.shared("rfc/hpke_p256_base.json")[0]
    sealer = identity_seal.IdentitySeal("yongxing", bytes.fromhex(vector["pkRm"]))
    sealed = sealer.seal("e-001", bytes(8), 7, [b"one", b"two"])
    suite = Suite(KEM.P256, KDF.HKDF_SHA256, AEADS[vector["aead_id"]])
    private = ec.derive_private_key(int(vector["skRm"], 16), ec.SECP256R1())
    info = sealed_part.info("yongxing", "e-001", bytes(8), 7)
    assert suite.decrypt(sealed, private, info) == sealed_part.pad(b"\x82\x43one\x43two")
    with pytest.raises(InvalidTag):
        suite.decrypt(sealed, private, sealed_part.info("yongxing", "e-001", bytes(8), 8))
