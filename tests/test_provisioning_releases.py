"""A release through the hands of its holders: who signs what, what is refused in which words, what is published."""

import datetime
import hashlib
import os
import shutil
import stat
from pathlib import Path

import pytest
from gateway_hall import GatewayHall
from sealing_device import SealingDevice

from protocol import command, release
from protocol.suite_host import HostSuite
from provisioning import bundle as bundles
from provisioning import holders, publication, release_notice
from provisioning.cli import main
from provisioning.hall_folder import HallFolder
from provisioning.release_notice import ReleaseError, Terms

NOW = datetime.datetime.now(datetime.UTC)
NOW_S = int(NOW.timestamp())
UNTIL = (NOW + datetime.timedelta(days=30)).date()
CONTENT = bundles.pack({"firmware/evaluator.mpy": bytes(5000)})
SUITE = HostSuite()

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A bundle as `release build` leaves it, alone in a folder."""
    path = tmp_path / "built" / "evaluator.bundle"
    path.parent.mkdir()
    path.write_bytes(CONTENT)
    return path


def _sign(hall: Path, bundle: Path, number: int, *more: str) -> int:
    return main(["release", "sign", str(bundle), "--holder", str(hall / f"release/holder-{number}"), *more])


def _first(hall: Path, bundle: Path, number: int = 1, **changes: str) -> int:
    said = {"kind": "evaluator", "sequence": "6", "version": "0.2.0", "until": f"{UNTIL}", **changes}
    return _sign(hall, bundle, number, *(word for name, value in said.items() for word in (f"--{name}", value)))


def _signed(hall: Path, bundle: Path, **changes: str) -> None:
    assert (_first(hall, bundle, 1, **changes), _sign(hall, bundle, 3)) == (0, 0)


def _publish(hall: Path, bundle: Path) -> int:
    return main(["release", "publish", str(hall), str(bundle)])


def _publics(hall: Path) -> list[bytes]:
    return list(HallFolder(hall).release_keys())


def _refused(capsys: Capture, status: int) -> str:
    """The one line that says why."""
    assert status == 1
    said = capsys.readouterr()
    assert said.err.startswith("hallseal-provision: ")
    assert len(said.err.splitlines()) == 1
    return said.err


# --- Signing.


@pytest.mark.parametrize("pair", [(1, 2), (2, 3), (3, 1)])
def test_two_holders_one_after_the_other_make_a_notice_that_a_device_takes(
    hall_dir: Path, bundle: Path, pair: tuple[int, int], capsys: Capture
) -> None:
    assert _first(hall_dir, bundle, pair[0]) == 0
    said = capsys.readouterr().out
    assert f"Holder {pair[0]} has signed" in said
    assert "1 more must sign: give evaluator.bundle and evaluator.notice to another holder." in said
    assert _sign(hall_dir, bundle, pair[1]) == 0
    said = capsys.readouterr().out
    assert "That is enough. Publish it: hallseal-provision release publish HALL" in said
    assert hashlib.sha256(CONTENT).hexdigest() in said
    data = bundle.with_suffix(".notice").read_bytes()
    found = release.open(SUITE, _publics(hall_dir), data)
    assert (found.device_class, found.sequence, found.version) == ("evaluator", 6, "0.2.0")
    assert (found.size_bytes, found.digest) == (len(CONTENT), hashlib.sha256(CONTENT).digest())
    last = datetime.datetime.fromtimestamp(found.expires_s - 1, datetime.UTC)
    assert (last.date(), last.hour, last.minute) == (UNTIL, 23, 59)
    command.encode(command.Command("e-001", "yongxing", 1, 1, command.UPDATE_NOTICE, 1, {command.RELEASE: data}))


def test_all_three_may_sign_and_the_notice_still_fits_its_message(hall_dir: Path, bundle: Path) -> None:
    long = {"kind": "evaluator", "sequence": "4294967295", "version": "v" * 16, "until": "2105-12-31"}
    assert _first(hall_dir, bundle, 1, **long) == _sign(hall_dir, bundle, 2) == _sign(hall_dir, bundle, 3) == 0
    data = bundle.with_suffix(".notice").read_bytes()
    command.encode(command.Command("e-001", "yongxing", 1, 1, command.UPDATE_NOTICE, 1, {command.RELEASE: data}))


def test_a_holder_signs_on_a_machine_of_their_own(hall_dir: Path, bundle: Path, tmp_path: Path) -> None:
    away = tmp_path / "stick"
    shutil.move(hall_dir / "release/holder-2", away)
    assert _first(hall_dir, bundle) == 0
    shutil.move(hall_dir, tmp_path / "elsewhere")
    assert main(["release", "sign", str(bundle), "--holder", str(away)]) == 0


def test_the_second_holder_may_repeat_the_words_of_the_first(hall_dir: Path, bundle: Path) -> None:
    assert _first(hall_dir, bundle, 1) == _first(hall_dir, bundle, 2) == 0


@pytest.mark.parametrize(
    ("name", "value"),
    [("kind", "clock"), ("sequence", "7"), ("version", "0.2.1"), ("until", f"{UNTIL + datetime.timedelta(days=1)}")],
)
def test_a_holder_who_says_something_else_signs_nothing(
    hall_dir: Path, bundle: Path, name: str, value: str, capsys: Capture
) -> None:
    assert _first(hall_dir, bundle) == 0
    before = bundle.with_suffix(".notice").read_bytes()
    capsys.readouterr()
    said = _refused(capsys, _sign(hall_dir, bundle, 2, f"--{name}", value))
    assert f"says another {name} than --{name}; leave the option out to sign what stands there" in said
    assert bundle.with_suffix(".notice").read_bytes() == before


def test_one_holder_never_counts_twice(hall_dir: Path, bundle: Path, capsys: Capture) -> None:
    assert _first(hall_dir, bundle, 2) == 0
    capsys.readouterr()
    said = _refused(capsys, _sign(hall_dir, bundle, 2))
    assert "holder 2 has signed" in said
    assert "give it to another holder" in said
    assert _sign(hall_dir, bundle, 1) == 0
    capsys.readouterr()
    assert "it has enough signatures; publish it" in _refused(capsys, _sign(hall_dir, bundle, 2))


def test_the_first_holder_is_told_what_to_say(hall_dir: Path, bundle: Path, capsys: Capture) -> None:
    said = _refused(capsys, _sign(hall_dir, bundle, 1, "--kind", "evaluator"))
    assert "the first holder also gives --sequence --version --until" in said
    assert not bundle.with_suffix(".notice").exists()


@pytest.mark.parametrize(
    ("changes", "word"),
    [({"sequence": "0"}, "sequence"), ({"version": "v" * 17}, "version"), ({"version": ""}, "version")],
)
def test_what_no_device_would_take_is_not_begun(
    hall_dir: Path, bundle: Path, changes: dict[str, str], word: str, capsys: Capture
) -> None:
    said = _refused(capsys, _first(hall_dir, bundle, **changes))
    assert f"no device would take such a notice: {word} is out of range" in said


@pytest.mark.parametrize("content", [b"", bytes(262145)])
def test_a_bundle_that_no_slot_holds_is_not_signed(
    hall_dir: Path, bundle: Path, content: bytes, capsys: Capture
) -> None:
    bundle.write_bytes(content)
    assert "a bundle has 1 to 262144" in _refused(capsys, _first(hall_dir, bundle))


def test_a_bundle_is_signed_only_for_the_kind_of_device_that_it_was_built_for(
    hall_dir: Path, bundle: Path, capsys: Capture
) -> None:
    said = _refused(capsys, _first(hall_dir, bundle, kind="clock"))
    assert "holds no program of a clock; give the --kind that it was built for" in said
    bundle.write_bytes(b"#!/bin/sh")
    assert "this is no bundle of Hallseal; build it again" in _refused(capsys, _first(hall_dir, bundle))
    assert not bundle.with_suffix(".notice").exists()


@pytest.mark.parametrize("content", [CONTENT[:-1], CONTENT[:-1] + b"x"])
def test_nobody_signs_or_publishes_a_notice_beside_another_bundle(
    hall_dir: Path, bundle: Path, content: bytes, capsys: Capture
) -> None:
    _signed(hall_dir, bundle)
    bundle.write_bytes(content)
    capsys.readouterr()
    for refuse in (lambda: _sign(hall_dir, bundle, 2), lambda: _publish(hall_dir, bundle)):
        said = _refused(capsys, refuse())
        assert f"was made for another bundle of {len(CONTENT)} bytes" in said
        assert "fetch that bundle, or remove the notice" in said


def test_a_release_that_has_expired_is_neither_signed_nor_published(hall_dir: Path, bundle: Path) -> None:
    holder = holders.load(hall_dir / "release/holder-1", SUITE)
    yesterday = NOW.date() - datetime.timedelta(days=1)
    terms = Terms("evaluator", 6, "0.2.0", yesterday)
    with pytest.raises(ReleaseError, match=r"expired at .* UTC.* begin again with a later --until"):
        release_notice.sign(bundle, holder, terms, SUITE, NOW_S)
    assert not bundle.with_suffix(".notice").exists()
    _signed(hall_dir, bundle)
    later_s = NOW_S + 32 * 86400
    with pytest.raises(ReleaseError, match="expired at"):
        release_notice.sign(bundle, holders.load(hall_dir / "release/holder-2", SUITE), Terms(), SUITE, later_s)
    with pytest.raises(ReleaseError, match="expired at"):
        publication.publish(HallFolder(hall_dir), bundle, SUITE, later_s)
    assert not (hall_dir / "gateway/releases").exists()


def test_the_last_day_of_a_release_is_a_whole_day(hall_dir: Path, bundle: Path) -> None:
    holder = holders.load(hall_dir / "release/holder-1", SUITE)
    end_s = int(datetime.datetime.combine(UNTIL, datetime.time(23, 59, 59), datetime.UTC).timestamp())
    draft = release_notice.sign(bundle, holder, Terms("evaluator", 6, "0.2.0", UNTIL), SUITE, end_s)
    assert draft.notice.expires_s == end_s + 1


def test_the_signature_of_another_hall_is_not_counted_but_refused(
    hall_dir: Path, bundle: Path, tmp_path: Path, capsys: Capture
) -> None:
    assert main(["hall", "init", str(tmp_path / "other"), "--hall", "other"]) == 0
    assert _first(tmp_path / "other", bundle) == 0
    capsys.readouterr()
    said = _refused(capsys, _sign(hall_dir, bundle, 1))
    assert "is damaged, or was signed for another hall" in said
    assert "let the holders sign again" in said
    assert "another hall" in _refused(capsys, _publish(hall_dir, bundle))


def _exposed(folder: Path) -> None:
    (folder / "release.key").chmod(0o640)


HOLDER_FAULTS = [
    (lambda folder: shutil.rmtree(folder), "name the folder of a holder, which has release.key and release.pub"),
    (lambda folder: (folder / "release.key").unlink(), "name the folder of a holder"),
    (_exposed, "can be read by others; run: chmod 600"),
    (lambda folder: (folder / "release.key").write_bytes(bytes(31)), "must have 32 bytes; take the copy in the safe"),
    (lambda folder: (folder / "release.key").write_bytes(bytes(32)), "is damaged; take the copy in the safe"),
    (lambda folder: (folder / "release.key").write_bytes(SUITE.generate_private()), "is none of the keys in"),
    (lambda folder: (folder / "release.pub").write_bytes(bytes(194)), "release.pub must have 195 bytes"),
]


@pytest.mark.parametrize(("spoil", "words"), HOLDER_FAULTS)
def test_a_holders_folder_that_cannot_be_used_is_named(
    hall_dir: Path, bundle: Path, spoil: object, words: str, capsys: Capture
) -> None:
    assert callable(spoil)
    spoil(hall_dir / "release/holder-1")
    assert words in _refused(capsys, _first(hall_dir, bundle))
    assert not bundle.with_suffix(".notice").exists()


def test_nothing_that_is_said_or_written_holds_a_private_key(hall_dir: Path, bundle: Path, capsys: Capture) -> None:
    _signed(hall_dir, bundle)
    assert _publish(hall_dir, bundle) == 0
    said = capsys.readouterr().out
    for number in (1, 2, 3):
        private = (hall_dir / f"release/holder-{number}/release.key").read_bytes()
        assert private.hex() not in said
        for path in (*bundle.parent.iterdir(), *(hall_dir / "gateway").rglob("*")):
            assert path.is_dir() or private not in path.read_bytes(), path


# --- Publishing.


def test_what_two_have_signed_lies_ready_for_the_gateway(hall_dir: Path, bundle: Path, capsys: Capture) -> None:
    _signed(hall_dir, bundle)
    assert _publish(hall_dir, bundle) == 0
    said = capsys.readouterr().out
    assert "Copy gateway/releases/evaluator-6.bundle to the gateway, then evaluator-6.notice" in said
    folder = hall_dir / "gateway/releases"
    assert sorted(path.name for path in folder.iterdir()) == ["evaluator-6.bundle", "evaluator-6.notice"]
    assert (folder / "evaluator-6.bundle").read_bytes() == CONTENT
    assert (folder / "evaluator-6.notice").read_bytes() == bundle.with_suffix(".notice").read_bytes()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o644}


def test_one_signature_is_not_published(hall_dir: Path, bundle: Path, capsys: Capture) -> None:
    assert _first(hall_dir, bundle) == 0
    capsys.readouterr()
    assert "is signed by 1 of 2 holders; let another one sign" in _refused(capsys, _publish(hall_dir, bundle))
    assert not (hall_dir / "gateway/releases").exists()


@pytest.mark.parametrize("sequence", ["5", "6"])
def test_a_number_that_is_not_above_what_is_published_is_refused(
    hall_dir: Path, bundle: Path, sequence: str, capsys: Capture
) -> None:
    _signed(hall_dir, bundle)
    assert _publish(hall_dir, bundle) == 0
    bundle.with_suffix(".notice").unlink()
    _signed(hall_dir, bundle, sequence=sequence)
    capsys.readouterr()
    said = _refused(capsys, _publish(hall_dir, bundle))
    assert f"sequence {sequence} is not above 6, which is published for every evaluator" in said
    assert "with --sequence 7" in said
    bundle.with_suffix(".notice").unlink()
    _signed(hall_dir, bundle, sequence="7")
    assert _publish(hall_dir, bundle) == 0


def test_kinds_of_devices_are_numbered_on_their_own(hall_dir: Path, bundle: Path) -> None:
    _signed(hall_dir, bundle)
    assert _publish(hall_dir, bundle) == 0
    other = bundle.with_name("clock.bundle")
    other.write_bytes(bundles.pack({"firmware/clock.mpy": b"program"}))
    _signed(hall_dir, other, kind="clock", sequence="2")
    assert _publish(hall_dir, other) == 0


def test_a_damaged_notice_among_the_published_is_named(hall_dir: Path, bundle: Path, capsys: Capture) -> None:
    _signed(hall_dir, bundle)
    (hall_dir / "gateway/releases").mkdir()
    (hall_dir / "gateway/releases/evaluator-5.notice").write_bytes(b"half")
    capsys.readouterr()
    assert "evaluator-5.notice is damaged; remove it, then publish" in _refused(capsys, _publish(hall_dir, bundle))


def test_a_publication_that_was_cut_off_is_begun_again(
    hall_dir: Path, bundle: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    _signed(hall_dir, bundle)
    replace = Path.replace

    def cut(path: Path, target: Path) -> Path:
        if target.suffix == ".notice":
            raise OSError(28, "No space left on device")
        return replace(path, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", cut)
        assert "No space left" in _refused(capsys, _publish(hall_dir, bundle))
    whole = [path.name for path in (hall_dir / "gateway/releases").iterdir() if path.suffix != ".new"]
    assert whole == ["evaluator-6.bundle"], "the gateway sees no release before it is complete"
    assert _publish(hall_dir, bundle) == 0
    assert len(os.listdir(hall_dir / "gateway/releases")) == 2


def test_files_that_are_not_there_are_named(hall_dir: Path, tmp_path: Path, capsys: Capture) -> None:
    assert "nothing.bundle: No such file" in _refused(capsys, _first(hall_dir, tmp_path / "nothing.bundle"))
    (tmp_path / "alone.bundle").write_bytes(CONTENT)
    said = _refused(capsys, _publish(hall_dir, tmp_path / "alone.bundle"))
    assert "alone.notice: No such file" in said
    assert "bundle and notice must lie side by side" in said
    assert "is" in _refused(capsys, _publish(tmp_path, tmp_path / "alone.bundle"))


def test_help_names_both_steps(capsys: Capture) -> None:
    for words, expected in ((["sign"], "the second holder   hallseal-provision"), (["publish"], "bundle first")):
        with pytest.raises(SystemExit) as ended:
            main(["release", *words, "--help"])
        assert ended.value.code == 0
        assert expected in capsys.readouterr().out


def test_the_gateway_offers_what_was_published(hall_dir: Path, bundle: Path, tmp_path: Path) -> None:
    """The technician's two commands, the gateway's folder as they leave it, and a device's heartbeat."""
    _signed(hall_dir, bundle)
    assert _publish(hall_dir, bundle) == 0
    work = tmp_path / "gateway"
    shutil.copytree(hall_dir / "gateway/releases", work / "releases")
    gateway = GatewayHall(work, [("e-001", "evaluator")], started=True, release_publics=_publics(hall_dir))
    device: SealingDevice = gateway.devices["e-001"]
    gateway.real.now_s = NOW_S
    gateway.take(device.heartbeat(at_s=NOW_S, CONFIG_VERSION=1, RELEASE=0))
    ((_, offer),) = gateway.down(device, 1)
    assert offer.claims[command.RELEASE] == bundle.with_suffix(".notice").read_bytes()
    gateway.stop()
