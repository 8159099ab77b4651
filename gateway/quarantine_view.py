"""What may be shown of a message in quarantine: its outside, never what is sealed in it. Pure."""

from typing import NamedTuple

from gateway import rules
from gateway.quarantine import Kept
from protocol import cbor, encrypt0, topic
from protocol.refusal import Refused


class Structure(NamedTuple):
    """The clear header as far as it is one of ours; None for what is missing, or stands there and is not ours.

    Nobody has signed it: it is what the sender claims.
    """

    device: str | None  # of the key id
    algorithm: int | None  # COSE; 31 is the only right one
    epoch: int | None  # of the gateway's agreement key
    type: str | None  # hs-rec of a record
    sealed_bytes: int | None


_NOTHING = Structure(None, None, None, None, None)


def structure(message: bytes) -> Structure:
    """The outside of a message, whole or not, well-formed or not."""
    reader = cbor.Reader(message)
    try:
        reader.take(2)
        header = cbor.decode_map(reader.byte_string())
    except Refused:
        return _NOTHING
    return _header(header)._replace(sealed_bytes=_sealed_bytes(message))


def _header(header: dict[int, object]) -> Structure:
    algorithm, context, typ = header.get(encrypt0.ALG), header.get(encrypt0.KID_CONTEXT), header.get(encrypt0.TYP)
    is_context = isinstance(context, bytes) and len(context) == encrypt0.KID_CONTEXT_BYTES
    return Structure(
        _name(header.get(encrypt0.KID)),
        algorithm if _is_algorithm(algorithm) and isinstance(algorithm, int) else None,
        context[0] if is_context and isinstance(context, bytes) else None,
        typ if isinstance(typ, str) and typ in encrypt0.TYPES else None,
        None,
    )


def _is_algorithm(value: object) -> bool:
    """A number of IANA's COSE registry: all have 16 bits and a sign. A longer one may be somebody's phone number."""
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= 0xFFFF


def _name(key_id: object) -> str | None:
    """A device's name, and nothing else that somebody may have written there."""
    if not isinstance(key_id, bytes):
        return None
    name = key_id.decode("utf-8", "replace")
    return name if topic.is_name(name) else None


def _sealed_bytes(message: bytes) -> int | None:
    try:
        return len(encrypt0.parse(message).ciphertext)
    except Refused:
        return None


def shown(kept: Kept) -> dict[str, object]:
    """Everything that a technician may see of it, as JSON values."""
    rule = rules.RULES.get(kept.reason)
    return {
        "id": kept.id,
        "received_s": kept.received_s,
        "reason": kept.reason,
        "meaning": rule.meaning if rule else "",
        "topic": kept.topic,
        "size_bytes": kept.size_bytes,
        "kept_bytes": len(kept.message),
        "whole": kept.is_whole(),
        "offered": kept.offered,
        "digest": kept.digest.hex(),
        "structure": structure(kept.message)._asdict(),
    }
