"""Vectors of RFC 6979, RFC 3610 and RFC 9901, from ../shared/vectors. Runs on CPython and on MicroPython."""

import binascii
import hashlib

from suites import ON_VM, suites
from vector_files import shared

from protocol import ccm, p256
from protocol.suite_device import DeviceSuite

HEAP_KIB = 256  # whole files of vectors are parsed

# RFC 3610 section 8 has 8-byte tags. The flags of the first block name the length, 8 * (M - 2) / 2.
_FLAGS_OF_TAG_8, _FLAGS_OF_TAG_16 = 0x59, 0x79


def _devices():
    return [suite for suite in suites() if isinstance(suite, DeviceSuite)]


def test_rfc_6979_signatures_are_made_byte_for_byte():
    vectors = shared("rfc/rfc6979_p256.json")
    done = 0
    for vector in vectors["tests"]:
        if vector["hash"] == "SHA256":
            for suite in suites():
                private = suite.load_private(int(vectors["private_d"], 16).to_bytes(32, "big"))
                made = suite.sign(private, vector["message"].encode())
                assert made.hex() == vector["r"] + vector["s"], vector["message"]
            done += 1
    assert done == 2


def test_rfc_6979_public_key_belongs_to_the_private_one():
    vectors = shared("rfc/rfc6979_p256.json")
    for suite in suites():
        public = suite.public_bytes(suite.load_private(int(vectors["private_d"], 16).to_bytes(32, "big")))
        assert public.hex() == "04" + vectors["public_x"][2:] + vectors["public_y"][2:]


def test_rfc_6979_signatures_over_every_hash_verify():
    """The leftmost 32 bytes of a longer digest are signed, and a shorter one as it is."""
    vectors = shared("rfc/rfc6979_p256.json")
    public = p256.load_public(bytes.fromhex("04" + vectors["public_x"][2:] + vectors["public_y"][2:]))
    done = 0
    for vector in vectors["tests"]:
        name = vector["hash"].lower()
        if hasattr(hashlib, name):  # MicroPython has SHA-1 and SHA-256
            digest = getattr(hashlib, name)(vector["message"].encode()).digest()[:32]
            assert p256.verify(public, digest, bytes.fromhex(vector["r"] + vector["s"])), name
            done += 1
    assert done == (4 if ON_VM else 10)


def test_rfc_3610_packets_are_sealed_and_opened():
    vectors = shared("rfc/rfc3610_ccm.json")["tests"]
    assert len(vectors) == 3
    for suite in _devices():
        ccm._MAC_FLAGS, ccm.TAG_BYTES = _FLAGS_OF_TAG_8, 8
        try:
            for vector in vectors:
                key, iv, aad = [bytes.fromhex(vector[name]) for name in ("key", "nonce", "aad")]
                sealed = suite.ccm_seal(key, iv, aad, bytes.fromhex(vector["plaintext"]))
                assert sealed.hex() == vector["ciphertext_and_tag"], vector["packet_vector"]
                assert suite.ccm_open(key, iv, aad, sealed).hex() == vector["plaintext"]
        finally:
            ccm._MAC_FLAGS, ccm.TAG_BYTES = _FLAGS_OF_TAG_16, 16


def test_digests_of_disclosures_of_rfc_9901_are_found():
    vectors = shared("sd-jwt/disclosure_digests.json")["tests"]
    assert len(vectors) == 2
    for suite in suites():
        for vector in vectors:
            digest = binascii.b2a_base64(suite.sha256(vector["disclosure"].encode())).decode().strip()
            assert digest.rstrip("=").replace("+", "-").replace("/", "_") == vector["sha256_b64url"]
