"""The simulated broker against clients that should not get what they want, with real certificates and sockets."""

import asyncio
import contextlib
import datetime
import os
import random
import signal
import ssl
import sys
from asyncio import constants
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import small_hall
from amqtt.broker import Broker

from firmware.mqtt import Mqtt, MqttError, packet
from provisioning import authority
from simulator import broker_link, certificate_acl
from simulator.broker import HallBroker, configuration
from simulator.desk_board import tls_context

TIMEOUT_S = 5
# How long asyncio waits for the TLS farewell of a peer that is gone.
FAREWELL_S = constants.SSL_SHUTDOWN_TIMEOUT
# Long enough for a message that must not come: loopback needs a millisecond.
QUIET_S = 0.1
E1_UP, E1_DOWN = "hallseal/1/yongxing/e-001/up", "hallseal/1/yongxing/e-001/down"
E2_UP, E2_DOWN = "hallseal/1/yongxing/e-002/up", "hallseal/1/yongxing/e-002/down"
ALL_UP = "hallseal/1/yongxing/+/up"


@pytest.fixture(scope="module")
def hall_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One hall for all of these tests, none of which changes it."""
    return small_hall.make(tmp_path_factory.mktemp("broker") / "hall", evaluators=2)


@pytest.fixture
async def broker(hall_dir: Path) -> AsyncIterator[HallBroker]:
    """A broker for the fresh hall."""
    running = HallBroker(hall_dir, 0)
    await running.start()
    yield running
    await running.shutdown()


class Client:
    """One TLS connection; `heard` is every message that came, as (topic, payload)."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        self.reader = reader
        self.heard: list[tuple[str, bytes]] = []
        self._news = asyncio.Event()
        self.mqtt = Mqtt(reader, writer, self._take)
        self._listener: asyncio.Task[None] | None = None

    def _take(self, topic: str, payload: bytes, retained: bool) -> None:
        assert not retained
        self.heard.append((topic, payload))
        self._news.set()

    def listen(self) -> None:
        self._listener = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        with contextlib.suppress(MqttError, OSError, EOFError):
            await self.mqtt.listen()

    async def wait_for(self, count: int) -> list[tuple[str, bytes]]:
        """What was heard, once there are `count` messages."""
        async with asyncio.timeout(TIMEOUT_S):
            while len(self.heard) < count:
                self._news.clear()
                await self._news.wait()
        return self.heard

    async def ended(self) -> bool:
        """True when the broker ends this connection."""
        if self._listener:
            await asyncio.wait([self._listener], timeout=TIMEOUT_S)
            return self._listener.done()
        async with asyncio.timeout(TIMEOUT_S):
            while await self.reader.read(4096):
                pass
        return True

    async def close(self) -> None:
        if self._listener:
            self._listener.cancel()
        self.writer.transport.abort()


def context_of(hall: Path, name: str) -> ssl.SSLContext:
    """The TLS context of a device, or of the gateway."""
    if name != "gateway":
        return tls_context(hall / "devices" / name / "flash")
    context = ssl.create_default_context(cafile=str(hall / "gateway/root.pem"))
    context.load_cert_chain(hall / "gateway/tls.pem", hall / "gateway/tls.key")
    return context


async def dial(port: int, context: ssl.SSLContext) -> Client:
    return Client(*await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="127.0.0.1"))


async def join(broker: HallBroker, hall: Path, name: str, filters: tuple[str, ...] | None = None) -> Client:
    """A connected and listening client; subscribed to what it may have unless `filters` says otherwise."""
    client = await dial(broker.port, context_of(hall, name))
    await client.mqtt.connect(name, 60)
    wanted = (ALL_UP if name == "gateway" else f"hallseal/1/yongxing/{name}/down",) if filters is None else filters
    for each in wanted:
        await client.mqtt.subscribe(each)
    client.listen()
    return client


async def greeting(port: int, context: ssl.SSLContext, client_id: str) -> str:
    """How the broker receives a CONNECT: "welcome", a reason, or the error that ended the connection."""
    try:
        client = await dial(port, context)
        await client.mqtt.connect(client_id, 60)
        await client.close()
        return "welcome"
    except (MqttError, OSError, EOFError) as error:
        return str(error) if isinstance(error, MqttError) else type(error).__name__


def publish_packet(topic: str, payload: bytes, flags: int = 0x02) -> bytes:
    """A PUBLISH as it is on the wire; flags 0x02 is QoS 1."""
    name = topic.encode()
    number = b"\x00\x07" if flags & 0x06 else b""
    return packet(0x30 | flags, len(name).to_bytes(2, "big") + name + number + payload)


# --- who may connect


@pytest.mark.parametrize("name", ["e-001", "c-001", "gateway"])
async def test_the_hall_s_own_clients_are_let_in(broker: HallBroker, hall_dir: Path, name: str) -> None:
    assert await greeting(broker.port, context_of(hall_dir, name), name) == "welcome"


async def test_a_client_without_certificate_is_refused(broker: HallBroker, hall_dir: Path) -> None:
    context = ssl.create_default_context(cafile=str(hall_dir / "gateway/root.pem"))
    assert await greeting(broker.port, context, "e-001") in ("ConnectionResetError", "IncompleteReadError", "SSLError")
    assert broker.counts["connected"] == 0


async def test_the_plug_in_alone_refuses_a_client_without_certificate(hall_dir: Path) -> None:
    """amqtt as it comes leaves the certificate optional; the rules do not rely on our own TLS settings."""
    plain = Broker(configuration(hall_dir, 0))
    await plain.start()
    try:
        port = plain._servers["default"].instance.sockets[0].getsockname()[1]
        context = ssl.create_default_context(cafile=str(hall_dir / "gateway/root.pem"))
        assert await greeting(port, context, "e-001") == "not authorised"
        assert await greeting(port, context_of(hall_dir, "e-002"), "e-001") == "not authorised"
        assert await greeting(port, context_of(hall_dir, "c-001"), "c-001") == "welcome"
    finally:
        await plain.shutdown()


@pytest.mark.parametrize("claimed", ["e-001", "gateway", "", "E-002", "e-002/up"])
async def test_a_client_is_refused_under_any_name_but_its_certificate_s(
    broker: HallBroker, hall_dir: Path, claimed: str
) -> None:
    assert await greeting(broker.port, context_of(hall_dir, "e-002"), claimed) in ("not authorised", "client id")
    assert broker.counts["connected"] == 0


async def test_a_claimed_name_does_not_disturb_its_owner(broker: HallBroker, hall_dir: Path) -> None:
    """amqtt looks up, and ends, the session of a claimed name before it asks who claims it."""
    owner = await join(broker, hall_dir, "e-001")
    gateway = await join(broker, hall_dir, "gateway")
    assert await greeting(broker.port, context_of(hall_dir, "e-002"), "e-001") == "not authorised"
    await gateway.mqtt.publish(E1_DOWN, [b"still there"])
    assert await owner.wait_for(1) == [(E1_DOWN, b"still there")]


async def test_a_client_of_another_authority_is_refused(broker: HallBroker, hall_dir: Path, tmp_path: Path) -> None:
    now = datetime.datetime.now(datetime.UTC)
    root = authority.make_root("yongxing", now)
    context = ssl.create_default_context(cafile=str(hall_dir / "gateway/root.pem"))
    _show(context, tmp_path, authority.issue_server("yongxing", "e-001", ["e-001"], root, now))
    assert await greeting(broker.port, context, "e-001") != "welcome"
    assert broker.counts["connected"] == 0


async def test_a_server_s_certificate_is_no_login(broker: HallBroker, hall_dir: Path) -> None:
    context = ssl.create_default_context(cafile=str(hall_dir / "gateway/root.pem"))
    context.load_cert_chain(hall_dir / "broker/server.pem", hall_dir / "broker/server.key")
    assert await greeting(broker.port, context, "broker") != "welcome"
    assert broker.counts["connected"] == 0


def _show(context: ssl.SSLContext, folder: Path, made: authority.Certified) -> None:
    (folder / "shown.pem").write_bytes(made.certificate_pem())
    (folder / "shown.key").write_bytes(made.key_pem())
    context.load_cert_chain(folder / "shown.pem", folder / "shown.key")


# --- who may say and hear what


async def test_a_record_reaches_the_gateway_and_a_receipt_its_device_alone(broker: HallBroker, hall_dir: Path) -> None:
    gateway, one, two = [await join(broker, hall_dir, name) for name in ("gateway", "e-001", "e-002")]
    await one.mqtt.publish(E1_UP, [b"record"])
    assert await gateway.wait_for(1) == [(E1_UP, b"record")]
    await gateway.mqtt.publish(E1_DOWN, [b"receipt"])
    assert await one.wait_for(1) == [(E1_DOWN, b"receipt")]
    await asyncio.sleep(QUIET_S)
    assert (gateway.heard, two.heard) == ([(E1_UP, b"record")], [])


@pytest.mark.parametrize(
    "topic",
    [E2_UP, E2_DOWN, E1_DOWN, ALL_UP, "hallseal/1/elsewhere/e-001/up", "hallseal/2/yongxing/e-001/up", "$SYS/x", ""],
)
async def test_a_device_that_publishes_anywhere_but_up_is_cut_off(
    broker: HallBroker, hall_dir: Path, topic: str
) -> None:
    gateway, other, rogue = [await join(broker, hall_dir, name) for name in ("gateway", "e-002", "e-001")]
    rogue.writer.write(publish_packet(topic, b"spoofed"))
    assert await rogue.ended()
    await other.mqtt.publish(E2_UP, [b"honest"])
    assert await gateway.wait_for(1) == [(E2_UP, b"honest")]
    assert other.heard == []
    assert broker.counts["published"] == 1


@pytest.mark.parametrize("topic", [E1_UP, "hallseal/1/elsewhere/e-001/down", "hallseal/1/yongxing/gateway/down"])
async def test_the_gateway_publishes_down_in_its_hall_only(broker: HallBroker, hall_dir: Path, topic: str) -> None:
    gateway = await join(broker, hall_dir, "gateway")
    gateway.writer.write(publish_packet(topic, b"?"))
    assert await gateway.ended()
    assert broker.counts["published"] == 0


@pytest.mark.parametrize(
    "wanted", [E2_DOWN, E1_UP, ALL_UP, "#", "hallseal/#", "hallseal/1/yongxing/+/down", "hallseal/1/+/e-001/down"]
)
async def test_a_device_subscribes_to_its_own_down_only(broker: HallBroker, hall_dir: Path, wanted: str) -> None:
    client = await dial(broker.port, context_of(hall_dir, "e-001"))
    await client.mqtt.connect("e-001", 60)
    with pytest.raises(MqttError, match="subscribe"):
        await client.mqtt.subscribe(wanted)
    assert wanted not in broker.subscriptions


@pytest.mark.parametrize("wanted", ["#", "hallseal/1/+/+/up", "hallseal/1/yongxing/+/down", E1_DOWN, E1_UP])
async def test_the_gateway_subscribes_to_the_records_of_its_hall_only(
    broker: HallBroker, hall_dir: Path, wanted: str
) -> None:
    client = await dial(broker.port, context_of(hall_dir, "gateway"))
    await client.mqtt.connect("gateway", 60)
    with pytest.raises(MqttError, match="subscribe"):
        await client.mqtt.subscribe(wanted)


async def test_what_a_client_must_not_receive_is_not_sent_whatever_it_is_subscribed_to(
    broker: HallBroker, hall_dir: Path
) -> None:
    gateway, one, two = [await join(broker, hall_dir, name) for name in ("gateway", "e-001", "e-002")]
    spy_session, _ = broker.sessions["e-002"]
    broker.subscriptions[E1_DOWN].append((spy_session, 1))  # as if a subscription had slipped through
    await gateway.mqtt.publish(E1_DOWN, [b"receipt"])
    assert await one.wait_for(1) == [(E1_DOWN, b"receipt")]
    await asyncio.sleep(QUIET_S)
    assert two.heard == []


@pytest.mark.parametrize("rule", [certificate_acl.may_publish, certificate_acl.may_receive])
def test_no_rule_grants_a_device_what_belongs_to_another(rule: Callable[[str, str, str], bool]) -> None:
    names = ("e-001", "e-0011", "e-00", "gateway", "E-001", "e-001/", "+", "")
    granted = {
        (client, device)
        for client in names
        for device in names
        if client != certificate_acl.GATEWAY
        and any(rule("h", client, f"hallseal/1/h/{device}/{way}") for way in ("up", "down"))
    }
    assert granted == {(name, name) for name in ("e-001", "e-0011", "e-00")}


# --- what may not be sent


WILL_CONNECT = packet(
    0x10,
    b"\x00\x04MQTT\x04\x04\x00\x3c"
    + b"".join(len(part).to_bytes(2, "big") + part for part in (b"e-001", E2_UP.encode(), b"will")),
)


async def test_a_last_will_is_refused_because_nothing_would_check_its_topic(broker: HallBroker, hall_dir: Path) -> None:
    client = await dial(broker.port, context_of(hall_dir, "e-001"))
    client.writer.write(WILL_CONNECT)
    assert await client.reader.readexactly(4) == b"\x20\x02\x00\x02"
    assert await client.ended()


@pytest.mark.parametrize(
    ("sent", "why"),
    [
        (publish_packet(E1_UP, b"x", 0x03), "retained message"),
        (publish_packet(E1_UP, b"x", 0x04), "quality of service"),
        (publish_packet(E1_UP, bytes(4097)), "message too long"),
        (b"\x32\xff\xff\xff\x7f", "packet too long"),
        (b"\x32\xff\xff\xff\xff\x01", "packet too long"),
        (packet(0x10, b"\x00\x04MQTT\x04\x02\x00\x3c\x00\x05e-001"), "packet type"),
        (packet(0x62, b"\x00\x01"), "packet type"),
        (b"\x00\x00", "packet type"),
        (b"\xf0\x00", "packet type"),
        (packet(0x82, b"\x00"), ""),
        (packet(0x32, b"\x00\xffshort"), ""),
    ],
)
async def test_what_breaks_the_rules_ends_the_connection_and_no_other(
    broker: HallBroker, hall_dir: Path, sent: bytes, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    gateway, rogue, honest = [await join(broker, hall_dir, name) for name in ("gateway", "e-001", "e-002")]
    rogue.writer.write(sent)
    assert await rogue.ended()
    assert why in caplog.text
    await honest.mqtt.publish(E2_UP, [b"honest"])
    assert await gateway.wait_for(1) == [(E2_UP, b"honest")]
    assert await greeting(broker.port, context_of(hall_dir, "e-001"), "e-001") == "welcome"


async def test_noise_does_not_hurt_the_broker(broker: HallBroker, hall_dir: Path) -> None:
    noise = random.Random(1)
    for attempt in range(40):
        client = await dial(broker.port, context_of(hall_dir, "e-001"))
        if attempt % 2:
            await client.mqtt.connect("e-001", 60)
        client.writer.write(noise.randbytes(6000))
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(QUIET_S):  # a packet that was promised longer than the noise is waited for
                await client.reader.read()
        await client.close()
    assert await greeting(broker.port, context_of(hall_dir, "e-001"), "e-001") == "welcome"


async def test_the_longest_message_passes(broker: HallBroker, hall_dir: Path) -> None:
    gateway, device = [await join(broker, hall_dir, name) for name in ("gateway", "e-001")]
    longest = os.urandom(4096)
    await device.mqtt.publish(E1_UP, [longest])
    assert await gateway.wait_for(1) == [(E1_UP, longest)]


# --- coming, going, and coming back


async def test_a_take_over_ends_the_old_connection_and_messages_come_once(broker: HallBroker, hall_dir: Path) -> None:
    gateway = await join(broker, hall_dir, "gateway")
    old = await join(broker, hall_dir, "e-001")
    new = await join(broker, hall_dir, "e-001")
    assert await old.ended()
    await gateway.mqtt.publish(E1_DOWN, [b"once"])
    assert await new.wait_for(1) == [(E1_DOWN, b"once")]
    await asyncio.sleep(QUIET_S)
    assert (old.heard, new.heard) == ([], [(E1_DOWN, b"once")])
    assert len(broker.sessions) == 2


async def test_a_dead_connection_does_not_delay_its_successor(broker: HallBroker, hall_dir: Path) -> None:
    """amqtt would wait for the old peer's TLS farewell, half a minute when there is none."""
    dead = await join(broker, hall_dir, "e-001")
    dead.writer.transport.pause_reading()  # type: ignore[attr-defined]
    before = asyncio.get_running_loop().time()
    await join(broker, hall_dir, "e-001")
    assert asyncio.get_running_loop().time() - before < FAREWELL_S / 3


async def test_many_take_overs_at_once_leave_one_connection(broker: HallBroker, hall_dir: Path) -> None:
    clients = await asyncio.gather(*(dial(broker.port, context_of(hall_dir, "e-001")) for _ in range(8)))
    await asyncio.gather(*(client.mqtt.connect("e-001", 60) for client in clients), return_exceptions=True)

    def left() -> int:
        return sum(not client.reader.at_eof() and client.reader.exception() is None for client in clients)

    async with asyncio.timeout(TIMEOUT_S):
        while left() > 1:
            await asyncio.sleep(0.01)
    await asyncio.sleep(QUIET_S)
    assert list(broker.sessions) == ["e-001"]
    assert left() == 1


async def test_nothing_is_kept_for_who_is_away(broker: HallBroker, hall_dir: Path) -> None:
    """PUBACK is not delivery: this broker makes sure that nobody comes to believe it."""
    gateway = await join(broker, hall_dir, "gateway")
    device = await join(broker, hall_dir, "e-001")
    await gateway.close()
    while "gateway" in broker.sessions:
        await asyncio.sleep(0.01)
    before = device.mqtt.received
    await device.mqtt.publish(E1_UP, [b"lost"])
    async with asyncio.timeout(TIMEOUT_S):
        while device.mqtt.received == before:  # its PUBACK
            await asyncio.sleep(0.01)
    back = await dial(broker.port, context_of(hall_dir, "gateway"))
    assert await back.mqtt.connect("gateway", 60) == 0  # no session present, though none was to be cleaned
    await back.mqtt.subscribe(ALL_UP)
    back.listen()
    await device.mqtt.publish(E1_UP, [b"kept"])
    assert await back.wait_for(1) == [(E1_UP, b"kept")]


async def test_nothing_of_a_client_stays_when_it_is_gone(broker: HallBroker, hall_dir: Path) -> None:
    for _ in range(3):
        client = await join(broker, hall_dir, "e-001")
        await client.close()
    async with asyncio.timeout(TIMEOUT_S):
        while broker.sessions or broker._servers["default"].conn_count:
            await asyncio.sleep(0.01)
    assert broker.subscriptions == {}


async def test_a_silent_client_is_cut_off_after_one_and_a_half_keep_alives(broker: HallBroker, hall_dir: Path) -> None:
    client = await dial(broker.port, context_of(hall_dir, "e-001"))
    before = asyncio.get_running_loop().time()
    await client.mqtt.connect("e-001", 1)
    assert await client.ended()
    assert 1.4 < asyncio.get_running_loop().time() - before < 3


async def test_a_client_that_does_not_acknowledge_loses_messages_and_nobody_else_does(
    broker: HallBroker, hall_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broker_link, "IN_FLIGHT_MAX", 5)
    device = await join(broker, hall_dir, "e-001")
    stalled = await dial(broker.port, context_of(hall_dir, "gateway"))
    await stalled.mqtt.connect("gateway", 60)
    await stalled.mqtt.subscribe(ALL_UP)
    before = device.mqtt.received
    for number in range(9):
        await device.mqtt.publish(E1_UP, [bytes((number,))])
    async with asyncio.timeout(TIMEOUT_S):
        while device.mqtt.received < before + 9:
            await asyncio.sleep(0.01)
    assert (broker.counts["published"], broker.counts["delivered"]) == (9, 5)
    stalled.listen()  # acknowledges what came, and there is room again
    await stalled.wait_for(5)
    await asyncio.sleep(QUIET_S)
    await device.mqtt.publish(E1_UP, [b"later"])
    assert (await stalled.wait_for(6))[-1] == (E1_UP, b"later")


async def test_the_order_of_a_device_s_messages_is_kept(broker: HallBroker, hall_dir: Path) -> None:
    gateway, device = [await join(broker, hall_dir, name) for name in ("gateway", "e-001")]
    for number in range(200):
        await device.mqtt.publish(E1_UP, [number.to_bytes(2, "big")])
    heard = await gateway.wait_for(200)
    assert [int.from_bytes(payload, "big") for _, payload in heard] == list(range(200))


async def test_the_process_says_when_it_is_ready_and_ends_at_once_on_sigterm(hall_dir: Path) -> None:
    code = "import sys, simulator.broker as b, pathlib, argparse as a; p = a.ArgumentParser(); "
    code += "b.add_parser(p.add_subparsers()); o = p.parse_args(sys.argv[1:]); sys.exit(o.run(o))"
    command = [sys.executable, "-c", code, "broker", "--hall", str(hall_dir), "--port", "0"]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdout=pipe, cwd=Path(__file__).parent.parent)
    assert process.stdout
    try:
        async with asyncio.timeout(20):
            ready, port = (await process.stdout.readline()).split()
        client = await dial(int(port), context_of(hall_dir, "e-001"))
        await client.mqtt.connect("e-001", 60)
        before = asyncio.get_running_loop().time()
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(10):
            rest = await process.stdout.read()
            status = await process.wait()
        assert asyncio.get_running_loop().time() - before < 3
    finally:
        if process.returncode is None:
            process.kill()
    assert (ready, status) == (b"READY", 0)
    assert b"connected=1 published=0" in rest


def test_every_plug_in_of_the_configuration_is_ours(hall_dir: Path) -> None:
    """amqtt's default plug-ins let anonymous clients in."""
    plugins: Any = configuration(hall_dir, 0).plugins
    assert list(plugins) == ["simulator.certificate_acl.CertificateAcl"]
