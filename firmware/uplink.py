"""The uplink brings the journal to the gateway: a window of records in flight, and belief in receipts alone."""

import asyncio

from firmware.mqtt import Mqtt, MqttError
from protocol.limits import HOLES_MAX

# Records on the way without a receipt. Ten hide the gateway's commit time and stay far below any broker's queue.
WINDOW = 10
# The gateway commits and answers within a second; after five the records or the receipt are lost somewhere.
RESEND_MS = 5000
KEEP_ALIVE_S = 60
# Two pings in a row without an answer: a half-open link is found within 90 s, even where the loop is slow.
_DEAD_MS = 85000
_PING_MS = 500 * KEEP_ALIVE_S
# Wi-Fi has 15 s (see board_esp32.py). TCP alone would try for a minute to reach what does not answer.
OPEN_TIMEOUT_S = 30
_TICK_MS = 500
BACK_OFF_FIRST_MS = 500
BACK_OFF_MAX_MS = 60000
LINK_ERRORS = (OSError, ValueError, EOFError, MqttError, asyncio.TimeoutError)


def back_off_ms(attempt, chance):
    """Wait before connection attempt `attempt` (0 is the first retry). chance: 0 … 255, so that a hall spreads out."""
    ceiling = min(BACK_OFF_MAX_MS, BACK_OFF_FIRST_MS << min(attempt, 10))
    return ceiling // 2 + ceiling // 2 * chance // 255


class Uplink:
    """board: its network_clock and met_server are used. open_stream: async () -> (reader, writer), TLS and all.
    heartbeat(): sealed message, asked for when one is due.

    online: True while subscribed. error: what ended the last link, as link_fault.py words it; "" while online and
    before the first.
    """

    def __init__(self, board, identity, journal, suite, topics, open_stream, heartbeat, on_message):
        self._board = board
        self._clock = board.network_clock
        self._identity = identity
        self._journal = journal
        self._suite = suite
        self._topic_up, self._topic_down = topics
        self._open_stream = open_stream
        self._heartbeat = heartbeat
        self._on_message = on_message
        self._wake = asyncio.Event()
        self._sent = 0  # highest number that went out in this session
        self._known = 0  # of these, the highest that a receipt has told of
        self._holes = []  # what the last receipt says is missing below that
        self._again = []
        self._progress_ms = 0
        self.heartbeat_due = True
        self.online = False
        self.error = ""

    def wake(self):
        """Something may have to be sent: a new record, a receipt, a heartbeat."""
        self._wake.set()

    def receipt(self, found):
        """A receipt for our stream: forget what is durable, send again what is missing, go on behind it."""
        journal = self._journal
        if found.stream != journal.stream or found.highest > journal.head:
            return
        through = self._durable(found)
        if through > journal.through or found.highest > self._known:
            self._progress_ms = self._clock.ticks_ms()
        if through > journal.through:
            journal.trim(through)
        self._know(max(found.highest, journal.through))
        self._holes = found.holes
        self._fill()
        self._wake.set()

    def _durable(self, found):
        """Up to where nothing is left for us to send. What the flash has lost nobody can send; its gap shows above."""
        for first, last in found.holes:
            for seq in range(max(first, self._journal.through + 1), last + 1):
                if self._journal.message(seq):
                    return seq - 1
        return found.highest

    def _know(self, highest):
        self._known = max(self._known, highest)
        self._sent = max(self._sent, self._known)

    def _resend(self):
        """Nothing new was told for a while: what is on its way is lost. But a receipt that is full of holes cannot tell
        of more, and the window moves on.
        """
        if len(self._holes) < HOLES_MAX:
            self._sent = self._known
        else:
            self._known = self._sent
        self._fill()

    def _fill(self):
        """Send what the last receipt said is missing, a window at a time."""
        for first, last in self._holes:
            for seq in range(max(first, self._journal.through + 1), last + 1):
                if len(self._again) >= WINDOW:
                    return
                if seq not in self._again:
                    self._again.append(seq)

    async def run(self):
        """For ever: connect, serve, wait, again."""
        attempt = 0
        while True:
            began = self._clock.ticks_ms()
            try:
                await self._session()
            except LINK_ERRORS as error:
                from firmware.link_fault import word  # a device with a good link never needs it

                self.error = word(error, self.online, self._board.met_server)
            self.online = False
            if self._clock.ticks_diff(self._clock.ticks_ms(), began) > BACK_OFF_MAX_MS:
                attempt = 0  # it had worked: a lost link is no reason to be slow
            await self._clock.sleep_ms(back_off_ms(attempt, self._suite.random_bytes(1)[0]))
            attempt += 1

    async def _session(self):
        reader, writer = await asyncio.wait_for(self._open_stream(), OPEN_TIMEOUT_S)
        mqtt = Mqtt(reader, writer, self._on_message)
        listener = None
        try:
            await mqtt.connect(self._identity.device, KEEP_ALIVE_S)
            await mqtt.subscribe(self._topic_down)
            self._sent = self._known = self._journal.through
            self._holes = []
            self._again = []
            self.online, self.error, self.heartbeat_due = True, "", True
            listener = asyncio.create_task(mqtt.listen())
            await self._serve(mqtt, listener)
        finally:
            if listener:
                listener.cancel()
            await mqtt.close()

    async def _serve(self, mqtt, listener):
        """Send until the link ends."""
        clock = self._clock
        heard, heard_ms, pinged_ms = mqtt.received, clock.ticks_ms(), clock.ticks_ms()
        self._progress_ms = heard_ms
        while not listener.done():
            await self._send(mqtt)
            await self._rest()
            now = clock.ticks_ms()
            if mqtt.received != heard:
                heard, heard_ms = mqtt.received, now
            if clock.ticks_diff(now, heard_ms) > _DEAD_MS:
                raise MqttError("silent")
            if clock.ticks_diff(now, pinged_ms) > _PING_MS:
                pinged_ms = now
                await mqtt.ping()
            if self._sent > self._journal.through and clock.ticks_diff(now, self._progress_ms) > RESEND_MS:
                self._progress_ms = now
                self._resend()
        await listener  # raises what ended it
        raise MqttError("closed")

    async def _rest(self):
        try:
            await asyncio.wait_for(self._wake.wait(), _TICK_MS / 1000)
        except asyncio.TimeoutError:
            pass
        self._wake.clear()

    async def _send(self, mqtt):
        if self.heartbeat_due or self._again or self._sent < self._last():
            await mqtt.publish(self._topic_up, self._due())

    def _last(self):
        """The highest number that may be on its way."""
        return min(self._journal.head, self._known + WINDOW)

    def _due(self):
        """Every message that is to go out now, one by one, in its order."""
        if self.heartbeat_due:
            self.heartbeat_due = False
            yield self._heartbeat()
        while self._again:
            message = self._journal.message(self._again.pop(0))
            if message:
                yield message
        while self._sent < self._last():
            if self._sent <= self._known:  # nothing was on its way: the wait for a receipt begins now
                self._progress_ms = self._clock.ticks_ms()
            self._sent += 1
            message = self._journal.message(self._sent)
            if message:
                yield message
            elif self._sent == self._known + 1:  # damaged: passed over, for no receipt will ever tell of it
                self._known += 1
