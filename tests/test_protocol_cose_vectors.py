"""Examples of the COSE working group, from ../shared/vectors. Runs on CPython and on MicroPython.

They carry algorithms that profile 1 refuses (-7, short tags, other nonces). So the algorithm is chosen here, in the
test, and the structures, the derivation and the mathematics are ours. That production refuses each message is tested
beside it.
"""

import binascii
import hashlib

from refusing import refusal_of
from suites import ON_VM, suites
from vector_files import shared, shared_names

from protocol import cbor, ccm, encrypt0, p256, sign1
from protocol.suite_device import DeviceSuite

HEAP_KIB = 256  # whole files of vectors are parsed

_FLAGS_OF_TAG_8, _FLAGS_OF_TAG_16 = 0x59, 0x79


def _text(text):
    """Bytes of base64url without padding."""
    plain = text.replace("-", "+").replace("_", "/")
    return binascii.a2b_base64(plain + "=" * (-len(plain) % 4))


def _public(key):
    return b"\x04" + _text(key["x"]) + _text(key["y"])


def _parts(vector, tag):
    """The items of a tagged message."""
    message = bytes.fromhex(vector["output"]["cbor"])
    assert message.startswith(tag)
    return cbor.decode(message[len(tag) :])


def _message(vector):
    return bytes.fromhex(vector["output"]["cbor"])


SIGN1 = (
    "cose-wg/RFC8152/Appendix_C_2_1.json",
    "cose-wg/ecdsa-examples/ecdsa-sig-01.json",
    "cose-wg/ecdsa-examples/ecdsa-sig-02.json",
    "cose-wg/ecdsa-examples/ecdsa-sig-03.json",
    "cose-wg/ecdsa-examples/ecdsa-sig-04.json",
)


def test_what_is_signed_is_built_as_in_every_example():
    for name in SIGN1:
        vector = shared(name)
        protected, _, payload, _ = _parts(vector, b"\xd2")
        built = sign1.signature_input(protected, payload)
        assert built.hex().upper() == vector["intermediates"]["ToBeSign_hex"], name


def test_signatures_on_p_256_verify_under_the_algorithm_chosen_here():
    for name in SIGN1[:2]:
        vector = shared(name)
        protected, _, payload, signature = _parts(vector, b"\xd2")
        signed = sign1.Signed(protected, b"", payload, [], signature)
        for suite in suites():
            public = suite.load_public(_public(vector["input"]["sign0"]["key"]))
            assert sign1.verify(suite, public, signed), name
            spoilt = sign1.Signed(protected, b"", payload + b".", [], signature)
            assert not sign1.verify(suite, public, spoilt), name


def test_a_signature_with_a_longer_hash_verifies_over_its_first_32_bytes():
    if not ON_VM:  # MicroPython has no SHA-512
        vector = shared(SIGN1[4])
        protected, _, payload, signature = _parts(vector, b"\xd2")
        digest = hashlib.sha512(sign1.signature_input(protected, payload)).digest()[:32]
        assert p256.verify(p256.load_public(_public(vector["input"]["sign0"]["key"])), digest, signature)


def test_a_signature_of_many_signers_verifies_over_its_own_structure():
    vector = shared("cose-wg/ecdsa-examples/ecdsa-01.json")
    body, _, payload, signers = _parts(vector, b"\xd8\x62")
    protected, _, signature = signers[0]
    signed = cbor.encode(["Signature", body, protected, b"", payload])
    for suite in suites():
        public = suite.load_public(_public(vector["input"]["sign"]["signers"][0]["key"]))
        assert suite.verify(public, signed, signature)


def test_production_refuses_every_signed_example():
    names = shared_names("cose-wg/ecdsa-examples") + ["cose-wg/RFC8152/Appendix_C_2_1.json"]
    assert len(names) == 6
    for name in names:
        for typ in (sign1.RECORD_TYP, sign1.COMMAND_TYP):
            assert refusal_of(sign1.parse, _message(shared(name)), typ) in ("algorithm", "structure", "signature"), name


# Name, bytes of the tag: those with nonces of 13 bytes.
ENCRYPTED = (
    ("cose-wg/aes-ccm-examples/aes-ccm-enc-02.json", 16),
    ("cose-wg/aes-ccm-examples/aes-ccm-enc-06.json", 16),
    ("cose-wg/aes-ccm-examples/aes-ccm-enc-01.json", 8),
    ("cose-wg/aes-ccm-examples/aes-ccm-enc-05.json", 8),
    ("cose-wg/RFC8152/Appendix_C_4_1.json", 8),
    ("cose-wg/RFC8152/Appendix_C_4_2.json", 8),
)


def _open(suite, vector):
    protected, unprotected, ciphertext = _parts(vector, b"\xd0")
    iv = unprotected.get(5) or bytes.fromhex(vector["input"]["encrypted"]["unsent"]["IV_hex"])
    aad = encrypt0.encryption_input(protected, b"")
    assert aad.hex().upper() == vector["intermediates"]["AAD_hex"]
    return suite.ccm_open(bytes.fromhex(vector["intermediates"]["CEK_hex"]), iv, aad, ciphertext)


def test_messages_with_a_full_tag_are_opened():
    for name, tag_bytes in ENCRYPTED:
        if tag_bytes == 16:
            vector = shared(name)
            for suite in suites():
                assert _open(suite, vector).decode() == vector["input"]["plaintext"], name


def test_messages_with_a_short_tag_are_opened_when_the_test_says_so():
    devices = [suite for suite in suites() if isinstance(suite, DeviceSuite)]
    ccm._MAC_FLAGS, ccm.TAG_BYTES = _FLAGS_OF_TAG_8, 8
    try:
        for name, tag_bytes in ENCRYPTED:
            if tag_bytes == 8:
                vector = shared(name)
                for suite in devices:
                    assert _open(suite, vector).decode() == vector["input"]["plaintext"], name
    finally:
        ccm._MAC_FLAGS, ccm.TAG_BYTES = _FLAGS_OF_TAG_16, 16


def test_production_refuses_every_encrypted_example():
    names = shared_names("cose-wg/aes-ccm-examples") + shared_names("cose-wg/ecdh-direct-examples")
    names += ["cose-wg/RFC8152/Appendix_C_4_1.json", "cose-wg/RFC8152/Appendix_C_4_2.json"]
    assert len(names) == 16
    for name in names:
        assert refusal_of(encrypt0.parse, _message(shared(name))) in ("algorithm", "structure"), name


def test_what_is_authenticated_is_built_as_in_every_example():
    names = shared_names("cose-wg/aes-ccm-examples")
    assert len(names) == 8
    for name in names:
        vector = shared(name)
        protected = _parts(vector, b"\xd0")[0]
        assert encrypt0.encryption_input(protected, b"").hex().upper() == vector["intermediates"]["AAD_hex"], name


def test_static_agreement_and_derivation_are_those_of_the_examples():
    names = [name for name in shared_names("cose-wg/ecdh-direct-examples") if "-ss-" in name]
    assert len(names) == 3
    for name in names:
        vector = shared(name)
        body = vector["input"].get("enveloped") or vector["input"]["mac"]
        recipient = body["recipients"][0]
        secret = vector["intermediates"]["recipients"][0]["Secret_hex"].lower()
        for suite in suites():
            private = suite.load_private(_text(recipient["sender_key"]["d"]))
            assert suite.public_bytes(private) == _public(recipient["sender_key"]), name
            assert suite.agree(private, suite.load_public(_public(recipient["key"]))).hex() == secret, name
            receiver = suite.load_private(_text(recipient["key"]["d"]))
            assert suite.agree(receiver, suite.load_public(_public(recipient["sender_key"]))).hex() == secret, name


def test_keys_are_derived_as_in_the_examples():
    names = shared_names("cose-wg/ecdh-direct-examples")
    assert len(names) == 6
    for name in names:
        found = shared(name)["intermediates"]
        secret, context = [bytes.fromhex(found["recipients"][0][part]) for part in ("Secret_hex", "Context_hex")]
        for suite in suites():
            key = suite.hkdf(secret, b"", context, len(found["CEK_hex"]) // 2)
            assert key.hex().upper() == found["CEK_hex"], name


def test_the_context_of_a_derivation_is_encoded_as_in_the_examples():
    for name in shared_names("cose-wg/ecdh-direct-examples"):
        context = bytes.fromhex(shared(name)["intermediates"]["recipients"][0]["Context_hex"])
        algorithm, sender, receiver, public = cbor.decode(context)
        assert cbor.encode([algorithm, sender, receiver, public]) == context, name
        assert sender[0] is None and receiver == [None, None, None] and len(public) == 2, name
