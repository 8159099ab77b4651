"""One button with two meanings: pressed, and held."""

from firmware.buttons import Buttons

# A person who means to hold does so for longer; one who presses has long let go.
HOLD_MS = 1500
_POLL_MS = 20
PRESSED, HELD = 1, 2


class PushButton:
    """pin: value() 0 is pressed. edge: object with async wait(). clock: real time."""

    def __init__(self, pin, edge, clock):
        self._pin = pin
        self._clock = clock
        self._buttons = Buttons([pin], edge, clock, clock)

    def stuck(self):
        """True when it has been down for longer than anybody holds it."""
        return self._buttons.stuck() != 0

    async def press(self):
        """Wait for the next press: PRESSED, or HELD while it is still down."""
        await self._buttons.press()
        for _ in range(HOLD_MS // _POLL_MS):
            if self._pin.value():
                return PRESSED
            await self._clock.sleep_ms(_POLL_MS)
        return HELD
