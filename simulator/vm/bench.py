"""The wires of a simulated board: one loopback socket to the bench that plays the hall (simulator/bench_link.py).

A frame either way: port (1 byte), length (2 bytes), content. What stands in simulator/vm takes from the firmware's heap
what is C code on a board, so it has few functions, few names, and does at import what a function would be called for.
"""

import asyncio
import gc
import json
import os
import socket

# Ports below are pin numbers: content is the level. The others carry bytes of a bus, or what the bench must know.
KEYPAD, I2C, WATCHDOG, STATUS, RECORDED, TRIMMED = 250, 251, 252, 253, 254, 255

joined = bytearray(3)  # pins of a row and a column that a key of the keypad joins, 0 for none; level of the row
parts: dict = {}  # port -> object with change(content), for what the bench sends there
own_bytes = 0  # heap of the modules that stand here for hardware (see vm_boot.py)
_link = socket.socket()
_link.setsockopt(6, 1, 1)  # TCP_NODELAY: a wire does not wait for an acknowledgement before its next byte
_link.connect(socket.getaddrinfo("127.0.0.1", int(os.getenv("HALLSEAL_BENCH")))[0][-1])


def send(port, content):
    """One frame to the bench, in one call, so that it leaves in one piece."""
    _link.write(bytes((port, len(content) >> 8, len(content) & 0xFF)) + content)


async def serve(device):
    """Take frames from the bench for ever, and tell it of every record that this device writes and trims."""
    make, trim = device.make_record, device.journal.trim

    def recorded(kind, *rest):
        seq = make(kind, *rest)
        send(RECORDED, bytes((kind,)) + seq.to_bytes(4, "big"))
        return seq

    def trimmed(through):
        trim(through)
        send(TRIMMED, through.to_bytes(4, "big"))

    device.make_record, device.journal.trim = recorded, trimmed
    reader = asyncio.StreamReader(_link)
    while True:
        head = await reader.readexactly(3)
        size = head[1] << 8 | head[2]
        content = await reader.readexactly(size) if size else b""
        if head[0] == STATUS and content:  # what of the heap is in use, and what of that is this imitation's
            gc.collect()
            send(STATUS, b"[%d,%d]" % (gc.mem_alloc(), own_bytes))
        elif head[0] == STATUS:
            send(STATUS, json.dumps(device.status()).encode())
        elif head[0] == KEYPAD:
            joined[:] = content
        elif head[0] in parts:
            parts[head[0]].change(content)
