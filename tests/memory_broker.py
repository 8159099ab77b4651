"""A broker in memory, as far as one device can tell: it can refuse, fall silent and be cut off, and keeps what came."""

import asyncio

from firmware.mqtt import packet

CONNECT, PUBLISH, SUBSCRIBE, PINGREQ = 0x10, 0x32, 0x82, 0xC0


class _Line:
    """One connection: the writer of a device, and `reader`, what it hears."""

    def __init__(self, broker):
        self.reader = asyncio.StreamReader()
        self._broker = broker
        self.dead = False

    def write(self, data):
        """Takes whole packets, as the client of the firmware writes them."""
        if not self.dead:
            self._broker.take(self, bytes(data))

    async def drain(self):
        await asyncio.sleep(0)
        if self.dead:
            raise ConnectionResetError("reset")

    def close(self):
        self.dead = True

    async def wait_closed(self):
        """At once."""

    def cut(self):
        """The cable breaks, and both sides see it."""
        if not self.dead:
            self.dead = True
            self.reader.feed_eof()


class MemoryBroker:
    """dialled: [seconds of the loop] of every attempt. published: [(seconds, payload)] that came. pings: how many.

    refusing: no connection. code: of CONNACK. silent: hears, and says nothing any more.
    """

    def __init__(self):
        self.dialled, self.published = [], []
        self.pings = 0
        self.refusing = self.silent = False
        self.code = 0
        self._line = None

    async def dial(self):
        """(reader, writer), for a device's open_stream."""
        self.dialled.append(asyncio.get_running_loop().time())
        if self.refusing:
            raise OSError(111)  # ECONNREFUSED
        self._line = _Line(self)
        return self._line.reader, self._line

    def take(self, line, data):
        kind, body = data[0], _body(data)
        if kind == PUBLISH:
            name_end = 2 + int.from_bytes(body[:2], "big")
            self.published.append((asyncio.get_running_loop().time(), body[name_end + 2 :]))
            self._say(line, packet(0x40, body[name_end : name_end + 2]))
        elif kind == CONNECT:
            self._say(line, packet(0x20, bytes((0, self.code))))
        elif kind == SUBSCRIBE:
            self._say(line, packet(0x90, body[:2] + b"\x01"))
        elif kind == PINGREQ:
            self.pings += 1
            self._say(line, packet(0xD0, b""))

    def _say(self, line, data):
        if not self.silent:
            line.reader.feed_data(data)

    def send(self, topic, payload):
        """A message for the device that is connected."""
        name = topic.encode()
        self._say(self._line, packet(0x30, len(name).to_bytes(2, "big") + name + payload))

    def cut(self):
        self._line.cut()

    def payloads(self):
        """Everything that came since the last call."""
        found = [payload for _, payload in self.published]
        self.published.clear()
        return found


def _body(data):
    """What stands behind the length of a packet."""
    at = 1
    while data[at] & 0x80:
        at += 1
    return data[at + 1 :]
