"""The evaluator: asks when a visit opens, takes one rating per visit, thanks when it is on flash.

A press without an open visit is a walk-up rating and marked as one. While the thanks are shown a further press does
nothing: it is the same visitor. Time out is "not rated"; there is no default level.
"""

import asyncio

from firmware.buttons import Buttons
from firmware.journal import JournalFull
from firmware.screen import Screen
from firmware.signals import Signals
from firmware.ssd1306 import Ssd1306
from protocol import command, rating, record

# How long the visitor reads the answer, in a person's time.
ANSWER_MS = 3000
_BEEP_MS = 80
_ALL = 6


class Visit:
    """An open visit: claims of its evaluation request, and when the question was shown (uptime)."""

    def __init__(self, claims, asked_ms):
        self.number = claims[command.VISIT]
        self.staff = claims.get(command.STAFF)
        self.timeout_ms = 1000 * claims[command.TIMEOUT_S]
        self.applicant = claims.get(command.APPLICANT)
        self.asked_ms = asked_ms


class Evaluator:
    """The app of a device (see device.py). thanks: how often it thanked. status_word: what the display shows."""

    def __init__(self, device):
        self._device = device
        board = device.board
        self._buttons = Buttons(board.buttons, board.edge, board.network_clock)
        self._signals = Signals(board.leds, board.buzzer, board.network_clock)
        self._screen = Screen(Ssd1306(board.display))
        self._visit = None
        self._answered = ""
        self._timer = None
        self._answering = False
        self._sounds = None
        self.thanks = 0

    @property
    def status_word(self):
        return self._screen.word

    def _show(self, word, lamp):
        device = self._device
        self._screen.show(word, device.settings.get(command.LANGUAGE), device.place, device.online)
        self._signals.light(lamp)

    def _rest(self):
        """What is shown when no answer is: the question of an open visit, or idle."""
        self._answering = False
        self._show("ask" if self._visit else "idle", _ALL if self._visit else 0)

    def _after(self, delay_ms, action):
        """Run `action` after a person's `delay_ms`; only the newest one waits."""
        if self._timer:
            self._timer.cancel()
        self._timer = asyncio.create_task(self._wait(delay_ms, action))

    async def _wait(self, delay_ms, action):
        await self._device.clock.sleep_ms(delay_ms)
        self._timer = None  # before the action: it may start the next one
        action()

    def on_command(self, found):
        """An evaluation request opens a visit; the same number twice is one visit; a new one ends the open one."""
        number = found.claims[command.VISIT]
        if found.kind == command.EVALUATION_CANCEL:
            if self._visit and self._visit.number == number:
                self._visit = None
                self._rest()
            return
        if number == self._answered or (self._visit and self._visit.number == number):
            return
        if self._visit:
            self._time_out()
        self._visit = Visit(found.claims, self._device.uptime.ms())
        self._rest()
        self._after(self._visit.timeout_ms, self._time_out)

    def _time_out(self):
        """The open visit stays unrated, and says so in the stream."""
        if self._visit and self._record({rating.OUTCOME: rating.TIMED_OUT}):
            self._answer("timed_out", 0)

    def _answer(self, word, lamp):
        """The visit is over: show the answer for a while."""
        if self._visit:
            self._answered = self._visit.number
            self._visit = None
        self._answering = True
        self._show(word, lamp)
        self._after(ANSWER_MS, self._rest)

    def _claims(self, claims):
        """(claims, redactable) of a rating for the open visit, or of a walk-up one."""
        device, visit = self._device, self._visit
        staff = (visit and visit.staff) or device.settings.get(command.STAFF_NUMBER)
        claims[rating.WINDOW] = device.place
        claims[rating.MODE] = rating.VISIT_MODE if visit else rating.WALK_UP
        if staff:
            claims[rating.STAFF] = staff
        redactable = {}
        if device.wall_clock.now_s():
            redactable[rating.EXACT_TIME] = device.wall_clock.now_s()
        if visit:
            claims[rating.DELAY_MS] = device.uptime.ms() - visit.asked_ms
            redactable[rating.VISIT] = visit.number
            if visit.applicant:
                redactable[rating.IDENTITY] = visit.applicant
        return claims, redactable

    def _record(self, claims):
        """True when the rating is on flash. Otherwise the display says why, and nobody is thanked."""
        claims, redactable = self._claims(claims)
        try:
            self._device.record(record.RATING, claims, redactable)
            return True
        except JournalFull:
            self._show("full", 0)
        except OSError:
            self._show("fault", 0)
        return False

    def _pressed(self, level):
        if self._answering:
            return
        if not level:
            self._show("again", _ALL)
        elif self._record({rating.OUTCOME: rating.RATED, rating.LEVEL: level}):
            self.thanks += 1
            self._answer("thanks", level)
            self._sounds = asyncio.create_task(self._signals.beep(_BEEP_MS))

    async def run(self):
        """For ever."""
        self._rest()
        while True:
            self._pressed(await self._buttons.press())
