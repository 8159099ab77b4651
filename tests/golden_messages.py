"""One message of every kind from fixed keys and seeded randomness, with every intermediate value.

vectors/generate.py writes them down, test_protocol_golden.py makes them again and compares, on both interpreters.
A value is hex, but for names, numbers and {claim: hex}.
"""

import annotation_samples
import wire_samples
from sealed_pair import HALL, NAME, Pair, private_key
from suites import SeededRandom

from protocol import (
    annotation,
    channel,
    command,
    encrypt0,
    padding,
    receipt,
    record,
    release,
    sealed_record,
    sign1,
    topic,
)

# A second implementation starts from these. The random bytes of a message are named by its values: salts, nonce, iv.
KEYS = (
    ("record_private", "record"),
    ("command_private", "command"),
    ("device_agreement_private", "agreement of device"),
    ("gateway_agreement_private", "agreement of gateway"),
    ("release_1_private", "release 1"),
    ("release_2_private", "release 2"),
    ("release_3_private", "release 3"),
)

RATINGS = {
    "rating-walk-up": (wire_samples.rating_bare, (1,)),
    "rating-visit": (wire_samples.rating_full, (1, 2, 3)),
    "rating-timed-out": (wire_samples.rating_timed_out, (1,)),
}
RECORDS = {
    "punch": (record.PUNCH, wire_samples.punch_full),
    "event-stream-opened": (record.EVENT, wire_samples.event_opened),
    "heartbeat": (record.HEARTBEAT, wire_samples.heartbeat_full),
}
COMMANDS = {
    "command-evaluation-request": command.EVALUATION_REQUEST,
    "command-time-answer": command.TIME_ANSWER,
    "command-config": command.CONFIG,
    "command-evaluation-cancel": command.EVALUATION_CANCEL,
    "command-roster": command.ROSTER,
    "command-enrol": command.ENROL,
    "command-delete-finger": command.DELETE_FINGER,
    "command-decommission": command.DECOMMISSION,
    "command-update-notice": command.UPDATE_NOTICE,
    "command-update-chunk": command.UPDATE_CHUNK,
}
SEALED = sorted(list(RATINGS) + list(RECORDS) + list(COMMANDS) + ["receipt"])
RELEASE = "release"  # travels inside a command
# Stays in the gateway's ledger and goes to the central system.
ANNOTATIONS = {
    "annotation-not-adopted": annotation.NOT_ADOPTED,
    "annotation-adopted": annotation.ADOPTED,
    "annotation-time-estimate": annotation.TIME_ESTIMATE,
}
NAMES = sorted(list(RATINGS) + list(RECORDS) + list(COMMANDS) + list(ANNOTATIONS) + ["receipt", RELEASE])


def keys(suite):
    """The fixed keys, private and public, as hex."""
    found = {"hall": HALL, "device": NAME}
    for name, label in KEYS:
        raw = private_key(label)
        found[name] = raw.hex()
        found[name.replace("private", "public")] = suite.public_bytes(suite.load_private(raw)).hex()
    return found


def make(name, make_suite):
    """{name of a value: value} of the message called `name`, one of NAMES.

    make_suite: function (random function) -> suite.
    """
    suite = make_suite(SeededRandom("hallseal golden " + name))
    pair = Pair(suite)
    if name == "receipt":
        content = receipt.encode(wire_samples.a_receipt())
        message = receipt.seal(pair.gateway, wire_samples.a_receipt())
        return _sealed(pair, content, message, channel.GATEWAY)
    if name == RELEASE:
        return _release(suite)
    if name in ANNOTATIONS:
        return _annotation(pair, ANNOTATIONS[name])
    if name in COMMANDS:
        made = wire_samples.a_command(COMMANDS[name])
        message = command.seal(pair.gateway, pair.command_signer, made)
        inner = pair.command_signer.sign(sign1.COMMAND_TYP, command.encode(made))
        return _signed(inner, sign1.COMMAND_TYP, _sealed(pair, inner, message, channel.GATEWAY))
    made, disclosures = _record(name, suite)
    payload = record.encode(made)
    message = sealed_record.seal(pair.device, pair.signer, payload, disclosures)
    inner = pair.signer.sign(sign1.RECORD_TYP, payload, disclosures)
    values = _signed(inner, sign1.RECORD_TYP, _sealed(pair, inner, message, channel.DEVICE))
    values["digests"] = {str(claim): made.digests[claim].hex() for claim in made.digests}
    values["next_prev"] = record.payload_hash(suite, payload).hex()
    return values


def _annotation(pair, kind):
    """A statement by the command key; it travels as it is, over HTTPS."""
    payload = annotation.encode(annotation_samples.an_annotation(kind))
    statement = pair.command_signer.sign(annotation.TYP, payload)
    found = sign1.parse(statement, annotation.TYP)
    return {
        "payload": payload.hex(),
        "sign1_protected": found.protected.hex(),
        "signature_input": sign1.signature_input(found.protected, payload).hex(),
        "signature": found.signature.hex(),
        "message": statement.hex(),
        "next_prev": pair.gateway.suite.sha256(payload).hex(),
    }


def _release(suite):
    """A notice signed by two holders; it is sealed only as the claim of a command."""
    payload = release.encode(wire_samples.a_notice())
    holders = [suite.load_private(private_key(label)) for label in ("release 1", "release 3")]
    signatures = [release.sign(suite, private, payload) for private in holders]
    return {
        "payload": payload.hex(),
        "signature_inputs": [release.signature_input(one[0], payload).hex() for one in signatures],
        "signatures": [one[2].hex() for one in signatures],
        "message": release.assemble(payload, signatures).hex(),
    }


def big_roster(make_suite):
    """The message of a roster of 60 rows: more than one chunk of encryption."""
    pair = Pair(make_suite(SeededRandom("hallseal golden big roster")))
    rows = [wire_samples.roster_row(slot) for slot in range(1, 61)]
    made = wire_samples.a_command(command.ROSTER, {command.ROSTER_VERSION: 3, command.STAFF_ROWS: rows})
    return command.seal(pair.gateway, pair.command_signer, made)


def _record(name, suite):
    """(Record, disclosures) of a golden record."""
    if name in RATINGS:
        claims, disclosed = RATINGS[name]
        redactable = wire_samples.redactable()
        disclosures, digests = wire_samples.disclosed(suite, {claim: redactable[claim] for claim in disclosed})
        return wire_samples.a_record(record.RATING, claims(), digests), disclosures
    kind, claims = RECORDS[name]
    first = {"seq": 1, "prev": record.GENESIS_PREV} if name == "event-stream-opened" else {}
    return wire_samples.a_record(kind, claims(), **first), []


def _signed(inner, typ, values):
    """Adds the parts of a COSE_Sign1."""
    signed = sign1.parse(inner, typ)
    values["payload"] = signed.payload.hex()
    values["sign1_protected"] = signed.protected.hex()
    values["signature_input"] = sign1.signature_input(signed.protected, signed.payload).hex()
    values["signature"] = signed.signature.hex()
    values["disclosures"] = [one.hex() for one in signed.disclosures]
    values["evidence"] = signed.evidence().hex()
    return values


def _sealed(pair, content, message, side):
    """The values of a COSE_Encrypt0, the key derived step by step."""
    suite = pair.suite
    envelope = encrypt0.parse(message)
    gateway = HALL + "/gateway"
    names = (NAME, gateway) if side == channel.DEVICE else (gateway, NAME)
    on_topic = topic.up(HALL, NAME) if side == channel.DEVICE else topic.down(HALL, NAME)
    secret = suite.agree(
        suite.load_private(private_key("agreement of device")),
        suite.load_public(suite.public_bytes(suite.load_private(private_key("agreement of gateway")))),
    )
    context = channel.kdf_context(names[0], names[1], envelope.context[1:], on_topic)
    key = suite.hkdf(secret, b"", context, 32)
    aad = encrypt0.encryption_input(envelope.protected, on_topic.encode())
    padded = padding.pad(content)
    if suite.ccm_seal(key, envelope.iv, aad, padded) != envelope.ciphertext:
        raise ValueError("the message was sealed otherwise")
    return {
        "topic": on_topic,
        "content": content.hex(),
        "padded_bytes": len(padded),
        "shared_secret": secret.hex(),
        "nonce": envelope.context[1:].hex(),
        "kdf_context": context.hex(),
        "key": key.hex(),
        "iv": envelope.iv.hex(),
        "encrypt0_protected": envelope.protected.hex(),
        "aad": aad.hex(),
        "message": message.hex(),
    }
