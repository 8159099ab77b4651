"""The audit of exports, offline: the hall's root certificate, the files, and nothing else.

Files are read once, frame by frame; records are verified in threads and judged in order.
"""

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple

from gateway import bundle_file as kinds
from gateway import seal
from gateway.audit_annotations import Annotations
from gateway.audit_files import AuditFile, is_bytes, is_standing
from gateway.audit_manifests import Chain
from gateway.audit_records import Checked, RecordCheck, Signed, masking_of
from gateway.audit_removals import Removals
from gateway.audit_streams import Head, Streams, head_of
from gateway.bundle_file import Frame
from gateway.findings import Findings
from gateway.masking import MaskingRule
from gateway.trust import Trust
from protocol import manifest, record, sign1
from protocol.refusal import Refused
from protocol.suite_host import HostSuite

# Records verified together: a few for every thread, some MiB.
CHUNK_FRAMES = 512
# OpenSSL lets other threads run while it verifies; the rest is Python's, of which one runs at a time.
VERIFY_THREADS = 4

_SUITE = HostSuite()


class Report(NamedTuple):
    """What an audit says beside its findings. numbers: first and last manifest, (0, 0) without one."""

    hall: str
    files: int
    records: dict[int, int]  # verified, by kind of protocol.record
    devices: int
    streams: int
    numbers: tuple[int, int]
    manifests: int
    link: bytes | None  # of the last manifest: to be compared with the central system's
    tail_records: int
    coarse_s: tuple[int, int] | None
    presses: int
    ratings: int
    refused: dict[str, int]
    annotations: int
    opened: bool  # sealed parts were opened
    findings: Findings


def run(paths: Sequence[Path], root_pem: bytes, central_private: bytes | None = None) -> Report:
    """Audit the files together. central_private: 32 bytes, opens the sealed parts as well.

    Raises BundleError for a file that is no export, TrustError for a root that is none, Refused("key") for a central
    key that is none.
    """
    with ExitStack() as files:
        trust = Trust(root_pem)
        opened = sorted((AuditFile(path, files) for path in paths), key=lambda one: (one.first_number, one.open_end))
        central = None if central_private is None else _SUITE.load_private(central_private)
        with ThreadPoolExecutor(VERIFY_THREADS, "audit") as threads:
            return _Audit(opened, trust, central, threads).run()


class _Audit:
    """One audit of files in their order."""

    def __init__(self, files: Sequence[AuditFile], trust: Trust, central: Any, threads: ThreadPoolExecutor) -> None:
        self._files = files
        self._trust = trust
        self._findings = Findings()
        self._threads = threads
        self._central = central
        for file in files:
            trust.learn(file.certificates(), [crl for _, crl in file.registers()], self._findings)
        self._removals = Removals(self._findings)
        for file in files:
            self._removals.learn(file.opening[kinds.REMOVAL], file.coarse_s, file.retention)
        self._check = self._make_check(files[-1])
        self._annotations = Annotations(trust, self._findings)
        for values in (one for file in files for one in file.opening[kinds.ANNOTATION]):
            self._annotations.add(values)
        self._heads = self._read_heads()
        self._streams = Streams(self._heads, self._findings)
        self._chain = Chain(
            files[0].first_number - 1, files[0].link, trust, self._removals, self._streams, self._findings
        )

    def _make_check(self, file: AuditFile) -> RecordCheck:
        try:
            masking = masking_of(file.masking)
        except ValueError:
            self._findings.add("schema", detail="the masking rule of the head")
            masking = MaskingRule()
        return RecordCheck(self._trust, masking, self._central)

    def run(self) -> Report:
        """Every file, then what only the end shows."""
        self._begin()
        for file in self._files:
            self._read(file, file is self._files[-1])
        return self._finish()

    def _begin(self) -> None:
        first, last = self._files[0], self._files[-1]
        if first.first_number > 1:
            self._findings.add("begins", first=first.first_number)
            for values in first.opening[kinds.STANDING]:
                if is_standing(values):
                    self._streams.presume(values[0], values[1].hex(), values[2], values[3])
        if not last.open_end:
            self._findings.add("ends")
        for file in self._files:
            if file.hall != self._trust.hall:
                self._findings.add("hall", detail=f"{file.name}: the head")
            if file.misplaced:
                self._findings.add("order", detail=f"{file.name}: {file.misplaced} parts before the manifests")

    def _read_heads(self) -> dict[str, Head]:
        """The newest heartbeat of each device; the last file's where several have one."""
        heads: dict[str, Head] = {}
        for file in self._files:
            for values in file.opening[kinds.HEARTBEAT]:
                self._hear(values, heads)
        return heads

    def _hear(self, values: list[Any], heads: dict[str, Head]) -> None:
        if len(values) != 2 or not isinstance(values[0], bytes) or not isinstance(values[1], int):
            self._findings.add("schema", detail="a heartbeat")
            return
        signed = self._check.signed(values[0], values[1])
        device = signed.content.device if signed.content is not None else None
        for code, detail in signed.troubles:
            self._findings.add(code, device, detail=detail or "a heartbeat")
        if signed.content is None or not signed.verified:
            return
        if signed.content.kind != record.HEARTBEAT:
            self._findings.add("kind", device, detail="in the place of a heartbeat")
            return
        head, before = head_of(signed.content.claims), heads.get(signed.content.device)
        if before is not None and _went_back(before, head):
            self._findings.add("heartbeat_back", device, head.stream, head.head)
        heads[signed.content.device] = head

    def _read(self, file: AuditFile, is_last: bool) -> None:
        sealed, taking = False, True
        frames = file.body()
        while chunk := list(islice(frames, CHUNK_FRAMES)):
            for frame, one in zip(chunk, self._checked(chunk), strict=True):
                if sealed:
                    self._findings.add("order", detail=f"{file.name}: something follows the seal")
                elif frame.kind == kinds.SEAL:
                    self._chain.end()
                    sealed = self._seal(file, frame)
                elif frame.kind == kinds.MANIFEST:
                    taking = self._manifest(frame, is_last)
                elif frame.kind == kinds.RECORD and one is not None:
                    if taking:
                        self._record(one)
                else:
                    self._findings.add("order", detail=f"{file.name}: a part of kind {frame.kind}")
        self._chain.end()
        self._end_of(file, sealed)

    def _end_of(self, file: AuditFile, sealed: bool) -> None:
        if file.damage:
            self._findings.add("damaged", detail=f"{file.name}: {file.damage}")
        elif not sealed or file.reader.truncated:
            self._findings.add("truncated", detail=file.name)

    def _checked(self, chunk: list[Frame]) -> Iterator[Checked | None]:
        """What the records among the frames are worth, a share of them in each thread."""
        size = -(-len(chunk) // VERIFY_THREADS)
        shares = [chunk[at : at + size] for at in range(0, len(chunk), size)]
        return chain.from_iterable(self._threads.map(self._check_share, shares))

    def _check_share(self, share: list[Frame]) -> list[Checked | None]:
        return [self._check.record(frame.values) if frame.kind == kinds.RECORD else None for frame in share]

    def _manifest(self, frame: Frame, is_last: bool) -> bool:
        if not is_bytes(frame.values, 1):
            self._findings.add("schema", detail="a manifest")
            return True
        if not is_last and _is_tail(frame.values[0]):
            self._chain.end()  # the next file has these records under a manifest of the chain
            return False
        return self._chain.begin(frame.values[0])

    def _record(self, one: Checked) -> None:
        content = one.signed.content
        device, stream, seq = one.identity if content is not None else (None, None, None)
        for code, detail in one.signed.troubles:
            self._findings.add(code, device, stream, seq, detail=detail)
        if content is not None:
            self._annotations.compare(one.identity, one.signed.digest)
        if self._chain.record(one) and content is not None:
            self._streams.add(content, one.signed.digest, one.signed.verified)

    def _seal(self, file: AuditFile, frame: Frame) -> bool:
        """Hold the file against its seal. The sections were counted before this frame."""
        try:
            signed = sign1.parse(frame.values[0] if is_bytes(frame.values, 1) else b"", seal.SEAL_TYP)
            content = seal.decode(signed.payload)
        except Refused as error:
            self._findings.add("seal", detail=f"{file.name}: {error.reason}")
            return True
        if not any(sign1.verify(_SUITE, key, signed) for key in self._trust.gateway_keys(signed.kid)):
            self._findings.add("seal", detail=file.name)
            return True
        for stated, found in zip(content.sections, file.reader.sealed, strict=True):
            if stated != found:
                words = f"{file.name}: {kinds.KIND_NAMES[stated.kind]}, {stated.frames} sealed, {found.frames} found"
                self._findings.add("changed", detail=words)
        if content.number > self._chain.last:
            self._findings.add("manifest_missing", first=self._chain.last + 1, last=content.number)
        return True

    def _finish(self) -> Report:
        open_end = self._files[-1].open_end
        self._registers(open_end)
        self._equivocations()
        self._streams.close(open_end)
        self._removals.close()
        presses, ratings = self._streams.presses(whole=self._files[0].first_number == 1)
        for reason, count in sorted(self._chain.refused.items()):
            self._findings.add("refused", detail=f"{reason}: {count}")
        if self._chain.tail_records:
            self._findings.add("tail", detail=f"{self._chain.tail_records} records")
        followed = self._chain
        return Report(
            hall=self._trust.hall,
            files=len(self._files),
            records=dict(self._streams.kinds),
            devices=len(self._streams.devices()),
            streams=len(self._streams),
            numbers=(followed.first, followed.last) if followed.verified else (0, 0),
            manifests=followed.verified,
            link=followed.last_link,
            tail_records=followed.tail_records,
            coarse_s=followed.coarse_s,
            presses=presses,
            ratings=ratings,
            refused=dict(followed.refused),
            annotations=self._annotations.count,
            opened=self._central is not None,
            findings=self._findings,
        )

    def _registers(self, open_end: bool) -> None:
        """Every register that a manifest names must be here; whoever stands in the newest must have been heard."""
        present = {hashlib.sha256(der).digest() for file in self._files for der in file.certificates()}
        known: dict[bytes, set[bytes]] = {}
        newest: set[bytes] = set()
        for members, revocations in (one for file in self._files for one in file.registers()):
            newest = {members[at : at + 32] for at in range(0, len(members), 32)}
            known[hashlib.sha256(members + hashlib.sha256(revocations).digest()).digest()] = newest
        for digest in sorted(self._chain.registers):
            missing = known.get(digest, set()) - present
            if digest not in known or missing:
                words = f"{len(missing)} certificates" if digest in known else "a list of devices and revocations"
                self._findings.add("register", detail=words)
        if open_end:
            self._expect(known.get(self._chain.register, newest))

    def _expect(self, register: set[bytes]) -> None:
        heard = self._streams.devices()
        for device in self._trust.active(register):
            if device not in heard and device not in self._heads:
                self._findings.add("silent", device)
        for device in sorted(heard - self._heads.keys()):
            if not self._fell_silent(device):
                self._findings.add("heartbeat_missing", device)

    def _fell_silent(self, device: str) -> bool:
        """True when a device was not heard for so long that retention took even its heartbeat.

        Where no manifest here has a record of it, it was heard when its newest certificate was made.
        """
        certified_s = max((one.valid_from_s for one in self._trust.device(device)), default=0)
        return self._removals.heartbeat(device, self._chain.stated_s.get(device, certified_s))

    def _equivocations(self) -> None:
        seen: set[bytes] = set()
        for values in (one for file in self._files for one in file.opening[kinds.EQUIVOCATION]):
            if len(values) != 3 or not isinstance(values[0], bytes) or not isinstance(values[2], int):
                self._findings.add("schema", detail="a contradiction of a device")
                continue
            signed = self._check.signed(values[0], values[2])
            if signed.digest not in seen:
                seen.add(signed.digest)
                self._contradiction(signed)
        if len(seen) + self._removals.equivocations() < self._chain.equivocations:
            self._findings.add("equivocation_missing", detail=f"{self._chain.equivocations} stated, {len(seen)} here")

    def _contradiction(self, signed: Signed) -> None:
        content = signed.content
        if content is None or not signed.verified:
            self._findings.add("signature", content.device if content else None, detail="a contradiction of a device")
        elif content.kind == record.HEARTBEAT:
            head = head_of(content.claims)
            words = "its heartbeat names another record"
            self._findings.add("equivocation", content.device, head.stream, head.head, detail=words)
        else:
            self._findings.add("equivocation", content.device, content.stream.hex(), content.seq)


def _went_back(before: Head, now: Head) -> bool:
    """True when a device's later heartbeat states less than its earlier one."""
    fewer = any(new < old for new, old in zip(now.presses, before.presses, strict=True))
    return fewer or (before.stream == now.stream and now.head < before.head)


def _is_tail(evidence: bytes) -> bool:
    try:
        sign1.parse(evidence, manifest.TAIL_TYP)
    except Refused:
        return False
    return True
