"""machine as the board files use it, on the wires of the bench. Stands before the VM's own module on sys.path.

Where a board has one of a thing (bus, UART, watchdog, clock) this module itself is the object, and one function makes
them all: each class and each function would cost the firmware heap that it has on a board.
"""

import os
import select
import sys

from bench import I2C as _I2C
from bench import WATCHDOG, joined, parts, send

_this = sys.modules["machine"]
_limit = b""
_line = os.getenv("HALLSEAL_UART")
if _line:  # a serial line of the host, with the sensor at its end
    _line = open(_line, "r+b")
    _poll = select.poll()
    _poll.register(_line, select.POLLIN)


class Pin:
    """Values of the constants as in the ESP32 port."""

    IN, OUT, PULL_UP, IRQ_RISING, IRQ_FALLING = 1, 3, 2, 1, 2
    handler = None

    def __init__(self, number, mode=IN, pull=None):
        self.number = number
        self.state = 1 if pull else 0  # an input is pulled up, an output begins low
        if pull:
            parts[number] = self

    def value(self, *new):
        if not new:  # a key joins its column with its row here: by way of the bench it would come after the scan
            return joined[2] if self.number == joined[1] else self.state
        if self.number == joined[0]:
            joined[2] = new[0]
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


def I2C(*_, timeout=0, **__):
    """Any peripheral. A watchdog has a timeout; once started it is not stopped, and the bench resets whom it bites."""
    global _limit
    if timeout:
        _limit = timeout.to_bytes(4, "big")
        feed()
    return _this


UART = WDT = RTC = I2C


def writeto(address, data):
    send(_I2C, bytes((address,)) + data)


def read(count):
    """What has come so far, up to `count` bytes; None for nothing. It never waits."""
    found = b""
    while len(found) < count and _poll.poll(0):
        found += _line.read(1) or sys.exit()  # type: ignore[attr-defined]  # open by now; the host is gone, and its line with it
    return found or None


def write(data):
    _line.write(data)  # type: ignore[attr-defined]  # open by now


def feed():
    send(WATCHDOG, _limit)


def reset_cause():
    return int(os.getenv("HALLSEAL_CAUSE"))


reset = sys.exit  # the bench starts the board again, whatever ended it
datetime = len  # takes the moment and does nothing: this board has the host's clock, certificates are checked by that
