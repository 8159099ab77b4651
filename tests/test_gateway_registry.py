"""Registry and roster: read strictly, read again when they change, and never given up for a bad file."""

import json
import os

import pytest
from sealing_device import HALL, SUITE, SealingDevice

from gateway import registry as registry_module
from gateway.registry import CHECK_INTERVAL_S, Registry, RegistryError, RosterFile, parse_registry, parse_roster

GATEWAY = SUITE.public_bytes(SUITE.load_private(SUITE.generate_private()))


def entries(*devices, **changes):
    return {"hall": HALL, "devices": [{**one.entry(), **changes} for one in devices]}


@pytest.fixture
def device():
    return SealingDevice("e-001", GATEWAY, place="07")


@pytest.fixture
def path(tmp_path, device):
    file = tmp_path / "registry.json"
    file.write_text(json.dumps(entries(device)))
    return file


def rewrite(path, content):
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    later = path.stat().st_mtime_ns + 1_000_000
    os.utime(path, ns=(later, later))


def test_a_device_is_known_with_its_keys_and_place(device):
    found = parse_registry(json.dumps(entries(device)), HALL)["e-001"]
    assert (found.kind, found.place, found.status) == ("evaluator", "07", "active")
    assert found.signing == device.signer.public_key
    assert "signing_key" not in repr(found)


BAD_ENTRIES = [
    ({"device": "E 001"}, "device 1: .*name"),
    ({"device": None}, "device 1: .*name"),
    ({"kind": "printer"}, "e-001: .*kind.*evaluator, clock"),
    ({"status": "ok"}, "e-001: .*status.*active, pending, revoked"),
    ({"window": ""}, "e-001: .*window"),
    ({"window": 7}, "e-001: .*window"),
    ({"signing": "04zz"}, "e-001: .*signing.*hex"),
    ({"signing": "04" + "00" * 64}, "e-001: .*no point of the curve"),
    ({"agreement": "04"}, "e-001: .*no point of the curve"),
    ({"agreement": None}, "e-001: .*agreement"),
    ({"staff_number": 5}, "e-001: .*staff_number"),
]


@pytest.mark.parametrize(("change", "message"), BAD_ENTRIES)
def test_a_bad_entry_is_named(device, change, message):
    with pytest.raises(RegistryError, match=message):
        parse_registry(json.dumps(entries(device, **change)), HALL)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"hall": "yongxing"}', '{"hall": "yongxing", "devices": {}}'])
def test_what_is_no_registry_is_refused(text):
    with pytest.raises(RegistryError):
        parse_registry(text, HALL)


def test_a_registry_of_another_hall_is_refused(device):
    with pytest.raises(RegistryError, match="another hall"):
        parse_registry(json.dumps(entries(device)), "elsewhere")


def test_a_device_that_stands_twice_is_refused(device):
    with pytest.raises(RegistryError, match="e-001 stands twice"):
        parse_registry(json.dumps(entries(device, device)), HALL)


def test_a_revocation_is_seen_at_the_next_look(path, device):
    registry = Registry(path, HALL)
    assert registry.refresh(0.0) is False
    rewrite(path, entries(device, status="revoked"))
    assert registry.refresh(CHECK_INTERVAL_S - 0.1) is False, "it does not look at every message"
    assert registry.get("e-001").status == "active"
    assert registry.refresh(CHECK_INTERVAL_S) is True
    assert registry.get("e-001").status == "revoked"


def test_a_file_replaced_under_its_name_is_seen(path, device, tmp_path):
    rewrite(path, entries(device, status="pending"))
    registry = Registry(path, HALL)
    mark = path.stat()
    fresh = tmp_path / "new"
    fresh.write_text(json.dumps(entries(device, status="revoked")))
    os.utime(fresh, ns=(mark.st_mtime_ns, mark.st_mtime_ns))
    assert fresh.stat().st_size == mark.st_size
    fresh.replace(path)
    assert registry.refresh(0.0) is True


@pytest.mark.parametrize("spoil", ["{", '{"hall": "elsewhere", "devices": []}', "\ud800"])
def test_a_bad_file_leaves_the_last_good_one_in_force(path, device, spoil):
    registry = Registry(path, HALL)
    path.write_bytes(spoil.encode("utf-8", "surrogatepass"))
    assert registry.refresh(0.0) is False
    assert registry.healthy is False
    assert registry.get("e-001").status == "active"
    rewrite(path, entries(device, status="revoked"))
    assert registry.refresh(10.0) is True
    assert registry.healthy is True


def test_a_file_that_vanishes_leaves_the_last_good_one_in_force(path):
    registry = Registry(path, HALL)
    path.unlink()
    registry.refresh(0.0)
    assert (registry.healthy, registry.get("e-001").status) == (False, "active")


def test_a_gateway_does_not_start_without_a_good_registry(tmp_path, path, monkeypatch):
    with pytest.raises(RegistryError, match="cannot be read"):
        Registry(tmp_path / "none.json", HALL)
    monkeypatch.setattr(registry_module, "FILE_BYTES_MAX", 10)
    with pytest.raises(RegistryError, match="larger than"):
        Registry(path, HALL)


def test_a_window_has_its_active_evaluator_only(tmp_path):
    devices = [SealingDevice(f"e-00{n}", GATEWAY, place="07") for n in (1, 2)]
    devices.append(SealingDevice("c-001", GATEWAY, "clock", place="07"))
    content = entries(*devices)
    content["devices"][0]["status"] = "revoked"
    (tmp_path / "r.json").write_text(json.dumps(content))
    registry = Registry(tmp_path / "r.json", HALL)
    assert registry.evaluator_at("07").name == "e-002"
    assert registry.evaluator_at("08") is None


def test_a_roster_names_its_staff():
    roster = parse_roster('{"version": 2, "staff": [{"slot": 1, "number": "S001", "name": "陈晓梅"}]}')
    assert (roster.version, roster.name_of("S001"), roster.name_of("S002")) == (2, "陈晓梅", None)
    assert RosterFile(None).current().version == 0


def test_a_roster_names_its_administrators_and_an_older_file_has_none():
    person = {"slot": 1, "number": "S001", "name": "陈晓梅"}
    staff = [person, {**person, "administrator": True}, {**person, "administrator": False}]
    roster = parse_roster(json.dumps({"version": 2, "staff": staff}))
    assert [row.administrator for row in roster.rows] == [False, True, False]


@pytest.mark.parametrize(
    "text",
    ['{"version": 0, "staff": []}', '{"version": true, "staff": []}', '{"version": 1}',
     '{"version": 1, "staff": [{"slot": 1}]}', '{"version": 1, "staff": [{"slot": "1", "number": "S", "name": "x"}]}',
     '{"version": 1, "staff": [{"slot": 1, "number": "S", "name": "x", "administrator": 1}]}'],
)  # fmt: skip
def test_a_bad_roster_is_refused(text):
    with pytest.raises(RegistryError):
        parse_roster(text)
