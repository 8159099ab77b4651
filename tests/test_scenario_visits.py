"""The business system's side of whole scenarios: real gateway process, real device on the VM, outcomes by webhook."""

import json
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from served_hall import online, until
from test_scenarios import at_central, central, press, reads
from webhook_receiver import SECRET_LINE, WebhookReceiver

from simulator import matters
from simulator.hall_box import HallBox
from simulator.vm_device import VmDevice

pytestmark = [pytest.mark.micropython, pytest.mark.xdist_group("scenarios")]

SPEED = 10
DEVICE = "e-001"


@pytest.fixture
async def box(micropython: str, tmp_path: Path) -> AsyncIterator[HallBox]:
    """A provisioned hall of one evaluator; its servers are started by `receiver`."""
    made = HallBox(tmp_path / "box", evaluators=1, clocks=0, virtual=0, staff=1, speed=SPEED)
    made.scratch.mkdir()
    try:
        await made.provision()
        yield made
    finally:
        await made.stop()


@pytest.fixture
async def receiver(box: HallBox) -> AsyncIterator[WebhookReceiver]:
    """The business system; the hall's servers run and know where it is. Parts of themes are rated one by one."""
    certificates, gateway = box.hall / "central", box.hall / "gateway"
    made = WebhookReceiver(certificates / "server.pem", certificates / "server.key")
    (gateway / "webhook.secret").write_text(SECRET_LINE)
    (gateway / "webhook.secret").chmod(0o600)
    toml = gateway / "gateway.toml"
    text = toml.read_text("utf-8").replace("[visits]\n", '[visits]\nrate_parts_of = ["theme"]\n')
    settings = f'[webhook]\nurl = "{made.url}"\nca = "root.pem"\nsecret_file = "webhook.secret"\n'
    toml.write_text(f"{text}\n{settings}", "utf-8")
    await box.start_servers()
    yield made
    made.close()


@pytest.fixture
async def evaluator(box: HallBox, receiver: WebhookReceiver, tmp_path: Path) -> AsyncIterator[VmDevice]:
    """The evaluator, online and with its settings."""
    async with online(box, DEVICE, tmp_path, SPEED) as made:
        yield made


async def opened(box: HallBox, visit: str, **more: Any) -> dict[str, Any]:
    async with box.business_client() as client:
        answer = await client.post("/api/v1/visits", json={"window": "01", "visit": visit, "timeout_s": 300, **more})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def rate(evaluator: VmDevice, level: int) -> None:
    """Press when asked, and wait until the rating is kept."""
    await until(lambda: reads(evaluator, "ask"), "question")
    kept = evaluator.display.seen["kept"]
    await press(evaluator, level, lambda: evaluator.display.word in ("thanks", "kept"), "thanks")
    await until(lambda: evaluator.display.seen["kept"] > kept, "rating on flash")


def flags(box: HallBox) -> list[list[str]]:
    """What each rating in the ledger earned for its visit; a slow machine may earn marks of time besides."""
    with sqlite3.connect(f"file:{box.hall}/gateway/ledger.db?mode=ro", uri=True) as ledger:
        found = [
            json.loads(row[0]) for row in ledger.execute("SELECT flags_json FROM record WHERE kind = 1 ORDER BY id")
        ]
    return [[code for code in codes if code.startswith(("visit_", "item_", "department_"))] for codes in found]


async def test_outcomes_reach_the_business_system_through_a_gateway_that_dies(
    box: HallBox, receiver: WebhookReceiver, evaluator: VmDevice
) -> None:
    item = matters.as_request(matters.items()[0])
    receiver.answer = lambda content: 503  # the business system is being serviced
    rated = await opened(box, "BJ-0001", **item)
    assert "flags" not in rated
    await rate(evaluator, 4)
    await at_central(box, DEVICE, ratings=1, gaps=0)
    await until(lambda: receiver.told, "first try")
    box.processes["gateway"].kill()
    receiver.answer = lambda content: 204
    await box.start_gateway()
    await until(lambda: receiver.states() == [(rated["id"], "rated")], "outcome after the restart")
    assert all(one.signed for one in receiver.told)
    assert (await central(box))["items"] == {item["item_code"]: 1}
    left = await opened(box, "BJ-0002", **item)
    await until(lambda: reads(evaluator, "ask"), "question")
    await opened(box, "BJ-0003", **{**item, "item_name": "别的名称"})
    await until(lambda: (left["id"], "superseded") in receiver.states(), "end of the visit before")
    await rate(evaluator, 5)
    await at_central(box, DEVICE, ratings=3, gaps=0)
    assert flags(box) == [[], [], ["item_differs"]]  # the one in the middle timed out: the next one ended it
    bodies = b"".join(one.raw for one in receiver.told)
    assert b"BJ-" not in bodies
    assert b"level" not in bodies


async def test_the_parts_of_a_theme_are_asked_one_after_the_other_at_the_window(
    box: HallBox, receiver: WebhookReceiver, evaluator: VmDevice
) -> None:
    parts = [matters.as_request(row) for row in matters.items()[:2]]
    whole = await opened(box, "BJ-0001", kind="theme", parts=parts, applicant={"name": "欧阳娜娜"})
    await rate(evaluator, 5)
    await rate(evaluator, 4)
    await at_central(box, DEVICE, ratings=2, gaps=0)
    await until(lambda: receiver.states() == [(whole["id"], "rated")], "outcome of the whole")
    assert receiver.told[-1].content["parts"] == ["rated", "rated"]
    assert (await central(box))["items"] == {part["item_code"]: 1 for part in parts}
    assert flags(box) == [[], []]
