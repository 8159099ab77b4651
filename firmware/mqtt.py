"""MQTT 3.1.1 client, as much of it as a device needs: connect, subscribe, publish with QoS 1, ping.

Every packet is built whole and written in one call under one lock; every wait has an end, and what comes is read in
large bites: on a board each wait is a round of the scheduler, and costs more than a copy. Nothing is retried in here:
after any error the connection is thrown away and the uplink begins anew. A PUBACK is not delivery, so nothing waits
for one.
"""

import asyncio
import struct

# OASIS MQTT 3.1.1, section 2.2.1.
_CONNECT, _CONNACK, _PUBLISH, _PUBACK, _SUBSCRIBE, _SUBACK, _PINGREQ, _PINGRESP, _DISCONNECT = (
    0x10,
    0x20,
    0x30,
    0x40,
    0x82,
    0x90,
    0xC0,
    0xD0,
    0xE0,
)
_RETAIN, _QOS1 = 0x01, 0x02
# Topic and message of ours are below 4.3 KiB; whoever claims more is not our gateway.
PACKET_BYTES_MAX = 4400
# A local network answers in milliseconds; ten seconds of silence in the middle of a packet is a dead link.
PACKET_TIMEOUT_S = 10
# A receipt with its headers and holes fits; a larger bite would want that much heap in one piece each time.
_BITE_BYTES = 512
# Section 3.2.2.3, by return code.
CONNECT_REFUSED = "|protocol version|client id|server unavailable|user name|not authorised"


class MqttError(Exception):
    """The peer broke the protocol or refused us."""


def _text(text):
    raw = text.encode()
    return struct.pack(">H", len(raw)) + raw


def packet(kind, body):
    """Fixed header and body (section 2.2)."""
    head, size = bytearray((kind,)), len(body)
    while True:
        head.append(size & 0x7F | (0x80 if size > 0x7F else 0))
        size >>= 7
        if not size:
            return bytes(head) + body


class Mqtt:
    """One connection, used once. reader, writer: asyncio streams. on_message(topic, payload, retained).

    received: counts packets, so that whoever watches the link sees life.
    """

    def __init__(self, reader, writer, on_message):
        self._reader = reader
        self._writer = writer
        self._on_message = on_message
        self._lock = asyncio.Lock()
        self._buffer = b""  # came, and is not a whole packet yet
        self._packet_id = 0
        self.received = 0

    async def connect(self, client_id, keep_alive_s):
        """CONNECT with clean session off. Returns session present. Raises MqttError with the broker's reason."""
        body = _text("MQTT") + bytes((4, 0)) + struct.pack(">H", keep_alive_s) + _text(client_id)
        await self._write((packet(_CONNECT, body),))
        kind, answer = await asyncio.wait_for(self._read(), PACKET_TIMEOUT_S)
        if kind != _CONNACK or len(answer) != 2:
            raise MqttError("connack")
        if answer[1]:
            raise MqttError(CONNECT_REFUSED.split("|")[min(answer[1], 5)])
        return answer[0] & 1

    async def subscribe(self, topic):
        """SUBSCRIBE with QoS 1 and wait for the answer; messages that come first are delivered."""
        number = self._next_id()
        await self._write((packet(_SUBSCRIBE, number + _text(topic) + b"\x01"),))
        while True:
            kind, answer = await asyncio.wait_for(self._read(), PACKET_TIMEOUT_S)
            if kind == _SUBACK:
                if answer not in (number + b"\x00", number + b"\x01"):
                    raise MqttError("subscribe")
                return
            await self._dispatch(kind, answer)

    async def publish(self, topic, payloads):
        """PUBLISH each with QoS 1; returns when the network has taken them. payloads: taken one by one, as they go."""
        name = _text(topic)
        await self._write((packet(_PUBLISH | _QOS1, name + self._next_id() + payload) for payload in payloads))

    async def ping(self):
        await self._write((b"\xc0\x00",))

    async def listen(self):
        """Read and dispatch until the link ends, with MqttError, OSError, ValueError, EOFError or a time-out."""
        while True:
            kind, body = await self._read()
            await self._dispatch(kind, body)

    async def _dispatch(self, kind, body):
        if kind & 0xF0 == _PUBLISH:
            await self._take(kind, body)
        elif kind not in (_PUBACK, _PINGRESP):
            raise MqttError("packet %d" % kind)

    async def _take(self, kind, body):
        qos = kind >> 1 & 3
        end = 2 + (int.from_bytes(body[:2], "big") if len(body) > 2 else PACKET_BYTES_MAX)
        start = end + (2 if qos else 0)
        if qos > 1 or start > len(body):
            raise MqttError("publish")
        # Acknowledged first: what we refuse must not come back for ever, and a lost receipt or command is sent again.
        if qos:
            await self._write((bytes((_PUBACK, 2)) + body[end:start],))
        self._on_message(str(body[2:end], "utf-8"), body[start:], bool(kind & _RETAIN))

    def _next_id(self):
        self._packet_id = self._packet_id % 0xFFFF + 1
        return struct.pack(">H", self._packet_id)

    async def _write(self, packets):
        async with self._lock:
            await asyncio.wait_for(self._write_all(packets), PACKET_TIMEOUT_S)

    async def _write_all(self, packets):
        for data in packets:
            self._writer.write(data)
            await self._writer.drain()

    async def _read(self):
        """(first byte, body) of the next packet; the first byte may take its time, the rest may not."""
        found = self._cut()
        while not found:
            bite = self._reader.read(_BITE_BYTES)
            data = await (asyncio.wait_for(bite, PACKET_TIMEOUT_S) if self._buffer else bite)
            if not data:
                raise EOFError()
            self._buffer += data
            found = self._cut()
        self.received += 1
        return found

    def _cut(self):
        """The same off the buffer; None while it is not whole. Raises MqttError for one that claims too much."""
        buffer, size, at, byte = self._buffer, 0, 0, 0x80
        while byte & 0x80:
            at += 1
            if at > 4 or size > PACKET_BYTES_MAX:  # section 2.2.3: four bytes at most
                raise MqttError("size")
            if at >= len(buffer):
                return None
            byte = buffer[at]
            size |= (byte & 0x7F) << 7 * (at - 1)
        if size > PACKET_BYTES_MAX:
            raise MqttError("size")
        end = at + 1 + size
        if end > len(buffer):
            return None
        self._buffer = buffer[end:]
        return buffer[0], buffer[at + 1 : end]

    async def close(self):
        """Close the connection; an error in doing so changes nothing any more."""
        try:
            self._writer.close()
            await asyncio.wait_for(self._writer.wait_closed(), 1)
        except Exception:
            pass
