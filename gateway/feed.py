"""Server-sent events: the live view as a stream of whole snapshots, so a page that lost its line needs no history."""

import asyncio
import hashlib
import json
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping

# A person sees half a second as at once; a hall's burst becomes two frames a second, whatever its size.
PERIOD_S = 0.5
# A page that hears nothing for three ticks says that the connection is lost.
TICK_S = 5.0
# Every wall screen, office and phone of a hall; each holds one connection and costs two comparisons a second.
VIEWERS_MAX = 64
# What a browser waits before it connects again.
RETRY_MS = 2000


class Feed:
    """Frames of one live view for many viewers; the snapshot is made once per PERIOD_S, however many look."""

    def __init__(
        self, snapshot: Callable[[], Mapping[str, object]], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._snapshot = snapshot
        self._clock = clock
        self._lock = threading.Lock()
        self._made_at: float | None = None
        self._frame = Frame("", "", 0)
        self._viewers = 0
        self._closed = False

    @property
    def viewers(self) -> int:
        """Open streams."""
        return self._viewers

    def close(self) -> None:
        """End every stream within PERIOD_S."""
        self._closed = True

    def latest(self) -> "Frame":
        """The newest frame; made anew when it is older than PERIOD_S. Blocks for one read of the ledger."""
        with self._lock:
            now = self._clock()
            if self._made_at is None or now - self._made_at >= PERIOD_S:
                self._frame = frame_of(self._snapshot())
                self._made_at = now
            return self._frame

    def join(self) -> AsyncIterator[str]:
        """A stream of SSE text for one viewer. Raises TooManyViewersError when VIEWERS_MAX are here."""
        if self._viewers >= VIEWERS_MAX:
            raise TooManyViewersError
        return self._stream()

    async def _stream(self) -> AsyncIterator[str]:
        self._viewers += 1  # here, not in join: a stream that is never begun is never ended either
        try:
            yield f"retry: {RETRY_MS}\n\n"
            shown, ticked = "", self._clock()
            while not self._closed:
                frame = await asyncio.to_thread(self.latest)
                now = self._clock()
                if frame.digest != shown:
                    shown, ticked = frame.digest, now
                    yield f"event: live\nid: {frame.digest}\ndata: {frame.text}\n\n"
                elif now - ticked >= TICK_S:
                    ticked = now
                    yield f'event: tick\ndata: {{"now_s":{frame.now_s}}}\n\n'
                await asyncio.sleep(PERIOD_S)
        finally:
            self._viewers -= 1


class TooManyViewersError(Exception):
    """VIEWERS_MAX streams are open."""


class Frame:
    """One snapshot as text. digest: changes when anything but the clock has changed."""

    def __init__(self, digest: str, text: str, now_s: int) -> None:
        self.digest = digest
        self.text = text
        self.now_s = now_s


def frame_of(snapshot: Mapping[str, object]) -> Frame:
    """The frame of a snapshot; its text is one line of JSON."""
    now_s = snapshot["now_s"]
    still = {key: value for key, value in snapshot.items() if key != "now_s"}
    digest = hashlib.sha256(json.dumps(still, sort_keys=True).encode()).hexdigest()[:16]
    text = json.dumps(snapshot, ensure_ascii=False, separators=(",", ":"))
    return Frame(digest, text, now_s if isinstance(now_s, int) else 0)
