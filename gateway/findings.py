"""What an audit may find: one table of words, and the list of what was found, bounded and counted."""

from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

# WRONG: the evidence contradicts itself or what signed it. MISSING: something that must be there is not. Both end the
# audit with status 1. NOTE: for a person to know; it accuses nobody.
WRONG, MISSING, NOTE = "wrong", "missing", "note"


class Kind(NamedTuple):
    """One line of the table. code: word that scripts may look for. meaning: for a person."""

    code: str
    severity: str
    meaning: str


_TABLE = (
    Kind("truncated", MISSING, "the file ends before its seal: whatever stood behind is not there"),
    Kind("damaged", WRONG, "the file cannot be read any further from here"),
    Kind("seal", WRONG, "the seal of the file is not the gateway's"),
    Kind("changed", WRONG, "this part of the file is not what the gateway sealed"),
    Kind("order", WRONG, "a part of the file does not stand where it belongs"),
    Kind("hall", WRONG, "made for another hall than the root certificate is of"),
    Kind("certificate", WRONG, "a certificate or list of revocations that does not come from the hall's root"),
    Kind("register", MISSING, "a manifest names devices in force, and their certificates or revocations are not here"),
    Kind("schema", WRONG, "not the content that a record or statement has"),
    Kind("uncertified", WRONG, "the hall has never certified a key for this device"),
    Kind("key", WRONG, "signed with a key that the hall has not certified for this device"),
    Kind("signature", WRONG, "the signature does not fit the content"),
    Kind("revoked", WRONG, "came after the device's key was revoked"),
    Kind("validity", WRONG, "came when the certificate of the device's key was not valid"),
    Kind("kind", WRONG, "a kind of record that this kind of device does not make"),
    Kind("duplicate", WRONG, "this number was there before: a record counts once"),
    Kind("equivocation", WRONG, "the device signed two contents under one number"),
    Kind("equivocation_missing", MISSING, "the gateway has stated more contradictions of devices than are in the file"),
    Kind("chain", WRONG, "does not name the record before it: one of the two was changed"),
    Kind("head", WRONG, "not the record that the device's heartbeat names at this number"),
    Kind("gap", MISSING, "numbers between others that nobody has"),
    Kind("hidden_tail", MISSING, "the device has signed that it recorded more than is here"),
    Kind("stream_missing", MISSING, "a later stream of the device names this one, which is not here"),
    Kind("unlinked", MISSING, "the device began again and does not say after what"),
    Kind("unopened", WRONG, "the stream does not begin with its opening event"),
    Kind("ragged", WRONG, "more gaps than an audit follows: the rest of this stream is not looked at"),
    Kind("silent", MISSING, "the hall has certified the device and nothing of it is here"),
    Kind("heartbeat_missing", MISSING, "no heartbeat of the device is here: what its newest records are, nobody knows"),
    Kind("heartbeat_back", WRONG, "a later heartbeat of the device states less than an earlier one"),
    Kind("manifest_missing", MISSING, "manifests of these numbers are not here"),
    Kind("manifest_chain", WRONG, "does not name the manifest before it: one of the two was changed or exchanged"),
    Kind("manifest_signature", WRONG, "the manifest is not signed by a gateway of this hall"),
    Kind("withheld", MISSING, "the manifest states this record, and it is not here"),
    Kind("removal", WRONG, "the gateway says that retention took it away on a day that had not come"),
    Kind("unstated", WRONG, "no manifest states this record"),
    Kind("root", WRONG, "what devices signed is not what the manifest states, though the numbers are the same"),
    Kind("words", WRONG, "what the gateway says of records (time, flags, masks, sealed part) is not what it stated"),
    Kind("annotation", WRONG, "an annotation that the gateway did not sign, out of its place, or of another record"),
    Kind("mask", WRONG, "a masked field shows what it should hide"),
    Kind("mask_differs", WRONG, "the masked field is not the mask of what the visitor entered"),
    Kind("sealed", WRONG, "the sealed part is not what the device signed"),
    Kind("sealed_missing", MISSING, "the device signed redactable claims, and the sealed part is not here"),
    Kind("presses", WRONG, "more ratings of a level than the device's button for it was ever pressed"),
    Kind("begins", NOTE, "the first manifest here is not the hall's first: what came before is not looked at"),
    Kind("ends", NOTE, "the period has an end: heartbeats and hidden tails are not looked at"),
    Kind("tail", NOTE, "no manifest covers these records yet; the export's own statement does"),
    Kind("removed", NOTE, "what the hall keeps no longer, by the gateway's word, by kind and count"),
    Kind("reopened", NOTE, "the device began a new stream and named the one before it"),
    Kind("declared", NOTE, "the device itself recorded this of itself"),
    Kind("unrated", NOTE, "presses that became no rating: corrections, late ones, or a device that records too little"),
    Kind(
        "refused",
        NOTE,
        "times that the gateway refused a message in this time, by reason, what left quarantine unread included",
    ),
)
KINDS: Mapping[str, Kind] = {kind.code: kind for kind in _TABLE}

# Findings that are kept one by one; beyond that they are counted. A person reads no more of one kind.
KEPT_MAX = 20


class Finding(NamedTuple):
    """One thing found. Where it does not concern a device, stream or numbers, those are None.

    first, last: numbers of records, of manifests where `device` is None. detail: words for a person; never what a
    person entered.
    """

    code: str
    device: str | None = None
    stream: str | None = None
    first: int | None = None
    last: int | None = None
    detail: str = ""


class Findings:
    """The findings of one audit: the first KEPT_MAX of each code, and how many there were."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._kept: dict[str, list[Finding]] = {}

    def add(
        self,
        code: str,
        device: str | None = None,
        stream: str | None = None,
        first: int | None = None,
        last: int | None = None,
        detail: str = "",
    ) -> None:
        """Note one. code: of KINDS, anything else is our fault (KeyError). last: where None, `first` alone is meant."""
        kind = KINDS[code]
        self.counts[code] += 1
        kept = self._kept.setdefault(kind.code, [])
        if len(kept) < KEPT_MAX:
            kept.append(Finding(code, device, stream, first, first if last is None else last, detail))

    def kept(self) -> list[Finding]:
        """Those kept one by one, in the order of the table."""
        return [one for code in KINDS for one in self._kept.get(code, ())]

    def of(self, *severities: str) -> int:
        """How many there are of these severities."""
        return sum(count for code, count in self.counts.items() if KINDS[code].severity in severities)

    def status(self) -> int:
        """Exit status: 0 clean (notes do not count), 1 findings."""
        return 1 if self.of(WRONG, MISSING) else 0
