"""A virtual device: the firmware on CPython, with the offers of VmDevice."""

import asyncio
import contextlib
import shutil
from pathlib import Path
from typing import Any

from firmware import main
from firmware.identity import Identity
from protocol.suite_host import HostSuite
from simulator.desk_board import DeskBoard


class DeskDevice:
    """As VmDevice, without a process: hands, display, status(), start(), stop()."""

    def __init__(
        self, device: str, kind: str, flash: Path, scratch: Path, speed: int = 1, enrolled: tuple[int, ...] = ()
    ) -> None:
        self.device = device
        self.kind = kind
        folder = scratch / f"{device}.flash.d"
        if not folder.exists():
            shutil.copytree(flash, folder)
        self._board = DeskBoard(str(folder), speed, enrolled)
        self._device = main.build(self._board, HostSuite(), Identity(str(folder)))
        self.hands = self._board.hands
        self.display = self._board.screen
        self.restarts = 0
        self.pid = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._task = asyncio.create_task(self._device.run())

    async def status(self) -> dict[str, Any]:
        """Device.status() of the firmware. Raises what ended the device."""
        if self._task and self._task.done():
            self._task.result()
        return dict(self._device.status())

    async def stop(self) -> None:
        if self._task:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await self._task
