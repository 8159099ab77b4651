"""Project Wycheproof, from ../shared/vectors: every case, counted. Runs on CPython and on MicroPython."""

from suites import suites
from vector_files import shared

from protocol import hkdf

HEAP_KIB = 4096  # the file of signatures is 240 KB of JSON


def _cases(name):
    """(group, case) of every case in a file."""
    for group in shared("wycheproof/" + name)["testGroups"]:
        for case in group["tests"]:
            yield group, case


def test_every_signature_is_judged_rightly():
    counts = {"valid": 0, "invalid": 0}
    public_of = ["", []]
    for group, case in _cases("ecdsa_secp256r1_sha256_p1363_test.json"):
        uncompressed = group["publicKey"]["uncompressed"]
        if public_of[0] != uncompressed:
            public_of = [uncompressed, [suite.load_public(bytes.fromhex(uncompressed)) for suite in suites()]]
        for suite, public in zip(suites(), public_of[1]):
            verified = suite.verify(public, bytes.fromhex(case["msg"]), bytes.fromhex(case["sig"]))
            assert verified == (case["result"] == "valid"), case["tcId"]
        counts[case["result"]] += 1
    assert counts == {"valid": 173, "invalid": 89}


def test_every_derivation_gives_its_bytes_or_is_refused():
    counts = {"valid": 0, "invalid": 0}
    for _, case in _cases("hkdf_sha256_test.json"):
        secret, salt, info = [bytes.fromhex(case[name]) for name in ("ikm", "salt", "info")]
        for suite in suites():
            try:
                made = suite.hkdf(secret, salt, info, case["size"]).hex()
            except ValueError:
                made = None
            assert made == (case["okm"] if case["result"] == "valid" else None), case["tcId"]
        counts[case["result"]] += 1
    assert counts == {"valid": 83, "invalid": 3}


def test_every_tag_is_judged_rightly():
    counts = {"valid": 0, "invalid": 0}
    for group, case in _cases("hmac_sha256_test.json"):
        made = hkdf.hmac_sha256(bytes.fromhex(case["key"]), bytes.fromhex(case["msg"]))
        fits = made[: group["tagSize"] // 8].hex() == case["tag"]
        assert fits == (case["result"] == "valid"), case["tcId"]
        counts[case["result"]] += 1
    assert counts == {"valid": 66, "invalid": 108}
