"""The bench's end of a simulated board's wires: see simulator/vm/bench.py for the board's end and the frames."""

import asyncio
import contextlib
from collections.abc import Callable

# As in simulator/vm/bench.py, which is written for another interpreter. Ports below are pin numbers.
KEYPAD, I2C, WATCHDOG, STATUS, RECORDED, TRIMMED = 250, 251, 252, 253, 254, 255


class BenchLink:
    """One board at a time on a loopback port. take(port, content): what the board sends."""

    def __init__(self, take: Callable[[int, bytes], None]) -> None:
        self._take = take
        self._writer: asyncio.StreamWriter | None = None
        self._server: asyncio.Server | None = None

    async def open(self) -> int:
        """Listen; the port."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return int(self._server.sockets[0].getsockname()[1])

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """A board that was reset comes back on a new connection; what its former life still sends is history."""
        self.unplug()
        self._writer = writer
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            while self._writer is writer:
                head = await reader.readexactly(3)
                content = await reader.readexactly(int.from_bytes(head[1:], "big"))
                self._take(head[0], content)
        writer.close()

    @property
    def plugged(self) -> bool:
        """True while a board is there."""
        return self._writer is not None and not self._writer.is_closing()

    def send(self, port: int, content: bytes = b"") -> None:
        """A frame to the board; nobody hears it while it is off."""
        if self._writer and not self._writer.is_closing():
            self._writer.write(bytes((port,)) + len(content).to_bytes(2, "big") + content)

    def unplug(self) -> None:
        """The board is off."""
        if self._writer:
            self._writer.close()
        self._writer = None

    def close(self) -> None:
        """Stop listening."""
        self.unplug()
        if self._server:
            self._server.close()
