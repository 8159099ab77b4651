"""A network that does to the bytes of a connection whatever networks do, on loopback, between a client and a broker."""

import asyncio
import contextlib


class HostileProxy:
    """Passes every connection to its port on. Attributes may change while it runs:

    target: port of the broker. bite_bytes: so much in a write, 0 for as it comes. pause_s: before each write. gather_s:
    what comes within that is one write. cut_after: function () -> bytes, asked for each connection, after which both
    ends are cut off. stop_after: after so many bytes from the client nothing passes any more, and both ends stay.
    swallowing: nothing passes. connections: how many there were. stopped: set when stop_after was reached.
    """

    def __init__(self, target):
        self.target = target
        self.bite_bytes, self.pause_s, self.gather_s = 0, 0, 0
        self.cut_after = self.stop_after = None
        self.swallowing = False
        self.connections = 0
        self.stopped = asyncio.Event()
        self._tasks, self._writers = set(), set()

    async def start(self, port=0):
        """Listen, at any port or at this one; gives itself. port: where."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def close(self):
        self._server.close()
        for task in self._tasks:
            task.cancel()
        for writer in self._writers:
            writer.transport.abort()

    async def dial(self):
        """As a device's open_stream."""
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def _serve(self, reader, writer):
        self.connections += 1
        self._tasks.add(asyncio.current_task())
        self._writers.add(writer)
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            return
        self._writers.add(far_writer)
        line = _Line(self, (writer, far_writer))
        with contextlib.suppress(OSError):
            await asyncio.gather(line.pump(reader, far_writer, True), line.pump(far_reader, writer, False))


class _Line:
    """One connection. writers: of both ends."""

    def __init__(self, proxy, writers):
        self._proxy, self._writers = proxy, writers
        self._left = proxy.cut_after() if proxy.cut_after else None
        self._sent = 0

    async def pump(self, reader, writer, is_up):
        while data := await self._take(reader):
            for piece in self._pieces(data):
                if self._proxy.pause_s:
                    await asyncio.sleep(self._proxy.pause_s)
                await self._pass(piece, writer, is_up)
        writer.transport.abort()  # the other end is gone, and so is this one

    async def _take(self, reader):
        data = await reader.read(65536)
        if data and self._proxy.gather_s:
            await asyncio.sleep(self._proxy.gather_s)
            with contextlib.suppress(TimeoutError):
                data += await asyncio.wait_for(reader.read(65536), 0.001)
        return data

    def _pieces(self, data):
        size = self._proxy.bite_bytes or len(data)
        return [data[at : at + size] for at in range(0, len(data), size)]

    async def _pass(self, piece, writer, is_up):
        if self._left is not None:
            piece, self._left = piece[: self._left], self._left - len(piece)
        if is_up and self._proxy.stop_after is not None:
            piece = piece[: max(0, self._proxy.stop_after - self._sent)]
        self._sent += len(piece) if is_up else 0
        if not self._proxy.swallowing and piece:
            writer.write(piece)
            await writer.drain()
        if self._left is not None and self._left <= 0:
            await asyncio.sleep(0.005)  # the half packet arrives before the end does
            for one in self._writers:
                one.transport.abort()
        if is_up and self._proxy.stop_after is not None and self._sent >= self._proxy.stop_after:
            self._proxy.stopped.set()
            await asyncio.Event().wait()
