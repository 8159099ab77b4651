"""Budgets of the devices, measured on the VM: what they hold of the heap, and in which heap a whole run passes.

The budgets are a board's, whose words have 32 bits; the VM here has words of 64 bits. Halving would be too kind, for
bytes do not shrink. The ratio was measured: importing these modules on the 32-bit WebAssembly build of MicroPython
takes 1 / 1.72 of what it takes here, and every figure is told with and without it.
The modules lie outside the heap here, as they do in an image that freezes them.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import small_hall
from hall_broker import free_port
from listening_gateway import ListeningGateway

from protocol import command, rating, record
from simulator import vm_device
from simulator.broker import HallBroker
from simulator.vm_device import VmDevice

pytestmark = [pytest.mark.micropython, pytest.mark.xdist_group("vm")]

TIMEOUT_S = 20
# The heap of a 64-bit VM by that of a 32-bit one, in percent.
WORDS_PERCENT = 172
LIVE_BYTES_MAX = 48 * 1024
# 96 KiB of a board for the files as they stand, 64 KiB for the linked ones, in KiB of this VM.
HEAP, LINKED_HEAP = f"{96 * WORDS_PERCENT // 100}K", f"{64 * WORDS_PERCENT // 100}K"
KINDS = {"evaluator": "e-001", "clock": "c-001"}
VISITS = 8
Figure = Callable[[str, str], None]


class BeganAgain(Exception):
    """The device rebooted in the middle of the run: its heap was too small."""


@pytest.fixture(scope="module")
def images(micropython: str, tmp_path_factory: pytest.TempPathFactory) -> dict[bool, Path]:
    """Is it linked -> modules of every device, in one read-only image."""
    folder = tmp_path_factory.mktemp("rom")
    for linked in (False, True):
        vm_device.build_rom(folder / str(linked), linked)
    return {linked: folder / str(linked) for linked in (False, True)}


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def hall(port: int, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_hall.make(tmp_path_factory.mktemp("budget") / "hall", staff=3, broker_port=port)


@pytest.fixture
async def broker(hall: Path, port: int) -> AsyncIterator[None]:
    found = HallBroker(hall, port)
    await found.start()
    yield
    await found.shutdown()


class Run:
    """One device of a kind in a heap, from its first boot through a morning. folder: for flash and log."""

    def __init__(self, hall: Path, port: int, kind: str, image: Path, heap: str, folder: Path) -> None:
        folder.mkdir()
        slots = (1, 2, 3) if kind == "clock" else ()
        name = KINDS[kind]
        self.kind, self.port, self.gateway = kind, port, ListeningGateway(hall)
        self.device = VmDevice(name, kind, hall / "devices" / name / "flash", folder, image, 60, slots, heap)

    async def __aenter__(self) -> "Run":
        await self.gateway.connect(self.port)
        await self.device.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.device.stop()
        await self.gateway.close()

    async def until(self, condition: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
        """The first status that meets the condition. Raises BeganAgain when the device began again."""
        async with asyncio.timeout(TIMEOUT_S):
            while True:
                if self.device.restarts:
                    raise BeganAgain(self.device.log.read_text(errors="replace")[-2000:])
                try:
                    status = await self.device.status()
                    if condition(status):
                        return status
                except (ConnectionError, TimeoutError):
                    pass
                await asyncio.sleep(0.02)

    async def morning(self) -> None:
        """Time, settings, eight visits with identity or eight punches, each with its receipt."""
        name = self.device.device
        await self.until(lambda status: status["online"])
        await self.gateway.tell_time(name)
        await self.until(lambda status: status["clock_source"] == 1)
        config = {command.VERSION: 1, command.PLACE: "01", command.LANGUAGE: "zh+en", command.BRIGHTNESS: 99}
        config |= {command.RATING_TIMEOUT_S: 600, command.HEARTBEAT_S: 60, command.STAFF_NAME: "王琳"}
        await self.gateway.command(name, command.CONFIG, config)
        await self.until(lambda status: status["config_version"] == 1)
        await (self._visits(name) if self.kind == "evaluator" else self._punches(name))

    async def _visits(self, name: str) -> None:
        applicant = {1: "欧阳娜娜", 2: "13800138000", 3: "11010519491231002X", 4: "resident"}
        for turn in range(1, VISITS + 1):
            claims = {command.VISIT: f"V{turn:046}", command.WINDOW: "01", command.TIMEOUT_S: 600}
            claims |= {command.STAFF: "S001", command.APPLICANT: applicant}
            await self.gateway.command(name, command.EVALUATION_REQUEST, claims)
            await self.until(lambda status: status["screen"] == "ask")
            await self.device.hands.press(turn % 5 + 1)
            await self._receipted(name, turn, 0)
        assert self.gateway.of(name, record.RATING)[-1].disclosed[rating.IDENTITY] == applicant

    async def _punches(self, name: str) -> None:
        rows = [[1, "S001", "王琳"], [2, "S002", "陈静"], [3, "S003", "李静"]]
        await self.gateway.command(name, command.ROSTER, {command.ROSTER_VERSION: 1, command.STAFF_ROWS: rows})
        await self.until(lambda status: status["screen"] == "ready" and status["roster_version"] == 1)
        for turn in range(1, VISITS + 1):
            if turn > 3:  # the same person within a minute is the same punch; a minute is a second here
                await asyncio.sleep(0.4)
            await self.until(lambda status: status["screen"] == "ready")
            await self.device.hands.touch(turn % 3 + 1)
            await self._receipted(name, turn, 1)

    async def _receipted(self, name: str, turn: int, place: int) -> None:
        """The gateway has the record of this turn and says so; place: of its kind in `journaled`."""
        await self.until(lambda status: status["journaled"][place] == turn)
        kind = record.PUNCH if place else record.RATING
        await self.until(lambda status: len(self.gateway.of(name, kind)) == turn)
        await self.gateway.receipt(name, self.gateway.of(name, kind)[-1].made.seq)
        await self.until(lambda status: status["receipted"][place] == turn)


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines()


def listening(pid: int) -> list[str]:
    """Sockets of a process that wait for somebody to connect, as the kernel lists them."""
    mine = {os.readlink(handle) for handle in Path(f"/proc/{pid}/fd").iterdir() if handle.is_symlink()}
    rows = [line.split() for name in ("tcp", "tcp6") for line in _lines(f"/proc/{pid}/net/{name}")]
    return [row[1] for row in rows if row[3] == "0A" and f"socket:[{row[9]}]" in mine]


@pytest.mark.parametrize("linked", [True, False])
@pytest.mark.parametrize("kind", KINDS)
async def test_a_morning_passes_in_the_heap_of_the_budget(
    kind: str,
    linked: bool,
    hall: Path,
    port: int,
    broker: None,
    images: dict[bool, Path],
    tmp_path: Path,
    figure: Figure,
) -> None:
    heap = LINKED_HEAP if linked else HEAP
    async with Run(hall, port, kind, images[linked], heap, tmp_path / "run") as run:
        await run.morning()
        all_bytes, bench_bytes = await run.device.live_heap_bytes()
        assert (await run.until(lambda status: True))["online"]
        assert listening(run.device.pid or 0) == []
    image, board = ("linked image", 64) if linked else ("files as they stand", 96)
    figure(f"{kind}, {image}: whole run", f"passes with -X heapsize={heap}: {board} KiB of a board")
    live_bytes = all_bytes - bench_bytes
    board_bytes = 100 * live_bytes // WORDS_PERCENT
    allowed = f" (budget {LIVE_BYTES_MAX:,})" if linked else ""
    told = (
        f"{live_bytes:,} bytes on this VM, {board_bytes:,} of a board{allowed}; {bench_bytes:,} of the bench left out"
    )
    figure(f"{kind}, {image}: live heap", told)
    if linked:
        assert board_bytes <= LIVE_BYTES_MAX


async def test_the_smallest_heap_in_bytes_of_the_vm_is_told(
    hall: Path, port: int, broker: None, images: dict[bool, Path], tmp_path: Path, figure: Figure
) -> None:
    """For knowing where the edge is, with words of 64 bits and the imitated hardware in the same heap."""
    failed = []
    for heap in ("96K", "104K", LINKED_HEAP):
        try:
            async with Run(hall, port, "evaluator", images[True], heap, tmp_path / heap) as run:
                await run.morning()
            break
        except (BeganAgain, TimeoutError):
            failed.append(heap)
    else:
        pytest.fail("a morning passes in what 64 KiB of a board are")
    told = f"passes with -X heapsize={heap}, in KiB of this VM"
    figure("evaluator, linked image: smallest heap", f"{told}; fails with {', '.join(failed)}" if failed else told)
