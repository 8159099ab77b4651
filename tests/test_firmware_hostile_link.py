"""The uplink and its MQTT client through a network that splits, merges, delays, cuts and swallows, at real brokers."""

import asyncio
import random

import paho.mqtt.client as paho
import pytest
from flash_root import new_root
from hall_broker import PlainAmqtt, PlainMosquitto
from hostile_proxy import HostileProxy
from suites import SeededRandom, host_suite

from firmware.journal import BLOCK_BYTES, Journal
from firmware.tally import EVENT
from firmware.uplink import Uplink
from gateway.continuity import Continuity
from protocol.receipt import Receipt

UP, DOWN = "hallseal/1/yongxing/e-001/up", "hallseal/1/yongxing/e-001/down"
STREAM = b"stream-1"
TIMEOUT_S = 40
# Waits of the uplink, from back-off to resend, pass so much faster than the network.
SPEED = 20


class Clock:
    """As a board's, but faster. hurry: how much faster still it sleeps, which is how the uplink backs off."""

    def __init__(self, hurry):
        self._hurry = hurry

    def ticks_ms(self):
        return round(asyncio.get_running_loop().time() * 1000 * SPEED)

    def ticks_diff(self, later, earlier):
        return later - earlier

    async def sleep_ms(self, duration_ms):
        await asyncio.sleep(duration_ms / 1000 / SPEED / self._hurry)


class Who:
    device = "e-001"


class Device:
    """An uplink, and all that it needs. It is also the board: network_clock, met_server."""

    met_server = False

    def __init__(self, dial, records=0, hurry=1):
        self.network_clock = Clock(hurry)
        self.journal = Journal(new_root(), 64 * BLOCK_BYTES)
        self.journal.begin(STREAM)
        suite = host_suite(SeededRandom("hostile"))
        self.uplink = Uplink(self, Who, self.journal, suite, (UP, DOWN), dial, lambda: b"heartbeat", self._hear)
        self.record(records)
        self.running = asyncio.create_task(self.uplink.run())

    def record(self, count):
        for _ in range(count):
            seq = self.journal.head + 1
            self.journal.append(EVENT, bytes(16), b"%d " % seq + bytes(400))
        self.uplink.wake()

    def _hear(self, topic, payload, retained):
        assert topic == DOWN and not retained
        through, highest, *holes = map(int, payload.split())
        self.uplink.receipt(Receipt(STREAM, through, list(zip(holes[::2], holes[1::2])), highest))

    async def until(self, condition, limit_s=TIMEOUT_S):
        async with asyncio.timeout(limit_s):
            while not condition():
                assert not self.running.done()
                await asyncio.sleep(0.01)


class Gateway:
    """The other side, by another implementation: it keeps what comes, once, and says how the stream stands. heard: the
    numbers as they came.
    """

    def __init__(self, port):
        self.heard = []
        self._state = Continuity(1, 0)
        self._ready = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._client = paho.Client(paho.CallbackAPIVersion.VERSION2, "gateway", protocol=paho.MQTTv311)
        self._client.reconnect_delay_set(1, 1)
        self._client.on_connect = lambda client, *_: client.subscribe(UP, 1)
        self._client.on_subscribe = lambda *_: self._loop.call_soon_threadsafe(self._ready.set)
        self._client.on_message = self._take
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    async def ready(self):
        async with asyncio.timeout(TIMEOUT_S):
            await self._ready.wait()
        self._ready.clear()
        return self

    def _take(self, client, data, message):
        if message.payload != b"heartbeat":
            seq = int(message.payload.split()[0])
            assert message.payload == b"%d " % seq + bytes(400)
            self.heard.append(seq)
            if not self._state.holds(seq):
                self._state.add(seq, b"")
        holes, highest = self._state.report()
        numbers = [self._state.through, highest, *(number for hole in holes for number in hole)]
        client.publish(DOWN, " ".join(map(str, numbers)), 1)

    def close(self):
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture(params=[pytest.param("mosquitto", marks=pytest.mark.broker), "amqtt"], name="make")
def _make(request, tmp_path):
    """Function (anonymous=True): a broker of this kind."""
    made = []

    def make(anonymous=True):
        folder = tmp_path / f"broker{len(made)}"
        if request.param == "mosquitto":
            made.append(PlainMosquitto(request.getfixturevalue("mosquitto"), folder, anonymous))
        else:
            made.append(PlainAmqtt(folder, anonymous))
        return made[-1]

    yield make
    for broker in made:
        broker.kill()


@pytest.fixture(name="hall")
async def _hall(make):
    """(broker, gateway, network, function (records, hurry): a device behind that network)."""
    broker, made = make(), []
    gateway = await Gateway(broker.port).ready()
    network = await HostileProxy(broker.port).start()

    def start(records=0, hurry=1):
        made.append(Device(network.dial, records, hurry))
        return made[-1]

    yield broker, gateway, network, start
    for device in made:
        device.running.cancel()
    gateway.close()
    await network.close()


def holds_all(device, gateway, count):
    """True when the gateway has every record and the device knows."""
    return set(gateway.heard) == set(range(1, count + 1)) and not device.journal.pending()


async def test_packets_that_come_byte_by_byte_are_packets(hall):
    _, gateway, network, start = hall
    network.bite_bytes = 1
    device = start(25)
    await device.until(lambda: holds_all(device, gateway, 25))
    assert network.connections == 1


async def test_packets_that_come_all_at_once_are_as_many(hall):
    _, gateway, network, start = hall
    network.gather_s = 0.05
    device = start(60)
    await device.until(lambda: holds_all(device, gateway, 60))
    assert network.connections == 1


async def test_a_slow_broker_is_no_dead_one(hall):
    _, gateway, network, start = hall
    network.pause_s, network.bite_bytes = 0.05, 700
    device = start(30)
    await device.until(lambda: holds_all(device, gateway, 30))
    assert network.connections == 1


async def test_a_network_that_cuts_in_the_middle_of_packets_loses_nothing(hall):
    _, gateway, network, start = hall
    chance = random.Random(5)
    network.cut_after = lambda: chance.randrange(30, 8000)
    device = start(60, hurry=20)  # a cut link is backed off from, the harder the sooner it was cut
    await device.until(lambda: holds_all(device, gateway, 60))
    assert network.connections >= 5
    network.cut_after = None
    device.record(5)
    await device.until(lambda: holds_all(device, gateway, 65))


async def test_a_broker_that_is_killed_in_the_middle_of_a_packet_gets_it_again(hall):
    broker, gateway, network, start = hall
    device = start()
    await device.until(lambda: device.uplink.online)
    network.stop_after = 1500
    device.record(10)
    await asyncio.wait_for(network.stopped.wait(), TIMEOUT_S)
    broker.kill()
    network.stop_after = None
    broker.start()
    await gateway.ready()
    await device.until(lambda: holds_all(device, gateway, 10))
    assert network.connections >= 2


async def test_a_session_that_the_broker_forgot_is_begun_anew(hall):
    broker, gateway, _, start = hall
    device = start(3)
    await device.until(lambda: holds_all(device, gateway, 3))
    broker.kill()
    await device.until(lambda: not device.uplink.online)
    device.record(3)
    broker.start()
    await gateway.ready()
    await device.until(lambda: holds_all(device, gateway, 6))


async def test_a_link_that_swallows_everything_is_left_for_one_that_works(hall):
    _, gateway, network, start = hall
    device = start(3)
    await device.until(lambda: holds_all(device, gateway, 3))
    network.swallowing = True
    began_s = asyncio.get_running_loop().time()
    device.record(3)
    await device.until(lambda: not device.uplink.online)
    # 90 s of the device, and what this machine is late.
    assert asyncio.get_running_loop().time() - began_s < 90 / SPEED + 5
    assert device.uplink.error == "silent"
    network.swallowing = False
    await device.until(lambda: holds_all(device, gateway, 6))


async def test_a_broker_that_is_not_there_or_refuses_is_tried_until_it_takes_us(make):
    refusing = make(anonymous=False)
    network = await HostileProxy(refusing.port).start()
    device = Device(network.dial, 3)
    try:
        await device.until(lambda: device.uplink.error)
        assert device.uplink.error == "login"
        await device.until(lambda: network.connections >= 4)
        refusing.kill()
        await device.until(lambda: device.uplink.error != "login")
        willing = make()
        gateway = await Gateway(willing.port).ready()
        network.target = willing.port
        await device.until(lambda: holds_all(device, gateway, 3))
        gateway.close()
    finally:
        device.running.cancel()
        await network.close()
