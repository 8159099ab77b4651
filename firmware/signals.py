"""Lamps and buzzer of an evaluator: what is seen and heard without reading."""

# One step of a pattern. Real time: nobody's eye runs faster in a simulation.
STEP_MS = 400
BEEP_MS = 80
ALL = 31


def lamp(level):
    """Mask of one level's lamp; bit 0 is level 1."""
    return 1 << (level - 1)


def pattern(word, mask, online):
    """Masks that a text's lamps go through, one a STEP_MS. mask: of the lamps that belong to the answer shown.

    The middle lamp alone, a blink in three seconds: the link is lost, ratings are taken. Both ends and their
    neighbours by turns: something is broken. One after the other: the device works on itself. From the ends to the
    middle until it is dark: the time is over.
    """
    if word in ("full", "fault", "locked"):
        return b"\x11\x0a"
    if word == "updating":
        return b"\x10\x08\x04\x02\x01"
    if word == "timed_out":
        return b"\x0e\x04\x00\x00"
    if word == "again":
        return b"\x1f\x00"
    if word == "idle" and not online:
        return b"\x00\x00\x00\x00\x00\x00\x00\x04"
    return bytes((mask,))


class Signals:
    """device: its board has leds (five pins, index 0 is level 1; 1 is lit) and a buzzer (1 sounds)."""

    def __init__(self, device):
        self._device = device
        self._clock = device.board.network_clock
        self._word, self._mask = "", 0
        self._step = 0

    def show(self, word, mask=0):
        """What the lamps say from now on."""
        self._word, self._mask, self._step = word, mask, 0
        self._light()

    def _light(self):
        steps = pattern(self._word, self._mask, self._device.online)
        mask = steps[self._step % len(steps)]
        for bit, led in enumerate(self._device.board.leds):
            led.value(mask >> bit & 1)

    async def run(self):
        """For ever: the patterns that move."""
        while True:
            await self._clock.sleep_ms(STEP_MS)
            self._step += 1
            self._light()

    async def beep(self):
        """A short sound, but for the quiet hours."""
        if not self._device.quiet:
            self._device.board.buzzer.value(1)
            await self._clock.sleep_ms(BEEP_MS)
            self._device.board.buzzer.value(0)
