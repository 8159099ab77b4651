"""A line between an MQTT client and its broker that writes down every byte of both directions, TLS taken off."""

import asyncio
import contextlib
import ssl
import threading
from pathlib import Path


class RecordingProxy:
    """Listens on loopback with the broker's own certificate, and goes on to the broker with the client's.

    hall: folder of a provisioned hall. pair: PEM files of the client's certificate and key. seen: all bytes so far.
    """

    def __init__(self, hall: Path, broker_port: int, pair: tuple[Path, Path]) -> None:
        self._broker_port = broker_port
        self._near = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._near.load_cert_chain(hall / "broker" / "server.pem", hall / "broker" / "server.key")
        self._far = ssl.create_default_context(cafile=str(hall / "ca" / "root.pem"))
        self._far.load_cert_chain(*pair)
        self.seen = bytearray()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server = self._call(asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._near))
        self.port = self._server.sockets[0].getsockname()[1]

    def _call(self, work):
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(20)

    async def _serve(self, reader, writer):
        with contextlib.suppress(OSError, asyncio.CancelledError):
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._broker_port, ssl=self._far)
            await asyncio.gather(self._pump(reader, far_writer), self._pump(far_reader, writer))

    async def _pump(self, reader, writer):
        try:
            while piece := await reader.read(65536):
                self.seen += piece
                writer.write(piece)
                await writer.drain()
        finally:
            writer.close()

    def close(self):
        """End all connections."""

        async def end():
            self._server.close()
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)

        self._call(end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()
