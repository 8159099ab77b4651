"""What a device is told to be: each kind what it needs, within the bounds of the wire, and passwords nowhere else."""

import hashlib
import json
import time
from dataclasses import replace

import pytest
from gateway_hall import SETTINGS, GatewayHall
from sealing_device import HALL, MORNING_S

from gateway import schema
from gateway.configuration import TAG_CODES, TAG_CODES_MAX
from gateway.device_settings import DesiredSettings
from gateway.ledger import Ledger
from gateway.registry import CLOCK, EVALUATOR, Device, Roster, StaffRow
from protocol import cbor, command
from protocol.limits import MESSAGE_BYTES_MAX
from provisioning.roster import STAFF_MAX

PASSWORD = 0x13579BDF
EVERYTHING = replace(
    SETTINGS,
    language="zh+en",
    rate_staff=True,
    tag_codes=tuple(range(560, 560 + TAG_CODES_MAX)),
    ask_phone=True,
    opening_min=1439,
    quiet_from_min=1439,
    quiet_until_min=1438,
    utc_offset_min=-720,
    erase_on_tamper=True,
)
LONG = {"place": "窗" * 16, "staff_number": "S" * 20}
ROSTER = Roster(3, [StaffRow(1, "S" * 20, "名" * 20, True)])


@pytest.fixture
def ledger(tmp_path):
    made = Ledger(tmp_path / "ledger.db")
    yield made
    made.close()


def device(kind=EVALUATOR, place="01", **more):
    return Device("e-001", kind, place, "active", b"", b"", None, **more)


def claims(ledger, one, settings=SETTINGS, roster=ROSTER, password=None):
    return dict(DesiredSettings(ledger, settings, password).config(one, roster))


def encoded(kind, content):
    return command.encode(command.Command("e-001", HALL, 2**32 - 1, MORNING_S, kind, 2**48 - 1, dict(content)))


@pytest.mark.parametrize("kind", [EVALUATOR, CLOCK])
@pytest.mark.parametrize("settings", [SETTINGS, EVERYTHING, replace(SETTINGS, tag_codes=())])
@pytest.mark.parametrize("password", [None, 0, 0xFFFFFFFF])
def test_the_wire_takes_every_configuration(ledger, kind, settings, password):
    content = claims(ledger, device(kind, **LONG), settings, password=password)
    assert command.decode(encoded(command.CONFIG, content)).claims == content


def test_the_longest_configuration_and_a_full_roster_fit_one_message(tmp_path):
    hall = GatewayHall(tmp_path, [("c-001", "clock")], settings=EVERYTHING, sensor_password=PASSWORD)
    staff = Roster(1, [StaffRow(9000 + n, f"S{n:03}", "陈晓梅", True) for n in range(STAFF_MAX)])
    content = dict(DesiredSettings(hall.ledger, EVERYTHING).roster(device(CLOCK), staff))
    assert len(content[command.STAFF_ROWS]) == STAFF_MAX
    clock = hall.registry.get("c-001")
    for kind, claimed in (
        (command.CONFIG, claims(hall.ledger, clock, EVERYTHING, ROSTER, PASSWORD)),
        (command.ROSTER, content),
    ):
        made = command.Command("c-001", HALL, 2**32 - 1, MORNING_S, kind, 2**48 - 1, claimed)
        assert len(hall.channels.seal_command(clock, made)) <= MESSAGE_BYTES_MAX
    hall.stop()


def test_an_evaluator_is_told_what_to_ask_and_a_clock_is_not(ledger):
    asked = {command.RATE_STAFF: 0, command.ASK_PHONE: 0, command.TAG_CODES: list(TAG_CODES)}
    evaluator, clock = claims(ledger, device()), claims(ledger, device(CLOCK))
    assert {key: evaluator.get(key) for key in asked} == asked
    assert asked.keys().isdisjoint(clock)
    evaluator = claims(ledger, device(), EVERYTHING)
    assert (evaluator[command.RATE_STAFF], evaluator[command.ASK_PHONE]) == (1, 1)
    assert command.TAG_CODES not in claims(ledger, device(), replace(SETTINGS, tag_codes=()))


def test_only_a_clock_is_told_the_password_of_its_sensor(ledger):
    assert claims(ledger, device(CLOCK), password=PASSWORD)[command.SENSOR_PASSWORD] == PASSWORD
    assert claims(ledger, device(CLOCK), password=0)[command.SENSOR_PASSWORD] == 0
    assert command.SENSOR_PASSWORD not in claims(ledger, device(EVALUATOR), password=PASSWORD)
    assert command.SENSOR_PASSWORD not in claims(ledger, device(CLOCK))


def test_every_device_is_told_the_hours_of_the_hall(ledger):
    for kind in (EVALUATOR, CLOCK):
        told = claims(ledger, device(kind), EVERYTHING)
        assert (told[command.OPENING_MIN], told[command.UTC_OFFSET_MIN]) == (1439, -720)
        assert (told[command.QUIET_FROM_MIN], told[command.QUIET_UNTIL_MIN]) == (1439, 1438)
        assert told[command.ERASE_ON_TAMPER] == 1
        told = claims(ledger, device(kind))
        absent = {command.OPENING_MIN, command.QUIET_FROM_MIN, command.QUIET_UNTIL_MIN}
        assert absent.isdisjoint(told)
        assert (told[command.UTC_OFFSET_MIN], told[command.ERASE_ON_TAMPER]) == (480, 0)


def test_another_password_is_another_configuration(ledger):
    versions = [claims(ledger, device(CLOCK), password=one)[command.VERSION] for one in (None, 1, 1, 2, None)]
    assert versions == [1, 2, 2, 3, 4]


def test_the_ledger_does_not_tell_a_guessed_password_from_another(ledger):
    told = claims(ledger, device(CLOCK), password=PASSWORD)
    del told[command.VERSION]
    stored = ledger.read(lambda connection: connection.execute(schema.device_config.select()).one().digest)
    assert stored != hashlib.sha256(cbor.encode(told)).digest()


def test_a_clock_takes_its_administrators_and_its_password_from_the_gateway(tmp_path):
    hall = GatewayHall(tmp_path, [("c-001", "clock")], settings=EVERYTHING, sensor_password=PASSWORD, started=True)
    staff = [
        {"slot": 1, "number": "S001", "name": "陈晓梅", "administrator": True},
        {"slot": 2, "number": "S002", "name": "林建国"},
    ]
    (tmp_path / "roster.json").write_text(json.dumps({"version": 4, "staff": staff}))
    assert hall.downlink._roster.refresh(time.monotonic())
    clock = hall.devices["c-001"]
    hall.take((clock, clock.heartbeat()))
    (_, config), (_, roster) = hall.down(clock, 2)
    assert config.claims[command.SENSOR_PASSWORD] == PASSWORD
    assert config.claims[command.LANGUAGE] == "zh+en"
    assert roster.claims[command.STAFF_ROWS] == [[1, "S001", "陈晓梅", 1], [2, "S002", "林建国"]]
    hall.stop()
    for path in tmp_path.glob("ledger.db*"):
        assert PASSWORD.to_bytes(4, "big") not in path.read_bytes()


def test_drift_and_unknown_fingers_are_kept_where_a_heartbeat_states_them(tmp_path):
    hall = GatewayHall(tmp_path, [("c-001", "clock"), ("e-001", "evaluator")])
    clock, evaluator = hall.devices.values()
    hall.take((clock, clock.heartbeat(DRIFT_PPM=-31, UNKNOWN_FINGERS=4)), (evaluator, evaluator.heartbeat()))
    found = hall.ledger.heartbeats()
    assert (found["c-001"].drift_ppm, found["c-001"].unknown_fingers) == (-31, 4)
    assert (found["e-001"].drift_ppm, found["e-001"].unknown_fingers) == (None, None)
    hall.take((clock, clock.heartbeat(DRIFT_PPM=0)))
    found = hall.ledger.heartbeats()["c-001"]
    assert (found.drift_ppm, found.unknown_fingers) == (0, None)
    hall.stop()
