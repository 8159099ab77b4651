"""When was a record made whose device did not know the time? From uptime, and what is known of its boot. Pure.

A device counts milliseconds from its boot, whatever it knows of the time. So one word of the same boot that states both
tells when the boot began, and with that when everything before was made.
"""

from typing import NamedTuple

from protocol.limits import COARSE_S, UTC_S_MAX
from protocol.record import PUNCH, RATING, coarse

COARSE_MS = 1000 * COARSE_S


class Word(NamedTuple):
    """A synchronised record or heartbeat. time_s: exact time of a punch, None of everything else."""

    stream: str
    seq: int
    kind: int
    coarse_s: int
    uptime_ms: int
    time_s: int | None = None


class BootClock(NamedTuple):
    """When a boot began, in UTC ms.

    heard_ms: the gateway's time of a heartbeat less its uptime, the least of all: not later than this, and with a
    heartbeat that was not held up just this. earliest_ms, latest_ms: between these by the device's own first time,
    which `anchor` (stream, seq) states. None: nothing known yet.
    """

    heard_ms: int | None = None
    earliest_ms: int | None = None
    latest_ms: int | None = None
    anchor: tuple[str, int] | None = None

    @property
    def settled(self) -> bool:
        """True when nothing more is needed: later words would only bring the drift of the device's clock."""
        return self.heard_ms is not None and self.anchor is not None

    def hear(self, received_ms: int, uptime_ms: int) -> "BootClock":
        """With a heartbeat, synchronised or not. It is sent as it is made, and journaled nowhere."""
        began_ms = received_ms - uptime_ms
        return self._replace(heard_ms=began_ms if self.heard_ms is None else min(began_ms, self.heard_ms))

    def anchored(self, word: Word) -> "BootClock":
        """With the first time that the device states; the same again when there is one already."""
        if self.anchor is not None:
            return self
        earliest_ms, latest_ms = span(word)
        return self._replace(earliest_ms=earliest_ms, latest_ms=latest_ms, anchor=(word.stream, word.seq))


def span(word: Word) -> tuple[int, int]:
    """(earliest, latest) UTC ms at which the boot began, by a synchronised word of it."""
    if word.kind == PUNCH and word.time_s is not None:
        return 1000 * word.time_s - word.uptime_ms, 1000 * word.time_s + 1000 - word.uptime_ms
    latest_ms = 1000 * word.coarse_s + COARSE_MS - word.uptime_ms
    # A rating's uptime is floored like its time.
    return latest_ms - COARSE_MS - (COARSE_MS if word.kind == RATING else 0), latest_ms


class Estimate(NamedTuple):
    """UTC seconds, in order. Of a rating the quarters of an hour that the instants lie in."""

    earliest_s: int
    estimate_s: int
    latest_s: int


def estimate(clock: BootClock, kind: int, uptime_ms: int, received_s: int) -> Estimate:
    """When a record of that boot was made; never after `received_s`, when the gateway had it. clock: with an anchor."""
    assert clock.earliest_ms is not None and clock.latest_ms is not None
    earliest_ms, latest_ms = clock.earliest_ms, clock.latest_ms
    if clock.heard_ms is None:
        began_ms = (earliest_ms + latest_ms) // 2
    else:
        began_ms = latest_ms = max(earliest_ms, min(clock.heard_ms, latest_ms))
    if kind == RATING:
        middle_ms, end_ms = COARSE_MS // 2, COARSE_MS - 1
        times = (earliest_ms, began_ms + middle_ms, latest_ms + end_ms)
        return Estimate(*(coarse(_bounded(one + uptime_ms, received_s)) for one in times))
    # The latest is rounded up, so that the truth stays within.
    times = (earliest_ms, began_ms, latest_ms + 999)
    return Estimate(*(_bounded(one + uptime_ms, received_s) for one in times))


def _bounded(time_ms: int, received_s: int) -> int:
    return min(max(0, time_ms // 1000), received_s, UTC_S_MAX)
