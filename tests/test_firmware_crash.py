"""What ends a run is on flash for the next one: digest and last lines of the traceback. Runs on both interpreters."""

import gc
import hashlib
import sys

from flash_root import ON_VM, new_root, read

from firmware import crash, main
from firmware.identity import CRASH, EVALUATOR, has_file
from protocol import event, record

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


class _Board:
    """Counts its resets."""

    resets = 0

    def reset(self):
        self.resets += 1


class _Device:
    """In the place of firmware.device.Device. failure: what its run ends with, None for nothing."""

    def __init__(self, root, failure):
        self.identity = self
        self.root, self.kind, self.is_locked = root, EVALUATOR, False
        self.failure = failure
        self.told = []
        self.runs = 0

    def record(self, kind, claims):
        self.told.append((kind, claims))

    async def run(self):
        self.runs += 1
        if self.failure:
            raise self.failure


def _boot(root, failure):
    """(board, device) after main.run(): one life of a board whose device ends with this failure."""
    board, device = _Board(), _Device(root, failure)
    kept = main.identity.Identity, main._board, main.build
    main.identity.Identity = lambda folder: device
    main._board = lambda who, speed: board
    main.build = lambda on, suite, who: device
    try:
        main.run(root)
    finally:
        main.identity.Identity, main._board, main.build = kept
    return board, device


def test_an_exception_reboots_and_the_next_run_tells_it_once():
    if not ON_VM:  # main.py is of a board: it sets the threshold of a heap that CPython does not have
        assert not hasattr(gc, "threshold")
        return
    root = new_root()
    board, device = _boot(root, ValueError("wrong"))
    assert (board.resets, device.runs, device.told) == (1, 1, [])
    digest = read(root + CRASH)[: crash.DIGEST_BYTES]
    for failure, told in ((None, 1), (MemoryError("full"), 0), (None, 1)):
        board, device = _boot(root, failure)
        assert (board.resets, device.runs, len(device.told)) == (1, 1, told)
        assert has_file(root, CRASH) == (failure is not None)
        if told:
            [(kind, claims)] = device.told
            assert (kind, claims[event.CODE], len(claims[event.DIGEST])) == (record.EVENT, event.CRASH, len(digest))
            assert claims[event.TEXT].split("\n")[-1] in ("ValueError: wrong", "MemoryError: full")
            assert (claims[event.DIGEST] == digest) == claims[event.TEXT].endswith("wrong")


def test_a_run_that_cannot_even_begin_reboots_as_well():
    if not ON_VM:
        return
    root = new_root()
    main.run(root)  # nobody provisioned it: there is no board to reset, and whoever called ends the program
    assert "OSError" in str(read(root + CRASH)[crash.DIGEST_BYTES :], "utf-8")


def test_texts_of_any_kind_fit_an_event():
    for text in ("", "\n\n", "x" * 500, "a\n" * 300, "字" * 400, "one line"):
        _, kept = _kept(text)
        assert 0 < len(kept) <= crash.TEXT_CHARS_MAX, text[:10]


def test_a_flash_that_takes_nothing_ends_the_run_without_a_word():
    crash.keep("/nowhere/at/all", TEXT)
