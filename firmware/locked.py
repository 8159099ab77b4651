"""What is left of a device whose keys were erased: a display that says so, in both languages, until somebody comes."""

from firmware import erasure, retirement
from firmware.identity import RETIRING, SECRETS, has_file
from firmware.screen import Screen
from firmware.ssd1306 import Ssd1306

TURN_MS = 4000


class Locked:
    """board: see board_evaluator.py. root: folder of the flash."""

    def __init__(self, board, root):
        self._board = board
        self._root = root
        self._screen = Screen(Ssd1306(board.display))
        self.language = ""

    def _show(self, language):
        self.language = language
        try:
            self._screen.show("locked", language)
        except OSError:  # a broken display is no reason to reboot for ever
            pass

    def _finish(self):
        """A device that was opened keeps its journal, which is sealed; one that retired had handed it over."""
        if erasure.is_done(self._root):
            return
        if has_file(self._root, RETIRING):
            retirement.erase_all(self._root, self._board.watchdog.feed)
        else:
            erasure.erase(self._root, SECRETS, self._board.watchdog.feed)

    async def run(self):
        """For ever. What a power cut had left of an erasure is finished first."""
        self._finish()
        while True:
            for language in ("zh", "en"):
                self._show(language)
                for _ in range(TURN_MS // 1000):
                    self._board.watchdog.feed()
                    await self._board.network_clock.sleep_ms(1000)
