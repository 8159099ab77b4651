"""Lamps and buzzer of an evaluator: what is seen and heard without reading."""

ALL_LEVELS = 6


class Signals:
    """leds: five pins, index 0 is level 1; 1 is lit. buzzer: pin; 1 sounds. clock: real time."""

    def __init__(self, leds, buzzer, clock):
        self._leds = leds
        self._buzzer = buzzer
        self._clock = clock

    def light(self, level):
        """Light the lamp of one level; 0 lights none, ALL_LEVELS all of them."""
        for bit, led in enumerate(self._leds):
            led.value(1 if level in (bit + 1, ALL_LEVELS) else 0)

    async def beep(self, length_ms):
        self._buzzer.value(1)
        await self._clock.sleep_ms(length_ms)
        self._buzzer.value(0)
