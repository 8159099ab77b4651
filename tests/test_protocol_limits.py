"""Bounds and reasons that the rest stands on. Runs on CPython and on MicroPython."""

from refusing import is_our_fault

from protocol import limits
from protocol.refusal import REASONS, Refused


def test_buckets_ascend_and_fit_a_message_with_the_longest_names():
    sizes = list(limits.BUCKETS_BYTES)
    assert sizes == sorted(set(sizes))
    # Tag and array 2, protected header 2 + 62, IV 3 + 13, head of the ciphertext 3.
    assert sizes[-1] + limits.TAG_BYTES + 2 + 2 + 62 + 3 + 13 + 3 <= limits.MESSAGE_BYTES_MAX


def test_what_is_random_never_meets_by_chance():
    """Birthdays: 2**32 messages under one key, 2**24 boots, a billion records, and chance stays below 2**-32."""
    assert 8 * limits.IV_BYTES >= 2 * 32 + 32
    assert 8 * limits.NONCE_BYTES >= 2 * 24 + 32
    assert 8 * limits.SALT_BYTES >= 2 * 30 + 32


def test_hashes_are_long_enough_for_a_second_preimage():
    assert 8 * limits.PREV_BYTES >= 128 and 8 * limits.DIGEST_BYTES == 256


def test_a_quarter_of_an_hour_is_coarse():
    assert limits.COARSE_S == 15 * 60


def test_a_refusal_has_a_reason_that_can_be_counted():
    assert len(set(REASONS)) == len(REASONS) == 13
    for reason in REASONS:
        error = Refused(reason, "field")
        assert (error.reason, error.detail, str(error)) == (reason, "field", reason + ": field")
        assert str(Refused(reason)) == reason


def test_a_reason_that_nobody_knows_is_our_fault():
    for reason in ("", "Size", "other", None):
        assert is_our_fault(Refused, reason), reason
