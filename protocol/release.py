"""Release notices: COSE_Sign (RFC 9052 4.1) by holders of a hall's release keys. Only these may replace a program.

Two of the three release keys sign the same payload, each on its own; no single holder and no server can let a program
in. The algorithm is pinned as everywhere (sign1.ESP256). A notice names one bundle of one kind of device by size and
digest, and a sequence number that a device never goes below.
"""

from protocol import cbor, field
from protocol.limits import MESSAGE_BYTES_MAX, PUBLIC_KEY_BYTES, SIGNATURE_BYTES
from protocol.refusal import Refused
from protocol.sign1 import ALG, ESP256, KID, TYP, kid

TAG = b"\xd8\x62"  # tag 98
RELEASE_TYP = "hs-rel"
# Three holders, so that one may be ill or lose the key; two, so that none can do it alone.
KEYS, THRESHOLD = 3, 2
# A program of 160 KiB with room to grow; two of them and the bundle on its way fit a file system of 2 MiB.
BUNDLE_BYTES_MAX = 262144
# How a bundle begins, how many files it has (twice what a device needs), and how long their table is, which a device
# reads at once.
BUNDLE_MAGIC = b"hallseal bundle 1\n"
BUNDLE_FILES_MAX = 128
BUNDLE_TABLE_BYTES_MAX = MESSAGE_BYTES_MAX

CLASS, SEQUENCE, VERSION, EXPIRES, SIZE, DIGEST = 1, 2, 3, 4, 5, 6
ROWS = field.table("""
    1 class      text  1         16 required
    2 sequence   int   1 4294967295 required
    3 version    text  1         16 required
    4 expires_s  int   1 4294967295 required
    5 size_bytes int   1     262144 required
    6 digest     bytes 32        32 required
""")


class Notice:
    """What a notice says, attributes as in ROWS (class is device_class: the kind of device)."""

    def __init__(
        self, device_class: str, sequence: int, version: str, expires_s: int, size_bytes: int, digest: bytes
    ) -> None:
        self.device_class = device_class
        self.sequence = sequence
        self.version = version
        self.expires_s = expires_s
        self.size_bytes = size_bytes
        self.digest = digest


def split_keys(content: bytes) -> list[bytes]:
    """The public keys in a file of all KEYS of them, raw, one behind the other. Raises Refused("key")."""
    keys = [content[at : at + PUBLIC_KEY_BYTES] for at in range(0, len(content), PUBLIC_KEY_BYTES)]
    if len(content) != KEYS * PUBLIC_KEY_BYTES or len(set(keys)) != KEYS:
        raise Refused("key", "release")
    return keys


def encode(notice: Notice) -> bytes:
    """The payload that holders sign. Raises Refused("schema") for a notice that no device would take."""
    fields: dict[int, object] = {
        CLASS: notice.device_class,
        SEQUENCE: notice.sequence,
        VERSION: notice.version,
        EXPIRES: notice.expires_s,
        SIZE: notice.size_bytes,
        DIGEST: notice.digest,
    }
    field.check(ROWS, fields)
    return cbor.encode(fields)


def decode(payload: bytes) -> Notice:
    """The notice in a payload. Raises Refused (encoding, structure, schema)."""
    fields = cbor.decode_map(payload)
    field.check(ROWS, fields)
    return Notice(*[fields[key] for key in range(CLASS, DIGEST + 1)])  # type: ignore[arg-type]  # the rows looked


def signature_input(signer: bytes, payload: bytes) -> bytes:
    """Sig_structure (RFC 9052 4.4) of one signer. signer: its protected header."""
    return cbor.encode(["Signature", cbor.encode({TYP: RELEASE_TYP}), signer, b"", payload])


def sign(suite: object, private: object, payload: bytes) -> list[object]:
    """One holder's COSE_Signature of a payload: [protected, unprotected, signature]. private: key object."""
    key_id = kid(suite, suite.public_bytes(private))  # type: ignore[attr-defined]
    signer = cbor.encode({ALG: ESP256, KID: key_id})
    return [signer, {}, suite.sign(private, signature_input(signer, payload))]  # type: ignore[attr-defined]


def assemble(payload: bytes, signatures: list[object]) -> bytes:
    """The notice with what its holders made by sign(): 1 to KEYS of them."""
    return cbor.encode([cbor.encode({TYP: RELEASE_TYP}), {}, payload, signatures], TAG)


def parse(data: bytes) -> tuple[bytes, list[object]]:
    """(payload, signatures) of an assembled notice; nothing is verified yet. Raises Refused."""
    if data[:2] != TAG:
        raise Refused("structure", "tag")
    protected, unprotected, payload, signatures = cbor.decode_list(data[2:], 4)
    if protected != cbor.encode({TYP: RELEASE_TYP}) or unprotected != {}:
        raise Refused("type", "sign")
    if not isinstance(payload, bytes) or not isinstance(signatures, list) or not 1 <= len(signatures) <= KEYS:
        raise Refused("structure", "sign")
    return payload, signatures


def _signer(suite: object, publics: list[bytes], payload: bytes, one: object) -> bytes:
    """The key of `publics` that made this signature. Raises Refused("structure"), Refused("signature")."""
    if not isinstance(one, list) or len(one) != 3 or one[1] != {} or not isinstance(one[0], bytes):
        raise Refused("structure", "signer")
    signer, _, signature = one
    for public in publics:
        if signer == cbor.encode({ALG: ESP256, KID: kid(suite, public)}) and isinstance(signature, bytes):
            key = suite.load_public(public)  # type: ignore[attr-defined]
            message = signature_input(signer, payload)
            if len(signature) == SIGNATURE_BYTES and suite.verify(key, message, signature):  # type: ignore[attr-defined]
                return public
    raise Refused("signature", "release")


def signers(suite: object, publics: list[bytes], payload: bytes, signatures: list[object]) -> list[bytes]:
    """Those of `publics` who made these signatures, each once, however few. Raises Refused as open() does."""
    found: list[bytes] = []
    for one in signatures:
        signer = _signer(suite, publics, payload, one)
        if signer not in found:
            found.append(signer)
    return found


def open(suite: object, publics: list[bytes], data: bytes) -> Notice:
    """The notice, signed by THRESHOLD different keys of `publics` (65 bytes each).

    Raises Refused: "signature" with detail "release" where one does not verify or is nobody's, with detail "threshold"
    where there are too few; structure, type, encoding, schema.
    """
    payload, signatures = parse(data)
    if len(signers(suite, publics, payload, signatures)) < THRESHOLD:
        raise Refused("signature", "threshold")
    return decode(payload)
