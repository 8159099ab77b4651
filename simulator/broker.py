"""The embedded MQTT broker of a demo: amqtt with TLS, client certificates and our rules. It keeps nothing: killed, it
forgets all.

A hall runs mosquitto. This one needs only pip, and it forgets more than any real one, which is what a test wants.
"""

import argparse
import asyncio
import contextlib
import signal
import ssl
from pathlib import Path

from amqtt.adapters import ReaderAdapter, StreamReaderAdapter, StreamWriterAdapter, WriterAdapter
from amqtt.broker import Broker
from amqtt.contexts import BrokerConfig, ListenerConfig
from amqtt.errors import AMQTTError, MQTTError, NoDataError
from amqtt.mqtt.connack import NOT_AUTHORIZED, ConnackPacket
from amqtt.mqtt.connect import ConnectPacket

from simulator.certificate_acl import common_name, peer_name

# A message is at most 4 KiB; topic and header come on top. Whoever sends more is cut off before it is read.
PACKET_BYTES_MAX = 4400
# A client that shows no CONNECT in this time holds a connection for nothing.
CONNECT_TIMEOUT_S = 10
_REFUSING = (AMQTTError, MQTTError, NoDataError, TimeoutError, ConnectionError, ssl.SSLError)


class _Bounded(ReaderAdapter):
    """Reads from `source`, never more than a packet of ours at once; what was read first can be read again."""

    def __init__(self, source: ReaderAdapter) -> None:
        self._source = source
        self._seen = bytearray()
        self._keep = True

    async def read(self, n: int = -1) -> bytes:
        if not 0 <= n <= PACKET_BYTES_MAX:
            raise NoDataError("packet too large")
        if not self._keep and self._seen:
            piece = bytes(self._seen[:n])
            del self._seen[:n]
            return piece
        piece = await self._source.read(n)
        if self._keep:
            self._seen += piece
        return piece

    def rewind(self) -> None:
        """From here on, read again what was read so far."""
        self._keep = False

    def feed_eof(self) -> None:
        self._source.feed_eof()


class CertificateBroker(Broker):
    """amqtt with a door in front: nobody touches a session before the certificate was compared with the client id.

    amqtt alone deletes or takes over the session of whatever client id a CONNECT names, and asks its plugins
    afterwards.
    """

    @staticmethod
    def _create_ssl_context(listener: ListenerConfig) -> ssl.SSLContext:
        context = Broker._create_ssl_context(listener)
        context.verify_mode = ssl.CERT_REQUIRED
        return context

    async def stream_connected(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, listener_name: str
    ) -> None:
        bounded, answers = _Bounded(StreamReaderAdapter(reader)), StreamWriterAdapter(writer)
        name = common_name(answers.get_ssl_info())
        if await self._may_enter(bounded, answers, name):
            peer_name.set(name)  # each connection is served by a task of its own
            await self._client_connected(listener_name, bounded, answers)

    async def _may_enter(self, reader: _Bounded, writer: WriterAdapter, name: str) -> bool:
        """Read the CONNECT and compare; a stranger gets "not authorised" and is disconnected."""
        try:
            connect = await asyncio.wait_for(ConnectPacket.from_stream(reader), CONNECT_TIMEOUT_S)
            if name and connect.payload and connect.payload.client_id == name and not connect.variable_header.will_flag:
                reader.rewind()
                return True
            writer.write(ConnackPacket.build(0, NOT_AUTHORIZED).to_bytes())
            await writer.drain()
        except _REFUSING:
            pass
        with contextlib.suppress(Exception):  # it is gone either way
            await writer.close()
        return False


def configuration(hall: Path, port: int) -> BrokerConfig:
    """Listener and plugins for the broker/ folder of a hall."""
    folder = hall / "broker"
    listener = ListenerConfig(
        bind=f"127.0.0.1:{port}",
        ssl=True,
        cafile=folder / "clients.pem",
        certfile=folder / "server.pem",
        keyfile=folder / "server.key",
    )
    plugins = {"simulator.certificate_acl.CertificateName": {}, "simulator.certificate_acl.OwnTopics": {}}
    return BrokerConfig(listeners={"default": listener}, plugins=plugins)


async def serve(hall: Path, port: int) -> None:
    """Run until SIGTERM or SIGINT; prints READY when clients may come."""
    broker = CertificateBroker(configuration(hall, port))
    await broker.start()
    print("READY", flush=True)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()
    await broker.shutdown()


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """hallseal-simulator broker"""
    parser = subparsers.add_parser("broker", help="embedded MQTT broker with client certificates, for tests and demos")
    parser.add_argument("--hall", type=Path, required=True, help="folder that hallseal-provision made")
    parser.add_argument("--port", type=int, required=True, help="port on this machine")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    asyncio.run(serve(arguments.hall, arguments.port))
    return 0
