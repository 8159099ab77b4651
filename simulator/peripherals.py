"""What a simulated device is touched by and shows: buttons that bounce, lamps, a display that is read back, a finger.

The same objects stand behind the wires of a VM (vm_device.py) and beside a device on CPython (desk_board.py).
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable, Iterable

from simulator import eyes
from simulator.sensor import Sensor

# Real contacts: some edges within 3 ms, then still. A press lasts long enough for 20 ms of debouncing.
BOUNCE_MS = (1, 1, 1)
HOLD_MS = 90
# A key is down for as long, and up again: the firmware sees it in two scans of four rows.
KEY_MS = 150
# A finger rests on the glass while the sensor looks, three commands long.
TOUCH_MS = 350
# Glass without a finger, so that the next one is a new touch. Two people at a door are further apart, and a clock looks
# every 20 ms, later on a busy machine.
APART_MS = 200
# On a busy machine a device reacts late; nobody holds on for longer than this, and no button is stuck by then.
PATIENCE_S = 4.0
WIDTH, HEIGHT = 128, 64
# SSD1306 data sheet, table 9-1: how many argument bytes follow a command; none where it is not listed.
_ARGUMENTS = {
    0x20: 1, 0x21: 2, 0x22: 2, 0x81: 1, 0x8D: 1, 0xA8: 1, 0xD3: 1, 0xD5: 1, 0xD9: 1, 0xDA: 1, 0xDB: 1,
}  # fmt: skip
_COMMANDS, _PIXELS = 0x00, 0x40


class Display:
    """An SSD1306 in horizontal addressing that keeps what it is sent.

    frame: 1024 bytes, eight pixels each, page by page. frames: how often the window was filled to its end.
    lit: True between "display on" and "display off". contrast: 0 to 255. word: what a person reads now, see eyes.py;
    seen: how often each word came up; drawn: how often it was drawn, which a device does again to keep it true.
    """

    def __init__(self) -> None:
        self.frame = bytearray(WIDTH * HEIGHT // 8)
        self.frames = 0
        self.word = ""
        self.seen: Counter[str] = Counter()
        self.drawn: Counter[str] = Counter()
        self.lit = False
        self.contrast = 0x7F
        self._columns, self._pages = (0, WIDTH - 1), (0, HEIGHT // 8 - 1)
        self._column, self._page = 0, 0

    def write(self, data: bytes) -> None:
        """One I2C transfer: control byte, then commands or pixels. Anything else is noise on the bus and ignored."""
        if data[:1] == bytes((_COMMANDS,)):
            self._obey(data[1:])
        elif data[:1] == bytes((_PIXELS,)):
            self._draw(data[1:])

    def _obey(self, data: bytes) -> None:
        at = 0
        while at < len(data):
            count = _ARGUMENTS.get(data[at], 0)
            self._command(data[at], data[at + 1 : at + 1 + count])
            at += 1 + count

    def _command(self, code: int, arguments: bytes) -> None:
        if code in (0xAE, 0xAF):
            self.lit = code == 0xAF
        elif code == 0x81 and arguments:
            self.contrast = arguments[0]
        elif code == 0x21 and len(arguments) == 2:
            self._columns = (arguments[0] & 0x7F, arguments[1] & 0x7F)
            self._column = self._columns[0]
        elif code == 0x22 and len(arguments) == 2:
            self._pages = (arguments[0] & 7, arguments[1] & 7)
            self._page = self._pages[0]

    def _draw(self, data: bytes) -> None:
        """Pixels go to the window, row of pages by row of pages, and begin again at its end."""
        while data:
            room = max(self._columns[1] - self._column + 1, 1)
            piece, data = data[:room], data[room:]
            start = self._page * WIDTH + self._column
            self.frame[start : start + len(piece)] = piece
            self._column += len(piece)
            if self._column > self._columns[1]:
                self._column = self._columns[0]
                self._page += 1
                if self._page > self._pages[1]:
                    self._page = self._pages[0]
                    self.frames += 1
                    self._look()

    def _look(self) -> None:
        word = eyes.read(self.frame)
        self.drawn[word] += 1
        if word != self.word:
            self.seen[word] += 1
        self.word = word

    def rows(self) -> list[list[int]]:
        """64 rows of 128 pixels, 1 is lit."""
        return [[self.frame[y // 8 * WIDTH + x] >> (y % 8) & 1 for x in range(WIDTH)] for y in range(HEIGHT)]


class Hands:
    """What people do to a device. set_button(index, value), set_touch(value) and set_push(value) move its inputs; 0 is
    pressed. set_key(char): holds a key of the keypad, "" lets go.

    acted: called at the moment an act begins.
    """

    def __init__(
        self,
        set_button: Callable[[int, int], None],
        set_touch: Callable[[int], None],
        enrolled: Iterable[int] = (),
        acted: Callable[[], None] | None = None,
        set_push: Callable[[int], object] | None = None,
        set_key: Callable[[str], object] | None = None,
    ) -> None:
        self._set_button = set_button
        self._set_touch = set_touch
        self._set_push = set_push or _not_there
        self.set_key = set_key or _not_there
        self._acted = acted or _nobody_asks
        self.sensor = Sensor(enrolled)
        self._busy = asyncio.Lock()  # one hand: a second press waits for the first

    async def press(self, level: int, answered: asyncio.Event | None = None) -> None:
        """Press and release the button of `level` (1 to 5), bouncing both ways. Raises ValueError for another level.

        answered: set when the device reacts; people hold on until then, at most PATIENCE_S. Without it: for HOLD_MS.
        """
        if not 1 <= level <= 5:
            raise ValueError("level")
        async with self._busy:
            self._acted()
            for value in (0, 1):
                for pause_ms in BOUNCE_MS:
                    self._set_button(level - 1, value)
                    await asyncio.sleep(pause_ms / 1000)
                    self._set_button(level - 1, 1 - value)
                self._set_button(level - 1, value)
                await asyncio.sleep(HOLD_MS / 1000)
                if not value:
                    await _patience(answered)

    async def touch(self, finger: int, answered: asyncio.Event | None = None) -> None:
        """Lay a finger on the sensor and take it away; -1 is a stranger's. answered: as for press()."""
        async with self._busy:
            self._acted()
            self.sensor.finger = finger
            self._set_touch(0)
            await asyncio.sleep(TOUCH_MS / 1000)
            await _patience(answered)
            self.sensor.finger = None
            self._set_touch(1)
            await asyncio.sleep(APART_MS / 1000)

    async def push(self, hold_ms: int = HOLD_MS, answered: asyncio.Event | None = None) -> None:
        """Press the one button of a clock, bouncing both ways, and let go after `hold_ms`. answered: as for press()."""
        async with self._busy:
            for value in (0, 1):
                for pause_ms in BOUNCE_MS:
                    self._set_push(value)
                    await asyncio.sleep(pause_ms / 1000)
                    self._set_push(1 - value)
                self._set_push(value)
                await asyncio.sleep((HOLD_MS if value else hold_ms) / 1000)
                if not value:
                    await _patience(answered)

    async def type(self, chars: str, hold_ms: int = KEY_MS) -> None:
        """Press keys of the keypad, one after the other."""
        async with self._busy:
            for char in chars:
                self.set_key(char)
                await asyncio.sleep(hold_ms / 1000)
                self.set_key("")
                await asyncio.sleep(hold_ms / 1000)


async def _patience(answered: asyncio.Event | None) -> None:
    if answered:
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(answered.wait(), PATIENCE_S)


def _not_there(_value: object) -> None:
    """This device has no such thing; the hand finds nothing to press."""


def _nobody_asks() -> None:
    """For hands whose speed is not measured."""
