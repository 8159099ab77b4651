"""An export of many records of one device, written without a ledger: for how fast and how large an audit is."""

from evidence_morning import FIRST_S
from sealing_device import HALL, SUITE, SealingDevice

from gateway import bundle_file as kinds
from gateway import seal
from gateway.bundle_file import BundleWriter
from protocol import manifest, merkle, record, sign1


def write(path, morning, records):
    """`records` records in full manifests. morning: an EvidenceMorning, whose keys and certificates are used."""
    device = SealingDevice("e-001", morning.hall.public)
    device.signer = morning.hall.devices["e-001"].signer
    register = morning.book.current()
    with path.open("wb") as out:
        writer = BundleWriter(out)
        writer.add(kinds.HEAD, HALL, FIRST_S, 1, manifest.GENESIS, False, "{}", "{}")
        members = register.members()
        for _, der in members:
            writer.add(kinds.CERTIFICATE, der)
        writer.add(kinds.REGISTER, b"".join(digest for digest, _ in members), register.revocations)
        last = (0, manifest.GENESIS)
        for first in range(1, records + 1, manifest.RECORDS_MAX):
            count = min(manifest.RECORDS_MAX, records + 1 - first)
            last = _manifest(writer, morning, device, register.digest, last, first, count)
        made = seal.Seal(HALL, *last, FIRST_S, writer.sections())
        writer.add(kinds.SEAL, morning.signer.sign(seal.SEAL_TYP, seal.encode(made)))


def _manifest(writer, morning, device, register, last, first, count):
    payloads, evidence = [], []
    for _ in range(count):
        claims = {1: 1} if device.seq == 0 else {1: 2}
        payloads.append(record.encode(device.make(record.EVENT, claims, FIRST_S)[0]))
        evidence.append(device.signer.sign(sign1.RECORD_TYP, payloads[-1]))
    stated = manifest.Manifest(
        HALL, last[0] + 1, last[1], FIRST_S, count, merkle.root([SUITE.sha256(one) for one in payloads]),
        merkle.root([manifest.word(FIRST_S, [], None, None)] * count),
        [("e-001", device.stream, first, first + count - 1)], [], 0, register,
    )  # fmt: skip
    payload = manifest.encode(stated)
    writer.add(kinds.MANIFEST, morning.signer.sign(manifest.MANIFEST_TYP, payload))
    for one in evidence:
        writer.add(kinds.RECORD, one, FIRST_S, [], None, None)
    return stated.number, manifest.link(payload)
