"""A device that was switched on before it was approved: what it sent is taken back by command, and nothing is lost."""

import asyncio
import json
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from served_hall import rows, served, told, until
from sqlalchemy import select
from test_scenarios import at_central

from gateway import schema
from simulator import vm_device
from simulator.hall_box import HallBox
from simulator.vm_device import VmDevice

pytestmark = [pytest.mark.micropython, pytest.mark.xdist_group("scenarios")]

SPEED = 10
DEVICE = "e-001"


@pytest.fixture
async def box(micropython: str, tmp_path: Path) -> AsyncIterator[HallBox]:
    """A provisioned hall of one evaluator, whose servers run."""
    async with served(tmp_path / "box", evaluators=1, clocks=0, staff=1, speed=SPEED) as made:
        yield made


def set_status(box: HallBox, status: str) -> None:
    """As the technician's tool does, in one step."""
    path = box.hall / "gateway" / "registry.json"
    content = json.loads(path.read_text("utf-8"))
    content["devices"][0]["status"] = status
    path.with_suffix(".new").write_text(json.dumps(content), "utf-8")
    path.with_suffix(".new").replace(path)


async def command(box: HallBox, *words: str) -> tuple[int | None, str]:
    """(exit status, what it printed) of `hallseal-gateway …`."""
    toml = str(box.hall / "gateway" / "gateway.toml")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway.cli", *words, "--config", toml,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    out, _ = await process.communicate()
    return process.returncode, out.decode()


async def heads(box: HallBox) -> list[str]:
    """The ends of the operator log that the central system has kept, as the command takes them."""
    async with box.central_client() as client:
        found = (await client.get("/api/v1/operator-heads")).json()["heads"]
    return [f"{one['number']}:{one['hash']}" for one in found]


async def test_what_a_device_sent_before_it_was_approved_is_taken_back_and_receipted(
    box: HallBox, tmp_path: Path
) -> None:
    set_status(box, "pending")
    details = select(schema.operator_action.c.details_json)
    await until(
        lambda: [one for one in rows(box, details) if '"status":"pending"' in one[0]], "line of the operator log"
    )
    rom = tmp_path / "devices.rom"
    vm_device.build_rom(rom)
    flash = box.hall / "devices" / DEVICE / "flash"
    device = VmDevice(DEVICE, "evaluator", flash, tmp_path, rom, SPEED, (), vm_device.HEAP)
    held = select(schema.quarantine.c.id).where(schema.quarantine.c.reason == "pending")
    try:
        await device.start()
        await until(lambda: len(rows(box, held)) >= 2, "messages in quarantine")
    finally:
        await device.stop()
    assert (await command(box, "quarantine", "readmit", "--reason", "pending"))[1].endswith("refused\n")
    set_status(box, "active")
    status, printed = await command(box, "quarantine", "readmit", "--reason", "pending")
    assert status == 0 and "refused" not in printed, printed
    assert rows(box, held) == []
    flags = [json.loads(row.flags_json) for row in rows(box, select(schema.record.c.flags_json))]
    stored = len(re.findall(r"^ +\d+  stored$", printed, re.MULTILINE))  # heartbeats as well
    # What the broker still held may have come by itself meanwhile: then it was a duplicate, or it came after.
    assert flags and sum("readmitted" in one for one in flags) <= stored
    await at_central(box, DEVICE, gaps=0)

    again = VmDevice(DEVICE, "evaluator", flash, tmp_path, rom, SPEED, (), vm_device.HEAP)
    try:
        await again.start()
        await until(lambda: told(again, "config_version"), "settings")
        await until(lambda: [row.pending for row in rows(box, select(schema.heartbeat))] == [0], "receipts")
    finally:
        await again.stop()
    streams = rows(box, select(schema.stream))
    assert [(one.stored, one.equivocations) for one in streams] == [(one.highest, 0) for one in streams]

    said = {row.action for row in rows(box, select(schema.operator_action))}
    assert {"config", "key", "enrol", "approve", "readmit", "login"} <= said
    kept = await until(lambda: heads(box), "head of the operator log")
    status, printed = await command(box, "operators", "check", *(word for head in kept for word in ("--head", head)))
    assert (status, printed.split(";")[0]) == (0, "the operator log is whole")
