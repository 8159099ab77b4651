"""Runs the power-cut campaign on every core: `make powercut`. Its last line is `cuts=… failures=…`.

Each life of powercut_life.py is recorded once for each program size, then every operation is cut, spread over the
cores. Exit status 0 only where nothing failed, and no more time was taken than two cores have in six minutes.
"""

import argparse
import os
import resource
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
# 10,000 cuts in six minutes of a machine with two cores, as CI has it. In seconds of processors, not of a clock: what
# else the machine does takes nothing from them.
CUTS_MIN, CPU_S_MAX = 10_000, 2 * 360


class Result(NamedTuple):
    """cuts, failures: counts. words: what was said about the first failures. cpu_s: what the processors worked."""

    cuts: int
    failures: int
    words: str
    cpu_s: float


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
    micropython: str,
    life: str,
    folder: Path,
    program_bytes: int,
    workers: int,
    step: int = 1,
    plant: str = "",
    last: int = 0,
) -> Result:
    """Record a life and cut every `step`th of its operations, on `workers` cores; of the `last` ones, where given."""
    began_s = _cpu_s()
    log = folder / f"{life}-{program_bytes}.log"
    settings = {"program_bytes": program_bytes, "plant": plant}
    operations = run(micropython, "record", life, log, **settings).counts["operations"]
    begin = max(0, operations - last) if last else 0
    with ThreadPoolExecutor(workers) as pool:
        shares = [
            pool.submit(run, micropython, "cut", life, log, first=begin + first * step, step=workers * step, **settings)
            for first in range(workers)
        ]
        found = [share.result() for share in shares]
    log.unlink()
    cuts, failures = (sum(one.counts[name] for one in found) for name in ("cuts", "failures"))
    return Result(cuts, failures, "".join(one.words for one in found), _cpu_s() - began_s)


def _cpu_s() -> float:
    """Seconds that processors have worked for children of this process which have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def is_passed(cuts: int, failures: int, cpu_s: float) -> bool:
    """True for a campaign in which nothing failed and which came in time. A shorter one has no less time."""
    return cuts > 0 and not failures and cpu_s <= CPU_S_MAX


def main(arguments: list[str]) -> int:
    """The whole campaign; 0 when nothing failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--step", type=int, default=1, help="cut only every STEPth operation")
    parser.add_argument("--lives", nargs="*", default=LIVES, choices=LIVES)
    chosen = parser.parse_args(arguments)
    micropython = str(Path(sys.executable).with_name("micropython"))
    cuts, failures, began_s, cpu_s = 0, 0, time.monotonic(), 0.0
    with tempfile.TemporaryDirectory() as folder:
        for life in chosen.lives:
            for size in PROGRAM_BYTES:
                found = campaign(micropython, life, Path(folder), size, os.cpu_count() or 1, chosen.step)
                print(f"{life}, {size} bytes a program: cuts={found.cuts} failures={found.failures}", flush=True)
                if found.failures:
                    print(found.words)
                cuts, failures, cpu_s = cuts + found.cuts, failures + found.failures, cpu_s + found.cpu_s
    print(f"{time.monotonic() - began_s:.0f} s; {cpu_s:.0f} s of processors, budget {CPU_S_MAX}")
    passed = is_passed(cuts, failures, cpu_s)
    if cpu_s > CPU_S_MAX:
        print("too slow: two cores would take more than six minutes")
    print(f"cuts={cuts} failures={failures}")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
