"""machine as the board files use it, on the wires of the bench. Stands before the VM's own module on sys.path.

Where a board has one of a thing (bus, UART, watchdog, clock) this module itself is the object: each class and each
instance would cost the firmware heap that it has on a board.
"""

import os
import sys

from bench import I2C as _I2C
from bench import UART as _UART
from bench import WATCHDOG, parts, send

_this = sys.modules["machine"]
_heard = b""
_limit = b""


class Pin:
    """Values of the constants as in the ESP32 port."""

    IN, OUT, PULL_UP, IRQ_RISING, IRQ_FALLING = 1, 3, 2, 1, 2

    def __init__(self, number, mode=IN, pull=None):
        self.number = number
        self.state = int(mode == 1)  # an input is pulled up, an output begins low
        self.handler = None
        if mode == 1:
            parts[number] = self.change

    def value(self, *new):
        if not new:
            return self.state
        if new[0] != self.state:
            self.state = new[0]
            send(self.number, bytes(new))

    def irq(self, handler, trigger):
        self.handler = handler

    def change(self, content):
        """The bench moved the input."""
        if content[0] != self.state:
            self.state = content[0]
            if self.handler:
                self.handler(self)


def I2C(number, sda=None, scl=None, freq=0):
    return _this


def writeto(address, data):
    send(_I2C, bytes((address,)) + data)


def UART(number, baud, tx=None, rx=None, timeout=0):
    parts[_UART] = hear
    return _this


def hear(content):
    """The bench answered; a real receive buffer is bounded as well."""
    global _heard
    _heard = (_heard + content)[-256:]


def read(count):
    global _heard
    found, _heard = _heard[:count], _heard[count:]
    return found or None


def write(data):
    send(_UART, data)


def WDT(timeout):
    """Once started it is not stopped: the bench resets a board whose feeding stops this long."""
    global _limit
    _limit = timeout.to_bytes(4, "big")
    feed()
    return _this


def feed():
    send(WATCHDOG, _limit)


def RTC():
    return _this


def datetime(moment):
    """A simulated board has the host's clock; certificates are checked against that."""


def reset_cause():
    return int(os.getenv("HALLSEAL_CAUSE") or "1")


def reset():
    sys.exit(3)
