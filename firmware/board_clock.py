"""Pins of the clock: fingerprint sensor with its touch line, a button, display, lid switch. See board_evaluator.py."""

import asyncio

import machine

from firmware.board_esp32 import Esp32Board

TOUCH_PIN, BUTTON_PIN, TAMPER_PIN = 4, 5, 9
UART_TX_PIN, UART_RX_PIN = 17, 18
UART_BAUD = 57600  # R503 manual: the sensor's default
SDA_PIN, SCL_PIN = 10, 11
I2C_HZ = 400000


class Board(Esp32Board):
    """See board_esp32.py. touch: 0 while a finger lies on the glass. button: 0 while it is pressed; it wakes
    button_edge. tamper: 0 while the lid is open.
    """

    def __init__(self, root="", speed=1):
        super().__init__(root, speed)
        self.touch = self.input_pin(TOUCH_PIN)
        self.button_edge = asyncio.ThreadSafeFlag()
        self.button = self.input_pin(BUTTON_PIN, self.button_edge)
        self.uart = machine.UART(1, UART_BAUD, tx=self.pin(UART_TX_PIN), rx=self.pin(UART_RX_PIN), timeout=0)
        self.tamper = self.pin(TAMPER_PIN, machine.Pin.IN, machine.Pin.PULL_UP)
        self.display = machine.I2C(0, sda=self.pin(SDA_PIN), scl=self.pin(SCL_PIN), freq=I2C_HZ)
