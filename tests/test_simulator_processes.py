"""Processes of a demo: one that dies says why, none is left behind, ports are held, and all of them are loopback's."""

import asyncio
import os
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from simulator import cli, processes
from simulator.hall_box import HallBox
from simulator.processes import Ports, Process, StartError

TIMEOUT_S = 10
# A VM boots in a second, on a loaded machine in many.
BOOT_TIMEOUT_S = 40


@pytest.fixture
async def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Callable[..., Process]]:
    """Function (script, ready="READY"): a process that runs this Python, not started; it ends with the test."""
    made: list[Process] = []
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    def make(script: str, ready: str = "READY") -> Process:
        name = f"part{len(made)}"
        (tmp_path / f"{name}.py").write_text(script, "utf-8")
        made.append(Process(name, [name], tmp_path, ready))
        return made[-1]

    yield make
    for one in made:
        await one.stop()


def gone(pid: int) -> bool:
    """True when nothing runs under that id; a zombie that nobody waits for does not run."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(TIMEOUT_S):
        while not condition():
            await asyncio.sleep(0.01)


async def test_a_child_that_dies_at_start_says_how_why_and_where_to_read_on(
    run: Callable[..., Process], tmp_path: Path
) -> None:
    part = run("import sys\nprint('starting')\nsys.exit('no such folder: hall')")
    began_s = time.monotonic()
    with pytest.raises(StartError) as caught:
        await part.start()
    assert str(caught.value) == f"part0 ended with status 1: no such folder: hall\nRead its log: {tmp_path}/part0.log"
    assert time.monotonic() - began_s < TIMEOUT_S  # at once, not after the time for getting ready
    assert part.pid is None


async def test_a_child_that_dies_without_a_word_is_named_too(run: Callable[..., Process]) -> None:
    with pytest.raises(StartError, match="part0 ended with status 3: it said nothing\n"):
        await run("import os\nos._exit(3)").start()


async def test_a_child_that_never_gets_ready_is_named_and_ended(
    run: Callable[..., Process], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "READY_TIMEOUT_S", 1)
    part = run("import time\nprint('thinking', flush=True)\ntime.sleep(60)", ready="")
    await part.start()
    await until(lambda: "thinking" in (tmp_path / "part0.log").read_text())  # a Python may need seconds for that
    part._ready = "READY"
    with pytest.raises(StartError, match="part0 was not ready after 1 s: thinking\n"):
        await part._wait_ready(0)
    pid = part.pid or 0
    await part.stop()
    assert gone(pid)


async def test_the_ready_line_is_of_this_start_and_not_of_the_one_before(
    run: Callable[..., Process], tmp_path: Path
) -> None:
    part = run("import os, time\nprint('READY', os.getpid(), flush=True)\ntime.sleep(60)")
    assert await part.start() == f"READY {part.pid}"
    part.kill()
    await until(lambda: part.pid is None)
    assert await part.start() == f"READY {part.pid}"
    assert (tmp_path / "part0.log").read_text().count("READY") == 2


async def test_children_of_a_child_go_with_it_even_where_both_are_deaf(
    run: Callable[..., Process], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "_STOP_TIMEOUT_S", 0.3)
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
    script = f"""import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", {deaf!r}], stdout=subprocess.PIPE)
child.stdout.readline()
print("READY", child.pid, flush=True)
time.sleep(60)
"""
    part = run(script)
    grandchild = int((await part.start()).split()[1])
    pid = part.pid or 0
    await part.stop()
    assert gone(pid)
    await until(lambda: gone(grandchild))


async def test_a_child_that_listens_to_sigterm_may_finish(run: Callable[..., Process], tmp_path: Path) -> None:
    script = f"""import pathlib, signal, sys, time
def end(*_):
    pathlib.Path({str(tmp_path / "farewell")!r}).touch()
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
print("READY", flush=True)
time.sleep(60)
"""
    part = run(script)
    await part.start()
    await part.stop()
    await part.stop()  # twice is once
    assert (tmp_path / "farewell").exists()


async def test_ctrl_c_in_the_terminal_does_not_reach_children(run: Callable[..., Process]) -> None:
    part = run("import os\nprint('READY', os.getsid(0), flush=True)\nimport time; time.sleep(60)")
    assert int((await part.start()).split()[1]) == part.pid != os.getsid(0)


def listening(port: int) -> socket.socket:
    """As the parts of a hall listen: with SO_REUSEADDR."""
    found = socket.socket()
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    found.bind(("127.0.0.1", port))
    found.listen()
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets a port be held beside its listener")
def test_ports_of_two_demos_never_collide_even_while_nobody_listens() -> None:
    first, second = Ports(200), Ports(200)
    assert len({*first.numbers, *second.numbers}) == 400
    for port in first.numbers[:2]:
        for _ in range(2):  # a process may listen there, die, and listen again
            with listening(port), socket.create_connection(("127.0.0.1", port)):
                pass
        with socket.socket() as stranger, pytest.raises(OSError, match="in use"):
            stranger.bind(("127.0.0.1", port))
    first.close()
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", first.numbers[-1]))
    second.close()


@pytest.fixture
async def box(tmp_path: Path) -> AsyncIterator[HallBox]:
    """A small hall, not provisioned yet: one evaluator, on a VM where there is one, and two virtual ones."""
    made = HallBox(tmp_path / "scratch", 1, 0, 2, 2, 60)
    made.scratch.mkdir()
    yield made
    await made.stop()


async def test_a_hall_that_cannot_be_made_says_what_provisioning_said(box: HallBox) -> None:
    box.hall.mkdir()
    (box.hall / "something").touch()
    with pytest.raises(StartError, match=r"provision ended with status \d+: .*\nRead its log: .*provision\.log"):
        await box.provision()


async def test_a_gateway_that_dies_at_start_is_an_error_at_once_and_nothing_stays(box: HallBox) -> None:
    await box.provision()
    config = box.hall / "gateway" / "gateway.toml"
    config.write_text(config.read_text("utf-8") + "\n[nonsense]\n", "utf-8")
    began_s = time.monotonic()
    with pytest.raises(StartError, match="gateway ended with status"):
        await box.start()
    assert time.monotonic() - began_s < 30
    pids = [one.pid for one in box.processes.values() if one.pid]
    await box.stop()
    assert all(gone(pid) for pid in pids)
    assert children() == set()


def children() -> set[str]:
    """Command lines of running processes below this one that are of a hall."""
    found = set()
    for one in psutil.Process().children(recursive=True):
        try:
            command = " ".join(one.cmdline())
        except psutil.Error:
            continue
        if "simulator.cli" in command or "gateway.cli" in command or "provisioning.cli" in command:
            found.add(command)
    return found


async def test_every_port_of_a_hall_is_on_loopback_and_nothing_is_left_when_it_stops(box: HallBox) -> None:
    await box.provision()
    await box.start()
    roots = [psutil.Process(one.pid) for one in box.processes.values()]
    assert len(roots) == 5
    family = [each for root in roots for each in (root, *root.children(recursive=True))]
    ears = [each.laddr for one in family for each in one.net_connections("inet") if each.status == psutil.CONN_LISTEN]
    assert len(ears) >= 5  # broker, central system, page, two control channels; and the bench of a VM
    assert {each.ip for each in ears} == {"127.0.0.1"}
    everybody = {one["device"] for one in box.devices()}
    async with asyncio.timeout(BOOT_TIMEOUT_S):
        while set(await box.statuses()) != everybody:  # READY comes before a VM has booted
            await asyncio.sleep(0.1)
    box.processes["fleet"].kill()
    await until(lambda: box.processes["fleet"].pid is None)
    async with asyncio.timeout(TIMEOUT_S):
        assert set(await box.statuses()) == {"e-001"}  # who is gone gives no answer, and no exception
    await box.stop()
    assert all(gone(each.pid) for each in family)
    box.remove()
    assert not box.scratch.exists()


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ("demo --for 0", "--for: seconds, more than 0"),
        ("demo --for nan", "--for: seconds, more than 0"),
        ("demo --settle -1", "--settle: seconds, more than 0"),
        ("demo --virtual -1", "--virtual: a number from 0 to 1000"),
        ("demo --evaluators many", "--evaluators: invalid"),
        ("demo --speed 0", "--speed: a number from 1 to 600"),
        ("dance", "invalid choice: 'dance'"),
        ("", "the following arguments are required"),
    ],
)
def test_a_command_without_sense_is_refused_before_anything_starts(
    capsys: pytest.CaptureFixture[str], words: str, complaint: str
) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(words.split())
    assert caught.value.code == 2
    assert complaint in capsys.readouterr().err


def test_every_option_of_the_demo_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["demo", "--help"])
    shown = capsys.readouterr().out
    for option in (
        "--for",
        "--chaos",
        "--speed",
        "--evaluators",
        "--clocks",
        "--virtual",
        "--staff",
        "--settle",
        "--keep",
    ):
        assert f"  {option}" in shown
    assert "Ctrl-C" in shown
