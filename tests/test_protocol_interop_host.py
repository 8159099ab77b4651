"""pycose, another implementation of COSE, opens what we seal and makes the very same bytes; we open what it seals."""

import json
import subprocess
from collections.abc import Callable
from typing import Any

import golden_messages
import pytest
from refusing import refusal_of
from sealed_pair import HALL, NAME, Pair, flip
from source_tree import REPOSITORY
from suites import SeededRandom, device_suite, host_suite
from vector_files import golden

from protocol import command, disclosure, receipt, record, sealed_record, sign1
from protocol.limits import BUCKETS_BYTES

pytestmark = pytest.mark.interop

JUDGE = REPOSITORY / "tests" / "interop" / "judge.py"
Task = dict[str, Any]
Judge = Callable[[list[Task]], list[Task]]
RECORDS = [*golden_messages.RATINGS, *golden_messages.RECORDS]
SIGNED = [*RECORDS, *golden_messages.COMMANDS]


@pytest.fixture(scope="module")
def judge(interop_python: str) -> Judge:
    """Function (tasks) -> results, by pycose in its own environment."""

    def ask(tasks: list[Task]) -> list[Task]:
        done = subprocess.run(
            [interop_python, str(JUDGE)],
            input=json.dumps(tasks),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        results: list[Task] = json.loads(done.stdout)
        assert len(results) == len(tasks)
        return results

    return ask


def _is_up(name: str) -> bool:
    return name in RECORDS


def _ends(name: str, opening: bool) -> Task:
    """Names, topic and keys of the one who opens, or of the one who makes, the message called `name`."""
    keys, gateway = golden("keys.json"), f"{HALL}/gateway"
    mine, theirs = ("gateway", "device") if _is_up(name) == opening else ("device", "gateway")
    signer = "record" if _is_up(name) else "command"
    return {
        "sender": NAME if _is_up(name) else gateway,
        "receiver": gateway if _is_up(name) else NAME,
        "topic": golden(f"{name}.json")["topic"],
        "agreement_private": keys[f"{mine}_agreement_private"],
        "agreement_public": keys[f"{theirs}_agreement_public"],
        "signing_public": keys[f"{signer}_public"],
    }


def _open_task(name: str, message: bytes) -> Task:
    return {"do": "open", "message": message.hex(), **_ends(name, opening=True)}


def _make_task(name: str, nonce: str, iv: str) -> Task:
    found = golden(f"{name}.json")
    task = {"do": "make", "device": NAME, "nonce": nonce, "iv": iv, **_ends(name, opening=False)}
    if name in SIGNED:
        signer, typ = ("record", "hs-rec") if _is_up(name) else ("command", "hs-cmd")
        task |= {"payload": found["payload"], "disclosures": found["disclosures"], "typ": typ}
        task |= {"signing_private": golden("keys.json")[f"{signer}_private"]}
        task |= {"kid": sign1.parse(bytes.fromhex(found["evidence"]), typ).kid.hex()}
    else:
        task |= {"content": found["content"], "typ": "hs-rcp"}
    return task


def test_pycose_opens_and_verifies_every_golden_message(judge: Judge) -> None:
    expected = {name: golden(f"{name}.json") for name in golden_messages.SEALED}
    results = judge([_open_task(name, bytes.fromhex(found["message"])) for name, found in expected.items()])
    for (name, found), result in zip(expected.items(), results, strict=True):
        assert result["device"] == NAME, (name, result)
        assert result["content"] == found["content"], name
        if name in SIGNED:
            assert result["verified"] and result["payload"] == found["payload"], name
            assert result["typ"] == result["inner_typ"] == ("hs-rec" if _is_up(name) else "hs-cmd"), name
            assert result["disclosures"] == found["disclosures"], name
            assert result["digests"] == list(found.get("digests", {}).values()), name


def test_pycose_makes_every_golden_message_byte_for_byte(judge: Judge) -> None:
    expected = {name: golden(f"{name}.json") for name in golden_messages.SEALED}
    results = judge([_make_task(name, found["nonce"], found["iv"]) for name, found in expected.items()])
    for (name, found), result in zip(expected.items(), results, strict=True):
        assert result == {"message": found["message"]}, name


def test_both_suites_open_and_verify_what_pycose_made(judge: Judge) -> None:
    random = SeededRandom("pycose")
    names = golden_messages.SEALED
    messages = judge([_make_task(name, random(12).hex(), random(13).hex()) for name in names])
    for suite in (host_suite(), device_suite()):
        pair = Pair(suite)
        for name, made in zip(names, messages, strict=True):
            message = bytes.fromhex(made["message"])
            assert message.hex() != golden(f"{name}.json")["message"]
            if _is_up(name):
                signed = sealed_record.open(pair.gateway, message)
                assert sign1.verify(suite, pair.signing_public, signed), name
                digests = record.decode(signed.payload).digests
                assert len(disclosure.check(suite, signed.disclosures, digests)) == len(digests), name
            elif name == "receipt":
                assert receipt.open(pair.device, message).holes
            else:
                assert command.open(pair.device, pair.command_public, message).counter == 42, name


def test_pycose_refuses_what_we_refuse(judge: Judge) -> None:
    """Flips of bits all over a record; and the same record, seen from another topic."""
    message = bytes.fromhex(golden("rating-visit.json")["message"])
    pair = Pair(host_suite())
    bits = [*range(0, 8 * len(message), 41), *range(0, 400, 7)]
    spoilt = [flip(message, bit) for bit in bits]
    moved = _open_task("rating-visit", message) | {"topic": "hallseal/1/yongxing/e-002/up"}
    results = judge([*[_open_task("rating-visit", each) for each in spoilt], moved])
    assert all(refusal_of(sealed_record.open, pair.gateway, each) for each in spoilt)
    assert [bit for bit, result in zip(bits, results[:-1], strict=True) if "refused" not in result] == []
    assert "refused" in results[-1]


def test_pycose_finds_a_forged_signature(judge: Judge) -> None:
    """Sealed rightly, signed by another key: opens, and does not verify. Evidence without disclosures verifies."""
    pair = Pair(host_suite())
    found = golden("rating-visit.json")
    payload, disclosures = bytes.fromhex(found["payload"]), [bytes.fromhex(one) for one in found["disclosures"]]
    forged = sealed_record.seal(pair.device, pair.command_signer, payload, disclosures)
    stripped = pair.device.seal("hs-rec", bytes.fromhex(found["evidence"]))
    results = judge([_open_task("rating-visit", each) for each in (forged, stripped)])
    assert [result["verified"] for result in results] == [False, True]
    assert results[1]["disclosures"] == []


def test_pycose_verifies_each_holder_of_a_release_and_finds_what_is_spoilt(judge: Judge) -> None:
    found, keys = golden("release.json"), golden("keys.json")
    publics = [keys[f"release_{number}_public"] for number in (1, 3)]
    message = bytes.fromhex(found["message"])
    spoilt = [flip(message, bit) for bit in (8 * 40, -1 - 8 * 80, -1)]
    tasks = [{"do": "release", "message": each.hex(), "publics": publics} for each in (message, *spoilt)]
    whole, *others = judge(tasks)
    assert whole == {"payload": found["payload"], "verified": [True, True]}
    assert [one.get("verified", []) == [True, True] for one in others] == [False] * 3


def test_the_judge_knows_the_buckets() -> None:
    assert f"BUCKETS = {BUCKETS_BYTES}" in JUDGE.read_text("utf-8")
