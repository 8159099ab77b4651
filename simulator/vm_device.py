"""A device as it is:

the firmware on a real MicroPython VM, in a process of its own, with its peripherals on this bench.
"""

import asyncio
import contextlib
import importlib.util
import json
import os
import sys
from pathlib import Path
from typing import Any

from simulator import flash_image, rom
from simulator.peripherals import Display, Hands

HEAP = "128K"
# A pin of board_evaluator.py and board_clock.py: where the bench pulls.
BUTTON_PINS = (4, 5, 6, 7, 15)
TOUCH_PIN = 4
_STATUS_TIMEOUT_S = 5
_PACKAGES = Path(__file__).parent.parent


def available() -> bool:
    """True where a wheel of the VM is installed."""
    return importlib.util.find_spec("micropython_module") is not None


def build_rom(image: Path) -> None:
    """The read-only image of every simulated device."""
    modules = Path(__file__).parent / "vm"
    image.write_bytes(rom.build([_PACKAGES / "protocol", _PACKAGES / "firmware"], modules))


class VmDevice:
    """device: name. flash: folder from provisioning. scratch: folder for image and log. enrolled: slots of a clock.

    Use start(), then hands, display and status(); stop() ends it. A device that exits or stops feeding its watchdog is
    reset, as a board would be: restarts counts how often.
    """

    def __init__(
        self,
        device: str,
        kind: str,
        flash: Path,
        scratch: Path,
        rom_image: Path,
        speed: int = 1,
        enrolled: tuple[int, ...] = (),
        heap: str = HEAP,
    ) -> None:
        self.device = device
        self.kind = kind
        self._image = scratch / f"{device}.flash"
        self._log = scratch / f"{device}.log"
        self._rom = rom_image
        self._speed = speed
        self._heap = heap
        if not self._image.exists():
            flash_image.make(flash, self._image)
        self.display = Display()
        self.hands = Hands(self._set_button, self._set_touch, enrolled)
        self.restarts = 0
        self.lamps = [0] * 256
        self._writer: asyncio.StreamWriter | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._answer: asyncio.Future[dict[str, Any]] | None = None
        self._asking = asyncio.Lock()
        self._fed_at = 0.0
        self._watchdog_s = 3600.0
        self._server: asyncio.Server | None = None
        self._keeper: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Boot and keep running."""
        self._server = await asyncio.start_server(self._wires, "127.0.0.1", 0)
        self._keeper = asyncio.create_task(self._keep())

    async def _keep(self) -> None:
        """One process after the other, until stop()."""
        while True:
            with self._log.open("ab") as log:
                self._process = await self._spawn(log)
                bite = asyncio.create_task(self._bite(self._process))
                await self._process.wait()
                bite.cancel()
            self.restarts += 1
            await asyncio.sleep(0.2)

    async def _spawn(self, log: Any) -> asyncio.subprocess.Process:
        assert self._server is not None
        environment = {
            "PATH": os.environ.get("PATH", ""),
            "HALLSEAL_FLASH": str(self._image),
            "HALLSEAL_BENCH": str(self._server.sockets[0].getsockname()[1]),
            "HALLSEAL_SPEED": str(self._speed),
        }
        start = Path(__file__).parent / "vm" / "start.py"
        command = [sys.executable, "-m", "simulator.rom", str(self._rom), "-X", f"heapsize={self._heap}", str(start)]
        self._fed_at, self._watchdog_s = asyncio.get_running_loop().time(), 3600.0
        return await asyncio.create_subprocess_exec(
            *command, cwd=_PACKAGES, env=environment, stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log
        )

    async def _bite(self, process: asyncio.subprocess.Process) -> None:
        """The watchdog: a device that stopped feeding is reset."""
        while True:
            await asyncio.sleep(0.5)
            if asyncio.get_running_loop().time() - self._fed_at > self._watchdog_s:
                process.kill()

    async def _wires(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Frames from the device; see simulator/vm/bench.py."""
        self._writer = writer
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readexactly(4)
                content = await reader.readexactly(int.from_bytes(head[2:], "big"))
                self._take(head[:1], head[1], content)

    def _take(self, kind: bytes, number: int, content: bytes) -> None:
        if kind == b"I":
            self.display.write(content[1:])
        elif kind == b"P":
            self.lamps[number] = content[0]
        elif kind == b"U":
            self._send(b"U", number, self.hands.sensor.receive(content))
        elif kind == b"W":
            self._fed_at = asyncio.get_running_loop().time()
            self._watchdog_s = int.from_bytes(content, "big") / 1000
        elif kind == b"S" and self._answer and not self._answer.done():
            self._answer.set_result(json.loads(content))

    def _send(self, kind: bytes, number: int, content: bytes = b"") -> None:
        if self._writer and not self._writer.is_closing():
            self._writer.write(kind + bytes((number,)) + len(content).to_bytes(2, "big") + content)

    def _set_button(self, index: int, value: int) -> None:
        self._send(b"P", BUTTON_PINS[index], bytes((value,)))

    def _set_touch(self, value: int) -> None:
        self._send(b"P", TOUCH_PIN, bytes((value,)))

    async def status(self) -> dict[str, Any]:
        """Device.status() of the firmware. Raises TimeoutError while the device does not answer."""
        async with self._asking:
            self._answer = asyncio.get_running_loop().create_future()
            self._send(b"S", 0)
            return await asyncio.wait_for(self._answer, _STATUS_TIMEOUT_S)

    @property
    def pid(self) -> int | None:
        """Process id of the VM."""
        return self._process.pid if self._process and self._process.returncode is None else None

    async def stop(self) -> None:
        """End the process; its flash stays."""
        if self._keeper:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        if self._process and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()
        if self._server:
            self._server.close()
