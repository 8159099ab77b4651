"""A whole hall whose servers run as what they are, for scenarios that start its devices one by one."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from simulator.hall_box import HallBox


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
