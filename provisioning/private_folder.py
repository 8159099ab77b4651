"""A folder of secrets on disk: files that only their owner reads, made whole or not at all."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

FOLDER_MODE = 0o700
SECRET_MODE = 0o600
PUBLIC_MODE = 0o644


def make(folder: Path) -> None:
    """Make `folder` and its missing parents below an existing private folder, closed to others whatever the umask."""
    if not folder.is_dir():
        make(folder.parent)
        folder.mkdir(FOLDER_MODE)
        folder.chmod(FOLDER_MODE)


def write(path: Path, content: bytes, mode: int) -> None:
    """Write a new file with exactly `mode`, on disk when this returns. Raises FileExistsError, never overwrites."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, mode)
        file.write(content)
        file.flush()
        os.fsync(descriptor)


def write_secret(path: Path, content: bytes) -> None:
    """write() for the owner's eyes only."""
    write(path, content, SECRET_MODE)


def write_public(path: Path, content: bytes) -> None:
    """write() for what holds no secret; the folder around it stays closed all the same."""
    write(path, content, PUBLIC_MODE)


def put(path: Path, content: bytes, mode: int) -> None:
    """Put `content` at `path` in one step, whether there is a file or not: a reader never sees a half."""
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)  # left by a run that was cut off
    write(fresh, content, mode)
    fresh.replace(path)
    sync(path.parent)


def replace(path: Path, content: bytes) -> None:
    """put() in place of a file that is there, with the mode that it has."""
    put(path, content, path.stat().st_mode & 0o777)


def sync(folder: Path) -> None:
    """The folder's list of names, on disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def held(path: Path) -> Iterator[None]:
    """Hold the lock of the file `path`, so that two technicians do not write one hall at a time. Waits for it."""
    with path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
