"""Holders of release keys: three people, two of whom together let a new program onto the devices of a hall.

A holder's folder has the private key and the public keys of all three, so that it works on any machine. The key is not
encrypted yet: the folder belongs on a medium that lies in a safe.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from protocol import release
from protocol.limits import KEY_BYTES, PUBLIC_KEY_BYTES
from protocol.refusal import Refused
from protocol.suite_host import HostSuite
from provisioning import private_folder

KEY_NAME = "release.key"
# The public keys of all holders, raw, one behind the other; the gateway has the same file.
PUBLICS_NAME = "release.pub"


class HolderError(Exception):
    """A holder's folder or the public keys cannot be used. str() is one line for the technician."""


@dataclass(frozen=True)
class Holder:
    """One holder at work. number: from 1. private: key object. publics: of all holders of the hall, by number."""

    number: int
    private: Any = field(repr=False)
    publics: tuple[bytes, ...] = field(repr=False)


def folder_name(number: int) -> str:
    """Where a new hall has the folder of holder `number`."""
    return f"release/holder-{number}"


def publics(content: bytes) -> tuple[bytes, ...]:
    """The public keys in release.pub, by number. Raises HolderError."""
    try:
        return tuple(release.split_keys(content))
    except Refused:
        size = release.KEYS * PUBLIC_KEY_BYTES
        raise HolderError(f"{PUBLICS_NAME} must have {size} bytes; copy it from the hall's folder again") from None


def load(folder: Path, suite: HostSuite) -> Holder:
    """The holder whose folder this is. Raises HolderError, whose words never hold key bytes."""
    known = publics(_read(folder / PUBLICS_NAME))
    path = folder / KEY_NAME
    raw = _read(path)
    if path.stat().st_mode & 0o777 & ~private_folder.SECRET_MODE:
        raise HolderError(f"{path} can be read by others; run: chmod 600 {path}")
    if len(raw) != KEY_BYTES:
        raise HolderError(f"{path} must have {KEY_BYTES} bytes; take the copy in the safe")
    try:
        private = suite.load_private(raw)
    except Refused:
        raise HolderError(f"{path} is damaged; take the copy in the safe") from None
    public = suite.public_bytes(private)
    if public not in known:
        raise HolderError(f"{path} is none of the keys in {folder / PUBLICS_NAME}; both must come from one hall")
    return Holder(known.index(public) + 1, private, known)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise HolderError(
            f"{path}: {error.strerror}; name the folder of a holder, which has {KEY_NAME} and {PUBLICS_NAME}"
        ) from None
