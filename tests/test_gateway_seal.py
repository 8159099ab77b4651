"""The identity seal: the central system can open it, the gateway cannot, and its length tells nothing."""

import pytest
from cryptography.exceptions import InvalidTag
from gateway_hall import GatewayHall
from sealing_device import HALL, MORNING_S, SUITE

from gateway import identity_seal
from gateway.identity_seal import IdentitySeal
from protocol import cbor, disclosure, rating, record, sign1
from protocol.sealed_part import PADDED_BYTES, info

STREAM = bytes(range(8))
DISCLOSURES = [disclosure.make(SUITE, rating.OCCASION, [0, "A-17"])[0], disclosure.make(SUITE, rating.COMMENT, "慢")[0]]


@pytest.fixture
def central():
    return SUITE.load_private(SUITE.generate_private())


def seal_to(central):
    return IdentitySeal(HALL, SUITE.public_bytes(central))


def unseal(central, sealed, context):
    """What the central system does."""
    padded = identity_seal.SUITE.decrypt(sealed, central, context)
    return cbor.decode(padded.rstrip(b"\x00")[:-1])


def test_the_central_system_gets_every_disclosure_as_the_device_made_it(central):
    sealed = seal_to(central).seal("e-001", STREAM, 7, DISCLOSURES)
    assert unseal(central, sealed, info(HALL, "e-001", STREAM, 7)) == DISCLOSURES


@pytest.mark.parametrize(
    "context",
    [info("other", "e-001", STREAM, 7), info(HALL, "e-002", STREAM, 7), info(HALL, "e-001", bytes(8), 7),
     info(HALL, "e-001", STREAM, 8)],
)  # fmt: skip
def test_a_blob_moved_to_another_record_does_not_open(central, context):
    sealed = seal_to(central).seal("e-001", STREAM, 7, DISCLOSURES)
    with pytest.raises(InvalidTag):
        identity_seal.SUITE.decrypt(sealed, central, context)


def test_the_length_does_not_tell_a_short_name_from_a_long_one(central):
    def length(name):
        made = [disclosure.make(SUITE, rating.IDENTITY, {rating.NAME: name})[0]]
        return len(seal_to(central).seal("e-001", STREAM, 1, made))

    assert length("丽") == length("欧阳娜娜娜娜") == 65 + PADDED_BYTES + 16
    assert (length("长" * 30) - 65 - 16) % PADDED_BYTES == 0


def test_a_key_that_is_no_point_is_refused():
    with pytest.raises(ValueError):
        IdentitySeal(HALL, b"\x04" + bytes(64))


def test_the_stored_blob_opens_the_digests_that_the_device_signed(tmp_path):
    hall = GatewayHall(tmp_path, [("e-001", "evaluator")])
    device = hall.devices["e-001"]
    identity = {rating.NAME: "欧阳娜娜", rating.PHONE: "13987654321"}
    hall.take(device.opened(), device.rating(1, visit="A-17", identity=identity, comment="等了太久"))
    stored = hall.records()[1]
    opened = unseal(hall.central_private, stored.sealed, info(HALL, "e-001", device.stream, 2))
    signed = record.decode(sign1.parse(stored.evidence, sign1.RECORD_TYP).payload)
    values = disclosure.check(SUITE, opened, signed.digests)
    assert values == {
        rating.OCCASION: [MORNING_S, "A-17"], rating.COMMENT: "等了太久", rating.IDENTITY: identity,
    }  # fmt: skip
    hall.stop()


def test_salts_are_in_no_file_of_the_gateway(tmp_path):
    hall = GatewayHall(tmp_path, [("e-001", "evaluator")])
    device = hall.devices["e-001"]
    made, disclosures = device.make(
        record.RATING, device.rating_claims(5), redactable={rating.OCCASION: [MORNING_S, ""]}
    )
    hall.take(device.seal(made, disclosures))
    hall.stop()
    salt = cbor.decode(disclosures[0])[0]
    content = b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.is_file())
    assert salt not in content
    assert disclosures[0] not in content
    assert made.digests[rating.OCCASION] in content, "the search can find something"


def test_a_record_without_disclosures_has_no_blob(tmp_path):
    hall = GatewayHall(tmp_path, [("e-001", "evaluator")])
    hall.take(hall.devices["e-001"].opened())
    assert hall.records()[0].sealed is None
    hall.stop()
