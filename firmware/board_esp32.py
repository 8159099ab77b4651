"""What both boards share: an ESP32 or ESP32-S3 with Wi-Fi. Only board files import hardware."""

import asyncio
import gc
import os
import sys
import time

import machine
import network
import tls

from protocol import cbor

# The watchdog resets a board whose loop stood still this long; a signature on an ESP32 takes below a second.
WATCHDOG_MS = 20000
CONNECT_TIMEOUT_MS = 15000
# time.time() counts from 2000 on an ESP32, from 1970 on other ports.
_EPOCH_OFFSET_S = 946684800 if time.gmtime(0)[0] == 2000 else 0
WIFI_NAME, WIFI_KEY = 1, 2


class Clock:
    """Ticks and sleep. speed: how much faster a person's time runs; 1 on a board, more in a simulation."""

    def __init__(self, speed=1):
        self._speed = speed

    def ticks_ms(self):
        return time.ticks_ms() * self._speed

    def ticks_diff(self, later, earlier):
        return time.ticks_diff(later, earlier) if self._speed == 1 else later - earlier

    async def sleep_ms(self, duration_ms):
        await asyncio.sleep_ms(duration_ms // self._speed)


def tls_context(files):
    """A context that checks the server's name and certificate. files: certificate, key, authority (DER)."""
    certificate, key, authority = files
    context = tls.SSLContext(tls.PROTOCOL_TLS_CLIENT)
    context.load_cert_chain(certificate, key)
    context.load_verify_locations(authority)
    context.verify_mode = tls.CERT_REQUIRED  # type: ignore[attr-defined]  # the stubs lack it
    if context.verify_mode != tls.CERT_REQUIRED:  # type: ignore[attr-defined]  # never trust the setter alone
        raise ValueError("tls")
    return context


class Esp32Board:
    """root: folder of the flash. speed: see Clock. met_server: True once the server of this attempt has shown its
    certificate, good or not.
    """

    def __init__(self, root, speed=1):
        self._root = root
        self._tls = None
        self.met_server = False
        self.clock = Clock(speed)
        self.network_clock = Clock()
        self.edge = asyncio.ThreadSafeFlag()
        self.watchdog = machine.WDT(timeout=WATCHDOG_MS)
        self._station = network.WLAN(network.STA_IF)

    def pin(self, number, *mode):
        """The pin that has this number on an ESP32-S3. mode: as machine.Pin takes it."""
        # "Generic ESP32 module with ESP32", or "… with ESP32S3"
        if sys.implementation[2].endswith("with ESP32"):  # type: ignore[index]  # on MicroPython it is a tuple
            from firmware.classic_pins import PINS

            number = PINS[number]
        return machine.Pin(number, *mode)

    def input_pin(self, number, edge=None):
        """A pin with pull-up that wakes `edge` (that of the board, where none is given) on both edges."""
        pin = self.pin(number, machine.Pin.IN, machine.Pin.PULL_UP)
        woken = edge or self.edge
        pin.irq(lambda _: woken.set(), machine.Pin.IRQ_FALLING | machine.Pin.IRQ_RISING)
        return pin

    def boot_reason(self):
        return "reset cause %d" % machine.reset_cause()

    def reset(self):
        machine.reset()

    def set_time(self, utc_s):
        """Set the system clock: TLS checks certificate dates against it."""
        moment = time.gmtime(utc_s - _EPOCH_OFFSET_S)
        machine.RTC().datetime(moment[:3] + (0,) + moment[3:6] + (0,))

    def flash_bytes(self):
        stat = os.statvfs(self._root or "/")
        return stat[1] * stat[2]

    def free_flash_bytes(self):
        stat = os.statvfs(self._root or "/")
        return min(stat[0] * stat[3], 0xFFFFFFFF)

    def free_heap_bytes(self):
        return gc.mem_free()

    async def connect(self):
        """Bring Wi-Fi up; OSError("no wifi") when it does not come within CONNECT_TIMEOUT_MS."""
        if self._station.isconnected():
            return
        try:
            with open(self._root + "/wifi.cbor", "rb") as file:
                settings: dict = cbor.decode_map(file.read())
            self._station.active(True)
            self._station.connect(settings[WIFI_NAME], settings[WIFI_KEY])
        except OSError:  # of the file, or of the driver, with numbers of its own
            raise OSError("no wifi")
        for _ in range(CONNECT_TIMEOUT_MS // 100):
            if self._station.isconnected():
                return
            await asyncio.sleep_ms(100)
        self._station.disconnect()  # or the next connect() finds it still trying, and fails
        raise OSError("no wifi")

    def trust(self, tls_files):
        """Certificate, key and authority (DER) for every connection from now on."""
        self._tls = tls_context(tls_files)
        self._tls.verify_callback = self._meet

    def _meet(self, certificate, depth):
        """Called in the handshake, for each certificate of the server's chain. 0 leaves the verdict to mbedTLS."""
        self.met_server = True
        return 0

    async def open_stream(self, host, port, server_name):
        """(reader, writer) over TLS. An empty server name would be accepted and check nothing, so it is refused."""
        if not server_name:
            raise ValueError("server name")
        self.met_server = False
        gc.collect()  # the handshake wants room
        return await asyncio.open_connection(host, port, ssl=self._tls, server_hostname=server_name)
