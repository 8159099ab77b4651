"""A device as it is: the firmware on a real MicroPython VM, in a process of its own, its peripherals on this bench."""

import asyncio
import importlib.util
import json
import time
from pathlib import Path
from typing import Any

from firmware.keypad import COLUMNS, KEYS
from simulator import bench_link, flash_image, rom
from simulator.bench_link import BenchLink
from simulator.peripherals import Display, Hands
from simulator.press_timing import PressTiming
from simulator.pty_uart import PtyUart
from simulator.vm_process import VmProcess

# The files as they stand, in what 96 KiB are to a board: the VM here has words of 64 bits, and takes `w` for that.
HEAP = "96wK"
# The same program linked (see linking.py), as a small board freezes it, does with what 64 KiB are to a board.
LINKED_HEAP = "64wK"
# A board that takes updates: their bytecode lies on the flash, not in ROM, and goes into the heap, 260 KB in use with
# words of 64 bits. A board takes that from its PSRAM; one without it refuses them (see firmware/update.py).
UPDATING_HEAP = "512K"
# Pins of board_evaluator.py and board_clock.py: where the bench pulls and looks. A test holds them against those files.
BUTTON_PINS, LED_PINS = (4, 5, 6, 7, 15), (16, 17, 18, 8, 21)
TOUCH_PIN, PUSH_PIN, TAMPER_PIN = 4, 5, 9
KEYPAD_ROW_PINS, KEYPAD_COLUMN_PINS = (12, 13, 14, 38), (39, 40, 41)
_STATUS_TIMEOUT_S = 5
# What a device loads at once becomes one module of its image.
LAYOUT = rom.Layout(
    core="firmware.main",
    apps={
        "firmware.evaluator": (
            "firmware.ballot",
            "firmware.board_evaluator",
            "firmware.signals",
            "firmware.visit",
        ),
        "firmware.clock": (
            "firmware.board_clock",
            "firmware.direction",
            "firmware.fingerprint",
            "firmware.punches",
            "firmware.push_button",
            "firmware.sensor_packet",
        ),
        "firmware.enrolment": (),
        "firmware.removal": (),
        "firmware.reasons": ("firmware.tags",),
        "firmware.phone": (),
        "firmware.keypad": (),
        "firmware.crash": (),
        "firmware.link_fault": (),
        "firmware.erasure": (),
        "firmware.retirement": (),
        "firmware.locked": (),
        "firmware.loader": (),
        "firmware.slot": (),
        "firmware.twin_file": (),
        "firmware.trial": (),
        "firmware.update": ("firmware.bundle", "protocol.release"),
        "firmware.classic_pins": (),
    },
)
_PACKAGES = Path(__file__).parent.parent


def available() -> bool:
    """True where a wheel of the VM is installed."""
    return importlib.util.find_spec("micropython_module") is not None


def build_rom(image: Path, linked: bool = False) -> None:
    """The read-only image of every simulated device. linked: as for the tightest board, not file by file."""
    modules = Path(__file__).parent / "vm"
    layout = LAYOUT if linked else None
    image.write_bytes(rom.build([_PACKAGES / "protocol", _PACKAGES / "firmware"], modules, layout))


class VmDevice:
    """device: name. flash: folder from provisioning. scratch: folder for image and log. enrolled: slots of a clock.

    Use start(), then hands, display and status(); stop() ends it. A device that exits or stops feeding its watchdog is
    reset, as a board would be: restarts counts how often. Its flash image outlives it.
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
        self.image = scratch / f"{device}.flash"
        self.log = scratch / f"{device}.log"
        if not self.image.exists():
            flash_image.make(flash, self.image)
        self.display = Display()
        self.timing = PressTiming()
        self.hands = Hands(
            self._set_button,
            self.touch,
            enrolled,
            lambda: self.timing.acted(time.monotonic()),
            self._set_push,
            self._set_key,
        )
        self.uart = PtyUart(self.hands)
        self._outputs: dict[int, int] = {}
        self._link = BenchLink(self._take)
        self._environment = {"HALLSEAL_FLASH": str(self.image), "HALLSEAL_SPEED": str(speed)}
        self._process = VmProcess(rom_image, heap, self._environment, self.log, self._off)
        self._answer: asyncio.Future[dict[str, Any]] | None = None
        self._asking = asyncio.Lock()

    async def start(self) -> None:
        """Boot and keep running."""
        self._environment["HALLSEAL_BENCH"] = str(await self._link.open())
        if self.kind == "clock":
            self._environment["HALLSEAL_UART"] = self.uart.open()
        self._process.start()

    def _off(self) -> None:
        """The process has ended: nobody answers any more. Pins of the next one begin at rest."""
        self._link.unplug()
        if self._answer and not self._answer.done():
            self._answer.set_exception(ConnectionError(f"{self.device} went off"))

    def _take(self, port: int, content: bytes) -> None:
        """A frame from the board."""
        if port == bench_link.I2C:
            self.display.write(content[1:])
        elif port == bench_link.WATCHDOG:
            self._process.feed(int.from_bytes(content, "big"))
        elif port == bench_link.RECORDED:
            self.timing.recorded(content[0], int.from_bytes(content[1:], "big"), time.monotonic())
        elif port == bench_link.TRIMMED:
            self.timing.receipted(int.from_bytes(content, "big"), time.monotonic())
        elif port == bench_link.STATUS:
            if self._answer and not self._answer.done():
                self._answer.set_result(json.loads(content))
        else:
            self._outputs[port] = content[0]

    def lit(self) -> list[int]:
        """The lamps of the buttons, level 1 first; 1 is lit."""
        return [self._outputs.get(pin, 0) for pin in LED_PINS]

    def _set_button(self, index: int, value: int) -> None:
        self._link.send(BUTTON_PINS[index], bytes((value,)))

    def touch(self, value: int) -> None:
        """The sensor's touch line: 0 while a finger lies on the glass."""
        self._link.send(TOUCH_PIN, bytes((value,)))

    def _set_push(self, value: int) -> None:
        self._link.send(PUSH_PIN, bytes((value,)))

    def _set_key(self, char: str) -> None:
        """The board joins row and column of this key; "" lets go."""
        at = KEYS.index(char) if char else 0
        pins = (KEYPAD_ROW_PINS[at // COLUMNS], KEYPAD_COLUMN_PINS[at % COLUMNS]) if char else (0, 0)
        self._link.send(bench_link.KEYPAD, bytes((*pins, 1)))  # the row is at rest until its next scan

    def lid(self, value: int) -> None:
        """The switch at the lid: 0 while it is open."""
        self._link.send(TAMPER_PIN, bytes((value,)))

    async def status(self) -> dict[str, Any]:
        """Device.status() of the firmware, with press_to_receipt_ms as people see it.

        Raises ConnectionError while the device is off or boots, TimeoutError when it does not answer.
        """
        return {**await self._ask(b""), "press_to_receipt_ms": list(self.timing.recent_ms)}

    async def live_heap_bytes(self) -> tuple[int, int]:
        """What the device holds of its heap after a collection, and what of that are the modules of simulator/vm, which
        no board has; in bytes of this VM. Raises as status() does.
        """
        live, own = await self._ask(b"heap")
        return int(live), int(own)

    async def _ask(self, content: bytes) -> Any:
        async with self._asking:
            if not self._link.plugged:
                raise ConnectionError(f"{self.device} is off")
            self._answer = asyncio.get_running_loop().create_future()
            self._link.send(bench_link.STATUS, content)
            return await asyncio.wait_for(self._answer, _STATUS_TIMEOUT_S)

    @property
    def pid(self) -> int | None:
        """Process id of the VM, while it runs."""
        return self._process.pid

    @property
    def restarts(self) -> int:
        """How often it was reset."""
        return self._process.restarts

    def cut_power(self) -> None:
        """Off in the middle of whatever it does, and on again."""
        self._process.cut_power()

    async def stop(self) -> None:
        """End the process; the flash stays."""
        await self._process.stop()
        self._link.close()
        self.uart.close()
