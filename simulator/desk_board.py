"""The board of a device on CPython: the same firmware modules where many devices, or no VM, are needed."""

import asyncio
import os
import ssl
import sys
import time
from collections.abc import Callable
from pathlib import Path

from firmware.keypad import COLUMNS, KEYS
from simulator.flash_image import BLOCK_BYTES, BLOCKS
from simulator.peripherals import Display, Hands


class DeskClock:
    """Ticks and sleep; speed as in board_esp32.Clock."""

    def __init__(self, speed: int = 1) -> None:
        self._speed = speed

    def ticks_ms(self) -> int:
        return int(time.monotonic() * 1000 * self._speed)

    def ticks_diff(self, later: int, earlier: int) -> int:
        return later - earlier

    async def sleep_ms(self, duration_ms: int) -> None:
        await asyncio.sleep(duration_ms / 1000 / self._speed)


class Edge:
    """What an interrupt sets and a task waits for, once."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def set(self) -> None:
        self._event.set()

    async def wait(self) -> None:
        await self._event.wait()
        self._event.clear()


class DeskPin:
    """changed(): called when the value moved."""

    def __init__(self, value: int, changed: Callable[[], None]) -> None:
        self._value = value
        self._changed = changed

    def value(self, *new: int) -> int:
        if new and new[0] != self._value:
            self._value = new[0]
            self._changed()
        return self._value


class DeskKeypad:
    """Twelve keys behind seven wires (see firmware/keypad.py)."""

    def __init__(self) -> None:
        self._down = ""
        self.rows = [DeskPin(1, self._follow) for _ in range(len(KEYS) // COLUMNS)]
        self.columns = [DeskPin(1, _ignore) for _ in range(COLUMNS)]

    def set_key(self, char: str) -> None:
        """Hold this key; "" lets go."""
        self._down = char
        self._follow()

    def _follow(self) -> None:
        """A key joins its column with its row."""
        at = KEYS.find(self._down) if self._down else -1
        for number, column in enumerate(self.columns):
            low = at >= 0 and number == at % COLUMNS and not self.rows[at // COLUMNS].value()
            column.value(0 if low else 1)


class Reset(Exception):
    """The firmware has reset its board: whatever it was about to do, it does no more."""


class DeskBus:
    """The I2C bus with the display on it."""

    def __init__(self, display: Display) -> None:
        self._display = display

    def writeto(self, address: int, data: bytes) -> None:
        self._display.write(data)


class DeskUart:
    """The wire to the sensor of these hands."""

    def __init__(self, hands: Hands) -> None:
        self._hands = hands
        self._buffer = b""

    def read(self, count: int) -> bytes | None:
        found, self._buffer = self._buffer[:count], self._buffer[count:]
        return found or None

    def write(self, data: bytes) -> None:
        self._buffer += self._hands.sensor.receive(data)


class DeskWatchdog:
    """In the place of machine.WDT."""

    def feed(self) -> None:
        """Nothing bites on a desk; a device that fails shows its exception instead."""


def tls_context(folder: Path) -> ssl.SSLContext:
    """The context of a device on CPython, which reads certificates as files in PEM."""
    context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cadata=(folder / "root.crt").read_bytes())
    certificate, key = folder / "tls.crt.pem", folder / "tls.key.pem"
    if not certificate.exists():
        certificate.write_text(ssl.DER_cert_to_PEM_cert((folder / "tls.crt").read_bytes()))
        key.touch(0o600)
        key.write_text(_key_pem((folder / "tls.key").read_bytes()))
    context.load_cert_chain(certificate, key)
    return context


def _key_pem(der: bytes) -> str:
    from cryptography.hazmat.primitives import serialization

    private = serialization.load_der_private_key(der, None)
    return private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


class DeskBoard:
    """The board seam (see firmware/device.py) on CPython.

    root: folder that plays the flash. speed, enrolled, acted: see DeskClock and Hands. screen: what the display shows.
    """

    def __init__(
        self, root: str, speed: int = 1, enrolled: tuple[int, ...] = (), acted: Callable[[], None] | None = None
    ) -> None:
        self.clock = DeskClock(speed)
        self.network_clock = DeskClock()
        self.edge = Edge()
        self.watchdog = DeskWatchdog()
        self.met_server = False  # CPython tells no more than that a handshake failed
        self._root = Path(root)
        self.screen = Display()
        self.display = DeskBus(self.screen)
        self.buttons = [DeskPin(1, self.edge.set) for _ in range(5)]
        self.touch = DeskPin(1, self.edge.set)
        self.button_edge = Edge()
        self.button = DeskPin(1, self.button_edge.set)
        self._keypad = DeskKeypad()
        self.leds = [DeskPin(0, _ignore) for _ in range(5)]
        self.buzzer = DeskPin(0, _ignore)
        self.tamper = DeskPin(1, _ignore)
        self.hands = Hands(self._set_button, self._set_touch, enrolled, acted, self.button.value, self._keypad.set_key)
        self.uart = DeskUart(self.hands)
        self._context: ssl.SSLContext | None = None
        self._transport: asyncio.WriteTransport | None = None

    def _set_button(self, index: int, value: int) -> None:
        self.buttons[index].value(value)

    def _set_touch(self, value: int) -> None:
        self.touch.value(value)

    def keypad(self) -> tuple[list[DeskPin], list[DeskPin]]:
        return self._keypad.rows, self._keypad.columns

    def reset(self) -> None:
        """Ends the run; whoever owns the device boots it again."""
        raise Reset

    def boot_reason(self) -> str:
        return "desk"

    def set_time(self, utc_s: int) -> None:
        """The host's clock is not ours to set."""

    def flash_bytes(self) -> int:
        return BLOCKS * BLOCK_BYTES  # a folder has no size of its own: that of a board

    def free_flash_bytes(self) -> int:
        stat = os.statvfs(self._root)
        return min(stat.f_bavail * stat.f_frsize, 0xFFFFFFFF)

    def free_heap_bytes(self) -> int:
        return sys.maxsize & 0xFFFFFFFF

    async def connect(self) -> None:
        """The host's network is there."""

    def trust(self, tls_files: object) -> None:
        """The files are read from the folder, in a form that CPython takes."""
        self._context = tls_context(self._root)

    async def open_stream(
        self, host: str, port: int, server_name: str
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if not server_name:
            raise ValueError("server name")
        reader, writer = await asyncio.open_connection(host, port, ssl=self._context, server_hostname=server_name)
        self._transport = writer.transport
        return reader, writer

    def unplug(self) -> None:
        """The power goes: no farewell to anybody, for which TLS would wait half a minute."""
        if self._transport:
            self._transport.abort()


def _ignore() -> None:
    """A lamp on a desk."""
