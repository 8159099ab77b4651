"""The ballot: one rating from its first press to its record.

    press -> [the clerk, where the hall asks for both] -> thanks, 3 s to correct -> [reasons] -> [phone] -> sealed
Reasons and phone are asked for after a bad level only, and each can be left out. Whatever ends the ballot, time or the
next visit, seals what stands there. Every press that was answered is on flash before the answer is shown.
Two buttons at once answer nothing: the question comes again. Fingers of one grip do not arrive together, so the first
may be thanked for by then; it stands unless the next press says otherwise, and the time to correct begins anew.
"""

from firmware.buttons import TOGETHER_MS
from firmware.journal import JournalFull
from firmware.signals import ALL, lamp
from firmware.visit import claims_of, with_phone
from protocol import command, rating

# In a person's time. Who pressed the wrong button notices at once; who goes on reading is still there.
CORRECTION_MS = 3000
STAFF_MS = 20000
REASON_MS = 15000
PHONE_MS = 30000
# How long a request for one button only stands there: as long as a correction may take, for that is what it asks for.
AGAIN_MS = 3000
BAD_LEVEL_MAX = 2  # the seed document, article 4: the last two levels
_PHONE_SKIP = 1
# What a flash or a heap may do to one write; what was written before stands.
LOST = (JournalFull, OSError, MemoryError)


class Ballot:
    """device: see device.py. desk: see Evaluator. visit: Visit, or None for a walk-up rating.

    press(level): the next press, 0 for two buttons at once. counts: lamp of the level that counts, as a mask.
    """

    def __init__(self, device, desk, visit):
        self._device = device
        self._desk = desk
        self._claims, self._redactable = claims_of(visit, device)
        self._claims[rating.OUTCOME] = rating.RATED
        self._question = rating.LEVEL
        self._reasons = None
        self._phone = None
        self._asked_ms = 0
        self.press = self.begin

    @property
    def counts(self):
        return lamp(self._claims[self._question])

    def begin(self, level):
        """The first press. Raises JournalFull, OSError, MemoryError: then nothing was taken, and nobody thanked."""
        self._keep(rating.LEVEL, level)
        if self._device.settings.get(command.RATE_STAFF):
            self._ask_staff()
        else:
            self._thank()

    def _keep(self, question, level):
        claims = dict(self._claims)
        claims[question] = level
        self._device.keep(claims, self._redactable)
        self._claims, self._question = claims, question

    def _change(self, question, level):
        """As _keep(); where that fails, what was thanked for stands."""
        try:
            self._keep(question, level)
        except LOST:
            pass

    def _again(self, question):
        """Two buttons at once: ask for one, which answers the same question, then go on with question()."""
        self._desk.show("again", ALL)
        self._desk.after(AGAIN_MS, question)

    def _rate_item(self, level):
        if level:
            self._change(rating.LEVEL, level)
            self._ask_staff()
        else:
            self._again(self._ask_staff)

    def _ask_staff(self):
        self.press = self._rate_staff
        self._asked_ms = self._device.board.network_clock.ticks_ms()
        self._desk.show("ask_staff", ALL)
        self._desk.after(STAFF_MS, self._thank)

    def _rate_staff(self, level):
        clock = self._device.board.network_clock
        if level:
            self._change(rating.STAFF_LEVEL, level)
            self._thank()
        else:
            if clock.ticks_diff(clock.ticks_ms(), self._asked_ms) < TOGETHER_MS:  # it is the item's
                self.press = self._rate_item
            self._again(self._ask_staff)

    def _thank(self):
        self.press = self._correct
        self._desk.show("thanks", self.counts)
        self._desk.beep()
        self._desk.after(CORRECTION_MS, self._settle)

    def _correct(self, level):
        if level:
            self._change(self._question, level)
            self._desk.show("thanks", self.counts)
        else:
            self._again(self._thank)

    def _bad_level(self):
        """The level that reasons are asked for: the item's when it is bad, else the clerk's; 0 when neither is."""
        for question in (rating.LEVEL, rating.STAFF_LEVEL):
            if self._claims.get(question, 5) <= BAD_LEVEL_MAX:
                return self._claims[question]
        return 0

    def _settle(self):
        """The time to correct is over."""
        level, codes = self._bad_level(), self._device.settings.get(command.TAG_CODES)
        if level and codes:  # most are not bad, and what only bad ones need is not in the heap before
            from firmware.reasons import Reasons

            self._reasons = Reasons(codes, level)
        if self._reasons and self._reasons.codes:
            self.press = self._reason
            self._show_reason()
        else:
            self._ask_phone()

    def _show_reason(self):
        reasons = self._reasons
        self._desk.show("reason", reasons.lamps, reasons.words(self._desk.language), reasons.progress)
        self._desk.after(REASON_MS, self.finish)

    def _reason(self, level):
        if not level:
            self._again(self._show_reason)
        elif self._reasons.press(level):
            self._ask_phone()
        else:
            self._show_reason()

    def _ask_phone(self):
        wanted = self._bad_level() and self._device.settings.get(command.ASK_PHONE)
        if wanted and self._desk.type(self._key):
            from firmware.phone import Phone

            self._phone = Phone()
            self.press = self._leave_phone
            self._show_phone()
        else:
            self.finish()

    def _show_phone(self, word="phone"):
        self._desk.show(word, lamp(_PHONE_SKIP), self._phone.digits + "_")
        self._desk.after(PHONE_MS, self._skip_phone)

    def _key(self, char):
        if self._phone.key(char):
            self.finish()
        else:
            self._show_phone("wrong" if char == "#" else "phone")

    def _leave_phone(self, level):
        if not level:
            self._again(self._show_phone)
        elif level == _PHONE_SKIP:
            self._skip_phone()

    def _skip_phone(self):
        """A number that was not confirmed was not given."""
        self._phone = None
        self.finish()

    def finish(self):
        """No more of it: seal what stands there. A rating that cannot be sealed now stays a draft, and is kept."""
        self._add()
        try:
            seq = self._device.seal()
        except LOST:
            seq = None
        self._desk.finished(seq, self.counts)

    def _add(self):
        """Reasons and phone number belong to the rating from now on."""
        picked = self._reasons.picked if self._reasons else []
        complete = self._phone and self._phone.is_complete
        if picked or complete:
            self._claims = dict(self._claims)
            if picked:
                self._claims[rating.TAGS] = picked
            if complete:
                self._redactable = with_phone(self._redactable, self._phone.digits)
            self._change(self._question, self._claims[self._question])
