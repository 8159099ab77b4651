"""A device that was offline for a long time brings all of it to the gateway in seconds, on the VM, over TLS."""

import asyncio
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
import small_hall
from hall_broker import REPOSITORY, Mosquitto, free_port
from listening_gateway import ListeningGateway
from test_simulator_vm import until

from simulator import vm_device
from simulator.vm_device import VmDevice

pytestmark = [pytest.mark.micropython, pytest.mark.broker, pytest.mark.xdist_group("vm")]

RECORDS = 1000
LIMIT_S = 30
# What a gateway takes to verify a batch and to commit it with one sync.
COMMIT_S = 0.03
# The stream has a beginning and a first boot; the rest are ratings of visits.
FILL = """
import os, sys, gc, uctypes, vfs

address, size = os.getenv("HALLSEAL_ROM").split(",")
vfs.mount(vfs.VfsRom(uctypes.bytearray_at(int(address), int(size))), "/rom")
sys.path[:] = ["/rom", ".frozen"]

class Bench:
    I2C = WATCHDOG = 0
    parts, joined = {}, bytearray(3)

    def send(*_): pass

sys.modules["bench"] = Bench
from flash_device import FlashDevice

vfs.mount(vfs.VfsLfs2(FlashDevice(os.getenv("HALLSEAL_FLASH"))), "/flash")
from firmware import main
from firmware.identity import Identity
from protocol import rating, record
from protocol.suite_device import DeviceSuite

who = Identity("/flash")
device = main.build(main._board(who, 1), DeviceSuite(), who)
claims = {rating.WINDOW: "01", rating.OUTCOME: rating.RATED, rating.LEVEL: 2, rating.MODE: rating.WALK_UP}
while device.journal.head < int(sys.argv[1]):
    device.record(record.RATING, dict(claims), {rating.OCCASION: [0, "V%045d" % device.journal.head]})
    gc.collect()
print(device.journal.head, device.journal.pending())
"""


@dataclass
class Desk:
    """What stands ready: a hall, the port of its broker, and an evaluator that is off, with its journal filled."""

    hall: Path
    port: int
    device: VmDevice
    head: int


@pytest.fixture
def desk(micropython: str, tmp_path: Path) -> Desk:
    port = free_port()
    hall = small_hall.make(tmp_path / "hall", clocks=0, broker_port=port)
    plain, linked = tmp_path / "plain.rom", tmp_path / "linked.rom"
    vm_device.build_rom(plain)
    vm_device.build_rom(linked, linked=True)
    flash = hall / "devices/e-001/flash"
    device = VmDevice("e-001", "evaluator", flash, tmp_path, linked, heap=vm_device.LINKED_HEAP)
    return Desk(hall, port, device, fill(plain, device.image, RECORDS))


def fill(rom: Path, image: Path, records: int) -> int:
    """Let the firmware itself write records to the flash of a device that is off; the highest number."""
    environment = os.environ | {"HALLSEAL_FLASH": str(image), "HALLSEAL_CAUSE": "1"}
    command = [sys.executable, "-m", "simulator.rom", str(rom), "-X", "heapsize=1M", "-c", FILL, str(records)]
    done = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    head, pending = map(int, done.stdout.split())
    assert head == pending == records
    return head


async def answer(gateway: ListeningGateway, until_seq: int) -> float:
    """Say what is durable, a commit after it came; returns when that was said of `until_seq`."""
    through, seen = 0, set[int]()
    while through < until_seq:
        await gateway.wait(lambda: len(gateway.heard) > len(seen))
        await asyncio.sleep(COMMIT_S)
        seen |= {one.made.seq for one in gateway.heard}
        while through + 1 in seen:
            through += 1
        await gateway.receipt("e-001", through)
    return time.monotonic()


async def test_a_thousand_records_are_drained_in_half_a_minute(mosquitto: str, desk: Desk, tmp_path: Path) -> None:
    device = desk.device
    await device.start()
    try:
        offline = await until(lambda status: status["error"], device)
        assert (offline["error"], offline["online"]) == ("server", False)
        assert offline["pending"] == offline["head"] > desk.head  # its boot is one more
        broker = Mosquitto(mosquitto, desk.hall, tmp_path / "broker", port=desk.port)
        gateway = await ListeningGateway(desk.hall).connect(desk.port)
        began_s = await first_beat(gateway)
        taken_s = await asyncio.wait_for(answer(gateway, desk.head), 4 * LIMIT_S) - began_s
        await until(lambda status: status["through"] >= desk.head, device)
        sent = [one.made.seq for one in gateway.heard]
        twice = len(sent) - len(set(sent))
        print(
            f"{desk.head} records drained in {taken_s:.1f} s, {desk.head / taken_s:.0f}/s, {twice} of them sent twice"
        )
        assert set(sent) >= set(range(1, desk.head + 1)) and device.restarts == 0
        assert taken_s < LIMIT_S
        await gateway.close()
        broker.kill()
    finally:
        await device.stop()
        print(device.log.read_text(errors="replace")[-2000:])


async def first_beat(gateway: ListeningGateway) -> float:
    """When the link was up: a heartbeat opens every session."""
    await gateway.wait(lambda: gateway.beats)
    return time.monotonic()
