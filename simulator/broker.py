"""The hall's MQTT broker for a simulation: amqtt over TLS, for holders of the hall's certificates only.

It keeps nothing: no disk, no session, no retained message, no message for whoever is away. A hall must live with the
worst broker, so this one promises the least that MQTT 3.1.1 allows; devices trust receipts alone.

What amqtt 0.12.1 does and a hall cannot bear is overridden in HallBroker, each with its reason; what a connection may
send is in broker_link.py, who may do what in certificate_acl.py.
"""

import argparse
import asyncio
import json
import logging
import signal
import ssl
from pathlib import Path
from typing import Any

from amqtt.adapters import BufferReader, ReaderAdapter, StreamReaderAdapter, WriterAdapter
from amqtt.broker import Broker
from amqtt.contexts import BrokerConfig, ListenerConfig
from amqtt.errors import MQTTError
from amqtt.mqtt.connack import IDENTIFIER_REJECTED, NOT_AUTHORIZED, ConnackPacket
from amqtt.session import Session

from simulator import certificate_acl
from simulator.broker_link import BrokerLink, PromptWriter, ViolationError, read_packet

# TLS is done by then; a client that does not say CONNECT within this long is not one of ours.
CONNECT_TIMEOUT_S = 10
# More than any hall has devices; keeps a loop of reconnecting clients from taking all file descriptors.
CONNECTIONS_MAX = 2000

_log = logging.getLogger("hallseal.broker")


def configuration(folder: Path, port: int) -> BrokerConfig:
    """What amqtt is told. folder: of a provisioned hall."""
    hall = str(json.loads((folder / "hall.json").read_text("utf-8"))["hall"])
    broker = folder / "broker"
    listener = ListenerConfig(
        bind=f"127.0.0.1:{port}",
        ssl=True,
        cafile=broker / "clients.pem",
        certfile=broker / "server.pem",
        keyfile=broker / "server.key",
    )
    plugins: dict[str, Any] = {"simulator.certificate_acl.CertificateAcl": {"hall": hall}}
    return BrokerConfig(listeners={"default": listener}, plugins=plugins)


class HallBroker(Broker):
    """hall: name in the topics. counts: what happened since the start, by name."""

    def __init__(self, folder: Path, port: int) -> None:
        config = configuration(folder, port)
        assert isinstance(config.plugins, dict)
        self.hall: str = config.plugins["simulator.certificate_acl.CertificateAcl"]["hall"]
        self.counts = dict.fromkeys(("connected", "published", "delivered", "dropped", "refused"), 0)
        super().__init__(config)

    @property
    def port(self) -> int:
        """Where it listens, once started."""
        instance: Any = self._servers["default"].instance
        return int(instance.sockets[0].getsockname()[1])

    @staticmethod
    def _create_ssl_context(listener: ListenerConfig) -> ssl.SSLContext:
        """amqtt asks for a certificate and takes none for an answer; here the handshake fails without one."""
        context = Broker._create_ssl_context(listener)
        context.verify_mode = ssl.CERT_REQUIRED
        context.minimum_version = ssl.TLSVersion.TLSv1_2  # what devices speak
        return context

    async def stream_connected(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, listener_name: str
    ) -> None:
        """A TLS connection. amqtt's own writer waits for a dead peer's farewell, and its limit on connections leaks."""
        if self._servers[listener_name].conn_count >= CONNECTIONS_MAX:
            writer.transport.abort()
            return
        await self._client_connected(listener_name, StreamReaderAdapter(reader), PromptWriter(writer))

    async def _initialize_client_session(
        self, reader: ReaderAdapter, writer: WriterAdapter, remote_address: str, remote_port: int
    ) -> tuple[BrokerLink, Session]:
        """Read CONNECT and decide at once. Raises MQTTError, with the connection closed.

        amqtt first looks up the session of the client id that was claimed, and only then asks who that is: a stranger
        could end anybody's session, and would even be taken for its owner, because a found session still holds the
        certificate of the connection before. Every session here is new.
        """
        try:
            link, session = await self._read_connect(reader, writer)
            refusal = await self._refusal(session)
        except Exception as error:  # amqtt lets most errors through, and never releases the connection then
            await writer.close()
            raise MQTTError(f"no CONNECT: {type(error).__name__}") from error
        if refusal:
            self.counts["refused"] += 1
            await ConnackPacket.build(0, refusal).to_stream(writer)
            await writer.close()
            raise MQTTError(f"connection refused, code {refusal}")
        session.clean_session, session.parent = True, 0
        return link, session

    async def _read_connect(self, reader: ReaderAdapter, writer: WriterAdapter) -> tuple[BrokerLink, Session]:
        assert isinstance(reader, StreamReaderAdapter)
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            head, body = await read_packet(reader._reader)
        whole = BufferReader(head.to_bytes() + body)
        link, session = await BrokerLink.init_from_connect(whole, writer, self.plugins_manager)
        assert isinstance(link, BrokerLink)
        link.stream = reader._reader
        link.arrive = self._pass_on
        return link, session

    async def _refusal(self, session: Session) -> int:
        """0, or the code of CONNACK. A last will would be published by amqtt without asking the ACL: none is taken."""
        if not await self._authenticate(session, self.listeners_config["default"]):
            return int(NOT_AUTHORIZED)
        return int(IDENTIFIER_REJECTED) if session.will_flag else 0

    async def _handle_client_session(
        self, reader: ReaderAdapter, writer: WriterAdapter, session: Session, link: Any, server: Any, name: str
    ) -> None:
        """Serve a client until it goes.

        amqtt lets a connection that was taken over live on beside the new one, with its subscriptions, and makes a
        client that comes back quickly wait. Here the old connection is gone before the new one is known.
        """
        client = str(session.client_id)
        while client in self._sessions:
            await self._cleanup_session(client)
        session.transitions.connect()
        link.attach(session, reader, writer)
        self._sessions[client] = (session, link)
        self.counts["connected"] += 1
        try:
            await link.mqtt_connack_authorize(True)
            await link.start()
            await self._client_message_loop(session, link)
        except (OSError, MQTTError) as error:
            _log.info("connection of %s broke: %s", client, type(error).__name__)
        finally:
            await self._forget(client, session, link)

    async def _forget(self, client: str, session: Session, link: BrokerLink) -> None:
        """Nothing of a connection stays. amqtt's monitor would do it a second later, and could hit its successor."""
        self.counts["dropped"] += link.dropped
        if link.violation:
            self.counts["refused"] += 1
        if self._sessions.get(client, (None, None))[0] is session:
            await self._cleanup_session(client)
        else:
            await self._stop_handler(link)

    async def _session_monitor(self) -> None:
        """Nothing to watch: see _forget."""

    def _pass_on(self, client: str, topic: str, payload: bytes) -> None:
        """A message to whoever may have it, at once and in order.

        amqtt puts it on an unbounded queue, walks over all subscriptions with pauses in which they may change (the
        message is lost then), and keeps messages for the absent without a bound, to send them marked as retained,
        which devices and gateway rightly drop.
        """
        if not certificate_acl.may_publish(self.hall, client, topic):
            raise ViolationError("topic")
        self.counts["published"] += 1
        for wanted in (topic, _with_any_device(topic)):
            for session, _ in self._subscriptions.get(wanted, ()):
                found = self._sessions.get(str(session.client_id))
                if found is None or found[0] is not session:
                    continue
                link: Any = found[1]
                if certificate_acl.may_receive(self.hall, link.client, topic) and link.deliver(topic, payload):
                    self.counts["delivered"] += 1


def _with_any_device(topic: str) -> str:
    """The one filter with a wildcard that the ACL grants, made from a topic that it matches."""
    parts = topic.split("/")
    parts[3] = "+"
    return "/".join(parts)


async def serve(folder: Path, port: int) -> None:
    """Run until SIGTERM or SIGINT; one line says when clients may come and at which port, one at the end what it

    did.
    """
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    broker = HallBroker(folder, port)
    await broker.start()
    print(f"READY {broker.port}", flush=True)
    await stop.wait()
    await broker.shutdown()
    print("STOPPED " + " ".join(f"{name}={count}" for name, count in broker.counts.items()), flush=True)


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """The command `broker`."""
    parser = commands.add_parser(
        "broker",
        help="the hall's MQTT broker, which keeps nothing",
        description="Serves MQTT over TLS on 127.0.0.1 to holders of the hall's certificates. Runs until SIGTERM.",
    )
    parser.add_argument("--hall", type=Path, required=True, help="folder of the hall, as hallseal-provision made it")
    parser.add_argument("--port", type=int, default=8883, help="port on 127.0.0.1; 0 picks a free one (default 8883)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Serve; 0 after SIGTERM or Ctrl-C."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(message)s")
    for noisy in ("amqtt", "transitions", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    asyncio.run(serve(options.hall, options.port))
    return 0
