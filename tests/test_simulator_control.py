"""The control channel: what a hand did and what the device said to it, several requests at once, and clear refusals."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from simulator import control
from simulator.control import ControlClient, ControlServer
from simulator.peripherals import Display, Hands


class Device:
    """A device under control. obey(): what the firmware does with an act; the test says."""

    def __init__(self, name: str, obey: Callable[["Device"], None]) -> None:
        self.device = name
        self.display = Display()
        self.acts: list[tuple[str, int]] = []
        self.hands = self._Hands(self, obey)
        self.pid: int | None = 4711
        self.restarts = 0
        self.thanks = 0
        self.off = False
        self.screens = ["ready"]  # what it says at each look, the last one from then on
        self.free = asyncio.Event()
        self.free.set()

    class _Hands(Hands):
        def __init__(self, device: "Device", obey: Callable[["Device"], None]) -> None:
            super().__init__(lambda index, value: None, lambda value: None)
            self._device, self._obey = device, obey

        async def press(self, level: int, answered: asyncio.Event | None = None) -> None:
            await self._device.free.wait()
            self._device.acts.append(("press", level))
            self._obey(self._device)

        async def touch(self, finger: int, answered: asyncio.Event | None = None) -> None:
            self._device.acts.append(("touch", finger))
            self._obey(self._device)

    def show(self, word: str) -> None:
        self.display.drawn[word] += 1
        self.display.seen[word] += 1
        self.display.word = word

    async def status(self) -> dict[str, Any]:
        if self.off:
            raise ConnectionError(f"{self.device} is off")
        return {
            "device": self.device,
            "thanks": self.thanks,
            "screen": self.screens.pop(0) if self.screens[1:] else self.screens[0],
        }

    def cut_power(self) -> None:
        self.restarts += 1


def thank(device: Device) -> None:
    device.thanks += 1
    device.show("thanks")


def die(device: Device) -> None:
    device.off = True


Ask = Callable[..., Awaitable[dict[str, Any]]]


@pytest.fixture
def devices() -> dict[str, Device]:
    return {
        "e-001": Device("e-001", thank),
        "e-002": Device("e-002", lambda device: device.show("already")),
        "e-003": Device("e-003", lambda device: None),
        "e-004": Device("e-004", die),
    }


@pytest.fixture
async def port(devices: dict[str, Device], monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[int]:
    monkeypatch.setattr(control, "THANKS_TIMEOUT_S", 0.2)
    server = ControlServer(devices)
    yield await server.start()
    await server.close()


@pytest.fixture
async def ask(port: int) -> AsyncIterator[Ask]:
    client = await ControlClient.connect(port)
    yield client.ask
    await client.close()


async def test_a_finger_is_laid_when_the_door_asks_for_one(ask: Ask, devices: dict[str, Device]) -> None:
    """The person before has just been thanked: a finger that follows at once would be the same touch."""
    device = devices["e-001"]
    device.screens = ["punched", "punched", "ready_in"]
    assert (await ask(do="touch", device="e-001", finger=3))["thanked"]
    assert device.screens == ["ready_in"] and device.acts == [("touch", 3)]


async def test_a_door_that_asks_for_nothing_is_touched_all_the_same(
    ask: Ask, devices: dict[str, Device], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "PATIENCE_S", 0.1)
    devices["e-001"].screens = ["sensor"]
    await ask(do="touch", device="e-001", finger=3)
    assert devices["e-001"].acts == [("touch", 3)]


async def test_a_press_that_is_thanked_for_says_so(ask: Ask, devices: dict[str, Device]) -> None:
    assert await ask(do="press", device="e-001", level=4) == {"thanked": True, "refusal": ""}
    assert await ask(do="touch", device="e-001", finger=-1) == {"thanked": True, "refusal": ""}
    assert devices["e-001"].acts == [("press", 4), ("touch", -1)]


async def test_a_press_that_the_display_refuses_gives_the_word(ask: Ask) -> None:
    for _ in range(2):  # the same word again, drawn anew
        assert await ask(do="press", device="e-002", level=4) == {"thanked": False, "refusal": "already"}


async def test_a_refusal_that_stood_there_before_is_not_an_answer(ask: Ask, devices: dict[str, Device]) -> None:
    devices["e-001"].show("full")
    devices["e-003"].show("full")
    assert (await ask(do="press", device="e-001", level=1))["thanked"]
    assert await ask(do="press", device="e-003", level=1) == {"thanked": False, "refusal": ""}


async def test_a_press_that_nothing_came_of_is_told_from_one_that_was_never_made(
    ask: Ask, devices: dict[str, Device]
) -> None:
    assert await ask(do="press", device="e-003", level=1) == {"thanked": False, "refusal": ""}
    assert await ask(do="press", device="e-004", level=1) == {"thanked": False, "refusal": ""}  # it died of it
    assert devices["e-004"].acts == [("press", 1)]
    answer = await ask(do="press", device="e-004", level=1)  # it is off: nobody presses
    assert answer == {"error": "ConnectionError: e-004 is off"}
    assert devices["e-004"].acts == [("press", 1)]


async def test_the_statuses_of_all_that_answer_hide_nobody(ask: Ask, devices: dict[str, Device]) -> None:
    devices["e-002"].off = True
    found = (await ask(do="statuses"))["devices"]
    assert [one["device"] for one in found] == ["e-001", "e-003", "e-004"]
    assert found[0] == {"device": "e-001", "thanks": 0, "screen": "ready", "pid": 4711, "restarts": 0, "seen": {}}
    assert await ask(do="status", device="e-001") == found[0]
    assert "error" in await ask(do="status", device="e-002")


async def test_a_display_is_looked_at_and_power_is_cut(ask: Ask, devices: dict[str, Device]) -> None:
    devices["e-001"].show("ask")
    assert await ask(do="look", device="e-001") == {"word": "ask"}
    assert await ask(do="power_cut", device="e-001") == {"restarts": 1}


@pytest.mark.parametrize(
    ("request_line", "reason"),
    [
        ('{"do": "dance", "device": "e-001"}', "unknown request 'dance'; known: statuses, stop, press, touch"),
        ('{"do": ["press"], "device": "e-001"}', "unknown request ['press']"),
        ('{"device": "e-001"}', "unknown request None"),
        ("[]", "unknown request None"),
        ("7", "unknown request None"),
        ('{"do": "press", "level": 1}', "no device None in this process"),
        ('{"do": "press", "device": "e-777", "level": 1}', "no device 'e-777' in this process"),
        ('{"do": "press", "device": "e-001"}', "level must be a whole number from 1 to 5, not None"),
        ('{"do": "press", "device": "e-001", "level": 0}', "level must be a whole number from 1 to 5, not 0"),
        ('{"do": "press", "device": "e-001", "level": 6}', "not 6"),
        ('{"do": "press", "device": "e-001", "level": 1e999}', "not inf"),
        ('{"do": "press", "device": "e-001", "level": true}', "not True"),
        ('{"do": "touch", "device": "e-001", "finger": 200}', "finger must be a whole number from -1 to 199"),
        ("press, please", "JSONDecodeError"),
        ("[" * 100_000, "RecursionError"),
    ],
)
async def test_a_request_without_sense_is_refused_in_words_and_the_next_is_served(
    port: int, devices: dict[str, Device], request_line: str, reason: str
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request_line.encode() + b"\n")
    async with asyncio.timeout(5):
        answer = json.loads(await reader.readline())
        assert reason in answer["error"]
        writer.write(b'{"do": "look", "device": "e-001", "id": 9}\n')
        assert json.loads(await reader.readline()) == {"word": "", "id": 9}
    assert devices["e-001"].acts == []
    writer.close()


async def test_a_line_without_end_ends_its_connection_only(port: int, ask: Ask) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"x" * (control.LINE_BYTES_MAX + 1024))
    async with asyncio.timeout(5):
        with contextlib.suppress(ConnectionResetError):  # where the end came before all of the line was read
            assert await reader.read() == b""
    writer.close()
    assert await ask(do="look", device="e-001") == {"word": ""}


async def test_a_slow_request_holds_up_no_other(ask: Ask, devices: dict[str, Device]) -> None:
    devices["e-001"].free.clear()
    slow = asyncio.create_task(ask(do="press", device="e-001", level=1))
    await asyncio.sleep(0)
    assert await ask(do="look", device="e-002") == {"word": ""}
    assert not slow.done()
    assert devices["e-001"].acts == []
    devices["e-001"].free.set()
    assert "thanked" in await slow
    assert devices["e-001"].acts == [("press", 1)]


async def test_stop_is_passed_on() -> None:
    stopped = asyncio.Event()
    server = ControlServer({}, stopped.set)
    client = await ControlClient.connect(await server.start())
    assert await client.ask(do="stop") == {"stopping": True}
    assert stopped.is_set()
    await client.close()
    await server.close()


async def test_nobody_but_this_machine_can_ask(port: int) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.2", 0))  # another address of loopback: a socket on all addresses would hear it
        with pytest.raises(ConnectionRefusedError):
            probe.connect(("127.0.0.2", port))


async def test_whoever_waits_for_an_answer_learns_that_the_process_is_gone() -> None:
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    client = await ControlClient.connect(server.sockets[0].getsockname()[1])
    async with asyncio.timeout(5):
        for _ in range(2):
            with pytest.raises(ConnectionError, match="the process of the devices is gone"):
                await client.ask(do="statuses")
    await client.close()
    server.close()
