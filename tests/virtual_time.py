"""An event loop whose time passes only while everything waits: an hour of a device takes a moment, always the same.

For tasks that meet in memory. A socket would never be waited for.
"""

import asyncio
import functools
import gc
import selectors

# Longer than anything a test waits for; a condition that never comes ends the test instead of the day.
LIMIT_S = 7200
_LOOK_S = 0.005
_BEGIN_S = 5.0
# MicroPython on 32 bits: time.ticks_ms() counts to 2**30, 12.4 days. Whatever lasts longer than a second and a half,
# as a rating does, meets that moment.
TICKS_PERIOD_MS = 1 << 30
_WRAPS_AT_MS = 6500

# Devices collect after every record; what this process holds by now need not be looked at each time.
gc.freeze()


class _Jump(selectors.DefaultSelector):
    """Where a real loop would sleep, the time jumps to the next timer."""

    def __init__(self):
        super().__init__()
        self.now_s = _BEGIN_S

    def select(self, timeout=None):
        ready = super().select(0)
        if not ready:
            if timeout is None:
                raise RuntimeError("everything waits, and for nothing")
            self.now_s += max(timeout, 0)
        return ready


def _loop():
    selector = _Jump()
    loop = asyncio.SelectorEventLoop(selector)
    loop.time = lambda: selector.now_s
    return loop


def timeless(test):
    """Decorator: run an async test in virtual time. What it leaves running is cancelled."""

    @functools.wraps(test)
    def run(*arguments, **named):
        try:
            with asyncio.Runner(loop_factory=_loop) as runner:
                runner.run(test(*arguments, **named))
        finally:
            gc.collect()  # a task that failed unseen says so now, and not in the middle of another test

    return run


class Clock:
    """Ticks and sleep of a board, on the time of the running loop. Its ticks wrap soon after they begin."""

    def ticks_ms(self):
        return (round(asyncio.get_running_loop().time() * 1000) - _WRAPS_AT_MS) % TICKS_PERIOD_MS

    def ticks_diff(self, later, earlier):
        half = TICKS_PERIOD_MS // 2
        return (later - earlier + half) % TICKS_PERIOD_MS - half

    async def sleep_ms(self, duration_ms):
        await asyncio.sleep(duration_ms / 1000)


class Sleeper(Clock):
    """A clock that remembers how long it was slept by, which is how the uplink backs off."""

    def __init__(self):
        self.slept_ms = []

    async def sleep_ms(self, duration_ms):
        self.slept_ms.append(duration_ms)
        await super().sleep_ms(duration_ms)


async def until(condition, limit_s=LIMIT_S):
    """Wait until condition() is true; its value."""
    loop = asyncio.get_running_loop()
    end_s = loop.time() + limit_s
    while not (found := condition()):
        assert loop.time() < end_s, "it did not happen"
        await asyncio.sleep(_LOOK_S)
    return found
