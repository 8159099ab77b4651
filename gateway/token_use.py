"""Who used a token of the API, and who tried: lines of the operator log, few enough to be read.

A program that asks every second must not fill the log, and neither must somebody who guesses. So the first use is told
at once, what follows is counted, and told as one line when its time has come.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from gateway.operator_log import LOGIN, LOGIN_FAILED, Note

# What a person does within a quarter of an hour at one desk is one sitting.
ACCEPTED_TOLD_S = 15 * 60.0
# A guesser is told of every minute, and while it goes on less and less often: after a day 30 lines, not 86 400.
REFUSED_TOLD_S = 60.0
REFUSED_TOLD_S_MAX = 3600.0
# A program: each of its visits leaves a trace of its own.
BUSINESS = "business"


@dataclass
class _Count:
    """Uses of one kind. pause_s: until the next line may come."""

    pause_s: float
    told_s: float
    untold: int = 0


class TokenUse:
    """Counts uses by role. Any thread; nothing blocks but `write`.

    write: takes a note and brings it to the log, without waiting for the disk.
    """

    def __init__(self, write: Callable[[Note], None], now_s: Callable[[], float] = time.monotonic) -> None:
        self._write = write
        self._now_s = now_s
        self._lock = threading.Lock()
        self._counts: dict[tuple[str, str], _Count] = {}  # as many as there are roles, twice

    def accepted(self, role: str) -> None:
        """The token of `role` was used."""
        if role != BUSINESS:
            self._count(role, LOGIN, ACCEPTED_TOLD_S)

    def refused(self, role: str) -> None:
        """Somebody asked for what `role` may, with no token or another."""
        self._count(role, LOGIN_FAILED, REFUSED_TOLD_S)

    def _count(self, role: str, action: str, pause_s: float) -> None:
        now_s = self._now_s()
        with self._lock:
            found = self._counts.get((role, action))
            if found is not None:
                found.untold += 1
                return
            self._counts[role, action] = _Count(pause_s, now_s)
        self._write(_note(role, action, 1))

    def tell(self, at_once: bool = False) -> None:
        """Write what is due; everything with `at_once`, before the end. To be called every few seconds."""
        now_s = self._now_s()
        with self._lock:
            due = {key: one for key, one in self._counts.items() if at_once or now_s - one.told_s >= one.pause_s}
            told = [_note(*key, one.untold) for key, one in due.items() if one.untold]
            for key, one in due.items():
                self._renew(key, one, now_s)
        for note in told:
            self._write(note)

    def _renew(self, key: tuple[str, str], one: _Count, now_s: float) -> None:
        """Begin to count anew; forget who was quiet, so that the next use is told at once again."""
        if not one.untold:
            del self._counts[key]
            return
        if key[1] == LOGIN_FAILED:
            one.pause_s = min(REFUSED_TOLD_S_MAX, 2 * one.pause_s)
        one.told_s, one.untold = now_s, 0


def _note(role: str, action: str, count: int) -> Note:
    if action == LOGIN_FAILED:
        return Note("unknown", action, role, {"count": count})
    return Note(role, action, "", {"count": count})
