"""The evaluator: asks when a visit opens, takes one rating per visit, thanks when it is on flash.

    idle --request--> asking --press--> thanks --3 s--> idle       rated, with the visit's number
                      asking --time---> timed out --3 s--> idle    "not rated"; there is no default level
    idle, timed out --press--> thanks                              a walk-up rating, marked as one
A press while the thanks are shown is the same visitor's: it says "already rated", lights the level that counts, and is
neither recorded nor counted. A visit that opens meanwhile is asked for at once, and pressed for again. Two buttons at
once are no answer: the display asks for one. What could not be written is not thanked for; the visit stays open.
"""

import asyncio

from firmware.buttons import Buttons
from firmware.journal import JournalFull
from firmware.notice import Notice
from firmware.self_check import BUTTONS, SelfCheck
from firmware.signals import ALL_LEVELS, Signals
from protocol import command, rating, record

# How long the visitor reads the answer, in a person's time.
ANSWER_MS = 3000
_BEEP_MS = 80


class Visit:
    """An open visit: claims of its evaluation request, and when the question was shown (uptime)."""

    def __init__(self, claims, asked_ms):
        self.number = claims[command.VISIT]
        self.staff = claims.get(command.STAFF)
        self.ends_ms = asked_ms + 1000 * claims[command.TIMEOUT_S]
        self.applicant = claims.get(command.APPLICANT)
        self.asked_ms = asked_ms


class Evaluator:
    """The app of a device (see device.py). thanks: how often it thanked. status_word: what the display shows."""

    def __init__(self, device):
        self._device = device
        board = device.board
        self._buttons = Buttons(board.buttons, board.edge, board.network_clock)
        self._signals = Signals(board.leds, board.buzzer, board.network_clock)
        self._notice = Notice(board.display, device)
        self._check = SelfCheck(device, self._notice, self._probe)
        self._visit = None
        self._answered = ""
        self._timer = None
        self._thanked_level = 0
        self._sounds = None
        self.thanks = 0

    @property
    def status_word(self):
        return self._notice.word

    async def _probe(self):
        return BUTTONS if self._buttons.stuck() else 0

    def _show(self, word, lamp):
        self._notice.show(word)
        self._signals.light(lamp)

    def _beep(self):
        self._sounds = asyncio.create_task(self._signals.beep(_BEEP_MS))

    def _rest(self):
        """What is shown when no answer is: the question of an open visit, or idle."""
        self._thanked_level = 0
        if self._visit:
            self._show("ask", ALL_LEVELS)
            self._after(self._visit.ends_ms - self._device.uptime.ms(), self._time_out)
        else:
            self._show("idle", 0)

    def _answer(self, word, lamp):
        """Show an answer for a while."""
        self._show(word, lamp)
        self._after(ANSWER_MS, self._rest)

    def _after(self, delay_ms, action):
        """Run `action` after a person's `delay_ms`; only the newest one waits."""
        if self._timer:
            self._timer.cancel()
        self._timer = asyncio.create_task(self._wait(delay_ms, action))

    async def _wait(self, delay_ms, action):
        await self._device.clock.sleep_ms(max(0, delay_ms))
        self._timer = None  # before the action: it may start the next one
        action()

    def on_command(self, found):
        """An evaluation request opens a visit; the same number twice is one visit; a new one ends the open one."""
        number = found.claims[command.VISIT]
        is_open = self._visit and self._visit.number == number
        if found.kind == command.EVALUATION_CANCEL:
            if is_open:
                self._visit = None
                self._rest()
        elif not is_open and number != self._answered:
            self._time_out()
            self._visit = Visit(found.claims, self._device.uptime.ms())
            self._rest()
            self._beep()

    def _time_out(self):
        """The open visit stays unrated, and says so in the stream."""
        if self._visit:
            failure = self._record({rating.OUTCOME: rating.TIMED_OUT})
            self._close()
            self._answer(failure or "timed_out", 0)

    def _close(self):
        """The visit, if one is open, is answered: one rating per visit."""
        if self._visit:
            self._answered = self._visit.number
            self._visit = None

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
        """Name of the text that says why the rating is not on flash; "" when it is."""
        claims, redactable = self._claims(claims)
        try:
            self._device.record(record.RATING, claims, redactable)
            return ""
        except JournalFull:
            return "full"
        except (OSError, MemoryError):
            return "fault"

    def _pressed(self, level):
        """One press; level 0 is two buttons at once."""
        if self._thanked_level:
            self._show("already", self._thanked_level)
        elif not level:
            self._answer("again", ALL_LEVELS)
        else:
            failure = self._record({rating.OUTCOME: rating.RATED, rating.LEVEL: level})
            if failure:
                self._answer(failure, 0)
            else:
                self._thank(level)

    def _thank(self, level):
        self.thanks += 1
        self._close()
        self._thanked_level = level
        self._answer("thanks", level)
        self._beep()

    async def _listen(self):
        while True:
            self._pressed(await self._buttons.press())

    async def run(self):
        """For ever."""
        self._rest()
        await asyncio.gather(self._listen(), self._check.run())
