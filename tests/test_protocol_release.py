"""Release notices: two of three holders, each signature valid, nothing else. Runs on CPython and on MicroPython."""

from refusing import refusal_of
from sealed_pair import Pair, flip, private_key
from suites import suites
from wire_samples import NOW_S, a_command, a_notice

from protocol import cbor, command, padding, release
from protocol.refusal import Refused

# A gateway makes the largest chunk; a device only opens it.
HEAP_KIB = 128
HOLDERS = ("release 1", "release 2", "release 3")


def _publics(suite):
    return [suite.public_bytes(suite.load_private(private_key(label))) for label in HOLDERS]


def _signatures(suite, payload, *labels):
    return [release.sign(suite, suite.load_private(private_key(label)), payload) for label in labels]


def _notice(suite, *labels):
    payload = release.encode(a_notice())
    return release.assemble(payload, _signatures(suite, payload, *labels))


def _open(suite, data):
    return release.open(suite, _publics(suite), data)


def _why(suite, data):
    """(reason, detail) of a refusal."""
    try:
        _open(suite, data)
    except Refused as error:
        return error.reason, error.detail
    return None


def test_any_two_of_three_holders_and_all_three_are_enough():
    for suite in suites():
        for labels in (HOLDERS[:2], HOLDERS[1:], (HOLDERS[2], HOLDERS[0]), HOLDERS):
            found = _open(suite, _notice(suite, *labels))
            assert (found.device_class, found.sequence, found.version) == ("evaluator", 6, "0.2.0")
            assert (found.expires_s, found.size_bytes, found.digest) == (NOW_S + 86400, 80_000, bytes(range(32)))


def test_one_holder_is_not_enough_not_even_twice():
    for suite in suites():
        for labels in (HOLDERS[:1], ("release 2", "release 2"), ("release 3",) * 3):
            assert _why(suite, _notice(suite, *labels)) == ("signature", "threshold"), labels


def test_a_stranger_spoils_the_notice_and_never_counts():
    for suite in suites():
        assert _why(suite, _notice(suite, "release 1", "stranger")) == ("signature", "release")
        assert _why(suite, _notice(suite, "release 1", "release 2", "stranger")) == ("signature", "release")


def test_a_signature_over_another_payload_is_refused():
    for suite in suites():
        payload, other = release.encode(a_notice()), release.encode(a_notice(sequence=7))
        mixed = _signatures(suite, payload, "release 1") + _signatures(suite, other, "release 2")
        assert _why(suite, release.assemble(payload, mixed)) == ("signature", "release")


def test_a_record_signature_is_none_of_a_release():
    """One key, one purpose: the context string keeps a Sign1 of the same bytes out."""
    for suite in suites():
        pair, payload = Pair(suite), release.encode(a_notice())
        signer = release.sign(suite, suite.load_private(private_key("record")), payload)
        stolen = [signer[0], {}, pair.signer.sign("hs-rec", payload)[-64:]]
        publics = [pair.signer.public_key] + _publics(suite)[:2]
        data = release.assemble(payload, [stolen] + _signatures(suite, payload, "release 1"))
        assert refusal_of(release.open, suite, publics, data) == "signature"


def test_every_turned_bit_of_a_notice_is_refused():
    suite = suites()[0]
    data = _notice(suite, "release 1", "release 2")
    step = 1 if len(suites()) == 2 else 37  # a device needs 12 ms for each
    for bit in range(0, 8 * len(data), step):
        assert refusal_of(_open, suite, flip(data, bit)) is not None, bit


def test_what_is_no_cose_sign_of_a_release_is_refused():
    suite = suites()[0]
    payload = release.encode(a_notice())
    good = _signatures(suite, payload, "release 1", "release 2")
    typ = cbor.encode({16: "hs-rel"})
    for parts in (
        [typ, {}, payload, []],
        [typ, {}, payload, good + good],
        [typ, {4: b"kid"}, payload, good],
        [cbor.encode({16: "hs-rec"}), {}, payload, good],
        [b"", {}, payload, good],
        [typ, {}, None, good],
        [typ, {}, payload, [good[0], good[1][:2]]],
        [typ, {}, payload, [good[0], [good[1][0], {1: 1}, good[1][2]]]],
        [typ, {}, payload, [good[0], [good[1][0], {}, "text"]]],
        [typ, {}, payload, [good[0], [good[1][0], {}, good[1][2] + b"x"]]],
        [typ, {}, payload],
    ):
        assert refusal_of(_open, suite, b"\xd8\x62" + cbor.encode(parts)) is not None, parts
    for data in (b"", b"\xd8\x62", b"\xd2" + _notice(suite, "release 1", "release 2")[2:]):
        assert refusal_of(_open, suite, data) is not None, data


def test_a_notice_that_no_device_would_take_cannot_be_signed():
    for changes in ({"device_class": ""}, {"sequence": 0}, {"size_bytes": 262145}, {"digest": bytes(31)}):
        assert refusal_of(release.encode, a_notice(**changes)) == "schema", changes


def test_a_notice_and_the_largest_chunk_fit_their_commands():
    for suite in suites():
        notice = _notice(suite, *HOLDERS)
        assert refusal_of(command.encode, a_command(command.UPDATE_NOTICE, {command.RELEASE: notice})) is None
        pair = Pair(suite)
        claims = {command.SEQUENCE: 0xFFFFFFFF, command.OFFSET: 262144, command.DATA: bytes(command.CHUNK_BYTES_MAX)}
        inner = pair.command_signer.sign("hs-cmd", command.encode(a_command(command.UPDATE_CHUNK, claims)))
        assert len(padding.pad(inner)) == 2048
