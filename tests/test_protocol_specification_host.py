"""protocol/WIRE.md says what the code does: every field, number, bound, reason and worked byte."""

import importlib
import re
import sys
from types import ModuleType

import pytest
from source_tree import REPOSITORY
from suites import host_suite

from protocol import (
    annotation,
    channel,
    command,
    encrypt0,
    event,
    field,
    limits,
    padding,
    record,
    refusal,
    release,
    sign1,
    topic,
)

sys.path.append(str(REPOSITORY / "tests" / "vectors"))
import generate

WIRE = (REPOSITORY / "protocol" / "WIRE.md").read_text("utf-8")
MODULES = ("annotation", "command", "event", "heartbeat", "punch", "rating", "receipt", "record", "release")
HEADINGS = ["key", "name", "type", "low", "high", "required", "meaning"]


def _module(name: str) -> ModuleType:
    return importlib.import_module(f"protocol.{name}")


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split(" | ")] if " | " in line else []


def _table_after(heading: str) -> list[list[str]]:
    """Rows of the first table behind a line; its heading is checked, its rule left out."""
    lines = WIRE.split(f"\n{heading}\n", 1)[1].lstrip("\n").split("\n")
    rows = []
    for line in lines:
        if not line.startswith("|"):
            break
        rows.append(_cells(line.replace("|  |", "| |").replace("| |", "|  |")))
    return rows[:1] + rows[2:]


def _specified_tables() -> list[str]:
    """Names like record.ROWS, in the order of the page."""
    return re.findall(r"^`([a-z]+\.[A-Z_]*ROWS)`$", WIRE, re.MULTILINE)


def test_every_table_of_the_code_is_specified() -> None:
    in_code = {
        f"{name}.{attribute}"
        for name in MODULES
        for attribute in vars(_module(name))
        if attribute.endswith("ROWS") and attribute not in ("CLAIM_ROWS", "STAFF_ROWS")
    }
    assert sorted(_specified_tables()) == sorted(in_code)
    assert len(in_code) == 23


@pytest.mark.parametrize("name", _specified_tables())
def test_every_field_has_the_number_type_and_bounds_of_the_code(name: str) -> None:
    heading, *rows = _table_after(f"`{name}`")
    assert heading == HEADINGS
    specified = [
        (int(key), title, kind, int(low), int(high), {"yes": True, "no": False}[required])
        for key, title, kind, low, high, required, *_ in rows
    ]
    module, attribute = name.split(".")
    assert specified == field.rows(getattr(_module(module), attribute))


def test_every_constant_names_the_key_of_its_field() -> None:
    """`SEQ = 11` in the code and `11 seq` in the table cannot drift apart."""
    wrong = []
    for name in ("annotation", "record", "punch", "heartbeat", "event", "receipt"):
        module = _module(name)
        for key, title, *_ in field.rows(module.ROWS):
            short = {"ledger_stream": "STREAM", "coarse_s": "COARSE", "time_s": "TIME"}.get(title, title.upper())
            candidates = [short, short.removesuffix("_BYTES"), short.removesuffix("_S")]
            found = [getattr(module, each) for each in candidates if hasattr(module, each)]
            if key not in found:
                wrong.append(f"{name}.{title}")
    assert wrong == []


def test_reasons_are_those_of_the_code_in_their_order() -> None:
    heading = next(line for line in WIRE.split("\n") if line.startswith("A receiver that refuses says why"))
    rows = _table_after(heading)
    assert tuple(row[0] for row in rows[1:]) == refusal.REASONS


def test_codes_of_events_are_those_of_the_code() -> None:
    words = re.search(r"^Codes: (.*?)\. A receiver keeps", WIRE, re.MULTILINE | re.DOTALL)
    assert words
    listed = re.sub(r"\s+", " ", re.sub(r"\([^)]*\)", "", words[1]))
    codes = {int(one.split(" ", 1)[0]): one.split(" ", 1)[1].strip() for one in listed.split(", ")}
    assert codes == event.NAMES


def test_numbers_of_the_text_are_those_of_the_code() -> None:
    text = re.sub(r"\s+", " ", WIRE)
    *most, last = limits.BUCKETS_BYTES
    for words in (
        f"nesting deeper than {limits.CBOR_DEPTH_MAX}, arrays and maps of more than {limits.CBOR_ITEMS_MAX} entries",
        f"A message is 1 to {limits.MESSAGE_BYTES_MAX} bytes",
        f"Hall and device names: 1 to {limits.NAME_CHARS_MAX} of",
        f"up to the smallest of {', '.join(map(str, most))} or {last} bytes",
        f"fits {limits.BUCKETS_BYTES[0]} whatever its level and tags, and {limits.BUCKETS_BYTES[1]} with",
        f"| alg | 1 | {sign1.ESP256}, ESP256",
        f"| alg | 1 | {encrypt0.AES_CCM_16_128_256}, AES-CCM-16-128-256: key {limits.KEY_BYTES}, "
        f"nonce {limits.IV_BYTES}, tag {limits.TAG_BYTES} bytes |",
        f"first {sign1.KID_BYTES} bytes of SHA-256 of the public key ({limits.PUBLIC_KEY_BYTES} bytes",
        f"| disclosures | {sign1.DISCLOSURES}, unprotected | 1 to {limits.DISCLOSURES_MAX} byte strings",
        f"{encrypt0.KID_CONTEXT_BYTES} bytes: key epoch of the gateway (1), PartyU nonce ({limits.NONCE_BYTES})",
        f"| IV | {encrypt0.IV}, unprotected | {limits.IV_BYTES} random bytes",
        f"{limits.SALT_BYTES} random bytes, fresh for each claim and record",
        f"`r || s`, {limits.SIGNATURE_BYTES} bytes",
        f"a multiple of {limits.COARSE_S}; 0 exactly when the source is 0",
        f"At most {limits.HOLES_MAX} holes are named",
        f"| size | empty, or longer than {limits.MESSAGE_BYTES_MAX} bytes |",
    ):
        assert words in text, words


def test_labels_of_the_outer_layer_are_those_of_the_code() -> None:
    rows = _table_after("Tag 16, then `[protected, unprotected, ciphertext]`.")
    labels = {row[0]: int(row[1].split(",")[0]) for row in rows[1:]}
    assert labels == {
        "alg": encrypt0.ALG,
        "kid": encrypt0.KID,
        "kid context": encrypt0.KID_CONTEXT,
        "typ": encrypt0.TYP,
        "IV": encrypt0.IV,
    }
    assert all(f"`{typ}`" in rows[4][2] for typ in encrypt0.TYPES)


def test_the_structure_of_a_release_is_that_of_the_code() -> None:
    text = re.sub(r"\s+", " ", WIRE)
    assert f'`{{16: "{release.RELEASE_TYP}"}}`' in text and f"`{{1: {sign1.ESP256}, 4: kid}}`" in text
    assert f"A device knows {release.KEYS} release keys of its hall and wants signatures of {release.THRESHOLD}" in text
    rows = {title: high for _, title, _, _, high, _ in field.rows(release.ROWS)}
    assert rows["size_bytes"] == release.BUNDLE_BYTES_MAX
    chunk = {title: high for _, title, _, _, high, _ in field.rows(command.CHUNK_ROWS)}
    assert (chunk["data"], chunk["offset"]) == (command.CHUNK_BYTES_MAX, release.BUNDLE_BYTES_MAX)


def test_the_structure_of_an_annotation_is_that_of_the_code() -> None:
    text = re.sub(r"\s+", " ", WIRE)
    assert f"typ is `{annotation.TYP}`" in text
    names = [f"{number} {name.replace('_', ' ')}" for number, name in annotation.KIND_NAMES.items()]
    reasons = [f"{number} {name}" for number, name in annotation.REASON_NAMES.items()]
    assert ", ".join(names) in text and ", ".join(reasons) in text


def test_labels_of_the_inner_layer_are_those_of_the_code() -> None:
    rows = _table_after("Tag 18, then `[protected, unprotected, payload, signature]`.")
    labels = {row[0]: int(row[1].split(",")[0]) for row in rows[1:]}
    assert labels == {"alg": sign1.ALG, "kid": sign1.KID, "typ": sign1.TYP, "disclosures": sign1.DISCLOSURES}


def test_topics_are_those_of_the_code() -> None:
    assert f"`{topic.up('h', 'd').replace('/h/d/', '/<hall>/<device>/')}`" in WIRE
    assert f"`{topic.down('h', 'd').replace('/h/d/', '/<hall>/<device>/')}`" in WIRE


def test_the_bounds_that_stand_twice_are_one() -> None:
    """The tables are text, so that they cost a device no heap; the constants beside them must agree."""
    rows = {title: (low, high) for _, title, _, low, high, _ in field.rows(record.ROWS)}
    assert rows["seq"][1] == limits.SEQ_MAX and rows["uptime_ms"][1] == limits.UPTIME_MS_MAX
    assert rows["coarse_s"][1] == limits.UTC_S_MAX
    assert rows["stream"] == (limits.STREAM_BYTES,) * 2 and rows["prev"] == (limits.PREV_BYTES,) * 2
    assert rows["boot"] == (limits.BOOT_BYTES,) * 2
    assert rows["device"] == rows["hall"] == (1, limits.NAME_CHARS_MAX)
    counter = next(row for row in field.rows(command.ROWS) if row[0] == command.COUNTER)
    assert counter[4] == command.COUNTER_MAX
    code = next(row for row in field.rows(event.ROWS) if row[0] == event.CODE)
    assert code[4] == event.CODE_MAX and max(event.NAMES) <= event.CODE_MAX


def test_the_formula_of_keys_is_that_of_the_code() -> None:
    """`info` of section 3.5, read from the page: the shape, and null where the page says null."""
    assert "info = [31, [sender, nonce, null], [receiver, null, null], [256, << {1: -27} >>, topic]]" in WIRE
    built = generate.notation(generate.cbor.decode(channel.kdf_context("s", "r", b"n", "t")))
    assert built == "[31, [h'73', h'6e', null], [h'72', null, null], [256, h'a101381a', h'74']]"
    assert generate.cbor.encode({1: -27}).hex() == "a101381a"


def test_worked_bytes_are_the_golden_vectors() -> None:
    assert WIRE.split(generate.SECTION)[1] == generate.worked_bytes().removeprefix(generate.SECTION)


def test_files_of_vectors_are_those_that_would_be_generated() -> None:
    folder = REPOSITORY / "tests" / "vectors"
    generated = generate.files()
    assert {path.name for path in folder.iterdir() if path.suffix in (".json", ".hex")} == set(generated)
    for name, text in generated.items():
        assert (folder / name).read_text("utf-8") == text, name


def test_the_longest_record_and_the_longest_names_fit_a_message() -> None:
    """No honest record is ever too long to be sent: every field at its bound, in three-byte characters."""
    suite = host_suite()
    disclosures, digests = generate.golden_messages.wire_samples.disclosed(suite, _fullest_redactable())
    made = record.Record(
        "d" * 32, "h" * 32, limits.UTC_S_MAX - limits.UTC_S_MAX % 900, record.RATING, bytes(8), limits.SEQ_MAX,
        b"\xff" * 16, bytes(8), record.uptime_shown(record.RATING, limits.UPTIME_MS_MAX), record.RTC_TIME,
        _fullest_rating(), digests,
    )  # fmt: skip
    content = sign1.Signer(suite, bytes(31) + b"\x01").sign("hs-rec", record.encode(made), disclosures)
    assert len(padding.pad(content)) <= 2048


def _fullest_rating() -> dict[int, object]:
    return {1: "字" * 16, 2: 1, 3: 5, 4: [999] * 8, 5: 1, 6: 5, 7: 4294967295, 8: "字" * 20}


def _fullest_redactable() -> dict[int, object]:
    identity = {1: "字" * 30, 2: "字" * 20, 3: "字" * 32, 4: "字" * 8}
    return {1: [4294967295, "字" * 50], 2: "字" * 150, 3: identity}
