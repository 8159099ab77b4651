"""What a simulated device is touched by and shows: buttons that bounce, lamps, a display that is read back, a finger.

The same objects stand behind the wires of a VM (bench) and beside a device on CPython (desk).
"""

import asyncio
from collections.abc import Callable, Iterable

from simulator.sensor import Sensor

# Real contacts: some edges within 3 ms, then still. A press lasts long enough for 20 ms of debouncing.
BOUNCE_MS = (1, 1, 1)
HOLD_MS = 90
# A finger rests on the glass while the sensor looks, three commands long.
TOUCH_MS = 350
_WIDTH, _HEIGHT = 128, 64


class Display:
    """An SSD1306 that keeps what it is sent: frame holds 1024 bytes, eight pixels each, page by page."""

    def __init__(self) -> None:
        self.frame = bytearray(_WIDTH * _HEIGHT // 8)
        self._at = 0
        self.frames = 0

    def write(self, data: bytes) -> None:
        """One I2C transfer: control byte, then commands or pixels."""
        if data[0] != 0x40:
            if data[1:] == b"\x21\x00\x7f\x22\x00\x07":  # columns and pages from the start: a new frame
                self._at = 0
            return
        for byte in data[1:]:
            self.frame[self._at] = byte
            self._at += 1
            if self._at == len(self.frame):
                self._at = 0
                self.frames += 1

    def rows(self) -> list[list[int]]:
        """64 rows of 128 pixels, 1 is lit."""
        return [[self.frame[y // 8 * _WIDTH + x] >> (y % 8) & 1 for x in range(_WIDTH)] for y in range(_HEIGHT)]


class Hands:
    """What people do to a device. set_button(index, value) and set_touch(value) move its inputs; 0 is pressed."""

    def __init__(
        self, set_button: Callable[[int, int], None], set_touch: Callable[[int], None], enrolled: Iterable[int] = ()
    ) -> None:
        self._set_button = set_button
        self._set_touch = set_touch
        self.sensor = Sensor(enrolled)
        self._busy = asyncio.Lock()  # one hand: a second press waits for the first

    async def press(self, level: int) -> None:
        """Press and release the button of `level`, bouncing both ways."""
        async with self._busy:
            for value in (0, 1):
                for pause_ms in BOUNCE_MS:
                    self._set_button(level - 1, value)
                    await asyncio.sleep(pause_ms / 1000)
                    self._set_button(level - 1, 1 - value)
                self._set_button(level - 1, value)
                await asyncio.sleep(HOLD_MS / 1000)

    async def touch(self, finger: int) -> None:
        """Lay a finger on the sensor and take it away; -1 is a stranger's."""
        async with self._busy:
            self.sensor.finger = finger
            self._set_touch(0)
            await asyncio.sleep(TOUCH_MS / 1000)
            self.sensor.finger = None
            self._set_touch(1)
            await asyncio.sleep(0.02)
