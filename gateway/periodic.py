"""Work that is done again and again in a thread of its own, whatever happens to one turn."""

import threading
from collections.abc import Callable

from gateway.logs import Log

_log = Log("periodic")


class Periodic:
    """Runs `work()` at once, and `every_s` real seconds after each end. A failure is logged; the next turn comes."""

    def __init__(self, name: str, every_s: float, work: Callable[[], None]) -> None:
        self._every_s = every_s
        self._work = work
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self, timeout_s: float) -> bool:
        """Let a turn end, at most for `timeout_s`; True when the thread has ended. Safe before start()."""
        self._stopping.set()
        if self._thread.ident is None:
            return True
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def alive(self) -> bool:
        """True while the thread runs."""
        return self._thread.is_alive()

    def stopping(self) -> bool:
        """True from stop() on: a long turn looks at it between its steps."""
        return self._stopping.is_set()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._work()
            except Exception as error:  # one turn that fails must not end the others
                _log.error("a turn failed", error, type=self._thread.name)
            self._stopping.wait(self._every_s)
