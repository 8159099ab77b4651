"""The wires of a simulated board: one loopback socket to the bench that plays the hall (simulator/bench_link.py).

A frame either way: port (1 byte), length (2 bytes), content. What all of simulator/vm takes from the heap is C code on
a board, and firmware must not pay for it: few functions, few names.
"""

import asyncio
import json
import socket

# Ports below are pin numbers: content is the level. The others carry bytes of a bus, or what the bench must know.
UART, I2C, WATCHDOG, STATUS, RECORDED, TRIMMED = 250, 251, 252, 253, 254, 255

parts = {}  # port -> function of the content that the bench sent
_link = None


def connect(port):
    """Connect to the bench on this machine."""
    global _link
    _link = socket.socket()
    _link.connect(socket.getaddrinfo("127.0.0.1", port)[0][-1])


def send(port, content):
    """One frame to the bench, in one call, so that it leaves in one piece."""
    _link.write(bytes((port, len(content) >> 8, len(content) & 0xFF)) + content)


async def serve(device):
    """Take frames from the bench for ever, and tell it of every record that this device writes and trims."""
    record, trim = device.record, device.journal.trim

    def recorded(kind, *rest):
        seq = record(kind, *rest)
        send(RECORDED, bytes((kind,)) + seq.to_bytes(4, "big"))
        return seq

    def trimmed(through):
        trim(through)
        send(TRIMMED, through.to_bytes(4, "big"))

    device.record, device.journal.trim = recorded, trimmed
    parts[STATUS] = lambda _: send(STATUS, json.dumps(device.status()).encode())
    reader = asyncio.StreamReader(_link)
    while True:
        head = await reader.readexactly(3)
        size = head[1] << 8 | head[2]
        content = await reader.readexactly(size) if size else b""
        if head[0] in parts:
            parts[head[0]](content)
