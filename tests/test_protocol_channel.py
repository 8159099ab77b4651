"""The channel: what is sealed opens only at the other end, whole, on its topic. Runs on CPython and on MicroPython."""

import wire_samples
from refusing import is_our_fault, refusal_of
from sealed_pair import HALL, NAME, Pair, flip
from suites import suites
from wire_samples import NOW_S

from protocol import channel, command, encrypt0, receipt, record, sealed_record

CONTENT = b"content"


def _sealed_record(pair):
    disclosures, digests = wire_samples.disclosed(pair.suite, {1: NOW_S, 2: wire_samples.VISIT})
    payload = record.encode(wire_samples.a_record(digests=digests))
    return sealed_record.seal(pair.device, pair.signer, payload, disclosures)


def test_both_directions_open_at_the_other_end():
    for suite in suites():
        pair = Pair(suite)
        for typ in encrypt0.TYPES:
            assert pair.gateway.open(typ, pair.device.seal(typ, CONTENT)) == CONTENT
            assert pair.device.open(typ, pair.gateway.seal(typ, CONTENT)) == CONTENT


def test_a_message_of_one_suite_opens_under_the_other():
    for sealing in suites():
        for opening in suites():
            assert Pair(opening).gateway.open("hs-rec", Pair(sealing).device.seal("hs-rec", CONTENT)) == CONTENT
            assert Pair(opening).device.open("hs-rcp", Pair(sealing).gateway.seal("hs-rcp", CONTENT)) == CONTENT


def test_a_message_does_not_open_where_it_was_sealed():
    for suite in suites():
        pair = Pair(suite)
        assert refusal_of(pair.device.open, "hs-rec", pair.device.seal("hs-rec", CONTENT)) == "decrypt"
        assert refusal_of(pair.gateway.open, "hs-cmd", pair.gateway.seal("hs-cmd", CONTENT)) == "decrypt"


def test_a_message_opens_in_its_hall_only():
    for suite in suites():
        here, there = Pair(suite), Pair(suite, hall="anning")
        assert refusal_of(there.gateway.open, "hs-rec", here.device.seal("hs-rec", CONTENT)) == "decrypt"
        assert refusal_of(there.device.open, "hs-cmd", here.gateway.seal("hs-cmd", CONTENT)) == "decrypt"


def test_a_message_of_another_device_is_refused_by_its_address():
    for suite in suites():
        here, there = Pair(suite), Pair(suite, name="e-002")
        assert refusal_of(there.gateway.open, "hs-rec", here.device.seal("hs-rec", CONTENT)) == "address"
        assert refusal_of(there.device.open, "hs-cmd", here.gateway.seal("hs-cmd", CONTENT)) == "address"


def test_a_message_under_other_keys_does_not_open():
    for suite in suites():
        here, there = Pair(suite), Pair(suite, keys=" of a stranger")
        assert refusal_of(there.gateway.open, "hs-rec", here.device.seal("hs-rec", CONTENT)) == "decrypt"
        assert refusal_of(there.device.open, "hs-rcp", here.gateway.seal("hs-rcp", CONTENT)) == "decrypt"


def test_a_message_moved_to_another_topic_does_not_open():
    """Same keys, same names in the header: only the authenticated topic differs."""
    for suite in suites():
        pair = Pair(suite)
        message = encrypt0.parse(pair.device.seal("hs-rec", CONTENT))
        key = pair.gateway._in_key(message.context)
        for topic, opens in (("hallseal/1/yongxing/e-001/up", True), ("hallseal/1/yongxing/e-001/down", False)):
            aad = encrypt0.encryption_input(message.protected, topic.encode())
            assert (refusal_of(suite.ccm_open, key, message.iv, aad, message.ciphertext) is None) == opens


def test_a_message_of_another_type_is_refused():
    for suite in suites():
        pair = Pair(suite)
        for sealed in encrypt0.TYPES:
            for opened in encrypt0.TYPES:
                if sealed != opened:
                    assert refusal_of(pair.device.open, opened, pair.gateway.seal(sealed, CONTENT)) == "type"


def test_a_message_of_another_key_epoch_is_refused():
    for suite in suites():
        old, new = Pair(suite, epoch=1), Pair(suite, epoch=2)
        assert refusal_of(new.gateway.open, "hs-rec", old.device.seal("hs-rec", CONTENT)) == "key"
        assert new.gateway.open("hs-rec", new.device.seal("hs-rec", CONTENT)) == CONTENT


def test_every_single_bit_flip_of_a_record_is_refused():
    for suite in suites():
        pair = Pair(suite)
        _no_flip_is_harmless(_sealed_record(pair), lambda spoilt: sealed_record.open(pair.gateway, spoilt))


def test_every_single_bit_flip_of_a_receipt_is_refused():
    for suite in suites():
        pair = Pair(suite)
        message = receipt.seal(pair.gateway, wire_samples.a_receipt())
        _no_flip_is_harmless(message, lambda spoilt: receipt.open(pair.device, spoilt))


def test_every_single_bit_flip_of_a_command_is_refused():
    for suite in suites():
        pair = Pair(suite)
        message = command.seal(pair.gateway, pair.command_signer, wire_samples.a_command(command.TIME_ANSWER))
        _no_flip_is_harmless(message, lambda spoilt: command.open(pair.device, pair.command_public, spoilt))


def _no_flip_is_harmless(message, open_it):
    """The list of harmless flips is empty: even the unprotected header holds nothing but the IV."""
    assert refusal_of(open_it, message) is None
    assert [bit for bit in range(8 * len(message)) if refusal_of(open_it, flip(message, bit)) is None] == []


def test_a_message_cut_short_or_lengthened_is_refused():
    for suite in suites():
        pair = Pair(suite)
        message = pair.device.seal("hs-rec", CONTENT)
        for size in range(len(message)):
            assert refusal_of(pair.gateway.open, "hs-rec", message[:size]) is not None, size
        for more in (b"\x00", b"\xff", message):
            assert refusal_of(pair.gateway.open, "hs-rec", message + more) is not None


def test_parts_of_two_messages_do_not_mix():
    for suite in suites():
        pair = Pair(suite)
        one, two = [encrypt0.parse(pair.device.seal("hs-rec", content)) for content in (b"one", b"two")]
        other_boot = encrypt0.parse(pair.channel(channel.DEVICE).seal("hs-rec", b"two"))
        for protected, iv, ciphertext in (
            (one.protected, two.iv, one.ciphertext),
            (one.protected, one.iv, two.ciphertext),
            (other_boot.protected, one.iv, one.ciphertext),
        ):
            assert refusal_of(pair.gateway.open, "hs-rec", encrypt0.encode(protected, iv, ciphertext)) == "decrypt"


def test_the_same_content_is_never_sealed_alike():
    for suite in suites():
        pair = Pair(suite)
        messages = [pair.device.seal("hs-rec", CONTENT) for _ in range(4)]
        assert len(set(messages)) == 4
        assert len(set([encrypt0.parse(message).iv for message in messages])) == 4


def test_a_boot_draws_one_nonce_and_the_next_boot_another():
    for suite in suites():
        pair = Pair(suite)
        contexts = [encrypt0.parse(pair.device.seal("hs-rec", CONTENT)).context for _ in range(2)]
        later = encrypt0.parse(pair.channel(channel.DEVICE).seal("hs-rec", CONTENT)).context
        down = encrypt0.parse(pair.gateway.seal("hs-rcp", CONTENT)).context
        assert contexts[0] == contexts[1] and len(set([contexts[0], later, down])) == 3


def test_messages_of_many_boots_open_in_any_order():
    for suite in suites():
        pair = Pair(suite)
        messages = [pair.channel(channel.DEVICE).seal("hs-rec", bytes([boot])) for boot in range(7)]
        for boot in (0, 6, 3, 3, 0, 5, 4, 1, 2, 6, 0):
            assert pair.gateway.open("hs-rec", messages[boot]) == bytes([boot])


def test_keys_up_and_down_differ_even_under_one_nonce():
    nonce = bytes(12)
    up = channel.kdf_context(NAME, HALL + "/gateway", nonce, "hallseal/1/yongxing/e-001/up")
    down = channel.kdf_context(HALL + "/gateway", NAME, nonce, "hallseal/1/yongxing/e-001/down")
    for suite in suites():
        assert suite.hkdf(bytes(32), b"", up, 32) != suite.hkdf(bytes(32), b"", down, 32)


def test_content_that_fits_no_message_is_our_fault():
    pair = Pair(suites()[0])
    assert is_our_fault(pair.device.seal, "hs-rec", bytes(4000))


def test_a_channel_has_two_sides_and_named_ends():
    suite = suites()[0]
    for hall, device, side in (("Yongxing", "e-001", "device"), ("yongxing", "e/001", "device"), (HALL, NAME, "up")):
        assert is_our_fault(channel.Channel, suite, hall, device, None, None, side), (hall, device, side)
