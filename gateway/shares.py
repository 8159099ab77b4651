"""Each device's share of the intake: one that has gone mad fills its own share, and no other device waits for it."""

import threading
from collections import Counter
from collections.abc import Iterable

# Fifteen devices gone mad at once still leave room. Of the default inbox this is half a batch, some 30 ms of work that
# others wait behind.
SHARES = 16
# An honest device has a window of ten records on their way, the same again while it repeats them, and a heartbeat.
SHARE_MESSAGES_MIN = 64


class Shares:
    """Counts messages from their arrival to their commit, by topic; any thread.

    The share is not a part of the inbox alone: what has left it for a batch still stands before everybody else.
    Memory: a topic is known only while it has messages here, so the inbox and the batches on their way bound it.
    """

    def __init__(self, inbox_messages: int) -> None:
        self._each_max = max(SHARE_MESSAGES_MIN, inbox_messages // SHARES)
        self._lock = threading.Lock()
        self._taken: Counter[str] = Counter()
        self._total = 0

    def take(self, topic: str) -> bool:
        """Count one message of `topic`; False, and not counted, where its share is used up."""
        with self._lock:
            if self._taken[topic] >= self._each_max:
                return False
            self._taken[topic] += 1
            self._total += 1
            return True

    def give_back(self, topics: Iterable[str]) -> None:
        """The message of each topic is on disk, or was not taken after all."""
        with self._lock:
            for topic in topics:
                self._taken[topic] -= 1
                self._total -= 1
                if not self._taken[topic]:
                    del self._taken[topic]

    def total(self) -> int:
        """Messages of all topics."""
        return self._total
