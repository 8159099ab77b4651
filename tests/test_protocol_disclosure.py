"""Salted claims: a value fits its signed digest or is refused. Runs on CPython and on MicroPython."""

from refusing import refusal_of
from suites import SeededRandom, device_suite, suites
from wire_samples import NOW_S, disclosed, redactable

from protocol import cbor, disclosure, rating

SALT = bytes(range(16))


def _one(suite, claim=1, value=7, salt=SALT):
    """(disclosure, digests that allow it)."""
    made = cbor.encode([salt, value, claim])
    return made, {claim: disclosure.digest(suite, made)}


def test_values_come_back_by_their_claims():
    for suite in suites():
        disclosures, digests = disclosed(suite, redactable())
        assert disclosure.check(suite, disclosures, digests) == redactable()
        assert disclosure.check(suite, disclosures[::-1], digests) == redactable()


def test_a_masked_claim_is_simply_absent():
    for suite in suites():
        disclosures, digests = disclosed(suite, redactable())
        for index in range(3):
            values = disclosure.check(suite, disclosures[:index] + disclosures[index + 1 :], digests)
            assert sorted(values) == [claim for claim in (1, 2, 3) if claim != index + 1]
        assert disclosure.check(suite, [], digests) == {}


def test_a_disclosure_without_a_digest_is_refused():
    for suite in suites():
        made, digests = _one(suite)
        assert refusal_of(disclosure.check, suite, [made], {}) == "disclosure"
        assert refusal_of(disclosure.check, suite, [made], {2: digests[1]}) == "disclosure"
        assert refusal_of(disclosure.check, suite, [made], digests) is None


def test_a_wrong_digest_is_refused():
    for suite in suites():
        made, digests = _one(suite)
        for wrong in (bytes(32), digests[1][:31], digests[1] + b"\x00", suite.sha256(made), suite.sha256(b"")):
            assert refusal_of(disclosure.check, suite, [made], {1: wrong}) == "disclosure"


def test_the_digest_is_over_the_disclosure_as_a_byte_string():
    for suite in suites():
        made, digests = _one(suite)
        assert digests[1] == suite.sha256(b"\x54" + made) and len(made) == 20


def test_a_second_disclosure_for_a_claim_is_refused():
    for suite in suites():
        made, digests = _one(suite)
        assert refusal_of(disclosure.check, suite, [made, made], digests) == "disclosure"
        other, _ = _one(suite, salt=bytes(16))
        assert refusal_of(disclosure.check, suite, [made, other], digests) == "disclosure"


def test_a_salt_is_sixteen_bytes():
    for suite in suites():
        for salt in (b"", SALT[:15], SALT + b"\x00", "a" * 16, 16, None, [SALT]):
            made, digests = _one(suite, salt=salt)
            assert refusal_of(disclosure.check, suite, [made], digests) == "disclosure", salt


def test_a_claim_is_a_number():
    """Signed or not: a claim that is no number, true and null among them, never becomes a key."""
    for suite in suites():
        for claim in (True, False, None, "1", b"\x01", [1]):
            made = cbor.encode([SALT, 7, claim])
            for digests in ({1: disclosure.digest(suite, made)}, {0: disclosure.digest(suite, made)}):
                assert refusal_of(disclosure.check, suite, [made], digests) == "disclosure", claim


def test_another_shape_is_refused():
    for suite in suites():
        for wrong in ([SALT, 7], [SALT, 7, 1, 0], [], {1: 2}, 7, None):
            made = cbor.encode(wrong)
            assert refusal_of(disclosure.check, suite, [made], {1: disclosure.digest(suite, made)}) == "structure", (
                wrong
            )
        made, digests = _one(suite)
        assert refusal_of(disclosure.check, suite, [made + b"\x00"], digests) == "encoding"
        assert refusal_of(disclosure.check, suite, [b""], digests) == "size"


def test_every_claim_of_every_record_has_a_fresh_salt():
    for suite in suites():
        salts = [cbor.decode(disclosure.make(suite, 1, NOW_S)[0])[0] for _ in range(20)]
        assert len(set(salts)) == 20 and all([len(salt) == 16 for salt in salts])


def test_the_salt_comes_from_the_random_source_of_the_suite():
    made, digest = disclosure.make(device_suite(SeededRandom("salt")), rating.COMMENT, "A1")
    assert cbor.decode(made) == [SeededRandom("salt")(16), "A1", rating.COMMENT]
    assert digest == disclosure.digest(device_suite(), made)


def test_equal_values_have_unequal_digests():
    for suite in suites():
        assert disclosure.make(suite, 2, "A1")[1] != disclosure.make(suite, 2, "A1")[1]
