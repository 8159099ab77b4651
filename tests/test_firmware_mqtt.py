"""The devices' MQTT client against real brokers, and against peers that break the protocol."""

import asyncio
import contextlib
import ssl

import paho.mqtt.client as paho
import pytest
import small_hall
from hall_broker import EmbeddedBroker, Mosquitto
from hypothesis import given
from hypothesis import strategies as st

from firmware import mqtt as mqtt_module
from firmware.mqtt import PACKET_BYTES_MAX, Mqtt, MqttError, packet
from firmware.uplink import LINK_ERRORS
from simulator.desk_board import tls_context

TIMEOUT_S = 10
UP, DOWN = "hallseal/1/yongxing/e-001/up", "hallseal/1/yongxing/e-001/down"
CONNACK, SUBACK = b"\x20\x02\x00\x00", b"\x90\x03\x00\x01\x01"


# --- real brokers


@pytest.fixture(scope="module")
def hall(tmp_path_factory):
    return small_hall.make(tmp_path_factory.mktemp("mqtt") / "hall", clocks=0)


@pytest.fixture(params=[pytest.param("mosquitto", marks=pytest.mark.broker), "embedded"], scope="module", name="broker")
def _broker(request, hall, tmp_path_factory):
    folder = tmp_path_factory.mktemp("broker") / request.param
    if request.param == "mosquitto":
        running = Mosquitto(request.getfixturevalue("mosquitto"), hall, folder)
    else:
        running = EmbeddedBroker(hall, folder)
    yield running
    running.kill()


@pytest.fixture(name="kept")
def _kept(mosquitto, hall, tmp_path):
    """A broker that keeps sessions, new for this test."""
    running = Mosquitto(mosquitto, hall, tmp_path / "mosquitto")
    yield running
    running.kill()


class Gateway:
    """The other side, by another implementation (paho). heard: [(topic, payload)] as they came."""

    def __init__(self, hall, port):
        self.heard = []
        self._loop = asyncio.get_running_loop()
        self._news = asyncio.Event()
        self._client = paho.Client(paho.CallbackAPIVersion.VERSION2, "gateway", protocol=paho.MQTTv311)
        folder = hall / "gateway"
        self._client.tls_set(folder / "root.pem", folder / "tls.pem", folder / "tls.key", ssl.CERT_REQUIRED)
        self._client.on_connect = lambda client, *_: client.subscribe("hallseal/1/yongxing/+/up", 1)
        self._client.on_subscribe = lambda *_: self._tell(None)
        self._client.on_message = lambda client, data, message: self._tell((message.topic, message.payload))
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def _tell(self, news):
        self._loop.call_soon_threadsafe(self._take, news)

    def _take(self, news):
        self.heard += [news] if news else []
        self._news.set()

    async def ready(self):
        async with asyncio.timeout(TIMEOUT_S):
            await self._news.wait()
        return self

    async def wait_for(self, count):
        async with asyncio.timeout(TIMEOUT_S):
            while len(self.heard) < count:
                self._news.clear()
                await self._news.wait()
        return self.heard

    async def send(self, payload):
        """Publish and wait for the broker's word."""
        info = self._client.publish(DOWN, payload, 1)
        async with asyncio.timeout(TIMEOUT_S):
            while not info.is_published():
                await asyncio.sleep(0.01)

    def close(self):
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture(name="gateway")
async def _gateway(hall, broker):
    found = await Gateway(hall, broker.port).ready()
    yield found
    found.close()


class Device:
    """An Mqtt with its socket. heard: [(topic, payload, retained)]."""

    def __init__(self, reader, writer):
        self.heard = []
        self.writer = writer
        self.mqtt = Mqtt(reader, writer, lambda *message: self.heard.append(message))
        self.listening = None

    async def wait_for(self, count):
        async with asyncio.timeout(TIMEOUT_S):
            while len(self.heard) < count:
                await asyncio.sleep(0.005)
        return self.heard

    def listen(self):
        self.listening = asyncio.create_task(self.mqtt.listen())

    def drop(self):
        """The cable is cut: no farewell."""
        if self.listening:
            self.listening.cancel()
        self.writer.transport.abort()


@pytest.fixture(name="dial")
async def _dial(hall):
    """Function (port, keep_alive_s=60, serve=True): (a Device over TLS, session present)."""
    made = []

    async def dial(port, keep_alive_s=60, serve=True):
        context = tls_context(hall / "devices/e-001/flash")
        device = Device(*await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="127.0.0.1"))
        made.append(device)
        present = await device.mqtt.connect("e-001", keep_alive_s)
        if serve:
            await device.mqtt.subscribe(DOWN)
            device.listen()
        return device, present

    yield dial
    for device in made:
        device.drop()


async def test_messages_of_every_length_arrive_whole(broker, gateway, dial):
    device, _ = await dial(broker.port)
    wanted = [bytes((size & 0xFF,)) * size for size in (1, 80, 81, 127, 128, 449, 3913, 4096)]
    for payload in wanted:
        await device.mqtt.publish(UP, [payload])
    assert await gateway.wait_for(len(wanted)) == [(UP, payload) for payload in wanted]


async def test_many_in_flight_arrive_once_and_in_order(broker, gateway, dial):
    device, _ = await dial(broker.port)
    wanted = [b"%d" % number for number in range(200)]
    for payload in wanted:
        await device.mqtt.publish(UP, [payload])
    assert [payload for _, payload in await gateway.wait_for(200)] == wanted
    await asyncio.sleep(0.1)  # long enough for a second delivery that must not come
    assert len(gateway.heard) == 200


async def test_what_comes_down_arrives_once_and_in_order(broker, gateway, dial):
    device, _ = await dial(broker.port)
    wanted = [b"%d" % number for number in range(30)]
    for payload in wanted:
        await gateway.send(payload)
    assert await device.wait_for(30) == [(DOWN, payload, False) for payload in wanted]


async def test_pings_keep_a_silent_link_alive(broker, dial):
    """With a keep-alive of one second a broker ends a silent link after one and a half."""
    silent, _ = await dial(broker.port, keep_alive_s=1)
    await asyncio.wait([silent.listening], timeout=TIMEOUT_S)
    assert silent.listening.done()
    alive, _ = await dial(broker.port, keep_alive_s=1)
    received = alive.mqtt.received
    for _ in range(5):
        await asyncio.sleep(0.4)
        await alive.mqtt.ping()
    assert not alive.listening.done()
    assert alive.mqtt.received > received


async def test_a_broker_that_keeps_nothing_says_so(hall, tmp_path, dial):
    broker = EmbeddedBroker(hall, tmp_path / "embedded")
    try:
        for _ in range(2):
            device, present = await dial(broker.port)
            assert not present
            device.drop()
    finally:
        broker.kill()


@pytest.mark.broker
async def test_a_session_is_found_again_with_what_came_meanwhile(hall, kept, dial):
    device, present = await dial(kept.port)
    assert not present
    device.drop()
    gateway = await Gateway(hall, kept.port).ready()
    try:
        await gateway.send(b"while away")
        device, present = await dial(kept.port)
        assert present
        assert await device.wait_for(1) == [(DOWN, b"while away", False)]
    finally:
        gateway.close()


@pytest.mark.broker
async def test_what_was_acknowledged_does_not_come_again(hall, kept, dial):
    device, _ = await dial(kept.port)
    gateway = await Gateway(hall, kept.port).ready()
    try:
        await gateway.send(b"first")
        await device.wait_for(1)
        device.drop()
        device, _ = await dial(kept.port)
        await gateway.send(b"second")
        assert await device.wait_for(1) == [(DOWN, b"second", False)]
    finally:
        gateway.close()


@pytest.mark.broker
async def test_a_broker_that_forgot_everything_is_subscribed_to_anew(hall, kept, dial):
    device, _ = await dial(kept.port)
    kept.kill()
    await asyncio.wait([device.listening], timeout=TIMEOUT_S)
    assert isinstance(device.listening.exception(), LINK_ERRORS)
    kept.start()
    device, present = await dial(kept.port)
    assert not present
    gateway = await Gateway(hall, kept.port).ready()
    try:
        await gateway.send(b"again")
        assert await device.wait_for(1) == [(DOWN, b"again", False)]
    finally:
        gateway.close()


# --- peers that break the protocol


class Written:
    """A writer that keeps each write apart."""

    def __init__(self):
        self.writes = []

    def write(self, data):
        self.writes.append(bytes(data))

    async def drain(self):
        await asyncio.sleep(0)

    def close(self):
        """Nothing to close."""

    async def wait_closed(self):
        """At once."""


def from_bytes(sent, heard=None):
    """An Mqtt whose peer sends these bytes and closes."""
    reader = asyncio.StreamReader()
    reader.feed_data(sent)
    reader.feed_eof()
    writer = Written()
    kept = [] if heard is None else heard
    return Mqtt(reader, writer, lambda *message: kept.append(message)), writer


def publication(flags, payload=b"x", topic=DOWN, number=b"\x00\x09"):
    name = topic.encode()
    return packet(0x30 | flags, len(name).to_bytes(2, "big") + name + (number if flags & 6 else b"") + payload)


@pytest.mark.parametrize(
    ("code", "word"),
    [
        (1, "protocol version"),
        (2, "client id"),
        (3, "server unavailable"),
        (4, "user name"),
        (5, "not authorised"),
        (6, "not authorised"),
        (255, "not authorised"),
    ],
)
async def test_a_refused_connection_says_why(code, word):
    client, _ = from_bytes(bytes((0x20, 2, 0, code)))
    with pytest.raises(MqttError, match=word):
        await client.connect("e-001", 60)


async def test_connect_asks_for_a_kept_session_and_nothing_else():
    client, writer = from_bytes(CONNACK)
    assert await client.connect("e-001", 60) == 0
    assert writer.writes == [b"\x10\x11\x00\x04MQTT\x04\x00\x00\x3c\x00\x05e-001"]
    assert await from_bytes(b"\x20\x02\x01\x00")[0].connect("e-001", 60) == 1


@pytest.mark.parametrize(
    "answer", [b"\x90\x03\x00\x01\x80", b"\x90\x00", b"\x90\x01\x01", b"\x90\x03\x00\x02\x01", b"\x90\x03\x00\x01\x02"]
)
async def test_a_subscription_that_was_not_granted_is_an_error(answer):
    client, _ = from_bytes(answer)
    with pytest.raises(MqttError, match="subscribe"):
        await client.subscribe(DOWN)


async def test_messages_before_the_answer_to_a_subscription_are_delivered():
    heard = []
    client, writer = from_bytes(publication(2) + SUBACK, heard)
    await client.subscribe(DOWN)
    assert heard == [(DOWN, b"x", False)]
    assert writer.writes[1] == b"\x40\x02\x00\x09"


@pytest.mark.parametrize(
    "sent",
    [
        b"\x32\xff\xff\xff\x7f",
        b"\x32\xff\xff\xff\xff\x01",
        b"\x32\x80\x80\x80\x80\x00",
        b"\x32" + bytes(((PACKET_BYTES_MAX + 1) & 0x7F | 0x80, (PACKET_BYTES_MAX + 1) >> 7)),
    ],
)
async def test_a_packet_that_claims_too_much_is_refused_before_it_is_read(sent):
    client, _ = from_bytes(sent + b"x")
    with pytest.raises(MqttError, match="size"):
        await client.listen()


@pytest.mark.parametrize(
    "sent",
    [
        packet(0x32, b""),
        packet(0x32, b"\x00"),
        packet(0x32, b"\x00\x05abc"),
        packet(0x32, b"\x00\x03abc\x01"),
        publication(4),
        publication(6),
        packet(0x00, b""),
        packet(0x10, b""),
        packet(0x20, b"\x00\x00"),
        packet(0x62, b"\x00\x01"),
        packet(0x90, b"\x00\x01\x01"),
        packet(0xE0, b""),
        packet(0xF0, b""),
    ],
)
async def test_a_packet_that_must_not_come_ends_the_link(sent):
    heard = []
    client, _ = from_bytes(sent, heard)
    with pytest.raises(MqttError):
        await client.listen()
    assert heard == []


async def test_every_quality_below_two_is_taken_and_retained_is_told_apart():
    heard = []
    client, writer = from_bytes(publication(0, b"a") + publication(2, b"b") + publication(0x0B, b"c"), heard)
    with pytest.raises(EOFError):
        await client.listen()
    assert heard == [(DOWN, b"a", False), (DOWN, b"b", False), (DOWN, b"c", True)]
    assert writer.writes == [b"\x40\x02\x00\x09"] * 2


@given(st.lists(st.one_of(st.binary(max_size=40), st.sampled_from([CONNACK, SUBACK, publication(2), b"\xd0\x00"]))))
def test_noise_ends_the_link_and_nothing_else(pieces):
    async def listen():
        with pytest.raises(LINK_ERRORS):
            await from_bytes(b"".join(pieces))[0].listen()

    asyncio.run(listen())


async def test_every_packet_is_one_write():
    client, writer = from_bytes(CONNACK + SUBACK)
    await client.connect("e-001", 60)
    await client.subscribe(DOWN)
    await client.publish(UP, [bytes(449)])
    await client.ping()
    assert [data[0] for data in writer.writes] == [0x10, 0x82, 0x32, 0xC0]


async def test_packet_numbers_go_round_and_are_never_zero():
    client, writer = from_bytes(b"")
    client._packet_id = 0xFFFE
    for _ in range(3):
        await client.publish(UP, [b"x"])
    start = 4 + len(UP)
    assert [data[start : start + 2] for data in writer.writes] == [b"\xff\xff", b"\x00\x01", b"\x00\x02"]


@contextlib.asynccontextmanager
async def peer(serve):
    """Port of a plain server that does serve(reader, writer) with each connection."""
    tasks = set()

    async def begin(reader, writer):
        tasks.add(asyncio.current_task())
        with contextlib.suppress(OSError, EOFError):
            await serve(reader, writer)

    server = await asyncio.start_server(begin, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            task.cancel()


async def _silent(reader, writer):
    await asyncio.sleep(TIMEOUT_S)


async def test_a_server_that_says_nothing_is_given_up(monkeypatch):
    monkeypatch.setattr(mqtt_module, "PACKET_TIMEOUT_S", 0.1)
    async with peer(_silent) as port:
        for call in (lambda client: client.connect("e-001", 60), lambda client: client.subscribe(DOWN)):
            device = Device(*await asyncio.open_connection("127.0.0.1", port))
            with pytest.raises(asyncio.TimeoutError):
                await call(device.mqtt)
            device.drop()


async def test_silence_within_a_packet_ends_the_link(monkeypatch):
    monkeypatch.setattr(mqtt_module, "PACKET_TIMEOUT_S", 0.1)
    for half in (b"\x32", b"\x32\x84", b"\x32\x84\x02", publication(2)[:-1]):

        async def stop_half_way(reader, writer, half=half):
            writer.write(half)
            await asyncio.sleep(TIMEOUT_S)

        async with peer(stop_half_way) as port:
            device = Device(*await asyncio.open_connection("127.0.0.1", port))
            with pytest.raises(asyncio.TimeoutError):
                await device.mqtt.listen()
            device.drop()


async def test_a_peer_that_reads_nothing_is_given_up(monkeypatch):
    monkeypatch.setattr(mqtt_module, "PACKET_TIMEOUT_S", 0.2)
    async with peer(_silent) as port:
        device = Device(*await asyncio.open_connection("127.0.0.1", port))

        async def publish_for_ever():
            while True:
                await device.mqtt.publish(UP, [bytes(4096)])

        with pytest.raises(asyncio.TimeoutError):
            await publish_for_ever()
        device.drop()


async def test_packets_of_several_tasks_do_not_mix():
    sizes = []

    async def count(reader, writer):
        while True:
            await reader.readexactly(1)
            size, shift, byte = 0, 0, 0x80
            while byte & 0x80:
                byte = (await reader.readexactly(1))[0]
                size, shift = size | (byte & 0x7F) << shift, shift + 7
            body = await reader.readexactly(size)
            assert len(set(body[4 + len(UP) :])) == 1
            sizes.append(size)

    async with peer(count) as port:
        device = Device(*await asyncio.open_connection("127.0.0.1", port))
        await asyncio.gather(*(device.mqtt.publish(UP, [bytes((number,)) * 4000]) for number in range(60)))
        async with asyncio.timeout(TIMEOUT_S):
            while len(sizes) < 60:
                await asyncio.sleep(0.01)
        device.drop()


async def test_closing_a_broken_connection_is_no_error():
    class Broken(Written):
        def close(self):
            raise OSError(104)

    client = Mqtt(asyncio.StreamReader(), Broken(), None)
    await client.close()
