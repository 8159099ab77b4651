"""Visitors and staff: they open visits, press, wait, touch sensors, and count for themselves what they did."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Mapping
from typing import Any

import httpx

from simulator import morning
from simulator.control import ControlClient
from simulator.hall_time import HallTime

# A question that was not shown this long after its visit would have ended is lost: no command lives longer.
ASK_ALLOWANCE_S = 11.0
_LOOK_S = 0.08


class People:
    """levels: what was pressed. late: punches after the limit. opened, refused: visits that the gateway took, or not.

    Nothing here asks a device what it counted. People know what their own hands did, what a display said to it, and
    which questions went away unanswered. A press counts unless the display refused it by a word: one that nothing came
    of is missing in every store, and must show as lost. declined: refusals by word. unthanked: acts that count though
    nobody was thanked. unable: nobody could act, for the device was off.
    """

    def __init__(self, client: httpx.AsyncClient, time: HallTime, stop: asyncio.Event) -> None:
        self._client = client
        self._time = time
        self._stop = stop
        self._pressed: Counter[str] = Counter()
        self._unrated: Counter[str] = Counter()
        self.levels: Counter[int] = Counter()
        self.late = 0
        self.opened = 0
        self.refused = 0
        self.declined: Counter[str] = Counter()
        self.unthanked = 0
        self.unable = 0

    def see(self, statuses: Mapping[str, Mapping[str, Any]]) -> None:
        """What the displays have shown so far."""
        for device, status in statuses.items():
            self._unrated[device] = status["seen"].get("timed_out", 0)

    @property
    def timed_out(self) -> int:
        """Visits that nobody rated."""
        return sum(self._unrated.values())

    def done(self, device: str) -> int:
        """Ratings, punches and unanswered questions at one device."""
        return self._pressed[device] + self._unrated[device]

    async def _pause(self, hall_s: float) -> bool:
        """Wait in hall time; False when the demo ends meanwhile."""
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._stop.wait(), self._time.real_s(hall_s))
        return not self._stop.is_set()

    async def window(self, devices: ControlClient, device: str, window: str, seed: int) -> None:
        """The visitors of one window, one after the other, until the demo ends."""
        line = morning.Window(seed, window)
        while True:
            act = line.next()
            if not await self._pause(act.gap_s):
                return
            if act.outcome == morning.WALK_UP or await self._asked(devices, device, window, act):
                await self._finish(devices, device, act)
            elif act.level:  # the question got lost: the visitor presses all the same
                await self._press(devices, device, act)

    async def _asked(self, devices: ControlClient, device: str, window: str, act: morning.Act) -> bool:
        """Open the visit and wait for the question on the display."""
        body: dict[str, Any] = {"window": window, "visit": act.number, "timeout_s": act.timeout_s, **act.about}
        if act.applicant:
            body["applicant"] = act.applicant
        try:
            answer = await self._client.post("/api/v1/visits", json=body)
        except httpx.HTTPError:
            self.refused += 1
            return False
        if answer.status_code != 200:
            self.refused += 1
            return False
        self.opened += 1
        return await self._sees(devices, device, "ask", self._time.real_s(act.timeout_s) + ASK_ALLOWANCE_S)

    async def _sees(self, devices: ControlClient, device: str, word: str, timeout_s: float) -> bool:
        deadline = asyncio.get_running_loop().time() + timeout_s
        while asyncio.get_running_loop().time() < deadline:
            if await self._screen(devices, device) == word:
                return True
            await asyncio.sleep(_LOOK_S)
        return False

    async def _screen(self, devices: ControlClient, device: str) -> str:
        return str((await _ask(devices, do="look", device=device)).get("word", ""))

    async def _finish(self, devices: ControlClient, device: str, act: morning.Act) -> None:
        if act.level:
            await asyncio.sleep(self._time.real_s(act.delay_s))  # once asked, visitors press even at closing time
            await self._press(devices, device, act)
            return
        while await self._screen(devices, device) == "ask":  # noqa: ASYNC110  # the display is in another process
            await asyncio.sleep(_LOOK_S)

    async def _press(self, devices: ControlClient, device: str, act: morning.Act) -> None:
        if await self._acted(devices, do="press", device=device, level=act.level):
            self.levels[int(act.level or 0)] += 1

    async def _acted(self, devices: ControlClient, **request: Any) -> bool:
        """Lay a hand on a device; True when that counts."""
        answer = await _ask(devices, **request)
        if "error" in answer:
            self.unable += 1
            return False
        if answer["refusal"]:
            self.declined[str(answer["refusal"])] += 1
            return False
        self.unthanked += not answer["thanked"]
        self._pressed[request["device"]] += 1
        return True

    async def door(self, devices: ControlClient, device: str, plan: list[morning.Touch]) -> None:
        """The staff of one door, in order of arrival; a stranger's touch never counts, whatever comes of it."""
        for touch in plan:
            if not await self._pause(touch.at_s - self._time.time_of_day_s()):
                return
            if touch.slot == morning.STRANGER:
                await _ask(devices, do="touch", device=device, finger=touch.slot)
            elif await self._acted(devices, do="touch", device=device, finger=touch.slot):
                self.late += morning.is_late(self._time.time_of_day_s())


async def _ask(devices: ControlClient, **request: Any) -> dict[str, Any]:
    """The answer; an error when the whole process is gone."""
    try:
        return await devices.ask(**request)
    except ConnectionError as error:
        return {"error": str(error)}
