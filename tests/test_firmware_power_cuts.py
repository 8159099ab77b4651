"""A power cut at every operation of the flash loses no confirmed record: the journal on littlefs, on the VM."""

import os
import re
import subprocess
from pathlib import Path

import pytest

pytestmark = [pytest.mark.micropython, pytest.mark.xdist_group("firmware_vm")]

TESTS = Path(__file__).resolve().parent
# The flash lies in the heap here, beside the journal.
HEAP = "320K"
_BOOT = "import sys; sys.path[:0] = [{root!r}, {tests!r}]; import journal_cuts"


def cuts(micropython: str, **settings: object) -> tuple[int, int]:
    """(cases, how many had an unconfirmed record that survived) of journal_cuts.py with these settings."""
    environment = os.environ | {name: str(value) for name, value in settings.items()}
    script = _BOOT.format(root=str(TESTS.parent), tests=str(TESTS))
    done = subprocess.run(
        [micropython, "-X", f"heapsize={HEAP}", "-c", script],
        env=environment,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    found = re.search(r"^cases=(\d+) unconfirmed=(\d+)$", done.stdout, re.MULTILINE)
    assert found and done.returncode == 0, done.stdout + done.stderr
    return int(found[1]), int(found[2])


@pytest.mark.parametrize(("program_bytes", "step"), [(32, 3), (128, 1)])
def test_a_power_cut_loses_no_confirmed_record(micropython: str, program_bytes: int, step: int) -> None:
    cases, survivors = cuts(micropython, PROGRAM_BYTES=program_bytes, CUT_FIRST=0, CUT_STEP=step, CUT_SHARES="0,1,2")
    print(f"{cases} cuts, in {survivors} of them an unconfirmed record survived")
    assert cases > 300 and 0 < survivors < cases
