"""An implementation of COSE that is not ours opens our messages and makes its own: pycose, with cbor2 and ecdsa.

Runs in the environment .venv-interop, where nothing of ours is installed. Reads one JSON object from standard input,
writes one to standard output; bytes are hex. Tasks: `open`, `make` and `release`, see the functions below.
"""

import json
import sys

import cbor2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pycose.algorithms import AESCCM16128256, CoseAlgorithm, Es256
from pycose.headers import IV, KID, Algorithm, KIDContext
from pycose.keys import EC2Key, SymmetricKey
from pycose.keys.curves import P256
from pycose.messages import CoseMessage, Enc0Message, Sign1Message, SignMessage
from pycose.messages.context import CoseKDFContext, PartyInfo, SuppPubInfo

TYPE, DISCLOSURES = 16, 17
EPOCH = 1
BUCKETS = (328, 560, 1024, 2048, 3840)


@CoseAlgorithm.register_attribute()
class Esp256(Es256):
    """RFC 9864, younger than pycose: ES256 on P-256 and nothing else."""

    identifier = -9
    fullname = "ESP256"


class EcdhSs:
    """-27, as the recipient's header has it."""

    identifier = -27


def _key(task: dict, nonce: bytes) -> bytes:
    """The content key: agreement, context and derivation without a line of ours."""
    private = ec.derive_private_key(int(task["agreement_private"], 16), ec.SECP256R1())
    public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), bytes.fromhex(task["agreement_public"]))
    context = CoseKDFContext(
        AESCCM16128256,
        SuppPubInfo(32, {1: EcdhSs.identifier}, task["topic"].encode()),
        PartyInfo(task["sender"].encode(), nonce),
        PartyInfo(task["receiver"].encode()),
    )
    return HKDF(hashes.SHA256(), 32, None, context.encode()).derive(private.exchange(ec.ECDH(), public))


def _signing_key(task: dict) -> EC2Key:
    """With the private scalar where the task has one."""
    point = bytes.fromhex(task["signing_public"])
    scalar = bytes.fromhex(task.get("signing_private", ""))
    return EC2Key(crv=P256, x=point[1:33], y=point[33:], d=scalar)


def _unpad(plain: bytes) -> bytes:
    assert len(plain) in BUCKETS and plain.rstrip(b"\0")[-1] == 0x80
    return plain.rstrip(b"\0")[:-1]


def _pad(content: bytes) -> bytes:
    size = min(bucket for bucket in BUCKETS if len(content) < bucket)
    return content + b"\x80" + bytes(size - len(content) - 1)


def open_message(task: dict) -> dict:
    """message, keys, names, topic -> content, device, typ; of signed content also payload, disclosures, verified."""
    outer = CoseMessage.decode(bytes.fromhex(task["message"]))
    assert isinstance(outer, Enc0Message) and outer.phdr[Algorithm] is AESCCM16128256
    context = outer.phdr[KIDContext]
    outer.key = SymmetricKey(_key(task, context[1:]))
    outer.external_aad = task["topic"].encode()
    content = _unpad(outer.decrypt())
    found = {"device": outer.phdr[KID].decode(), "typ": outer.phdr[TYPE], "content": content.hex()}
    if content[0] == 0xD2:
        inner = CoseMessage.decode(content)
        assert isinstance(inner, Sign1Message) and inner.phdr[Algorithm] is Esp256
        inner.key = _signing_key(task)
        disclosures = inner.uhdr.get(DISCLOSURES, [])
        found["verified"] = bool(inner.verify_signature())
        found["payload"] = inner.payload.hex()
        found["inner_typ"] = inner.phdr[TYPE]
        found["disclosures"] = [one.hex() for one in disclosures]
        found["digests"] = [_digest(one) for one in disclosures]
    return found


def _digest(disclosure: bytes) -> str:
    hashing = hashes.Hash(hashes.SHA256())
    hashing.update(cbor2.dumps(disclosure))
    return hashing.finalize().hex()


def make_message(task: dict) -> dict:
    """The other way: payload (with kid, typ, disclosures) or content, nonce and iv -> message."""
    if "payload" in task:
        header = {Algorithm: Esp256, KID: bytes.fromhex(task["kid"]), TYPE: task["typ"]}
        disclosures = [bytes.fromhex(one) for one in task["disclosures"]]
        inner = Sign1Message(header, {DISCLOSURES: disclosures} if disclosures else {}, bytes.fromhex(task["payload"]))
        inner.key = _signing_key(task)
        content = inner.encode()
    else:
        content = bytes.fromhex(task["content"])
    nonce = bytes.fromhex(task["nonce"])
    header = {
        Algorithm: AESCCM16128256,
        KID: task["device"].encode(),
        KIDContext: bytes((EPOCH,)) + nonce,
        TYPE: task["typ"],
    }
    outer = Enc0Message(header, {IV: bytes.fromhex(task["iv"])}, _pad(content), task["topic"].encode())
    outer.key = SymmetricKey(_key(task, nonce))
    return {"message": outer.encode().hex()}


def verify_release(task: dict) -> dict:
    """message, publics (a key for each signature) -> payload, verified (of each)."""
    notice = CoseMessage.decode(bytes.fromhex(task["message"]))
    assert isinstance(notice, SignMessage) and notice.phdr[TYPE] == "hs-rel"
    verified = []
    for signer, public in zip(notice.signers, task["publics"], strict=True):
        assert signer.phdr[Algorithm] is Esp256
        signer.key = _signing_key({"signing_public": public})
        verified.append(bool(signer.verify_signature()))
    return {"payload": notice.payload.hex(), "verified": verified}


TASKS = {"open": open_message, "make": make_message, "release": verify_release}


def judge(task: dict) -> dict:
    """The result of a task, or {"refused": name of the exception}."""
    try:
        return TASKS[task["do"]](task)
    except Exception as error:
        return {"refused": type(error).__name__}


if __name__ == "__main__":
    tasks = json.load(sys.stdin)
    json.dump([judge(task) for task in tasks], sys.stdout)
