"""The gateway's own secrets, read once at start: agreement key, command key, and the central system's public key."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gateway.configuration import ConfigurationError, KeySettings
from gateway.logs import Log
from protocol.limits import KEY_BYTES, PUBLIC_KEY_BYTES
from protocol.refusal import Refused
from protocol.sign1 import Signer
from protocol.suite_host import HostSuite

# Permission bits of group and others: a key file that they can read is no secret (checklist 18).
_OTHERS = 0o077

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


def _central(path: Path, suite: HostSuite) -> bytes:
    public = _read("central_public", path, PUBLIC_KEY_BYTES, secret=False)
    suite.load_public(public)
    return public


def _read(name: str, path: Path, size: int, secret: bool) -> bytes:
    try:
        content = path.read_bytes()
        mode = path.stat().st_mode
    except OSError as error:
        raise ConfigurationError(f"[keys] {name}: {path} cannot be read ({error.strerror}); check its owner") from None
    if len(content) != size:
        raise ConfigurationError(f"[keys] {name}: {path} must hold {size} raw bytes; copy the right file there")
    if secret and mode & _OTHERS:
        raise ConfigurationError(f"[keys] {name}: {path} can be read by others; run: chmod 600 {path}")
    return content
