"""What time it is, and who says so. Time comes as the gateway's answer to a nonce; uptime carries it on from there.

Integers only: single-precision floats of a board cannot hold a date.
"""

from firmware.twin_file import TwinFile
from protocol.limits import TIME_NONCE_BYTES
from protocol.record import GATEWAY_TIME, NO_TIME

# The answer may be this much off by drift alone (a minute a month is bad, a minute at once is a step worth an event).
STEP_MS = 60000
# A round trip of a tenth of a second is 55 millionths of half an hour; sooner an estimate would say nothing.
DRIFT_AFTER_MS = 1800000
_DRIFT_MAX_PPM = 100000  # a clock that is off by more than a tenth is no clock; the wire says no more
# The floor is written once an hour: 9,000 writes a year.
_PERSIST_S = 3600
# Shorter than any server's certificate is valid (a year), so that no step passes one over. Ten years of steps.
GUESS_STEP_S = 30 * 86400
_GUESS_STEPS = 120


class WallClock:
    """uptime: Uptime. floor_s: UTC seconds that no answer may lie below: build time, or the last persisted time.

    drift_ppm: how much faster this clock runs than the gateway's, in millionths, since the first answer or the last
    step; None while too little time has passed. It is told, not used: every answer sets the clock right.
    """

    def __init__(self, suite, uptime, root, built_s):
        self._suite = suite
        self._uptime = uptime
        self._file = TwinFile(root + "/clock")
        self.floor_s = max(built_s, int.from_bytes(self._file.content, "big"))
        self.source = NO_TIME
        self._offset_ms = 0
        self._nonce = b""
        self._asked_ms = 0
        self.drift_ppm = None
        self._anchor = None  # (uptime, offset) that the estimate begins with
        self._guess = 0

    def ask(self):
        """A fresh nonce for the next heartbeat; an answer to an older one is worth nothing from now on."""
        self._nonce = self._suite.random_bytes(TIME_NONCE_BYTES)
        self._asked_ms = self._uptime.ms()
        return self._nonce

    def answer(self, nonce, time_ms):
        """Take the gateway's answer. Returns by how many ms the clock stepped, 0 for none; None when it is refused.

        Half the round trip is added; its other half is what cannot be known.
        """
        if not nonce or nonce != self._nonce:
            return None
        self._nonce = b""
        now_ms = self._uptime.ms()
        half_trip_ms = (now_ms - self._asked_ms) // 2
        offset_ms = time_ms + half_trip_ms - now_ms
        if (offset_ms + now_ms) // 1000 < self.floor_s:
            return None
        change_ms = offset_ms - self._offset_ms if self.source != NO_TIME else 0
        self._offset_ms = offset_ms
        self.source = GATEWAY_TIME
        if self.now_s() >= self.floor_s + _PERSIST_S or not self._file.content:
            self.persist()
        stepped = abs(change_ms) > STEP_MS + half_trip_ms
        self._estimate(now_ms, stepped)
        return change_ms if stepped else 0

    def guess_s(self, is_early):
        """UTC seconds to check certificates against while nobody has told the time; no record is ever dated so.

        It is the floor, for a board's clock begins in 2000. is_early: True when the server's certificate was newer than
        the last guess: a device from the drawer may have missed a renewal, so a month is added, and after ten years it
        begins anew. That lets nothing in that has expired by the floor.
        """
        if is_early:
            self._guess = (self._guess + 1) % _GUESS_STEPS
        return self.floor_s + self._guess * GUESS_STEP_S

    def _estimate(self, now_ms, stepped):
        """The drift over all answers since the anchor: the longer, the less a round trip matters."""
        if stepped or self._anchor is None:
            self._anchor = (now_ms, self._offset_ms)
            self.drift_ppm = None
        elif now_ms - self._anchor[0] >= DRIFT_AFTER_MS:
            drift = (self._anchor[1] - self._offset_ms) * 1000000 // (now_ms - self._anchor[0])
            self.drift_ppm = max(-_DRIFT_MAX_PPM, min(_DRIFT_MAX_PPM, drift))

    def persist(self):
        """The time of this moment, which must be known, is the floor now; over a reboot only where flash takes it."""
        self.floor_s = self.now_s()
        try:
            self._file.store(self.floor_s.to_bytes(8, "big"))
        except OSError:  # what says so is whatever has to be recorded
            pass

    def now_s(self):
        """UTC seconds, or 0 while nobody has told the time."""
        return (self._offset_ms + self._uptime.ms()) // 1000 if self.source != NO_TIME else 0
