"""The notice: what a device tells whoever stands before it, by turns where there is more than one thing to tell."""

import asyncio

import pytest
from test_firmware_clock import a_clock
from test_firmware_evaluator import an_evaluator, drawn, open_visit, outcomes, press
from virtual_time import timeless

from protocol import command

WORN = {drawn("worn", False, "zh"), drawn("worn", False, "en")}


@timeless
@pytest.mark.parametrize("fault", ["button", "flash"])
async def test_a_device_that_wants_repair_says_so_by_turns_and_goes_on(fault):
    bench = await an_evaluator()
    language = {command.VERSION: 1, command.PLACE: "12", command.LANGUAGE: "zh+en", command.BRIGHTNESS: 9}
    bench.send(command.CONFIG, language | {command.RATING_TIMEOUT_S: 60, command.HEARTBEAT_S: 300})
    await asyncio.sleep(60)
    if fault == "button":
        bench.board.buttons[2].value(0)
    else:
        bench.board.free_flash_bytes = lambda: 1000
    await bench.shows("idle", 100)
    await asyncio.sleep(130)
    assert await seen(bench, 40) >= WORN
    for language in ("zh", "en"):
        assert drawn("idle", False, language, "12") in await seen(bench, 40)
    assert bench.app.status_word == "idle"
    open_visit(bench, "V0001")
    assert await seen(bench, 20) == {
        drawn("ask", False, "zh"),
        drawn("ask", False, "en"),
    }  # no visitor needs it
    await press(bench, 5)
    assert ("V0001", 5) in outcomes(bench)
    if fault == "button":
        bench.board.buttons[2].value(1)
    else:
        del bench.board.free_flash_bytes
    await asyncio.sleep(70)
    assert not WORN & await seen(bench, 40)


async def seen(bench, during_s):
    """The frames that stand on the display meanwhile."""
    frames = set()
    for _ in range(during_s):
        frames.add(bytes(bench.screen.frame))
        await asyncio.sleep(1)
    return frames


@timeless
async def test_a_clock_that_wants_repair_says_so_by_turns_and_still_takes_fingers():
    bench = await a_clock()
    bench.board.free_flash_bytes = lambda: 1000
    await asyncio.sleep(130)
    frames = await seen(bench, 20)
    assert drawn("worn", False) in frames and drawn("ready", False, "zh", "D1") in frames and len(frames) == 2
    await bench.hands.touch(1)
    assert bench.app.status_word == "punched"
