"""The clock: a touch of an enrolled finger is a punch, on flash before the door says so."""

from firmware.fingerprint import Fingerprint, SensorError, unclear
from firmware.journal import JournalFull
from firmware.screen import Screen
from firmware.ssd1306 import Ssd1306
from protocol import command, event, punch, record
from protocol.record import NO_TIME

# The same finger again within a minute is the same punch.
REPEAT_MS = 60000
# As many unknown touches in a row are worth an event: somebody tries, or a roster is missing.
UNKNOWN_IN_A_ROW = 5
ANSWER_MS = 1500
# Slots whose last punch is remembered; the oldest gives way. A door sees fewer people in a minute.
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
        self._screen = Screen(Ssd1306(board.display))
        self._recent = []
        self._unknown = 0
        self._faulty = False
        self.thanks = 0
        self.touches = 0

    @property
    def status_word(self):
        return self._screen.word

    def on_command(self, found):
        """A clock has no visits."""

    def _show(self, word, value=""):
        device = self._device
        self._screen.show(word, device.settings.get(command.LANGUAGE), value or device.place, device.online)

    def _repeated(self, slot):
        """True when this slot punched within REPEAT_MS; else it is noted."""
        now = self._device.uptime.ms()
        self._recent = [one for one in self._recent if now - one[1] < REPEAT_MS]
        if [one for one in self._recent if one[0] == slot]:
            return True
        self._recent = self._recent[1 - _RECENT_MAX :] + [(slot, now)]
        return False

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
        """A finger was recognised, or not (slot is None)."""
        self.touches += 1
        staff = None if slot is None else self._device.settings.staff(slot)
        if staff is None:
            self._take_unknown()
        elif self._repeated(slot):
            self._show("repeated")
        else:
            self._unknown = 0
            self._device.record(record.PUNCH, self._claims(staff[0], score))
            self.thanks += 1
            self._show("punched", staff[1])

    def _take_unknown(self):
        self._unknown += 1
        self._show("unknown")
        if self._unknown == UNKNOWN_IN_A_ROW:
            claims = {event.CODE: event.UNKNOWN_FINGER, event.VALUE: self._unknown}
            self._device.record(record.EVENT, claims)
            self._unknown = 0

    async def _identify(self):
        """One finger on the glass; errors are shown and, once per failure of the sensor, recorded."""
        try:
            if self._faulty:
                await self._sensor.begin()
            slot, score = await self._sensor.identify()
            self._faulty = False
            self._take(slot, score)
        except SensorError as error:
            if unclear(error):
                self._show("unknown")
            else:
                self._fail(str(error))
        except JournalFull:
            self._show("full")
        except OSError:
            self._show("fault")

    def _fail(self, reason):
        self._show("sensor")
        if not self._faulty:
            self._faulty = True
            self._device.record(record.EVENT, {event.CODE: event.FAULT, event.TEXT: "sensor: " + reason})

    async def run(self):
        """For ever."""
        self._faulty = True
        while self._faulty:
            try:
                await self._sensor.begin()
                self._faulty = False
            except SensorError:
                self._show("sensor")
                await self._device.board.network_clock.sleep_ms(_SENSOR_RETRY_MS)
        while True:
            self._show("ready")
            while self._touch.value():
                await self._edge.wait()
            await self._identify()
            await self._device.clock.sleep_ms(ANSWER_MS)
            while not self._touch.value():
                await self._edge.wait()
