"""Tells the business system what became of its visits: a signed POST for every change, until it is taken.

The form is that of Standard Webhooks (standardwebhooks.com): headers webhook-id, webhook-timestamp, webhook-signature;
the signature is HMAC-SHA256 over "id.timestamp.body". The queue is the table of visits itself: a change that was not
told yet stands there over restarts, bounded like the visits, and goes with them after two days. It holds no number of a
visit; the message names the `id` that the request was answered with.
"""

import base64
import binascii
import hmac
import json
import random
import ssl
import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx

from gateway import backoff, keys
from gateway.ledger import Ledger
from gateway.logs import Log
from gateway.metrics import Metrics
from gateway.section import ConfigurationError
from gateway.visit_book import Untold, VisitBook

# Real seconds between two looks into the table while nothing waits.
LOOK_S = 0.5
# Changes told before the table is asked again.
ROUND_MAX = 50
# A receiver that answers "not like this" will not change its mind for the same bytes; a few tries outlast its update.
REFUSALS_MAX = 8
STOP_S = 1.0

# 24 to 64 bytes, as Standard Webhooks asks for.
_MARK = "whsec_"
SECRET_BYTES_MIN, SECRET_BYTES_MAX = 24, 64

# The receiver is there, but not for us, or not now: a wrong address or secret is mended in its time, and loses nothing.
_LATER = {401, 403, 404, 408, 429}

_log = Log("webhook")


class Webhook:
    """A thread that tells. client: of gateway.https_client, for the one address `path` below its base.

    now_s: the machine's UTC seconds, for a receiver that refuses old messages. jitter: 0 <= value < 1.
    """

    def __init__(
        self,
        ledger: Ledger,
        book: VisitBook,
        client: httpx.Client,
        url: str,
        secret: bytes,
        hall: str,
        metrics: Metrics,
        now_s: Callable[[], float] = time.time,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._ledger = ledger
        self._book = book
        self._client = client
        self._url = url
        self._secret = secret
        self._hall = hall
        self._metrics = metrics
        self._now_s = now_s
        self._jitter = jitter
        self._failures = 0
        self._more = False  # the last round left some for the next
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="webhook", daemon=True)

    @property
    def failures(self) -> int:
        """Rounds in a row in which nothing was taken; 0 when all is well."""
        return self._failures

    def start(self) -> None:
        """Start telling; returns at once."""
        self._thread.start()

    def stop(self) -> None:
        """End; what was not told stays in the ledger."""
        self._stopping.set()
        self._client.close()
        if self._thread.ident is not None:
            self._thread.join(STOP_S)

    def alive(self) -> bool:
        """True while the thread runs."""
        return self._thread.is_alive()

    def step(self) -> bool:
        """Tell what waits, at most ROUND_MAX changes, in the caller's thread; True when the receiver is well."""
        untold = self._ledger.read(lambda connection: self._book.untold(connection, ROUND_MAX))
        fates: dict[tuple[bytes, int], int | None] = {}
        reached = True
        for change in untold:
            status = self._tell(change)
            if status is None or status >= 500 or status in _LATER:
                reached = False
                break
            fates[change.token, change.change] = None if status < 300 else self._refused(change, status)
        if fates:
            self._ledger.write(lambda connection: self._book.told(connection, fates)).result()
        self._more = reached and len(untold) == ROUND_MAX
        return reached and not any(fates.values())

    def _tell(self, change: Untold) -> int | None:
        """The receiver's status; None when there was no answer."""
        body = message(self._hall, change)
        headers = sign(self._secret, f"{change.id}.{change.change}", int(self._now_s()), body)
        try:
            # Its body may be anything, and says nothing that we need: it is not read.
            with self._client.stream("POST", self._url, content=body, headers=headers) as response:
                status = response.status_code
        except (httpx.HTTPError, ssl.SSLError, RuntimeError) as error:  # RuntimeError: closed while we end
            self._metrics.count("webhook_failed", reason=type(error).__name__)
            return None
        self._metrics.count("webhook_told", status=status)
        return status

    def _refused(self, change: Untold, status: int) -> int:
        """Times that the change was refused; -1 when that was once too often."""
        if change.refusals + 1 < REFUSALS_MAX:
            return change.refusals + 1
        self._metrics.count("webhook_dead", reason="refused")
        _log.error("the business system refuses to be told", status=status)
        return -1

    def _run(self) -> None:
        while not self._stopping.wait(self._pause_s()):
            try:
                self._failures = 0 if self.step() else self._failures + 1
            except Exception as error:  # the change stays in the ledger, and the next round may succeed
                self._failures += 1
                if not self._stopping.is_set():
                    _log.error("webhook failed", error)

    def _pause_s(self) -> float:
        if self._failures:
            return backoff.delay_s(self._failures - 1, self._jitter())
        return 0 if self._more else LOOK_S


def message(hall: str, change: Untold) -> bytes:
    """The body: JSON, see docs/visits.md."""
    said: dict[str, object] = {
        "type": "visit." + change.state,
        "hall": hall,
        "id": change.id,
        "window": change.window,
        "state": change.state,
        "change": change.change,
    }
    if change.parts:
        said["parts"] = list(change.parts)
    return json.dumps(said, ensure_ascii=False, separators=(",", ":")).encode()


def sign(secret: bytes, message_id: str, timestamp_s: int, body: bytes) -> dict[str, str]:
    """The headers of a message."""
    signed = f"{message_id}.{timestamp_s}.".encode() + body
    signature = base64.b64encode(hmac.digest(secret, signed, "sha256")).decode()
    return {
        "Content-Type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp_s),
        "webhook-signature": "v1," + signature,
    }


def read_secret(path: Path) -> bytes:
    """The secret in a file: one line, whsec_ and base64. Raises ConfigurationError, whose words never hold it."""
    where = "[webhook] secret_file"
    text = keys.content(where, path, secret=True).decode("utf-8", "replace").strip()
    try:
        secret = base64.b64decode(text.removeprefix(_MARK), validate=True) if text.startswith(_MARK) else b""
    except (binascii.Error, ValueError):
        secret = b""
    if not SECRET_BYTES_MIN <= len(secret) <= SECRET_BYTES_MAX:
        raise ConfigurationError(
            f"{where}: {path} must hold one line, {_MARK} and {SECRET_BYTES_MIN} to {SECRET_BYTES_MAX} bytes "
            f'in base64; make one with: printf "{_MARK}%s" "$(openssl rand -base64 32)"'
        )
    return secret
