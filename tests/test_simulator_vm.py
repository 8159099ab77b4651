"""Devices on real MicroPython VMs: from the flash image to the broker, and what happens when they die."""

import asyncio
import os
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import small_hall
from hall_broker import free_port
from hostile_proxy import HostileProxy
from listening_gateway import ListeningGateway, on_a_broker

from firmware.identity import ERASED, SECRETS
from firmware.screen import Screen
from firmware.ssd1306 import Ssd1306
from protocol import command, event, punch, rating, record
from simulator import eyes, flash_image, rom, vm_device, vm_process
from simulator.broker import HallBroker
from simulator.eyes import Paper
from simulator.vm_device import VmDevice
from simulator.vm_process import VmProcess

REPOSITORY = Path(__file__).resolve().parent.parent
pytestmark = [pytest.mark.micropython, pytest.mark.xdist_group("vm")]

TIMEOUT_S = 20
# A device that answers is asked this often, so far apart, while a contact is held: each answer is a turn of its loop,
# and more turns than debouncing takes samples (firmware/buttons.py). So no load lets a press pass unseen.
LOOKS, LOOK_APART_S = 10, 0.01


@pytest.fixture(scope="module")
def linked_rom(micropython: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The modules of every device, linked."""
    path = tmp_path_factory.mktemp("rom") / "devices.rom"
    vm_device.build_rom(path, linked=True)
    return path


@pytest.fixture(scope="module")
def plain_rom(micropython: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of firmware/ and protocol/ as they stand."""
    path = tmp_path_factory.mktemp("rom") / "plain.rom"
    vm_device.build_rom(path)
    return path


@pytest.fixture(scope="module")
def port() -> int:
    """Where the broker of these tests listens; the flash of each device says so."""
    return free_port()


@pytest.fixture(scope="module")
def hall(port: int, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One hall for all of these tests, none of which changes it."""
    return small_hall.make(tmp_path_factory.mktemp("vm") / "hall", staff=3, broker_port=port)


@pytest.fixture
async def gateway(hall: Path, port: int) -> AsyncIterator[ListeningGateway]:
    """A gateway on a broker of its own."""
    async with on_a_broker(hall, port) as found:
        yield found


@pytest.fixture
async def device(hall: Path, linked_rom: Path, plain_rom: Path, tmp_path: Path) -> AsyncIterator[Callable[..., Any]]:
    """Function (name, heap=…, speed=…): a started device; the log of one whose test failed is printed.

    plain: its files as they stand, which need more heap than the linked ones. image: another one than these two.
    """
    made: list[VmDevice] = []

    async def start(
        name: str, heap: str = "", speed: int = 1, plain: bool = False, image: Path | None = None
    ) -> VmDevice:
        kind, slots = ("clock", (1, 2, 3)) if name.startswith("c") else ("evaluator", ())
        heap = heap or (vm_device.HEAP if plain else vm_device.LINKED_HEAP)
        image = image or (plain_rom if plain else linked_rom)
        one = VmDevice(name, kind, hall / "devices" / name / "flash", tmp_path, image, speed, slots, heap)
        made.append(one)
        await one.start()
        return one

    yield start
    for one in made:
        await one.stop()
        print(one.log.read_text(errors="replace")[-3000:])


async def until(condition: Callable[[dict[str, Any]], Any], device: VmDevice) -> dict[str, Any]:
    """The first status that meets the condition."""
    async with asyncio.timeout(TIMEOUT_S):
        while True:
            try:
                status = await device.status()
                if condition(status):
                    return status
            except ConnectionError:
                pass
            await asyncio.sleep(0.02)


async def looked(device: VmDevice) -> None:
    """Wait until the loop of the device has turned so often that it has seen every contact as it is."""
    for _ in range(LOOKS):
        await device.status()
        await asyncio.sleep(LOOK_APART_S)


async def holding(act: Callable[[asyncio.Event], Awaitable[None]], reaction: Awaitable[Any]) -> None:
    """An act of a hand that holds on until the reaction is there."""
    answered = asyncio.Event()
    hand = asyncio.ensure_future(act(answered))
    try:
        async with asyncio.timeout(TIMEOUT_S):
            await reaction
    finally:
        answered.set()
        await hand


async def press(device: VmDevice, level: int, word: str = "thanks") -> None:
    """Press until the display says this; "" where it only has to say something else than before."""
    shown, before = device.display.drawn[word], bytes(device.display.frame)

    async def reaction() -> None:
        while device.display.drawn[word] == shown if word else device.display.frame == before:
            await asyncio.sleep(0.005)

    await holding(lambda answered: device.hands.press(level, answered), reaction())


async def touch(device: VmDevice, finger: int, word: str) -> None:
    """Lay a finger down until the display says this; it does so for as long as the finger lies there."""
    reaction = until(lambda status: status["screen"] == word, device)
    await holding(lambda answered: device.hands.touch(finger, answered), reaction)


async def push(device: VmDevice) -> None:
    """Press the button of a clock, until it must have seen it: it answers when the button is let go."""

    async def reaction() -> None:
        await asyncio.sleep(0.1)  # its bouncing
        await looked(device)

    await holding(lambda answered: device.hands.push(answered=answered), reaction())


async def key(device: VmDevice, char: str, *frames: bytes) -> None:
    """Hold a key of the keypad until one of these frames is shown, or another than now where none is given."""
    before = bytes(device.display.frame)
    device.hands.set_key(char)
    async with asyncio.timeout(TIMEOUT_S):
        while bytes(device.display.frame) not in frames if frames else device.display.frame == before:
            await asyncio.sleep(0.005)
    device.hands.set_key("")
    await looked(device)


def phone_page(digits: str) -> bytes:
    """The frame that shows this number."""
    paper = Ssd1306(eyes.Paper())
    Screen(paper).show("phone", "zh", (digits,))
    return bytes(paper.frame)


async def shown(device: VmDevice, word: str, times: int) -> None:
    """Wait until a text was drawn so many times."""
    async with asyncio.timeout(TIMEOUT_S):
        while device.display.drawn[word] < times:
            await asyncio.sleep(0.005)


async def events(gateway: ListeningGateway, name: str, code: int) -> list[dict[int, Any]]:
    """Claims of the events of one code, once there are any."""

    def found() -> list[dict[int, Any]]:
        claims = [one.made.claims for one in gateway.of(name, record.EVENT)]
        return [one for one in claims if one[event.CODE] == code]

    await gateway.wait(found)
    return found()


def boots(gateway: ListeningGateway, name: str) -> list[str]:
    """What each boot said about why it was one."""
    events = [one.made.claims for one in gateway.of(name, record.EVENT)]
    return [str(claims[event.TEXT]) for claims in events if claims[event.CODE] == event.BOOT]


# plain: the files as they stand, as the demo runs them; else linked, in half the heap.
@pytest.mark.parametrize("plain", [True, False])
async def test_a_press_arrives_at_the_broker_sealed(
    gateway: ListeningGateway, device: Callable[..., Any], plain: bool
) -> None:
    evaluator = await device("e-001", plain=plain)
    await until(lambda status: status["online"], evaluator)
    await press(evaluator, 2)
    [rated] = await gateway.wait_for("e-001", record.RATING, 1)
    claims = rated.made.claims
    assert (claims[rating.LEVEL], claims[rating.WINDOW], claims[rating.OUTCOME]) == (2, "01", rating.RATED)
    status = await until(lambda status: status["thanks"] == 1, evaluator)
    assert (status["journaled"][0], evaluator.restarts) == (1, 0)
    assert evaluator.display.frames > 1
    assert evaluator.display.lit


async def test_the_lamp_of_the_pressed_button_thanks(gateway: ListeningGateway, device: Callable[..., Any]) -> None:
    evaluator = await device("e-001")
    await until(lambda status: status["screen"] == "idle", evaluator)
    await press(evaluator, 5)
    assert evaluator.lit() == [0, 0, 0, 0, 1]
    await until(lambda status: status["screen"] == "idle", evaluator)
    assert evaluator.lit() == [0, 0, 0, 0, 0]


# 64wK is the VM's word for what 64 KiB are to a board of 32-bit words; the tighter one leaves room to grow.
@pytest.mark.parametrize("heap", ["56wK", "64wK"])
async def test_a_morning_of_ratings_fits_the_heap(
    gateway: ListeningGateway, device: Callable[..., Any], heap: str
) -> None:
    """With time, config, a visit with identity, receipts: what an evaluator meets, several times over."""
    evaluator = await device("e-001", heap=heap, speed=60)
    await gateway.tell_time("e-001")
    config = {command.VERSION: 1, command.PLACE: "01", command.LANGUAGE: "en", command.BRIGHTNESS: 99}
    config |= {command.RATING_TIMEOUT_S: 600, command.HEARTBEAT_S: 60, command.STAFF_NAME: "王琳"}
    await until(lambda status: status["clock_source"] == 1, evaluator)
    await gateway.command("e-001", command.CONFIG, config)
    applicant = {1: "欧阳娜娜", 2: "13800138000", 3: "11010519491231002X", 4: "resident"}
    for turn in range(1, 9):
        claims = {command.VISIT: f"V{turn:046}", command.WINDOW: "01", command.TIMEOUT_S: 600}
        await gateway.command(
            "e-001", command.EVALUATION_REQUEST, {**claims, command.STAFF: "S001", command.APPLICANT: applicant}
        )
        await until(lambda status: status["screen"] == "ask", evaluator)
        await press(evaluator, turn % 5 + 1)
        ratings = await gateway.wait_for("e-001", record.RATING, turn)
        assert ratings[-1].disclosed[rating.IDENTITY] == applicant
        await gateway.receipt("e-001", ratings[-1].made.seq)
    status = await until(lambda status: status["pending"] == 0, evaluator)
    assert (status["journaled"][0], evaluator.restarts) == (8, 0)
    assert len(status["press_to_receipt_ms"]) == 8
    assert all(20 <= taken_ms < 5000 for taken_ms in status["press_to_receipt_ms"])


@pytest.mark.parametrize("plain", [True, False])
async def test_a_finger_on_the_glass_is_a_punch(
    gateway: ListeningGateway, device: Callable[..., Any], plain: bool
) -> None:
    clock = await device("c-001", plain=plain)
    await gateway.tell_time("c-001")
    await until(lambda status: status["clock_source"] == 1, clock)
    rows = [[1, "S001", "王琳"], [3, "S003", "李静"]]
    await gateway.command("c-001", command.ROSTER, {command.ROSTER_VERSION: 1, command.STAFF_ROWS: rows})
    await until(lambda status: status["screen"] == "ready" and status["roster_version"] == 1, clock)
    await touch(clock, 3, "punched")
    [punched] = await gateway.wait_for("c-001", record.PUNCH, 1)
    assert (punched.made.claims[punch.STAFF], punched.made.claims[punch.DOOR]) == ("S003", "D1")
    await until(lambda status: status["screen"] == "ready", clock)
    await touch(clock, -1, "unknown")
    status = await clock.status()
    assert (status["journaled"], clock.restarts) == ([0, 1, status["head"] - 1], 0)


async def test_a_number_typed_on_the_keypad_arrives_as_identity_of_the_bad_rating(
    gateway: ListeningGateway, device: Callable[..., Any]
) -> None:
    evaluator = await device("e-001", speed=4)
    await gateway.tell_time("e-001")
    await until(lambda status: status["clock_source"] == 1, evaluator)
    config = {command.VERSION: 1, command.PLACE: "01", command.LANGUAGE: "zh", command.BRIGHTNESS: 99}
    config |= {command.RATING_TIMEOUT_S: 600, command.HEARTBEAT_S: 60, command.ASK_PHONE: 1}
    await gateway.command("e-001", command.CONFIG, {**config, command.TAG_CODES: [115, 114]})
    await until(lambda status: status["config_version"] == 1, evaluator)
    await press(evaluator, 1)
    await until(lambda status: status["screen"] == "reason", evaluator)
    await press(evaluator, 5, "")
    await press(evaluator, 1, "")
    await until(lambda status: status["screen"] == "phone", evaluator)
    await looked(evaluator)
    number = "13800138000"
    for count, digit in enumerate(number, 1):
        await key(evaluator, digit, phone_page(number[:count]), phone_page(number[:count] + "_"))
    await key(evaluator, "#")
    [rated] = await gateway.wait_for("e-001", record.RATING, 1)
    assert rated.disclosed[rating.IDENTITY] == {rating.PHONE: "13800138000"}
    assert (rated.made.claims[rating.LEVEL], rated.made.claims[rating.TAGS]) == (1, [115])


async def test_the_button_of_the_clock_chooses_the_direction(
    gateway: ListeningGateway, device: Callable[..., Any]
) -> None:
    clock = await device("c-001")
    await gateway.tell_time("c-001")
    await until(lambda status: status["clock_source"] == 1, clock)
    rows = [[1, "S001", "王琳"]]
    await gateway.command("c-001", command.ROSTER, {command.ROSTER_VERSION: 1, command.STAFF_ROWS: rows})
    await until(lambda status: status["screen"] == "ready" and status["roster_version"] == 1, clock)
    for word in ("ready_in", "ready_out"):
        await push(clock)
        await until(lambda status, shown=word: status["screen"] == shown, clock)
    await touch(clock, 1, "out")
    [punched] = await gateway.wait_for("c-001", record.PUNCH, 1)
    assert punched.made.claims[punch.DIRECTION] == punch.OUT


def holds_open(device: VmDevice, path: str) -> bool:
    """True when the process of the device has this file open."""
    handles = Path(f"/proc/{device.pid}/fd").iterdir()
    return path in [os.readlink(handle) for handle in handles if handle.is_symlink()]


async def test_a_sensor_that_fails_on_its_line_is_shown_and_mends_with_a_touch(device: Callable[..., Any]) -> None:
    clock = await device("c-001", heap="256K", speed=60)  # what fits which heap is told above
    await until(lambda status: status["screen"] == "ready", clock)
    assert clock.uart.path and holds_open(clock, clock.uart.path)
    sensor = clock.hands.sensor
    for fault in ("checksum", "half", "silence", "unplugged"):
        if fault == "unplugged":
            sensor.unplug()
        else:
            sensor.fault = fault
        await touch(clock, 3, "sensor")
        sensor.fault = ""
        clock.uart.say(sensor.plug())
        await touch(clock, 3, "unknown")  # it is in no roster
        await until(lambda status: status["screen"] == "ready", clock)
    assert clock.restarts == 0


async def test_a_clock_that_is_reset_finds_its_sensor_whatever_lies_on_the_line(device: Callable[..., Any]) -> None:
    clock = await device("c-001", heap="256K", speed=60)
    await until(lambda status: status["screen"] == "ready", clock)
    for turn, leftover in enumerate((b"", b"\xef\x01\xff\xff\xff\xff\x07\x00\x03\x00\x00", b"\x55" * 300), 1):
        clock.cut_power()
        clock.uart.say(leftover)
        await until(lambda status, turn=turn: clock.restarts == turn and status["screen"] == "ready", clock)
        assert holds_open(clock, clock.uart.path)
    await touch(clock, -1, "unknown")
    assert clock.display.seen["unknown"] == 1
    await clock.stop()
    assert not await asyncio.to_thread(os.path.exists, clock.uart.path)


async def test_a_device_that_stops_feeding_its_watchdog_is_reset(
    gateway: ListeningGateway, device: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    feed = VmProcess.feed
    monkeypatch.setattr(VmProcess, "feed", lambda process, limit_ms: feed(process, limit_ms // 10))  # 2 s for 20 s
    evaluator = await device("e-001")
    await until(lambda status: status["online"], evaluator)
    await asyncio.sleep(2.5)  # fed in time: it lives
    assert evaluator.restarts == 0
    os.kill(evaluator.pid or 0, signal.SIGSTOP)
    await gateway.wait(lambda: len(boots(gateway, "e-001")) == 2)
    assert boots(gateway, "e-001") == ["reset cause 1", "reset cause 3"]
    assert evaluator.restarts == 1


async def test_a_device_that_dies_comes_back_with_what_it_had(
    gateway: ListeningGateway, device: Callable[..., Any]
) -> None:
    evaluator = await device("e-001", speed=60)
    await until(lambda status: status["online"], evaluator)
    for level in (1, 2):
        await press(evaluator, level)
        await until(lambda status: status["screen"] == "idle", evaluator)
    os.kill(evaluator.pid or 0, signal.SIGSEGV)
    await gateway.wait(lambda: len(boots(gateway, "e-001")) == 2)
    await until(lambda status: status["screen"] == "idle", evaluator)
    await press(evaluator, 3)
    ratings = await gateway.wait_for("e-001", record.RATING, 3)
    assert [one.made.claims[rating.LEVEL] for one in ratings] == [1, 2, 3]
    assert boots(gateway, "e-001")[1] == "reset cause 2"
    assert len({one.made.stream for one in ratings}) == 1


@pytest.fixture
def spoilt_rom(micropython: str, tmp_path: Path) -> Path:
    """The modules of a device in whose texts "kept" is missing: its timer fails when the time to correct is over."""
    for package in ("protocol", "firmware"):
        shutil.copytree(REPOSITORY / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    texts = tmp_path / "firmware" / "texts.py"
    texts.write_text(texts.read_text("utf-8").replace("\nkept ", "\nlost "), "utf-8")
    path = tmp_path / "spoilt.rom"
    modules = REPOSITORY / "simulator" / "vm"
    path.write_bytes(rom.build([tmp_path / "protocol", tmp_path / "firmware"], modules, vm_device.LAYOUT))
    return path


async def test_an_exception_in_a_timer_reboots_the_device_and_is_an_event_of_its_next_run(
    gateway: ListeningGateway, device: Callable[..., Any], spoilt_rom: Path
) -> None:
    evaluator = await device("e-001", speed=30, image=spoilt_rom)
    await until(lambda status: status["screen"] == "idle" and status["online"], evaluator)
    await press(evaluator, 4)
    [told] = await events(gateway, "e-001", event.CRASH)
    assert told[event.TEXT].split("\n")[-1].startswith("ValueError") and len(told[event.DIGEST]) == 16
    await gateway.wait(lambda: len(boots(gateway, "e-001")) == 2)
    [rated] = gateway.of("e-001", record.RATING)
    assert (rated.made.claims[rating.LEVEL], evaluator.restarts) == (4, 1)
    evaluator.cut_power()
    await gateway.wait(lambda: len(boots(gateway, "e-001")) == 3)
    assert len(await events(gateway, "e-001", event.CRASH)) == 1  # told once


@pytest.mark.parametrize("name", ["e-001", "c-001"])
async def test_an_opened_lid_erases_the_keys_and_the_gateway_learns_of_both(
    gateway: ListeningGateway, device: Callable[..., Any], name: str
) -> None:
    opened = await device(name)
    await gateway.tell_time(name)
    await until(lambda status: status["clock_source"] == 1, opened)
    config = {command.VERSION: 1, command.PLACE: "01", command.LANGUAGE: "zh", command.BRIGHTNESS: 99}
    config |= {command.RATING_TIMEOUT_S: 600, command.HEARTBEAT_S: 60, command.ERASE_ON_TAMPER: 1}
    await gateway.command(name, command.CONFIG, config)
    await until(lambda status: status["config_version"] == 1, opened)
    opened.lid(0)
    for code in (event.TAMPER, event.KEYS_ERASED):
        assert len(await events(gateway, name, code)) == 1
    await until(lambda status: status["screen"] == "locked", opened)
    drawn = opened.display.drawn["locked"]
    opened.cut_power()
    await shown(opened, "locked", drawn + 1)  # a device without keys says so, and nothing else
    assert opened.restarts == 1
    await opened.stop()
    found = flash_image.read(opened.image)
    assert not set(SECRETS) & set(found) and found[ERASED] == b"done"
    assert [path for path in found if path.startswith("/journal/")]


async def test_what_was_thanked_for_survives_a_power_cut_without_network(
    hall: Path, port: int, device: Callable[..., Any]
) -> None:
    evaluator = await device("e-001", speed=60)  # no broker yet
    await until(lambda status: status["screen"] == "idle", evaluator)
    for turn, level in enumerate((4, 1, 5, 2), 1):
        await press(evaluator, level)
        await until(lambda status, turn=turn: status["journaled"][0] == turn, evaluator)
        evaluator.cut_power()
        await until(lambda status, turn=turn: status["journaled"] == [turn, 0, turn + 2], evaluator)
    journal = [path for path in flash_image.read(evaluator.image) if path.startswith("/journal/")]
    assert len(journal) == 5  # a boot begins a new segment
    broker = HallBroker(hall, port)
    await broker.start()
    gateway = await ListeningGateway(hall).connect(port)
    try:
        ratings = await gateway.wait_for("e-001", record.RATING, 4)
        await gateway.wait(lambda: {one.made.seq for one in gateway.heard} == set(range(1, 11)))
    finally:
        await gateway.close()
        await broker.shutdown()
    assert [one.made.claims[rating.LEVEL] for one in ratings] == [4, 1, 5, 2]
    assert boots(gateway, "e-001") == ["reset cause 1"] * 5


async def test_a_network_that_splits_and_cuts_tls_costs_no_record(
    hall: Path, port: int, device: Callable[..., Any]
) -> None:
    broker = HallBroker(hall, 0)
    await broker.start()
    gateway = await ListeningGateway(hall).connect(broker.port)
    network = await HostileProxy(broker.port).start(port)
    # A handshake takes some 3,300 bytes: cut within the first one, and twice among records.
    cuts = iter((2000, 5500, 7000))
    network.bite_bytes, network.cut_after = 7, lambda: next(cuts, 10**9)
    evaluator = await device("e-001", speed=60)
    try:
        for turn in range(1, 7):
            await until(lambda status: status["screen"] == "idle", evaluator)
            await evaluator.hands.press(turn % 5 + 1)
        ratings = await gateway.wait_for("e-001", record.RATING, 6)
        async with asyncio.timeout(TIMEOUT_S):
            while (status := await evaluator.status())["pending"] > 1 or not status["online"]:
                await gateway.receipt("e-001", max(one.made.seq for one in gateway.heard))  # a cut may take one along
                await asyncio.sleep(0.2)
        assert [one.made.claims[rating.LEVEL] for one in ratings] == [2, 3, 4, 5, 1, 2]
        assert network.connections >= 3 and evaluator.restarts == 0
    finally:
        await gateway.close()
        await network.close()
        await broker.shutdown()


async def test_a_device_without_its_broker_says_so_on_its_display_and_takes_ratings(device: Callable[..., Any]) -> None:
    evaluator = await device("e-001", speed=60)
    await until(lambda status: status["error"] == "server", evaluator)
    explained = Ssd1306(Paper())
    Screen(explained).show("idle", "zh", ("01",), "服务器不通")
    async with asyncio.timeout(TIMEOUT_S):
        while evaluator.display.frame != explained.frame:
            await asyncio.sleep(0.05)
    await evaluator.hands.press(2)
    status = await until(lambda status: status["journaled"][0] == 1, evaluator)
    assert (status["thanks"], status["online"], evaluator.restarts) == (1, False, 0)


async def test_an_empty_flash_makes_no_device_and_no_busy_host(
    linked_rom: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vm_process, "LOG_BYTES_MAX", 200)
    (tmp_path / "nothing").mkdir()
    dead = VmDevice("e-009", "evaluator", tmp_path / "nothing", tmp_path, linked_rom)
    await dead.start()
    async with asyncio.timeout(TIMEOUT_S):
        while dead.restarts < 3:
            await asyncio.sleep(0.05)
    with pytest.raises((ConnectionError, TimeoutError)):
        await dead.status()
    await dead.stop()
    assert dead.pid is None
    assert (
        "device.cbor" in dead.log.read_text() or "ENOENT" in dead.log.read_text() or "Errno 2" in dead.log.read_text()
    )
    assert dead.log.stat().st_size < 2000  # what was longer went to one older file


def open_ports(pid: int) -> list[Any]:
    """Sockets of a process through which somebody could begin to talk to it: those without a peer."""
    return [one for one in psutil.Process(pid).net_connections("inet") if not one.raddr]


def test_an_open_port_would_be_found(micropython: str) -> None:
    for kind, listens in (("SOCK_STREAM", "s.listen(1)"), ("SOCK_DGRAM", "0")):
        script = f"import socket, sys; s = socket.socket(socket.AF_INET, socket.{kind})\n"
        script += "s.bind(socket.getaddrinfo('127.0.0.1', 0)[0][-1])\n" + listens + "\nprint('open'); sys.stdin.read()"
        with subprocess.Popen([micropython, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as running:
            assert running.stdout and running.stdout.readline() == b"open\n"
            assert open_ports(running.pid)
            running.kill()


@pytest.mark.parametrize("name", ["e-001", "c-001"])
async def test_a_device_opens_no_port(
    gateway: ListeningGateway, port: int, device: Callable[..., Any], name: str
) -> None:
    one = await device(name)
    for _ in range(20):  # from its boot on
        await asyncio.sleep(0.02)
        assert not one.pid or open_ports(one.pid) == []
    await gateway.tell_time(name)
    await until(lambda status: status["online"] and status["clock_source"] == 1, one)
    assert open_ports(one.pid) == []
    peers = [found.raddr.port for found in psutil.Process(one.pid).net_connections("inet")]
    assert port in peers and len(peers) == 2  # the broker; the other end of the bench's wires is no part of a device


async def test_stop_leaves_no_process(gateway: ListeningGateway, device: Callable[..., Any]) -> None:
    evaluator = await device("e-001")
    await until(lambda status: status["online"], evaluator)
    pid = evaluator.pid or 0
    await evaluator.stop()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    with pytest.raises(ConnectionError):
        await evaluator.status()
