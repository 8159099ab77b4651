"""A device put together: board, suite and app around recorder, journal and uplink.

What an app may use (see evaluator.py and clock.py):
    device.board        what can be touched, shown and heard
    device.settings     settings.get(command.RATING_TIMEOUT_S) and so on; settings.staff(slot)
    device.place        window or door
    device.wall_clock   now_s(), 0 while the time is unknown; source
    device.uptime       ms()
    device.clock        ticks_ms(), ticks_diff(a, b), async sleep_ms(ms): a person's time
    device.record(kind, claims, redactable) -> seq; on flash on return, so thank after it. Raises JournalFull.
    device.keep(claims, redactable)  a rating that may still change; on flash on return, so thank after it
    device.seal() -> seq of what was kept, in its final form; the rating cannot change any more
    device.newest_kept  redactable of the newest rating that was kept before this boot; {} where none is known
    device.presses      how often each button went down, for the app to count; index 0 is level 1
    device.online       True while the gateway can be reached
    device.uplink       error: why it cannot, as link_fault.py words it; "" while nothing is known
    device.quiet        True in the hall's quiet hours
    device.boot_seq     of the record of this boot; None where it could not be written
    device.retiring     True once it was decommissioned: nothing more is to be told of it
What an app offers: App(device), async run(), on_command(Command) for what is not for every device, on_receipt(),
thanks (count), status_word (what the display says), counts() (claims that only its heartbeat has), busy (somebody is
being served), check (its SelfCheck), hold(word) (take nothing any more, and say so), async forget() (erase what its
peripherals know; True when that is done).
"""

import asyncio

from firmware import inbox, schedule, uplink
from firmware.draft import Draft
from firmware.identity import RETIRING, SECRETS, SLOT, UPDATE_NOTICE, has_file
from firmware.journal import Journal, JournalFull, quota_bytes
from firmware.recorder import Recorder
from firmware.self_check import report
from firmware.settings import Settings
from firmware.tally import by_kind
from firmware.uptime import Uptime
from firmware.wall_clock import WallClock
from protocol import command, event, heartbeat, record, topic
from protocol.channel import DEVICE, Channel
from protocol.record import NO_TIME
from protocol.sign1 import Signer

VERSION = "0.1.0"
_FEED_MS = 1000


def _pointer(root):
    """Pointer of this flash (see slot.py); None for a board that runs what it was delivered with: nothing is loaded."""
    if not has_file(root, SLOT):
        return None
    from firmware import slot

    return slot.load(root)


class Device:
    """board: see board_evaluator.py. suite: DeviceSuite or HostSuite. identity: Identity. make_app: App class."""

    def __init__(self, board, suite, identity, make_app):
        # First what is large and stays, while the heap is empty: TLS context and the table of points.
        board.trust(identity.tls_files())
        signer = Signer(suite, identity.signing_key)
        self.board = board
        self.suite = suite
        self.clock = board.clock
        self.identity = identity
        self.pointer = _pointer(identity.root)
        self.update = None
        self.uptime = Uptime(board.clock)
        self.wall_clock = WallClock(suite, self.uptime, identity.root, identity.built_s)
        self.settings = Settings(identity.root)
        self.journal = Journal(identity.root, quota_bytes(board.flash_bytes()))
        self._full_reported = False
        private = suite.load_private(identity.agreement_key)
        channel = Channel(
            suite, identity.hall, identity.device, private, suite.load_public(identity.gateway_key), DEVICE
        )
        self.recorder = Recorder(suite, identity, channel, signer, self.journal, self.uptime, self.wall_clock)
        self._draft = Draft(suite, identity, self.journal, self.recorder.totals())
        self.presses, self.newest_kept = self._draft.presses, self._draft.newest
        self._link(suite, channel)
        self._called = asyncio.Event()
        self.retiring = has_file(identity.root, RETIRING)
        self.app = make_app(self)
        self.boot_seq = None
        try:
            self.seal()  # what the last run had thanked for
            self.boot_seq = self.record(record.EVENT, {event.CODE: event.BOOT, event.TEXT: board.boot_reason()})
        except (JournalFull, OSError):  # whoever cannot boot never gets the receipt that makes room
            pass
        if identity.takes_updates and has_file(identity.root, UPDATE_NOTICE):
            self._load_update()

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
            self.board,
            identity,
            self.journal,
            suite,
            topics,
            self._open_stream,
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

    @property
    def quiet(self):
        """True in the hall's quiet hours; False while nobody told the time."""
        get, now_s = self.settings.get, self.wall_clock.now_s()
        begins, ends = get(command.QUIET_FROM_MIN), get(command.QUIET_UNTIL_MIN)
        if not now_s or begins is None or ends is None:
            return False
        return schedule.is_within(schedule.minute_of_day(now_s, get(command.UTC_OFFSET_MIN)), begins, ends)

    def record(self, kind, claims, redactable=None):
        """Make a record durable; its seq. Raises JournalFull after saying so once in the stream."""
        if kind == record.RATING:
            self.seal()  # ratings keep their order
        return self.make_record(kind, claims, redactable, None)

    def make_record(self, kind, claims, redactable, moment):
        """Every record of the ledger stream is made here (see Recorder.record); its seq."""
        try:
            seq = self.recorder.record(kind, claims, redactable, moment)
        except JournalFull:
            self._say_full(kind)
            raise
        if self.update:
            self.update.give_way()
        self.uplink.wake()
        return seq

    def owed(self):
        """How many records the gateway has not receipted yet, with one that is only kept so far."""
        return self.journal.pending() + (1 if self._draft.pending else 0)

    def _say_full(self, kind):
        """Once in the stream, until there was room again."""
        if not self._full_reported and kind != record.EVENT:
            self._full_reported = True
            report(self, event.JOURNAL_FULL, self.journal.pending())

    def keep(self, claims, redactable):
        """Make a rating durable that may still change; the same one again changes it. Raises JournalFull, OSError.

        claims and redactable are taken as they are: do not change them afterwards.
        """
        pending = self._draft.pending
        if not pending and not self.journal.has_room():
            self._say_full(record.RATING)
            raise JournalFull()
        self._draft.keep(claims, redactable, pending[2] if pending else self.recorder.moment())

    def seal(self):
        """The rating that was kept becomes a record: its seq; None where none was. Raises JournalFull, OSError."""
        pending = self._draft.pending
        return self.make_record(record.RATING, *pending) if pending else None

    def lid_opened(self):
        """Somebody is in the device. Where the hall wants it so, its secrets go now, and it only says what it still
        knows in memory: everything in the journal is sealed already.
        """
        if self.settings.get(command.ERASE_ON_TAMPER):
            self.app.hold("locked")
            from firmware import erasure  # once in a lifetime: it need not lie in the heap

            erasure.erase(self.identity.root, SECRETS, self.board.watchdog.feed)

    def _decommission(self):
        from firmware import retirement

        retirement.begin(self.identity.root)
        self.retiring = True
        self._called.set()

    async def _rarely(self):
        """What comes once in months, and is not loaded before: trial of a program, update, retirement."""
        if self.pointer and self.pointer.state:
            from firmware import trial

            await trial.settle(self)
        while not self.retiring:
            if self.update:
                await self.update.run()
            self._called.clear()
            await self._called.wait()
        from firmware import retirement

        await retirement.retire(self)

    def _load_update(self):
        """An update is there, or on its way."""
        from firmware import slot
        from firmware.update import Update

        self.pointer = self.pointer or slot.Pointer()
        self.update = Update(self)

    def _on_update(self, found):
        """Not while a trial runs: the spare slot is its way back."""
        if not self.identity.takes_updates or self.retiring or (self.pointer and self.pointer.state):
            return
        if found.kind == command.UPDATE_NOTICE:
            if not self.update:
                self._load_update()
            self._called.set()
            self.update.on_notice(found.claims[command.RELEASE])
        elif self.update:
            claims = found.claims
            self.update.on_chunk(claims[command.SEQUENCE], claims[command.OFFSET], claims[command.DATA])

    async def _open_stream(self):
        await self.board.connect()
        if self.wall_clock.source == NO_TIME:
            self.board.set_time(self.wall_clock.guess_s(self.uplink.error == "early"))
        identity = self.identity
        return await self.board.open_stream(identity.broker_host, identity.broker_port, identity.server_name)

    def _on_receipt(self, found):
        self.uplink.receipt(found)
        self._full_reported = False
        self.app.on_receipt()

    def _on_command(self, found):
        if found.kind == command.TIME_ANSWER:
            self._set_time(found.claims)
        elif found.kind in inbox.DURABLE:
            self.settings.store(found)
        elif found.kind == command.DECOMMISSION:
            self._decommission()
        elif found.kind in (command.UPDATE_NOTICE, command.UPDATE_CHUNK):
            self._on_update(found)
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
            heartbeat.PRESSES: self._draft.told(),
            heartbeat.PENDING: journal.pending(),
            heartbeat.FREE_FLASH: self.board.free_flash_bytes(),
            heartbeat.FREE_HEAP: self.board.free_heap_bytes(),
            heartbeat.CONFIG_VERSION: self.settings.get(command.VERSION),
            heartbeat.FIRMWARE: VERSION,
            heartbeat.THROUGH: journal.through,
            heartbeat.TIME_NONCE: self.wall_clock.ask(),
            heartbeat.ROSTER_VERSION: self.settings.roster_version,
        }
        if self.wall_clock.drift_ppm is not None:
            claims[heartbeat.DRIFT_PPM] = self.wall_clock.drift_ppm
        if self.identity.takes_updates:
            self._count_update(claims)
        claims.update(self.app.counts())
        return self.recorder.heartbeat(claims)

    def _count_update(self, claims):
        pointer, update = self.pointer, self.update
        claims[heartbeat.RELEASE] = pointer.sequence if pointer else 0
        if pointer and pointer.refused:
            claims[heartbeat.UPDATE_REFUSED] = pointer.refused
        if update and update.notice:
            claims[heartbeat.UPDATE_SEQUENCE], claims[heartbeat.UPDATE_BYTES] = update.notice.sequence, update.at

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
        await asyncio.gather(self._feed(), self._beat(), self.app.run(), self.uplink.run(), self._rarely())

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
            "receipted": by_kind(journal.through, journal.state(journal.through)[1]),
            "pending": self.owed(),
            "thanks": self.app.thanks,
            "screen": self.app.status_word,
            "online": self.online,
            "error": self.uplink.error,
            "dropped": self.inbox.dropped,
            "clock_source": self.wall_clock.source,
            "config_version": self.settings.get(command.VERSION),
            "roster_version": self.settings.roster_version,
        }
