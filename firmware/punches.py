"""Punches: what a finger that the sensor knows, or does not, means at this door."""

from firmware.direction import Direction, done_word, ready_word
from firmware.self_check import report
from protocol import event, punch, record
from protocol.record import NO_TIME

REPEAT_MS = 60000
# As many unknown touches in a row are worth an event: somebody tries, or a roster is missing.
UNKNOWN_IN_A_ROW = 5
# People whose last punch is remembered; the oldest gives way. With every finger the door needs a second and a half for
# its answer alone: there are fewer in a minute.
_RECENT_MAX = 64


class Punches:
    """device: see device.py. kept: punches on flash. touches: fingers taken, known or not. unknown: of these, not."""

    def __init__(self, device):
        self._device = device
        self._direction = Direction()
        self._recent = []
        self._unknown_in_a_row = 0
        self.kept = 0
        self.touches = 0
        self.unknown = 0

    def _now_ms(self):
        return self._device.uptime.ms()

    def turn(self):
        """The button: the next punch has another direction."""
        self._direction.press(self._now_ms())

    def ready_word(self):
        """The text that asks for a finger, and says for which direction."""
        return ready_word(self._direction.at(self._now_ms()))

    def take(self, slot, score):
        """A finger was recognised, or not (slot is None): the text that answers it, with its value.

        Raises JournalFull, OSError; then nobody punched.
        """
        self.touches += 1
        staff = None if slot is None else self._device.settings.staff(slot)
        if staff is None:
            return self._take_unknown()
        self._unknown_in_a_row = 0
        if self._repeated(staff[0]):
            return ("repeated",)
        claims = self._claims(staff[0], score)
        self._device.record(record.PUNCH, claims)
        self._recent = self._recent[1 - _RECENT_MAX :] + [(staff[0], self._now_ms())]
        self.kept += 1
        return done_word(claims[punch.DIRECTION]), staff[1]

    def _take_unknown(self):
        self._unknown_in_a_row += 1
        self.unknown += 1
        enough = self._unknown_in_a_row >= UNKNOWN_IN_A_ROW
        if enough and report(self._device, event.UNKNOWN_FINGER, self._unknown_in_a_row):
            self._unknown_in_a_row = 0
        return ("unknown",)

    def _repeated(self, number):
        """True when this person punched within REPEAT_MS."""
        now = self._now_ms()
        self._recent = [one for one in self._recent if now - one[1] < REPEAT_MS]
        return len([one for one in self._recent if one[0] == number]) > 0

    def _claims(self, number, score):
        device = self._device
        claims = {
            punch.DOOR: device.place,
            punch.STAFF: number,
            punch.DIRECTION: self._direction.take(self._now_ms()),
            punch.SCORE: score,
            punch.METHOD: punch.FINGERPRINT,
        }
        if device.wall_clock.source != NO_TIME:
            claims[punch.TIME] = device.wall_clock.now_s()
        return claims
