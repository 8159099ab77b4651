"""The notice: what a device tells whoever stands before it, kept true while link and settings change."""

from firmware.screen import Screen
from firmware.ssd1306 import Ssd1306
from firmware.texts import lines
from protocol import command

# Two languages take turns, and so does what a technician has to know: as long as three short lines are read.
TURN_MS = 4000
_DIM = 0
# A broker that is started again is back by then. What lasts longer needs a technician, who reads why.
TELL_WHY_MS = 30000
# Between two visitors: here a device that wants repair and still works says so by turns.
_AT_REST = ("idle", "ready")
# Where nobody is in the middle of something.
_RESTING = _AT_REST + ("ready_in", "ready_out")


class Notice:
    """bus: I2C with the display. device: its settings, place, online and uplink.error are shown (see device.py).

    word: name of the text (see texts.py). broken: True while the display fails; the device goes on without it. worn:
    true while something else is broken that the device goes on without.
    """

    def __init__(self, bus, device):
        self._screen = Screen(Ssd1306(bus))
        self._device = device
        self._values = ()
        self._shown = None
        self._lost_ms = None
        self.word = ""
        self.broken = False
        self.worn = 0

    @property
    def language(self):
        """ "zh" or "en": whose turn it is."""
        languages = self._device.settings.get(command.LANGUAGE).split("+")
        return languages[self._device.uptime.ms() // TURN_MS % len(languages)]

    def _mark(self):
        """Of a lost link, and why it is lost when that lasts; "" while there is one."""
        device, language = self._device, self.language
        if device.online:
            self._lost_ms = None
            return ""
        now_ms = device.clock.ticks_ms()
        if self._lost_ms is None:
            self._lost_ms = now_ms
        fault = ""
        if self.word in _RESTING and device.clock.ticks_diff(now_ms, self._lost_ms) > TELL_WHY_MS:
            fault = device.uplink.error
        name, _, code = (fault or "offline").partition(" ")
        return lines(name, language)[0].replace("%s", code)

    def _state(self):
        """What a text depends on beside itself: language, place, staff, mark, contrast, and what is worn."""
        device, get = self._device, self._device.settings.get
        contrast = _DIM if device.quiet else get(command.BRIGHTNESS)
        turns = get(command.LANGUAGE).count("+") + 1  # each language says the one before it is the other's turn
        worn = self.worn and self.word in _AT_REST and device.uptime.ms() // TURN_MS & turns
        return self.language, device.place, get(command.STAFF_NAME, ""), self._mark(), contrast, worn

    def show(self, word, *values):
        """Show the text `word`; `values` fill its gaps, the window or door where there are none."""
        self.word, self._values = word, values
        self._shown = self._state()
        language, place, staff, mark, contrast, worn = self._shown
        if worn:
            word = "worn"
        elif word == "idle" and staff:
            word, values = "idle_staff", (place, staff)
        try:
            self._screen.show(word, language, values or (place,), mark, contrast)
            self.broken = False
        except OSError:
            self.broken = True

    def refresh(self, always=False):
        """Show the same text again where link, language, brightness or place changed, or the display had failed."""
        if self.word and (always or self.broken or self._shown != self._state()):
            self.show(self.word, *self._values)
