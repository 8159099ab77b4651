"""Figures that tests measure are printed where people read them: at the end of a run, also of one with workers."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent
MEASURING = """
def test_a_budget_that_is_kept(figure):
    figure("a heap", "12 bytes (budget 20)")
    figure("sizes", "1 and 2")

def test_a_budget_that_is_not(figure):
    figure("b heap, which is long", "22 bytes (budget 20)")
    assert False

def test_without():
    pass
"""


@pytest.mark.parametrize("workers", ["0", "2"])
def test_figures_are_printed_whether_their_tests_pass_or_fail(tmp_path: Path, workers: str) -> None:
    (tmp_path / "test_measuring.py").write_text(MEASURING)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "conftest", "-p", "no:cacheprovider", "-n", workers]
    settings = ["-c", str(TESTS.parent / "pyproject.toml"), "--rootdir", str(tmp_path)]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    environment = {**inherited, "PYTHONPATH": os.pathsep.join((str(TESTS), str(TESTS.parent)))}
    done = subprocess.run(
        [*command, *settings, str(tmp_path)], capture_output=True, text=True, env=environment, timeout=60, check=False
    )
    lines = done.stdout.splitlines()
    begin = next((number for number, line in enumerate(lines) if " budgets " in line), None)
    assert begin is not None, done.stdout + done.stderr
    assert lines[begin + 1 : begin + 4] == [
        "a heap                 12 bytes (budget 20)",
        "b heap, which is long  22 bytes (budget 20)",
        "sizes                  1 and 2",
    ]
    assert "1 failed, 2 passed" in done.stdout
