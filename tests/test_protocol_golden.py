"""Golden vectors: every suite makes the very bytes that tests/vectors holds. Runs on CPython and on MicroPython."""

import golden_keys
import golden_messages
from golden_keys import KEYS
from sealed_pair import Pair
from suites import device_suite, suites
from vector_files import golden

from protocol import annotation, channel, command, disclosure, receipt, record, release, sealed_record, sign1

HEAP_KIB = 160  # the files of vectors, parsed, lie beside the code on the VM

if len(suites()) == 2:
    from suites import host_suite

    MAKERS = (host_suite, device_suite)
else:
    MAKERS = (device_suite,)


def _text_of(name):
    """Bytes of one value in a golden file."""
    file, value = name.split("/")
    return bytes.fromhex(golden(file + ".json")[value])


def _is_again(name):
    expected = golden(name + ".json")
    for make_suite in MAKERS:
        made = golden_messages.make(name, make_suite)
        for value in made:
            assert made[value] == expected[value], name + " " + value
        assert len(made) == len(expected) - 2, name  # the note and the notation stand beside the values


def test_every_rating_is_made_again():
    for name in golden_messages.RATINGS:
        _is_again(name)


def test_every_punch_event_and_heartbeat_is_made_again():
    for name in golden_messages.RECORDS:
        _is_again(name)


def test_every_command_is_made_again():
    for name in golden_messages.COMMANDS:
        _is_again(name)


def test_the_receipt_is_made_again():
    _is_again("receipt")


def test_every_annotation_is_made_again_and_opens():
    for name in golden_messages.ANNOTATIONS:
        _is_again(name)
        for suite in suites():
            public = suite.load_public(bytes.fromhex(golden("keys.json")["command_public"]))
            found, digest = annotation.open(suite, public, _text_of(name + "/message"))
            assert (found.kind, found.seq) == (golden_messages.ANNOTATIONS[name], 42)
            assert digest.hex() == golden(name + ".json")["next_prev"]


def test_the_release_is_made_again_and_opens():
    _is_again("release")
    keys = golden("keys.json")
    publics = [bytes.fromhex(keys["release_%d_public" % number]) for number in (1, 2, 3)]
    for suite in suites():
        assert release.open(suite, publics, _text_of("release/message")).sequence == 6


def test_fixed_keys_are_those_of_the_file():
    expected = golden("keys.json")
    for suite in suites():
        made = golden_messages.keys(suite)
        for name in made:
            assert made[name] == expected[name], name


def test_sixty_keys_give_what_the_package_cryptography_gives():
    rows = golden("suite.json")["rows"]
    assert len(rows) == 60 == KEYS
    for suite in suites():
        for index in range(KEYS):
            assert golden_keys.row(suite, index) == rows[index].split(" "), index


def test_golden_records_are_opened_and_verified():
    for suite in suites():
        pair = Pair(suite)
        for name in list(golden_messages.RATINGS) + list(golden_messages.RECORDS):
            signed = sealed_record.open(pair.gateway, _text_of(name + "/message"))
            assert sign1.verify(suite, pair.signing_public, signed), name
            made = record.decode(signed.payload)
            values = disclosure.check(suite, signed.disclosures, made.digests)
            assert len(values) == len(made.digests), name
            assert signed.evidence() == _text_of(name + "/evidence"), name


def test_golden_commands_and_receipt_are_opened():
    for suite in suites():
        pair = Pair(suite)
        for name in golden_messages.COMMANDS:
            message = _text_of(name + "/message")
            assert channel.peek_type(message) == command.TYP and channel.peek_kid(message) == "e-001"
            opened = command.open(pair.device, pair.command_public, message)
            assert opened.kind == golden_messages.COMMANDS[name] and opened.counter == 42
        found = receipt.open(pair.device, _text_of("receipt/message"))
        assert found.through == 69990 and found.holes == [[69991, 69991], [69995, 69998]]
