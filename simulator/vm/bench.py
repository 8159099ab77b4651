"""The wires of a simulated device: pins, I2C, UART and watchdog on one loopback socket to the bench that plays the
hall.

A frame: kind (1 byte), number (1 byte: pin, or bus), length (2 bytes), content. See simulator/peripherals.py for the
other end.
"""

import asyncio
import json
import socket

PIN, I2C, UART, WATCHDOG, STATUS = b"P", b"I", b"U", b"W", b"S"
_CONTENT_BYTES_MAX = 2048

pins = {}  # number -> machine.Pin with an input
handlers = {}  # number -> function of an input's interrupt
uarts = {}  # number -> machine.UART
_links = []


def connect(port):
    """Connect to the bench on this machine."""
    link = socket.socket()
    link.connect(socket.getaddrinfo("127.0.0.1", port)[0][-1])
    _links.append(link)


def send(kind, number, content=b""):
    """One frame to the bench."""
    data = kind + bytes((number, len(content) >> 8, len(content) & 0xFF)) + content
    link = _links[0]
    while data:
        try:
            data = data[link.send(data) :]
        except OSError as error:
            if error.errno != 11:  # EAGAIN: asyncio made the socket non-blocking
                raise


async def serve(device):
    """Take frames from the bench for ever."""
    reader = asyncio.StreamReader(_links[0])
    while True:
        head = await reader.readexactly(4)
        size = head[2] << 8 | head[3]
        if size > _CONTENT_BYTES_MAX:
            raise OSError("bench")
        content = await reader.readexactly(size) if size else b""
        _take(device, head[:1], head[1], content)


def _take(device, kind, number, content):
    if kind == PIN and number in pins:
        if pins[number].level != content[0]:
            pins[number].level = content[0]
            handlers[number](None)
    elif kind == UART and number in uarts:
        uarts[number].buffer += content
    elif kind == STATUS:
        send(STATUS, 0, json.dumps(device.status()).encode())
