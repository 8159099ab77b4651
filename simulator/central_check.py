"""What a central system checks of one forwarded record: the device's signature, its claims, the sealed identity."""

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from protocol import disclosure, manifest, rating, record, sealed_part, sign1
from protocol.refusal import Refused
from protocol.suite_host import HostSuite

SEALED_SUITE = Suite(KEM.P256, KDF.HKDF_SHA256, AEAD.AES_128_GCM)
# A record message has at most 4096 bytes; base64 and HPKE add a half.
FIELD_CHARACTERS_MAX = 8192
_PSEUDONYM = re.compile("[0-9a-f]{32}")
# A hall has some thirty rules.
FLAGS_MAX = 100
# What a hall may say about a visit; a number, a name or a time is none of it.
VISIT_WORDS = {
    *("kind", "item_code", "item_name", "department_code", "department_name", "credit_code", "staff", "applicant_kind"),
    *("part", "parts"),
}
KIND_DEVICES = {record.RATING: "evaluator", record.PUNCH: "clock"}


class RecordRefusedError(Exception):
    """The record cannot be taken. reason: one word or two for the verdict."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class DeviceKey:
    """What devices.json says of a device; public: key object of the suite."""

    kind: str
    public: Any


@dataclass(frozen=True)
class Checked:
    """A record whose signature verifies. disclosed: claims that were sealed to us, by number of protocol.rating."""

    device: str
    stream: str  # 16 hex digits
    seq: int
    kind: int
    digest: bytes  # 32, SHA-256 of the payload
    prev: bytes  # 16
    level: int | None
    evidence: bytes
    word: bytes  # what the gateway says of it, as its manifests cover it
    disclosed: Mapping[int, Any]
    pseudonym: str | None  # the gateway's word: the same person within a month
    sealed_removed: bool  # the gateway's word: it held the sealed part as long as it may
    masked_ok: bool  # False: a masked field shows what it should hide
    flags: tuple[str, ...] = ()  # what the hall's rules say of it
    item_code: str | None = None  # what was rated, in the words of the hall's business system


class RecordCheck:
    """Checks records of one hall. device_keys: present keys by device name. hpke_private: 32 bytes."""

    def __init__(self, hall: str, device_keys: Callable[[], Mapping[str, DeviceKey]], hpke_private: bytes) -> None:
        self._hall = hall
        self._device_keys = device_keys
        self._suite = HostSuite()
        self._private: ec.EllipticCurvePrivateKey = self._suite.load_private(hpke_private)

    def check(self, entry: Mapping[str, Any]) -> Checked:
        """The checked record of one entry of a batch. Raises RecordRefusedError."""
        evidence = _blob(entry, "evidence")
        signed = self._signed(evidence)
        try:
            payload = record.decode(signed.payload)
        except Refused as error:
            raise RecordRefusedError("payload " + error.reason) from None
        self._verify(signed, payload)
        if payload.hall != self._hall:
            raise RecordRefusedError("other hall")
        if _identity(payload) != (entry.get("device"), entry.get("stream"), entry.get("seq"), entry.get("kind")):
            raise RecordRefusedError("entry differs from evidence")
        disclosed = self._open(entry, payload)
        return Checked(
            payload.device,
            payload.stream.hex(),
            payload.seq,
            payload.kind,
            self._suite.sha256(signed.payload),
            payload.prev,
            _level(payload),
            evidence,
            _word(entry),
            disclosed,
            _pseudonym(entry.get("pseudonym")),
            entry.get("sealed") == "",
            _is_masked(entry.get("masked"), disclosed),
            _flags(entry.get("flags")),
            _item_code(entry.get("visit")),
        )

    def _signed(self, evidence: bytes) -> sign1.Signed:
        try:
            signed = sign1.parse(evidence, sign1.RECORD_TYP)
        except Refused as error:
            raise RecordRefusedError("evidence " + error.reason) from None
        if signed.disclosures:
            raise RecordRefusedError("disclosures in clear")
        return signed

    def _verify(self, signed: sign1.Signed, payload: record.Record) -> None:
        key = self._device_keys().get(payload.device)
        if key is None:
            raise RecordRefusedError("unknown device")
        if not sign1.verify(self._suite, key.public, signed):
            raise RecordRefusedError("signature")
        if payload.kind not in record.KIND_NAMES or payload.kind == record.HEARTBEAT:
            raise RecordRefusedError("kind")
        if KIND_DEVICES.get(payload.kind, key.kind) != key.kind:
            raise RecordRefusedError("kind of device")

    def _open(self, entry: Mapping[str, Any], payload: record.Record) -> dict[int, Any]:
        if entry.get("sealed") is None:
            if payload.digests:
                raise RecordRefusedError("sealed part missing")
            return {}
        if entry["sealed"] == "":  # removed by the hall's retention; it went to us long ago, or never was to
            return {}
        sealed = _blob(entry, "sealed")
        info = sealed_part.info(payload.hall, payload.device, payload.stream, payload.seq)
        try:
            padded = SEALED_SUITE.decrypt(sealed, self._private, info)
        except (InvalidTag, ValueError):
            raise RecordRefusedError("sealed part does not open") from None
        try:
            values = disclosure.check(self._suite, sealed_part.unpack(padded), payload.digests)
            rating.check_redactable(values)
        except Refused:
            raise RecordRefusedError("disclosure fits no signed digest") from None
        return values


def _blob(entry: Mapping[str, Any], name: str) -> bytes:
    text = entry.get(name)
    if not isinstance(text, str) or len(text) > FIELD_CHARACTERS_MAX:
        raise RecordRefusedError(name + " missing or too long")
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise RecordRefusedError(name + " is not base64") from None


def _flags(found: object) -> tuple[str, ...]:
    if not isinstance(found, list) or len(found) > FLAGS_MAX or not all(isinstance(one, str) for one in found):
        raise RecordRefusedError("flags are no list of codes")
    return tuple(found)


def _word(entry: Mapping[str, Any]) -> bytes:
    received_s, flags, masked = entry.get("received_s"), entry.get("flags"), entry.get("masked")
    sealed = None if entry.get("sealed") is None else _blob(entry, "sealed")
    try:
        return manifest.word(received_s, flags, masked, sealed)  # type: ignore[arg-type]  # what it is not, it refuses
    except (TypeError, ValueError, AttributeError):
        raise RecordRefusedError("time, flags or masks are none") from None


def _identity(payload: record.Record) -> tuple[str, str, int, int]:
    return payload.device, payload.stream.hex(), payload.seq, payload.kind


def _pseudonym(found: object) -> str | None:
    if found is not None and not (isinstance(found, str) and _PSEUDONYM.fullmatch(found)):
        raise RecordRefusedError("pseudonym")
    return found


def _level(payload: record.Record) -> int | None:
    level = payload.claims.get(rating.LEVEL) if payload.kind == record.RATING else None
    return level if isinstance(level, int) else None


def _item_code(visit: object) -> str | None:
    """The item code in the context of a visit. Raises RecordRefusedError for words that have no place there."""
    if visit is None:
        return None
    if not isinstance(visit, dict) or not set(visit) <= VISIT_WORDS:
        raise RecordRefusedError("visit")
    code = visit.get("item_code")
    return code if isinstance(code, str) else None


def _is_masked(masked: object, disclosed: Mapping[int, Any]) -> bool:
    """True when no masked field equals the identity that was sealed."""
    identity = disclosed.get(rating.IDENTITY, {})
    hidden = {str(value) for key, value in identity.items() if key != rating.ID_KIND}
    shown = masked.values() if isinstance(masked, dict) else ()
    return not any(value in hidden for value in shown)
