"""A device put together: board, suite and app around recorder, journal and uplink.

What an app may use (see evaluator.py and clock.py):
    device.board        what can be touched, shown and heard
    device.settings     settings.get(command.RATING_TIMEOUT_S) and so on; settings.staff(slot)
    device.place        window or door
    device.wall_clock   now_s(), 0 while the time is unknown; source
    device.uptime       ms()
    device.clock        ticks_ms(), ticks_diff(a, b), async sleep_ms(ms): a person's time
    device.record(kind, claims, redactable) -> seq; on flash on return, so thank after it. Raises JournalFull.
    device.online       True while the gateway can be reached
What an app offers: App(device), async run(), on_command(Command) for evaluation requests and cancels, thanks (count),
status_word (what the display says).
"""

import asyncio

from firmware import inbox, uplink
from firmware.journal import Journal, JournalFull
from firmware.recorder import Recorder, by_kind
from firmware.self_check import report
from firmware.settings import Settings
from firmware.uptime import Uptime
from firmware.wall_clock import WallClock
from protocol import command, event, heartbeat, record, topic
from protocol.channel import DEVICE, Channel
from protocol.sign1 import Signer

VERSION = "0.1.0"
# Half of a 2 MiB file system: two thousand records, four days of a busy window without network.
JOURNAL_BYTES = 1024 * 1024
_FEED_MS = 1000


class Device:
    """board: see board_evaluator.py. suite: DeviceSuite or HostSuite. identity: Identity. make_app: App class."""

    def __init__(self, board, suite, identity, make_app, journal_bytes=JOURNAL_BYTES):
        # First what is large and stays, while the heap is empty: TLS context and the table of points.
        board.trust(identity.tls_files())
        signer = Signer(suite, identity.signing_key)
        self.board = board
        self.clock = board.clock
        self.identity = identity
        self.uptime = Uptime(board.clock)
        self.wall_clock = WallClock(suite, self.uptime, identity.root, identity.built_s)
        self.settings = Settings(identity.root)
        self.journal = Journal(identity.root, journal_bytes)
        self._full_reported = False
        private = suite.load_private(identity.agreement_key)
        channel = Channel(
            suite, identity.hall, identity.device, private, suite.load_public(identity.gateway_key), DEVICE
        )
        self.recorder = Recorder(suite, identity, channel, signer, self.journal, self.uptime, self.wall_clock)
        self._link(suite, channel)
        self.app = make_app(self)
        try:
            self.record(record.EVENT, {event.CODE: event.BOOT, event.TEXT: board.boot_reason()})
        except (JournalFull, OSError):  # whoever cannot boot never gets the receipt that makes room
            pass

    def _link(self, suite, channel):
        identity = self.identity
        topics = topic.up(identity.hall, identity.device), topic.down(identity.hall, identity.device)
        self.inbox = inbox.Inbox(
            topics[1],
            channel,
            suite.load_public(identity.command_key),
            self.wall_clock,
            self.settings.counter,
            self._on_receipt,
            self._on_command,
        )
        self.uplink = uplink.Uplink(
            identity,
            self.journal,
            suite,
            topics,
            self._open_stream,
            self.board.network_clock,
            self._heartbeat,
            self.inbox.take,
        )

    @property
    def online(self):
        return self.uplink.online

    @property
    def place(self):
        """Window of an evaluator, door of a clock."""
        return self.settings.get(command.PLACE) or self.identity.place

    def record(self, kind, claims, redactable=None):
        """Make a record durable; its seq. Raises JournalFull after saying so once in the stream."""
        began_ms = self.board.network_clock.ticks_ms()
        try:
            seq = self.recorder.record(kind, claims, redactable)
        except JournalFull:
            if not self._full_reported and kind != record.EVENT:
                self._full_reported = True
                self.record(record.EVENT, {event.CODE: event.JOURNAL_FULL, event.VALUE: self.journal.pending()})
            raise
        self.uplink.recorded(seq, began_ms)
        return seq

    async def _open_stream(self):
        await self.board.connect()
        identity = self.identity
        return await self.board.open_stream(identity.broker_host, identity.broker_port, identity.server_name)

    def _on_receipt(self, found):
        self.uplink.receipt(found)
        self._full_reported = False

    def _on_command(self, found):
        if found.kind == command.TIME_ANSWER:
            self._set_time(found.claims)
        elif found.kind in inbox.DURABLE:
            self.settings.store(found)
        else:
            self.app.on_command(found)

    def _set_time(self, claims):
        step_ms = self.wall_clock.answer(claims[command.NONCE], claims[command.TIME_MS])
        if step_ms is None:
            return
        self.board.set_time(self.wall_clock.now_s())
        if step_ms:
            report(self, event.CLOCK_STEPPED, step_ms)

    def _heartbeat(self):
        """The sealed heartbeat of this moment; asks for the time."""
        journal = self.journal
        claims = {
            heartbeat.STREAM: journal.stream,
            heartbeat.HEAD: journal.head,
            heartbeat.HEAD_HASH: journal.head_hash,
            heartbeat.PRESSES: self.recorder.totals(),
            heartbeat.PENDING: journal.pending(),
            heartbeat.FREE_FLASH: self.board.free_flash_bytes(),
            heartbeat.FREE_HEAP: self.board.free_heap_bytes(),
            heartbeat.CONFIG_VERSION: self.settings.get(command.VERSION),
            heartbeat.FIRMWARE: VERSION,
            heartbeat.THROUGH: journal.through,
            heartbeat.TIME_NONCE: self.wall_clock.ask(),
            heartbeat.ROSTER_VERSION: self.settings.roster_version,
        }
        return self.recorder.heartbeat(claims)

    async def _beat(self):
        while True:
            await self.clock.sleep_ms(1000 * self.settings.get(command.HEARTBEAT_S))
            self.uplink.heartbeat_due = True
            self.uplink.wake()

    async def _feed(self):
        """A watchdog that is fed by the same loop as everything else: whatever blocks the loop lets it bite."""
        while True:
            self.board.watchdog.feed()
            await self.board.network_clock.sleep_ms(_FEED_MS)

    async def run(self):
        """For ever. Ends only with the exception of a part that failed; main.py turns that into a reboot."""
        await asyncio.gather(self._feed(), self._beat(), self.app.run(), self.uplink.run())

    def status(self):
        """What a test bench asks: counts by kind as [ratings, punches, events], and the way to the gateway."""
        journal = self.journal
        return {
            "device": self.identity.device,
            "kind": self.identity.kind,
            "stream": journal.stream.hex(),
            "head": journal.head,
            "journaled": by_kind(journal.head, journal.tally),
            "through": journal.through,
            "receipted": by_kind(journal.through, journal.through_tally),
            "pending": journal.pending(),
            "thanks": self.app.thanks,
            "screen": self.app.status_word,
            "online": self.online,
            "error": self.uplink.error,
            "dropped": self.inbox.dropped,
            "clock_source": self.wall_clock.source,
            "press_to_receipt_ms": list(self.uplink.latencies_ms),
        }
