"""The suites: keys, signatures, agreement, derivation and encryption. Runs on CPython and on MicroPython."""

import golden_keys
from golden_keys import KEYS
from refusing import is_our_fault, refusal_of
from sealed_pair import flip, private_key
from suites import ON_VM, SeededRandom, device_suite, suites

from protocol import ccm, hkdf, p256

N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
P = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF
KEY = bytes(range(32))
IV = bytes(range(13))


def _number(value):
    return value.to_bytes(32, "big")


def _public(suite, label="record"):
    return suite.public_bytes(suite.load_private(private_key(label)))


def test_both_suites_give_the_same_for_sixty_keys():
    all_suites = suites()
    for index in range(KEYS if len(all_suites) > 1 else 1):
        rows = [golden_keys.row(suite, index) for suite in all_suites]
        assert rows[0] == rows[-1], index


def test_a_signature_of_one_suite_verifies_under_the_other():
    for signing in suites():
        signature = signing.sign(signing.load_private(private_key("record")), b"message")
        assert len(signature) == 64
        for verifying in suites():
            public = verifying.load_public(_public(signing))
            assert verifying.verify(public, b"message", signature)
            assert not verifying.verify(public, b"messagf", signature)
            assert not verifying.verify(verifying.load_public(_public(signing, "command")), b"message", signature)


def test_every_bit_of_a_signature_counts():
    for suite in suites():
        signature = suite.sign(suite.load_private(private_key("record")), b"message")
        public = suite.load_public(_public(suite))
        for bit in range(0, 512):
            assert not suite.verify(public, b"message", flip(signature, bit)), bit


def test_signing_again_gives_the_same_bytes():
    for suite in suites():
        private = suite.load_private(private_key("record"))
        assert suite.sign(private, b"message") == suite.sign(private, b"message")
        assert suite.sign(private, b"message") != suite.sign(private, b"massage")


def test_a_signature_with_the_other_s_verifies_so_nothing_is_known_by_its_signature():
    for suite in suites():
        signature = suite.sign(suite.load_private(private_key("record")), b"message")
        other = signature[:32] + _number(N - int.from_bytes(signature[32:], "big"))
        assert other != signature and suite.verify(suite.load_public(_public(suite)), b"message", other)


def test_signatures_out_of_range_or_shape_do_not_verify():
    for suite in suites():
        public = suite.load_public(_public(suite))
        good = suite.sign(suite.load_private(private_key("record")), b"message")
        for value in (0, N, N + 1, (1 << 256) - 1):
            assert not suite.verify(public, b"message", _number(value) + good[32:])
            assert not suite.verify(public, b"message", good[:32] + _number(value))
        for signature in (b"", good[:63], good + b"\x00", b"\x00" + good, bytes(64), good[:32]):
            assert not suite.verify(public, b"message", signature)


def test_private_keys_out_of_range_or_length_are_refused():
    for suite in suites():
        for raw in (_number(0), _number(N), _number(N + 1), b"\xff" * 32, b"", KEY[:31], KEY + b"\x00"):
            assert refusal_of(suite.load_private, raw) == "key", raw.hex()
        for scalar in (1, 2, N - 1):
            assert refusal_of(suite.load_private, _number(scalar)) is None


def test_the_smallest_and_largest_private_keys_have_the_generator_and_its_mirror():
    for suite in suites():
        one = suite.public_bytes(suite.load_private(_number(1)))
        last = suite.public_bytes(suite.load_private(_number(N - 1)))
        assert one == b"\x04" + _number(p256.GENERATOR[0]) + _number(p256.GENERATOR[1])
        assert last[:33] == one[:33] and int.from_bytes(last[33:], "big") == P - p256.GENERATOR[1]


def test_public_keys_off_the_curve_or_in_another_form_are_refused():
    for suite in suites():
        good = _public(suite)
        x, y = good[1:33], good[33:]
        wrong = (
            b"",
            good[:64],
            good + b"\x00",
            b"\x00",
            b"\x00" + good[1:],
            b"\x06" + good[1:],
            b"\x02" + x,
            b"\x03" + x,
            b"\x04" + x,
            b"\x04" + y + x,
            b"\x04" + bytes(64),
            b"\x04" + x + bytes(32),
            b"\x04" + bytes(32) + y,
            b"\x04" + _number(P) + y,
            b"\x04" + x + _number(P),
            b"\x04" + b"\xff" * 64,
        )
        for raw in wrong:
            assert refusal_of(suite.load_public, raw) == "key", raw.hex()
        for bit in range(8, 520, 37):
            assert refusal_of(suite.load_public, flip(good, bit)) == "key", bit


def test_a_coordinate_that_is_only_equal_modulo_p_is_refused():
    # (0, y) lies on the curve; x = P is the same point written otherwise.
    y = 0x66485C780E2F83D72433BD5D84A06BB6541C2AF31DAE871728BF856A174F93F4
    for suite in suites():
        assert refusal_of(suite.load_public, b"\x04" + _number(0) + _number(y)) is None
        assert refusal_of(suite.load_public, b"\x04" + _number(P) + _number(y)) == "key"


def test_both_sides_agree_and_others_do_not():
    for suite in suites():
        publics = [suite.load_public(_public(suite, label)) for label in ("one", "two", "three")]
        privates = [suite.load_private(private_key(label)) for label in ("one", "two", "three")]
        secret = suite.agree(privates[0], publics[1])
        assert len(secret) == 32 and secret == suite.agree(privates[1], publics[0])
        assert secret != suite.agree(privates[2], publics[0])


def test_new_private_keys_are_valid_and_differ():
    for suite in suites():
        made = [suite.generate_private() for _ in range(4)]
        for raw in made:
            assert refusal_of(suite.load_private, raw) is None and len(raw) == 32
        assert len(set(made)) == 4


def test_a_new_private_key_has_no_bias_from_its_random_bytes():
    """Random bytes above the order still give a key in range, and all zeros do not give the key 0."""
    for drawn, scalar in ((b"\xff", ((1 << 320) - 1) % (N - 1) + 1), (b"\x00", 1)):
        suite = device_suite(lambda count, byte=drawn: byte * count)
        assert suite.generate_private() == _number(scalar)


def test_sealed_bytes_open_again_whatever_their_length():
    for suite in suites():
        for size in (0, 1, 15, 16, 17, 31, 32, 33, 255, 328, 3840):
            for aad in (b"a", bytes(13), bytes(14), bytes(15), bytes(300)):
                sealed = suite.ccm_seal(KEY, IV, aad, bytes(size))
                assert len(sealed) == size + 16 and suite.ccm_open(KEY, IV, aad, sealed) == bytes(size)


def test_both_suites_seal_alike():
    random = SeededRandom("seal alike")
    for size in range(0, 600, 7):
        key, iv, aad, plain = random(32), random(13), random(1 + size % 90), random(size)
        made = [suite.ccm_seal(key, iv, aad, plain) for suite in suites()]
        assert made[0] == made[-1], size


def test_every_bit_of_what_is_sealed_counts():
    for suite in suites():
        aad, sealed = b"data", suite.ccm_seal(KEY, IV, b"data", b"seventeen bytes..")
        for bit in range(8 * len(sealed)):
            assert refusal_of(suite.ccm_open, KEY, IV, aad, flip(sealed, bit)) == "decrypt", bit
        for bit in range(32):
            assert refusal_of(suite.ccm_open, KEY, IV, flip(aad, bit), sealed) == "decrypt", bit
        for bit in range(0, 104):
            assert refusal_of(suite.ccm_open, KEY, flip(IV, bit), aad, sealed) == "decrypt", bit
        for bit in range(0, 256):
            assert refusal_of(suite.ccm_open, flip(KEY, bit), IV, aad, sealed) == "decrypt", bit


def test_what_is_shorter_than_a_tag_is_refused():
    for suite in suites():
        for size in range(16):
            assert refusal_of(suite.ccm_open, KEY, IV, b"data", bytes(size)) == "decrypt"
        assert refusal_of(suite.ccm_open, KEY, IV, b"data", bytes(16)) == "decrypt"


def test_derivation_knows_its_bounds():
    for size in (0, -1, 8161):
        assert is_our_fault(hkdf.hkdf_sha256, b"secret", b"", b"", size)
    assert len(hkdf.hkdf_sha256(b"secret", b"", b"", 8160)) == 8160


def test_a_key_longer_than_a_block_is_hashed_first():
    for size in (0, 1, 63, 64, 65, 66, 100, 131):
        key = bytes(range(size))
        hashed = suites()[0].sha256(key)
        assert (hkdf.hmac_sha256(key, b"m") == hkdf.hmac_sha256(hashed, b"m")) == (size > 64), size
    text = b"Test Using Larger Than Block-Size Key - Hash Key First"  # RFC 4231, test case 6
    expected = "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
    assert hkdf.hmac_sha256(b"\xaa" * 131, text).hex() == expected


def test_an_empty_salt_means_32_zero_bytes():
    for suite in suites():
        assert suite.hkdf(b"secret", b"", b"info", 42) == suite.hkdf(b"secret", bytes(32), b"info", 42)


def test_sha256_of_nothing_and_of_abc():
    for suite in suites():
        assert suite.sha256(b"").hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        assert suite.sha256(b"abc").hex() == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_ccm_asks_for_what_it_needs():
    wrong = [(IV[:12], b"a", 1), (IV + b"a", b"a", 1), (IV, b"", 1)]
    if not ON_VM:  # more than a device's heap holds
        wrong += [(IV, bytes(0xFF00), 1), (IV, b"a", 0x10000)]
    for iv, aad, size in wrong:
        assert is_our_fault(ccm.seal, None, KEY, iv, aad, bytes(size)), (len(iv), len(aad), size)


def _sum_meets(factor):
    """Verifies a signature that is made so that u1 * G = factor * u2 * Q; u1 * G + u2 * Q is the sum to be found."""
    private, k = p256.load_private(private_key("record")), p256.load_private(private_key("nonce"))
    r = int.from_bytes(p256.public_bytes(k)[1:33], "big") % N
    digest = factor * r * private % N
    inverse = p256._inverse(k, N)
    s = inverse * (digest + r * private) % N or 1
    public = p256.load_public(p256.public_bytes(private))
    return p256.verify(public, _number(digest), _number(r) + _number(s))


def test_the_special_cases_of_adding_points_are_right():
    assert _sum_meets(1)  # the same point twice: a doubling
    assert not _sum_meets(N - 1)  # a point and its mirror: infinity, which no signature fits
    assert _sum_meets(0)  # one half is infinity
    assert _sum_meets(5)


def test_a_key_made_to_fit_a_signature_of_zero_does_not():
    """Q = (kG - eG) / r fits (r, s) for every s that is taken for 1: zero and the order, where nobody checks."""
    message, k = b"message", p256.load_private(private_key("nonce"))
    r = int.from_bytes(p256.public_bytes(k)[1:33], "big") % N
    for suite in suites():
        digest = int.from_bytes(suite.sha256(message), "big")
        private = suite.load_private(_number(p256._inverse(r, N) * (k - digest) % N))
        public = suite.load_public(suite.public_bytes(private))
        for s in (0, N):
            assert not suite.verify(public, message, _number(r) + _number(s))
        assert suite.verify(public, message, _number(r) + _number(1))


def test_a_nonce_out_of_range_is_followed_by_the_next_candidate():
    """RFC 6979 3.2 h: happens once in 2**32 signatures, so the range is made smaller here."""
    digest, private = bytes(range(32)), p256.load_private(private_key("record"))
    seen = []

    def third(k):
        seen.append(k)
        return (1, 1) if len(seen) == 3 else None

    assert p256._nonce(private, digest, third) == (1, 1)
    assert seen == _candidates(private, digest, 3) and len(set(seen)) == 3


def _candidates(private, digest, count):
    """The first numbers of RFC 6979 3.2, written down once more from the text."""
    data = _number(private) + _number(int.from_bytes(digest, "big") % N)
    key, value, found = bytes(32), b"\x01" * 32, []
    key = hkdf.hmac_sha256(key, value + b"\x00" + data)
    value = hkdf.hmac_sha256(key, value)
    key = hkdf.hmac_sha256(key, value + b"\x01" + data)
    value = hkdf.hmac_sha256(key, value)
    while len(found) < count:
        value = hkdf.hmac_sha256(key, value)
        found.append(int.from_bytes(value, "big"))
        key = hkdf.hmac_sha256(key, value + b"\x00")
        value = hkdf.hmac_sha256(key, value)
    return found


def test_keys_at_both_ends_of_the_range_sign():
    for suite in suites():
        for scalar in (1, 2, 3, N - 1, N - 2):
            raw = _number(scalar)
            public = suite.load_public(suite.public_bytes(suite.load_private(raw)))
            for message in (b"", b"a", b"special"):
                assert suite.verify(public, message, suite.sign(suite.load_private(raw), message)), scalar
