"""What an audit checks of annotations: the gateway's own, in a chain without gap, each of the record that it names."""

import hashlib
from collections.abc import Sequence
from typing import Any

from gateway.findings import Findings
from gateway.trust import Trust
from protocol import cbor, field, purpose, sign1
from protocol.limits import DIGEST_BYTES, SEQ_MAX, STREAM_BYTES
from protocol.refusal import Refused
from protocol.suite_host import HostSuite

ANNOTATION_TYP = "hs-ann"
# Of the payload, only what the audit needs; what an annotation says is for people.
_DEVICE, _HALL, _STREAM, _SEQ, _PREV, _NUMBER, _DIGEST = 2, 3, 10, 11, 12, 18, 19

_SUITE = HostSuite()


class Annotations:
    """All annotations of an audit. Memory grows with them, not with records."""

    def __init__(self, trust: Trust, findings: Findings) -> None:
        self._trust = trust
        self._findings = findings
        self._digests: dict[tuple[str, str, int], bytes] = {}
        self._links: dict[int, bytes] = {0: bytes(DIGEST_BYTES)}

    @property
    def count(self) -> int:
        """How many there are, each counted once however many files have it."""
        return len(self._links) - 1

    def add(self, values: Sequence[Any]) -> None:
        """Take one frame; files state them from the first on, in their order."""
        try:
            statement = values[0] if len(values) == 1 and isinstance(values[0], bytes) else b""
            signed = sign1.parse(statement, ANNOTATION_TYP)
            content = _decode(signed.payload)
        except Refused as error:
            self._findings.add("annotation", detail=error.reason)
            return
        identity = (content[_DEVICE], content[_STREAM].hex(), content[_SEQ])
        keys = self._trust.gateway_keys(signed.kid, purpose.ANNOTATIONS)
        if not any(sign1.verify(_SUITE, key, signed) for key in keys):
            self._findings.add("annotation", *identity, detail="signature")
            return
        number, link = content[_NUMBER], hashlib.sha256(signed.payload).digest()
        if self._links.get(number) == link:
            return
        if content[_HALL] != self._trust.hall or number in self._links or self._links.get(number - 1) != content[_PREV]:
            self._findings.add("annotation", *identity, detail=f"number {number} of the chain")
        self._links[number] = link
        if self._digests.setdefault(identity, content[_DIGEST]) != content[_DIGEST]:
            self._findings.add("annotation", *identity, detail="two annotations name different records")

    def compare(self, identity: tuple[str, str, int], digest: bytes) -> None:
        """Hold a record against the annotations of it."""
        if self._digests.get(identity, digest) != digest:
            self._findings.add("annotation", *identity, detail="the record is another one")


def _decode(payload: bytes) -> dict[int, Any]:
    content: dict[int, Any] = cbor.decode_map(payload)
    for key, kind, low, high in (
        (_DEVICE, field.TEXT, 1, 32),
        (_HALL, field.TEXT, 1, 32),
        (_STREAM, field.BYTES, STREAM_BYTES, STREAM_BYTES),
        (_SEQ, field.INT, 1, SEQ_MAX),
        (_PREV, field.BYTES, DIGEST_BYTES, DIGEST_BYTES),
        (_NUMBER, field.INT, 1, SEQ_MAX),
        (_DIGEST, field.BYTES, DIGEST_BYTES, DIGEST_BYTES),
    ):
        field.check_value("annotation", content.get(key), kind, low, high)
    return content
