"""The audit of exports: a clean morning is clean, and whatever is done to one is found and named."""

import datetime
import io

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from evidence_morning import FIRST_S, QUARTER_S, EvidenceMorning, Frames
from evidence_tampering import FILE, GATEWAY, TAMPERING, put_an_older_heartbeat, sign_with_a_revoked_key, unmask_a_name
from sealing_device import HALL, MORNING_S

from gateway import audit, audit_report
from gateway import bundle_file as kinds
from gateway.bundle_file import BundleError
from gateway.findings import KEPT_MAX, KINDS, NOTE, Findings
from gateway.trust import TrustError
from protocol import record
from provisioning import authority, evidence_authority


@pytest.fixture(scope="module")
def morning(tmp_path_factory):
    made = EvidenceMorning(tmp_path_factory.mktemp("morning"))
    made.clean = made.export()
    yield made
    made.hall.stop()


@pytest.fixture(scope="module")
def lying(tmp_path_factory):
    made = EvidenceMorning(tmp_path_factory.mktemp("lying"), lie=True)
    made.clean = made.export()
    yield made
    made.hall.stop()


def judged(morning, *contents, root=None, central=False):
    """The report of an audit of these files."""
    paths = []
    for number, content in enumerate(contents):
        paths.append(morning.folder / f"{number}.evidence")
        paths[-1].write_bytes(content)
    return audit.run(paths, morning.root_pem if root is None else root, morning.central_private if central else None)


def codes(report):
    """Codes of what is wrong or missing."""
    return {code for code in report.findings.counts if KINDS[code].severity != NOTE}


def with_certificate(morning, name, valid_from_s, at):
    """The clean morning with one more certificate of a device's key. at: place among the others."""
    since, device = datetime.datetime.fromtimestamp(valid_from_s, datetime.UTC), morning.hall.devices[name]
    made = evidence_authority.certify_device(
        HALL, name, device.kind, device.signer.public_key, morning.authority, since
    )
    frames = Frames.of(morning.clean)
    frames.insert(frames.places(kinds.CERTIFICATE)[at], [kinds.CERTIFICATE, [made.public_bytes(Encoding.DER)]])
    return frames.restate(morning.signer).data()


# --- Clean.


def test_a_clean_morning_has_no_finding_and_every_record_is_verified(morning):
    for central in (False, True):
        report = judged(morning, morning.clean, central=central)
        assert codes(report) == set()
        assert report.findings.status() == 0
        assert report.records == {record.RATING: 14, record.PUNCH: 2, record.EVENT: 4}
        assert (report.numbers, report.manifests, report.tail_records) == ((1, 3), 3, 2)
        assert (report.presses, report.ratings) == (14, 14)
        assert (report.refused, report.annotations) == ({"structure": 1}, 2)


def test_taking_apart_and_putting_together_changes_no_byte(morning):
    assert Frames.of(morning.clean).data() == morning.clean


def test_a_gateway_that_states_the_same_again_is_clean(morning):
    report = judged(morning, Frames.of(morning.clean).restate(morning.signer).data(), central=True)
    assert codes(report) == set()


def test_two_exports_of_one_moment_hold_the_same_but_for_what_is_drawn_anew(morning):
    assert morning.export() == morning.clean


def test_periods_that_follow_each_other_are_audited_together_in_any_order(morning):
    noon_s = FIRST_S + QUARTER_S
    first, second = morning.export(to_s=noon_s), morning.export(from_s=noon_s)
    report = judged(morning, second, first)
    assert codes(report) == set()
    assert (report.files, report.numbers, sum(report.records.values())) == (2, (1, 3), 20)


def test_a_period_alone_says_what_it_cannot_know(morning):
    report = judged(morning, morning.export(from_s=FIRST_S + QUARTER_S, to_s=FIRST_S + 2 * QUARTER_S))
    assert codes(report) == set()
    assert {"begins", "ends"} <= set(report.findings.counts)
    assert report.numbers == (2, 2)


def test_files_that_overlap_count_nothing_twice(morning):
    report = judged(morning, morning.export(to_s=FIRST_S + 2 * QUARTER_S), morning.clean)
    assert codes(report) == set()
    assert sum(report.records.values()) == 20


def test_a_device_that_contradicts_itself_is_named(lying):
    report = judged(lying, lying.clean)
    assert codes(report) == {"equivocation"}
    (found,) = [one for one in report.findings.kept() if one.code == "equivocation"]
    assert (found.device, found.first) == ("e-001", 5)


@pytest.mark.parametrize("at", [0, -1])
def test_a_key_that_was_certified_again_is_good_while_one_of_its_certificates_is_valid(morning, at):
    for valid_from_s in (MORNING_S - 7200, MORNING_S + 3 * 3600):
        report = judged(morning, with_certificate(morning, "e-001", valid_from_s, at))
        assert codes(report) == set(), "a certificate of later takes nothing from the one of then"


@pytest.mark.parametrize("at", [0, -1])
def test_a_key_that_is_revoked_is_so_under_all_its_certificates(morning, at):
    frames = Frames.of(with_certificate(morning, "e-003", MORNING_S - 7200, at))
    sign_with_a_revoked_key(morning, frames)
    report = judged(morning, frames.restate(morning.signer).data())
    assert "revoked" in codes(report)


# --- Tampering.


@pytest.mark.parametrize(
    ("tamper", "by", "expected", "where"), TAMPERING, ids=[f"{row[0].__name__}-{row[1]}" for row in TAMPERING]
)
def test_tampering_is_found_and_named(morning, tamper, by, expected, where):
    frames = Frames.of(morning.clean)
    handed = tamper(morning, frames)
    data = handed if handed is not None else (frames.restate(morning.signer) if by == GATEWAY else frames).data()
    assert data != morning.clean
    report = judged(morning, data, central=True)
    assert report.findings.status() == 1
    assert expected <= codes(report)
    named = [one for one in report.findings.kept() if one.code in expected]
    if where is not None:
        assert any(where in (one.device, one.first) for one in named)
    for code in expected:
        assert any(line.split(": ")[1].startswith(f"{code} (") for line in audit_report.lines(report) if ": " in line)


@pytest.mark.parametrize("by", [FILE, GATEWAY])
def test_a_contradiction_that_is_taken_out_is_missed(lying, by):
    frames = Frames.of(lying.clean)
    frames.drop(*frames.places(kinds.EQUIVOCATION))
    report = judged(lying, (frames.restate(lying.signer) if by == GATEWAY else frames).data())
    assert "equivocation_missing" in codes(report)
    assert "equivocation" not in codes(report)


def test_a_file_that_is_missing_between_two_is_named(morning):
    first, last = morning.export(to_s=FIRST_S + QUARTER_S), morning.export(from_s=FIRST_S + 2 * QUARTER_S)
    report = judged(morning, first, last)
    assert {"manifest_missing", "gap"} <= codes(report)
    (missing,) = [one for one in report.findings.kept() if one.code == "manifest_missing"]
    assert (missing.first, missing.last) == (2, 2)


def test_an_older_heartbeat_in_a_later_file_is_named(morning):
    noon_s = FIRST_S + 2 * QUARTER_S
    frames = Frames.of(morning.export(from_s=noon_s))
    put_an_older_heartbeat(morning, frames)
    report = judged(morning, morning.clean, frames.restate(morning.signer).data())
    assert "heartbeat_back" in codes(report)


def test_another_halls_root_vouches_for_nothing(morning):
    stranger = authority.make_root(HALL, morning.now).certificate_pem()
    report = judged(morning, morning.clean, root=stranger)
    assert {"certificate", "uncertified", "manifest_signature", "seal"} <= codes(report)
    assert report.records == {}


def test_a_tls_certificate_of_the_hall_certifies_no_record(morning):
    """What lets a device in at the broker is not what its signature is judged by."""
    frames = Frames.of(morning.clean)
    enrolment = authority.make_enrolment(HALL, morning.root, morning.now)
    login = authority.issue_client(HALL, "e-001", enrolment, morning.now)
    for one in (enrolment, login):
        frames.insert(1, [kinds.CERTIFICATE, [one.certificate_der()]])
    report = judged(morning, frames.data())
    assert report.findings.counts["certificate"] == 2


# --- What cannot be read, and what is shown.


@pytest.mark.parametrize("content", [b"", b"hallseal evidence 2\n", b"PK\3\4", kinds.MAGIC, kinds.MAGIC + b"\xff" * 99])
def test_a_file_that_is_no_export_is_refused(morning, content):
    with pytest.raises(BundleError):
        judged(morning, content)


def test_a_root_that_is_none_is_refused(morning):
    leaf = authority.issue_client(
        "yongxing", "x", authority.make_enrolment(HALL, morning.root, morning.now), morning.now
    )
    for pem in (b"", b"-----BEGIN", leaf.certificate_pem()):
        with pytest.raises(TrustError):
            judged(morning, morning.clean, root=pem)


def test_any_damage_to_any_byte_is_found_or_refused(morning):
    """Every byte of the file is covered by something."""
    step = max(1, len(morning.clean) // 150)
    for at in range(0, len(morning.clean), step):
        damaged = bytearray(morning.clean)
        damaged[at] ^= 0x10
        try:
            report = judged(morning, bytes(damaged))
        except BundleError:
            continue
        assert report.findings.status() == 1, at


def test_findings_of_one_kind_are_all_counted_and_some_shown():
    findings = Findings()
    for number in range(3 * KEPT_MAX):
        findings.add("gap", "e-001", "ab", number)
    assert len(findings.kept()) == KEPT_MAX
    assert findings.counts["gap"] == 3 * KEPT_MAX


def test_the_report_shows_no_identity_and_no_control_character(morning):
    frames = Frames.of(morning.clean)
    unmask_a_name(morning, frames)
    frames[0][1][0] = "\x1b[2J"
    report = judged(morning, frames.data())
    text = "\n".join(audit_report.lines(report)) + str(audit_report.as_json(report))
    assert "欧阳" not in text
    assert "\x1b" not in text


def test_the_reader_bounds_a_frame_before_it_reads_it(morning):
    claimed = kinds.MAGIC + b"\x5a\xff\xff\xff\xff" + b"x"
    with pytest.raises(BundleError, match="damaged at byte"):
        list(kinds.BundleReader(io.BytesIO(claimed)).frames())
