"""The screen lays out one named text at a time, with a mark in its lowest line, right."""

from firmware.ssd1306 import PAGES, WIDTH
from firmware.texts import lines

CONTRAST = 128
# A line is two pages high. Up to three of them are set off by half a line, from each other and from labels or the mark,
# which have the lowest. Where that does not fit they stand close, and four leave no room for a mark.
_LINE_PAGES = 2
ROWS_MAX = PAGES // _LINE_PAGES
_LOWEST_PAGE = PAGES - _LINE_PAGES
_BUTTONS = 5


def _width(text):
    return sum([8 if " " <= char < "\x7f" else 16 for char in text])  # as glyphs.columns() has them


def _rows(text):
    """The text in pieces that fit the display: what is too long goes on below, at a space where there is one."""
    rows, start, used, space = [], 0, 0, -1
    for at, char in enumerate(text):
        if char == " ":
            space = at
        used += _width(char)
        if used > WIDTH:
            end = space if space > start else at
            rows.append(text[start:end])
            start = end + 1 if end == space else end
            used = _width(text[start : at + 1])
    return rows + [text[start:]]


def _fitting(found, rows_max):
    """Rows of lines, which are lists of rows: each has at least one, and the longest give way first, at their end."""
    for _ in range(sum(map(len, found)) - rows_max):
        longest = found[0]
        for rows in found:
            if len(rows) >= len(longest):
                longest = rows
        longest[1:] = longest[1:-1]
    fitting = []
    for rows in found:
        fitting += rows
    return fitting


def _filled(text, values):
    """The text with its gaps filled, in order; what is left over of `values` belongs to no gap."""
    return text % tuple(values[: text.count("%s")])


class Screen:
    """display: Ssd1306."""

    def __init__(self, display):
        self._display = display

    def show(self, word, language, values=(), mark="", contrast=CONTRAST):
        """Show the text `word` in `language` ("zh" or "en"), centred; `values` fill its gaps, one each. Of values that
        leave no room for the other lines the end is cut.

        mark: a short text, "" for none; a page that labels the buttons has no room for it.

        Raises OSError when the display does not answer, ValueError for a word or language that is in no text,
        TypeError for too few values.
        """
        self._display.clear()
        labels, found = "", []
        for text in _filled("|".join(lines(word, language)), values).split("|"):
            if text.startswith("="):
                labels = text[1:]
            else:
                found.append(_rows(text))
        found = _fitting(found, ROWS_MAX - 1 if labels else ROWS_MAX)
        self._lay_out(found, not mark and not labels)
        if labels:
            self._label(labels)
        elif mark and len(found) < ROWS_MAX:
            self._display.text(_LOWEST_PAGE, WIDTH - _width(mark), mark)
        self._display.show(contrast)

    def _lay_out(self, rows, is_whole):
        """Rows of text, centred in the whole display or in all of it but the lowest line."""
        pitch = 3 if len(rows) < (4 if is_whole else 3) else _LINE_PAGES
        page = (3, 1 if is_whole else 0, 0, 0)[min(len(rows), 4) - 1]
        for text in rows:
            self._display.text(page, (WIDTH - _width(text)) // 2, text)
            page += pitch

    def _label(self, labels):
        """A label above each button."""
        for number, text in enumerate(labels.split(",")):
            middle = (2 * number + 1) * WIDTH // (2 * _BUTTONS)
            wide = _width(text)
            self._display.text(_LOWEST_PAGE, max(0, min(WIDTH - wide, middle - wide // 2)), text)
