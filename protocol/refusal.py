"""Refused: the one error of the wire. Everything a peer can send wrong ends here, with a reason that can be counted."""

# Gateways count by these words, so a word never changes its meaning; WIRE.md says what each one covers.
REASONS = (
    "size",
    "encoding",
    "structure",
    "algorithm",
    "type",
    "address",
    "key",
    "decrypt",
    "padding",
    "signature",
    "schema",
    "disclosure",
    "topic",
)


class Refused(Exception):
    """A message that must not be believed.

    reason: one word of REASONS. detail: one word for a log, mostly the name of a field; never what it holds.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        if reason not in REASONS:
            raise ValueError(reason)  # our fault, not the peer's
        super().__init__(reason + (": " + detail if detail else ""))
        self.reason = reason
        self.detail = detail
