"""Five buttons, level 1 to 5: woken by an edge, then sampled until they stand still."""

# Contacts bounce for up to 10 ms; a press of a person lasts 60 ms and more. Three equal samples after the first are
# 12 ms of rest: what bounces never has them, and a finger does not feel them.
SAMPLE_MS = 4
STABLE_SAMPLES = 3
# A contact that moves for a tenth of a second is broken, and must not stand in the way of the others either.
SAMPLES_MAX = 25
# Fingers of one hand that meant to press together do so within a tenth of a second; who corrects himself has to see the
# thanks first.
TOGETHER_MS = 150
# Nobody holds a button this long: it is jammed, and must not stand in the way of the others.
STUCK_MS = 10000


def levels(mask):
    """The levels whose bits are set, ascending; bit 0 is level 1."""
    return [level for level in range(1, 6) if mask >> (level - 1) & 1]


class Buttons:
    """pins: five objects with value(), 0 is pressed; index 0 is level 1. edge: object with async wait().

    clock: real time. person_clock: a person's time, in which one press follows another. A press counts when it begins;
    holding a button is one press. fresh: the levels that went down with the newest press.
    """

    def __init__(self, pins, edge, clock, person_clock):
        self._pins = pins
        self._edge = edge
        self._clock = clock
        self._person_clock = person_clock
        self._down = self.mask()
        self._since_ms = [clock.ticks_ms()] * len(pins)
        self._stuck = 0
        self._former = 0  # level that went down last, 0 before the first press
        self._former_ms = 0
        self.fresh = []

    def mask(self):
        """The buttons that are down at this moment."""
        mask = 0
        for bit, pin in enumerate(self._pins):
            if not pin.value():
                mask |= 1 << bit
        return mask

    def stuck(self):
        """The buttons that have been down for STUCK_MS, as a mask. Ask at least every 6 days: ticks wrap."""
        now_ms = self._clock.ticks_ms()
        self._stuck &= self._down
        for level in levels(self._down):
            if self._clock.ticks_diff(now_ms, self._since_ms[level - 1]) >= STUCK_MS:
                self._stuck |= 1 << (level - 1)
        return self._stuck

    async def _settle(self):
        """The mask once it stood still for STABLE_SAMPLES samples; without those that never did."""
        mask, same, moved = self.mask(), 0, 0
        for _ in range(SAMPLES_MAX):
            await self._clock.sleep_ms(SAMPLE_MS)
            now = self.mask()
            same = same + 1 if now == mask else 0
            if same == STABLE_SAMPLES:
                return mask
            moved |= mask ^ now
            mask = now
        return mask & ~moved

    async def press(self):
        """Wait for the next press: its level, or 0 for two buttons at once: both down, or one so soon after another
        that they were meant together. Stuck ones do not count.
        """
        while True:
            await self._edge.wait()
            before, self._down = self._down, await self._settle()
            self.fresh = levels(self._down & ~before)
            if self.fresh:
                break
        now_ms, former = self._person_clock.ticks_ms(), self._former
        apart_ms = self._person_clock.ticks_diff(now_ms, self._former_ms)
        self._former, self._former_ms = self.fresh[0], now_ms
        for level in self.fresh:
            self._since_ms[level - 1] = self._clock.ticks_ms()
        if former not in (0, self._former) and 0 <= apart_ms < TOGETHER_MS:
            return 0
        return self._former if len(levels(self._down & ~self.stuck())) == 1 else 0
