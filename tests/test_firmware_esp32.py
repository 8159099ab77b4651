"""Where an ESP32 is not like the VM: time from 2000 on, ticks that wrap at 2**30, floats of single precision.

No test on the VM would notice, so these play an ESP32, or look at the source.
"""

import ast
import calendar
from collections.abc import Iterator

import pytest
from esp32_port import Esp32Time, Rtc, UnixTime, load
from source_tree import Module, modules
from virtual_time import TICKS_PERIOD_MS

from firmware.buttons import STUCK_MS, Buttons
from firmware.uptime import Uptime
from protocol import cbor, heartbeat, limits

DAY_MS = 24 * 3600 * 1000


@pytest.mark.parametrize("port", [Esp32Time, UnixTime])
@pytest.mark.parametrize(
    "moment",
    [
        (2026, 11, 24, 9, 30, 59),
        (2028, 2, 29, 23, 59, 59),  # a leap day
        (2030, 1, 1, 0, 0, 0),
        (2034, 1, 10, 13, 37, 3),  # 2000 + 2**30 seconds: no small int any more
        (2038, 1, 19, 3, 14, 8),  # 1970 + 2**31
        (2068, 1, 20, 3, 14, 8),  # 2000 + 2**31
        (2099, 12, 31, 23, 59, 59),
    ],
)
def test_the_clock_of_the_board_shows_the_time_that_the_gateway_told(
    port: type[Esp32Time], moment: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    module = load("board_esp32", port(), monkeypatch)
    utc_s = calendar.timegm(moment)
    module.Esp32Board.set_time(None, utc_s)
    assert Rtc.utc_s == utc_s


def test_ticks_of_the_board_pass_their_end(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Esp32Time()
    board_clock = load("board_esp32", clock, monkeypatch).Clock()
    clock.now_ms = TICKS_PERIOD_MS - 5
    before = board_clock.ticks_ms()
    clock.now_ms += 12
    assert board_clock.ticks_diff(board_clock.ticks_ms(), before) == 12
    assert board_clock.ticks_diff(before, board_clock.ticks_ms()) == -12


@pytest.mark.parametrize("step_ms", [1, 999, 3600 * 1000, 6 * DAY_MS])
def test_uptime_counts_on_where_ticks_begin_again(step_ms: int) -> None:
    clock = Esp32Time()
    clock.now_ms = begin_ms = TICKS_PERIOD_MS - min(500, step_ms)
    uptime = Uptime(clock)
    for _ in range(100):
        clock.now_ms += step_ms
        assert uptime.ms() == clock.now_ms - begin_ms
    assert clock.now_ms > TICKS_PERIOD_MS or step_ms == 1


def test_a_year_of_uptime_is_told_to_the_millisecond() -> None:
    clock = Esp32Time()
    clock.now_ms = 12345
    uptime = Uptime(clock)
    for _ in range(365 * 24):
        clock.now_ms += 3600 * 1000 + 1
        uptime.ms()
    assert uptime.ms() == 365 * 24 * 3600001 > 1 << 34
    claims = {heartbeat.FREE_HEAP: uptime.ms()}
    assert cbor.decode(cbor.encode(claims)) == claims


def test_a_button_is_stuck_across_the_end_of_the_ticks() -> None:
    class Pin:
        def value(self) -> int:
            return 0

    clock = Esp32Time()
    clock.now_ms = TICKS_PERIOD_MS - STUCK_MS // 2
    buttons = Buttons([Pin()], None, clock, clock)
    clock.now_ms += STUCK_MS - 1
    assert buttons.stuck() == 0
    clock.now_ms += 1
    assert buttons.stuck() == 1


@pytest.mark.parametrize(
    "number", [(1 << 30) - 1, 1 << 30, (1 << 31) - 1, 1 << 31, limits.SEQ_MAX, limits.UPTIME_MS_MAX]
)
def test_numbers_above_30_bits_travel_whole(number: int) -> None:
    """The same on the VM: tests/test_protocol_cbor.py runs there."""
    for value in (number, -number, [number]):
        assert cbor.decode(cbor.encode(value)) == value


def of_devices() -> Iterator[Module]:
    for module in modules():
        if module.package in ("firmware", "protocol") and not module.name.endswith(("suite_host.py", "manifest.py")):
            yield module


# A time for asyncio, which takes seconds; half a second is exact in any float.
ALLOWED = {"firmware/uplink.py": "_TICK_MS / 1000"}


def fractions(tree: ast.Module) -> list[tuple[int, str]]:
    """(line, source) of what makes or takes a float: no date, number or amount survives 24 bits."""
    found = []
    for node in ast.walk(tree):
        match node:
            case ast.Constant(value=float()) | ast.BinOp(op=ast.Div()) | ast.AugAssign(op=ast.Div()):
                found.append((node.lineno, ast.unparse(node)))
            case ast.Name(id="float" | "round") | ast.Attribute(value=ast.Name(id="time"), attr="time" | "time_ns"):
                found.append((node.lineno, ast.unparse(node)))
    return found


def test_devices_calculate_with_whole_numbers() -> None:
    wrong = [
        f"{module.name}:{line} {source}"
        for module in of_devices()
        for line, source in fractions(module.tree)
        if ALLOWED.get(module.name) != source
    ]
    assert wrong == []


@pytest.mark.parametrize("source", ["0.5", "a / b", "a /= 2", "float(a)", "round(a)", "time.time()", "1e3"])
def test_a_fraction_is_found(source: str) -> None:
    assert fractions(ast.parse(source))


@pytest.mark.parametrize("source", ["a // b", "5", "a >> 1", "'0.5'", "time.ticks_ms()"])
def test_whole_numbers_are_let_pass(source: str) -> None:
    assert fractions(ast.parse(source)) == []


def test_ticks_are_never_subtracted_by_hand() -> None:
    """ticks_diff() alone knows where they wrap: neither - nor < may touch what ticks_ms() returned in the same line."""
    wrong = [
        f"{module.name}:{node.lineno} {ast.unparse(node)}"
        for module in of_devices()
        for node in ast.walk(module.tree)
        if isinstance(node, ast.BinOp | ast.Compare)
        for child in ([node.left, node.right] if isinstance(node, ast.BinOp) else [node.left, *node.comparators])
        if isinstance(child, ast.Call) and ast.unparse(child.func).endswith("ticks_ms")
        if ast.unparse(node) != "time.ticks_ms() * self._speed"  # 1 on a board
    ]
    assert wrong == []
