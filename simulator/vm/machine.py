"""machine as the board files use it, on the wires of the bench. Stands before the VM's own module on sys.path."""

import sys
import time

import bench

WDT_RESET = 3


class Pin:
    """An input holds the value that the bench gave it; an output tells the bench when it changes."""

    IN, OUT, PULL_UP, IRQ_FALLING, IRQ_RISING = 0, 1, 1, 2, 1

    def __init__(self, number, mode=IN, pull=None):
        self.number = number
        self.level = 1 - mode  # inputs are pulled up, outputs start low
        if mode == self.IN:
            bench.pins[number] = self

    def value(self, *new):
        if new and new[0] != self.level:
            self.level = new[0]
            bench.send(bench.PIN, self.number, bytes(new))
        return self.level

    def irq(self, handler, trigger):
        bench.handlers[self.number] = handler


class I2C:
    def __init__(self, number, sda=None, scl=None, freq=400000):
        self._number = number

    def writeto(self, address, data):
        bench.send(bench.I2C, self._number, bytes((address,)) + data)


class UART:
    def __init__(self, number, baud, tx=None, rx=None, timeout=0):
        self._number = number
        self.buffer = b""
        bench.uarts[number] = self

    def read(self, count):
        found, self.buffer = self.buffer[:count], self.buffer[count:]
        return found or None

    def write(self, data):
        bench.send(bench.UART, self._number, data)

    def any(self):
        return len(self.buffer)


class WDT:
    """Told to the bench, which resets a device that stops feeding."""

    def __init__(self, timeout):
        self._timeout_ms = timeout
        self.feed()

    def feed(self):
        bench.send(bench.WATCHDOG, 0, self._timeout_ms.to_bytes(4, "big"))


class RTC:
    def datetime(self, moment):
        """A simulated board has the host's clock; certificates are checked against that."""


def reset_cause():
    return 1


def reset():
    time.sleep_ms(10)
    sys.exit(3)
