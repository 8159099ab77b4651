"""HARDWARE.md tells the truth: the pins in its tables and in its picture are those that the board files use."""

import re
from typing import Any

import pytest
from esp32_port import ESP32, ESP32S3, Esp32Time, Pin, load
from source_tree import REPOSITORY

from firmware.classic_pins import PINS

PAGE = (REPOSITORY / "firmware/HARDWARE.md").read_text("utf-8")
PICTURE = (REPOSITORY / "firmware/wiring.svg").read_text("utf-8")
CHIPS = {ESP32S3: 0, ESP32: 1}
KINDS = {"evaluator": "board_evaluator", "clock": "board_clock"}


def told(kind: str, chip: str) -> dict[str, int]:
    """{what: GPIO} of a table of the page, without what stands in brackets."""
    table = re.search(rf"^\| {kind} \| ESP32-S3 \|.*\n\|-.*\n((?:\|.*\n)+)", PAGE, re.MULTILINE)
    assert table
    rows = [[cell.strip() for cell in row.split("|")[1:]] for row in table.group(1).splitlines()]
    return {row[0].split(" (")[0]: int(row[1 + CHIPS[chip]]) for row in rows}


def used(kind: str, module: Any, chip: str) -> dict[str, int]:
    """The same of the board file."""
    return {what: PINS[number] if chip == ESP32 else number for what, number in named(kind, module).items()}


def named(kind: str, module: Any) -> dict[str, int]:
    """What the board file says: numbers of an ESP32-S3."""
    pins = {"lid switch": module.TAMPER_PIN, "display SDA": module.SDA_PIN, "display SCL": module.SCL_PIN}
    if kind == "clock":
        pins |= {"sensor touch": module.TOUCH_PIN, "button": module.BUTTON_PIN}
        return pins | {"sensor TXD": module.UART_RX_PIN, "sensor RXD": module.UART_TX_PIN}
    pins["buzzer"] = module.BUZZER_PIN
    for name, numbers in (
        ("button, level", module.BUTTON_PINS),
        ("lamp, level", module.LED_PINS),
        ("keypad row", module.KEYPAD_ROW_PINS),
        ("keypad column", module.KEYPAD_COLUMN_PINS),
    ):
        pins |= {f"{name} {at}": number for at, number in enumerate(numbers, 1)}
    return pins


@pytest.mark.parametrize("chip", CHIPS)
@pytest.mark.parametrize("kind", KINDS)
def test_the_page_names_the_pins_of_the_board(kind: str, chip: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert told(kind, chip) == used(kind, load(KINDS[kind], Esp32Time(), monkeypatch, chip), chip)


@pytest.mark.parametrize("chip", CHIPS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_chip_has_every_pin_once_and_in_its_direction(kind: str, chip: str, monkeypatch: pytest.MonkeyPatch) -> None:
    board = load(KINDS[kind], Esp32Time(), monkeypatch, chip).Board()
    if kind == "evaluator":
        board.keypad()
    assert set(Pin.used) == set(told(kind, chip).values())


# Strapping pins that matter, USB, UART 0, flash and PSRAM (data sheets of the modules).
TAKEN = {ESP32S3: {0, 3, 19, 20, *range(26, 38), 43, 44, 45, 46}, ESP32: {0, 1, 2, 3, *range(6, 13)}}


@pytest.mark.parametrize("chip", CHIPS)
@pytest.mark.parametrize("kind", KINDS)
def test_no_pin_belongs_to_the_chip_itself(kind: str, chip: str) -> None:
    assert not set(told(kind, chip).values()) & TAKEN[chip]


def test_pins_that_are_inputs_alone_have_their_resistor_in_the_table() -> None:
    for row in PAGE.splitlines():
        cells = [cell.strip() for cell in row.split("|")]
        if len(cells) == 6 and cells[3].isdigit() and int(cells[3]) >= 34:
            assert "10 kΩ outside" in cells[4], row


@pytest.mark.parametrize("chip", CHIPS)
def test_the_picture_shows_the_same_pins(chip: str) -> None:
    style = "pc"[CHIPS[chip]]
    drawn: dict[str, list[int]] = {kind: [] for kind in KINDS}
    halves = PICTURE.split(">Clock<")
    for kind, half in zip(KINDS, halves, strict=True):
        for text in re.findall(rf'<text class="{style}"[^>]*>([^<]*)</text>', half):
            if "/" not in text and "5V" not in text and ":" not in text:
                drawn[kind] += [int(number) for number in re.findall(r"\d+", text)]
        assert sorted(drawn[kind]) == sorted(told(kind, chip).values())
