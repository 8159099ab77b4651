"""Pressing is felt at once: how long it takes from the first contact of a button to the thanks, on the VM."""

import asyncio
import os
import time
from pathlib import Path

import pytest
import small_hall
from hall_broker import free_port
from test_simulator_vm import until

from simulator import peripherals, vm_device
from simulator.reconciliation import percentile
from simulator.vm_device import VmDevice

pytestmark = [pytest.mark.micropython, pytest.mark.xdist_group("vm")]

P99_MS = 40
# Enough for a percentile that is not the slowest of all: one of them may be slower.
PRESSES = 200
SLOW_MAX = 1
# A quick finger, which stays on the button until the thanks all the same.
HOLD_MS = 40
# A person's three seconds take a twentieth of one here; contacts, debouncing, flash and display take what they take.
SPEED = 60
# On a machine that others load as well the best round counts: what of their noise cannot be told apart is not ours.
ROUNDS = 4


@pytest.fixture
async def evaluator(micropython: str, tmp_path: Path):  # type: ignore[no-untyped-def]
    """An evaluator without a link, which makes no difference to a press."""

    hall = small_hall.make(tmp_path / "hall", broker_port=free_port())
    rom = tmp_path / "rom"
    vm_device.build_rom(rom)
    device = VmDevice("e-001", "evaluator", hall / "devices/e-001/flash", tmp_path, rom, SPEED, (), vm_device.HEAP)
    await device.start()
    await until(lambda status: status["screen"] == "idle", device)
    yield device
    await device.stop()


def waited_ms(device: VmDevice) -> list[float]:
    """How long this process and the VM's have been ready to run and had no processor, since each began.

    Linux counts it (Documentation/scheduler/sched-stats.rst, second field, nanoseconds); elsewhere it is 0.
    """
    paths = [Path(f"/proc/{pid}/schedstat") for pid in (os.getpid(), device.pid)]
    return [int(path.read_text().split()[1]) / 1e6 if path.exists() else 0.0 for path in paths]


async def press_ms(device: VmDevice, level: int) -> float:
    """From the first contact to the whole frame of the thanks, without the time in which others had the processor."""
    shown, answered = asyncio.get_running_loop().create_future(), asyncio.Event()
    write = device.display.write

    def watched(data: bytes) -> None:
        write(data)
        if device.display.word == "thanks" and not shown.done():
            taken_ms = (time.perf_counter() - began) * 1000
            # The longer of the two: both may have waited at once, and a wait must not be taken off twice.
            shown.set_result(taken_ms - max(now - then for now, then in zip(waited_ms(device), waited, strict=True)))
            answered.set()

    device.display.write = watched  # type: ignore[method-assign]
    waited, began = waited_ms(device), time.perf_counter()
    await asyncio.gather(device.hands.press(level, answered), asyncio.wait_for(shown, 10))
    device.display.write = write  # type: ignore[method-assign]
    return float(shown.result())


async def test_the_thanks_come_within_forty_milliseconds(evaluator: VmDevice, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peripherals, "HOLD_MS", HOLD_MS)
    pressed, best = 0, 10**6
    for _ in range(ROUNDS):
        taken = await round_ms(evaluator)
        pressed += len(taken)
        p50, p99 = percentile(taken, 0.5), percentile(taken, 0.99)
        print(f"press to thanks: p50 {p50} ms, p99 {p99} ms of {len(taken)}")
        best = min(best, p99 or 10**6)
        if best <= P99_MS:
            break
    assert best <= P99_MS
    status = await until(lambda status: status["screen"] == "idle", evaluator)
    assert status["thanks"] == status["journaled"][0] == pressed >= PRESSES


async def round_ms(evaluator: VmDevice) -> list[int]:
    """Of PRESSES presses; of fewer where so many were slow that the round cannot pass any more."""
    taken: list[int] = []
    while len(taken) < PRESSES and sum(one > P99_MS for one in taken) <= SLOW_MAX:
        await until(lambda status: status["screen"] == "idle", evaluator)
        taken.append(round(await press_ms(evaluator, len(taken) % 5 + 1)))
    return taken
