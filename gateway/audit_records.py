"""What an audit checks of one record or heartbeat by itself: who signed it, for whom, and what the gateway says of it.

Pure, and safe in any thread: most of its time is the signature, during which other threads run.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec

from gateway import identity_seal
from gateway.masking import MaskingRule
from gateway.registry import KINDS
from gateway.retention import MASKED, SEALED
from gateway.trust import Certified, Trust
from protocol import disclosure, manifest, rating, record, sealed_part, sign1
from protocol.record import Record
from protocol.refusal import Refused
from protocol.suite_host import HostSuite

# Characters of the person that a masked field may show at most; of a document number, what the hall's rule keeps. Two
# of a name are a compound surname, the third is the last one where the rule keeps it.
NAME_SHOWN_MAX = 3
PHONE_SHOWN_MAX = 7
NUMBER_SHOWN_MAX = 10  # the most that a gateway's configuration allows
_MASK = "*"
# One trouble: a code of gateway.findings, and words for a person.
Trouble = tuple[str, str]
_MASK_DIFFERS: Trouble = ("mask_differs", "")


class Signed(NamedTuple):
    """A message of a device. content is None where it cannot be read. verified: signed by a certified key."""

    content: Record | None
    digest: bytes
    verified: bool
    troubles: list[Trouble]


class Checked(NamedTuple):
    """One record of the file. word: what the gateway says of it, as manifests cover it.

    lacks: parts that are not there, SEALED or MASKED, each with what is wrong with it unless retention took it away.
    """

    signed: Signed
    received_s: int
    word: bytes
    lacks: Mapping[str, Sequence[Trouble]]

    @property
    def identity(self) -> tuple[str, str, int]:
        """Device, stream in hex, number; only where there is content."""
        content = self.signed.content
        assert content is not None
        return content.device, content.stream.hex(), content.seq


class RecordCheck:
    """Checks of one hall. masking: the hall's rule. central: key that opens sealed parts, None where it is not here."""

    def __init__(self, trust: Trust, masking: MaskingRule, central: ec.EllipticCurvePrivateKey | None) -> None:
        self._trust = trust
        self._masking = masking
        self._central = central
        self._suite = HostSuite()

    def record(self, values: Sequence[Any]) -> Checked:
        """The record of one frame of the file."""
        if not _is_record(values):
            return Checked(_unreadable("the frame"), 0, b"", {})
        evidence, received_s, flags, shown, sealed = values
        masked = None if shown is None else dict(shown)
        signed = self.signed(evidence, received_s)
        content, lacks = signed.content, dict[str, Sequence[Trouble]]()
        if content is not None:
            if content.kind == record.HEARTBEAT:
                signed.troubles.append(("kind", "a heartbeat among the records"))
            lacks = _lacks(content, masked, sealed)
            signed.troubles.extend(self._sealed(content, masked, sealed, lacks))
            signed.troubles.extend(self._masks(masked or {}))
        word = manifest.word(received_s, flags, masked, sealed)
        return Checked(signed, received_s, word, lacks)

    def signed(self, evidence: bytes, received_s: int) -> Signed:
        """What a device signed; received_s: when the gateway says that it came."""
        try:
            message = sign1.parse(evidence, sign1.RECORD_TYP)
            content = record.decode(message.payload)
        except Refused as error:
            return _unreadable(error.reason)
        digest = self._suite.sha256(message.payload)
        if message.disclosures:
            return Signed(content, digest, False, [("mask", "disclosures in clear")])
        keys = self._trust.device(content.device)
        named = [one for one in keys if one.kid == message.kid]
        if not named:
            code = "key" if keys else "uncertified"
            return Signed(content, digest, False, [(code, "")])
        signers = [one for one in named if sign1.verify(self._suite, one.public, message)]
        if not signers:
            return Signed(content, digest, False, [("signature", "")])
        return Signed(content, digest, True, self._origin(content, signers, received_s))

    def _origin(self, content: Record, signers: list[Certified], received_s: int) -> list[Trouble]:
        """signers: certificates of the one key; a renewed one does not make the old one's time untrue."""
        found: list[Trouble] = []
        key = next((one for one in signers if _is_valid(one, received_s)), signers[0])
        if content.hall != self._trust.hall:
            found.append(("hall", "signed for another hall"))
        if content.kind not in KINDS.get(key.kind, ()):
            found.append(("kind", ""))
        # Who has lost a key has lost it under all its certificates.
        revoked_s = [since_s for one in signers if (since_s := self._trust.revoked_s(one)) is not None]
        if revoked_s and received_s >= min(revoked_s):
            found.append(("revoked", ""))
        if not _is_valid(key, received_s):
            found.append(("validity", ""))
        return found

    def _sealed(
        self,
        content: Record,
        masked: dict[str, str] | None,
        sealed: bytes | None,
        lacks: dict[str, Sequence[Trouble]],
    ) -> list[Trouble]:
        if not content.digests:
            return [] if sealed is None and masked is None else [("sealed", "nothing redactable was signed")]
        if masked is not None and rating.IDENTITY not in content.digests:
            return [("mask", "of an identity that nobody signed")]
        if not sealed or self._central is None:
            return []
        opened = self._open(content, masked, sealed, self._central)
        if MASKED in lacks and opened == [_MASK_DIFFERS]:
            lacks[MASKED] = opened  # a mask that retention took away
            return []
        return opened

    def _open(
        self, content: Record, masked: dict[str, str] | None, sealed: bytes, central: ec.EllipticCurvePrivateKey
    ) -> list[Trouble]:
        info = sealed_part.info(content.hall, content.device, content.stream, content.seq)
        try:
            padded = identity_seal.SUITE.decrypt(sealed, central, info)
            values = disclosure.check(self._suite, sealed_part.unpack(padded), content.digests)
            rating.check_redactable(values)
        except (InvalidTag, ValueError):
            return [("sealed", "does not open for this record")]
        except Refused:
            return [("sealed", "fits no signed digest")]
        identity: Any = values.get(rating.IDENTITY)
        made = self._masking.identity(identity) if identity else None
        return [] if made == masked else [_MASK_DIFFERS]

    def _masks(self, masked: dict[str, str]) -> list[Trouble]:
        limits = {
            "name": NAME_SHOWN_MAX,
            "phone": PHONE_SHOWN_MAX,
            "id_number": min(NUMBER_SHOWN_MAX, self._masking.id_number_first + self._masking.id_number_last),
        }
        return [("mask", name) for name, most in limits.items() if name in masked and _shows(masked[name], most)]


def _is_valid(key: Certified, received_s: int) -> bool:
    """A rating's time is the beginning of its quarter of an hour, which may lie before the certificate was made."""
    return record.coarse(key.valid_from_s) <= received_s <= key.valid_to_s


def _lacks(content: Record, masked: dict[str, str] | None, sealed: bytes | None) -> dict[str, Sequence[Trouble]]:
    """What of a record may be gone by retention: for the manifest to judge, which has the time."""
    found: dict[str, Sequence[Trouble]] = {}
    if content.digests and not sealed:
        found[SEALED] = [("sealed_missing", "")]
    if rating.IDENTITY in content.digests and masked is None:
        found[MASKED] = []
    return found


def _shows(text: str, most: int) -> bool:
    """True when a masked text hides nothing, or shows more than `most` characters."""
    return _MASK not in text or len(text.replace(_MASK, "")) > most


def masking_of(text: str) -> MaskingRule:
    """The rule that an export names. Raises ValueError when there is no such rule."""
    try:
        return MaskingRule(**json.loads(text))
    except TypeError:
        raise ValueError("no masking rule of this version") from None


def _unreadable(why: str) -> Signed:
    return Signed(None, b"", False, [("schema", why)])


def _is_record(values: Sequence[Any]) -> bool:
    """The five values that a record's frame has, of their types."""
    if len(values) != 5:
        return False
    evidence, received_s, flags, shown, sealed = values
    pairs = [] if shown is None else shown
    return (
        isinstance(evidence, bytes)
        and isinstance(received_s, int)
        and isinstance(flags, list)
        and all(isinstance(one, str) for one in flags)
        and isinstance(pairs, list)
        and all(isinstance(one, list) and len(one) == 2 and all(isinstance(part, str) for part in one) for one in pairs)
        and (sealed is None or isinstance(sealed, bytes))
    )
