"""The whole demo as the command that people type: every end that it can take, and what it leaves behind."""

import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from simulator import demo, vm_device

REPOSITORY = Path(__file__).resolve().parent.parent
# Few devices, and a clock so fast that staff come within seconds.
FEW = "--evaluators 1 --clocks 1 --virtual 10 --speed 120"
REAL = "VM" if vm_device.available() else "CPython"
TIMEOUT_S = 100
DEMO = ["-m", "simulator.cli", "demo"]
WITHOUT_VM = [
    "-c",
    "import sys; sys.modules['micropython_module'] = None\nfrom simulator import cli; sys.exit(cli.main())",
    "demo",
]
STATIONS = ("pressed", "journaled", "receipted", "ledger", "timeseries", "central")
ZEROS = {"lost": 0, "duplicated": 0, "gaps": 0}

LOSE_A_RATING = "DELETE FROM record WHERE kind = 1 AND id = (SELECT min(id) FROM record WHERE kind = 1)"

pytestmark = pytest.mark.xdist_group("demo")


class Run:
    """A demo that runs, with a folder of its own for what it calls temporary. lines: its output so far."""

    def __init__(self, folder: Path, words: str, program: list[str]) -> None:
        folder.mkdir()
        self.folder = folder
        self.lines: list[str] = []
        environment = {**os.environ, "TMPDIR": str(folder), "PYTHONUNBUFFERED": "1", "COLUMNS": "80"}
        self.process = subprocess.Popen(
            [sys.executable, *program, *words.split()],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=REPOSITORY, env=environment,
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    def until(self, pattern: str) -> re.Match[str]:
        """The first match in a line of its output."""
        deadline = time.monotonic() + TIMEOUT_S
        while time.monotonic() < deadline and (self.process.poll() is None or self._reader.is_alive()):
            for line in list(self.lines):
                if found := re.search(pattern, line):
                    return found
            time.sleep(0.05)
        raise AssertionError(f"no {pattern} in\n" + "\n".join(self.lines))

    def end(self) -> int:
        """Its exit status."""
        status = self.process.wait(TIMEOUT_S)
        self._reader.join(TIMEOUT_S)
        print("\n".join(self.lines))  # shown where the test fails
        return status

    def verdict(self) -> dict[str, int]:
        """The last line."""
        names = (*STATIONS, *ZEROS)
        assert re.fullmatch(" ".join(rf"{name}=\d+" for name in names), self.lines[-1]), self.lines[-1]
        return {name: int(value) for name, value in (part.split("=") for part in self.lines[-1].split())}

    def agrees(self) -> int:
        """What everybody counts."""
        verdict = self.verdict()
        assert {name: verdict[name] for name in ZEROS} == ZEROS
        [count] = {verdict[name] for name in STATIONS}
        return count

    def processes(self) -> list[list[str]]:
        """Command lines of what runs for this demo's folder."""
        return [one.info["cmdline"] for one in psutil.process_iter(["cmdline"]) if self._is_mine(one)]

    def _is_mine(self, one: psutil.Process) -> bool:
        return any(str(self.folder) in word for word in one.info["cmdline"] or ())

    def left(self) -> list[str]:
        """What it left behind in the folder for temporary files."""
        return [path.name for path in self.folder.iterdir()]


Start = Callable[..., Run]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Function (words, program=DEMO): a demo that has begun."""
    made: list[Run] = []

    def begin(words: str, program: list[str] = DEMO) -> Run:
        made.append(Run(tmp_path / f"demo{len(made)}", words, program))
        return made[-1]

    yield begin
    for one in made:
        if one.process.poll() is None:
            one.process.terminate()
            one.process.wait(TIMEOUT_S)
        shutil.rmtree(one.folder)  # a kept hall has keys in it


def test_two_demos_at_once_end_with_zeros_also_where_one_lives_in_chaos(start: Start) -> None:
    chaos = start(f"--for 8 --chaos --keep {FEW}")
    calm = start(f"--for 8 {FEW}")
    assert calm.end() == 0
    assert calm.agrees() > 0
    assert {line.split(":")[0] for line in calm.lines if " pressed=" in line and "hall" not in line} == {
        f"clock ({REAL})", "clock (virtual)", f"evaluator ({REAL})", "evaluator (virtual)",
    }  # fmt: skip
    punches = sum(int(found[1]) for line in calm.lines if (found := re.match(r"clock .*: pressed=(\d+)", line)))
    assert punches > 0
    assert [line for line in calm.lines if line.startswith("audit: clean")] != []
    verified = re.search(r"^audit: records verified: (\d+)", "\n".join(calm.lines), re.MULTILINE)
    assert verified and int(verified[1]) > calm.agrees(), "and the events"
    assert calm.left() == calm.processes() == []
    assert chaos.end() == 0
    assert chaos.agrees() > 0
    assert [line for line in chaos.lines if line.startswith("audit: clean")] != []
    [kept] = chaos.left()
    assert chaos.lines[-2] == f"kept: {chaos.folder / kept}"
    logs = chaos.folder / kept / "logs"
    # Each began twice, and only the second one had the time to say farewell.
    for log, begun, ended in (("broker", "READY", "STOPPED"), ("gateway", "gateway runs", "gateway stopped")):
        said = (logs / f"{log}.log").read_text("utf-8")
        assert (said.count(begun), said.count(ended)) == (2, 1), log
    assert chaos.processes() == []


def test_a_broker_that_somebody_kills_is_started_again_and_costs_nothing(start: Start) -> None:
    run = start(f"--for 12 {FEW}")
    run.until(r"pressed=[1-9]")
    [broker] = [
        one for one in psutil.process_iter(["cmdline"]) if run._is_mine(one) and "broker" in one.info["cmdline"]
    ]
    broker.kill()
    for line in ("the broker has ended, and is started again", "the broker is back, and remembers nothing"):
        run.until(f"^{line}$")
    assert run.end() == 0
    assert run.agrees() > 0
    assert run.left() == run.processes() == []


def test_ctrl_c_ends_the_morning_with_a_reconciliation_and_before_it_with_nothing_left(start: Start) -> None:
    early, run = start(FEW), start(FEW)
    early.until("page: ")
    assert early.processes() != []
    early.process.send_signal(signal.SIGINT)
    assert early.end() == 128 + signal.SIGINT
    assert early.lines[-1] == "ended before the hall opened"
    assert early.left() == early.processes() == []
    run.until(r"pressed=[1-9]")
    run.process.send_signal(signal.SIGINT)
    assert run.end() == 0
    assert run.agrees() > 0
    assert run.left() == run.processes() == []


def test_without_a_vm_the_demo_says_so_in_one_line_and_ends_with_zeros(start: Start) -> None:
    run = start(f"--for 5 {FEW}", WITHOUT_VM)
    assert run.end() == 0
    said = [line for line in run.lines if "MicroPython" in line]
    assert said == [demo.NO_VM]
    assert run.agrees() > 0
    assert any(line.startswith("evaluator (CPython): ") for line in run.lines)
    assert any(re.fullmatch(r"memory: gateway \d+ MiB", line) for line in run.lines)  # and no VM's
    assert run.left() == []


def test_a_record_that_vanishes_from_the_ledger_is_told_and_its_hall_is_kept(start: Start) -> None:
    run = start(f"--for 12 --settle 15 {FEW}")  # progress is told every five seconds
    logs = Path(run.until("log files: (.*)")[1])
    run.until(r"pressed=[1-9]")
    with sqlite3.connect(logs.parent / "hall" / "gateway" / "ledger.db", timeout=5) as ledger:
        assert ledger.execute(LOSE_A_RATING).rowcount == 1
    ledger.close()
    assert run.end() == 1
    verdict = run.verdict()
    assert verdict["lost"] == 1
    assert verdict["pressed"] == verdict["ledger"] + 1
    assert [line for line in run.lines if re.match(r"audit: missing: (gap|hidden_tail) \(1\)", line)] != []
    assert run.lines[-2] == f"kept: {logs.parent}"
    assert run.left() == [logs.parent.name]
    assert run.processes() == []


def test_a_hall_that_cannot_start_says_why_and_leaves_no_process(start: Start) -> None:
    script = "import sys\nfrom simulator import cli, hall_box; hall_box.HALL = 'Not A Name'\nsys.exit(cli.main())"
    run = start(f"--for 5 {FEW}", ["-c", script, "demo"])
    assert run.end() == 1
    assert run.lines[0].startswith("provision ended with status")
    assert run.lines[1].startswith("Read its log: ")
    [kept] = run.left()
    assert run.lines[2:] == [f"kept: {run.folder / kept}"]
    assert run.processes() == []
