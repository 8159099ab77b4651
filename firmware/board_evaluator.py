"""Pins of the evaluator: five lit buttons, display, buzzer, lid switch, and those of a keypad where there is one.

HARDWARE.md says why these. Both boards name them in this way.
"""

import machine

from firmware.board_esp32 import Esp32Board, is_classic

# Buttons and their lamps: index 0 is level 1 (非常不满意), index 4 is level 5 (非常满意).
if is_classic:
    BUTTON_PINS, LED_PINS = (13, 14, 27, 26, 25), (33, 32, 16, 17, 18)
    BUZZER_PIN, TAMPER_PIN, SDA_PIN, SCL_PIN = 4, 35, 21, 22
    KEYPAD_ROW_PINS, KEYPAD_COLUMN_PINS = (19, 23, 5, 15), (34, 36, 39)
else:
    BUTTON_PINS, LED_PINS = (4, 5, 6, 7, 15), (16, 17, 18, 8, 21)
    BUZZER_PIN, TAMPER_PIN, SDA_PIN, SCL_PIN = 47, 9, 10, 11
    KEYPAD_ROW_PINS, KEYPAD_COLUMN_PINS = (12, 13, 14, 38), (39, 40, 41)
I2C_HZ = 400000


class Board(Esp32Board):
    """See board_esp32.py. tamper: 0 while the lid is open."""

    def __init__(self, root="", speed=1):
        super().__init__(root, speed)
        self.buttons = [self.input_pin(number) for number in BUTTON_PINS]
        self.leds = [machine.Pin(number, machine.Pin.OUT) for number in LED_PINS]
        self.buzzer = machine.Pin(BUZZER_PIN, machine.Pin.OUT)
        self.tamper = machine.Pin(TAMPER_PIN, machine.Pin.IN, machine.Pin.PULL_UP)
        self.display = machine.I2C(0, sda=machine.Pin(SDA_PIN), scl=machine.Pin(SCL_PIN), freq=I2C_HZ)

    def keypad(self):
        """(rows, columns) of a keypad (see keypad.py). The config says whether one is there: empty pins cannot tell."""
        rows = [machine.Pin(number, machine.Pin.OUT) for number in KEYPAD_ROW_PINS]
        return rows, [machine.Pin(number, machine.Pin.IN, machine.Pin.PULL_UP) for number in KEYPAD_COLUMN_PINS]
