"""The notice: what a device tells whoever stands before it, by turns where there is more than one thing to tell."""

import asyncio

import pytest
from test_firmware_clock import a_clock
from test_firmware_device import online
from test_firmware_evaluator import an_evaluator, drawn, open_visit, outcomes, press
from virtual_time import timeless, until

from protocol import command

WORN = {drawn("worn"), drawn("worn", language="en")}


@timeless
@pytest.mark.parametrize("fault", ["button", "flash"])
async def test_a_device_that_wants_repair_says_so_by_turns_and_goes_on(fault):
    bench = await with_link(await an_evaluator())
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
        assert drawn("idle", ["12"], language=language) in await seen(bench, 40)
    assert bench.app.status_word == "idle"
    open_visit(bench, "V0001")
    assert await seen(bench, 20) == {drawn("ask"), drawn("ask", language="en")}  # no visitor needs it
    await press(bench, 5)
    assert ("V0001", 5) in outcomes(bench)
    if fault == "button":
        bench.board.buttons[2].value(1)
    else:
        del bench.board.free_flash_bytes
    await asyncio.sleep(70)
    assert not WORN & await seen(bench, 40)


async def with_link(bench):
    """This bench once its device has a link."""
    online(bench)
    await until(lambda: bench.device.online, 90)
    return bench


async def seen(bench, during_s):
    """The frames that stand on the display meanwhile."""
    frames = set()
    for _ in range(during_s):
        frames.add(bytes(bench.screen.frame))
        await asyncio.sleep(1)
    return frames


@timeless
async def test_a_clock_that_wants_repair_says_so_by_turns_and_still_takes_fingers():
    bench = await with_link(await a_clock())
    bench.board.free_flash_bytes = lambda: 1000
    await asyncio.sleep(130)
    frames = await seen(bench, 20)
    assert frames == {drawn("worn"), drawn("ready", ["D1"])}
    await bench.hands.touch(1)
    assert bench.app.status_word == "punched"


@timeless
async def test_a_link_that_stays_lost_says_why_below_the_invitation_and_nowhere_else():
    bench, lost = await an_evaluator(), NoLink()
    broker = online(bench)
    await until(lambda: bench.device.online, 90)
    bench.board.dial = lost.dial
    broker.cut()
    await until(lambda: bench.screen.frame == drawn("idle", ("01",), "离线"), 3)
    await asyncio.sleep(25)
    assert bench.screen.frame == drawn("idle", ("01",), "离线")  # a broker that is started again is back by now
    await asyncio.sleep(10)
    for error, text in ((OSError("no wifi"), "无网络"), (OSError(111), "服务器不通"), (OSError(12), "连接错误 12")):
        lost.error = error
        await until(lambda shown=text: bench.screen.frame == drawn("idle", ("01",), shown), 70)
    open_visit(bench, "V0001")
    assert bench.screen.frame == drawn("ask", mark="离线")  # a visitor cares for other things
    await press(bench, 2)
    assert outcomes(bench) == [("V0001", 2)]
    await until(lambda: bench.screen.frame == drawn("idle", ("01",), "连接错误 12"), 30)
    bench.board.dial = broker.dial
    await until(lambda: bench.screen.frame == drawn("idle", ("01",)), 90)


class NoLink:
    """Every connection fails with `error`."""

    error = OSError("no wifi")

    async def dial(self):
        raise self.error
