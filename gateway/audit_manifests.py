"""What an audit checks of manifests: signed by the hall's gateway, none missing, true of the records behind them."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from gateway.audit_records import Checked
from gateway.audit_removals import Removals
from gateway.audit_streams import Streams
from gateway.findings import Findings
from gateway.retention import RECORD_KINDS
from gateway.trust import Trust
from protocol import manifest, merkle, record, sign1
from protocol.manifest import MANIFEST_TYP, RECORDS_MAX, TAIL_TYP, Manifest
from protocol.refusal import Refused
from protocol.suite_host import HostSuite

Identity = tuple[str, str, int]

_SUITE = HostSuite()


class Statement(NamedTuple):
    """A statement of the gateway, read and verified."""

    content: Manifest
    link: bytes
    tail: bool


def read(evidence: bytes, trust: Trust, findings: Findings) -> Statement | None:
    """The manifest or tail in a frame; None, and named, where it is not the gateway's."""
    try:
        signed, tail = _parse(evidence)
        content = manifest.decode(signed.payload)
    except Refused as error:
        findings.add("schema", detail=f"a manifest: {error.reason}")
        return None
    if not any(sign1.verify(_SUITE, key, signed) for key in trust.gateway_keys(signed.kid)):
        findings.add("manifest_signature", first=content.number)
        return None
    if content.hall != trust.hall:
        findings.add("hall", first=content.number, detail="a manifest")
    return Statement(content, manifest.link(signed.payload), tail)


def _parse(evidence: bytes) -> tuple[sign1.Signed, bool]:
    try:
        return sign1.parse(evidence, MANIFEST_TYP), False
    except Refused as error:
        if error.reason != "type":
            raise
    return sign1.parse(evidence, TAIL_TYP), True


class Chain:
    """The manifests of an audit, one after the other. number, link: of the one before the first.

    last, last_link: of the newest manifest so far, statements of an export not counted.
    """

    def __init__(
        self, number: int, link: bytes, trust: Trust, removals: Removals, streams: Streams, findings: Findings
    ) -> None:
        self.first = number + 1
        self.last, self.last_link = number, link
        self._number = number
        self._link: bytes | None = link
        self.verified = 0
        self.tail_records = 0
        self.equivocations = 0
        self.register = b""
        self.registers: set[bytes] = set()
        self.refused: Counter[str] = Counter()
        self.coarse_s: tuple[int, int] | None = None
        self._trust = trust
        self._removals = removals
        self._streams = streams
        self._findings = findings
        self.stated_s: dict[str, int] = {}  # of each device: when its newest record was stated
        self._oldest_s: dict[int, int] = {}  # by kind of record: the earliest arrival of those in manifests before
        self._present: Statement | None = None
        self._emptied = False  # retention took a part of a record of the present manifest
        self._records: dict[Identity, Checked] = {}
        self._before: Identity | None = None
        self._links: dict[int, bytes] = {}

    def begin(self, evidence: bytes) -> bool:
        """Take a manifest, whose records follow; False where those were looked at already (files that overlap)."""
        self.end()
        self._emptied = False
        statement = read(evidence, self._trust, self._findings)
        if statement is not None and self._is_known(statement):
            return False
        self._present = statement
        if statement is None:
            self._number, self._link = self._number + 1, None  # it stands in the place of one
            self.last = self._number
            return True
        self._follow(statement)
        self._note(statement)
        return True

    def _is_known(self, statement: Statement) -> bool:
        number = statement.content.number
        if number > self._number or number < self.first:
            return False
        if self._links.get(number, statement.link) != statement.link:
            self._findings.add("manifest_chain", first=number, detail="two manifests have this number")
        return number in self._links

    def _follow(self, statement: Statement) -> None:
        number = statement.content.number
        if number > self._number + 1:
            self._findings.add("manifest_missing", first=self._number + 1, last=number - 1)
        elif number != self._number + 1:
            self._findings.add("manifest_chain", first=number, detail=f"stands behind number {self._number}")
        elif self._link is not None and statement.content.previous != self._link:
            self._findings.add("manifest_chain", first=number)
        self._number, self._link = number, statement.link

    def _note(self, statement: Statement) -> None:
        content = statement.content
        if statement.tail:
            self.tail_records += content.count
        else:
            self.verified += 1
            self.last, self.last_link = content.number, statement.link
            self._links[content.number] = statement.link
        self.equivocations = max(self.equivocations, content.equivocations)
        self.register = content.register
        self.registers.add(content.register)
        self.refused.update(dict(content.refusals))
        first_s = content.coarse_s if self.coarse_s is None else self.coarse_s[0]
        self.coarse_s = (first_s, content.coarse_s)

    def record(self, one: Checked) -> bool:
        """Take a record of the present manifest; False where the same manifest had it already."""
        if one.signed.content is None:
            return True
        identity = one.identity
        if self._before is not None and identity < self._before:
            self._findings.add("order", *identity, detail="before a record of a lower place")
        self._before = identity
        if identity in self._records:
            known = self._records[identity].signed.digest
            self._findings.add("duplicate" if known == one.signed.digest else "equivocation", *identity)
            return False
        self._lacking(one)
        if len(self._records) < 2 * RECORDS_MAX:  # beyond, nothing is stated anyway
            self._records[identity] = one
        else:
            self._findings.add("unstated", *identity)
        return True

    def _lacking(self, one: Checked) -> None:
        """Name what is wrong with parts that are not there, but for those that retention took away."""
        device, stream, seq = one.identity
        for kind, troubles in one.lacks.items():
            stated_s = self._present.content.coarse_s if self._present is not None else None
            if stated_s is not None and self._removals.emptied(kind, (device, stream), seq, stated_s):
                self._emptied = True
                continue
            for code, detail in troubles:
                self._findings.add(code, *one.identity, detail=detail)

    def end(self) -> None:
        """Hold the present manifest against its records."""
        records, statement = self._records, self._present
        self._records, self._before, self._present = {}, None, None
        if statement is None:
            return
        stated = {
            (device, stream.hex(), seq)
            for device, stream, first, last in statement.content.runs
            for seq in range(first, last + 1)
        }
        removed = {one for one in stated - records.keys() if self._is_removed(one, statement)}
        for one in sorted(removed):
            self._streams.remove(*one)
        self._remember(records.values(), statement.content)
        self._name("withheld", stated - records.keys() - removed, statement)
        self._name("unstated", records.keys() - stated, statement)
        if stated == records.keys():
            self._compare([records[identity] for identity in sorted(records)], statement.content)

    def _is_removed(self, identity: Identity, statement: Statement) -> bool:
        """Retention goes from the oldest on: nothing is gone by it while older records of the kind are still here."""
        device, stream, seq = identity
        stated_s = statement.content.coarse_s
        kind = self._removals.explains((device, stream), seq, stated_s)
        return kind is not None and self._oldest_s.get(RECORD_KINDS[kind], stated_s + 1) > stated_s

    def _remember(self, records: Iterable[Checked], content: Manifest) -> None:
        for device, *_ in content.runs:
            self.stated_s[device] = max(self.stated_s.get(device, 0), content.coarse_s)
        for one in records:
            kind = one.signed.content.kind if one.signed.content is not None else record.HEARTBEAT
            self._oldest_s[kind] = min(self._oldest_s.get(kind, one.received_s), one.received_s)

    def _name(self, code: str, identities: set[Identity], statement: Statement) -> None:
        for identity in sorted(identities):
            self._findings.add(code, *identity, detail=f"manifest {statement.content.number}")

    def _compare(self, records: Sequence[Checked], content: Manifest) -> None:
        if merkle.root([one.signed.digest for one in records]) != content.root:
            self._findings.add("root", first=content.number, detail=_devices(records))
        if self._emptied:
            return  # what the gateway said of them is not all there any more
        if merkle.root([one.word for one in records]) != content.words:
            self._findings.add("words", first=content.number, detail=_devices(records))


def _devices(records: Sequence[Checked]) -> str:
    """Whose records a manifest covers: where to look."""
    names = sorted({one.identity[0] for one in records})
    return "of " + ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
