"""Annotations: signed as what they are, chained, and of a rating never finer than its quarter of an hour."""

from annotation_samples import ANNOTATION_CLAIMS, an_annotation, time_estimate
from refusing import refusal_of
from sealed_pair import Pair, flip, private_key
from suites import suites
from wire_samples import NOW_S, a_command

from protocol import annotation, cbor, command, record, sign1
from protocol.annotation import EARLIEST, ESTIMATE, LATEST, NOT_ADOPTED, NUMBER, RECORD_KIND, TIME_ESTIMATE

QUARTER_S = NOW_S - NOW_S % 900


def _signed(suite, payload, typ=annotation.TYP, label="command", disclosures=()):
    return sign1.Signer(suite, private_key(label)).sign(typ, payload, disclosures)


def _why(suite, statement):
    public = suite.load_public(suite.public_bytes(suite.load_private(private_key("command"))))
    return refusal_of(annotation.open, suite, public, statement)


def test_what_is_signed_is_what_is_read():
    for suite in suites():
        pair = Pair(suite)
        for kind in ANNOTATION_CLAIMS:
            made = an_annotation(kind)
            payload = annotation.encode(made)
            statement = pair.command_signer.sign(annotation.TYP, payload)
            public = suite.load_public(pair.command_signer.public_key)
            found, digest = annotation.open(suite, public, statement)
            assert (found.device, found.hall, found.stream, found.seq) == (made.device, made.hall, made.stream, 42)
            assert (found.kind, found.claims, found.number, found.digest) == (kind, made.claims, 7, made.digest)
            assert (found.made_s, found.prev, digest) == (NOW_S, made.prev, suite.sha256(payload))


def test_only_the_hall_that_signed_is_believed_and_every_byte_counts():
    for suite in suites():
        payload = annotation.encode(an_annotation())
        assert _why(suite, _signed(suite, payload)) is None
        assert _why(suite, _signed(suite, payload, label="stranger")) == "signature"
        assert _why(suite, _signed(suite, payload, disclosures=[b"x"])) == "structure"
        statement = _signed(suite, payload)
        assert _why(suite, flip(statement, len(statement) - 1)) == "signature"
        assert _why(suite, flip(statement, 60)) is not None


def test_a_command_never_passes_for_an_annotation_nor_the_other_way():
    for suite in suites():
        assert _why(suite, _signed(suite, command.encode(a_command()), command.TYP)) == "type"
        assert refusal_of(sign1.parse, _signed(suite, annotation.encode(an_annotation())), command.TYP) == "type"
        assert _why(suite, _signed(suite, command.encode(a_command()))) == "schema"


def test_only_the_first_has_none_before_it():
    assert refusal_of(annotation.encode, an_annotation(number=1)) == "schema"
    assert refusal_of(annotation.encode, an_annotation(prev=bytes(32))) == "schema"
    assert refusal_of(annotation.encode, an_annotation(number=1, prev=bytes(32))) is None


def test_the_claims_of_one_kind_do_not_pass_for_another():
    for kind in ANNOTATION_CLAIMS:
        for other in ANNOTATION_CLAIMS:
            why = refusal_of(annotation.encode, an_annotation(kind, ANNOTATION_CLAIMS[other]()))
            assert why == (None if kind == other else "schema"), (kind, other)


def test_an_estimate_lies_between_its_bounds():
    for changes in ({ESTIMATE: NOW_S - 601}, {ESTIMATE: NOW_S + 1}, {EARLIEST: NOW_S + 1}, {LATEST: NOW_S - 700}):
        claims = time_estimate()
        claims.update(changes)
        assert refusal_of(annotation.encode, an_annotation(TIME_ESTIMATE, claims)) == "schema", changes


def test_no_estimate_tells_the_second_of_a_rating():
    coarse = {RECORD_KIND: record.RATING, ESTIMATE: QUARTER_S, EARLIEST: QUARTER_S - 900, LATEST: QUARTER_S}
    for changes, made_s, fits in (
        ({}, QUARTER_S, True),
        ({}, NOW_S, False),
        ({EARLIEST: QUARTER_S - 899}, QUARTER_S, False),
        ({LATEST: QUARTER_S + 1}, QUARTER_S, False),
        ({ESTIMATE: QUARTER_S - 1}, QUARTER_S, False),
    ):
        claims = time_estimate()
        claims.update(coarse)
        claims.update(changes)
        made = an_annotation(TIME_ESTIMATE, claims, made_s=made_s)
        assert (refusal_of(annotation.encode, made) is None) == fits, changes
    mark = cbor.decode(annotation.encode(an_annotation(NOT_ADOPTED)))
    assert mark[NUMBER] == 7  # a supervisor's own time is no reviewer's
