"""The notice: what a device tells whoever stands before it, kept true while link and settings change."""

from firmware.screen import Screen
from firmware.ssd1306 import Ssd1306
from protocol import command


class Notice:
    """bus: I2C with the display. device: its settings, place and online are shown (see device.py).

    word: name of the text (see texts.py). broken: True while the display fails; the device goes on without it.
    """

    def __init__(self, bus, device):
        self._screen = Screen(Ssd1306(bus))
        self._device = device
        self._value = ""
        self._shown = None
        self.word = ""
        self.broken = False

    def _state(self):
        """What a text depends on beside itself: language, place, online, contrast."""
        device, get = self._device, self._device.settings.get
        return get(command.LANGUAGE), device.place, device.online, get(command.BRIGHTNESS)

    def show(self, word, value=""):
        """Show the text `word`; `value` fills its gap, the window or door where there is none."""
        self.word, self._value = word, value
        self._shown = self._state()
        language, place, online, contrast = self._shown
        try:
            self._screen.show(word, language, value or place, online, contrast)
            self.broken = False
        except OSError:
            self.broken = True

    def refresh(self, always=False):
        """Show the same text again where link, language, brightness or place changed, or the display had failed."""
        if self.word and (always or self.broken or self._shown != self._state()):
            self.show(self.word, self._value)
