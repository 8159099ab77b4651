"""Reasons of a bad rating, picked one page at a time with the five buttons. Pure.

From the left: yes, no, how far one is, back, end. Ending without a yes skips the question.
"""

from firmware import tags

YES, NO, BACK, END = 5, 4, 2, 1
# The wire takes as many (rating.ROWS, tags).
PAGES_MAX = 8


class Reasons:
    """codes: tag codes in force; those of `level` that have words are asked for. picked: answered with yes, in order.

    lamps: mask of the buttons that do something; bit 0 is level 1.
    """

    lamps = 27

    def __init__(self, codes, level):
        self.codes = tags.of_level(codes, level)[:PAGES_MAX]
        self._at = 0
        self.picked = []

    @property
    def code(self):
        """The tag code that is asked for."""
        return self.codes[self._at]

    def words(self, language):
        """What the display asks."""
        return tags.words(self.code, language)

    @property
    def progress(self):
        """As "2/8"."""
        return "%d/%d" % (self._at + 1, len(self.codes))

    def press(self, level):
        """One press; True when that was the last one."""
        if level == BACK:
            self._at = max(0, self._at - 1)
        elif level in (YES, NO):
            self.picked = [code for code in self.picked if code != self.code]
            if level == YES:
                self.picked.append(self.code)
            self._at += 1
        return level == END or self._at == len(self.codes)
