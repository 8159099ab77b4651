"""What may be done to an export, row by row: by whom, and what an audit must say of it.

A function takes the frames of a clean morning apart and changes them, or returns the bytes to be handed over. The
culprit has the file only (FILE), or the gateway's key as well (GATEWAY), and then states and seals everything anew.
"""

from evidence_morning import QUARTER_S
from sealing_device import HALL, MORNING_S, SUITE

from gateway import bundle_file as kinds
from protocol import event, manifest, rating, record, sign1
from provisioning import authority, evidence_authority

STRANGER = sign1.Signer(SUITE, SUITE.generate_private())


def signer(morning, name):
    return morning.hall.devices[name].signer


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


def claim_a_removal(morning, frames):
    """A bad rating of this morning is gone, and retention is said to have taken it today."""
    at = frames.records("e-001", level=1)[0]
    content = frames.content(at)
    line = ["ratings", "e-001", content.stream, content.seq, content.seq, 1, MORNING_S // 86400]
    frames.drop(at)
    frames.insert(frames.places(kinds.MANIFEST)[0], [kinds.REMOVAL, line])


def claim_a_removal_to_come(morning, frames):
    """The same, with a date far ahead, so that it would have been old enough."""
    claim_a_removal(morning, frames)
    frames[frames.places(kinds.REMOVAL)[0]][1][6] += 4000


def claim_a_removal_long_ago(morning, frames):
    """The same, before the rating was made."""
    claim_a_removal(morning, frames)
    frames[frames.places(kinds.REMOVAL)[0]][1][6] -= 4000


def claim_that_an_identity_went(morning, frames):
    """Only a line, which would keep an audit from comparing what the gateway said of the records of that manifest."""
    at = frames.records("e-001", level=1)[0]
    content = frames.content(at)
    for kind in ("masked", "sealed"):
        line = [kind, "e-001", content.stream, content.seq, content.seq, 1, MORNING_S // 86400]
        frames.insert(frames.places(kinds.MANIFEST)[0], [kinds.REMOVAL, line])
    change_flags(morning, frames)


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


def damage_the_version_of_a_certificate(morning, frames):
    at = frames.places(kinds.CERTIFICATE)[-1]
    version_3 = bytes.fromhex("a003020102")
    assert frames[at][1][0].count(version_3) == 1
    frames[at][1][0] = frames[at][1][0].replace(version_3, bytes.fromhex("a003020112"))


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
    at = len(type(frames)(frames[: len(frames) // 2]).data())  # where a frame begins
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
    (claim_a_removal, FILE, {"withheld", "changed"}, "e-001"),
    (claim_a_removal, GATEWAY, {"gap"}, "e-001"),
    (claim_a_removal_to_come, FILE, {"removal", "withheld", "changed"}, "e-001"),
    (claim_a_removal_to_come, GATEWAY, {"removal", "gap"}, "e-001"),
    (claim_a_removal_long_ago, FILE, {"withheld", "changed"}, "e-001"),
    (claim_a_removal_long_ago, GATEWAY, {"gap"}, "e-001"),
    (claim_that_an_identity_went, FILE, {"words", "changed"}, 1),
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
    (damage_the_version_of_a_certificate, FILE, {"certificate", "changed"}, None),
    (forget_a_revocation, FILE, {"register", "unstated"}, "e-003"),
    (revoke_oneself, FILE, {"certificate", "register"}, None),
    (cut_the_file, FILE, {"truncated"}, None),
    (cut_the_seal, FILE, {"truncated"}, None),
    (add_behind_the_seal, FILE, {"order"}, None),
    (seal_with_another_key, FILE, {"seal"}, None),
    (damage_a_length, FILE, {"damaged"}, None),
]
