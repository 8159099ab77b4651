"""Releases that the hall's holders have signed, and what of them a device is sent next.

A folder holds NAME.notice and NAME.bundle for each. It is looked at again while the gateway runs; what is half copied,
damaged or signed by too few is named in the log, and taken once it is whole. A device checks all of it again itself.
"""

import hashlib
import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gateway.logs import Log
from gateway.metrics import Metrics
from gateway.registry import CHECK_INTERVAL_S
from protocol import command, heartbeat, release
from protocol.refusal import Refused
from protocol.suite_host import HostSuite

# Years of releases for both kinds of devices. Each costs 600 bytes of memory and two stat() a look; one that is new is
# read and verified, which takes about a millisecond of the thread that sends receipts.
RELEASES_MAX = 64
# Names that a look at the folder reads: the above, and what else may have been laid there.
NAMES_MAX = 4 * RELEASES_MAX
NOTICE_BYTES_MAX = 512  # command.NOTICE_ROWS: a longer one would fit no message

NOTICE, CHUNK, END = "notice", "chunk", "end"

_log = Log("releases")

# (modified ns, size, inode): another one is another file, or the same one further written.
_Mark = tuple[int, int, int]


class _Unfit(Exception):
    """A release cannot be offered (yet). str() is the reason for the log."""


@dataclass(frozen=True)
class Release:
    """One verified release. data: the notice as signed. bundle: its file; mark: that file as it was verified."""

    notice: release.Notice = field(repr=False)
    data: bytes = field(repr=False)
    bundle: Path
    mark: _Mark


@dataclass(frozen=True)
class Answer:
    """A command for a device. step: NOTICE, CHUNK or END."""

    step: str
    kind: int
    claims: Mapping[int, object] = field(repr=False)


def newest(releases: Sequence[Release], device_class: str, now_s: int) -> Release | None:
    """The release of this class with the highest number among those that have not expired at now_s."""
    fit = [one for one in releases if one.notice.device_class == device_class and one.notice.expires_s > now_s]
    return max(fit, key=lambda one: one.notice.sequence, default=None)


def is_wanted(sequence: int, claims: Mapping[int, Any]) -> bool:
    """True when the device of these heartbeat claims runs something older, and has not refused this or a newer one.

    A device that does not state what it runs is older than updates are: it is sent none.
    """
    running = claims.get(heartbeat.RELEASE)
    return running is not None and sequence > max(running, claims.get(heartbeat.UPDATE_REFUSED, 0))


class Releases:
    """folder: None where the hall releases nothing. publics: the hall's release keys, 65 bytes each.

    One thread at a time. A look at the folder is bounded in files and bytes and never waits for a writer.
    """

    def __init__(self, folder: Path | None, publics: Sequence[bytes], suite: HostSuite, metrics: Metrics) -> None:
        self._folder = folder
        self._publics = list(publics)
        self._suite = suite
        self._metrics = metrics
        self._looked_s: float | None = None
        # Name -> the marks of both its files when it was judged, and the release if it is one.
        self._judged: dict[str, tuple[tuple[_Mark | None, _Mark | None], Release | None]] = {}

    def answer(self, device_class: str, claims: Mapping[int, Any], now_s: int, real_s: float) -> Answer | None:
        """What a device with these heartbeat claims is sent next; None where it needs nothing.

        now_s: hall time. real_s: a clock that only grows, real seconds.
        """
        self._refresh(real_s)
        found = newest([one for _, one in self._judged.values() if one], device_class, now_s)
        if found is None or not is_wanted(found.notice.sequence, claims):
            return None
        if claims.get(heartbeat.UPDATE_SEQUENCE) != found.notice.sequence:
            return Answer(NOTICE, command.UPDATE_NOTICE, {command.RELEASE: found.data})
        return self._chunk(found, claims.get(heartbeat.UPDATE_BYTES, 0))

    def _chunk(self, found: Release, offset: int) -> Answer | None:
        """None where the file is not the verified one any more: it will be judged anew."""
        try:
            content, mark = _read(found.bundle, release.BUNDLE_BYTES_MAX, offset, command.CHUNK_BYTES_MAX)
        except (OSError, _Unfit):
            return None
        if mark != found.mark:
            return None
        claims = {command.SEQUENCE: found.notice.sequence, command.OFFSET: offset, command.DATA: content}
        return Answer(CHUNK if content else END, command.UPDATE_CHUNK, claims)

    def _refresh(self, real_s: float) -> None:
        if self._folder is None or (self._looked_s is not None and real_s - self._looked_s < CHECK_INTERVAL_S):
            return
        self._looked_s = real_s
        names = _names(self._folder)
        if len(names) > RELEASES_MAX:
            _log.error("too many releases, remove old ones", count=len(names), limit=RELEASES_MAX)
        before, self._judged = self._judged, {}
        for name in names[:RELEASES_MAX]:
            marks = _mark(self._folder / f"{name}.notice"), _mark(self._folder / f"{name}.bundle")
            known = before.get(name)
            self._judged[name] = known if known and known[0] == marks else (marks, self._judge(name))
        self._metrics.gauge("releases", sum(1 for _, one in self._judged.values() if one))

    def _judge(self, name: str) -> Release | None:
        assert self._folder is not None  # _refresh has looked
        try:
            found = self._open(self._folder / f"{name}.notice", self._folder / f"{name}.bundle")
        except _Unfit as error:
            _log.warning("release cannot be used", location=name, reason=str(error))
            return None
        notice = found.notice
        _log.info("release is there", location=name, kind=notice.device_class, seq=notice.sequence)
        return found

    def _open(self, notice_path: Path, bundle_path: Path) -> Release:
        """The verified release of these two files. Raises _Unfit."""
        try:
            data, _ = _read(notice_path, NOTICE_BYTES_MAX)
            notice = release.open(self._suite, self._publics, data)
            content, mark = _read(bundle_path, release.BUNDLE_BYTES_MAX)
        except OSError as error:
            raise _Unfit("file missing" if isinstance(error, FileNotFoundError) else "file unreadable") from None
        except Refused as error:
            raise _Unfit(f"notice {error}") from None
        if len(content) != notice.size_bytes:
            raise _Unfit("bundle size")
        if hashlib.sha256(content).digest() != notice.digest:
            raise _Unfit("bundle digest")
        return Release(notice, data, bundle_path, mark)


def _names(folder: Path) -> list[str]:
    """Names of the notices in the folder, sorted; none where there is no such folder (yet)."""
    names = []
    try:
        with os.scandir(folder) as entries:
            for _, entry in zip(range(NAMES_MAX), entries, strict=False):
                if entry.name.endswith(".notice"):
                    names.append(entry.name.removesuffix(".notice"))
    except OSError:
        return []
    return sorted(names)


def _mark(path: Path) -> _Mark | None:
    try:
        return _mark_of(path.stat())
    except OSError:
        return None


def _mark_of(found: os.stat_result) -> _Mark:
    return found.st_mtime_ns, found.st_size, found.st_ino


def _read(path: Path, size_max: int, offset: int = 0, count: int | None = None) -> tuple[bytes, _Mark]:
    """At most `count` bytes (None: all) from `offset`, and the file's mark. Raises OSError, _Unfit."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a pipe of that name must not hold us up
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise _Unfit("no plain file")
        if found.st_size > size_max:
            raise _Unfit("file too long")
        file.seek(offset)
        return file.read(size_max if count is None else count), _mark_of(found)
