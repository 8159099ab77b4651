"""Presses that are no plain answer: two buttons of one grip; and what the counters of the buttons say of them all."""

import asyncio
from pathlib import Path

import pytest
from test_firmware_evaluator import (
    ALL,
    ANSWER_S,
    CORRECTION_S,
    DARK,
    an_evaluator,
    fill,
    hold,
    lamps,
    open_visit,
    outcomes,
    press,
)
from virtual_time import timeless

from firmware.journal import BLOCK_BYTES

# --- two buttons at once


@timeless
async def test_two_buttons_at_once_are_asked_again():
    bench = await an_evaluator()
    open_visit(bench, "V0001")
    await hold(bench, 1, 5)
    assert (bench.app.status_word, bench.screen.word, lamps(bench)) == ("again", "again", ALL)
    assert outcomes(bench) == [] and bench.app.thanks == 0
    await bench.shows("ask", ANSWER_S + 0.1)
    await press(bench, 5)
    assert outcomes(bench) == [("V0001", 5)]


@timeless
async def test_presses_of_two_buttons_do_not_keep_a_visit_open_for_ever():
    bench = await an_evaluator()
    open_visit(bench, "V0001", timeout_s=10)
    for _ in range(5):
        await asyncio.sleep(1.7)
        await hold(bench, 2, 3)
    await bench.shows("timed_out", ANSWER_S + 0.2)
    assert outcomes(bench) == [("V0001", None)]


async def grip(bench, skew_ms, *levels):
    """Two fingers that mean it together, so far apart; both let go together."""
    for level in levels:
        bench.board.buttons[level - 1].value(0)
        await asyncio.sleep(skew_ms / 1000)
    await asyncio.sleep(0.2)
    for level in levels:
        bench.board.buttons[level - 1].value(1)
    await asyncio.sleep(0.1)


@timeless
@pytest.mark.parametrize("skew_ms", [0, 5, 10, 15, 20, 30, 40, 50, 60])
async def test_two_fingers_of_one_grip_are_asked_again_however_far_they_are_apart(skew_ms):
    bench = await an_evaluator()
    open_visit(bench, "V0001")
    await grip(bench, skew_ms, 5, 1)
    assert bench.screen.word == "again" and lamps(bench) in (ALL, DARK)  # they blink
    await asyncio.sleep(1)
    await bench.hands.press(3)
    assert (bench.screen.word, lamps(bench)) == ("thanks", [0, 0, 1, 0, 0])
    await bench.shows("kept", 10)
    assert outcomes(bench) == [("V0001", 3)] and bench.device.presses == [1, 0, 1, 0, 1]


@timeless
async def test_a_grip_during_the_thanks_is_asked_again_and_the_time_to_correct_begins_anew():
    bench = await an_evaluator()
    await bench.hands.press(4)
    await asyncio.sleep(CORRECTION_S - 0.5)
    await hold(bench, 1, 5)
    assert bench.screen.word == "again"
    await bench.shows("thanks", 3.1)
    assert lamps(bench) == [0, 0, 0, 1, 0]
    await asyncio.sleep(CORRECTION_S - 0.3)
    await bench.hands.press(2)
    await bench.shows("kept")
    assert outcomes(bench) == [(None, 2)]


@timeless
async def test_who_leaves_after_a_grip_has_rated_what_was_thanked_for():
    bench = await an_evaluator()
    await grip(bench, 40, 2, 3)
    await bench.shows("kept", 3 + CORRECTION_S + 0.1)
    assert outcomes(bench) == [(None, 2)] and bench.app.thanks == 1


# --- the counters of the buttons


@timeless
async def test_every_press_counts_and_not_only_those_that_were_stored():
    bench = await an_evaluator(journal_bytes=3 * BLOCK_BYTES)
    open_visit(bench, "V0001")
    for level in (5, 2):  # a correction
        await bench.hands.press(level)
    await bench.shows("kept")
    await bench.hands.press(1)  # too late
    assert bench.app.status_word == "already" and bench.device.presses == [1, 1, 0, 0, 1]
    await bench.shows("idle")
    await hold(bench, 3, 4)
    assert bench.device.presses == [1, 1, 1, 1, 1] and bench.device.recorder.totals() == [0, 1, 0, 0, 0]
    await bench.shows("idle")
    await fill(bench)
    full, stored = list(bench.device.presses), bench.device.recorder.totals()
    for _ in range(3):
        await bench.shows("idle")
        await bench.hands.press(1)
        assert bench.app.status_word == "full"
    bench.app.hold("updating")
    await bench.hands.press(1)
    assert bench.device.presses == [full[0] + 4, *full[1:]]
    assert bench.device.recorder.totals() == stored


@timeless
async def test_a_press_that_the_flash_refused_counts_and_survives_the_power_cut_once_it_was_told():
    bench = await an_evaluator()

    def fail(*rating):
        raise OSError(5)

    bench.device._draft.keep = fail
    await bench.hands.press(2)
    assert bench.screen.word == "fault"
    assert bench.device._draft.told() == [0, 1, 0, 0, 0]
    bench.cut_power()
    bench.boot()
    assert bench.device.presses == [0, 1, 0, 0, 0]


@timeless
async def test_a_press_that_was_thanked_for_stays_counted_whatever_the_journal_loses():
    bench = await an_evaluator()
    for level in (1, 1, 4):
        await press(bench, level)
    stream = bench.device.journal.stream
    bench.cut_power()
    for path in Path(bench.who.root, "journal").iterdir():
        path.write_bytes(bytes(path.stat().st_size))
    bench.boot()
    assert bench.device.journal.stream != stream and bench.device.recorder.totals() == [0] * 5
    assert bench.device.presses == [2, 0, 0, 1, 0]


@timeless
async def test_counters_that_were_lost_are_never_below_what_the_stream_accounts_for():
    bench = await an_evaluator()
    for level in (1, 1, 4):
        await press(bench, level)
    bench.device._draft.told()
    bench.cut_power()
    for name in ("draft.0", "draft.1"):
        Path(bench.who.root, name).unlink(missing_ok=True)
    bench.boot()
    assert bench.device.presses == [2, 0, 0, 1, 0]


@timeless
async def test_counters_that_cannot_be_written_are_told_all_the_same():
    bench = await an_evaluator()
    await bench.hands.press(3)
    bench.device.presses[1] += 1
    bench.device._draft._file._path += "/nowhere"
    assert bench.device._draft.told() == [0, 1, 1, 0, 0]
