"""An ESP32 for tests on CPython: its time, its clock chip, its two chips' names, and board files loaded as if there."""

import asyncio
import calendar
import importlib
import sys
import time
import types

from virtual_time import TICKS_PERIOD_MS

EPOCH_2000_S = 946684800
ESP32S3, ESP32 = "Generic ESP32S3 module with ESP32S3", "Generic ESP32 module with ESP32"


class Esp32Time:
    """time of the ESP32 port: gmtime() of eight numbers from 2000 on, weekday 0 on Monday; ticks of 30 bits."""

    def __init__(self):
        self.now_ms = 0

    def gmtime(self, seconds):
        assert isinstance(seconds, int)
        return tuple(time.gmtime(seconds + EPOCH_2000_S))[:8]

    def ticks_ms(self):
        return self.now_ms % TICKS_PERIOD_MS

    def ticks_diff(self, later, earlier):
        assert 0 <= later < TICKS_PERIOD_MS and 0 <= earlier < TICKS_PERIOD_MS
        half = TICKS_PERIOD_MS // 2
        return (later - earlier + half) % TICKS_PERIOD_MS - half


class UnixTime(Esp32Time):
    """The same of a port that counts from 1970."""

    def gmtime(self, seconds):
        return tuple(time.gmtime(seconds))[:8]


class Rtc:
    """machine.RTC of the ESP32 port: (year, month, day, weekday, hour, minute, second, fraction), weekday not read."""

    utc_s = 0

    def datetime(self, moment):
        assert len(moment) == 8 and all(isinstance(number, int) for number in moment)
        Rtc.utc_s = calendar.timegm((*moment[:3], *moment[4:7]))


class Pin:
    """machine.Pin of both chips: it refuses what the chip lacks. used: number -> mode, since the last load()."""

    IN, OUT, PULL_UP, IRQ_RISING, IRQ_FALLING = 1, 3, 2, 1, 2
    classic = False
    used = {}

    def __init__(self, number, mode=IN, pull=None):
        exists = range(40) if self.classic else [*range(22), *range(26, 49)]
        assert number in exists, number
        assert number not in self.used, f"GPIO {number} is used twice"
        assert not (self.classic and number >= 34 and mode == self.OUT), f"GPIO {number} is an input"
        self.used[number] = mode

    def irq(self, handler, trigger):
        pass


def load(name, clock, monkeypatch, chip=ESP32S3):
    """The module firmware.<name> as a board of this chip loads it."""
    Pin.classic, Pin.used = chip == ESP32, {}
    machine = types.ModuleType("machine")
    machine.Pin, machine.RTC = Pin, Rtc
    machine.I2C = machine.UART = machine.WDT = lambda *arguments, **named: None
    network = types.ModuleType("network")
    network.WLAN, network.STA_IF = lambda interface: None, 0
    modules = {"machine": machine, "network": network, "tls": types.ModuleType("tls"), "time": clock}
    ours = ("firmware.board_esp32", f"firmware.{name}")
    with monkeypatch.context() as patch:
        for each, module in modules.items():
            patch.setitem(sys.modules, each, module)
        for each in ours:
            patch.delitem(sys.modules, each, raising=False)
        found = importlib.import_module(f"firmware.{name}")
        board = sys.modules["firmware.board_esp32"]
        for each in ours:
            sys.modules.pop(each, None)
    board.sys = types.SimpleNamespace(implementation=("micropython", (1, 29, 0, ""), chip, 0))
    monkeypatch.setattr(asyncio, "ThreadSafeFlag", asyncio.Event, raising=False)
    return found
