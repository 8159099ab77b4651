"""A whole hall whose servers run as what they are, for scenarios that start its devices one by one."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Row, Select

from gateway import ledger_file
from simulator import vm_device
from simulator.hall_box import HallBox
from simulator.vm_device import VmDevice

TIMEOUT_S = 40


@asynccontextmanager
async def served(scratch: Path, evaluators: int, clocks: int, staff: int, speed: int) -> AsyncIterator[HallBox]:
    """Provisioned, broker, central double and gateway started; all of it ends with the block."""
    box = HallBox(scratch, evaluators=evaluators, clocks=clocks, virtual=0, staff=staff, speed=speed)
    scratch.mkdir()
    try:
        await box.provision()
        await box.start_servers()
        yield box
    finally:
        await box.stop()


@asynccontextmanager
async def online(box: HallBox, evaluator: str, folder: Path, speed: int) -> AsyncIterator[VmDevice]:
    """This evaluator of the hall, online and with its settings. folder: for its modules, flash and log."""
    rom = folder / "devices.rom"
    vm_device.build_rom(rom)
    flash = box.hall / "devices" / evaluator / "flash"
    device = VmDevice(evaluator, "evaluator", flash, folder, rom, speed, (), vm_device.HEAP)
    try:
        await device.start()
        await until(lambda: told(device, "config_version"), "settings")
        yield device
    finally:
        await device.stop()


def rows(box: HallBox, query: "Select[Any]") -> Sequence["Row[Any]"]:
    """Rows of the ledger of a gateway that may be running."""
    path = box.hall / "gateway" / "ledger.db"
    return ledger_file.look(path, lambda connection: connection.execute(query).all())


async def told(device: VmDevice, word: str) -> Any:
    """One value of the device's status; None while it is off."""
    try:
        return (await device.status()).get(word)
    except (ConnectionError, TimeoutError):
        return None


async def until(condition: Callable[[], Any], what: str, timeout_s: float = TIMEOUT_S) -> Any:
    """The first true value of the condition, which may be awaitable."""
    found = None
    try:
        async with asyncio.timeout(timeout_s):
            while True:
                found = condition()
                if asyncio.iscoroutine(found):
                    found = await found
                if found:
                    return found
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"no {what} within {timeout_s} s, but {found!r}") from None
