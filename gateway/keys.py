"""The gateway's secrets, read once at start: agreement key, command key, the password of the clocks' sensors.

With them the public keys of the central system and of those who sign releases.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gateway.configuration import GatewayConfiguration, KeySettings
from gateway.logs import Log
from gateway.section import ConfigurationError
from protocol import release
from protocol.limits import KEY_BYTES, PUBLIC_KEY_BYTES
from protocol.refusal import Refused
from protocol.sign1 import Signer
from protocol.suite_host import HostSuite

# Permission bits of group and others: a key file that they can read is no secret (checklist 18).
_OTHERS = 0o077

# A number of 32 bits: decimal, or hexadecimal behind 0x.
_PASSWORD = re.compile("[0-9]{1,10}|0[xX][0-9a-fA-F]{1,8}")
_PASSWORD_MAX = 0xFFFFFFFF

_log = Log("keys")


@dataclass(frozen=True)
class GatewayKeys:
    """agreement: key object. commands: signs commands. central_public: 65 bytes. None of them is ever shown."""

    agreement: Any = field(repr=False)
    commands: Signer = field(repr=False)
    central_public: bytes = field(repr=False)


def load(settings: KeySettings, suite: HostSuite) -> GatewayKeys:
    """The keys of the files in `settings`. Raises ConfigurationError; its words never hold key bytes."""
    try:
        return GatewayKeys(
            agreement=suite.load_private(_read("agreement", settings.agreement, KEY_BYTES, secret=True)),
            commands=Signer(suite, _read("command", settings.command, KEY_BYTES, secret=True)),
            central_public=_central(settings.central_public, suite),
        )
    except Refused:
        raise ConfigurationError("[keys]: a key is not of the curve P-256; make the hall's keys again") from None


def publics(loaded: GatewayKeys, configuration: GatewayConfiguration, suite: HostSuite) -> dict[str, bytes]:
    """The public halves by name, for whoever notes that a key is another one. Raises ConfigurationError."""
    found = {
        "agreement": suite.public_bytes(loaded.agreement),
        "command": loaded.commands.public_key,
        "central": loaded.central_public,
    }
    if configuration.releases is not None:
        found["release"] = b"".join(release_keys(configuration.releases.keys, suite))
    return found


def _central(path: Path, suite: HostSuite) -> bytes:
    public = _read("central_public", path, PUBLIC_KEY_BYTES, secret=False)
    suite.load_public(public)
    return public


def release_keys(path: Path, suite: HostSuite) -> list[bytes]:
    """The hall's release keys, 65 bytes each. Raises ConfigurationError."""
    where = "[releases] keys"
    found = content(where, path, secret=False)
    try:
        publics = release.split_keys(found)
    except Refused:
        raise ConfigurationError(
            f"{where}: {path} must hold {release.KEYS} different keys; copy the hall's release.pub"
        ) from None
    try:
        for public in publics:
            suite.load_public(public)
    except Refused:
        raise ConfigurationError(f"{where}: {path} is damaged; copy the hall's release.pub there again") from None
    return publics


def sensor_password(path: Path | None) -> int | None:
    """The password in a file; None where none is configured. Raises ConfigurationError, whose words never hold it."""
    if path is None:
        return None
    where = "[devices] sensor_password_file"
    text = content(where, path, secret=True).decode("utf-8", "replace").strip()
    number = int(text, 16 if text[:2].lower() == "0x" else 10) if _PASSWORD.fullmatch(text) else -1
    if not 0 <= number <= _PASSWORD_MAX:
        raise ConfigurationError(f"{where}: {path} must hold one number of 32 bits, like 1234 or 0x4D2")
    return number


def read_secret(where: str, path: Path) -> bytes:
    """A private key of KEY_BYTES that nobody else may read. where: section and key, for the words of the error."""
    found = content(where, path, secret=True)
    if len(found) != KEY_BYTES:
        raise ConfigurationError(f"{where}: {path} must hold {KEY_BYTES} raw bytes; copy the right file there")
    return found


def _read(name: str, path: Path, size: int, secret: bool) -> bytes:
    found = content(f"[keys] {name}", path, secret)
    if len(found) != size:
        raise ConfigurationError(f"[keys] {name}: {path} must hold {size} raw bytes; copy the right file there")
    return found


def content(where: str, path: Path, secret: bool) -> bytes:
    """What a file holds, which nobody else may read when it is a secret. Raises ConfigurationError for `where`."""
    try:
        found = path.read_bytes()
        mode = path.stat().st_mode
    except OSError as error:
        raise ConfigurationError(f"{where}: {path} cannot be read ({error.strerror}); check its owner") from None
    if secret and mode & _OTHERS:
        raise ConfigurationError(f"{where}: {path} can be read by others; run: chmod 600 {path}")
    return found
