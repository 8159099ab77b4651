"""Attacks on the intake, one for every way in which a message can be refused."""

from sealed_pair import flip
from sealing_device import HALL, MORNING_S, SUITE, SealingDevice

from protocol import channel, command, disclosure, rating, receipt, record, sealed_record, sign1
from protocol import topic as topics


class Attacks:
    """Each method makes the real bytes of one attack: (topic, message, retained). level: of the rating in it."""

    def __init__(self, hall, level=5, device="e-001"):
        self.hall = hall
        self.level = level
        self.device = hall.devices[device]
        self.device.opened()  # not sent: the attacks stand in any order of the stream
        self.other = SealingDevice(f"other-{level}", hall.public)

    def own(self, message, retained=False):
        return self.device.topic, message, retained

    def bare(self, **more):
        """A rating with nothing to disclose, not signed yet."""
        return self.device.make(record.RATING, self.device.rating_claims(self.level), **more)

    def payload(self, change):
        """A correctly signed and sealed record whose payload `change` has touched."""
        made, disclosures = self.bare()
        fields = dict(record.cbor.decode_map(record.encode(made)))
        change(fields)
        signed = self.device.signer.sign(sign1.RECORD_TYP, record.cbor.encode(fields), disclosures)
        return self.own(self.device.channel.seal(sign1.RECORD_TYP, signed))

    def inner(self, content):
        return self.own(self.device.channel.seal(sign1.RECORD_TYP, content))

    def size_empty(self):
        return self.own(b"")

    def size_huge(self):
        return self.own(bytes(100_000))

    def topic_foreign(self):
        return self.device.topic + "/more", self.device.rating(self.level), False

    def topic_down(self):
        return topics.down(HALL, self.device.name), self.device.rating(self.level), False

    def topic_not_ours(self):
        return "$SYS/\udcff", b"x", False

    def hall_of_topic(self):
        return topics.up("elsewhere", self.device.name), self.device.rating(self.level), False

    def hall_of_payload(self):
        return self.own(self.device.seal(*self.bare(hall="elsewhere")))

    def unknown(self):
        return self.other.topic, self.other.rating(self.level), False

    def pending(self):
        return self.with_status("pending")

    def revoked(self):
        return self.with_status("revoked")

    def with_status(self, status):
        self.hall.devices[self.other.name] = self.other
        self.hall.write_registry(**{self.other.name.replace("-", "_"): status})
        self.hall.registry._file._checked_s = None
        self.hall.registry.refresh(0)
        return self.other.topic, self.other.rating(self.level), False

    def retained(self):
        return self.own(self.device.rating(self.level), retained=True)

    def encoding(self):
        return self.own(self.device.rating(self.level) + b"\x00")

    def encoding_of_payload(self):
        signed = self.device.signer.sign(sign1.RECORD_TYP, b"\xbf\xff")
        return self.inner(signed)

    def structure_noise(self):
        return self.own(b"\xd1" + SUITE.random_bytes(400))

    def structure_unsigned(self):
        return self.inner(record.encode(self.bare()[0]))

    def algorithm(self):
        # ES256 (-7), deprecated, in the header of the signature.
        made = record.encode(self.bare()[0])
        protected = record.cbor.encode({1: -7, 4: self.device.signer.kid, 16: sign1.RECORD_TYP})
        signature = SUITE.sign(self.device.signer._private, sign1.signature_input(protected, made))
        return self.inner(sign1.Signed(protected, self.device.signer.kid, made, [], signature).encode())

    def type_receipt(self):
        return self.own(receipt.seal(self.device.channel, receipt.Receipt(self.device.stream, 9, [], 9)))

    def type_command(self):
        fields = command.Command("e-001", HALL, 1, 1, command.EVALUATION_CANCEL, 1, {1: "A-1"})
        return self.own(command.seal(self.device.channel, self.device.signer, fields))

    def address_of_another(self):
        """A valid device's valid message on another device's topic."""
        return topics.up(HALL, "c-001"), self.device.rating(self.level), False

    def address_in_payload(self):
        return self.own(self.device.seal(*self.bare(device="c-001")))

    def key(self):
        agreement = SUITE.load_private(self.device.agreement_private)
        public = SUITE.load_public(self.hall.public)
        later = channel.Channel(SUITE, HALL, self.device.name, agreement, public, channel.DEVICE, epoch=2)
        made = record.encode(self.bare()[0])
        return self.own(sealed_record.seal(later, self.device.signer, made, []))

    def decrypt_flipped(self):
        return self.own(flip(self.device.rating(self.level), -160))

    def decrypt_forged(self):
        """A stranger with the gateway's public key, and keys of its own, under a known name."""
        return self.own(SealingDevice(self.device.name, self.hall.public).rating(self.level))

    def padding(self):
        content = b"\xd2" + bytes(40)
        ours = channel.padding.pad
        channel.padding.pad = lambda plaintext: plaintext + b"\x80"
        try:
            return self.inner(content)
        finally:
            channel.padding.pad = ours

    def signature(self):
        """Whoever has the agreement key of a device, and not its signing key."""
        thief = sign1.Signer(SUITE, SUITE.generate_private())
        made = record.encode(self.bare()[0])
        return self.own(sealed_record.seal(self.device.channel, thief, made, []))

    def signature_of_changed_payload(self):
        made, disclosures = self.bare()
        signed = sign1.parse(
            self.device.signer.sign(sign1.RECORD_TYP, record.encode(made), disclosures), sign1.RECORD_TYP
        )
        made.claims[rating.LEVEL] = 6 - self.level if self.level != 3 else 5
        signed.payload = record.encode(made)
        return self.inner(signed.encode())

    def schema(self):
        return self.payload(lambda fields: fields[record.CLAIMS].update({rating.LEVEL: 6}))

    def schema_unknown_field(self):
        return self.payload(lambda fields: fields.update({20: 1}))

    def schema_time_out_with_level(self):
        return self.payload(lambda fields: fields[record.CLAIMS].update({rating.OUTCOME: rating.TIMED_OUT}))

    def schema_disclosure(self):
        made = self.device.make(
            record.RATING, self.device.rating_claims(self.level), redactable={rating.OCCASION: [0, "V" * 51]}
        )
        return self.own(self.device.seal(*made))

    def disclosure(self):
        made, _ = self.device.make(
            record.RATING, self.device.rating_claims(self.level), redactable={rating.OCCASION: [0, "V-1"]}
        )
        return self.own(self.device.seal(made, [disclosure.make(SUITE, rating.OCCASION, [0, "V-2"])[0]]))

    def kind(self):
        claims = {1: "01", 2: "S001", 3: 0, 4: 99, 5: MORNING_S, 6: 1}
        return self.own(self.device.seal(*self.device.make(record.PUNCH, claims)))


# attack -> reason
ATTACKS = {
    "size_empty": "size", "size_huge": "size",
    "topic_foreign": "topic", "topic_down": "topic", "topic_not_ours": "topic",
    "hall_of_topic": "hall", "hall_of_payload": "hall",
    "unknown": "unknown", "pending": "pending", "revoked": "revoked", "retained": "retained",
    "encoding": "encoding", "encoding_of_payload": "encoding",
    "structure_noise": "structure", "structure_unsigned": "structure",
    "algorithm": "algorithm", "type_receipt": "type", "type_command": "type",
    "address_of_another": "address", "address_in_payload": "address",
    "key": "key", "decrypt_flipped": "decrypt", "decrypt_forged": "decrypt", "padding": "padding",
    "signature": "signature", "signature_of_changed_payload": "signature",
    "schema": "schema", "schema_unknown_field": "schema", "schema_time_out_with_level": "schema",
    "schema_disclosure": "schema", "disclosure": "disclosure", "kind": "kind",
}  # fmt: skip
