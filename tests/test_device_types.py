"""Types of the code that runs on MicroPython: what it calls exists on an ESP32, and below it on the virtual machine."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from source_tree import REPOSITORY

TYPINGS = REPOSITORY / ".venv-typings"
# The stubs that a configuration reads, which `make venv` installs by their lock.
STUBS = {"firmware/mypy.ini": "esp32", "simulator/vm/mypy.ini": "unix"}

# What a device would stumble over: wrong only on MicroPython, or only on this port, or against our own code.
PLANTED = {
    "firmware": {
        "import machine\nmachine.Pin(4, machine.Pin.PULL_SIDEWAYS)": "attr-defined",
        "import time\ntime.monotonic()": "attr-defined",
        "import hashlib\nhashlib.blake2b(b'')": "attr-defined",
        "import dataclasses": "import-not-found",
        "import network\nnetwork.WLAN(network.STA_IF).conect()": "attr-defined",
        "from firmware.uptime import Uptime\nUptime()": "call-arg",
        "from protocol import cbor\ncbor.decode('text')": "arg-type",
    },
    "simulator/vm": {
        "import select\nselect.kqueue()": "attr-defined",
        "from flash_device import FlashDevice\nFlashDevice(1, 2)": "call-arg",
    },
}


def checked(config: str, folder: Path) -> str:
    """What mypy prints for a tree; it ends with Success or with the number of errors."""
    assert (TYPINGS / STUBS[config] / "made.stamp").is_file(), "`make venv` installs the types of MicroPython"
    command = [sys.executable, "-m", "mypy", "--config-file", config, "--cache-dir", str(folder / ".mypy_cache")]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The code of the devices, to plant errors in."""
    folder = tmp_path_factory.mktemp("types")
    for package in ("protocol", "firmware", "simulator/vm"):
        shutil.copytree(REPOSITORY / package, folder / package)
    (folder / ".venv-typings").symlink_to(TYPINGS)
    return folder


@pytest.mark.parametrize("config", STUBS)
def test_the_code_of_devices_calls_what_their_interpreter_has(config: str, tree: Path) -> None:
    assert checked(config, tree).startswith("Success: no issues found in"), checked(config, tree)


@pytest.mark.parametrize("package", PLANTED)
def test_what_an_interpreter_of_devices_lacks_is_found(package: str, tree: Path) -> None:
    planted = PLANTED[package]
    path = tree / package / "planted.py"
    functions = [
        f"def f{number}():\n" + "\n".join(f"    {line}" for line in source.splitlines())
        for number, source in enumerate(planted)
    ]
    path.write_text("\n".join(functions) + "\n")
    try:
        told = checked(f"{package}/mypy.ini", tree)
    finally:
        path.unlink()
    found = re.findall(rf"{package}/planted\.py:\d+: error: .*\[([a-z-]+)\]", told)
    assert found == list(planted.values()), told


def test_what_is_ignored_has_a_reason() -> None:
    """And there is little of it."""
    ignored = [
        f"{path.name}: {line}"
        for folder in ("firmware", "simulator/vm")
        for path in (REPOSITORY / folder).rglob("*.py")
        for line in path.read_text("utf-8").splitlines()
        if "type: ignore" in line
    ]
    assert [line for line in ignored if not re.search(r"type: ignore\[[a-z,-]+\]  # \w", line)] == []
    assert len(ignored) <= 10
