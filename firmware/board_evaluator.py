"""Pins of the evaluator: five lit buttons, display, buzzer, lid switch, and those of a keypad where there is one.

For ESP32-S3: none of them is a strapping pin (0, 3, 45, 46), belongs to USB (19, 20), flash or PSRAM (26 to 37). For a
classic ESP32 see classic_pins.py.
"""

import machine

from firmware.board_esp32 import Esp32Board

# Index 0 is level 1 (非常不满意), index 4 is level 5 (非常满意).
BUTTON_PINS = (4, 5, 6, 7, 15)
LED_PINS = (16, 17, 18, 8, 21)
BUZZER_PIN, TAMPER_PIN = 47, 9
SDA_PIN, SCL_PIN = 10, 11
KEYPAD_ROW_PINS, KEYPAD_COLUMN_PINS = (12, 13, 14, 38), (39, 40, 41)
I2C_HZ = 400000


class Board(Esp32Board):
    """See board_esp32.py. tamper: 0 while the lid is open."""

    def __init__(self, root="", speed=1):
        super().__init__(root, speed)
        self.buttons = [self.input_pin(number) for number in BUTTON_PINS]
        self.leds = [self.pin(number, machine.Pin.OUT) for number in LED_PINS]
        self.buzzer = self.pin(BUZZER_PIN, machine.Pin.OUT)
        self.tamper = self.pin(TAMPER_PIN, machine.Pin.IN, machine.Pin.PULL_UP)
        self.display = machine.I2C(0, sda=self.pin(SDA_PIN), scl=self.pin(SCL_PIN), freq=I2C_HZ)

    def keypad(self):
        """(rows, columns) of a keypad (see keypad.py). The config says whether one is there: empty pins cannot tell."""
        rows = [self.pin(number, machine.Pin.OUT) for number in KEYPAD_ROW_PINS]
        return rows, [self.pin(number, machine.Pin.IN, machine.Pin.PULL_UP) for number in KEYPAD_COLUMN_PINS]
