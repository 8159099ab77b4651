"""Structured logs: one JSON object a line, built from an allow-list of fields, so that no identity can slip in."""

import json
import logging
import re
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TextIO

# What may stand in a log line. Names, phones, ID numbers, visit numbers, comments, tokens, staff numbers and
# payload bytes are missing on purpose: a field that is not here is dropped, and its name (not its value) noted under
# "withheld".
FIELDS = frozenset({
    "address", "attempt", "batch", "bytes", "code", "count", "counter", "cursor", "delay_s", "destination", "device",
    "digest", "duplicates", "flag", "hall", "holes", "host", "kind", "limit", "location", "method", "milliseconds",
    "pending", "port", "position", "quarantine", "reason", "refused", "records", "route", "schema", "seconds", "seq",
    "signal", "size_bytes", "state", "status", "stored", "stream", "through", "topic", "type", "version", "window",
})  # fmt: skip
# A value longer than this is no identifier of ours; it came from outside and is cut.
VALUE_CHARACTERS_MAX = 120
# An event is a fixed phrase of lower-case words. Digits are refused because a formatted phrase is how identities leak.
_EVENT = re.compile(r"[a-z][a-z ,'-]{0,79}")
_OUR_ROOT = "hallseal"


class Log:
    """The log of one part: `Log("intake").warning("message refused", reason="topic", device="ev-01")`."""

    def __init__(self, part: str) -> None:
        self._logger = logging.getLogger(_OUR_ROOT + "." + part)

    def debug(self, event: str, **fields: object) -> None:
        """Write one line at level debug. `event`: lower-case words; `fields`: names out of FIELDS."""
        self._write(logging.DEBUG, event, fields)

    def info(self, event: str, **fields: object) -> None:
        """Write one line at level info."""
        self._write(logging.INFO, event, fields)

    def warning(self, event: str, **fields: object) -> None:
        """Write one line at level warning."""
        self._write(logging.WARNING, event, fields)

    def error(self, event: str, exception: BaseException | None = None, **fields: object) -> None:
        """Write one line at level error; of an exception only its type and place are written, never its words."""
        if exception is not None:
            fields.update(type=type(exception).__name__, location=_place(exception))
        self._write(logging.ERROR, event, fields)

    def _write(self, level: int, event: str, fields: Mapping[str, object]) -> None:
        if self._logger.isEnabledFor(level):
            self._logger.log(level, event, extra={"hallseal_fields": admit(event, fields)})


def admit(event: str, fields: Mapping[str, object]) -> dict[str, object]:
    """What of an event and its fields may be written: {"event": …, allowed fields…, "withheld": [names]}."""
    line: dict[str, object] = {"event": event if _EVENT.fullmatch(event) else "event withheld"}
    line.update((name, _plain(value)) for name, value in sorted(fields.items()) if name in FIELDS)
    withheld = sorted(name for name in fields if name not in FIELDS)
    if withheld:
        line["withheld"] = withheld
    return line


def setup(stream: TextIO | None = None, level: int = logging.INFO, now: Callable[[], float] = time.time) -> None:
    """Send all logs of this process, ours and the libraries', to `stream` (default: stderr) as JSON lines."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(_JsonFormatter(now))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger(_OUR_ROOT).setLevel(level)
    # httpx writes whole addresses at INFO, uvicorn one line per request: both may hold a visit number.
    for noisy in ("httpx", "httpcore", "uvicorn.access"):
        logging.getLogger(noisy).setLevel(logging.ERROR)


def take_over() -> None:
    """Log in our way what Python itself would write to stderr: words of exceptions and values in warnings included."""
    python = Log("python")
    logging.captureWarnings(True)  # then they are a library's record like any other
    sys.excepthook = lambda kind, error, place: python.error("not caught", error)
    threading.excepthook = lambda found: python.error("thread has died", found.exc_value)
    sys.unraisablehook = lambda found: python.error("not caught in clean-up", found.exc_value)


class _JsonFormatter(logging.Formatter):
    def __init__(self, now: Callable[[], float]) -> None:
        super().__init__()
        self._now = now

    def format(self, record: logging.LogRecord) -> str:
        """One JSON object without line breaks."""
        instant = datetime.fromtimestamp(self._now(), UTC).isoformat(timespec="milliseconds")
        line: dict[str, object] = {"at": instant, "level": record.levelname.lower(), "part": _part(record.name)}
        line.update(getattr(record, "hallseal_fields", None) or _foreign(record))
        return json.dumps(line, ensure_ascii=False, separators=(",", ":"))


def _part(logger: str) -> str:
    return logger.removeprefix(_OUR_ROOT + ".")


def _foreign(record: logging.LogRecord) -> dict[str, object]:
    """A library's record: its template and its exception's type; its arguments may hold anything and are left out."""
    line: dict[str, object] = {"event": "library message"}
    if record.args and isinstance(record.msg, str):
        line["template"] = record.msg[:VALUE_CHARACTERS_MAX]
    if record.exc_info and record.exc_info[1] is not None:
        line.update(type=type(record.exc_info[1]).__name__, location=_place(record.exc_info[1]))
    return line


def _place(exception: BaseException) -> str:
    frames = traceback.extract_tb(exception.__traceback__)
    if not frames:
        return ""
    file = frames[-1].filename.rsplit("/", 1)[-1]
    return f"{file}:{frames[-1].lineno or 0}"


def _plain(value: object) -> object:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, bytes):
        return value[:16].hex()
    return str(value)[:VALUE_CHARACTERS_MAX]
