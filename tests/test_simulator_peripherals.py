"""What stands around a simulated device: display, hands, how long a press takes, tasks that end together."""

import ast
import asyncio
import contextlib
from typing import Any

import pytest
from source_tree import modules

from firmware.ssd1306 import Ssd1306
from protocol import record
from simulator import bench_link, peripherals, vm_device
from simulator.owned_tasks import OwnedTasks
from simulator.peripherals import Display, Hands
from simulator.press_timing import ACT_VALID_S, WAITING_MAX, PressTiming
from simulator.vm_process import PAUSE_MAX_S, pause_s


class Bus:
    """The I2C bus between the driver of the firmware and the emulated display."""

    def __init__(self, display: Display) -> None:
        self._display = display

    def writeto(self, address: int, data: bytes) -> None:
        assert address == 0x3C
        self._display.write(data)


def constants(name: str) -> dict[str, Any]:
    """What a module of the devices says in capitals, without running it."""
    tree = next(module.tree for module in modules() if module.name == name)
    found: dict[str, Any] = {}
    for node in tree.body:
        if isinstance(node, ast.Assign):
            for target in node.targets:
                names = target.elts if isinstance(target, ast.Tuple) else [target]
                try:
                    value = ast.literal_eval(node.value)
                except ValueError:
                    continue
                found.update(zip([ast.unparse(each) for each in names], value if len(names) > 1 else [value]))
    return found


# --- display


def test_the_display_shows_the_frame_that_the_driver_drew() -> None:
    display = Display()
    driver = Ssd1306(Bus(display))
    for text in ("您好", "AB"):
        driver.clear()
        driver.text(1, 16, text)
        driver.show()
        assert display.frame == driver.frame
    assert display.frames == 2
    assert display.lit
    assert sum(map(sum, display.rows())) == sum(byte.bit_count() for byte in driver.frame) > 0


def test_a_pixel_is_where_the_controller_puts_it() -> None:
    display = Display()
    display.write(b"\x00\x21\x00\x7f\x22\x00\x07")
    display.write(b"\x40" + bytes(128) + b"\x00\x80")  # second page, second column, lowest bit of the page
    assert [(y, x) for y, row in enumerate(display.rows()) for x, pixel in enumerate(row) if pixel] == [(15, 1)]


def test_a_window_is_filled_and_begins_again() -> None:
    display = Display()
    display.write(b"\x00\x21\x02\x03\x22\x01\x02")
    display.write(b"\x40\x01\x02\x03\x04\x05")
    assert display.frame[128 + 2 : 128 + 4] == b"\x05\x02"
    assert display.frame[256 + 2 : 256 + 4] == b"\x03\x04"
    assert display.frames == 1


def test_commands_with_arguments_are_not_taken_for_others() -> None:
    display = Display()
    display.write(b"\x00\xaf\x81\xae")  # contrast 0xAE, which alone would mean "off"
    assert (display.lit, display.contrast) == (True, 0xAE)
    display.write(b"\x00\xae")
    assert not display.lit


def test_noise_on_the_bus_changes_nothing() -> None:
    display = Display()
    for noise in (b"", b"\x80\xaf", b"\x00\x21\x05", b"\x00", b"\x40"):
        display.write(noise)
    assert (bytes(display.frame), display.lit) == (bytes(1024), False)


# --- hands


async def test_a_press_bounces_and_settles() -> None:
    moves: list[tuple[int, int]] = []
    begun: list[bool] = []
    hands = Hands(lambda index, value: moves.append((index, value)), lambda value: None, (), lambda: begun.append(True))
    await hands.press(4)
    values = [value for index, value in moves if index == 3]
    assert len(values) == len(moves) == 14
    half = len(values) // 2
    assert values[:half] == [0, 1, 0, 1, 0, 1, 0]  # down in the end
    assert values[half:] == [1, 0, 1, 0, 1, 0, 1]  # and up again
    assert begun == [True]


@pytest.mark.parametrize("level", [0, 6, -1])
async def test_there_are_five_buttons(level: int) -> None:
    with pytest.raises(ValueError, match="level"):
        await Hands(lambda index, value: None, lambda value: None).press(level)


async def test_one_hand_does_one_thing_at_a_time() -> None:
    down: set[int] = set()
    most = 0

    def move(index: int, value: int) -> None:
        nonlocal most
        (down.discard if value else down.add)(index)
        most = max(most, len(down))

    hands = Hands(move, lambda value: None)
    await asyncio.gather(hands.press(1), hands.press(5), hands.press(3))
    assert (most, down) == (1, set())


@pytest.mark.parametrize("answers", [True, False])
async def test_a_hand_holds_on_until_the_device_reacts_and_not_for_ever(
    monkeypatch: pytest.MonkeyPatch, answers: bool
) -> None:
    monkeypatch.setattr(peripherals, "PATIENCE_S", 0.3)
    down: set[int] = set()
    hands = Hands(lambda index, value: (down.discard if value else down.add)(index), lambda value: None)
    answered = asyncio.Event()
    hand = asyncio.create_task(hands.press(2, answered))
    await asyncio.sleep(2 * peripherals.HOLD_MS / 1000)
    assert down == {1}
    if answers:
        answered.set()
    await asyncio.wait_for(hand, 1)
    assert down == set()


async def test_a_finger_lies_on_the_sensor_while_the_line_is_low(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peripherals, "TOUCH_MS", 20)
    seen: list[tuple[int, int | None]] = []
    hands = Hands(lambda index, value: None, lambda value: seen.append((value, hands.sensor.finger)), (3,))
    await hands.touch(3)
    await hands.touch(-1)
    assert seen == [(0, 3), (1, None), (0, -1), (1, None)]


# --- press to receipt


def test_a_press_is_timed_from_the_finger_to_the_receipt() -> None:
    timing = PressTiming()
    timing.acted(10.0)
    timing.recorded(record.RATING, 7, 10.03)
    timing.recorded(record.EVENT, 8, 10.04)
    timing.receipted(6, 10.05)
    assert list(timing.recent_ms) == []
    timing.receipted(8, 10.1234)
    timing.receipted(9, 11)
    assert list(timing.recent_ms) == [123]


def test_what_nobody_pressed_is_not_timed() -> None:
    timing = PressTiming()
    timing.recorded(record.RATING, 1, 1)  # a time-out
    timing.acted(2)
    timing.recorded(record.EVENT, 2, 2.1)
    timing.recorded(record.PUNCH, 3, 2 + ACT_VALID_S)  # too late to be meant
    timing.receipted(3, 6)
    assert list(timing.recent_ms) == []


def test_one_act_is_one_record() -> None:
    timing = PressTiming()
    timing.acted(1)
    timing.recorded(record.RATING, 1, 1.1)
    timing.recorded(record.RATING, 2, 1.2)
    timing.receipted(2, 1.5)
    assert list(timing.recent_ms) == [500]


def test_a_device_without_network_does_not_fill_the_memory() -> None:
    timing = PressTiming()
    for seq in range(WAITING_MAX + 500):
        timing.acted(seq)
        timing.recorded(record.RATING, seq, seq)
    timing.receipted(WAITING_MAX + 500, 5000)
    assert len(timing.recent_ms) == timing.recent_ms.maxlen
    assert timing.recent_ms[-1] == (5000 - (WAITING_MAX - 1)) * 1000


# --- the bench and what it stands beside


def test_the_bench_pulls_at_the_pins_of_the_board_files() -> None:
    evaluator, clock = constants("firmware/board_evaluator.py"), constants("firmware/board_clock.py")
    for name in ("BUTTON_PINS", "LED_PINS", "TAMPER_PIN", "KEYPAD_ROW_PINS", "KEYPAD_COLUMN_PINS"):
        assert evaluator[name] == getattr(vm_device, name), name
    assert (clock["TOUCH_PIN"], clock["BUTTON_PIN"]) == (vm_device.TOUCH_PIN, vm_device.PUSH_PIN)
    assert clock["TAMPER_PIN"] == vm_device.TAMPER_PIN


def test_both_ends_of_the_wires_mean_the_same_ports() -> None:
    board = constants("simulator/vm/bench.py")
    names = ("KEYPAD", "I2C", "WATCHDOG", "STATUS", "RECORDED", "TRIMMED")
    assert {name: board[name] for name in names} == {name: getattr(bench_link, name) for name in names}


def test_no_pin_of_a_board_has_the_number_of_a_port() -> None:
    pins: set[int] = set()
    for name in ("firmware/board_evaluator.py", "firmware/board_clock.py"):
        for constant, value in constants(name).items():
            if "PIN" in constant:
                pins.update(value if isinstance(value, tuple) else [value])
    assert pins
    assert max(pins) < bench_link.KEYPAD


def test_a_device_that_fails_at_every_boot_is_given_ever_more_time() -> None:
    pauses = [pause_s(lives) for lives in range(1, 40)]
    assert pauses == sorted(pauses)
    assert (pauses[0], pauses[-1]) == (0.1, PAUSE_MAX_S)


async def test_a_link_takes_frames_of_the_newest_board_only() -> None:
    taken: list[tuple[int, bytes]] = []
    link = bench_link.BenchLink(lambda port, content: taken.append((port, content)))
    port = await link.open()
    former_reader, former = await asyncio.open_connection("127.0.0.1", port)
    former.write(b"\x05\x00\x01\x01")
    async with asyncio.timeout(10):
        while not taken:
            await asyncio.sleep(0)
        reader, newest = await asyncio.open_connection("127.0.0.1", port)
        assert await former_reader.read() == b""  # its wires are off
        with contextlib.suppress(ConnectionError):
            former.write(b"\x06\x00\x01\x01")
            await former.drain()
        newest.write(b"\x07\x00\x02")
        newest.write(b"ab")
        while len(taken) < 2:
            await asyncio.sleep(0)
    assert taken == [(5, b"\x01"), (7, b"ab")]
    link.send(3, b"xyz")
    assert await reader.readexactly(6) == b"\x03\x00\x03xyz"
    link.close()
    assert not link.plugged


# --- tasks of a virtual device


async def test_everything_that_a_device_began_ends_with_it() -> None:
    ended: list[str] = []

    async def part(name: str) -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(name)

    async def device() -> None:
        async def nested() -> None:
            grandchild = asyncio.create_task(part("grandchild"))
            await part("child")
            await grandchild

        keep = asyncio.create_task(nested())
        await asyncio.gather(part("gathered"), asyncio.sleep(0.01), fail())
        await keep

    async def fail() -> None:
        await asyncio.sleep(0.02)
        raise RuntimeError("a part failed")

    stranger = asyncio.create_task(part("stranger"))
    with pytest.raises(RuntimeError, match="a part failed"):
        await OwnedTasks().run(device())
    assert sorted(ended) == ["child", "gathered", "grandchild"]
    stranger.cancel()


async def test_a_power_cut_returns_to_whoever_runs_the_device() -> None:
    tasks = OwnedTasks()
    asyncio.get_running_loop().call_later(0.01, tasks.cancel)
    await asyncio.wait_for(tasks.run(asyncio.sleep(60)), 5)
