"""A new hall: every file of its folder, closed to others, complete or not there, and made of fresh keys."""

import datetime
import json
import os
import stat
import tomllib
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_private_key, load_pem_private_key

from firmware import identity
from gateway import configuration, keys, tokens
from gateway import registry as gateway_registry
from protocol import cbor
from protocol.suite_host import HostSuite
from provisioning import flash_files
from provisioning import hall as hall_module
from provisioning.authority import AuthorityError
from provisioning.cli import main
from provisioning.gateway_settings import Addresses
from provisioning.hall import make_hall
from provisioning.hall_folder import FolderError
from provisioning.hall_plan import HallPlan, PlanError

NOW = datetime.datetime(2026, 11, 2, 8, 0, tzinfo=datetime.UTC)

FILES = """
hall.json
ca/root.pem ca/root.key ca/enrol.pem ca/enrol.key ca/evidence.pem ca/evidence.key
gateway/gateway.toml gateway/tls.pem gateway/tls.key gateway/https.pem gateway/https.key gateway/agreement.key
gateway/command.key gateway/central.pub gateway/registry.json gateway/roster.json gateway/root.pem
gateway/evidence.key gateway/evidence.pem gateway/evidence.crl
release/holder-1/release.key release/holder-2/release.key release/holder-3/release.key
release/holder-1/release.pub release/holder-2/release.pub release/holder-3/release.pub gateway/release.pub
gateway/audit.token gateway/business.token gateway/central.token gateway/technician.token
gateway/supervisor.token
broker/server.pem broker/server.key broker/clients.pem
central/server.pem central/server.key central/hpke.key central/token central/devices.json central/root.pem
central/command.pub
""".split()
FLASH_FILES = {"device.cbor", "tls.crt", "tls.key", "root.crt", "signing.key", "agreement.key"}
DEVICES = {"e-001", "e-002", "c-001", "ve-001", "vc-001"}


def _make(path: Path, plan: HallPlan | None = None) -> list[str]:
    lines: list[str] = []
    make_hall(path, plan or HallPlan("yongxing", evaluators=1, clocks=1), HostSuite(), NOW, lines.append)
    return lines


def _is_secret(path: Path) -> bool:
    return path.suffix in (".key", ".token") or path.name == "token"


def _files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_a_hall_holds_exactly_the_files_that_its_parts_expect(hall_dir: Path) -> None:
    flashes = {f"devices/{device}/flash/{name}" for device in DEVICES for name in FLASH_FILES}
    assert _files(hall_dir) == {*FILES, *flashes}


@pytest.mark.parametrize("umask", [0, 0o022, 0o277])
def test_no_one_else_reads_a_secret_or_enters_a_folder_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        _make(tmp_path / "hall")
    finally:
        os.umask(before)
    secrets = 0
    for path in [tmp_path / "hall", *(tmp_path / "hall").rglob("*")]:
        mode = stat.S_IMODE(path.stat().st_mode)
        if path.is_dir():
            assert mode == 0o700, path
        elif _is_secret(path):
            secrets += 1
            assert mode == 0o600, path
        else:
            assert mode == 0o644, path
    assert secrets == 15 + 5 + 3 * 2, "every kind of secret was seen"


def test_a_hall_that_stands_is_never_overwritten(hall_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {name: (hall_dir / name).read_bytes() for name in _files(hall_dir)}
    assert main(["hall", "init", str(hall_dir), "--hall", "yongxing"]) == 1
    assert "never overwritten" in capsys.readouterr().err
    assert {name: (hall_dir / name).read_bytes() for name in _files(hall_dir)} == before


def test_a_file_in_the_way_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "hall").write_text("notes")
    with pytest.raises(FolderError, match="never overwritten"):
        _make(tmp_path / "hall")
    assert (tmp_path / "hall").read_text() == "notes"


def test_an_empty_folder_becomes_the_hall(tmp_path: Path) -> None:
    (tmp_path / "hall").mkdir(mode=0o755)
    _make(tmp_path / "hall")
    assert stat.S_IMODE((tmp_path / "hall").stat().st_mode) == 0o700


def test_a_making_that_fails_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> None:
        raise AuthorityError("the pen is dry")

    monkeypatch.setattr(hall_module.authority, "issue_client", refuse)
    with pytest.raises(AuthorityError):
        _make(tmp_path / "hall")
    assert list(tmp_path.iterdir()) == []


def _scalar(path: Path) -> int:
    """The private number in a key file of any of our formats: raw, PEM, DER."""
    content = path.read_bytes()
    if len(content) == 32:
        return int.from_bytes(content, "big")
    load = load_pem_private_key if content.startswith(b"-----") else load_der_private_key
    key = load(content, None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return key.private_numbers().private_value


def test_every_key_of_a_hall_is_its_own(hall_dir: Path) -> None:
    numbers = [_scalar(path) for path in hall_dir.rglob("*.key")]
    assert len(numbers) == 14 + 3 * len(DEVICES)
    assert len(set(numbers)) == len(numbers)


def test_fresh_flashes_share_no_secret_bytes(hall_dir: Path) -> None:
    one, other = (hall_dir / "devices" / device / "flash" for device in ("e-001", "e-002"))
    for name in ("tls.key", "signing.key", "agreement.key"):
        secret = _scalar(one / name).to_bytes(32, "big")
        assert secret in (one / name).read_bytes()
        for path in other.iterdir():
            assert secret not in path.read_bytes(), (name, path.name)


def test_two_halls_of_one_name_share_no_key(tmp_path: Path) -> None:
    _make(tmp_path / "one")
    _make(tmp_path / "two")
    first, second = ({_scalar(path) for path in (tmp_path / hall).rglob("*.key")} for hall in ("one", "two"))
    assert not first & second


def test_the_flash_tells_a_device_who_it_is_and_whom_to_trust(hall_dir: Path) -> None:
    suite = HostSuite()
    flash = hall_dir / "devices" / "c-001" / "flash"
    facts = cbor.decode((flash / "device.cbor").read_bytes())
    gateway_public = [
        suite.public_bytes(suite.load_private((hall_dir / "gateway" / name).read_bytes()))
        for name in ("agreement.key", "command.key")
    ]
    now_s = datetime.datetime.now(datetime.UTC).timestamp()
    assert now_s - 60 < facts.pop(10) <= now_s
    assert facts == {
        1: "c-001",
        2: "yongxing",
        3: "clock",
        4: "127.0.0.1",
        5: 8883,
        6: "127.0.0.1",
        7: "D1",
        8: gateway_public[0],
        9: gateway_public[1],
        11: [
            suite.public_bytes(suite.load_private((hall_dir / f"release/holder-{n}/release.key").read_bytes()))
            for n in (1, 2, 3)
        ],
    }


def test_keys_in_device_cbor_are_the_ones_that_firmware_reads() -> None:
    ours, theirs = vars(flash_files), vars(identity)
    names = {"GATEWAY_AGREEMENT": "GATEWAY_KEY", "COMMAND_PUBLIC": "COMMAND_KEY"}
    same = ("DEVICE", "HALL", "KIND", "BROKER_HOST", "BROKER_PORT", "SERVER_NAME", "PLACE", "BUILT_S", "RELEASE_KEYS")
    for name in (*same, *names):
        assert ours[name] == theirs[names.get(name, name)], name


def test_the_registry_holds_the_public_halves_of_the_keys_on_each_flash(hall_dir: Path) -> None:
    suite = HostSuite()
    listed = json.loads((hall_dir / "gateway" / "registry.json").read_text())
    assert listed["hall"] == "yongxing"
    assert {entry["device"] for entry in listed["devices"]} == DEVICES
    for entry in listed["devices"]:
        assert entry["status"] == "active"
        assert entry["revoked_at_s"] is None
        for name in ("signing", "agreement"):
            private = (hall_dir / "devices" / entry["device"] / "flash" / f"{name}.key").read_bytes()
            assert bytes.fromhex(entry[name]) == suite.public_bytes(suite.load_private(private))


def test_the_central_system_gets_signing_keys_only(hall_dir: Path) -> None:
    listed = json.loads((hall_dir / "gateway" / "registry.json").read_text())["devices"]
    central = json.loads((hall_dir / "central" / "devices.json").read_text())
    assert central == {entry["device"]: {"kind": entry["kind"], "signing": entry["signing"]} for entry in listed}


def test_the_gateway_knows_the_public_key_of_the_central_system(hall_dir: Path) -> None:
    suite = HostSuite()
    private = suite.load_private((hall_dir / "central" / "hpke.key").read_bytes())
    assert (hall_dir / "gateway" / "central.pub").read_bytes() == suite.public_bytes(private)
    token = (hall_dir / "central" / "token").read_text()
    assert token == (hall_dir / "gateway" / "central.token").read_text()
    assert len(token) >= 43, "256 bits in base64"
    assert token != (hall_dir / "gateway" / "business.token").read_text()


def test_the_gateway_takes_its_folder_as_it_is(hall_dir: Path) -> None:
    settings = configuration.load(hall_dir / "gateway" / "gateway.toml")
    assert settings.hall == "yongxing"
    keys.load(settings.keys, HostSuite())
    registry = gateway_registry.Registry(settings.registry, settings.hall)
    assert set(registry.devices()) == DEVICES
    assert settings.roster is not None
    roster = gateway_registry.RosterFile(settings.roster).current()
    assert [row[:2] for row in roster.rows] == [(1, "S001"), (2, "S002"), (3, "S003"), (4, "S004")]
    assert [row.administrator for row in roster.rows] == [True, False, False, False], "somebody must let others enrol"
    assert settings.releases is not None
    assert settings.releases.folder == hall_dir / "gateway" / "releases"
    holders = [hall_dir / f"release/holder-{number}" for number in (1, 2, 3)]
    publics = [(folder / "release.pub").read_bytes() for folder in holders]
    assert publics == [b"".join(keys.release_keys(settings.releases.keys, HostSuite()))] * 3
    granted = tokens.of_api(settings)
    assert len({granted.business, granted.audit, granted.technician, granted.supervisor}) == 4


def test_windows_and_doors_are_numbered_through_real_devices_first() -> None:
    plan = HallPlan("hall", evaluators=2, clocks=1, virtual_evaluators=2, virtual_clocks=1, staff=3)
    assert [(each.name, each.place, each.staff_number) for each in plan.requests()] == [
        ("e-001", "01", "S001"),
        ("e-002", "02", "S002"),
        ("ve-001", "03", "S003"),
        ("ve-002", "04", None),
        ("c-001", "D1", None),
        ("vc-001", "D2", None),
    ]


def test_windows_of_a_large_hall_sort_by_number() -> None:
    places = [each.place for each in HallPlan("hall", evaluators=120, clocks=0, staff=120).requests()]
    assert places == sorted(places)
    assert places[0] == "001"
    assert places[-1] == "120"


@pytest.mark.parametrize(
    ("plan", "word"),
    [
        (HallPlan("Yongxing"), "hall name"),
        (HallPlan("永兴"), "hall name"),
        (HallPlan("hall", evaluators=-1), "devices"),
        (HallPlan("hall", virtual_evaluators=10_001), "devices"),
        (HallPlan("hall", staff=121), "staff"),
        (HallPlan("hall", addresses=Addresses(broker_port=0)), "port"),
        (HallPlan("hall", addresses=Addresses(page_port=70_000)), "port"),
        (HallPlan("hall", addresses=Addresses(central_url="http://127.0.0.1:1")), "https"),
    ],
)
def test_a_plan_that_cannot_work_is_refused_before_anything_is_made(tmp_path: Path, plan: HallPlan, word: str) -> None:
    with pytest.raises(PlanError, match=word):
        _make(tmp_path / "hall", plan)
    assert list(tmp_path.iterdir()) == []


def test_addresses_reach_settings_and_flash(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = "--broker-host 127.0.0.1 --broker-port 18883 --server-name mqtt.hall --page-port 18443"
    more = "--central-url https://127.0.0.1:18444 --evaluators 1 --clocks 0"
    assert main(["hall", "init", str(tmp_path / "h"), "--hall", "yongxing", *options.split(), *more.split()]) == 0
    said = capsys.readouterr().out
    assert "offline in a safe" in said
    settings = tomllib.loads((tmp_path / "h/gateway/gateway.toml").read_text())
    assert settings["mqtt"]["host"] == "127.0.0.1"
    assert settings["mqtt"]["port"] == 18883
    assert settings["mqtt"]["server_name"] == "mqtt.hall"
    assert settings["page"]["port"] == 18443
    assert settings["central"]["url"] == "https://127.0.0.1:18444"
    facts = cbor.decode((tmp_path / "h/devices/e-001/flash/device.cbor").read_bytes())
    assert (facts[4], facts[5], facts[6]) == ("127.0.0.1", 18883, "mqtt.hall")


def test_what_is_said_while_a_hall_is_made_holds_no_secret(tmp_path: Path) -> None:
    said = "\n".join(_make(tmp_path / "hall"))
    for path in (tmp_path / "hall").rglob("*"):
        if path.is_file() and _is_secret(path):
            content = path.read_bytes()
            assert content.hex() not in said
            assert content.decode("latin-1").strip() not in said
