"""Digests of files that others put in place, so that a replaced one can be told; read again only when it changes."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from gateway.registry import FILE_BYTES_MAX

# What no reader of ours takes is told from another such file by its beginning.
_READ_BYTES_MAX = FILE_BYTES_MAX + 1


class FilePrints:
    """paths: by the name under which a file is told."""

    def __init__(self, paths: Mapping[str, Path]) -> None:
        self._paths = paths
        self._seen: dict[str, tuple[tuple[int, int, int], str]] = {}

    def look(self) -> dict[str, str]:
        """SHA-256 in hex of each file that is there and can be read, as sha256sum shows it."""
        return {name: found for name, path in self._paths.items() if (found := self._look(name, path)) is not None}

    def _look(self, name: str, path: Path) -> str | None:
        try:
            stat = path.stat()
            mark = stat.st_mtime_ns, stat.st_size, stat.st_ino
            if name not in self._seen or self._seen[name][0] != mark:
                with path.open("rb") as file:
                    self._seen[name] = mark, hashlib.sha256(file.read(_READ_BYTES_MAX)).hexdigest()
        except OSError:
            return None
        return self._seen[name][1]
