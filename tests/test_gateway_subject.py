"""What is held about a visit: told as long as it can be found, and afterwards that it cannot, and whom to ask."""

import io

import pytest
from gateway_hall import GatewayHall, hall_of
from sealing_device import MORNING_S

from gateway import cli, retention, schema, subject
from gateway.matter import Item, Matter
from gateway.retention import RetentionRule
from gateway.visit_book import DAY_S
from protocol import rating

IDENTITY = {rating.NAME: "欧阳娜娜", rating.PHONE: "13987654321", rating.ID_NUMBER: "110101199003078515"}
RULE = RetentionRule()


hall = hall_of(("e-001", "evaluator"), ("e-002", "evaluator"))


@pytest.fixture
def device(hall):
    return hall.devices["e-001"]


def told(hall, visit):
    held = hall.ledger.read(lambda connection: subject.find(connection, hall.book, visit))
    return "\n".join(subject.report(held, RULE))


def rate(hall, device, level=1, **more):
    hall.visits.open("01", "A-17")
    hall.take(device.opened(), device.rating(5), device.rating(level, visit="A-17", **more))


def test_while_the_visit_can_be_found_its_record_is_named_with_what_is_held_of_the_person(hall, device):
    rate(hall, device, identity=IDENTITY, comment="等了太久")
    text = told(hall, "A-17")
    assert "state: rated" in text
    assert f"number 3 of stream {device.stream.hex()} of device e-001, window 01" in text
    assert "2026-09-21 14:15 UTC" in text
    assert "name 欧**, phone 139****4321, id_number 110****8515" in text
    assert "pseudonym of this month, for the central system: held" in text
    assert "sealed to the central system: held" in text
    assert "central system above the hall can open what was sealed" in text


def test_neither_level_nor_reasons_nor_anything_raw_is_shown_in_the_hall(hall, device):
    """Two visits, as good and as bad as can be, read the same but for their numbers."""
    hall.visits.open("01", "A-17")
    claims = {rating.TAGS: [513]}  # belongs to 5, and earns the mark tag_level
    opened = device.opened()
    hall.take(opened, device.rating(1, visit="A-17", identity=IDENTITY, claims=claims, comment="等了太久" * 30))
    hall.visits.open("01", "B-18")
    hall.take(device.rating(5, visit="B-18", identity=IDENTITY))
    assert "tag_level" in hall.records()[1].flags
    first, second = told(hall, "A-17"), told(hall, "B-18")
    assert first == second.replace("number 3 of", "number 2 of")
    for raw in (*IDENTITY.values(), "A-17", "513"):
        assert raw not in first


def test_what_the_visit_is_about_is_told_and_the_records_of_all_its_parts(hall, device):
    about = Matter("theme", parts=(Item("1" * 31), Item("2" * 31)))
    hall.visits._part_kinds = ("theme",)
    hall.visits.open("01", "A-17", "S001", about=about)
    assert f"kind theme, staff S001, item_code {'1' * 31}, item_code {'2' * 31}" in told(hall, "A-17")
    hall.take(device.opened(), device.rating(1, visit="A-17#1"))
    hall.watch.step()
    hall.take(device.rating(5, visit="A-17#2"))
    text = told(hall, "A-17")
    assert text.index("number 2 of stream") < text.index(f"item_code {'1' * 31}, staff S001, part 1")
    assert text.index("number 3 of stream") < text.index(f"item_code {'2' * 31}, staff S001, part 2")


def test_a_visit_without_outcome_has_no_record(hall):
    hall.visits.open("01", "A-17")
    assert "state: asked" in told(hall, "A-17")
    assert "No rating of this visit is held here." in told(hall, "A-17")


def test_a_rating_without_identity_says_so(hall, device):
    rate(hall, device, level=5)
    text = told(hall, "A-17")
    assert "identity, masked: none" in text
    assert "pseudonym of this month, for the central system: none" in text


def test_the_outcome_of_another_device_is_found_as_well(hall, device):
    other = hall.devices["e-002"]
    hall.visits.open("01", "A-17")
    hall.take((other, other.opened()), (other, other.rating(2, visit="A-17")))
    assert "of device e-002" in told(hall, "A-17")


def test_a_second_outcome_does_not_take_the_place_of_the_first(hall, device):
    rate(hall, device)
    hall.take(device.rating(5, visit="A-17"))
    assert "number 3 of stream" in told(hall, "A-17")


def test_what_retention_removed_is_told(hall, device):
    rate(hall, device, identity=IDENTITY)
    for kind in (retention.SEALED, retention.MASKED):
        hall.ledger.write(
            lambda connection, kind=kind: retention.empty_identities(
                connection, kind, 3, hall.clock.now_s() + 1, 20_000
            )
        ).result()
    text = told(hall, "A-17")
    assert "sealed to the central system: removed, their time was over" in text
    assert "identity, masked: none" in text


@pytest.mark.parametrize("visit", ["A-18", "", "x" * 51])
def test_an_unknown_number_is_told_truthfully(hall, device, visit):
    rate(hall, device)
    text = told(hall, visit)
    assert text.startswith("Under this number the hall's gateway finds nothing.")
    assert "180 days" in text
    assert "ask there" in text


def test_after_two_days_nothing_links_the_visit_to_its_record(hall, device, tmp_path):
    rate(hall, device, identity=IDENTITY)
    (before,) = hall.rows(schema.visit)
    assert (before["stream"], before["seq"]) == (device.stream.hex(), 3)
    hall.real.now_s = MORNING_S + 2 * DAY_S
    hall.watch.step()
    assert hall.ledger.erase_traces()
    assert told(hall, "A-17").startswith("Under this number the hall's gateway finds nothing.")
    assert hall.rows(schema.visit) == hall.rows(schema.visit_key) == []
    kept = b"".join(path.read_bytes() for path in tmp_path.glob("ledger.db*"))
    assert before["token"] not in kept
    assert len(hall.records()) == 3, "the record itself stays"


def test_the_command_answers_while_the_gateway_runs_and_reads_the_number_from_standard_input(
    hall_dir, capsys, monkeypatch
):
    (hall_dir / "gateway" / "ledger.db").unlink(missing_ok=True)
    made = GatewayHall(hall_dir / "gateway", keys=None)
    made.stop()
    monkeypatch.setattr("sys.stdin", io.StringIO("A-17\n"))
    config = ["--config", str(hall_dir / "gateway" / "gateway.toml")]
    assert cli.main(["subject", *config]) == 0
    from_input = capsys.readouterr().out
    assert cli.main(["subject", "A-17", *config]) == 0
    assert capsys.readouterr().out == from_input
    assert from_input.startswith("Under this number the hall's gateway finds nothing.")
    assert "A-17" not in from_input
