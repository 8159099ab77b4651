"""The firmware as it ships: one bundle for each kind of device, the same bytes every time, and flash that a VM runs."""

import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from protocol import cbor
from protocol.release import BUNDLE_MAGIC as MAGIC
from provisioning import bundle, cli, device_modules, release
from provisioning.bundle import BundleError
from simulator import flash_image

REPOSITORY = Path(__file__).resolve().parent.parent
RunVm = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def bundles() -> dict[str, bytes]:
    return {kind: bundle.build(kind) for kind in release.KINDS}


def tree(folder: Path, sources: dict[str, str]) -> Path:
    """A source tree with the modules that every device begins with, and these."""
    empty = dict.fromkeys(("firmware/__init__", "protocol/__init__", "firmware/main"), '"""Nothing."""\n')
    for modules in device_modules.APPS.values():
        empty |= dict.fromkeys((module.replace(".", "/") for module in modules), "pass\n")
    boot = {device_modules.BOOT.removesuffix(".py"): "from firmware import main\n"}
    for name, source in {**empty, **boot, **sources}.items():
        path = folder / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source, "utf-8")
    return folder


def framed(table: object, content: bytes = b"") -> bytes:
    encoded = cbor.encode(table)
    return MAGIC + len(encoded).to_bytes(2, "big") + encoded + content


def test_the_same_sources_make_the_same_bytes(tmp_path: Path, bundles: dict[str, bytes]) -> None:
    for package in device_modules.PACKAGES:
        shutil.copytree(REPOSITORY / package, tmp_path / package)
        for path in (tmp_path / package).rglob("*.py"):
            os.utime(path, (0, 0))
    for kind, made in bundles.items():
        assert bundle.build(kind, tmp_path) == made


def test_another_source_makes_other_bytes(tmp_path: Path) -> None:
    before = bundle.build("clock", tree(tmp_path, {}))
    assert bundle.build("clock", tree(tmp_path, {"firmware/clock": "X = 1\n"})) != before


def test_a_kind_gets_what_it_needs_and_nothing_of_the_other(bundles: dict[str, bytes]) -> None:
    names = {kind: {name for name, _ in bundle.rows(made)} for kind, made in bundles.items()}
    both = names["evaluator"] & names["clock"]
    assert {"firmware/main.mpy", "firmware/board_esp32.mpy", "protocol/suite_device.mpy"} <= both
    assert {f"{package}/__init__.mpy" for package in device_modules.PACKAGES} <= both
    assert {"firmware/ballot.mpy", "firmware/board_evaluator.mpy", "firmware/keypad.mpy"} <= names["evaluator"] - both
    assert {"firmware/fingerprint.mpy", "firmware/board_clock.mpy", "firmware/enrolment.mpy"} <= names["clock"] - both
    assert not {"protocol/suite_host.mpy", "firmware/manifest.mpy"} & (names["evaluator"] | names["clock"])


def test_every_module_of_the_firmware_is_needed_by_some_kind(bundles: dict[str, bytes]) -> None:
    shipped = {name for made in bundles.values() for name, _ in bundle.rows(made)}
    folders = [REPOSITORY / package for package in device_modules.PACKAGES]
    there = {f"{folder.name}/{path.stem}.mpy" for folder in folders for path in folder.glob("*.py")}
    assert {name for name in there - shipped if name.startswith("firmware/")} == {"firmware/manifest.mpy"}
    assert "protocol/suite_host.mpy" in there - shipped


def test_an_import_within_a_function_is_an_import(tmp_path: Path) -> None:
    sources = {
        "firmware/main": "def run():\n    from firmware import late\n    late.go()\n",
        "firmware/late": "from protocol.wire import WORD\nimport os\ndef go():\n    import firmware.later\n",
        "firmware/later": "try:\n    from firmware.clock import Clock\nexcept ImportError:\n    Clock = None\n",
        "protocol/wire": "WORD = 1\n",
        "protocol/unused": "",
    }
    found = device_modules.sources("evaluator", tree(tmp_path, sources))
    assert list(found) == [
        *("firmware", "firmware.board_evaluator", "firmware.evaluator", "firmware.late", "firmware.later"),
        *("firmware.main", "protocol", "protocol.wire"),
    ]


def test_what_went_in_comes_out(bundles: dict[str, bytes]) -> None:
    for made in bundles.values():
        files = bundle.unpack(made)
        assert [(name, len(content)) for name, content in files.items()] == bundle.rows(made)
        assert all(content[:2] == b"M\x06" for content in files.values())  # bytecode of version 6
        assert bundle.pack(files) == made


ROW = ["firmware/main.mpy", 2]


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (b"", "no bundle"),
        (MAGIC, "no bundle"),
        (framed([ROW], b"ab").replace(b"bundle 1", b"bundle 2"), "no bundle"),
        (MAGIC + b"\x00\x09" + cbor.encode([ROW]), "damaged"),
        (MAGIC + b"\x00\x50" + cbor.encode([ROW]), "cut off"),
        (MAGIC + b"\xff\xff" + bytes(70000), "too long"),
        (framed([ROW], b"a"), "cut off"),
        (framed([ROW], b"abc"), "follows"),
        (framed([]), "1 to 128"),
        (framed({1: ROW}), "1 to 128"),
        (framed([[f"firmware/a{number:03}.mpy", 0] for number in range(129)]), "1 to 128"),
        (framed([["firmware/main.mpy"]]), "not [name, size]"),
        (framed([[*ROW, 1]], b"ab"), "not [name, size]"),
        (framed(["firmware/main.mpy"]), "not [name, size]"),
        (framed([[1, 2]], b"ab"), "a name"),
        *(
            (framed([[name, 2]], b"ab"), "a name")
            for name in (
                *("main.mpy", "../main.mpy", "firmware/../main.mpy", "/firmware/main.mpy", "firmware/a/b.mpy"),
                *("firmware/main.py", "firmware/Main.mpy", "firmware/.mpy", "firmware/main.mpy\n", "gateway/main.mpy"),
                *("firmware/%s.mpy" % ("a" * 41), "firmware/主.mpy", "protocol\\main.mpy"),
            )
        ),
        (framed([["firmware/main.mpy", -1]]), "no size"),
        (framed([["firmware/main.mpy", True]], b"a"), "no size"),
        (framed([["firmware/main.mpy", "2"]], b"ab"), "no size"),
        (framed([ROW, ROW], b"abab"), "place"),
        (framed([["protocol/a.mpy", 1], ROW], b"abc"), "place"),
        (framed([["firmware/main.mpy", 256 * 1024 + 1]], bytes(256 * 1024 + 1)), "262144 are allowed"),
    ],
)
def test_what_is_no_bundle_is_refused_with_its_reason(wrong: bytes, why: str) -> None:
    for read in (bundle.rows, bundle.unpack):
        with pytest.raises(BundleError) as caught:
            read(wrong)
        assert why in str(caught.value)


def test_the_largest_bundle_is_one() -> None:
    rows = [[f"firmware/a{number:03}.mpy", 2048] for number in range(128)]
    assert len(bundle.rows(framed(rows, bytes(256 * 1024)))) == 128


def test_release_build_writes_both_bundles_and_tells_sizes_and_digests(
    tmp_path: Path, bundles: dict[str, bytes], capsys: pytest.CaptureFixture[str], figure: Callable[[str, str], None]
) -> None:
    assert cli.main(["release", "build", str(tmp_path / "out")]) == 0
    told = capsys.readouterr().out
    for kind, made in bundles.items():
        assert (tmp_path / "out" / f"{kind}.bundle").read_bytes() == made
        assert hashlib.sha256(made).hexdigest() in told
        total = sum(size for _, size in bundle.rows(made))
        assert f"{total:,}  bytes of .mpy, budget 163,840" in told
        assert total <= 160 * 1024
        figure(f"{kind}, .mpy files", f"{total:,} bytes (budget 163,840), bundle {len(made):,} bytes")
    for name, size in bundle.rows(bundles["clock"]):
        assert f"{size:,}  {name}" in told


def test_release_build_of_one_kind_writes_that_alone(tmp_path: Path) -> None:
    assert cli.main(["release", "build", str(tmp_path), "--kind", "clock"]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["clock.bundle"]


def test_a_firmware_beyond_its_budget_is_an_error_and_writes_nothing(tmp_path: Path) -> None:
    source = tree(tmp_path / "source", {"firmware/clock": f"TABLE = {bytes(900)!r}\n"})
    with pytest.raises(release.BudgetError, match=r"the modules of the clock have \d+ bytes, 900 are allowed"):
        release.build(tmp_path / "out", lambda line: None, root=source, budget_bytes=900)
    assert not (tmp_path / "out").exists()


def test_a_release_beyond_its_budget_or_that_does_not_compile_is_an_exit_status(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def failing(*_: object) -> None:
        raise release.BudgetError("too large")

    monkeypatch.setattr(release, "build", failing)
    assert cli.main(["release", "build", str(tmp_path)]) == 1
    assert capsys.readouterr().err == "hallseal-provision: too large\n"


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("def f(:\n", "firmware.clock is no Python: line 1"),
        ("from firmware import main\nmatch main:\n    case 1: pass\n", "firmware/clock.py does not compile: .*line 2"),
        ("import firmware.nowhere\n", "the source of firmware.nowhere is missing"),
    ],
)
def test_a_module_that_makes_no_firmware_is_named(tmp_path: Path, source: str, words: str) -> None:
    with pytest.raises(device_modules.SourceError, match=words):
        bundle.build("clock", tree(tmp_path, {"firmware/clock": source}))


IMPORT_ALL = """
import os, vfs
sys.path.insert(0, sys.argv[1] + "/simulator/vm")
from flash_device import FlashDevice
vfs.mount(vfs.VfsLfs2(FlashDevice(sys.argv[2])), "/flash")
with open(sys.argv[3], "rb") as file:
    bundle = file.read()
from protocol import cbor
at = 20 + int.from_bytes(bundle[18:20], "big")
for folder in ("/flash/slot", "/flash/slot/firmware", "/flash/slot/protocol"):
    os.mkdir(folder)
rows = cbor.decode(bundle[20:at])
for name, size in rows:
    with open("/flash/slot/" + name, "wb") as file:
        file.write(bundle[at : at + size])
    at += size
for name in [name for name in sys.modules if name.split(".")[0] in ("protocol", "firmware")]:
    del sys.modules[name]
sys.path[:] = ["/flash/slot", ".frozen"]
class Hardware:
    pass
for name in ("machine", "network", "esp32"):
    sys.modules[name] = Hardware
for name, _ in rows:
    module = name[:-4].replace("/__init__", "").replace("/", ".")
    found = __import__(module, None, None, ("x",))
    assert found.__file__ == "/flash/slot/" + name, found
print("imported", len(rows))
"""


@pytest.mark.micropython
@pytest.mark.parametrize("kind", release.KINDS)
def test_a_vm_runs_the_modules_of_a_bundle_from_littlefs(
    kind: str, bundles: dict[str, bytes], run_micropython: RunVm, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    flash_image.make(tmp_path / "empty", tmp_path / "flash")
    (tmp_path / "bundle").write_bytes(bundles[kind])
    done = run_micropython(
        IMPORT_ALL, str(REPOSITORY), str(tmp_path / "flash"), str(tmp_path / "bundle"), heap_kib=1024
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == f"imported {len(bundle.rows(bundles[kind]))}"
