"""Which receipts are due: at once for new records, at a bounded rate for repeats. Pure; the downlink sends."""

from collections.abc import Iterable

from gateway.batch import Standing
from protocol.receipt import Receipt

# Real seconds between two receipts of one stream that say nothing new. A device that missed one sends again after more.
AGAIN_INTERVAL_S = 1.0
# Streams whose last receipt is remembered; one living stream per device, and half of them wait at most.
STREAMS_MAX = 8192

_Key = tuple[str, str]


def receipt_of(standing: Standing) -> Receipt:
    """The receipt that tells how a stream stands."""
    holes = [[int(first), int(last)] for first, last in standing.holes]
    return Receipt(bytes.fromhex(standing.stream), standing.through, holes, standing.highest)


class ReceiptSchedule:
    """now_s: real seconds of a clock that only grows, the same for all calls."""

    def __init__(self) -> None:
        self._sent_s: dict[_Key, float] = {}
        self._waiting: dict[_Key, Standing] = {}

    def offer(self, standings: Iterable[Standing], fresh: bool, now_s: float) -> list[Standing]:
        """Those of `standings` to send now; the others wait for `due`, each replaced by a newer one of its stream."""
        sending = []
        for standing in standings:
            key = (standing.device, standing.stream)
            if fresh or now_s - self._sent_s.get(key, -AGAIN_INTERVAL_S) >= AGAIN_INTERVAL_S:
                sending.append(standing)
                self._note(key, now_s)
            elif len(self._waiting) < STREAMS_MAX:
                self._waiting[key] = standing
        return sending

    def due(self, now_s: float) -> list[Standing]:
        """Those that have waited long enough."""
        ready = [key for key in self._waiting if now_s - self._sent_s.get(key, 0) >= AGAIN_INTERVAL_S]
        sending = [self._waiting[key] for key in ready]
        for key in ready:
            self._note(key, now_s)
        return sending

    def _note(self, key: _Key, now_s: float) -> None:
        self._waiting.pop(key, None)
        self._sent_s.pop(key, None)  # to the end: the dict is in order of sending
        self._sent_s[key] = now_s
        if len(self._sent_s) > STREAMS_MAX:
            del self._sent_s[next(iter(self._sent_s))]

    @property
    def waiting(self) -> int:
        """Receipts that wait for their time."""
        return len(self._waiting)
