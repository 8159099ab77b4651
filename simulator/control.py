"""The control channel of a process that runs devices: one line of JSON asks, one line answers.

    {"do": "press", "device": "e-001", "level": 5}       -> {"thanked": true}
    {"do": "touch", "device": "c-001", "finger": 3}      -> {"thanked": true}      -1 is a stranger's finger
    {"do": "status", "device": "e-001"}                  -> status of the firmware, "pid" and "restarts" added
    {"do": "statuses"}                                   -> {"devices": [...]} of all
A request that cannot be served is answered with {"error": "..."}. One client may have several requests in the air:
each may carry an
"id", which comes back.
"""

import asyncio
import json
from collections.abc import Mapping
from typing import Any, Protocol

from simulator.peripherals import Hands

# One line: the statuses of a whole hall fit, noise does not.
LINE_BYTES_MAX = 1024 * 1024
# After a press or touch the device has this long to thank: a busy machine is slow, a refusal is final.
THANKS_TIMEOUT_S = 8.0
_POLL_S = 0.05


class Subject(Protocol):
    """A device under control: VmDevice or DeskDevice."""

    device: str
    hands: Hands
    pid: int | None
    restarts: int

    async def status(self) -> dict[str, Any]: ...


class ControlServer:
    """devices: by name. start() listens on loopback; port is known then."""

    def __init__(self, devices: Mapping[str, Subject]) -> None:
        self._devices = devices
        self._server: asyncio.Server | None = None
        self._running: set[asyncio.Task[None]] = set()

    async def start(self, port: int = 0) -> int:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port, limit=LINE_BYTES_MAX)
        return int(self._server.sockets[0].getsockname()[1])

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            task = asyncio.create_task(self._reply(line, writer))
            self._running.add(task)
            task.add_done_callback(self._running.discard)
        writer.close()

    async def _reply(self, line: bytes, writer: asyncio.StreamWriter) -> None:
        request: dict[str, Any] = {}
        try:
            request = json.loads(line)
            answer = await self._answer(request)
        except (KeyError, ValueError, TypeError, OSError, TimeoutError) as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        if "id" in request:
            answer["id"] = request["id"]
        if not writer.is_closing():
            writer.write(json.dumps(answer).encode() + b"\n")

    async def _answer(self, request: dict[str, Any]) -> dict[str, Any]:
        what = request["do"]
        if what == "statuses":
            found = await asyncio.gather(*(_status(one) for one in self._devices.values()))
            return {"devices": found}
        subject = self._devices[request["device"]]
        if what == "status":
            return await _status(subject)
        if what == "press":
            return await _act(subject, subject.hands.press(int(request["level"])))
        if what == "touch":
            return await _act(subject, subject.hands.touch(int(request["finger"])), wait=int(request["finger"]) >= 0)
        raise ValueError(f"unknown request {what}")


async def _status(subject: Subject) -> dict[str, Any]:
    return {**await subject.status(), "pid": subject.pid, "restarts": subject.restarts}


async def _act(subject: Subject, action: Any, wait: bool = True) -> dict[str, Any]:
    """Do it, and see whether the device thanked for it."""
    before = (await subject.status())["thanks"]
    await action
    deadline = asyncio.get_running_loop().time() + (THANKS_TIMEOUT_S if wait else 0)
    while True:
        status = await subject.status()
        if status["thanks"] > before:
            return {"thanked": True}
        # These screens say that there will be no thanks for this act.
        if asyncio.get_running_loop().time() > deadline or status["screen"] in ("repeated", "full", "fault", "again"):
            return {"thanked": False, "screen": status["screen"]}
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
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=LINE_BYTES_MAX)
        return cls(reader, writer)

    async def _listen(self) -> None:
        while line := await self._reader.readline():
            answer = json.loads(line)
            future = self._waiting.pop(answer.pop("id", -1), None)
            if future and not future.done():
                future.set_result(answer)
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(ConnectionError("the process of the devices is gone"))

    async def ask(self, **request: Any) -> dict[str, Any]:
        """The answer to one request. Raises ConnectionError when the process is gone."""
        if self._task.done():
            raise ConnectionError("the process of the devices is gone")
        self._next += 1
        future = self._waiting[self._next] = asyncio.get_running_loop().create_future()
        self._writer.write(json.dumps({**request, "id": self._next}).encode() + b"\n")
        return await future

    async def close(self) -> None:
        self._task.cancel()
        self._writer.close()
