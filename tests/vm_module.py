"""Runs a module of this folder on the MicroPython VM, in a process of its own: it reads its settings from os.getenv."""

import os
import re
import subprocess
from pathlib import Path

TESTS = Path(__file__).resolve().parent
_BOOT = "import sys; sys.path[:0] = [{root!r}, {tests!r}]; import {module}"


def run(
    micropython: str, module: str, heap: str, timeout_s: float, **settings: object
) -> subprocess.CompletedProcess[str]:
    """The finished process. heap: as `micropython -X heapsize` takes it. settings: their names become upper case."""
    script = _BOOT.format(root=str(TESTS.parent), tests=str(TESTS), module=module)
    return subprocess.run(
        [micropython, "-X", f"heapsize={heap}", "-c", script],
        env=os.environ | {name.upper(): str(value) for name, value in settings.items()},
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


def counts(text: str) -> dict[str, int]:
    """The name=number pairs in a text."""
    return {name: int(number) for name, number in re.findall(r"(\w+)=(\d+)", text)}
