"""Visitors and staff: what they count is what their hands did and what displays said, never what a device reports."""

import asyncio
import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from firmware.screen import Screen
from firmware.ssd1306 import Ssd1306
from simulator import morning, people
from simulator.hall_time import HallTime
from simulator.morning import SIGN_IN_LIMIT_S, STRANGER, Touch
from simulator.people import People
from simulator.peripherals import Display

THANKED = {"thanked": True, "refusal": ""}
NOTHING = {"thanked": False, "refusal": ""}
# Hall seconds in a real one: a morning passes in the blink of an eye.
SPEED = 200_000


class Devices:
    """The control channel. say(request): its answer; None: the process is gone. asked: the requests."""

    def __init__(self, say: Callable[[dict[str, Any]], dict[str, Any] | None]) -> None:
        self._say = say
        self.asked: list[dict[str, Any]] = []

    async def ask(self, **request: Any) -> dict[str, Any]:
        await asyncio.sleep(0)
        self.asked.append(request)
        answer = self._say(request)
        if answer is None:
            raise ConnectionError("gone")
        return answer

    def acts(self) -> list[dict[str, Any]]:
        return [one for one in self.asked if one["do"] in ("press", "touch")]


class Hall:
    """People in a hall whose gateway answers every visit with `answer`, 0: not at all. of_day_s: when it opens."""

    def __init__(self, answer: int = 200, of_day_s: float = morning.OPENS_S, speed: int = SPEED) -> None:
        self.visits: list[dict[str, Any]] = []
        self.stop = asyncio.Event()
        self.answer = answer
        began = asyncio.get_running_loop().time()
        clock = HallTime(speed, int(of_day_s) - 8 * 3600 + 86400, began, asyncio.get_running_loop().time)
        transport = httpx.MockTransport(self._gateway)
        self.client = httpx.AsyncClient(transport=transport, base_url="http://gateway")
        self.people = People(self.client, clock, self.stop)

    def _gateway(self, request: httpx.Request) -> httpx.Response:
        assert request.url.path == "/api/v1/visits"
        self.visits.append(json.loads(request.content))
        if not self.answer:
            raise httpx.ConnectError("refused")
        return httpx.Response(self.answer, json={})

    async def window(self, devices: Devices, acts: int) -> None:
        """Visitors at window 01 until so many acts were tried."""
        task = asyncio.create_task(self.people.window(devices, "e-001", "01", 1))  # type: ignore[arg-type]
        async with asyncio.timeout(20):
            while len(devices.acts()) < acts and not task.done():
                await asyncio.sleep(0.001)
        self.stop.set()
        await task

    async def door(self, devices: Devices, plan: list[Touch]) -> None:
        async with asyncio.timeout(20):
            await self.people.door(devices, "c-001", plan)  # type: ignore[arg-type]


def shows(word: str, press: dict[str, Any] | None) -> Callable[[dict[str, Any]], dict[str, Any] | None]:
    return lambda request: {"word": word} if request["do"] == "look" else press


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits long for a question that was lost."""
    monkeypatch.setattr(people, "ASK_ALLOWANCE_S", 0.01)
    monkeypatch.setattr(people, "_LOOK_S", 0.001)


async def test_a_press_that_was_thanked_for_counts_with_its_level() -> None:
    hall, devices = Hall(), Devices(shows("idle", THANKED))
    await hall.window(devices, 8)
    pressed = [one["level"] for one in devices.acts()]
    assert hall.people.done("e-001") == len(pressed) >= 8
    assert sum(hall.people.levels.values()) == len(pressed)
    assert all(hall.people.levels[level] == pressed.count(level) for level in range(1, 6))
    assert hall.people.unthanked == 0


async def test_a_press_that_nothing_came_of_counts_as_pressed() -> None:
    """It is in no store: the reconciliation must find it lost."""
    hall, devices = Hall(), Devices(shows("idle", NOTHING))
    await hall.window(devices, 3)
    assert hall.people.done("e-001") == hall.people.unthanked == len(devices.acts())


async def test_a_press_that_the_display_refused_does_not_count() -> None:
    hall, devices = Hall(), Devices(shows("idle", {"thanked": False, "refusal": "already"}))
    await hall.window(devices, 3)
    assert hall.people.done("e-001") == 0
    assert hall.people.declined == {"already": len(devices.acts())}


@pytest.mark.parametrize("answer", [{"error": "ConnectionError: e-001 is off"}, None])
async def test_nobody_presses_a_device_that_is_off(answer: dict[str, Any] | None) -> None:
    hall, devices = Hall(), Devices(shows("idle", answer))
    await hall.window(devices, 3)
    assert hall.people.done("e-001") == 0
    assert hall.people.unable == len(devices.acts())


async def test_questions_that_went_away_unanswered_are_counted_from_the_display() -> None:
    hall = Hall()
    hall.people.see({"e-001": {"seen": {"timed_out": 2}}, "e-002": {"seen": {"idle": 5}}})
    hall.people.see({"e-001": {"seen": {"timed_out": 3}}})
    assert (hall.people.done("e-001"), hall.people.done("e-002"), hall.people.timed_out) == (3, 0, 3)


async def test_a_visit_is_opened_with_its_number_and_the_time_for_its_answer() -> None:
    hall, devices = Hall(), Devices(shows("idle", THANKED))
    await hall.window(devices, 20)
    assert {visit["window"] for visit in hall.visits} == {"01"}
    assert len({visit["visit"] for visit in hall.visits}) == len(hall.visits) > 5
    assert {visit["timeout_s"] for visit in hall.visits} <= {morning.USUAL_S, morning.PATIENT_S}
    assert any("applicant" in visit for visit in hall.visits)


@pytest.mark.parametrize("answer", [0, 503])
async def test_visitors_press_all_the_same_where_the_gateway_takes_no_visit(answer: int) -> None:
    hall, devices = Hall(answer), Devices(shows("idle", THANKED))
    await hall.window(devices, 4)
    assert hall.people.refused == len(hall.visits) > 0
    assert hall.people.done("e-001") == len(devices.acts()) >= 4


async def test_nobody_comes_after_closing() -> None:
    hall, devices = Hall(), Devices(shows("idle", THANKED))
    hall.stop.set()
    await hall.people.window(devices, "e-001", "01", 1)  # type: ignore[arg-type]
    await hall.door(devices, [Touch(morning.OPENS_S + 60, 1)])
    assert devices.asked == []


async def test_staff_punch_in_order_and_whoever_comes_after_the_limit_is_late() -> None:
    hall, devices = Hall(of_day_s=SIGN_IN_LIMIT_S - 3000), Devices(shows("ready", THANKED))
    # A hall hour is 18 ms of ours: at the limit itself the test would race.
    await hall.door(devices, [Touch(SIGN_IN_LIMIT_S - 3000, 4), Touch(SIGN_IN_LIMIT_S + 60, 2)])
    assert [one["finger"] for one in devices.asked] == [4, 2]
    assert hall.people.done("c-001") == 2
    assert hall.people.late >= 1


async def test_nobody_is_late_before_the_limit() -> None:
    hall, devices = Hall(of_day_s=0, speed=500), Devices(shows("ready", THANKED))
    await hall.door(devices, [Touch(1, 4), Touch(2, 2)])
    assert (hall.people.done("c-001"), hall.people.late) == (2, 0)


async def test_a_stranger_never_counts_even_where_a_door_thanks() -> None:
    """Its punch would be in every store, and must show as one too many."""
    hall, devices = Hall(of_day_s=0, speed=500), Devices(shows("ready", THANKED))
    await hall.door(devices, [Touch(1, STRANGER), Touch(2, 5)])
    assert [one["finger"] for one in devices.asked] == [STRANGER, 5]
    assert hall.people.done("c-001") == 1


def test_a_text_that_a_device_draws_again_is_seen_once() -> None:
    """A self check draws every minute anew: a question that went away would be counted twice."""
    display = Display()
    bus = SimpleNamespace(writeto=lambda address, data: display.write(data))
    screen = Screen(Ssd1306(bus))
    for word, mark in (("ask", ""), ("timed_out", ""), ("timed_out", ""), ("timed_out", "离线"), ("ask", "")):
        screen.show(word, "zh", "", mark)
    assert display.seen == {"ask": 2, "timed_out": 1}
    assert display.drawn == {"ask": 2, "timed_out": 3}
