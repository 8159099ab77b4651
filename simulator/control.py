"""The control channel of a process that runs devices: one line of JSON asks, one line answers.

    {"do": "press", "device": "e-001", "level": 5}       -> {"thanked": true, "refusal": ""}
    {"do": "touch", "device": "c-001", "finger": 3}      -> as for a press         -1 is a stranger's finger
    {"do": "status", "device": "e-001"}                  -> status of the firmware; "pid", "restarts", "seen" added
    {"do": "look", "device": "e-001"}                    -> {"word": "ask"}        what its display says now
    {"do": "statuses"}                                   -> {"devices": [...]} of all that answer
    {"do": "power_cut", "device": "e-001"}               -> {"restarts": 0}        off and on again at any moment
    {"do": "stop"}                                       -> {"stopping": true}
A request that cannot be served is answered with {"error": "..."}, and then no hand has acted. Where one has, the answer
says what the device did: it thanked, it refused by a word on its display, or neither: nobody knows whether it counted.
One client may have several requests in the air: each may carry an "id", which comes back.
"""

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Protocol

from simulator.peripherals import PATIENCE_S, Display, Hands
from simulator.sensor import CAPACITY

# One line: the statuses of a whole hall fit, noise does not.
LINE_BYTES_MAX = 1024 * 1024
# Requests at work; more wait. One for every device of a large hall, and their statuses.
REQUESTS_MAX = 1000
# After a press or touch the device has this long to thank: a busy machine is slow, a refusal is final.
THANKS_TIMEOUT_S = 8.0
# Words on a display that say: this act does not count.
REFUSALS = ("already", "again", "repeated", "unknown", "sensor", "full", "fault")
_POLL_S = 0.05
_GONE = "the process of the devices is gone"


class RequestError(Exception):
    """A request that makes no sense; str() says why. The asker's fault."""


class Subject(Protocol):
    """A device under control: VmDevice or DeskDevice."""

    device: str
    hands: Hands
    display: Display

    @property
    def pid(self) -> int | None:
        """Process id, where it has a process of its own and that runs."""

    @property
    def restarts(self) -> int:
        """How often it was reset."""

    async def status(self) -> dict[str, Any]:
        """Raises OSError while it is off, TimeoutError when it does not answer."""

    def cut_power(self) -> None:
        """Off and on again."""


class ControlServer:
    """devices: by name. stop: what the request "stop" calls. start() listens on loopback."""

    def __init__(self, devices: Mapping[str, Subject], stop: Callable[[], None] | None = None) -> None:
        self._devices = devices
        self._stop = stop
        self._server: asyncio.Server | None = None
        self._running: set[asyncio.Task[None]] = set()

    async def start(self, port: int = 0) -> int:
        """Listen on `port`, or on one that the system picks; which one."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port, limit=LINE_BYTES_MAX)
        return int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Listen no more, answer no more."""
        if self._server:
            self._server.close()
        for task in list(self._running):
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One client; its requests run side by side. A line without end, or its going, ends it."""
        with contextlib.suppress(ValueError, ConnectionError, asyncio.CancelledError):
            while line := await reader.readline():
                if len(self._running) >= REQUESTS_MAX:
                    await asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED)
                task = asyncio.create_task(self._reply(line, writer))
                self._running.add(task)
                task.add_done_callback(self._running.discard)
        writer.close()

    async def _reply(self, line: bytes, writer: asyncio.StreamWriter) -> None:
        request: Any = None
        try:
            request = json.loads(line)
            answer = await self._answer(request)
        except Exception as error:  # whatever a request leads to, who asked gets an answer
            answer = {"error": f"{type(error).__name__}: {error}"}
        if isinstance(request, dict) and "id" in request:
            answer["id"] = request["id"]
        if not writer.is_closing():
            writer.write(json.dumps(answer).encode() + b"\n")

    async def _answer(self, request: Any) -> dict[str, Any]:
        """Raises RequestError, or what the device raises."""
        what = request.get("do") if isinstance(request, dict) else None
        if what == "statuses":
            return {"devices": await self._statuses()}
        if what == "stop":
            if self._stop:
                self._stop()
            return {"stopping": self._stop is not None}
        if not isinstance(what, str) or what not in _DEEDS:
            raise RequestError(f"unknown request {what!r}; known: statuses, stop, {', '.join(_DEEDS)}")
        subject = self._devices.get(str(request.get("device")))
        if subject is None:
            raise RequestError(f"no device {request.get('device')!r} in this process")
        return await _DEEDS[what](subject, request)

    async def _statuses(self) -> list[dict[str, Any]]:
        """Of every device that answers; one that boots must not hide the others."""
        found = await asyncio.gather(*(_status(one) for one in self._devices.values()), return_exceptions=True)
        return [one for one in found if isinstance(one, dict)]


async def _status(subject: Subject) -> dict[str, Any]:
    return {**await subject.status(), "pid": subject.pid, "restarts": subject.restarts, "seen": subject.display.seen}


async def _answer_status(subject: Subject, _request: Mapping[str, Any]) -> dict[str, Any]:
    return await _status(subject)


async def _look(subject: Subject, _request: Mapping[str, Any]) -> dict[str, Any]:
    return {"word": subject.display.word}


async def _press(subject: Subject, request: Mapping[str, Any]) -> dict[str, Any]:
    level = _whole(request, "level", 1, 5)
    return await _act(subject, lambda answered: subject.hands.press(level, answered))


async def _touch(subject: Subject, request: Mapping[str, Any]) -> dict[str, Any]:
    finger = _whole(request, "finger", -1, CAPACITY - 1)
    await _asked(subject)
    return await _act(subject, lambda answered: subject.hands.touch(finger, answered))


async def _cut_power(subject: Subject, _request: Mapping[str, Any]) -> dict[str, Any]:
    subject.cut_power()
    return {"restarts": subject.restarts}


def _whole(request: Mapping[str, Any], name: str, least: int, most: int) -> int:
    value = request.get(name)
    if type(value) is not int or not least <= value <= most:
        raise RequestError(f"{name} must be a whole number from {least} to {most}, not {value!r}")
    return value


# What is asked of one device: each takes it and the request.
_DEEDS: dict[str, Callable[[Subject, Mapping[str, Any]], Coroutine[Any, Any, dict[str, Any]]]] = {
    "press": _press,
    "touch": _touch,
    "status": _answer_status,
    "look": _look,
    "power_cut": _cut_power,
}


async def _asked(subject: Subject) -> None:
    """People lay a finger when the door asks for one; after PATIENCE_S all the same."""
    deadline = asyncio.get_running_loop().time() + PATIENCE_S
    while asyncio.get_running_loop().time() < deadline:
        if str((await subject.status()).get("screen")).startswith("ready"):
            return
        await asyncio.sleep(_POLL_S)


async def _act(subject: Subject, action: Callable[[asyncio.Event], Coroutine[Any, Any, None]]) -> dict[str, Any]:
    """Do it, and see what the device says to it. Raises OSError when it is off and nothing was done."""
    before, drawn = (await subject.status())["thanks"], Counter(subject.display.drawn)
    answered = asyncio.Event()
    hand = asyncio.create_task(action(answered))
    try:
        return await _reaction(subject, before, drawn)
    finally:
        answered.set()
        await hand


async def _reaction(subject: Subject, before: int, drawn: Counter[str]) -> dict[str, Any]:
    """What the device says: more thanks than before, or a refusal drawn since then."""
    deadline = asyncio.get_running_loop().time() + THANKS_TIMEOUT_S
    while True:
        with contextlib.suppress(OSError):  # it went off under the hand: that is no answer
            if (await subject.status())["thanks"] > before:
                return {"thanked": True, "refusal": ""}
        refusal = next((word for word in REFUSALS if subject.display.drawn[word] > drawn[word]), "")
        if refusal or asyncio.get_running_loop().time() > deadline:
            return {"thanked": False, "refusal": refusal}
        await asyncio.sleep(_POLL_S)


class ControlClient:
    """The other end. Requests run side by side; each gets its own answer."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._next = 0
        self._task = asyncio.create_task(self._listen())

    @classmethod
    async def connect(cls, port: int) -> "ControlClient":
        """To a control channel on this machine. Raises OSError."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=LINE_BYTES_MAX)
        return cls(reader, writer)

    async def _listen(self) -> None:
        try:
            while line := await self._reader.readline():
                answer = json.loads(line)
                future = self._waiting.pop(answer.pop("id", -1), None)
                if future and not future.done():
                    future.set_result(answer)
        except (OSError, ValueError):
            pass
        finally:
            for future in self._waiting.values():
                if not future.done():
                    future.set_exception(ConnectionError(_GONE))

    async def ask(self, **request: Any) -> dict[str, Any]:
        """The answer to one request. Raises ConnectionError when the process is gone."""
        if self._task.done():
            raise ConnectionError(_GONE)
        self._next += 1
        future = self._waiting[self._next] = asyncio.get_running_loop().create_future()
        self._writer.write(json.dumps({**request, "id": self._next}).encode() + b"\n")
        return await future

    async def close(self) -> None:
        """Hang up. Questions without answer end with ConnectionError."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._writer.close()
