"""Five buttons, level 1 to 5: woken by an edge, then sampled until they stand still."""

# Contacts bounce for up to 10 ms; a press of a person lasts 60 ms and more.
SAMPLE_MS = 5
STABLE_SAMPLES = 4


def levels(mask):
    """The levels whose bits are set, ascending; bit 0 is level 1."""
    return [level for level in range(1, 6) if mask >> (level - 1) & 1]


class Buttons:
    """pins: five with value(), 0 is pressed; index 0 is level 1. edge: object with async wait(). clock: real time."""

    def __init__(self, pins, edge, clock):
        self._pins = pins
        self._edge = edge
        self._clock = clock
        self._down = 0

    def mask(self):
        """The buttons that are down at this moment."""
        mask = 0
        for bit, pin in enumerate(self._pins):
            if not pin.value():
                mask |= 1 << bit
        return mask

    async def _settle(self):
        """The mask once it stood still for STABLE_SAMPLES samples."""
        mask, same = self.mask(), 0
        while same < STABLE_SAMPLES:
            await self._clock.sleep_ms(SAMPLE_MS)
            now = self.mask()
            same = same + 1 if now == mask else 0
            mask = now
        return mask

    async def press(self):
        """Wait for the next press: its level, or 0 when two buttons were down at once."""
        while True:
            await self._edge.wait()
            before, self._down = self._down, await self._settle()
            fresh = levels(self._down & ~before)
            if fresh:
                return fresh[0] if len(levels(self._down)) == 1 else 0
