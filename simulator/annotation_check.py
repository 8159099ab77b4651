"""What a central system checks of one annotation: that the hall said it, of the record that the entry names."""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from protocol import annotation
from protocol.refusal import Refused
from protocol.suite_host import HostSuite
from simulator.central_check import RecordRefusedError

# A statement has some 300 bytes; base64 adds a third.
STATEMENT_CHARACTERS_MAX = 1024


@dataclass(frozen=True)
class CheckedAnnotation:
    """An annotation whose signature verifies; fields as in protocol.annotation. own_digest: what the next one names."""

    number: int
    device: str
    stream: str  # 16 hex digits
    seq: int
    kind: int
    record_digest: bytes
    prev: bytes
    own_digest: bytes
    statement: bytes


class AnnotationCheck:
    """Checks annotations of one hall. command_public: 65 bytes, the hall's command key."""

    def __init__(self, hall: str, command_public: bytes) -> None:
        self._hall = hall
        self._suite = HostSuite()
        self._public = self._suite.load_public(command_public)

    def check(self, entry: Mapping[str, Any]) -> CheckedAnnotation:
        """The checked annotation of one entry of a batch. Raises RecordRefusedError."""
        statement = _statement(entry)
        try:
            found, own_digest = annotation.open(self._suite, self._public, statement)
        except Refused as error:
            raise RecordRefusedError("statement " + error.reason) from None
        if found.hall != self._hall:
            raise RecordRefusedError("other hall")
        identity = (found.number, found.device, found.stream.hex(), found.seq)
        if identity != tuple(entry.get(name) for name in ("number", "device", "stream", "seq")):
            raise RecordRefusedError("entry differs from statement")
        return CheckedAnnotation(*identity, found.kind, found.digest, found.prev, own_digest, statement)


def _statement(entry: Mapping[str, Any]) -> bytes:
    text = entry.get("statement")
    if not isinstance(text, str) or len(text) > STATEMENT_CHARACTERS_MAX:
        raise RecordRefusedError("statement missing or too long")
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise RecordRefusedError("statement is not base64") from None
