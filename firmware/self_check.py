"""The self check: buttons, display, sensor, flash, clock, link and lid, at boot, every minute, and as an event.

The first one waits a moment for link and time. After it a fault, its mend, and once a day the state as it is become
events; and ten minutes before the hall opens the state is an event of its own, whatever it is: what the shift leader
has to know then (the seed document, article 12). A device that learns the time only later does it then, and says so.
"""

from firmware import schedule
from firmware.journal import JournalFull
from protocol import command, event, record
from protocol.record import NO_TIME

# Bits of the event's value, and their names in its text. 0 says that everything is well.
BUTTONS, DISPLAY, SENSOR, FLASH, CLOCK, LINK, LID = 1, 2, 4, 8, 16, 32, 64
_NAMES = "buttons display sensor flash clock link lid"
# These go with the network: their loss is no event, for nobody could hear it before they are back. Heartbeats tell.
_OF_NETWORK = CLOCK | LINK
# Connection, certificate check and first heartbeat took below 5 s everywhere; a hall's switch may need longer.
OPENING_WAIT_S = 30
ROUND_S = 60
# A loose contact must not fill the journal: at most one event in ten minutes after the first.
QUIET_ROUNDS = 10
DAY_ROUNDS = 24 * 60
# Below this littlefs has no room to move what it rewrites (16 blocks of 4 KiB).
FLASH_LOW_BYTES = 65536
_LOOK_MS = 1000
# At the end of the text of an opening check that was not done before the hall opened.
_LATE = " late"
# Who learns the time in the evening is not checked for the morning: the next opening is nearer.
_LATE_MAX_MIN = 12 * 60


def report(device, code, value, text="", by=""):
    """Record an event of this device; False when that is not possible now (journal full, flash fails)."""
    claims = {event.CODE: code, event.VALUE: value}
    if text:
        claims[event.TEXT] = text
    if by:
        claims[event.BY] = by
    try:
        device.record(record.EVENT, claims)
        return True
    except (JournalFull, OSError):
        return False


def names(faults):
    """The names of these bits, for a technician."""
    return " ".join([name for bit, name in enumerate(_NAMES.split(" ")) if faults >> bit & 1])


def is_news(faults, told, rounds):
    """True when an event is due. told: faults of the last event, -1 before the first. rounds: since that one."""
    if told < 0 or rounds >= DAY_ROUNDS:
        return True
    return rounds >= QUIET_ROUNDS and (faults & ~told & ~_OF_NETWORK or told & ~faults) != 0


class SelfCheck:
    """device, notice: of the app. probe: async () -> BUTTONS, SENSOR or 0, what only the app can try.

    run() keeps the display true as well: link, language and brightness change while a text stands there.
    told: faults that the stream knows of, -1 before the first event; an app adds what it reported itself, so that the
    mend is told too.
    """

    def __init__(self, device, notice, probe):
        self._device = device
        self._notice = notice
        self._probe = probe
        self.told = -1
        self._rounds = 0
        self._open = False
        self._owed: tuple = ()  # codes of events about the lid for which the journal had no room
        # Who knew the time at an earlier run had its opening check then, if that was after its hour.
        self._checked_s = device.wall_clock.floor_s
        self._tried_min = 0

    async def faults(self):
        """The bits of everything that is wrong at this moment."""
        device = self._device
        found = await self._probe()
        self._notice.refresh(True)
        if self._notice.broken:
            found |= DISPLAY
        if device.inbox.broken or device.board.free_flash_bytes() < FLASH_LOW_BYTES:
            found |= FLASH
        if device.wall_clock.source == NO_TIME:
            found |= CLOCK
        if not device.online:
            found |= LINK
        self._notice.worn = found & (BUTTONS | FLASH)
        return found | LID if self._open else found

    async def _look(self):
        """One second: the display stays true, and an opened lid is an event at once."""
        self._notice.refresh()
        self._look_at_lid()
        since_min = self._opening_due()
        if since_min >= 0:
            await self._check_opening(since_min)
        await self._device.board.network_clock.sleep_ms(_LOOK_MS)

    def _look_at_lid(self):
        """What an opened lid leads to waits for nothing; its events come as soon as the journal takes them."""
        device, was_open = self._device, self._open
        self._open = not device.board.tamper.value()
        begins = self._open and not was_open
        if begins:
            erases = device.settings.get(command.ERASE_ON_TAMPER)
            self._owed = (event.TAMPER, event.KEYS_ERASED) if erases else (event.TAMPER,)
        # A report costs a signature before it learns that there is no room.
        while self._owed and (begins or device.journal.has_room()) and report(device, self._owed[0], 1):
            self._owed = self._owed[1:]
        if begins:
            device.lid_opened()

    def _opening_due(self):
        """Minutes since its hour when an opening check is due, once a minute while the journal takes none; else -1."""
        get, now_s = self._device.settings.get, self._device.wall_clock.now_s()
        opening, now_min = get(command.OPENING_MIN), now_s // 60
        if not now_s or opening is None or now_min == self._tried_min:
            return -1
        since_min = schedule.since_check_min(now_s, opening, get(command.UTC_OFFSET_MIN))
        if since_min >= _LATE_MAX_MIN or self._checked_s // 60 >= now_min - since_min:
            return -1
        self._tried_min = now_min
        return since_min

    async def _check_opening(self, since_min):
        found, device = await self.faults(), self._device
        text = names(found) + (_LATE if since_min >= schedule.CHECK_BEFORE_MIN else "")
        if report(device, event.OPENING_CHECK, found, text.strip()):
            self._checked_s = device.wall_clock.now_s()
            device.wall_clock.persist()
            self.told, self._rounds = found, 0

    async def _round(self):
        found = await self.faults()
        if self._device.retiring:
            return
        if is_news(found, self.told, self._rounds) and report(self._device, event.SELF_CHECK, found, names(found)):
            self.told, self._rounds = found, 0
        self._rounds += 1

    async def run(self):
        """For ever."""
        device = self._device
        for _ in range(OPENING_WAIT_S):
            if device.online and device.wall_clock.source != NO_TIME:
                break
            await self._look()
        while True:
            await self._round()
            for _ in range(ROUND_S):
                await self._look()
