"""Whole scenarios, every part real: firmware on the VM; broker, gateway and central double as their own processes."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from served_hall import served, told, until

from firmware.screen import Screen
from firmware.ssd1306 import PAGES, WIDTH, Ssd1306
from simulator import eyes, vm_device
from simulator.hall_box import HallBox
from simulator.screens import Shot
from simulator.vm_device import VmDevice

pytestmark = [pytest.mark.micropython, pytest.mark.xdist_group("scenarios")]

# How much faster a person's time runs here: three seconds to correct a rating take a third of one.
SPEED = 10
# Where somebody corrects or picks in time, on a machine that is busy with other things as well.
UNHURRIED = 2
EVALUATOR, OTHER, CLOCK = "e-001", "e-002", "c-001"
NEW_FINGER = 150

Start = Callable[..., Awaitable[VmDevice]]


@pytest.fixture
async def box(micropython: str, tmp_path: Path) -> AsyncIterator[HallBox]:
    """A provisioned hall whose servers run; its devices are started by the tests, one by one."""
    async with served(tmp_path / "box", evaluators=2, clocks=1, staff=3, speed=SPEED) as made:
        yield made


@pytest.fixture
async def start(box: HallBox, tmp_path: Path) -> AsyncIterator[Start]:
    """Function (name, enrolled, speed) -> a device of the hall, online and with its settings."""
    made: list[VmDevice] = []
    rom = tmp_path / "devices.rom"
    vm_device.build_rom(rom)

    async def begin(name: str, enrolled: tuple[int, ...] = (), speed: int = SPEED) -> VmDevice:
        kind = "clock" if name == CLOCK else "evaluator"
        flash = box.hall / "devices" / name / "flash"
        one = VmDevice(name, kind, flash, tmp_path, rom, speed, enrolled, vm_device.HEAP)
        made.append(one)
        await one.start()
        await until(lambda: told(one, "config_version"), "settings")
        return one

    yield begin
    for one in made:
        await one.stop()


async def get(box: HallBox, path: str) -> Any:
    """What the business system is answered."""
    async with box.business_client() as client:
        return (await client.get(path)).json()


async def counted(box: HallBox, device: str) -> dict[str, Any]:
    """The gateway's own count of one device, store by store."""
    async with box.audit_client() as client:
        return dict((await client.get("/api/v1/reconciliation")).json()["by_device"][device])


async def _agree(box: HallBox, device: str) -> bool:
    found = await counted(box, device)
    return bool(found["ledger"]["ratings"] + found["ledger"]["punches"]) and found["ledger"] == found["timeseries"]


async def central(box: HallBox) -> dict[str, Any]:
    """What the central system has."""
    async with box.central_client() as client:
        return dict((await client.get("/api/v1/summary")).json())


async def at_central(box: HallBox, device: str, **counts: int) -> dict[str, Any]:
    """Wait until the central system has these counts of a device."""

    async def look() -> dict[str, Any]:
        found = dict((await central(box))["by_device"].get(device, {}))
        return found if {name: found.get(name) for name in counts} == counts else {}

    return dict(await until(look, f"{counts} at the central system"))


def reads(device: VmDevice, word: str, language: str = "zh") -> bool:
    """True when the display shows this text, pixel by pixel."""
    return bytes(device.display.frame) == Shot(word, language).frame()


async def press(device: VmDevice, level: int, answered: Callable[[], Any], what: str) -> None:
    """Press, and let go when the device has answered, however busy this machine is."""
    await _hold(device.hands.press, level, answered, what)


async def touch(clock: VmDevice, finger: int, answered: Callable[[], Any], what: str) -> None:
    """As press(), with a finger on the glass."""
    await _hold(clock.hands.touch, finger, answered, what)


async def _hold(act: Callable[..., Awaitable[None]], which: int, answered: Callable[[], Any], what: str) -> None:
    done = asyncio.Event()
    acting = asyncio.create_task(act(which, done))
    try:
        await until(answered, what)
    finally:
        done.set()
        await acting


def lit(device: VmDevice) -> list[int]:
    """The levels whose lamps are lit."""
    return [level for level, lamp in enumerate(device.lit(), 1) if lamp]


async def open_visit(box: HallBox, window: str, visit: str, **more: Any) -> None:
    async with box.business_client() as client:
        answer = await client.post("/api/v1/visits", json={"window": window, "visit": visit, "timeout_s": 300, **more})
    assert answer.status_code == 200, answer.text


async def test_a_visit_goes_from_the_business_system_to_the_receipt_shown(box: HallBox, start: Start) -> None:
    evaluator = await start(EVALUATOR, speed=UNHURRIED)
    applicant = {"name": "欧阳娜娜", "phone": "13800138000"}
    await open_visit(box, "01", "BJ-0001", applicant=applicant)
    await until(lambda: reads(evaluator, "ask"), "question")
    await press(evaluator, 5, lambda: reads(evaluator, "thanks") and lit(evaluator) == [5], "thanks")
    await press(evaluator, 4, lambda: lit(evaluator) == [4], "correction")  # a slip of the finger, corrected in time
    await until(lambda: evaluator.display.seen["delivered"], "receipt on the display")
    assert (await get(box, "/api/v1/visits/BJ-0001"))["state"] == "rated"
    await at_central(box, EVALUATOR, ratings=1, gaps=0)
    assert (await central(box))["levels"] == {"4": 1}
    await until(lambda: _owes_nothing(evaluator), "receipts")
    for log in (box.scratch / "logs").iterdir():
        assert not [word for word in applicant.values() if word in log.read_text("utf-8", "replace")], log.name


async def test_a_bad_rating_brings_its_reasons_to_the_central_system(box: HallBox, start: Start) -> None:
    evaluator = await start(EVALUATOR, speed=UNHURRIED)
    await open_visit(box, "01", "BJ-0002")
    await until(lambda: reads(evaluator, "ask"), "question")
    await press(evaluator, 1, lambda: reads(evaluator, "thanks"), "thanks")
    await until(lambda: asks_for(evaluator, 108), "first reason")
    await press(evaluator, 4, lambda: asks_for(evaluator, 109), "second reason after a no")
    await press(evaluator, 5, lambda: asks_for(evaluator, 110), "third reason after a yes")
    await press(evaluator, 1, lambda: evaluator.display.seen["kept"], "end of the reasons")
    await until(lambda: evaluator.display.seen["delivered"], "receipt on the display")
    await at_central(box, EVALUATOR, ratings=1, gaps=0)
    async with box.audit_client() as client:
        shown = (await client.get("/api/v1/live")).text
    assert "109" not in shown  # a reason of one visitor is nobody's business at the window


def asks_for(evaluator: VmDevice, tag: int) -> bool:
    """True when the display asks for this reason."""
    return bytes(evaluator.display.frame) == Shot("reason", "zh", tag=tag).frame()


async def test_a_morning_without_network_loses_nothing_and_counts_nothing_twice(box: HallBox, start: Start) -> None:
    evaluator, clock = await asyncio.gather(start(OTHER), start(CLOCK, (1, 2, 3)))
    await until(lambda: told(clock, "roster_version"), "roster")
    box.processes["broker"].kill()
    await asyncio.gather(*(until(lambda d=d: _offline(d), "lost link") for d in (evaluator, clock)))
    await until(lambda: is_marked(evaluator), "mark of the lost link")
    for level in (5, 3, 4, 5, 2):
        before = evaluator.display.seen["thanks"]
        await press(evaluator, level, lambda n=before: evaluator.display.seen["thanks"] > n, "thanks without a link")
        await until(lambda: _rests(evaluator), "rest")
    for finger in (1, 2, 3):
        thanks = await told(clock, "thanks")
        await touch(clock, finger, lambda before=thanks: _thanked(clock, before), "punch without a link")
        await until(lambda: _ready(clock), "ready")
    evaluator.cut_power()  # somebody pulls the plug for good measure
    await until(lambda: told(evaluator, "head"), "reboot")
    await box.processes["broker"].start()
    await asyncio.gather(at_central(box, OTHER, ratings=5, gaps=0), at_central(box, CLOCK, punches=3, gaps=0))
    for device in (OTHER, CLOCK):  # the time series follows the ledger at its own pace
        await until(lambda name=device: _agree(box, name), "time series")
    for one in (evaluator, clock):
        await until(lambda device=one: _owes_nothing(device), "receipts")
    await until(lambda: bytes(evaluator.display.frame) == idle(""), "display without the mark")


def idle(mark: str) -> bytes:
    """The screen of OTHER between visitors."""
    display = Ssd1306(eyes.Paper())
    Screen(display).show("idle_staff", "zh", ("02", "林建国"), mark)  # as provisioning names the clerk
    return bytes(display.frame)


def is_marked(device: VmDevice) -> bool:
    """True when OTHER rests with a mark in its lowest line, whatever it says about the cause."""
    frame, marked = bytes(device.display.frame), idle("?")
    lowest = WIDTH * (PAGES - 2)
    return frame[:lowest] == marked[:lowest] and any(frame[lowest:])


async def _owes_nothing(device: VmDevice) -> bool:
    return await told(device, "pending") == 0


async def _offline(device: VmDevice) -> bool:
    return await told(device, "online") is False


async def _rests(device: VmDevice) -> bool:
    return await told(device, "screen") == "idle"


async def _ready(device: VmDevice) -> bool:
    return await told(device, "screen") == "ready"


async def _thanked(device: VmDevice, before: int) -> bool:
    return (await told(device, "thanks") or 0) > before


async def test_a_clerk_without_a_finger_on_the_roster_is_seen_enrolled_and_punches(box: HallBox, start: Start) -> None:
    roster = json.loads((box.hall / "gateway" / "roster.json").read_text("utf-8"))["staff"]
    boss, clerk = roster[0], roster[1]
    clock = await start(CLOCK, (boss["slot"],))
    await until(lambda: told(clock, "roster_version"), "roster")
    for _ in range(5):
        await until(lambda: _ready(clock), "ready")
        seen = clock.display.seen["unknown"]
        await touch(clock, NEW_FINGER, lambda n=seen: clock.display.seen["unknown"] > n, "refusal on the display")
    await until(lambda: _ready(clock), "ready")
    assert (await told(clock, "journaled"))[1] == 0
    async with box.technician_client() as client:
        path, wanted = f"/api/v1/devices/{CLOCK}/orders", {"order": "enrol", "slot": clerk["slot"]}
        assert (await client.post(path, json=wanted)).status_code == 202
    await until(lambda: reads(clock, "admin"), "question for the administrator")
    await lay(clock, boss["slot"])
    for _ in range(3):
        await until(lambda: _screen(clock, "enrol"), "question for the finger")
        await lay(clock, NEW_FINGER)
    await until(lambda: _screen(clock, "enrolled"), "enrolment")
    await until(lambda: _ready(clock), "ready")
    await touch(clock, NEW_FINGER, lambda: _thanked(clock, 0), "punch of the new finger")
    await at_central(box, CLOCK, punches=1, gaps=0)
    assert clock.hands.sensor.templates[clerk["slot"]] == NEW_FINGER
    assert clock.hands.sensor.biometrics == 0


async def _screen(device: VmDevice, word: str) -> bool:
    return await told(device, "screen") == word


async def lay(clock: VmDevice, finger: int) -> None:
    """A finger on the glass until the text changes."""
    before = clock.display.frames
    clock.hands.sensor.finger = finger
    clock.touch(0)
    await until(lambda: clock.display.frames > before, "answer to the finger")
    clock.hands.sensor.finger = None
    clock.touch(1)


async def test_a_decommissioned_device_leaves_no_key_on_its_flash_and_all_records_at_the_hall(
    box: HallBox, start: Start
) -> None:
    evaluator = await start(EVALUATOR)
    flash = box.hall / "devices" / EVALUATOR / "flash"
    keys = [(flash / name).read_bytes() for name in ("signing.key", "agreement.key", "tls.key")]
    raw = evaluator.image.read_bytes()
    assert all(key in raw for key in keys)  # the look below can find one
    await press(evaluator, 3, lambda: evaluator.display.seen["thanks"], "thanks")
    async with box.technician_client() as client:
        wanted = {"order": "decommission", "confirm": EVALUATOR}
        assert (await client.post(f"/api/v1/devices/{EVALUATOR}/orders", json=wanted)).status_code == 202
    await until(lambda: reads(evaluator, "locked") or reads(evaluator, "locked", "en"), "end of service")
    raw = evaluator.image.read_bytes()
    assert not any(key in raw or key[:16] in raw for key in keys)
    await at_central(box, EVALUATOR, ratings=1, gaps=0)
    assert evaluator.restarts == 1
