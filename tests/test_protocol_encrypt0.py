"""The outer layer's structure: exactly one form passes. Runs on CPython and on MicroPython."""

from refusing import is_our_fault, refusal_of

from protocol import cbor, channel, encrypt0
from protocol.limits import MESSAGE_BYTES_MAX

CONTEXT = bytes(13)
IV = bytes(range(13))
SEALED = bytes(40)


def _header(**changes):
    """A protected header as a map; changes: alg, kid, context, typ, or None to leave one out."""
    fields = {1: 31, 4: b"e-001", 10: CONTEXT, 16: "hs-rec"}
    for name, label in (("alg", 1), ("kid", 4), ("context", 10), ("typ", 16)):
        if name in changes:
            if changes[name] is None:
                del fields[label]
            else:
                fields[label] = changes[name]
    return fields


def _message(protected=None, unprotected=None, ciphertext=SEALED, tag=b"\xd0"):
    if protected is None:
        protected = cbor.encode(_header())
    return tag + cbor.encode([protected, {5: IV} if unprotected is None else unprotected, ciphertext])


def _with(**changes):
    return _message(cbor.encode(_header(**changes)))


def test_the_one_form_passes():
    envelope = encrypt0.parse(_message())
    assert (envelope.device, envelope.context, envelope.typ) == ("e-001", CONTEXT, "hs-rec")
    assert (envelope.iv, envelope.ciphertext) == (IV, SEALED)
    assert envelope.protected == encrypt0.protected_header("e-001", CONTEXT, "hs-rec")


def test_another_tag_or_none_is_refused():
    for tag in (b"", b"\xd1", b"\xd2", b"\xd8\x10", b"\xd8\x60", b"\xc0", b"\xd0\xd0"):
        assert refusal_of(encrypt0.parse, _message(tag=tag)) in ("structure", "encoding"), tag


def test_the_algorithm_is_not_negotiated():
    for alg in (10, 11, 12, 13, 30, 32, 33, 1, 3, 24, -7, 0, "31", b"\x1f", True, None, [31]):
        assert refusal_of(encrypt0.parse, _with(alg=alg)) == "algorithm", alg


def test_no_other_header_is_taken():
    for label in (0, 2, 3, 5, 6, 7, 9, 11, 12, 15, 17, 23, -1, -24):
        fields = _header()
        fields[label] = b"more"
        assert refusal_of(encrypt0.parse, _message(cbor.encode(fields))) == "algorithm", label


def test_critical_headers_are_refused_even_when_known():
    fields = _header()
    fields[2] = [10]
    assert refusal_of(encrypt0.parse, _message(cbor.encode(fields))) == "algorithm"


def test_every_header_is_required():
    for name in ("alg", "kid", "context", "typ"):
        assert refusal_of(encrypt0.parse, _with(**{name: None})) == "algorithm", name


def test_an_empty_protected_header_is_refused_in_both_forms():
    assert refusal_of(encrypt0.parse, _message(b"")) is not None
    assert refusal_of(encrypt0.parse, _message(b"\xa0")) == "algorithm"
    assert refusal_of(encrypt0.parse, _message({})) == "structure"


def test_a_protected_header_that_is_not_canonical_is_refused():
    good = cbor.encode(_header())
    assert refusal_of(encrypt0.parse, _message(good + b"\x00")) == "encoding"
    assert refusal_of(encrypt0.parse, _message(b"\xbf" + good[1:] + b"\xff")) == "encoding"
    assert refusal_of(encrypt0.parse, _message(b"\xa4\x01\x19\x00\x1f" + good[4:])) == "encoding"


def test_the_key_id_is_a_name():
    for kid in (b"", b"E-001", b"e 001", b"e/001", b"+", b"#", b"\xff", b"e" * 33, "张".encode(), b"e-001\x00"):
        assert refusal_of(encrypt0.parse, _with(kid=kid)) == "address", kid
    for kid in ("e-001", 5, [b"e-001"], True):
        assert refusal_of(encrypt0.parse, _with(kid=kid)) == "structure", kid


def test_a_header_longer_than_any_of_ours_is_refused_unread():
    longest = cbor.encode(_header(kid=b"e" * 32))
    assert len(longest) == 62 and encrypt0.parse(_message(longest)).device == "e" * 32
    assert refusal_of(encrypt0.parse, _message(b"\xff" * 97)) == "structure"
    assert refusal_of(encrypt0.parse, _with(kid=b"e" * 80)) == "structure"


def test_the_context_is_an_epoch_and_a_nonce():
    for context in (b"", bytes(12), bytes(14), "0" * 13, 13, [CONTEXT]):
        assert refusal_of(encrypt0.parse, _with(context=context)) == "structure", context


def test_the_type_is_one_of_ours():
    for typ in encrypt0.TYPES:
        assert encrypt0.parse(_with(typ=typ)).typ == typ
    for typ in ("", "hs-rec ", "HS-REC", "application/cwt", 293, b"hs-rec", ["hs-rec"]):
        assert refusal_of(encrypt0.parse, _with(typ=typ)) == "type", typ


def test_a_whole_iv_of_ours_and_nothing_else_stands_unprotected():
    wrong = ({}, {5: bytes(12)}, {5: bytes(14)}, {5: b""}, {5: "a" * 13}, {5: 5}, {6: bytes(2)}, {5: IV, 6: b"\x01"})
    for unprotected in wrong + ({5: IV, 4: b"e-001"}, {5: IV, 1: 31}, {4: IV}, {5: [IV]}):
        assert refusal_of(encrypt0.parse, _message(unprotected=unprotected)) == "structure", unprotected
    for unprotected in ([], [5, IV], IV, False):
        assert refusal_of(encrypt0.parse, _message(unprotected=unprotected)) == "structure", unprotected


def test_the_ciphertext_is_bytes_that_can_hold_a_tag():
    for ciphertext in (b"", bytes(15), "a" * 40, None, [SEALED], 40):
        assert refusal_of(encrypt0.parse, _message(ciphertext=ciphertext)) == "structure", ciphertext
    assert refusal_of(encrypt0.parse, _message(ciphertext=bytes(16))) is None


def test_there_are_three_parts():
    protected = cbor.encode(_header())
    for parts in ([], [protected], [protected, {5: IV}], [protected, {5: IV}, SEALED, []]):
        assert refusal_of(encrypt0.parse, b"\xd0" + cbor.encode(parts)) == "structure", len(parts)
    for other in ({1: 2}, b"bytes", 7, None):
        assert refusal_of(encrypt0.parse, b"\xd0" + cbor.encode(other)) == "structure"


def test_size_comes_first():
    assert refusal_of(encrypt0.parse, b"") == "size"
    assert refusal_of(encrypt0.parse, b"\xd0" * (MESSAGE_BYTES_MAX + 1)) == "size"
    assert refusal_of(encrypt0.parse, b"\xd0") is not None


def test_no_message_beyond_the_limit_can_be_made():
    protected = cbor.encode(_header())
    assert is_our_fault(encrypt0.encode, protected, IV, bytes(MESSAGE_BYTES_MAX))


def test_peeking_gives_the_clear_header_or_refuses():
    assert channel.peek_kid(_message()) == "e-001" and channel.peek_type(_message()) == "hs-rec"
    for peek in (channel.peek_kid, channel.peek_type):
        assert refusal_of(peek, b"") == "size"
        assert refusal_of(peek, _with(kid=b"E")) == "address"


def test_a_hostile_header_cannot_use_up_the_memory():
    """The header is read before anything is authenticated, so a broker may write what it likes there."""
    many = b"\x99\x01\x00" + b"\x80" * 256
    for piece in (b"\x8e" + many * 14, b"\xae" + b"".join([bytes((key,)) + many for key in range(14)])):
        for message in (
            b"\xd0\x83\x59" + len(piece).to_bytes(2, "big") + piece + b"\xa0\x40",
            b"\xd0\x83\x40" + piece + b"\x40",
            b"\xd0\x83" + piece + b"\xa0\x40",
            b"\xd0" + piece,
        ):
            assert len(message) <= MESSAGE_BYTES_MAX
            assert refusal_of(encrypt0.parse, message) is not None
