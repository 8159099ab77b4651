"""Devices of a hall that stands: listed, added, revoked by the technician's command."""

import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from protocol import cbor
from protocol.suite_host import HostSuite
from provisioning import registry
from provisioning.cli import main
from provisioning.registry import Device, Registry, RegistryError

PUBLIC = HostSuite().public_bytes(HostSuite().load_private(bytes(31) + b"\1"))


def _entries(hall: Path) -> dict[str, dict[str, object]]:
    listed = json.loads((hall / "gateway/registry.json").read_text())["devices"]
    return {entry["device"]: entry for entry in listed}


def _device(name: str = "e-001", kind: str = registry.EVALUATOR, place: str = "01") -> Device:
    return Device(name, kind, place, registry.ACTIVE, PUBLIC, PUBLIC)


def test_list_shows_every_device_with_its_place_and_status(hall_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["device", "list", str(hall_dir)]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert rows == [
        ["device", "kind", "place", "status"],
        ["e-001", "evaluator", "01", "active"],
        ["e-002", "evaluator", "02", "active"],
        ["ve-001", "evaluator", "03", "active"],
        ["c-001", "clock", "D1", "active"],
        ["vc-001", "clock", "D2", "active"],
    ]


def test_an_added_device_gets_the_next_name_and_everything_it_needs(hall_dir: Path) -> None:
    assert main(["device", "add", str(hall_dir), "--window", "07"]) == 0
    entry = _entries(hall_dir)["e-003"]
    assert (entry["kind"], entry["window"], entry["status"]) == ("evaluator", "07", "active")
    flash, other = (hall_dir / "devices" / device / "flash" for device in ("e-003", "e-001"))
    assert {path.name for path in flash.iterdir()} == {path.name for path in other.iterdir()}
    assert {path.name: path.stat().st_mode for path in flash.iterdir()} == {
        path.name: path.stat().st_mode for path in other.iterdir()
    }
    mine, others = (cbor.decode((folder / "device.cbor").read_bytes()) for folder in (flash, other))
    assert (mine[1], mine[3], mine[7]) == ("e-003", "evaluator", "07")
    for key in (2, 4, 5, 6, 8, 9):
        assert mine[key] == others[key]
    assert (flash / "root.crt").read_bytes() == (other / "root.crt").read_bytes()
    certificate = x509.load_der_x509_certificate((flash / "tls.crt").read_bytes())
    enrolment = x509.load_pem_x509_certificate((hall_dir / "ca/enrol.pem").read_bytes())
    certificate.verify_directly_issued_by(enrolment)
    assert json.loads((hall_dir / "central/devices.json").read_text())["e-003"]["signing"] == entry["signing"]


def test_a_name_may_be_chosen(hall_dir: Path) -> None:
    assert main(["device", "add", str(hall_dir), "--door", "North", "--name", "c-north"]) == 0
    assert _entries(hall_dir)["c-north"]["window"] == "North"


def test_a_revoked_device_stays_listed_with_the_moment(hall_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["device", "revoke", str(hall_dir), "e-002"]) == 0
    entry = _entries(hall_dir)["e-002"]
    assert entry["status"] == "revoked"
    assert isinstance(entry["revoked_at_s"], int) and entry["revoked_at_s"] > 1_700_000_000
    assert _entries(hall_dir)["e-001"]["status"] == "active"
    assert "e-002" in json.loads((hall_dir / "central/devices.json").read_text()), "old records must still verify"
    capsys.readouterr()
    main(["device", "list", str(hall_dir)])
    assert "revoked since 2" in capsys.readouterr().out


def test_every_device_has_a_certificate_of_its_key_for_records_also_one_that_joined_later(hall_dir: Path) -> None:
    assert main(["device", "add", str(hall_dir), "--door", "D7"]) == 0
    authority = x509.load_pem_x509_certificate((hall_dir / "ca/evidence.pem").read_bytes())
    for name, entry in _entries(hall_dir).items():
        certificate = x509.load_der_x509_certificate(bytes.fromhex(str(entry["certificate"])))
        certificate.verify_directly_issued_by(authority)
        shown = {one.oid._name: one.value for one in certificate.subject}
        assert shown == {
            "organizationName": "yongxing", "organizationalUnitName": entry["kind"], "commonName": name,
        }  # fmt: skip
        point = certificate.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        assert point.hex() == entry["signing"]


def test_a_revocation_stands_in_the_list_that_an_audit_gets_with_its_moment(hall_dir: Path) -> None:
    assert main(["device", "revoke", str(hall_dir), "e-002"]) == 0
    assert main(["device", "revoke", str(hall_dir), "c-001"]) == 0
    authority = x509.load_pem_x509_certificate((hall_dir / "ca/evidence.pem").read_bytes())
    listed = x509.load_pem_x509_crl((hall_dir / "gateway/evidence.crl").read_bytes())
    assert listed.is_signature_valid(authority.public_key())
    assert listed.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number == 3
    entries = _entries(hall_dir)
    expected = {
        x509.load_der_x509_certificate(bytes.fromhex(str(entries[name]["certificate"]))).serial_number: entries[name][
            "revoked_at_s"
        ]
        for name in ("e-002", "c-001")
    }
    assert {one.serial_number: int(one.revocation_date_utc.timestamp()) for one in listed} == expected


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["revoke", "e-099"], "no device e-099"),
        (["revoke", "e-001"], "revoked already"),
        (["add", "--window", "09", "--name", "e-001"], "never given again"),
        (["add", "--window", "09", "--name", "gateway"], "reserved"),
        (["add", "--window", "09", "--name", "../../ca"], "1 to 32"),
        (["add", "--window", "x" * 17], "1 to 16"),
        (["add", "--window", ""], "1 to 16"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line_and_changes_nothing(
    hall_dir: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], word: str
) -> None:
    main(["device", "revoke", str(hall_dir), "e-001"])
    before = {path: path.read_bytes() for path in hall_dir.rglob("*") if path.is_file()}
    capsys.readouterr()
    assert main(["device", arguments[0], str(hall_dir), *arguments[1:]]) == 1
    said = capsys.readouterr().err
    assert word in said
    assert len(said.splitlines()) == 1
    assert {path: path.read_bytes() for path in hall_dir.rglob("*") if path.is_file()} == before


def test_a_folder_without_a_hall_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["list"], ["add", "--door", "D1"], ["revoke", "e-001"]):
        command, *rest = arguments
        assert main(["device", command, str(tmp_path), *rest]) == 1
        assert "is " + str(tmp_path) + " the folder of a hall?" in capsys.readouterr().err


@pytest.mark.parametrize("damage", ["", "{}", "[]", '{"hall": "yongxing", "devices": [{"device": "e-001"}]}'])
def test_a_damaged_registry_is_refused_and_left_as_it_is(
    hall_dir: Path, capsys: pytest.CaptureFixture[str], damage: str
) -> None:
    (hall_dir / "gateway/registry.json").write_text(damage)
    assert main(["device", "add", str(hall_dir), "--door", "D9", "--name", "c-009"]) == 1
    assert "registry.json is damaged" in capsys.readouterr().err
    assert (hall_dir / "gateway/registry.json").read_text() == damage
    assert not (hall_dir / "devices/c-009").exists()


def test_two_technicians_at_once_lose_no_device(hall_dir: Path) -> None:
    names = [f"x-{number}" for number in range(8)]
    threads = [
        threading.Thread(target=main, args=(["device", "add", str(hall_dir), "--door", "D9", "--name", name],))
        for name in names
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(names) <= set(_entries(hall_dir))


def test_a_registry_survives_writing_and_reading() -> None:
    known = registry.add(Registry("yongxing"), _device())
    known = registry.add(known, _device("c-001", registry.CLOCK, "北门"))
    known = registry.revoke(known, "e-001", 1_793_000_000)
    assert registry.from_text(registry.to_text(known)) == known


def test_no_name_stands_twice_in_a_registry() -> None:
    with pytest.raises(RegistryError, match="twice"):
        registry.of("yongxing", [_device(), _device()])


@pytest.mark.parametrize("key", [b"", PUBLIC[1:], PUBLIC + b"\0"])
def test_a_public_key_of_another_length_is_refused(key: bytes) -> None:
    with pytest.raises(RegistryError, match="65 bytes"):
        registry.of("yongxing", [Device("e-001", "evaluator", "01", "active", key, PUBLIC)])


def test_the_next_name_follows_the_highest_one_ever_given() -> None:
    known = registry.of("yongxing", [_device("e-001"), _device("e-007"), _device("ve-040"), _device("e-west")])
    assert registry.next_name(known, registry.EVALUATOR) == "e-008"
    assert registry.next_name(known, registry.CLOCK) == "c-001"


def test_help_of_every_command_says_what_it_is_for() -> None:
    for words, expected in [
        ([], "copy each part"),
        (["hall", "init"], "never overwrites"),
        (["device", "add"], "for the window of this number"),
        (["device", "revoke"], "device list"),
    ]:
        done = subprocess.run(
            [sys.executable, "-m", "provisioning.cli", *words, "--help"], capture_output=True, text=True, check=True
        )
        assert expected in " ".join(done.stdout.split())
