"""A power cut at every operation of the flash loses no confirmed record: the journal on littlefs, on the VM."""

import re

import pytest
import vm_module

pytestmark = [pytest.mark.micropython, pytest.mark.xdist_group("firmware_vm")]

# The flash lies in the heap here, beside the journal.
HEAP = "320K"
TIMEOUT_S = 150


def cuts(micropython: str, **settings: object) -> tuple[int, int]:
    """(cases, how many had an unconfirmed record that survived) of journal_cuts.py with these settings."""
    done = vm_module.run(micropython, "journal_cuts", HEAP, TIMEOUT_S, **settings)
    found = re.search(r"^cases=(\d+) unconfirmed=(\d+)$", done.stdout, re.MULTILINE)
    assert found and done.returncode == 0, done.stdout + done.stderr
    return int(found[1]), int(found[2])


@pytest.mark.parametrize(("program_bytes", "step"), [(32, 3), (128, 1)])
def test_a_power_cut_loses_no_confirmed_record(micropython: str, program_bytes: int, step: int) -> None:
    cases, survivors = cuts(micropython, PROGRAM_BYTES=program_bytes, CUT_FIRST=0, CUT_STEP=step, CUT_SHARES="0,1,2")
    print(f"{cases} cuts, in {survivors} of them an unconfirmed record survived")
    assert cases > 300 and 0 < survivors < cases
