"""A small hall's morning as evidence: sealed by devices, taken by the real intake, stated, exported; and tampering.

`Frames` is an export taken apart. Who tampers has either the file only, or the gateway's key as well: then `restate`
makes the manifests and the seal anew, as a gateway would that has been taken over.
"""

import datetime
import io

from cryptography.hazmat.primitives.serialization import Encoding
from gateway_hall import GatewayHall
from sealing_device import HALL, MORNING_S, SUITE

from gateway import annotations, export, schema, seal
from gateway import bundle_file as kinds
from gateway.bundle_file import BundleReader, BundleWriter
from gateway.evidence_keys import EvidenceKeys, RegisterBook
from gateway.export import Exporter, Period
from gateway.manifests import ManifestBook
from gateway.masking import MaskingRule
from gateway.retention import RetentionRule
from protocol import event, manifest, merkle, purpose, rating, record, sign1
from provisioning import authority, evidence_authority

QUARTER_S = 900
FIRST_S = record.coarse(MORNING_S)  # when the first manifest is made, the next ones a quarter of an hour apart
DEVICES = [("c-001", "clock"), ("e-001", "evaluator"), ("e-002", "evaluator"), ("e-003", "evaluator")]
IDENTITY = {rating.NAME: "欧阳娜娜", rating.PHONE: "13987654321", rating.ID_NUMBER: "110101199001011234"}


class EvidenceMorning:
    """folder: empty. lie: e-001 signs two records under one number. e-003 is revoked before the hall opens."""

    def __init__(self, folder, lie=False):
        self.folder = folder
        self.rule = RetentionRule()
        self.hall = GatewayHall(folder, DEVICES)
        now = datetime.datetime.fromtimestamp(MORNING_S - 86400, datetime.UTC)
        self.root = authority.make_root(HALL, now)
        self.root_pem = self.root.certificate_pem()
        self.authority = evidence_authority.make(HALL, self.root, now)
        self.now = now
        self._certify()
        self.central_private = self.hall.keys[2]
        self.presses = {name: [0] * 5 for name, _ in DEVICES}
        self._live(lie)

    def _certify(self):
        private = SUITE.generate_private()
        self.signer = sign1.Signer(SUITE, private)
        own = evidence_authority.certify_gateway(HALL, self.signer.public_key, self.root, self.now)
        self.certificates = {name: self._certificate(self.hall.devices[name]) for name, _ in DEVICES}
        entries = {
            name: self.hall.devices[name].entry("active", certificate=_der(one).hex())
            for name, one in self.certificates.items()
        }
        self.revoked_s = MORNING_S - 3600
        since = datetime.datetime.fromtimestamp(self.revoked_s, datetime.UTC)
        revoked = {self.certificates["e-003"].serial_number: since}
        self.crl = evidence_authority.revocations(revoked, self.authority, self.now)
        (self.folder / "evidence.crl").write_bytes(self.crl.public_bytes(Encoding.PEM))
        annotating = evidence_authority.certify_gateway(
            HALL, self.hall.signer.public_key, self.root, self.now, purpose.ANNOTATIONS
        )
        self.keys = EvidenceKeys(self.signer, (_der(own), _der(annotating), self.authority.certificate_der()))
        devices = {name: _Certified(bytes.fromhex(entry["certificate"])) for name, entry in entries.items()}
        self.book = RegisterBook(self.keys, self.folder / "evidence.crl", lambda: devices)
        hall = self.hall
        self.manifests = ManifestBook(HALL, hall.ledger, self.keys, self.book.current, hall.clock.now_s, hall.metrics)

    def _certificate(self, device, issuer=None):
        return evidence_authority.certify_device(
            HALL, device.name, device.kind, device.signer.public_key, issuer or self.authority, self.now
        )

    def rate(self, name, level, identity=None, visit=None):
        """One rating of a device, pressed as well."""
        device = self.hall.devices[name]
        self.presses[name][level - 1] += 1
        self.hall.take((device, device.rating(level, self.hall.real.now_s, identity=identity, visit=visit)))

    def beat(self, name, **claims):
        """One heartbeat of a device; returns the message."""
        device = self.hall.devices[name]
        message = device.heartbeat(self.hall.real.now_s, PRESSES=list(self.presses[name]), **claims)
        self.hall.take((device, message))
        return message

    def state(self):
        """A manifest of everything since the last one; the next quarter of an hour begins."""
        done = self.hall.ledger.read(lambda connection: export.manifests.last(connection).position)
        self.manifests.take(self.hall.ledger.records_after(done, 1000))
        self.hall.real.now_s += QUARTER_S

    def _live(self, lie):
        first, second, clock = (self.hall.devices[name] for name in ("e-001", "e-002", "c-001"))
        for device in (first, second, clock):
            self.hall.take((device, device.opened(self.hall.real.now_s)))
        self.hall.take((first, b"forged"))
        for level in (5, 5, 1, 4):
            self.rate("e-001", level, IDENTITY if level < 3 else None, f"v-{level}")
            self.rate("e-002", level, {rating.NAME: "王芳"} if level < 3 else None)
        self.hall.take((clock, clock.punch(at_s=self.hall.real.now_s)))
        self.state()
        if lie:
            self._lie(first)
        for level in (2, 5):
            self.rate("e-001", level, IDENTITY)
        previous = second.stream, second.seq
        second.open_stream()
        self.hall.take((second, second.opened(self.hall.real.now_s, previous)))
        self.rate("e-002", 1)
        self.old_beat = self._evidence_of_beat("e-001")
        self.state()
        self.rate("e-001", 5)
        self.hall.take((clock, clock.punch(at_s=self.hall.real.now_s)))
        self.state()
        self.rate("e-001", 3)
        self.rate("e-002", 2, {rating.NAME: "阿依古丽", rating.PHONE: "010-12345678"})
        for name in ("e-001", "e-002", "c-001"):
            self.beat(name)
        self._annotate()

    def _annotate(self):
        """Two of a bad rating: not adopted, and adopted again."""
        rated = next(one for one in self.hall.records() if one.claims.get("level") == 1)
        for what, reason in (("not_adopted", "mistaken"), ("adopted", None)):
            self.hall.notebook.marks.mark(rated.device, rated.stream, rated.seq, what, reason, "S001")

    def _lie(self, device):
        """Another content for the number that was just used."""
        before = device.seq, device.prev
        device.seq -= 1
        self.hall.take((device, device.event(event.BOOT, self.hall.real.now_s)))
        device.seq, device.prev = before

    def _evidence_of_beat(self, name):
        self.beat(name)
        rows = self.hall.ledger.heartbeats()
        assert name in rows
        return self._stored_beat(name)

    def _stored_beat(self, name):
        (row,) = self.hall.rows(schema.heartbeat, device=name)
        return row["evidence"], row["received_s"]

    def export(self, from_s=None, to_s=None):
        """The bytes of an export, as it is now."""
        period = Period(from_s, to_s)
        out = io.BytesIO()
        exporter = Exporter(
            HALL, self.keys, self.book.current(), MaskingRule(), self.rule, self.hall.clock.now_s(),
            annotations=annotations.statements,
        )  # fmt: skip
        self.hall.ledger.read(lambda connection: export.write(connection, exporter, period, BundleWriter(out)))
        return out.getvalue()


class _Certified:
    """As much of a registry's device as the register looks at."""

    status = "active"

    def __init__(self, certificate):
        self.certificate = certificate


def _der(certificate):
    return certificate.public_bytes(Encoding.DER)


class Frames(list):
    """An export taken apart: lists [kind, values]."""

    @classmethod
    def of(cls, data):
        return cls([one.kind, list(one.values)] for one in BundleReader(io.BytesIO(data)).frames())

    def data(self):
        out = io.BytesIO()
        writer = BundleWriter(out)
        for kind, values in self:
            writer.add(kind, *values)
        return out.getvalue()

    def places(self, kind):
        return [at for at, (found, _) in enumerate(self) if found == kind]

    def content(self, at):
        """The payload of the record or heartbeat at a place."""
        return record.decode(sign1.parse(self[at][1][0], sign1.RECORD_TYP).payload)

    def records(self, device=None, level=None, kind=None, stream=None):
        """Places of records: of a device, a level, a kind, a stream (bytes)."""
        found = []
        for at in self.places(kinds.RECORD):
            content = self.content(at)
            shown = content.claims.get(rating.LEVEL) if content.kind == record.RATING else None
            wanted = ((device, content.device), (kind, content.kind), (stream, content.stream), (level, shown))
            if all(asked in (None, is_there) for asked, is_there in wanted):
                found.append(at)
        return found

    def beats(self, device):
        return [at for at in self.places(kinds.HEARTBEAT) if self.content(at).device == device]

    def drop(self, *places):
        for at in sorted(places, reverse=True):
            del self[at]

    def re_sign(self, at, signer, **changes):
        """Replace the record at a place by one with other attributes, signed by `signer`."""
        content = self.content(at)
        for name, value in changes.items():
            setattr(content, name, value)
        self[at][1][0] = signer.sign(sign1.RECORD_TYP, record.encode(content))

    def restate(self, signer):
        """Make manifests and seal anew over the records as they stand, as the gateway's key allows."""
        number, link = self[0][1][2] - 1, self[0][1][3]
        last = number, link
        for at in self.places(kinds.MANIFEST):
            typ = _typ(self[at][1][0])
            stated = manifest.decode(sign1.parse(self[at][1][0], typ).payload)
            covered = self._following(at)
            covered.sort(key=self._identity)
            self[at + 1 : at + 1 + len(covered)] = [[kinds.RECORD, values] for values in covered]
            number += 1
            stated.number, stated.previous = number, link
            self._cover(stated, covered)
            payload = manifest.encode(stated)
            link = manifest.link(payload)
            self[at][1][0] = signer.sign(typ, payload)
            last = (number, link) if typ == manifest.MANIFEST_TYP else last
        self.reseal(signer, last)
        return self

    def _identity(self, values):
        content = record.decode(sign1.parse(values[0], sign1.RECORD_TYP).payload)
        return content.device, content.stream, content.seq

    def _following(self, at):
        found = []
        for kind, values in self[at + 1 :]:
            if kind != kinds.RECORD:
                break
            found.append(values)
        return found

    def _cover(self, stated, covered):
        payloads = [sign1.parse(values[0], sign1.RECORD_TYP).payload for values in covered]
        contents = [record.decode(payload) for payload in payloads]
        stated.count = len(covered)
        stated.root = merkle.root([SUITE.sha256(payload) for payload in payloads])
        stated.words = merkle.root([
            manifest.word(received_s, flags, None if masked is None else dict(masked), sealed)
            for _, received_s, flags, masked, sealed in covered
        ])  # fmt: skip
        runs = []
        for content in contents:
            if runs and runs[-1][:2] == (content.device, content.stream) and runs[-1][3] == content.seq - 1:
                runs[-1] = (*runs[-1][:3], content.seq)
            else:
                runs.append((content.device, content.stream, content.seq, content.seq))
        stated.runs = runs

    def reseal(self, signer, last):
        sealed = self.pop()
        assert sealed[0] == kinds.SEAL
        out = io.BytesIO()
        writer = BundleWriter(out)
        for kind, values in self:
            writer.add(kind, *values)
        before = seal.decode(sign1.parse(sealed[1][0], seal.SEAL_TYP).payload)
        made = seal.Seal(before.hall, *last, before.coarse_s, writer.sections())
        self.append([kinds.SEAL, [signer.sign(seal.SEAL_TYP, seal.encode(made))]])


def _typ(statement):
    for typ in (manifest.MANIFEST_TYP, manifest.TAIL_TYP):
        try:
            sign1.parse(statement, typ)
            return typ
        except Exception:
            continue
    raise AssertionError("no manifest")
