"""The evaluator: asks when a visit opens, takes one rating per visit, thanks when it is on flash.

    idle --request--> asking --press--> a ballot (see ballot.py) --> kept, delivered --3 s--> idle
                      asking --time---> timed out --3 s--> idle    "not rated"; there is no default level
    idle, timed out --press--> a ballot                            a walk-up rating, marked as one
A press while "kept" or "delivered" stands there is the same visitor's: it says "already rated", lights the level that
counts, and is neither recorded nor counted. A visit that opens meanwhile is asked for at once, and pressed for again.
Two buttons at once are no answer: the display asks for one. What could not be written is not thanked for; the visit
stays open.
"""

import asyncio
import binascii

from firmware.ballot import LOST, Ballot
from firmware.buttons import Buttons
from firmware.journal import JournalFull
from firmware.notice import Notice
from firmware.self_check import BUTTONS, SelfCheck
from firmware.signals import ALL, Signals
from firmware.visit import Visit, claims_of, number_in
from protocol import command, rating, record

# How long the visitor reads the answer, in a person's time.
ANSWER_MS = 3000
# A window's system that asks again asks for one of the newest visits; of older ones the gateway knows the outcome.
_ANSWERED_MAX = 8


def _mark(number):
    """What remembers a visit number in little room."""
    return binascii.crc32(number.encode())


class Evaluator:
    """The app of a device (see device.py). thanks: how often it thanked. status_word: what the display shows.

    As the desk of a ballot: show(), after(), beep(), type(), language, finished().
    """

    def __init__(self, device):
        self._device = device
        board = device.board
        self._buttons = Buttons(board.buttons, board.edge, board.network_clock, device.clock)
        self._signals = Signals(device)
        self._notice = Notice(board.display, device)
        self.check = SelfCheck(device, self._notice, self._probe)
        self._visit = None
        self._answered = [_mark(number_in(device.newest_kept))]
        self._ballot = None
        self._sealed = None  # seq of the rating whose end is shown
        self._counted = 0  # lamp of that rating, 0 while none is shown
        self._held = False
        self._timer = None
        self._typing = None
        self._sounds = None
        self._failed = asyncio.Event()
        self._failure = None
        self.thanks = 0

    @property
    def status_word(self):
        return self._notice.word

    @property
    def language(self):
        """Of the next text."""
        return self._notice.language

    @property
    def busy(self):
        """True while somebody is asked or answers."""
        return self._visit is not None or self._ballot is not None

    def counts(self):
        """An evaluator has none."""
        return {}

    async def forget(self):
        """Its peripherals know nothing."""
        return True

    async def _probe(self):
        return BUTTONS if self._buttons.stuck() else 0

    def show(self, word, lamps, *values):
        """The lamps (a mask, see signals.py) and a text: a frame takes the bus longer than an eye takes for a lamp."""
        self._signals.show(word, lamps)
        self._notice.show(word, *values)

    def beep(self):
        self._sounds = self._start(self._signals.beep)

    def after(self, delay_ms, action):
        """Run `action` after a person's `delay_ms`; only the newest one waits."""
        if self._timer:
            self._timer.cancel()
        self._timer = self._start(self._wait, delay_ms, action)

    async def _wait(self, delay_ms, action):
        await self._device.clock.sleep_ms(max(0, delay_ms))
        self._timer = None  # before the action: it may start the next one
        action()

    def _start(self, work, *values):
        """A task that nobody awaits. The exception that it ends with is raised by run()."""
        return asyncio.create_task(self._guard(work, values))

    async def _guard(self, work, values):
        try:
            await work(*values)
        except Exception as error:
            self._failure = error
            self._failed.set()

    async def _fail(self):
        await self._failed.wait()
        raise self._failure

    def type(self, on_key):
        """Hand every key of the keypad to on_key(char) until the ballot is finished; False where there is none."""
        wires = self._device.board.keypad()
        if wires:
            from firmware.keypad import Keypad  # few halls have one

            keypad = Keypad(wires[0], wires[1], self._device.board.network_clock)
            self._typing = self._start(self._type, keypad, on_key)
        return wires is not None

    async def _type(self, keypad, on_key):
        while self._ballot:
            char = await keypad.key()
            this, self._typing = self._typing, None  # a task cannot cancel itself
            on_key(char)
            self._typing = this

    def _rest(self):
        """What is shown when no answer is: the question of an open visit, or idle."""
        self._counted, self._sealed = 0, None
        if self._visit:
            self.show("ask", ALL)
            self.after(self._visit.ends_ms - self._device.uptime.ms(), self._time_out)
        else:
            self.show("idle", 0)

    def _answer(self, word, lamps):
        """Show an answer for a while."""
        self.show(word, lamps)
        self.after(ANSWER_MS, self._rest)

    def hold(self, word):
        """Take nothing any more, and say why. There is no way back but a reboot."""
        self._end()
        self._held = True
        if self._timer:
            self._timer.cancel()
        self.show(word, 0)

    def _end(self):
        """Whatever is under way ends with what stands there."""
        if self._ballot:
            self._ballot.finish()
        self._time_out()

    def on_command(self, found):
        """An evaluation request opens a visit; the same number twice is one visit; a new one ends the open one."""
        number = found.claims.get(command.VISIT)
        is_open = self._visit and self._visit.number == number
        if self._held:
            return
        if found.kind == command.EVALUATION_CANCEL:
            if is_open:
                self._visit = None
                self._rest()
        elif found.kind == command.EVALUATION_REQUEST and not is_open and _mark(number) not in self._answered:
            self._end()
            timeout_s = self._device.settings.get(command.RATING_TIMEOUT_S)
            self._visit = Visit(found.claims, self._device.uptime.ms(), timeout_s)
            self._rest()
            self.beep()

    def on_receipt(self):
        """The gateway has everything up to the journal's `through`: say so while the visitor may still look."""
        if self._sealed and self._device.journal.through >= self._sealed:
            self._sealed = None
            if self.status_word == "kept":
                self.show("delivered", self._counted)

    def _time_out(self):
        """The open visit stays unrated, and says so in the stream."""
        if self._visit:
            failure = self._attempt(self._record_time_out)
            self._close()
            self._answer(failure or "timed_out", 0)

    def _record_time_out(self):
        claims, redactable = claims_of(self._visit, self._device)
        claims[rating.OUTCOME] = rating.TIMED_OUT
        self._device.record(record.RATING, claims, redactable)

    def _attempt(self, action):
        """Name of the text that says why the action failed; "" when it did not."""
        try:
            action()
            return ""
        except JournalFull:
            return "full"
        except LOST:
            return "fault"

    def _close(self):
        """The visit, if one is open, is answered: one rating per visit."""
        if self._visit:
            self._answered = self._answered[1 - _ANSWERED_MAX :] + [_mark(self._visit.number)]
            self._visit = None

    def _pressed(self, level):
        """One press; level 0 is two buttons at once."""
        if self._held:
            return
        if self._ballot:
            self._ballot.press(level)
        elif self._counted:
            self.show("already", self._counted)
        elif not level:
            self._answer("again", ALL)
        else:
            self._begin(level)

    def _begin(self, level):
        """The first press of a rating."""
        ballot = Ballot(self._device, self, self._visit)

        def rate():
            self._device.seal()  # one that could not be sealed in its time goes first
            ballot.begin(level)

        failure = self._attempt(rate)
        if failure:
            self._answer(failure, 0)
        else:
            self._ballot = ballot
            self.thanks += 1
            self._close()

    def finished(self, seq, lamps):
        """The ballot is over. seq: of its record, None while it could not be sealed. lamps: of its level."""
        self._ballot = None
        if self._typing:
            self._typing.cancel()
            self._typing = None
        self._sealed, self._counted = seq, lamps
        self._answer("kept", lamps)

    async def _listen(self):
        while True:
            level = await self._buttons.press()
            for one in self._buttons.fresh:  # whatever comes of it
                self._device.presses[one - 1] += 1
            self._pressed(level)

    async def run(self):
        """For ever. Ends only with the exception of a part that failed, a timer's included."""
        self._rest()
        await asyncio.gather(self._listen(), self.check.run(), self._signals.run(), self._fail())
