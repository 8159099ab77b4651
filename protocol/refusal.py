"""Refused: the one error of the wire. Everything a peer can send wrong ends here, with a reason that can be counted."""

# reason -> what it means. Gateways count by these words, so a word never changes its meaning.
REASONS = {
    "size": "the message is longer than MESSAGE_BYTES_MAX, or empty",
    "encoding": "not deterministic CBOR (RFC 8949 4.2.1) within our limits",
    "structure": "not the COSE structure that this place needs",
    "algorithm": "a header names another algorithm, or an unknown critical header",
    "type": "the message is of another type (COSE header 16)",
    "address": "key id, topic, issuer, audience or hall do not fit together",
    "key": "not a usable key, or of an unknown key epoch",
    "decrypt": "the authentication tag does not fit: forged, damaged, or sealed for another topic",
    "padding": "the plaintext is not padded to one of the buckets",
    "signature": "the signature does not verify under the device's key",
    "schema": "a field is missing, unknown, of the wrong type or out of bounds",
    "disclosure": "a disclosure matches no signed digest, or comes twice",
    "topic": "not a topic of Hallseal",
}


class Refused(Exception):
    """A message that must not be believed.

    reason: one word of REASONS. detail: for a log; names fields and numbers, never their contents.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        if reason not in REASONS:
            raise ValueError(reason)  # our fault, not the peer's
        super().__init__(reason + (": " + detail if detail else ""))
        self.reason = reason
        self.detail = detail
