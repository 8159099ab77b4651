"""A day of outages at a real broker: mosquitto is killed, stopped and started again, and nothing is lost.

The day takes about a minute: the time of this loop jumps to the next timer whenever nobody waits for the broker.
"""

import asyncio
import contextlib
import gc
import random
import selectors
import signal
import time

import pytest
from flash_root import new_root
from hall_broker import PlainMosquitto
from suites import SeededRandom, host_suite
from virtual_time import Sleeper

from firmware.journal import BLOCK_BYTES, Journal
from firmware.mqtt import Mqtt, MqttError
from firmware.tally import EVENT
from firmware.uplink import BACK_OFF_MAX_MS, Uplink
from gateway.continuity import Continuity
from protocol.receipt import Receipt

pytestmark = [pytest.mark.broker, pytest.mark.xdist_group("day")]

DAY_S = 86400
UP, DOWN = "day/up", "day/down"
STREAM = b"stream-1"
# What the broker may take for an answer, in real seconds, before the loop's time goes on without it.
PATIENCE_S = 0.05
LINK_ERRORS = (OSError, MqttError, EOFError, ValueError, asyncio.TimeoutError)


class _Patient(selectors.DefaultSelector):
    """Jumps to the next timer as soon as nobody waits for the broker. is_waiting: does somebody?"""

    def __init__(self):
        super().__init__()
        self.now_s, self.is_waiting = 0.0, lambda: False

    def select(self, timeout=None):
        began_s = time.monotonic()
        while not (ready := super().select(0)) and timeout != 0:
            if timeout is not None and not (self.is_waiting() and time.monotonic() - began_s < PATIENCE_S):
                self.now_s += timeout
                break
            super().select(0.002)
        return ready


class Device:
    """An uplink with its journal, as a board has it, on plain TCP."""

    device = "e-001"
    met_server = False

    def __init__(self, port):
        self.clock = self.network_clock = Sleeper()
        self.journal = Journal(new_root(), 64 * BLOCK_BYTES)
        self.journal.begin(STREAM)
        suite = host_suite(SeededRandom("day"))
        self.dialled = 0

        async def dial():
            self.dialled += 1
            return await asyncio.open_connection("127.0.0.1", port)

        self.uplink = Uplink(self, self, self.journal, suite, (UP, DOWN), dial, lambda: b"heartbeat", self._take)

    def record(self):
        self.journal.append(EVENT, bytes(16), b"record %d" % (self.journal.head + 1))
        self.uplink.wake()

    def _take(self, topic, payload, retained):
        """A receipt as this test's gateway writes it: through, highest, holes."""
        assert topic == DOWN and not retained
        through, highest, *holes = [int(word) for word in payload.split()]
        self.uplink.receipt(Receipt(STREAM, through, [list(pair) for pair in zip(holes[::2], holes[1::2])], highest))


class Gateway:
    """Subscribes, stores, and answers every record with a receipt. received: with those that came again."""

    def __init__(self, port):
        self._port = port
        self._news = asyncio.Event()
        self.stored, self.received = Continuity(1, 0), 0

    def _take(self, _topic, payload, _retained):
        if payload != b"heartbeat":
            seq = int(payload.split()[1])
            self.received += 1
            if not self.stored.holds(seq):
                self.stored.add(seq, b"")
        self._news.set()

    async def run(self):
        """For ever: what a broker forgets is subscribed to again."""
        while True:
            with contextlib.suppress(*LINK_ERRORS):
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
                mqtt = Mqtt(reader, writer, self._take)
                await mqtt.connect("gateway", 60)
                await mqtt.subscribe(UP)
                listening = asyncio.create_task(mqtt.listen())
                try:
                    await self._answer(mqtt, listening)
                finally:
                    listening.cancel()
                    await mqtt.close()
            await asyncio.sleep(5)

    async def _answer(self, mqtt, listening):
        while not listening.done():
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._news.wait(), 5)
                self._news.clear()
                holes, highest = self.stored.report()
                numbers = [self.stored.through, highest, *(number for hole in holes for number in hole)]
                await mqtt.publish(DOWN, [" ".join(map(str, numbers)).encode()])
        await listening


async def weather(broker, chance, sky, record):
    """What happens to the broker in a day, each time while records are on their way to it; how often each kind did.

    sky: "clear" is True while it can answer. record(): makes one.
    """
    loop, seen = asyncio.get_running_loop(), {"killed": 0, "stopped": 0, "begun anew": 0}
    while loop.time() < DAY_S:
        await asyncio.sleep(chance.expovariate(1 / 900))
        kind = chance.choice(sorted(seen))
        length_s = 0 if kind == "begun anew" else 7200 if sum(seen.values()) == 20 else chance.expovariate(1 / 180)
        seen[kind] += 1
        sky["clear"] = False
        for _ in range(3):
            record()
        await asyncio.sleep(0)  # they go out, and no answer comes back
        if kind == "stopped":
            broker.process.send_signal(signal.SIGSTOP)
        else:
            broker.kill()
        await asyncio.sleep(length_s)
        if kind == "stopped":
            broker.process.send_signal(signal.SIGCONT)
        else:
            broker.start()
        sky["clear"] = True
    return seen


async def day(broker, selector):
    """One day, and what came of it: (device, gateway, weather)."""
    device, gateway = Device(broker.port), Gateway(broker.port)
    loop, beginning_s = asyncio.get_running_loop(), time.monotonic()
    sky = {"clear": True}
    selector.is_waiting = lambda: sky["clear"] and (not device.uplink.online or device.journal.pending() > 0)
    running = [asyncio.create_task(one) for one in (device.uplink.run(), gateway.run())]
    raining = asyncio.create_task(weather(broker, random.Random(7), sky, device.record))
    while not raining.done() or device.journal.pending():
        if not raining.done():
            device.record()
        assert loop.time() < DAY_S + 7200, "the journal does not empty"
        await asyncio.sleep(60)
    for one in running:
        assert not one.done()
        one.cancel()
    print(f"a day in {time.monotonic() - beginning_s:.0f} s")
    return device, gateway, raining.result()


@pytest.mark.timeout(600)  # it waits for real restarts of the broker, ever longer on a busy machine
def test_a_day_of_outages_at_a_real_broker_loses_nothing(mosquitto, tmp_path, figure):
    broker = PlainMosquitto(mosquitto, tmp_path / "broker")
    selector = _Patient()

    def loop():
        made = asyncio.SelectorEventLoop(selector)
        made.time = lambda: selector.now_s
        return made

    try:
        with asyncio.Runner(loop_factory=loop) as runner:
            device, gateway, seen = runner.run(day(broker, selector))
    finally:
        broker.process.send_signal(signal.SIGCONT)
        broker.kill()
        gc.collect()
    head, longest_ms = device.journal.head, max(device.clock.slept_ms)
    again = gateway.received - head
    lost = head - gateway.stored.stored
    told = f"{head} records, {lost} lost, {again} came twice, {sum(seen.values())} outages, {device.dialled} attempts"
    figure("a day at mosquitto", f"{told}, longest back-off {longest_ms / 1000:.1f} s")
    assert min(seen.values()) >= 5
    assert lost == 0 and gateway.stored.through == head > 1000
    assert longest_ms <= BACK_OFF_MAX_MS
