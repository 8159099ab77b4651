"""The screen shows one named text at a time, with the mark of a lost link in the corner."""

from firmware import glyphs
from firmware.ssd1306 import LINES, WIDTH
from firmware.texts import lines


def _width(text):
    return sum([len(glyphs.columns(char)[0]) for char in text])


class Screen:
    """Shows texts on an Ssd1306. A display that fails is noted in `broken` and asked again; ratings go on without it."""

    def __init__(self, display):
        self._display = display
        self.word = ""
        self.broken = False

    def show(self, word, language, value="", online=True):
        """Show the text `word` in `language` ("zh" or "en"), centred; `value` fills its gap."""
        self.word = word
        display = self._display
        display.clear()
        found = lines(word, language)
        first = (LINES - len(found)) // 2
        for number, line in enumerate(found):
            text = line % value if "%s" in line else line
            display.text(first + number, max(0, (WIDTH - _width(text)) // 2), text)
        if not online:
            mark = lines("offline", language)[0]
            display.text(LINES - 1, WIDTH - _width(mark), mark)
        try:
            display.show()
            self.broken = False
        except OSError:
            self.broken = True
