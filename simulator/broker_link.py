"""One client's connection at the simulated broker: bounded packets in, QoS 1 out without waiting for anybody.

amqtt's own handler stays for the handshake, subscriptions and the end of a connection. Its reading and its sending are
replaced, because (amqtt 0.12.1, mqtt/protocol/handler.py):
- a packet may claim 256 MiB, and all of it is buffered;
- after a packet that it cannot parse it goes on in the middle of it, and takes payload for packets;
- its keep-alive time-out does nothing, so a dead client stays for ever, and cancelling the read loses bytes;
- every packet in becomes a task and waits in an unbounded queue, every packet out a task that waits five seconds for
  its PUBACK; a busy hall makes thousands of them.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from amqtt.adapters import BufferReader, StreamWriterAdapter
from amqtt.mqtt import packet_class
from amqtt.mqtt.packet import (
    DISCONNECT,
    PINGREQ,
    PUBACK,
    PUBLISH,
    SUBSCRIBE,
    UNSUBSCRIBE,
    MQTTFixedHeader,
)
from amqtt.mqtt.protocol.broker_handler import BrokerProtocolHandler
from amqtt.mqtt.puback import PubackPacket
from amqtt.mqtt.publish import PublishPacket

from protocol.limits import MESSAGE_BYTES_MAX

# Our longest topic has 85 characters; with it, the packet id and the head no honest packet is longer.
PACKET_BYTES_MAX = MESSAGE_BYTES_MAX + 128
# A client that asks for no keep-alive, or for hours, is looked at anyway (section 3.1.2.10 leaves that to the server).
KEEP_ALIVE_S_MAX = 300
# Messages on the way to one client without its PUBACK. The gateway of a large hall (200 devices, 10 records in flight
# each) stays below; whoever is this far behind loses messages, and devices send again what has no receipt.
IN_FLIGHT_MAX = 4000
# Bytes that the client did not read yet; together with the bound above it limits what a stalled client costs.
UNREAD_BYTES_MAX = 4 * 1024 * 1024
# Requests to subscribe that wait for an answer; the reader waits when there are more.
SUBSCRIPTIONS_WAITING_MAX = 4
# A connection that we end may still read our last words; a dead one must not hold anybody up (TLS would wait 30 s).
LINGER_S = 1.0

_QOS1 = 1
_log = logging.getLogger("hallseal.broker")


class ViolationError(Exception):
    """The client did what is not allowed. str() says what, without its data."""


class PromptWriter(StreamWriterAdapter):
    """amqtt's writer, but close() waits for nobody: neither for an unread buffer nor for the peer's farewell."""

    is_closed: bool

    async def close(self) -> None:
        """Close soon, whatever the peer does."""
        if not self.is_closed:
            self.is_closed = True
            self._writer.close()
            asyncio.get_running_loop().call_later(LINGER_S, self._writer.transport.abort)

    def unread_bytes(self) -> int:
        """What was written and not taken by the network yet."""
        return int(self._writer.transport.get_write_buffer_size())


async def read_packet(reader: asyncio.StreamReader) -> tuple[MQTTFixedHeader, bytes]:
    """Head and body of the next packet.

    Raises ViolationError before it buffers too much, EOFError or OSError at the end.
    """
    first = (await reader.readexactly(1))[0]
    size, shift = 0, 0
    while True:
        byte = (await reader.readexactly(1))[0]
        size |= (byte & 0x7F) << shift
        shift += 7
        if size > PACKET_BYTES_MAX or (shift > 21 and byte & 0x80):  # section 2.2.3: four bytes at most
            raise ViolationError("packet too long")
        if byte < 0x80:
            break
    return MQTTFixedHeader(first >> 4, first & 0x0F, size), await reader.readexactly(size)


class BrokerLink(BrokerProtocolHandler):
    """amqtt's handler of one client. Set `stream` and `arrive` before start().

    arrive(client, topic, payload): passes a message on; raises ViolationError.
    dropped: messages that this client was too slow for. violation: why it was cut off, "" if it was not.
    """

    stream: asyncio.StreamReader
    arrive: Callable[[str, str, bytes], None]

    def __init__(self, *positional: Any, **named: Any) -> None:
        super().__init__(*positional, **named)
        self._disconnect_waiter: asyncio.Future[Any] | None = asyncio.Future()
        self._pending_subscriptions: asyncio.Queue[Any] = asyncio.Queue(SUBSCRIPTIONS_WAITING_MAX)
        self._pending_unsubscriptions: asyncio.Queue[Any] = asyncio.Queue(SUBSCRIPTIONS_WAITING_MAX)
        self._in_flight: set[int] = set()
        self._last_id = 0
        self.dropped = 0
        self.violation = ""

    @property
    def client(self) -> str:
        """Client id, which is the name in the certificate."""
        return str(self.session.client_id) if self.session else ""

    def deliver(self, topic: str, payload: bytes) -> bool:
        """Send a message with QoS 1, never retained; False when the client is too far behind. Never waits."""
        writer = self.writer
        if not isinstance(writer, PromptWriter) or writer.is_closed:
            return False
        if len(self._in_flight) >= IN_FLIGHT_MAX or writer.unread_bytes() > UNREAD_BYTES_MAX:
            self.dropped += 1
            return False
        number = self._next_id()
        self._in_flight.add(number)
        writer.write(PublishPacket.build(topic, payload, number, False, _QOS1, False).to_bytes())
        return True

    def _next_id(self) -> int:
        while True:
            self._last_id = self._last_id % 0xFFFF + 1
            if self._last_id not in self._in_flight:
                return self._last_id

    async def start(self) -> None:
        """Begin to read."""
        self._reader_task = asyncio.create_task(self._reader_loop())

    async def stop(self) -> None:
        """End the connection, also one that did not begin yet, for which amqtt's stop() would wait for ever."""
        if self._reader_task and self._reader_task is not asyncio.current_task():
            self._reader_task.cancel()
        await self.handle_connection_closed()
        if self.writer:
            await self.writer.close()

    async def _reader_loop(self) -> None:
        """One packet after the other, so that a client that sends faster than we pass on is slowed by TCP."""
        asked_s = (self.session.keep_alive if self.session else 0) or KEEP_ALIVE_S_MAX
        silence_s = 1.5 * min(asked_s, KEEP_ALIVE_S_MAX)  # section 3.1.2.10
        try:
            while True:
                async with asyncio.timeout(silence_s):
                    head, body = await read_packet(self.stream)
                if not await self._take(head, body):
                    break
        except (OSError, EOFError, TimeoutError):
            pass
        except Exception as error:  # amqtt's parsers raise many kinds; whatever it was, this connection is over
            self.violation = str(error) if isinstance(error, ViolationError) else type(error).__name__
            _log.warning("connection of %s ended: %s", self.client, self.violation)
        await self.stop()

    async def _take(self, head: MQTTFixedHeader, body: bytes) -> bool:
        """Act on one packet; False after a DISCONNECT. Raises ViolationError, or what amqtt's parsers raise."""
        if head.packet_type == PUBACK:
            self._in_flight.discard(int.from_bytes(body[:2], "big"))
            return True
        others: dict[int, Callable[[Any], Awaitable[None]]] = {
            PINGREQ: self.handle_pingreq,
            SUBSCRIBE: self.handle_subscribe,
            UNSUBSCRIBE: self.handle_unsubscribe,
            DISCONNECT: self.handle_disconnect,
        }
        if head.packet_type != PUBLISH and head.packet_type not in others:
            raise ViolationError("packet type")  # a second CONNECT, QoS 2, or what only a server sends
        packet: Any = await packet_class(head).from_stream(BufferReader(body), fixed_header=head)
        if head.packet_type == PUBLISH:
            await self._take_publish(packet)
        else:
            await others[head.packet_type](packet)
        return head.packet_type != DISCONNECT

    async def _take_publish(self, packet: PublishPacket) -> None:
        """MQTT 3.1.1 cannot say "refused": the choice is a PUBACK that lies, or to end the connection. It ends."""
        payload, topic = packet.data or b"", str(packet.topic_name)
        if packet.qos not in (0, _QOS1):
            raise ViolationError("quality of service")
        if packet.retain_flag:
            raise ViolationError("retained message")
        if len(payload) > MESSAGE_BYTES_MAX:
            raise ViolationError("message too long")
        self.arrive(self.client, topic, payload)
        if packet.qos and packet.packet_id is not None and self.writer:
            self.writer.write(PubackPacket.build(packet.packet_id).to_bytes())
            await self.writer.drain()
