"""Runs the power-cut campaign on every core: `make powercut`. Its last line is `cuts=… failures=…`.

Each life of powercut_life.py is recorded once for each program size, then every operation is cut, spread over the
cores. Exit status 0 only where nothing failed.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

TESTS = Path(__file__).resolve().parent
LIVES = ("ratings", "receipts", "settings", "identities", "punches", "updates")
# What a flash writes at once: an ESP32's default, and what larger caches of littlefs make of it.
PROGRAM_BYTES = (32, 128)
# The flash and the log lie in the heap here, beside the device.
HEAP = "6M"
TIMEOUT_S = 600
_BOOT = "import sys; sys.path[:0] = [{root!r}, {tests!r}]; import powercut"


class Result(NamedTuple):
    """cuts, failures: counts. words: what was said about the first failures."""

    cuts: int
    failures: int
    words: str


def run(micropython: str, task: str, life: str, log: Path, **settings: object) -> dict[str, int | str]:
    """One task of powercut.py: the counts of its last line, and `words`, all that it printed."""
    named = {
        "TASK": task,
        "LIFE": life,
        "LOG": str(log),
        **{key.upper(): str(value) for key, value in settings.items()},
    }
    script = _BOOT.format(root=str(TESTS.parent), tests=str(TESTS))
    done = subprocess.run(
        [micropython, "-X", f"heapsize={HEAP}", "-c", script],
        env=os.environ | named,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    words = done.stdout + done.stderr
    found = re.findall(r"(\w+)=(\d+)", done.stdout.rstrip().rpartition("\n")[2])
    if done.returncode or not found:
        raise RuntimeError(f"{task} of {life} ended with {done.returncode}:\n{words}")
    return {**{name: int(count) for name, count in found}, "words": words}


def campaign(
    micropython: str, life: str, folder: Path, program_bytes: int, workers: int, step: int = 1, plant: str = ""
) -> Result:
    """Record a life and cut every `step`th of its operations, on `workers` cores."""
    log = folder / f"{life}-{program_bytes}.log"
    settings = {"program_bytes": program_bytes, "plant": plant}
    run(micropython, "record", life, log, **settings)
    with ThreadPoolExecutor(workers) as pool:
        shares = [
            pool.submit(run, micropython, "cut", life, log, first=first * step, step=workers * step, **settings)
            for first in range(workers)
        ]
        found = [share.result() for share in shares]
    log.unlink()
    return Result(sum(f["cuts"] for f in found), sum(f["failures"] for f in found), "".join(f["words"] for f in found))


def main(arguments: list[str]) -> int:
    """The whole campaign; 0 when nothing failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--step", type=int, default=1, help="cut only every STEPth operation")
    parser.add_argument("--lives", nargs="*", default=LIVES, choices=LIVES)
    chosen = parser.parse_args(arguments)
    micropython = str(Path(sys.executable).with_name("micropython"))
    cuts, failures, began_s = 0, 0, time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        for life in chosen.lives:
            for size in PROGRAM_BYTES:
                found = campaign(micropython, life, Path(folder), size, os.cpu_count() or 1, chosen.step)
                print(f"{life}, {size} bytes a program: cuts={found.cuts} failures={found.failures}", flush=True)
                if found.failures:
                    print(found.words)
                cuts, failures = cuts + found.cuts, failures + found.failures
    print(f"{time.monotonic() - began_s:.0f} s")
    print(f"cuts={cuts} failures={failures}")
    return 1 if failures or not cuts else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
