"""Commands: signed by the hall's command key, for one device, within bounds. Runs on CPython and on MicroPython."""

import wire_samples
from refusing import refusal_of
from sealed_pair import Pair
from suites import ON_VM, suites
from vector_files import golden_path

from protocol import cbor, command, rating

KINDS = sorted(wire_samples.COMMAND_CLAIMS)
HEAP_KIB = 128  # both ends of the wire lie beside the roster of a big hall, in words of 64 bits


def _seal(pair, made=None, signer=None):
    return command.seal(pair.gateway, signer or pair.command_signer, made or wire_samples.a_command())


def _open(pair, message):
    return command.open(pair.device, pair.command_public, message)


def _refuses(kind, **claims):
    """True when neither encode nor decode takes the kind's claims with these changes, named by their numbers: c1=…"""
    changed = wire_samples.COMMAND_CLAIMS[kind]()
    for name in claims:
        changed[int(name[1:])] = claims[name]
    fields = cbor.decode(command.encode(wire_samples.a_command(kind)))
    fields[command.CLAIMS] = changed
    decoding = refusal_of(command.decode, cbor.encode(fields))
    assert decoding == refusal_of(command.encode, wire_samples.a_command(kind, changed)), (kind, claims)
    return decoding == "schema"


def test_every_command_comes_back_as_it_was():
    assert list(range(1, 11)) == KINDS
    for suite in suites():
        pair = Pair(suite)
        for kind in KINDS:
            made = wire_samples.a_command(kind)
            found = _open(pair, _seal(pair, made))
            for name in ("device", "hall", "expires_s", "issued_s", "kind", "counter", "claims"):
                assert getattr(found, name) == getattr(made, name), (kind, name)


def test_another_key_than_the_command_key_is_refused():
    """A gateway's agreement key alone can send receipts, but no command; and no device commands another."""
    for suite in suites():
        pair = Pair(suite)
        assert refusal_of(_open, pair, _seal(pair, signer=pair.signer)) == "signature"


def test_a_command_for_another_device_or_hall_is_refused():
    """Signed by the right key, sealed to this device, but meant for another: a gateway's mistake, or a replay."""
    for suite in suites():
        pair = Pair(suite)
        assert refusal_of(_open, pair, _seal(pair, wire_samples.a_command(device="e-002"))) == "address"
        assert refusal_of(_open, pair, _seal(pair, wire_samples.a_command(hall="anning"))) == "address"


def test_an_unsigned_command_is_refused():
    for suite in suites():
        pair = Pair(suite)
        bare = pair.gateway.seal(command.TYP, command.encode(wire_samples.a_command()))
        assert refusal_of(_open, pair, bare) == "structure"


def test_a_command_discloses_nothing():
    for suite in suites():
        pair = Pair(suite)
        signed = pair.command_signer.sign(command.TYP, command.encode(wire_samples.a_command()), [b"more"])
        assert refusal_of(_open, pair, pair.gateway.seal(command.TYP, signed)) == "structure"


def test_a_signed_record_is_no_command():
    for suite in suites():
        pair = Pair(suite)
        signed = pair.command_signer.sign("hs-rec", command.encode(wire_samples.a_command()))
        assert refusal_of(_open, pair, pair.gateway.seal(command.TYP, signed)) == "type"


def test_the_issuer_is_the_gateway():
    for issuer in ("e-001", "Gateway", "gateway ", "central"):
        fields = cbor.decode(command.encode(wire_samples.a_command()))
        fields[command.ISSUER] = issuer
        assert refusal_of(command.decode, cbor.encode(fields)) == "schema", issuer


def test_device_and_hall_are_names():
    for name in ("E-001", "e 001", "+", "张", ""):
        assert refusal_of(command.encode, wire_samples.a_command(device=name)) == "schema", name
        assert refusal_of(command.encode, wire_samples.a_command(hall=name)) == "schema", name


def test_a_counter_starts_at_one_and_fits_48_bits():
    for counter in (0, -1, 1 << 48, None, True):
        assert refusal_of(command.encode, wire_samples.a_command(counter=counter)) == "schema", counter
    for counter in (1, (1 << 48) - 1):
        assert command.decode(command.encode(wire_samples.a_command(counter=counter))).counter == counter


def test_claims_of_another_kind_are_refused():
    alike = ((command.ENROL, command.DELETE_FINGER), (command.EVALUATION_CANCEL, command.DECOMMISSION))
    for kind in KINDS:
        for other in KINDS:
            if other != kind and (kind, other) not in alike and (other, kind) not in alike:
                made = wire_samples.a_command(kind, wire_samples.COMMAND_CLAIMS[other]())
                assert refusal_of(command.encode, made) == "schema", (kind, other)


def test_kinds_that_nobody_knows_are_refused():
    for kind in (0, 9, 23, -1, None, "1", True):
        made = wire_samples.a_command()
        made.kind = kind
        assert refusal_of(command.encode, made) == "schema", kind


def test_languages_are_those_that_a_device_shows():
    for language in ("fr", "ZH", "zz", "en+zh", "zh+"):
        assert _refuses(command.CONFIG, c4=language), language
    for language in ("zh", "en", "zh+en"):
        assert not _refuses(command.CONFIG, c4=language), language


def test_quiet_hours_have_two_ends():
    for missing in (command.QUIET_FROM_MIN, command.QUIET_UNTIL_MIN):
        claims = wire_samples.config()
        del claims[missing]
        assert refusal_of(command.encode, wire_samples.a_command(command.CONFIG, claims)) == "schema", missing


def test_tag_codes_are_numbers_whose_first_digit_is_a_level():
    for codes in ([], [99], [600], ["115"], [True], [100] * 41, "115"):
        assert _refuses(command.CONFIG, c10=codes), codes
    assert not _refuses(command.CONFIG, c10=[100, 599] * 20)


def test_a_decommission_names_the_device_it_is_for():
    for name in ("e-002", "", 1):
        assert _refuses(command.DECOMMISSION, c1=name), name


def test_a_slot_is_one_of_the_sensor():
    for slot in (-1, 65536, "2", None, True):
        assert _refuses(command.ENROL, c1=slot), slot
        assert _refuses(command.DELETE_FINGER, c1=slot), slot


def test_an_applicant_is_an_identity():
    for applicant in ({}, {5: "x"}, {rating.NAME: 1}, {rating.NAME: ""}, {rating.NAME: "字" * 31}, [], "张三"):
        assert _refuses(command.EVALUATION_REQUEST, c5=applicant), applicant
    assert not _refuses(command.EVALUATION_REQUEST, c5={rating.PHONE: "13800138000"})


def test_a_roster_is_rows_of_slot_number_and_name():
    good = [1, "S001", "李明"]
    wrong_rows = (
        [],
        [1, "S001"],
        [1, "S001", "李明", 0],
        [1, "S001", "李明", True],
        [1, "S001", "李明", 2],
        [1, "S001", "李明", 1, 1],
        ["1", "S001", "李明"],
        [-1, "S001", "李明"],
        [65536, "S001", "李"],
    )
    for row in wrong_rows + (
        [1, "", "李明"],
        [1, "S" * 21, "李明"],
        [1, "S001", ""],
        [1, "S001", "李" * 13],
        [1, 1, 1],
    ):
        assert _refuses(command.ROSTER, c2=[good, row]), row
    for row in ("row", None, 1, {1: 2}, b"row", True):
        assert _refuses(command.ROSTER, c2=[row]), row
    many = 100 if ON_VM else 256  # a device's heap holds no bigger one
    for rows in ([], [good + [command.ADMINISTRATOR]], [good] * many, [[0, "S", "李"], [65535, "S" * 20, "李" * 12]]):
        assert not _refuses(command.ROSTER, c2=rows)


def test_a_device_opens_the_roster_of_a_big_hall():
    """60 staff, in the heap of a device beside the code."""
    pair = Pair(suites()[-1])
    with open(golden_path("command-roster-of-60.hex")) as file:
        message = bytes.fromhex(file.read().strip())
    assert len(message) > 2048
    claims = _open(pair, message).claims
    assert claims[command.ROSTER_VERSION] == 3
    for slot in range(1, 61):
        assert claims[command.STAFF_ROWS][slot - 1] == wire_samples.roster_row(slot)
    assert len(claims[command.STAFF_ROWS]) == 60
