"""How a board starts: the modules that are frozen into an image, and boot.py, which opens no console and no port."""

import argparse
import ast
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from source_tree import REPOSITORY, modules

from provisioning import device_modules
from simulator import freezing

BOOT = REPOSITORY / "firmware/flash/boot.py"
RunVm = Callable[..., subprocess.CompletedProcess[str]]


def frozen(manifest: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """{target path: source path} of what a build would freeze, with stand-ins for what the build gives a manifest."""
    found: dict[str, Any] = {"included": []}
    here = manifest.parent

    def add(base: str, name: str) -> None:
        source = here / base / name
        assert source.is_file(), source
        assert found.setdefault(name, source.resolve()) == source.resolve()

    def package(name: str, files: list[str] | None = None, base_path: str = ".", opt: int | None = None) -> None:
        for file in files or [path.name for path in (here / base_path / name).glob("*.py")]:
            add(base_path, f"{name}/{file}")

    given = {
        "include": found["included"].append,
        "module": lambda name, base_path=".", opt=None: add(base_path, name),
        "package": package,
    }
    monkeypatch.chdir(here)  # as the build does
    exec(compile(manifest.read_text("utf-8"), "manifest.py", "exec"), given)
    return found


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """firmware/ and protocol/ as they stand, and nothing that was built."""
    for package in device_modules.PACKAGES:
        shutil.copytree(REPOSITORY / package, tmp_path / package)
    return tmp_path


def test_an_image_freezes_what_the_devices_need_and_nothing_of_the_host(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = frozen(checkout / "firmware/manifest.py", monkeypatch)
    assert found.pop("included") == ["$(PORT_DIR)/boards/manifest.py"]
    needed = {module for kind in device_modules.APPS for module in device_modules.sources(kind)}
    paths = {device_modules.path_of(module).relative_to(REPOSITORY).as_posix() for module in needed}
    assert {*paths, "boot.py"} <= set(found)
    more = set(found) - paths - {"boot.py"}  # of the wire, what the other side alone needs
    assert all(name.startswith("protocol/") and "host" not in name for name in more)
    assert found["boot.py"].read_text("utf-8") == BOOT.read_text("utf-8")


def test_a_new_module_is_frozen_without_a_word_to_the_manifest(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (checkout / "firmware/novelty.py").write_text("")
    assert "firmware/novelty.py" in frozen(checkout / "firmware/manifest.py", monkeypatch)


def test_a_small_board_freezes_linked_modules_and_no_older_ones(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HALLSEAL_LINKED", "1")
    with pytest.raises(SystemExit, match="run `make linked`"):
        frozen(checkout / "firmware/manifest.py", monkeypatch)
    freezing.run(argparse.Namespace(folder=checkout / "build/linked"))
    found = frozen(checkout / "firmware/manifest.py", monkeypatch)
    assert found.pop("included") == ["$(PORT_DIR)/boards/manifest.py"]
    assert found.pop("boot.py") == (checkout / "firmware/flash/boot.py").resolve()
    assert set(found) == {path.relative_to(checkout / "build/linked").as_posix() for path in found.values()}
    assert "firmware/main.py" in found
    (checkout / "protocol/cbor.py").write_text("")
    with pytest.raises(SystemExit, match="run `make linked`"):
        frozen(checkout / "firmware/manifest.py", monkeypatch)


def test_nothing_jumps_in_boot_before_the_console_is_closed() -> None:
    begin = [ast.unparse(node) for node in ast.parse(BOOT.read_text("utf-8")).body[1:3]]
    assert begin == ["import micropython", "micropython.kbd_intr(-1)"]


# Runs boot.py with a firmware of this test's own; what comes after it would be the console.
START = """
class loader:
    def program():
        def run():
{run}
        return run
class firmware:
    pass
firmware.loader = loader
sys.modules["firmware"] = firmware
with open({boot!r}) as file:
    source = file.read()
exec(source)
print("console")
"""


def started(run: str, source: Path = BOOT) -> str:
    body = "\n".join(f"            {line}" for line in run.splitlines())
    return START.format(run=body, boot=str(source))


@pytest.mark.micropython
@pytest.mark.parametrize(
    "run",
    [
        "return",
        "raise ValueError('device.cbor')",
        "raise KeyboardInterrupt",
        "raise MemoryError",
        "raise SystemExit(3)",
        "import nowhere",
    ],
)
def test_whatever_ends_the_firmware_no_console_opens(run_micropython: RunVm, run: str) -> None:
    done = run_micropython(started(f"print('running')\n{run}"))
    assert done.stdout.startswith("running\n"), done.stdout + done.stderr
    assert "console" not in done.stdout
    assert done.returncode == 0  # SystemExit: a board begins again


INTERRUPTED = """try:
    print('running')
    while True:
        pass
except KeyboardInterrupt:
    print('stopped')"""


def interrupted(micropython: str, script: str) -> tuple[int, str]:
    """Exit status and output of a script that gets a Ctrl-C while it runs."""
    process = subprocess.Popen([micropython, "-c", "import sys\n" + script], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line == "running\n", line
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=20)
    return process.returncode, output


@pytest.mark.micropython
def test_a_ctrl_c_reaches_no_code_of_the_device(micropython: str, tmp_path: Path) -> None:
    """On the VM the signal then has its usual meaning for the process; a board has none for it."""
    assert interrupted(micropython, started(INTERRUPTED)) == (-signal.SIGINT, "")
    open_boot = tmp_path / "boot.py"
    open_boot.write_text(BOOT.read_text("utf-8").replace("micropython.kbd_intr(-1)", ""))
    assert interrupted(micropython, started(INTERRUPTED, open_boot)) == (0, "stopped\n")


# What would open a port or a second console.
OPENING = {"start_server", "dupterm", "webrepl", "socket", "usocket", "espnow", "bluetooth"}


def test_a_device_listens_nowhere() -> None:
    wrong = [
        f"{module.name}:{node.lineno}"
        for module in modules()
        if module.package in ("firmware", "protocol")
        for node in ast.walk(module.tree)
        if (isinstance(node, ast.Attribute) and node.attr in OPENING)
        or (isinstance(node, ast.Name) and node.id in OPENING)
        or (isinstance(node, ast.alias) and node.name.split(".")[0] in OPENING)
    ]
    assert wrong == []
