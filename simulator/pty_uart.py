"""A serial line as a system has it: a pseudo-terminal, with a sensor at the far end."""

import asyncio
import contextlib
import os
import tty

from simulator.peripherals import Hands

_READ_BYTES = 1024


class PtyUart:
    """hands: whose sensor hears and answers. path: of the device's end, once open."""

    def __init__(self, hands: Hands) -> None:
        self._hands = hands
        self._ends: tuple[int, int] | None = None
        self.path = ""

    def open(self) -> str:
        """The line lies until close(); the path of its end. Bytes go through as they are, without echo."""
        near, far = os.openpty()
        tty.setraw(far)
        os.set_blocking(near, False)
        self._ends = (near, far)  # both stay open: a device that is reset finds the line as it left it
        asyncio.get_running_loop().add_reader(near, self._hear)
        self.path = os.ttyname(far)
        return self.path

    def _hear(self) -> None:
        assert self._ends is not None
        with contextlib.suppress(BlockingIOError):
            self.say(self._hands.sensor.receive(os.read(self._ends[0], _READ_BYTES)))

    def say(self, data: bytes) -> None:
        """Bytes to the device; what a device that is off does not read in time is lost, as on a wire."""
        if self._ends and data:
            with contextlib.suppress(BlockingIOError):
                os.write(self._ends[0], data)

    def close(self) -> None:
        """Nothing is left of it."""
        if self._ends:
            asyncio.get_running_loop().remove_reader(self._ends[0])
            for end in self._ends:
                os.close(end)
            self._ends = None
