"""The screen shows one named text at a time, with the mark of a lost link in the corner."""

from firmware import glyphs
from firmware.ssd1306 import LINES, WIDTH, Ssd1306
from firmware.texts import lines
from protocol import command


def _width(text):
    return sum([len(glyphs.columns(char)[0]) for char in text])


class Screen:
    """bus: I2C with the display. device: its settings, place and online are shown (see device.py).

    word: name of the text on the display. broken: True while the display fails; the device goes on without it.
    """

    def __init__(self, bus, device):
        self._display = Ssd1306(bus)
        self._device = device
        self._value = ""
        self._shown = None
        self.word = ""
        self.broken = False

    def _state(self):
        """What a text depends on beside itself."""
        device = self._device
        get = device.settings.get
        return get(command.LANGUAGE), get(command.BRIGHTNESS), device.place, device.online

    def show(self, word, value=""):
        """Show the text `word`, centred; `value` fills its gap, the window or door where there is none."""
        self.word, self._value = word, value
        self._shown = self._state()
        language, contrast, place, online = self._shown
        display = self._display
        display.clear()
        found = lines(word, language)
        first = (LINES - len(found)) // 2
        for number, line in enumerate(found):
            text = line % (value or place) if "%s" in line else line
            display.text(first + number, max(0, (WIDTH - _width(text)) // 2), text)
        if not online:
            mark = lines("offline", language)[0]
            display.text(LINES - 1, WIDTH - _width(mark), mark)
        try:
            display.show(contrast)
            self.broken = False
        except OSError:
            self.broken = True

    def refresh(self, always=False):
        """Show the same text again where link, language, brightness or place changed, or the display had failed."""
        if always or self.broken or self._shown != self._state():
            self.show(self.word, self._value)
