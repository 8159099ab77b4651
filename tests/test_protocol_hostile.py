"""Hostile bytes: whatever arrives, a parser returns or refuses; it never fails otherwise. Runs on both interpreters."""

import wire_samples
from refusing import refusal_of
from sealed_pair import Pair
from suites import ON_VM, SeededRandom, suites
from wire_samples import NOW_S

from protocol import cbor, channel, command, disclosure, encrypt0, padding, receipt, record, sealed_record, sign1, topic
from protocol.refusal import REASONS

HEAP_KIB = 512  # the values made up here lie in the heap beside their encodings
ROUNDS = 300 if ON_VM else 2000


class Chance:
    """Choices from a SeededRandom: the same in every run and on every interpreter."""

    def __init__(self, label):
        self._random = SeededRandom(label)

    def below(self, bound):
        """An int from 0 to bound - 1, bound up to 65536."""
        return int.from_bytes(self._random(2), "big") % bound

    def bytes(self, most):
        """Up to `most` bytes."""
        return self._random(self.below(most + 1))


def _spoil(data, chance):
    """`data` with a byte changed, a piece taken out, put in, doubled or moved."""
    at, length = chance.below(len(data)), chance.below(8) + 1
    piece = data[at : at + length]
    what = chance.below(5)
    if what == 0:
        return data[:at] + bytes((chance.below(256),)) + data[at + 1 :]
    if what == 1:
        return data[:at] + data[at + length :]
    if what == 2:
        return data[:at] + chance.bytes(length) + data[at:]
    if what == 3:
        return data[:at] + piece + piece + data[at + length :]
    rest = data[:at] + data[at + length :]
    to = chance.below(len(rest) + 1)
    return rest[:to] + piece + rest[to:]


def _value(chance, depth=0):
    """A value of the profile, of any shape."""
    what = chance.below(9 if depth < 4 else 6)
    if what == 0:
        return int.from_bytes(chance.bytes(8), "big") * (1 if chance.below(2) else -1)
    if what == 1:
        return chance.below(30) - 3
    if what == 2:
        return chance.bytes(40)
    if what == 3:
        return "".join([chr(0x4E00 + chance.below(2000)) for _ in range(chance.below(20))])
    if what == 4:
        return (None, True, False)[chance.below(3)]
    if what == 5:
        return ("e-001", "hs-rec", "gateway", b"\x00" * 16, b"\x00" * 8, [])[chance.below(6)]
    if what == 6:
        return [_value(chance, depth + 1) for _ in range(chance.below(6))]
    return {chance.below(48) - 24: _value(chance, depth + 1) for _ in range(chance.below(8))}


def _parsers(pair):
    """Everything that reads bytes of a peer."""
    return (
        cbor.decode,
        encrypt0.parse,
        channel.peek_kid,
        channel.peek_type,
        padding.unpad,
        lambda data: sign1.parse(data, "hs-rec"),
        record.decode,
        receipt.decode,
        command.decode,
        lambda data: disclosure.check(pair.suite, [data], {1: bytes(32)}),
        lambda data: sealed_record.open(pair.gateway, data),
        lambda data: receipt.open(pair.device, data),
        lambda data: command.open(pair.device, pair.command_public, data),
    )


def _feed(parsers, data):
    for parse in parsers:
        assert refusal_of(parse, data) in REASONS + (None,)


def _samples(pair):
    """A message of every layer."""
    disclosures, digests = wire_samples.disclosed(pair.suite, {1: [NOW_S, ""], 3: wire_samples.IDENTITY})
    yield record.encode(wire_samples.a_record(digests=digests))
    for kind in (record.PUNCH, record.EVENT, record.HEARTBEAT):
        yield record.encode(wire_samples.a_record(kind))
    yield disclosures[1]
    yield receipt.encode(wire_samples.a_receipt())
    for kind in wire_samples.COMMAND_CLAIMS:
        yield command.encode(wire_samples.a_command(kind))
    signed = pair.signer.sign("hs-rec", record.encode(wire_samples.a_record(digests=digests)), disclosures)
    yield signed
    yield padding.pad(signed)
    yield pair.device.seal("hs-rec", signed)


def test_spoilt_messages_of_every_layer_are_taken_or_refused():
    pair, chance = Pair(suites()[0]), Chance("spoilt")
    parsers, samples = _parsers(pair), list(_samples(pair))
    for number in range(ROUNDS):
        data = samples[number % len(samples)]
        for _ in range(chance.below(4) + 1):
            data = _spoil(data, chance) or b"\x00"
        _feed(parsers, data)


def test_random_bytes_are_taken_or_refused():
    pair, chance = Pair(suites()[0]), Chance("random")
    parsers = _parsers(pair)
    for _ in range(ROUNDS):
        _feed(parsers, chance.bytes(120))


def test_values_of_any_shape_are_taken_or_refused():
    """Well encoded, but anything: this reaches the checks behind the encoding."""
    pair, chance = Pair(suites()[0]), Chance("shapes")
    parsers = _parsers(pair)
    for number in range(ROUNDS):
        data = cbor.encode(_value(chance))
        _feed(parsers, (b"", b"\xd0", b"\xd2")[number % 3] + data)


def test_real_messages_with_one_field_of_any_shape_are_taken_or_refused():
    pair, chance = Pair(suites()[0]), Chance("fields")
    samples = [sample for sample in _samples(pair) if sample[0] >> 5 == 5]
    for number in range(ROUNDS):
        fields = cbor.decode(samples[number % len(samples)])
        key = sorted(fields)[chance.below(len(fields))]
        inner = fields[key]
        if isinstance(inner, dict) and chance.below(2):
            inner[sorted(inner)[chance.below(len(inner))]] = _value(chance)
        else:
            fields[key] = _value(chance)
        _feed((record.decode, receipt.decode, command.decode), cbor.encode(fields))


def test_what_the_peer_seals_is_judged_like_what_anyone_sends():
    """Inside the encryption and under the right signature: a device gone wrong must not stop a gateway."""
    pair, chance = Pair(suites()[0]), Chance("inside")
    for number in range(ROUNDS // 6):
        content = cbor.encode(_value(chance))
        if number % 2:
            content = pair.command_signer.sign("hs-cmd", content)
        for typ, opens in (("hs-rcp", _parsers(pair)[-2]), ("hs-cmd", _parsers(pair)[-1])):
            assert refusal_of(opens, pair.gateway.seal(typ, content[:3000])) in REASONS + (None,)
        record_message = pair.device.seal("hs-rec", content[:3000])
        assert refusal_of(sealed_record.open, pair.gateway, record_message) in REASONS + (None,)


def test_topics_of_any_text_are_taken_or_refused():
    chance = Chance("topics")
    for _ in range(ROUNDS):
        parts = [("hallseal", "1", "yongxing", "e-001", "up", "+", "#", "张", "")[chance.below(9)] for _ in range(5)]
        assert refusal_of(topic.parse, "/".join(parts[: chance.below(6)])) in ("topic", None)


def test_a_decoded_value_has_exactly_the_encoding_that_came():
    """Nothing passes that we would have written otherwise: parsers cannot disagree about it."""
    pair, chance = Pair(suites()[0]), Chance("same")
    samples = list(_samples(pair))
    passed = 0
    for number in range(ROUNDS):
        data = _spoil(samples[number % len(samples)], chance) or b"\x00"
        if refusal_of(cbor.decode, data) is None:
            assert cbor.encode(cbor.decode(data)) == data
            passed += 1
    assert passed > ROUNDS // 20
