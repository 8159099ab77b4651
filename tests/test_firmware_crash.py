"""What ends a run is on flash for the next one: digest and last lines of the traceback. Runs on both interpreters."""

import hashlib
import sys

from flash_root import ON_VM, new_root, read

from firmware import crash
from firmware.identity import CRASH

HEAP_KIB = 256  # the flash lies in the heap here

TEXT = (
    "Traceback (most recent call last):\n  File 'main.py', line 7, in run\n  File 'evaluator.py', line 9\nOSError: 5\n"
)


def _deeper(depth):
    if depth:
        _deeper(depth - 1)
    raise ValueError("wrong")


def _kept(text):
    """(digest, text) that the next run finds."""
    root = new_root()
    crash.keep(root, text)
    content = read(root + CRASH)
    return content[: crash.DIGEST_BYTES], str(content[crash.DIGEST_BYTES :], "utf-8")


def test_a_crash_keeps_the_digest_of_the_whole_traceback_and_its_last_lines():
    digest, text = _kept(TEXT)
    assert digest == hashlib.sha256(TEXT.encode()).digest()[:16]
    assert text.endswith("File 'evaluator.py', line 9\nOSError: 5")
    assert len(text) <= crash.TEXT_CHARS_MAX


def test_the_traceback_of_a_real_exception_ends_with_what_it_was():
    if not ON_VM:  # CPython prints no exception into a buffer; its simulations format their own
        assert not hasattr(sys, "print_exception")
        return
    try:
        _deeper(3)
    except ValueError as error:
        text = crash.trace(error)
    assert text.startswith("Traceback") and text.strip().endswith("ValueError: wrong")
    assert text.count("_deeper") == 4
    digest, kept = _kept(text)
    assert kept.endswith("ValueError: wrong") and "_deeper" in kept
    assert digest == hashlib.sha256(text.encode()).digest()[:16]


def test_texts_of_any_kind_fit_an_event():
    for text in ("", "\n\n", "x" * 500, "a\n" * 300, "字" * 400, "one line"):
        _, kept = _kept(text)
        assert 0 < len(kept) <= crash.TEXT_CHARS_MAX, text[:10]


def test_a_flash_that_takes_nothing_ends_the_run_without_a_word():
    crash.keep("/nowhere/at/all", TEXT)
