"""What is said of records afterwards, every part real: the VM's device, gateway and central double as processes."""

import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from served_hall import online, rows, served, until
from sqlalchemy import select
from test_scenarios import at_central, central, open_visit, press, reads

from gateway import schema
from protocol.annotation import TIME_ESTIMATE
from simulator.hall_box import HallBox
from simulator.vm_device import VmDevice

pytestmark = [pytest.mark.micropython, pytest.mark.xdist_group("scenarios")]

SPEED = 2
EVALUATOR = "e-001"


@pytest.fixture
async def box(micropython: str, tmp_path: Path) -> AsyncIterator[HallBox]:
    """A provisioned hall of one evaluator, whose servers run."""
    async with served(tmp_path / "box", evaluators=1, clocks=0, staff=1, speed=SPEED) as made:
        yield made


@pytest.fixture
async def evaluator(box: HallBox, tmp_path: Path) -> AsyncIterator[VmDevice]:
    """The evaluator, online."""
    async with online(box, EVALUATOR, tmp_path, SPEED) as made:
        yield made


async def mark(box: HallBox, stream: str, seq: int, **content: str) -> httpx.Response:
    """What the supervisor is answered."""
    token = (box.hall / "gateway" / "supervisor.token").read_text("utf-8").strip()
    async with httpx.AsyncClient(base_url=box.page, headers={"Authorization": f"Bearer {token}"}, timeout=5) as client:
        return await client.post(f"/api/v1/ratings/{EVALUATOR}/{stream}/{seq}/annotations", json=content)


async def test_a_mark_and_an_estimate_reach_the_central_system_over_a_killed_gateway(
    box: HallBox, evaluator: VmDevice
) -> None:
    await open_visit(box, "01", "BJ-0007")
    await until(lambda: reads(evaluator, "ask"), "question")
    await press(evaluator, 2, lambda: reads(evaluator, "thanks"), "thanks")
    await at_central(box, EVALUATOR, ratings=1, gaps=0)
    (rated,) = rows(box, select(schema.record).where(schema.record.c.kind == 1))
    answer = await mark(box, rated.stream, rated.seq, what="not_adopted", reason="mistaken", author="S009")
    assert (answer.status_code, answer.json()["adopted"]) == (201, False)
    pid = box.processes["gateway"].pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    await until(lambda: box.processes["gateway"].pid is None, "end of the gateway")
    await box.start_again("gateway")

    async def whole() -> dict[str, Any]:
        found = (await central(box))["annotations"]
        return dict(found) if found["not_adopted"] and found["time_estimate"] else {}

    seen = await until(whole, "mark and estimate at the central system")
    assert seen["ratings_not_adopted"] == 1
    assert [seen[name] for name in ("gaps", "broken_links", "record_unknown", "record_differs", "equivocations")] == [
        0
    ] * 5
    undated = rows(box, select(schema.record).where(schema.record.c.source == 0))
    assert [one.seq for one in undated][:1] == [1], "a new device opens its stream before it can know the time"
    notes = rows(box, select(schema.annotation).where(schema.annotation.c.kind == TIME_ESTIMATE))
    assert sorted(one.record for one in notes) == sorted(one.id for one in undated)
    async with box.audit_client() as client:
        counts = (await client.get("/api/v1/reconciliation")).json()
    assert counts["by_device"][EVALUATOR]["not_adopted"]["ledger"] == 1
    assert counts["by_device"][EVALUATOR]["ledger"]["ratings"] == 1, "it is kept"
