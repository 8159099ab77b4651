"""Signed messages: one structure, one algorithm, every bit counts. Runs on CPython and on MicroPython."""

import wire_samples
from refusing import refusal_of
from sealed_pair import Pair, flip
from suites import suites
from wire_samples import NOW_S

from protocol import cbor, disclosure, record, sealed_record, sign1

SIGNATURE = bytes(64)
KID = b"\x01\x02\x03\x04"


def _header():
    return {1: -9, 4: KID, 16: "hs-rec"}


def _message(protected=None, unprotected=None, payload=b"payload", signature=SIGNATURE, tag=b"\xd2"):
    if protected is None:
        protected = cbor.encode(_header())
    return tag + cbor.encode([protected, {} if unprotected is None else unprotected, payload, signature])


def _with(label, value):
    fields = _header()
    fields[label] = value
    return _message(cbor.encode(fields))


def _parse(data):
    return sign1.parse(data, "hs-rec")


def _rating(pair):
    """(payload, disclosures) of a rating with time and visit number."""
    disclosures, digests = wire_samples.disclosed(pair.suite, {1: NOW_S, 2: wire_samples.VISIT})
    return record.encode(wire_samples.a_record(digests=digests)), disclosures


def test_what_is_signed_verifies_under_its_key_only():
    for suite in suites():
        pair = Pair(suite)
        signed = _parse(pair.signer.sign("hs-rec", b"payload"))
        assert (signed.payload, signed.disclosures, signed.kid) == (b"payload", [], pair.signer.kid)
        assert sign1.verify(suite, pair.signing_public, signed)
        assert not sign1.verify(suite, pair.command_public, signed)


def test_a_signature_of_one_suite_verifies_under_the_other():
    for signing in suites():
        for verifying in suites():
            signed = _parse(Pair(signing).signer.sign("hs-rec", b"payload", [b"one"]))
            assert sign1.verify(verifying, Pair(verifying).signing_public, signed)


def test_the_algorithm_is_not_negotiated():
    for alg in (-7, -35, -36, -8, -37, -48, -51, 0, 1, 9, "ESP256", b"\x28", None, True, [-9]):
        assert refusal_of(_parse, _with(1, alg)) == "algorithm", alg


def test_no_other_header_is_taken():
    for label in (0, 2, 3, 5, 6, 7, 9, 10, 11, 12, 15, 17, 23, -1, -24):
        assert refusal_of(_parse, _with(label, b"more")) == "algorithm", label


def test_critical_headers_are_refused_even_when_known():
    assert refusal_of(_parse, _with(2, [16])) == "algorithm"


def test_every_header_is_required():
    for label in (1, 4, 16):
        fields = _header()
        del fields[label]
        assert refusal_of(_parse, _message(cbor.encode(fields))) == "algorithm", label


def test_headers_count_in_the_protected_part_only():
    assert refusal_of(_parse, _message(b"", _header())) is not None
    assert refusal_of(_parse, _message(b"\xa0", _header())) == "algorithm"
    fields = _header()
    del fields[4]
    assert refusal_of(_parse, _message(cbor.encode(fields), {4: KID})) == "algorithm"


def test_a_type_is_taken_where_it_belongs_only():
    for typ in ("hs-cmd", "hs-rcp", "", "HS-REC", "application/cwt", 293, b"hs-rec"):
        assert refusal_of(_parse, _with(16, typ)) == "type", typ
    assert refusal_of(sign1.parse, _message(), "hs-cmd") == "type"


def test_a_signed_record_in_the_envelope_of_a_command_is_refused_and_the_other_way():
    for suite in suites():
        pair = Pair(suite)
        sealed = pair.device.seal("hs-rec", pair.signer.sign("hs-cmd", b"payload"))
        assert refusal_of(sealed_record.open, pair.gateway, sealed) == "type"
        sealed = pair.device.seal("hs-cmd", pair.signer.sign("hs-rec", b"payload"))
        assert refusal_of(sealed_record.open, pair.gateway, sealed) == "type"


def test_a_key_id_is_four_bytes():
    for kid in (b"", KID[:3], KID + b"\x05", "abcd", 4, [KID]):
        assert refusal_of(_parse, _with(4, kid)) == "structure", kid


def test_another_tag_or_none_is_refused():
    for tag in (b"", b"\xd0", b"\xd1", b"\xd8\x12", b"\xd8\x62", b"\xc0", b"\xd2\xd2"):
        assert refusal_of(_parse, _message(tag=tag)) in ("structure", "encoding"), tag
    assert refusal_of(_parse, b"") == "structure"
    assert refusal_of(_parse, b"\xd2") is not None


def test_there_are_four_parts_of_their_kinds():
    protected = cbor.encode(_header())
    for parts in ([], [protected, {}, b""], [protected, {}, b"", SIGNATURE, b""], {1: 2}, b"", None):
        assert refusal_of(_parse, b"\xd2" + cbor.encode(parts)) == "structure"
    for message in (_message(payload=None), _message(payload="text"), _message(signature=None), _message({}, {})):
        assert refusal_of(_parse, message) == "structure"


def test_a_signature_is_64_bytes():
    for size in (0, 63, 65, 70, 72, 96, 132):
        assert refusal_of(_parse, _message(signature=bytes(size))) == "signature", size


def test_disclosures_stand_alone_in_the_unprotected_header():
    assert _parse(_message(unprotected={17: [b"one", b"two"]})).disclosures == [b"one", b"two"]
    assert _parse(_message(unprotected={17: [b"one"] * 8})).disclosures == [b"one"] * 8
    wrong = ({17: []}, {17: [b"one"] * 9}, {17: b"one"}, {17: ["one"]}, {17: [b"one", 2]}, {17: None}, {16: [b"one"]})
    for unprotected in wrong + ({4: KID}, {4: KID, 17: [b"one"]}, {1: -7}, [], [17], b"", False):
        assert refusal_of(_parse, _message(unprotected=unprotected)) == "structure", unprotected


def test_a_message_that_is_not_canonical_is_refused():
    message = _message()
    for spoilt in (message + b"\x00", b"\xd2\x9f" + message[2:] + b"\xff", b"\xd2\x98\x04" + message[2:]):
        assert refusal_of(_parse, spoilt) == "encoding"


def test_the_protected_header_is_verified_as_received():
    """What is signed is the bytes that came, never what we would have sent."""
    for suite in suites():
        pair = Pair(suite)
        signed = _parse(pair.signer.sign("hs-rec", b"payload"))
        expected = b"\x84\x6aSignature1\x51" + signed.protected + b"\x40\x47payload"
        assert sign1.signature_input(signed.protected, signed.payload) == expected


def test_evidence_verifies_without_disclosures():
    for suite in suites():
        pair = Pair(suite)
        payload, disclosures = _rating(pair)
        whole = _parse(pair.signer.sign("hs-rec", payload, disclosures))
        evidence = _parse(whole.evidence())
        assert evidence.disclosures == [] and evidence.payload == payload and len(whole.disclosures) == 2
        assert sign1.verify(suite, pair.signing_public, evidence)
        assert disclosure.check(suite, [], record.decode(evidence.payload).digests) == {}
        assert whole.encode() == pair.signer.sign("hs-rec", payload, disclosures)
        for one in disclosures:
            assert one not in whole.evidence() and one[2:18] not in whole.evidence()


def test_any_disclosure_may_be_taken_away():
    for suite in suites():
        pair = Pair(suite)
        payload, disclosures = _rating(pair)
        for kept in ([disclosures[0]], [disclosures[1]], disclosures[::-1]):
            signed = _parse(_with_disclosures(pair, payload, kept))
            assert sign1.verify(suite, pair.signing_public, signed)
            assert len(disclosure.check(suite, kept, record.decode(payload).digests)) == len(kept)


def _with_disclosures(pair, payload, kept):
    """A signed payload beside which somebody put other disclosures than the device did."""
    signed = _parse(pair.signer.sign("hs-rec", payload))
    return sign1.Signed(signed.protected, signed.kid, signed.payload, kept, signed.signature).encode()


def test_every_single_bit_flip_inside_the_encryption_is_refused():
    """What a thief of the agreement key, but not of the signing key, could try."""
    for suite in suites():
        pair = Pair(suite)
        payload, disclosures = _rating(pair)
        message = pair.signer.sign("hs-rec", payload, disclosures)
        assert _is_believed(pair, message)
        assert [bit for bit in range(8 * len(message)) if _is_believed(pair, flip(message, bit))] == []


def _is_believed(pair, message):
    """True when a gateway would take it: parsed, verified, decoded, disclosures fitting."""

    def look():
        signed = _parse(message)
        digests = record.decode(signed.payload).digests
        disclosure.check(pair.suite, signed.disclosures, digests)
        found.append(sign1.verify(pair.suite, pair.signing_public, signed))

    found = []
    return refusal_of(look) is None and found == [True]
