"""The audit of exports: a clean morning is clean, and whatever is done to one is found and named."""

import io

import pytest
from evidence_morning import FIRST_S, QUARTER_S, EvidenceMorning, Frames
from sealing_device import HALL, MORNING_S, SUITE

from gateway import audit, audit_report
from gateway import bundle_file as kinds
from gateway.bundle_file import BundleError
from gateway.findings import KEPT_MAX, KINDS, NOTE, Findings
from gateway.trust import TrustError
from protocol import event, manifest, rating, record, sign1
from provisioning import authority, evidence_authority

STRANGER = sign1.Signer(SUITE, SUITE.generate_private())


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


def signer(morning, name):
    return morning.hall.devices[name].signer


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


# --- Tampering. Each takes an export apart and returns the frames, or the bytes, that the culprit hands over.


def drop_a_bad_rating(morning, frames):
    frames.drop(frames.records("e-001", level=1)[0])


def drop_a_head(morning, frames):
    frames.drop(*frames.records("e-001")[:2])


def drop_a_tail(morning, frames):
    tail = frames.places(kinds.MANIFEST)[-1]
    frames.drop(*[at for at in (tail, *frames.places(kinds.RECORD)) if at >= tail])


def change_a_level(morning, frames):
    at = frames.records("e-001", level=1)[0]
    evidence = frames[at][1][0]
    claims = bytes([rating.LEVEL, 1])
    assert evidence.count(claims + bytes([rating.MODE])) == 1
    frames[at][1][0] = evidence.replace(claims + bytes([rating.MODE]), bytes([rating.LEVEL, 5, rating.MODE]))


def move_to_another_hall(morning, frames):
    frames.re_sign(frames.records("e-001", level=4)[0], signer(morning, "e-001"), hall="elsewhere")


def move_to_another_device(morning, frames):
    frames.re_sign(frames.records("e-001", level=4)[0], signer(morning, "e-001"), device="e-002")


def exchange_two_records(morning, frames):
    one, other = frames.records("e-001", level=1)[0], frames.records("e-002", level=1)[0]
    frames[one], frames[other] = frames[other], frames[one]


def sign_with_a_revoked_key(morning, frames):
    at = frames.records("e-002")[-1]
    frames.insert(at + 1, [kinds.RECORD, [*frames[at][1]]])
    frames.re_sign(at + 1, signer(morning, "e-003"), device="e-003", stream=bytes(8), seq=1, prev=bytes(16))


def sign_with_another_devices_key(morning, frames):
    at = frames.records("e-001", level=1)[0]
    frames.re_sign(at, signer(morning, "e-002"), claims={**frames.content(at).claims, rating.LEVEL: 5})


def sign_with_a_key_of_nobody(morning, frames):
    at = frames.records("e-001", level=1)[0]
    frames.re_sign(at, STRANGER, claims={**frames.content(at).claims, rating.LEVEL: 5})


def invent_a_device(morning, frames):
    at = frames.records("e-002")[-1]
    frames.insert(at + 1, [kinds.RECORD, [*frames[at][1]]])
    frames.re_sign(at + 1, STRANGER, device="e-777", stream=bytes(8), seq=1, prev=bytes(16))


def certify_a_device_oneself(morning, frames):
    invent_a_device(morning, frames)
    own = evidence_authority.make(HALL, authority.make_root(HALL, morning.now), morning.now)
    ghost = evidence_authority.certify_device(HALL, "e-777", "evaluator", STRANGER.public_key, own, morning.now)
    for certificate in (own.certificate, ghost):
        frames.insert(1, [kinds.CERTIFICATE, [authority.Certified(certificate, own.key).certificate_der()]])


def let_the_gateway_speak_for_a_device(morning, frames):
    at = frames.records("e-001", level=1)[0]
    frames.re_sign(at, morning.signer, claims={**frames.content(at).claims, rating.LEVEL: 5})


def reorder(morning, frames):
    one, other = frames.records("e-001", level=5)[:2]
    frames[one], frames[other] = frames[other], frames[one]


def duplicate(morning, frames):
    at = frames.records("e-001", level=5)[0]
    frames.insert(at, [kinds.RECORD, list(frames[at][1])])


def duplicate_in_another_manifest(morning, frames):
    at = frames.records("e-001", level=5)[0]
    later = frames.places(kinds.MANIFEST)[1]
    frames.insert(later + 1, [kinds.RECORD, list(frames[at][1])])


def invent_five_stars(morning, frames):
    """The gateway's operator appends one behind the last record of a window."""
    at = frames.records("e-001")[-1]
    frames.insert(at + 1, [kinds.RECORD, [*frames[at][1]]])
    prev = record.payload_hash(SUITE, sign1.parse(frames[at][1][0], sign1.RECORD_TYP).payload)
    content = frames.content(at)
    frames.re_sign(at + 1, morning.signer, seq=content.seq + 1, prev=prev, claims={**content.claims, rating.LEVEL: 5})


def forget_presses(morning, frames):
    """A device whose button counters know nothing of the ratings that it sends."""
    at = frames.beats("e-001")[0]
    claims = frames.content(at).claims
    frames.re_sign(at, signer(morning, "e-001"), claims={**claims, 4: [0, 0, 0, 0, 0]})


def drop_a_manifest_with_its_records(morning, frames):
    first, second = frames.places(kinds.MANIFEST)[1:3]
    frames.drop(*range(first, second))


def drop_a_manifest_alone(morning, frames):
    frames.drop(frames.places(kinds.MANIFEST)[1])


def drop_the_first_manifest(morning, frames):
    first, second = frames.places(kinds.MANIFEST)[:2]
    frames.drop(*range(first, second))


def drop_the_last_manifests(morning, frames):
    """With the tail behind it, so that the file simply seems to end there."""
    first = frames.places(kinds.MANIFEST)[2]
    frames.drop(*range(first, len(frames) - 1))


def sign_a_manifest_with_another_key(morning, frames):
    at = frames.places(kinds.MANIFEST)[1]
    payload = sign1.parse(frames[at][1][0], manifest.MANIFEST_TYP).payload
    frames[at][1][0] = STRANGER.sign(manifest.MANIFEST_TYP, payload)


def restated(morning, frames, at, key, **changes):
    """One manifest with other content, signed by `key`; the next ones are left as they are."""
    content = manifest.decode(sign1.parse(frames[at][1][0], manifest.MANIFEST_TYP).payload)
    for name, value in changes.items():
        setattr(content, name, value)
    frames[at][1][0] = key.sign(manifest.MANIFEST_TYP, manifest.encode(content))


def hide_refusals(morning, frames):
    at = frames.places(kinds.MANIFEST)[0]
    evidence = frames[at][1][0]
    assert evidence.count(b"structure\1") == 1
    frames[at][1][0] = evidence.replace(b"structure\1", b"structure\2")


def hide_refusals_with_the_gateways_key(morning, frames):
    restated(morning, frames, frames.places(kinds.MANIFEST)[0], morning.signer, refusals=[])


def drop_a_device(morning, frames):
    frames.drop(*frames.records("c-001"), *frames.beats("c-001"))


def drop_a_device_with_its_certificate(morning, frames):
    drop_a_device(morning, frames)
    drop_a_certificate(morning, frames, "c-001")


def drop_a_certificate(morning, frames, name="e-002"):
    der = authority.Certified(morning.certificates[name], morning.root.key).certificate_der()
    frames.drop(*[at for at in frames.places(kinds.CERTIFICATE) if frames[at][1] == [der]])


def drop_a_heartbeat(morning, frames):
    frames.drop(*frames.beats("e-001"))


def drop_a_stream(morning, frames):
    """The first one of a device that began again."""
    streams = list(dict.fromkeys(frames.content(at).stream for at in frames.records("e-002")))
    older = next(one for one in streams if len(frames.records("e-002", stream=one)) > 3)
    frames.drop(*frames.records("e-002", stream=older))


def deny_the_stream_before(morning, frames):
    (at,) = [at for at in frames.records("e-002", kind=record.EVENT) if len(frames.content(at).claims) > 1]
    frames.re_sign(at, signer(morning, "e-002"), claims={event.CODE: event.STREAM_OPENED})


def put_an_older_heartbeat(morning, frames):
    frames[frames.beats("e-001")[0]][1] = list(morning.old_beat)


def rewrite_the_newest_record(morning, frames):
    """The thief of a device's key makes its last rating a better one."""
    at = frames.records("e-001")[-1]
    frames.re_sign(at, signer(morning, "e-001"), claims={**frames.content(at).claims, rating.LEVEL: 5})


def rewrite_a_record_in_the_middle(morning, frames):
    at = frames.records("e-001", level=1)[0]
    frames.re_sign(at, signer(morning, "e-001"), claims={**frames.content(at).claims, rating.LEVEL: 5})


def let_an_evaluator_punch(morning, frames):
    """A record of a kind that this device does not make, in the place of one of its own."""
    at = frames.records("e-002", level=4)[0]
    claims = frames.content(frames.records("c-001", kind=record.PUNCH)[0]).claims
    frames.re_sign(at, signer(morning, "e-002"), kind=record.PUNCH, claims=claims, uptime_ms=1000, digests={})
    frames[at][1][3:] = [None, None]


def drop_an_annotation(morning, frames):
    frames.drop(frames.places(kinds.ANNOTATION)[0])


def annotate_with_the_key_for_manifests(morning, frames):
    at = frames.places(kinds.ANNOTATION)[1]
    frames[at][1][0] = morning.signer.sign("hs-ann", sign1.parse(frames[at][1][0], "hs-ann").payload)


def annotate_oneself(morning, frames):
    at = frames.places(kinds.ANNOTATION)[1]
    frames[at][1][0] = STRANGER.sign("hs-ann", sign1.parse(frames[at][1][0], "hs-ann").payload)


def identified(frames):
    return [at for at in frames.places(kinds.RECORD) if frames[at][1][3] is not None]


def unmask_a_name(morning, frames):
    at = identified(frames)[0]
    frames[at][1][3] = [[key, "欧阳娜娜" if key == "name" else text] for key, text in frames[at][1][3]]


def mask_another_name(morning, frames):
    at = identified(frames)[0]
    frames[at][1][3] = [[key, "王**" if key == "name" else text] for key, text in frames[at][1][3]]


def invent_a_reviewer(morning, frames):
    at = frames.records("e-001", level=5)[0]
    frames[at][1][3] = [["name", "王**"]]


def exchange_sealed_parts(morning, frames):
    one, other = frames.records("e-001", level=5)[:2]
    frames[one][1][4], frames[other][1][4] = frames[other][1][4], frames[one][1][4]


def drop_a_sealed_part(morning, frames):
    frames[identified(frames)[0]][1][4] = None


def change_flags(morning, frames):
    frames[frames.records("e-001", level=1)[0]][1][2] = ["quick"]


def change_the_time_of_arrival(morning, frames):
    frames[frames.records("e-001", level=1)[0]][1][1] += QUARTER_S


def before_the_certificate(morning, frames):
    frames[frames.records("e-001", level=1)[0]][1][1] = MORNING_S - 30 * 86400


def forget_a_revocation(morning, frames):
    empty = evidence_authority.revocations({}, morning.authority, morning.now)
    der = empty.public_bytes(authority.Encoding.DER)
    for at in frames.places(kinds.REGISTER):
        frames[at][1][1] = der
    sign_with_a_revoked_key(morning, frames)


def revoke_oneself(morning, frames):
    root = authority.make_root(HALL, morning.now)
    own = evidence_authority.make(HALL, root, morning.now)
    der = evidence_authority.revocations({}, own, morning.now).public_bytes(authority.Encoding.DER)
    frames[frames.places(kinds.REGISTER)[0]][1][1] = der


def cut_the_file(morning, frames):
    return morning.clean[: len(morning.clean) * 2 // 3]


def cut_the_seal(morning, frames):
    frames.pop()


def add_behind_the_seal(morning, frames):
    frames.append([kinds.RECORD, list(frames[frames.records("e-001")[0]][1])])


def seal_with_another_key(morning, frames):
    frames.drop(frames.records("e-001")[-1])
    frames.reseal(STRANGER, (3, bytes(32)))


def damage_a_length(morning, frames):
    first = frames.data()
    at = len(kinds.MAGIC) + len(first) // 2
    return first[:at] + b"\xff" * 40 + first[at + 40 :]


def swap_two_exports(morning, frames):
    """Another hall's morning under this hall's root."""
    frames[0][1][0] = "elsewhere"


FILE, GATEWAY = "file", "gateway"  # whether the culprit has the file only, or the gateway's key too
TAMPERING = [
    # what is done, by whom, what the audit must name, and with which device or manifest number
    (drop_a_bad_rating, FILE, {"withheld", "gap", "changed"}, "e-001"),
    (drop_a_bad_rating, GATEWAY, {"gap"}, "e-001"),
    (drop_a_head, GATEWAY, {"gap"}, "e-001"),
    (drop_a_tail, FILE, {"hidden_tail", "changed"}, "e-001"),
    (drop_a_tail, GATEWAY, {"hidden_tail"}, "e-001"),
    (change_a_level, FILE, {"signature", "root", "changed"}, "e-001"),
    (change_a_level, GATEWAY, {"signature"}, "e-001"),
    (move_to_another_hall, FILE, {"hall", "root"}, "e-001"),
    (move_to_another_hall, GATEWAY, {"hall"}, "e-001"),
    (swap_two_exports, FILE, {"hall", "changed"}, None),
    (move_to_another_device, GATEWAY, {"key", "gap"}, "e-002"),
    (exchange_two_records, FILE, {"order"}, "e-001"),
    (sign_with_a_revoked_key, GATEWAY, {"revoked"}, "e-003"),
    (sign_with_another_devices_key, GATEWAY, {"key"}, "e-001"),
    (sign_with_a_key_of_nobody, GATEWAY, {"key"}, "e-001"),
    (invent_a_device, GATEWAY, {"uncertified"}, "e-777"),
    (certify_a_device_oneself, GATEWAY, {"certificate", "uncertified"}, "e-777"),
    (let_the_gateway_speak_for_a_device, GATEWAY, {"key"}, "e-001"),
    (let_an_evaluator_punch, GATEWAY, {"kind"}, "e-002"),
    (reorder, FILE, {"order", "changed"}, "e-001"),
    (duplicate, FILE, {"duplicate", "changed"}, "e-001"),
    (duplicate_in_another_manifest, FILE, {"duplicate", "unstated"}, "e-001"),
    (duplicate_in_another_manifest, GATEWAY, {"duplicate"}, "e-001"),
    (invent_five_stars, FILE, {"key", "unstated"}, "e-001"),
    (invent_five_stars, GATEWAY, {"key"}, "e-001"),
    (forget_presses, GATEWAY, {"presses"}, "e-001"),
    (drop_a_manifest_with_its_records, FILE, {"manifest_missing", "gap"}, 2),
    (drop_a_manifest_with_its_records, GATEWAY, {"gap"}, "e-001"),
    (drop_a_manifest_alone, FILE, {"manifest_missing", "unstated"}, 2),
    (drop_the_first_manifest, FILE, {"manifest_missing", "gap"}, 1),
    (drop_the_last_manifests, FILE, {"manifest_missing", "hidden_tail"}, 3),
    (sign_a_manifest_with_another_key, FILE, {"manifest_signature"}, 2),
    (hide_refusals, FILE, {"manifest_signature"}, 1),
    (hide_refusals_with_the_gateways_key, FILE, {"manifest_chain", "changed"}, 2),
    (drop_a_device, FILE, {"withheld", "silent"}, "c-001"),
    (drop_a_device, GATEWAY, {"silent"}, "c-001"),
    (drop_a_device_with_its_certificate, GATEWAY, {"register"}, None),
    (drop_a_certificate, FILE, {"register", "uncertified"}, "e-002"),
    (drop_a_heartbeat, FILE, {"heartbeat_missing", "changed"}, "e-001"),
    (drop_a_heartbeat, GATEWAY, {"heartbeat_missing"}, "e-001"),
    (put_an_older_heartbeat, FILE, {"changed"}, None),
    (drop_a_stream, GATEWAY, {"stream_missing"}, "e-002"),
    (deny_the_stream_before, GATEWAY, {"unlinked", "chain"}, "e-002"),
    (rewrite_the_newest_record, GATEWAY, {"head"}, "e-001"),
    (rewrite_a_record_in_the_middle, FILE, {"root", "chain"}, "e-001"),
    (rewrite_a_record_in_the_middle, GATEWAY, {"chain"}, "e-001"),
    (drop_an_annotation, FILE, {"annotation", "changed"}, "e-001"),
    (drop_an_annotation, GATEWAY, {"annotation"}, "e-001"),
    (annotate_oneself, FILE, {"annotation", "changed"}, "e-001"),
    (annotate_with_the_key_for_manifests, GATEWAY, {"annotation"}, "e-001"),
    (rewrite_a_record_in_the_middle, GATEWAY, {"annotation"}, "e-001"),
    (unmask_a_name, FILE, {"mask", "words"}, "e-001"),
    (unmask_a_name, GATEWAY, {"mask"}, "e-001"),
    (mask_another_name, FILE, {"words", "mask_differs"}, "e-001"),
    (mask_another_name, GATEWAY, {"mask_differs"}, "e-001"),
    (invent_a_reviewer, GATEWAY, {"mask"}, "e-001"),
    (exchange_sealed_parts, FILE, {"words", "sealed"}, "e-001"),
    (exchange_sealed_parts, GATEWAY, {"sealed"}, "e-001"),
    (drop_a_sealed_part, GATEWAY, {"sealed_missing"}, "e-001"),
    (change_flags, FILE, {"words", "changed"}, 1),
    (change_the_time_of_arrival, FILE, {"words", "changed"}, 1),
    (before_the_certificate, GATEWAY, {"validity"}, "e-001"),
    (forget_a_revocation, FILE, {"register", "unstated"}, "e-003"),
    (revoke_oneself, FILE, {"certificate", "register"}, None),
    (cut_the_file, FILE, {"truncated"}, None),
    (cut_the_seal, FILE, {"truncated"}, None),
    (add_behind_the_seal, FILE, {"order"}, None),
    (seal_with_another_key, FILE, {"seal"}, None),
    (damage_a_length, FILE, {"damaged"}, None),
]


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
