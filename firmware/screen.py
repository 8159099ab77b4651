"""The screen lays out one named text at a time, with the mark of a lost link in the corner."""

from firmware import glyphs
from firmware.ssd1306 import PAGES, WIDTH
from firmware.texts import lines

CONTRAST = 128
# A line is two pages high. One or two of them are set off by half a line, from each other and from the mark of a lost
# link, which has the lowest; three fill the rest.
_LINE_PAGES = 2
_MARK_PAGE = PAGES - _LINE_PAGES


def _width(text):
    return sum([len(glyphs.columns(char)[0]) for char in text])


def _rows(text):
    """The text in pieces that fit the display: what is too long of a place or a name goes on below."""
    rows, start, used = [], 0, 0
    for at, char in enumerate(text):
        wide = _width(char)
        if used + wide > WIDTH:
            rows.append(text[start:at])
            start, used = at, 0
        used += wide
    return rows + [text[start:]]


class Screen:
    """display: Ssd1306."""

    def __init__(self, display):
        self._display = display

    def show(self, word, language, value="", online=True, contrast=CONTRAST):
        """Show the text `word` in `language` ("zh" or "en"), centred; `value` fills its gap.

        Raises OSError when the display does not answer, ValueError for a word or language that is in no text.
        """
        display = self._display
        display.clear()
        found = []
        for line in lines(word, language):
            found += _rows(line % value if "%s" in line else line)
        pitch = 3 if len(found) < 3 else _LINE_PAGES
        page = (3, 1 if online else 0, 0, 0)[len(found) - 1]
        for text in found:
            display.text(page, (WIDTH - _width(text)) // 2, text)
            page += pitch
        if not online:
            mark = lines("offline", language)[0]
            display.text(_MARK_PAGE, WIDTH - _width(mark), mark)
        display.show(contrast)
