"""A gateway for tests of devices: it opens and verifies what they send, and answers only when the test says so."""

import asyncio
import contextlib
import json
import ssl
import time
from dataclasses import dataclass

from firmware.mqtt import Mqtt, MqttError
from protocol import channel, command, disclosure, encrypt0, heartbeat, receipt, record, sealed_record, sign1
from protocol import topic as topics
from protocol.suite_host import HostSuite
from simulator.broker import HallBroker

SUITE = HostSuite()
TIMEOUT_S = 20


@dataclass
class Heard:
    """One record: `made` is the Record, `disclosed` {claim: value}; `message` as it came."""

    device: str
    made: record.Record
    disclosed: dict
    message: bytes


class ListeningGateway:
    """hall: folder of a provisioned hall. heard: every record that is no heartbeat; beats: the heartbeats.

    A message that does not open, verify or decode fails the test that waits.
    """

    def __init__(self, hall, name="yongxing"):
        self._hall, self._name = hall, name
        self.heard, self.beats = [], []
        self._devices, self._counter = {}, 0
        self._command_key = sign1.Signer(SUITE, (hall / "gateway/command.key").read_bytes())
        private = SUITE.load_private((hall / "gateway/agreement.key").read_bytes())
        for entry in json.loads((hall / "gateway/registry.json").read_text("utf-8"))["devices"]:
            peer = SUITE.load_public(bytes.fromhex(entry["agreement"]))
            way = channel.Channel(SUITE, name, entry["device"], private, peer, channel.GATEWAY)
            self._devices[entry["device"]] = way, SUITE.load_public(bytes.fromhex(entry["signing"]))
        self._news = asyncio.Event()
        self._error = None

    async def connect(self, port):
        """Subscribe at the broker on this port."""
        context = ssl.create_default_context(cafile=str(self._hall / "gateway/root.pem"))
        context.load_cert_chain(self._hall / "gateway/tls.pem", self._hall / "gateway/tls.key")
        reader, self._writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=context, server_hostname="127.0.0.1"
        )
        self._mqtt = Mqtt(reader, self._writer, self._take)
        await self._mqtt.connect("gateway", 60)
        await self._mqtt.subscribe(topics.all_up(self._name))
        self._listener = asyncio.create_task(self._listen())
        return self

    async def _listen(self):
        with contextlib.suppress(MqttError, OSError, EOFError):
            await self._mqtt.listen()

    async def close(self):
        self._listener.cancel()
        self._writer.transport.abort()

    def _take(self, topic, message, retained):
        try:
            assert not retained
            self._open(topics.parse(topic)[1], message)
        except Exception as error:  # whatever it is, the waiting test shall show it
            self._error = error
        self._news.set()

    def _open(self, device, message):
        way, signing = self._devices[device]
        signed = sealed_record.open_envelope(way, encrypt0.parse(message))
        assert sign1.verify(SUITE, signing, signed), "signature"
        made = record.decode(signed.payload)
        assert made.device == device
        found = disclosure.check(SUITE, list(signed.disclosures), made.digests)
        (self.beats if made.kind == record.HEARTBEAT else self.heard).append(Heard(device, made, found, message))

    async def wait(self, condition):
        """Wait until condition() is true."""
        async with asyncio.timeout(TIMEOUT_S):
            while not condition():
                self._news.clear()
                await self._news.wait()
                if self._error:
                    raise self._error

    def of(self, device, kind):
        """Records of one kind, each seq once, in order."""
        found = {one.made.seq: one for one in self.heard if one.device == device and one.made.kind == kind}
        return [found[seq] for seq in sorted(found)]

    async def wait_for(self, device, kind, count):
        """The first `count` records of a kind, once they are there."""
        await self.wait(lambda: len(self.of(device, kind)) >= count)
        return self.of(device, kind)

    async def receipt(self, device, through, holes=()):
        """Say that everything up to `through` is durable."""
        stream = next(one.made.stream for one in reversed(self.heard) if one.device == device)
        message = receipt.seal(
            self._devices[device][0],
            receipt.Receipt(stream, through, list(holes), holes[-1][1] + 1 if holes else through),
        )
        await self._mqtt.publish(topics.down(self._name, device), [message])

    async def command(self, device, kind, claims):
        """Send a command that is valid for a day, however fast the device's clock runs."""
        self._counter += 1
        now_s = int(time.time())
        made = command.Command(device, self._name, now_s + 86400, now_s, kind, self._counter, claims)
        sealed = command.seal(self._devices[device][0], self._command_key, made)
        await self._mqtt.publish(topics.down(self._name, device), [sealed])

    async def tell_time(self, device):
        """Answer the newest heartbeat's question for the time."""
        await self.wait(lambda: any(one.device == device for one in self.beats))
        beat = next(one.made for one in reversed(self.beats) if one.device == device)
        nonce = beat.claims[heartbeat.TIME_NONCE]
        claims = {command.NONCE: nonce, command.TIME_MS: int(time.time() * 1000)}
        await self.command(device, command.TIME_ANSWER, claims)


@contextlib.asynccontextmanager
async def on_a_broker(hall, port):
    """A ListeningGateway of this hall, on a broker of its own at this port."""
    broker = HallBroker(hall, port)
    await broker.start()
    found = await ListeningGateway(hall).connect(port)
    try:
        yield found
    finally:
        await found.close()
        await broker.shutdown()
