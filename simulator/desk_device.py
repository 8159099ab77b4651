"""A virtual device: the firmware on CPython, with the offers of VmDevice."""

import asyncio
import os
import shutil
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from firmware import crash, main
from firmware.device import Device
from firmware.identity import Identity
from firmware.locked import Locked
from protocol.suite_host import HostSuite
from simulator.desk_board import DeskBoard, Reset
from simulator.owned_tasks import OwnedTasks
from simulator.press_timing import PressTiming
from simulator.vm_process import GOOD_LIFE_S, pause_s


def copy_flash(flash: Path, folder: Path) -> None:
    """The folder that plays the flash: what provisioning made, at first boot; complete, or not there at all."""
    if not folder.exists():
        half = folder.with_suffix(".half")
        shutil.rmtree(half, ignore_errors=True)
        shutil.copytree(flash, half)
        os.replace(half, folder)


class DeskDevice:
    """As VmDevice, without a process: hands, display, status(), start(), stop(), cut_power(), restarts."""

    pid: int | None = None

    def __init__(
        self, device: str, kind: str, flash: Path, scratch: Path, speed: int = 1, enrolled: tuple[int, ...] = ()
    ) -> None:
        self.device = device
        self.kind = kind
        self.restarts = 0
        self.timing = PressTiming()
        self._folder = scratch / f"{device}.flash.d"
        copy_flash(flash, self._folder)
        self._board = DeskBoard(str(self._folder), speed, enrolled, lambda: self.timing.acted(time.monotonic()))
        self.hands = self._board.hands
        self.display = self._board.screen
        self._device: Device | None = None
        self._running: Device | Locked | None = None
        self._tasks = OwnedTasks()
        self._keeper: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Boot and keep running."""
        self._boot()
        self._keeper = asyncio.create_task(self._keep())

    def _boot(self) -> None:
        """What firmware/main.py does on a board."""
        who = Identity(str(self._folder))
        if who.is_locked:
            self._running = Locked(self._board, who.root)
            return
        self._device = self._running = main.build(self._board, HostSuite(), who)
        crash.report(self._device)
        self._observe(self._device)

    def _observe(self, device: Device) -> None:
        """Learn of every record that the device writes and trims."""
        make, trim = device.make_record, device.journal.trim

        def recorded(kind: int, *rest: Any) -> int:
            seq = int(make(kind, *rest))
            self.timing.recorded(kind, seq, time.monotonic())
            return seq

        def trimmed(through: int) -> None:
            trim(through)
            self.timing.receipted(through, time.monotonic())

        device.make_record, device.journal.trim = recorded, trimmed  # type: ignore[method-assign]

    async def _keep(self) -> None:
        short_lives = 0
        while True:
            began_s = time.monotonic()
            try:
                if self._running is None:
                    self._boot()
                assert self._running is not None
                await self._tasks.run(self._running.run())
            except Reset:
                pass
            except Exception as error:
                self._crash(error)
            self._device = self._running = None
            self._board.unplug()
            short_lives = 1 if time.monotonic() - began_s > GOOD_LIFE_S else short_lives + 1
            self.restarts += 1
            await asyncio.sleep(pause_s(short_lives))

    def _crash(self, error: Exception) -> None:
        """As firmware/main.py on a board: said in the log, and in the stream after the reboot."""
        text = "".join(traceback.format_exception(error))
        print(text, file=sys.stderr)
        crash.keep(str(self._folder), text)

    async def status(self) -> dict[str, Any]:
        """As VmDevice.status(). Raises ConnectionError while it is off."""
        if self._device is None:
            raise ConnectionError(f"{self.device} is off")
        return {**self._device.status(), "press_to_receipt_ms": list(self.timing.recent_ms)}

    def cut_power(self) -> None:
        """Off in the middle of whatever it does, and on again."""
        self._device = self._running = None
        self._board.unplug()
        self._tasks.cancel()

    async def stop(self) -> None:
        """End it; its flash stays."""
        self._board.unplug()
        if self._keeper:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        await self._tasks.end()
