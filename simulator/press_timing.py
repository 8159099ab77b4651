"""How long a person's act takes to the gateway's receipt, seen from outside the device."""

from collections import deque

from protocol import record

# What a closing table needs for a 99th percentile, and no more than a status line should carry.
KEPT = 256
# Acts whose record has no receipt yet: two hours of an evaluator without network. Older ones are not timed.
WAITING_MAX = 1000
# An act that the device did not answer with a record by then led to none. A rating may be corrected for three seconds
# before it becomes one.
ACT_VALID_S = 8.0
_BY_HAND = (record.RATING, record.PUNCH)


class PressTiming:
    """Tell it what happens, with the time in seconds of any steady clock. recent_ms: newest last, whole milliseconds.

    An act that led to no record is forgotten after ACT_VALID_S, or with the next act.
    """

    def __init__(self) -> None:
        self._acted_s: float | None = None
        self._waiting: dict[int, float] = {}
        self.recent_ms: deque[int] = deque(maxlen=KEPT)

    def acted(self, now_s: float) -> None:
        """A button went down, a finger touched the glass."""
        self._acted_s = now_s

    def recorded(self, kind: int, seq: int, now_s: float) -> None:
        """The device has a record on flash."""
        if kind in _BY_HAND and self._acted_s is not None:
            if now_s - self._acted_s < ACT_VALID_S and len(self._waiting) < WAITING_MAX:
                self._waiting[seq] = self._acted_s
            self._acted_s = None

    def receipted(self, through: int, now_s: float) -> None:
        """The device took a receipt for every record up to `through`."""
        for seq in sorted(seq for seq in self._waiting if seq <= through):
            self.recent_ms.append(round((now_s - self._waiting.pop(seq)) * 1000))
