"""Keeps one MicroPython VM running, as a power supply and a watchdog keep a board: it is reset, never given up."""

import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

# Reset causes of the ESP32 port (machine.reset_cause()).
POWER_ON, HARD_RESET, WATCHDOG_RESET = 1, 2, 3
# A board needs a moment to boot; one that fails at every boot must not keep the host busy.
PAUSE_FIRST_S, PAUSE_MAX_S = 0.1, 5.0
# A life this long was a good one: the next failure is the first again.
GOOD_LIFE_S = 10.0
# What a device prints is for people; a device that crashes all day must not fill the disk.
LOG_BYTES_MAX = 1024 * 1024
# How often the watchdog looks. Its time-outs are seconds.
_LOOK_S = 0.1
_START = Path(__file__).parent / "vm" / "start.py"
_IMPORTS = Path(__file__).parent.parent


def pause_s(lives: int) -> float:
    """Pause before the next boot after `lives` (1 is the first) short lives in a row."""
    return min(PAUSE_MAX_S, PAUSE_FIRST_S * 2 ** min(lives - 1, 10))


class VmProcess:
    """rom: image of the modules. heap: as the VM takes it, "96K". environment: of the boot.

    off: called when the process has ended. restarts: how often it was started again; cause: of the latest start.
    """

    def __init__(self, rom: Path, heap: str, environment: dict[str, str], log: Path, off: Callable[[], None]) -> None:
        self._rom = rom
        self._heap = heap
        self._environment = environment
        self._log = log
        self._off = off
        self._process: asyncio.subprocess.Process | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._fed_s = 0.0
        self._limit_s: float | None = None
        self.restarts = 0
        self.cause = POWER_ON

    def start(self) -> None:
        """Boot, and keep it running until stop()."""
        self._keeper = asyncio.create_task(self._keep())

    async def _keep(self) -> None:
        short_lives = 0
        while True:
            began_s = _now_s()
            await self._live()
            short_lives = 1 if _now_s() - began_s > GOOD_LIFE_S else short_lives + 1
            self.restarts += 1
            await asyncio.sleep(pause_s(short_lives))

    async def _live(self) -> None:
        """One boot to the end of its process. Why it ended is the next one's reset cause."""
        self._limit_s = None  # until the firmware starts its watchdog
        with self._open_log() as log:
            self._process = process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "simulator.rom", str(self._rom)),
                *("-X", f"heapsize={self._heap}", str(_START)),
                cwd=_IMPORTS,
                env={"PATH": os.environ.get("PATH", ""), **self._environment, "HALLSEAL_CAUSE": str(self.cause)},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self.cause = HARD_RESET
        try:
            await self._watch(process)
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()
            self._off()

    async def _watch(self, process: asyncio.subprocess.Process) -> None:
        """Wait for the end; kill a process that is not fed in time."""
        while True:
            try:
                await asyncio.wait_for(process.wait(), _LOOK_S)
                return
            except TimeoutError:
                if self._limit_s is not None and _now_s() - self._fed_s > self._limit_s:
                    self.cause = WATCHDOG_RESET
                    return

    def _open_log(self) -> BinaryIO:
        if self._log.exists() and self._log.stat().st_size > LOG_BYTES_MAX:
            self._log.replace(self._log.with_suffix(".log.old"))
        return self._log.open("ab")

    def feed(self, limit_ms: int) -> None:
        """The device fed its watchdog, which bites after `limit_ms` without."""
        self._fed_s, self._limit_s = _now_s(), limit_ms / 1000

    def cut_power(self) -> None:
        """Off in the middle of whatever it does, and on again."""
        if self._process and self._process.returncode is None:
            self.cause = POWER_ON
            self._process.kill()

    @property
    def pid(self) -> int | None:
        """Process id while it runs."""
        return self._process.pid if self._process and self._process.returncode is None else None

    async def stop(self) -> None:
        """End it for good; returns when the process is gone."""
        if self._keeper:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)


def _now_s() -> float:
    return asyncio.get_running_loop().time()
