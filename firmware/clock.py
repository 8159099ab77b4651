"""The clock: a touch of an enrolled finger is a punch, on flash before the door says so.

The sensor matches the finger and tells a slot; the roster makes a staff number of it. A slot without a name in the
roster is a stranger's. The same person again within a minute is the same punch. A sensor that fails is said on the
display, recorded once, and asked again with every touch and every self check until it answers.
"""

import asyncio

from firmware.fingerprint import BLUE, BREATHING, FLASHING, ON, RED, Fingerprint, SensorError, unclear
from firmware.journal import JournalFull
from firmware.notice import Notice
from firmware.self_check import SENSOR, SelfCheck, report
from protocol import event, punch, record
from protocol.record import NO_TIME

REPEAT_MS = 60000
# As many unknown touches in a row are worth an event: somebody tries, or a roster is missing.
UNKNOWN_IN_A_ROW = 5
ANSWER_MS = 1500
# People whose last punch is remembered; the oldest gives way. A door sees fewer in a minute.
_RECENT_MAX = 16
_SENSOR_RETRY_MS = 2000


class Clock:
    """The app of a device (see device.py). thanks: punches shown. touches: fingers taken, known or not."""

    def __init__(self, device):
        self._device = device
        board = device.board
        self._edge = board.edge
        self._touch = board.touch
        self._sensor = Fingerprint(board.uart, board.network_clock)
        self._notice = Notice(board.display, device)
        self._check = SelfCheck(device, self._notice, self._probe)
        self._recent = []
        self._unknown = 0
        self._faulty = True
        self._told = False
        self.thanks = 0
        self.touches = 0

    @property
    def status_word(self):
        return self._notice.word

    def on_command(self, found):
        """A clock has no visits."""

    def _repeated(self, number):
        """True when this person punched within REPEAT_MS."""
        now = self._device.uptime.ms()
        self._recent = [one for one in self._recent if now - one[1] < REPEAT_MS]
        return len([one for one in self._recent if one[0] == number]) > 0

    def _claims(self, number, score):
        device = self._device
        claims = {
            punch.DOOR: device.place,
            punch.STAFF: number,
            punch.DIRECTION: punch.AUTO,
            punch.SCORE: score,
            punch.METHOD: punch.FINGERPRINT,
        }
        if device.wall_clock.source != NO_TIME:
            claims[punch.TIME] = device.wall_clock.now_s()
        return claims

    def _take(self, slot, score):
        """A finger was recognised, or not (slot is None). Raises JournalFull, OSError."""
        self.touches += 1
        staff = None if slot is None else self._device.settings.staff(slot)
        if staff is None:
            self._take_unknown()
            return
        self._unknown = 0
        if self._repeated(staff[0]):
            self._notice.show("repeated")
        else:
            self._device.record(record.PUNCH, self._claims(staff[0], score))
            self._recent = self._recent[1 - _RECENT_MAX :] + [(staff[0], self._device.uptime.ms())]
            self.thanks += 1
            self._notice.show("punched", staff[1])

    def _take_unknown(self):
        self._unknown += 1
        self._notice.show("unknown")
        if self._unknown >= UNKNOWN_IN_A_ROW and report(self._device, event.UNKNOWN_FINGER, self._unknown):
            self._unknown = 0

    async def _identify(self):
        """One finger on the glass: the punch, or the reason why there is none, is on the display on return."""
        try:
            await self._begin()
            slot, score = await self._sensor.identify()
            self._take(slot, score)
        except SensorError as error:
            if unclear(error):
                self._notice.show("unknown")
            else:
                self._fail(error)
        except JournalFull:
            self._notice.show("full")
        except (OSError, MemoryError):
            self._notice.show("fault")

    async def _begin(self):
        """Make sure that the sensor listens. Raises SensorError."""
        if self._faulty:
            await self._sensor.begin()
            self._faulty = self._told = False

    def _fail(self, error):
        self._faulty = True
        self._notice.show("sensor")
        if not self._told and report(self._device, event.FAULT, error.code, "sensor: %s" % error):
            self._told = True
            self._check.told |= SENSOR

    async def _probe(self):
        """SENSOR while the sensor does not answer."""
        failed = self._faulty
        try:
            await self._begin()
            await self._sensor.count()
        except SensorError as error:
            self._fail(error)
            return SENSOR
        if failed:
            self._notice.show("ready")
        return 0

    async def _lamp(self):
        """The ring under the finger: blue and still for a punch, red and flashing for anything else."""
        if not self._faulty:
            await self._sensor.light(*((ON, BLUE) if self._notice.word == "punched" else (FLASHING, RED)))

    async def _listen(self):
        """Fingers, one after the other: each has to leave the glass before the next."""
        while await self._probe():
            await self._device.board.network_clock.sleep_ms(_SENSOR_RETRY_MS)
        while True:
            if not await self._probe():
                self._notice.show("ready")
                await self._sensor.light(BREATHING, BLUE)
            while self._touch.value():
                await self._edge.wait()
            await self._identify()
            await self._lamp()
            await self._device.clock.sleep_ms(ANSWER_MS)
            while not self._touch.value():
                await self._edge.wait()

    async def run(self):
        """For ever."""
        await asyncio.gather(self._listen(), self._check.run())
