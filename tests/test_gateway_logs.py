"""Structured logs: one JSON object a line, and no identity in it whoever calls."""

import io
import json
import logging
import subprocess
import sys

import pytest

from gateway import logs
from gateway.logs import Log

SECRETS = ("欧阳娜娜", "13987654321", "110101199003078515")


@pytest.fixture
def written(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    logs.setup(stream, logging.DEBUG, now=lambda: 1_790_000_000.25)
    return lambda: [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_says_when_who_what_and_the_allowed_fields(written):
    Log("intake").warning("message refused", reason="topic", device="e-001", seq=7)
    assert written() == [
        {
            "at": "2026-09-21T14:13:20.250+00:00", "level": "warning", "part": "intake", "event": "message refused",
            "device": "e-001", "reason": "topic", "seq": 7,
        }
    ]  # fmt: skip


def test_a_field_that_is_not_allowed_is_withheld_and_only_its_name_is_told(written):
    Log("intake").info("record stored", name=SECRETS[0], phone=SECRETS[1], payload=b"\x01", device="e-001")
    assert written()[0]["withheld"] == ["name", "payload", "phone"]
    assert not any(secret in str(written()) for secret in SECRETS)


@pytest.mark.parametrize("event", ["rating of " + SECRETS[0], "visit 4711 opened", "Loud", "", "x" * 81, "a\nb"])
def test_an_event_is_a_fixed_phrase(written, event):
    Log("intake").info(event)
    assert written()[0]["event"] == "event withheld"


def test_of_an_exception_only_type_and_place_are_written(written):
    try:
        raise ValueError("cannot parse " + SECRETS[0])
    except ValueError as error:
        Log("intake").error("intake failed", error)
    line = written()[0]
    assert line["type"] == "ValueError"
    assert line["location"].startswith("test_gateway_logs.py:")
    assert not any(secret in str(line) for secret in SECRETS)


_DYING = """
import sys, threading, warnings
from gateway import logs
logs.setup()
logs.take_over()
def fail():
    raise ValueError(sys.argv[1])
class Torn:
    def __del__(self):
        fail()
thread = threading.Thread(target=fail)
thread.start()
thread.join()
Torn()
warnings.warn("unexpected value " + sys.argv[1])
fail()
"""


def test_what_python_itself_writes_when_something_dies_holds_no_words_of_it_either():
    died = subprocess.run([sys.executable, "-c", _DYING, SECRETS[0]], capture_output=True, text=True, timeout=60)
    lines = [json.loads(line) for line in died.stderr.splitlines()]
    events = ["thread has died", "not caught in clean-up", "library message", "not caught"]
    assert [one["event"] for one in lines] == events
    assert {one["type"] for one in lines if "type" in one} == {"ValueError"}
    assert SECRETS[0] not in died.stdout + died.stderr
    assert died.returncode == 1


def test_a_library_may_name_its_template_but_nothing_else(written):
    library = logging.getLogger("httpx")
    library.error("request for %s failed", SECRETS[0])
    library.error("formatted already: " + SECRETS[1])
    try:
        raise KeyError(SECRETS[2])
    except KeyError:
        library.exception("failed")
    assert [line.get("template") for line in written()] == ["request for %s failed", None, None]
    assert written()[2]["type"] == "KeyError"
    assert not any(secret in str(written()) for secret in SECRETS)


def test_requests_of_libraries_are_not_logged(written):
    for name in ("httpx", "httpcore.connection", "uvicorn.access"):
        logging.getLogger(name).info("GET /api/v1/visits/A-17")
        logging.getLogger(name).warning("GET /api/v1/visits/A-17")
    assert written() == []


def test_a_hostile_value_cannot_begin_a_new_line_or_fill_the_disk(written):
    Log("intake").warning("message refused", topic='x"}\n{"level":"error"' + "y" * 10_000)
    assert len(written()) == 1
    assert len(written()[0]["topic"]) == logs.VALUE_CHARACTERS_MAX


def test_bytes_are_written_as_the_beginning_of_their_hex(written):
    Log("intake").info("record stored", digest=bytes(range(32)))
    assert written()[0]["digest"] == bytes(range(16)).hex()


def test_lines_below_the_level_cost_nothing_and_write_nothing(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    logs.setup(stream, logging.INFO)
    Log("intake").debug("batch made", records=3)
    assert stream.getvalue() == ""


def test_no_allowed_field_is_one_that_names_a_person():
    forbidden = {"name", "phone", "id_number", "id_kind", "visit", "comment", "staff", "token", "salt", "payload"}
    assert not logs.FIELDS & forbidden
