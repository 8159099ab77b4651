"""Runs the power-cut campaign on every core: `make powercut`. Its last line is `cuts=… failures=…`.

Each life of powercut_life.py is recorded once for each program size, then every operation is cut, spread over the
cores. Exit status 0 only where nothing failed.
"""

import argparse
import os
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import vm_module

LIVES = ("ratings", "receipts", "settings", "identities", "punches", "updates")
# What a flash writes at once: an ESP32's default, and what larger caches of littlefs make of it.
PROGRAM_BYTES = (32, 128)
# The flash and the log lie in the heap here, beside the device.
HEAP = "6M"
TIMEOUT_S = 600


class Result(NamedTuple):
    """cuts, failures: counts. words: what was said about the first failures."""

    cuts: int
    failures: int
    words: str


class Ran(NamedTuple):
    """counts: of the last line that a task printed. words: all that it printed."""

    counts: dict[str, int]
    words: str


def run(micropython: str, task: str, life: str, log: Path, **settings: object) -> Ran:
    """One task of powercut.py. Raises RuntimeError when it did not end well."""
    done = vm_module.run(micropython, "powercut", HEAP, TIMEOUT_S, task=task, life=life, log=log, **settings)
    words = done.stdout + done.stderr
    found = vm_module.counts(done.stdout.rstrip().rpartition("\n")[2])
    if done.returncode or not found:
        raise RuntimeError(f"{task} of {life} ended with {done.returncode}:\n{words}")
    return Ran(found, words)


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
    cuts, failures = (sum(one.counts[name] for one in found) for name in ("cuts", "failures"))
    return Result(cuts, failures, "".join(one.words for one in found))


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
