"""A record on the wire: signed by the device (inner), then encrypted to the gateway (outer)."""

from protocol import encrypt0, sign1
from protocol.channel import Channel


def seal(channel: Channel, signer: sign1.Signer, payload: bytes, disclosures: list[bytes]) -> bytes:
    """The message of a payload from record.encode(). Sealed once, stored, and sent again as the same bytes."""
    return channel.seal(sign1.RECORD_TYP, signer.sign(sign1.RECORD_TYP, payload, disclosures))


def open(channel: Channel, message: bytes) -> sign1.Signed:
    """The signed record in a message; its signature is NOT verified yet. Raises Refused."""
    return open_envelope(channel, encrypt0.parse(message))


def open_envelope(channel: Channel, envelope: encrypt0.Envelope) -> sign1.Signed:
    """Like open, for a message that is parsed already."""
    return sign1.parse(channel.open_envelope(sign1.RECORD_TYP, envelope), sign1.RECORD_TYP)
