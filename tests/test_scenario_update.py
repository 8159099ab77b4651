"""A release from its sources to the device that runs it: built, signed, published, fetched, tried, kept or given up."""

import asyncio
import json
import re
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from served_hall import rows, served, until
from source_tree import REPOSITORY
from sqlalchemy import select
from test_scenarios import at_central

from gateway import schema
from protocol import command, event, record
from provisioning import bundle
from provisioning.cli import main
from simulator import vm_device
from simulator.hall_box import HallBox
from simulator.vm_device import VmDevice

pytestmark = [pytest.mark.micropython, pytest.mark.xdist_group("scenarios")]

SPEED = 10
DEVICE = "e-001"
HEAP = vm_device.UPDATING_HEAP
# Some sixty pieces, each with a signature and a commit; on a machine that others use as well.
UPDATE_TIMEOUT_S = 150
OLD, NEW = 'VERSION = "0.1.0"', "0.2.0"


@pytest.fixture
async def box(micropython: str, tmp_path: Path) -> AsyncIterator[HallBox]:
    """A provisioned hall of one evaluator, whose servers run."""
    async with served(tmp_path / "box", evaluators=1, clocks=0, staff=1, speed=SPEED) as made:
        yield made


@pytest.fixture
async def evaluator(box: HallBox, tmp_path: Path) -> AsyncIterator[VmDevice]:
    """The evaluator as it was delivered, still in its box."""
    rom = tmp_path / "devices.rom"
    vm_device.build_rom(rom)
    made = VmDevice(DEVICE, "evaluator", box.hall / "devices" / DEVICE / "flash", tmp_path, rom, SPEED, (), HEAP)
    yield made
    await made.stop()


def build(folder: Path, old: str, new: str) -> Path:
    """The bundle of the firmware as it is, but for one line of device.py."""
    for package in ("firmware", "protocol"):
        shutil.copytree(REPOSITORY / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    source = folder / "firmware" / "device.py"
    text = source.read_text("utf-8")
    assert old in text
    source.write_text(text.replace(old, new), "utf-8")
    path = folder / "evaluator.bundle"
    path.write_bytes(bundle.build("evaluator", folder))
    return path


def release(hall: Path, built: Path, sequence: int) -> None:
    """Two holders sign it, the technician publishes it: by the very commands."""
    terms = ["--kind", "evaluator", "--sequence", str(sequence), "--version", NEW, "--until", "2099-12-31"]
    for number, said in ((1, terms), (3, [])):
        assert main(["release", "sign", str(built), "--holder", str(hall / f"release/holder-{number}"), *said]) == 0
    assert main(["release", "publish", str(hall), str(built)]) == 0


def events(box: HallBox) -> list[tuple[int, int | None]]:
    """(code, value) of the device's events that the gateway has on disk, in their order."""
    table = schema.record
    query = select(table.c.claims_json).where(table.c.device == DEVICE, table.c.kind == record.EVENT)
    found = [json.loads(row.claims_json) for row in rows(box, query.order_by(table.c.id))]
    return [(one["code"], one.get("value")) for one in found]


def stated(box: HallBox) -> tuple[str | int | None, ...]:
    """(firmware, release, refused) of the device's latest heartbeat; nothing before the first."""
    table = schema.heartbeat
    query = select(table.c.firmware, table.c.release_sequence, table.c.refused_sequence)
    return next((tuple(row) for row in rows(box, query)), ())


async def rate(evaluator: VmDevice, level: int) -> None:
    """Press, and hold on until the display thanks."""
    answered = asyncio.Event()
    pressing = asyncio.create_task(evaluator.hands.press(level, answered))
    await until(lambda: evaluator.display.word in ("thanks", "kept"), "thanks")
    answered.set()
    await pressing


async def steps(box: HallBox) -> dict[str, int]:
    """How many notices, pieces and ends the gateway has sent."""
    async with box.audit_client() as client:
        page = (await client.get("/metrics")).text
    found = re.findall(r'^hallseal_updates_total{kind="evaluator",step="(\w+)"} (\d+)$', page, re.MULTILINE)
    return {step: int(count) for step, count in found}


async def pieces(box: HallBox, count: int) -> bool:
    """True when the gateway has sent so many pieces."""
    return (await steps(box)).get("chunk", 0) >= count


async def test_a_signed_release_reaches_a_device_that_tries_it_keeps_it_and_says_so(
    box: HallBox, evaluator: VmDevice, tmp_path: Path
) -> None:
    built = await asyncio.to_thread(build, tmp_path / "sources", OLD, f'VERSION = "{NEW}"')
    await asyncio.to_thread(release, box.hall, built, 6)
    await evaluator.start()
    await until(lambda: stated(box)[:2] == ("0.1.0", 0), "heartbeat of the delivered program")
    await rate(evaluator, 5)  # nobody notices that something is being fetched
    await at_central(box, DEVICE, ratings=1, gaps=0)
    await until(lambda: pieces(box, 20), "pieces of the bundle", UPDATE_TIMEOUT_S)
    offers = (await steps(box))["notice"]
    evaluator.cut_power()
    await until(lambda: (event.UPDATE_INSTALLED, 6) in events(box), "event of the installation", UPDATE_TIMEOUT_S)
    assert await pieces(box, -(-built.stat().st_size // command.CHUNK_BYTES_MAX))
    assert (await steps(box))["notice"] == offers, "fetching went on where the power cut had left it"
    await until(lambda: (event.UPDATE_CONFIRMED, 6) in events(box), "confirmation", UPDATE_TIMEOUT_S)
    await until(lambda: stated(box) == (NEW, 6, None), "heartbeat of the new program")
    assert evaluator.restarts == 2
    assert not {event.UPDATE_REFUSED, event.UPDATE_REVERTED, event.CRASH} & {code for code, _ in events(box)}
    await rate(evaluator, 4)
    await at_central(box, DEVICE, ratings=2, gaps=0)
    async with box.central_client() as client:
        assert (await client.get("/api/v1/summary")).json()["levels"] == {"4": 1, "5": 1}


async def test_a_program_that_does_not_run_is_given_up_and_never_offered_again(
    box: HallBox, evaluator: VmDevice, tmp_path: Path
) -> None:
    built = await asyncio.to_thread(build, tmp_path / "sources", OLD, 'VERSION = "0.2.0"\nraise ValueError("mistake")')
    await asyncio.to_thread(release, box.hall, built, 6)
    await evaluator.start()
    await until(lambda: (event.UPDATE_REVERTED, 6) in events(box), "way back", 2 * UPDATE_TIMEOUT_S)
    await until(lambda: stated(box) == ("0.1.0", 0, 6), "heartbeat of the old program")
    assert {event.UPDATE_INSTALLED} == {event.UPDATE_INSTALLED, event.UPDATE_CONFIRMED} & {c for c, _ in events(box)}
    sent = await steps(box)
    await rate(evaluator, 2)
    await at_central(box, DEVICE, ratings=1, gaps=0)
    assert await steps(box) == sent
