"""What tests of several parts share: the MicroPython VM, the independent COSE environment, a provisioned hall.

What a machine lacks skips its tests, with the reason in the closing summary.
"""

import datetime
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from protocol.suite_host import HostSuite
from provisioning.hall import make_hall
from provisioning.hall_folder import HallFolder
from provisioning.hall_plan import HallPlan

if TYPE_CHECKING:
    from central_double import CentralDouble
    from gateway_hall import GatewayHall

REPOSITORY = Path(__file__).resolve().parent.parent
INTEROP_PYTHON = REPOSITORY / ".venv-interop" / "bin" / "python"


def _command(name: str) -> str | None:
    """Path of a command: beside this interpreter first, then where the machine looks, /usr/sbin included."""
    beside = Path(sys.executable).parent / name
    return str(beside) if beside.is_file() else shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")


def _command_or_skip(name: str, reason: str) -> str:
    found = _command(name)
    if found is None:
        pytest.skip(reason)
    return found


@pytest.fixture(scope="session")
def micropython() -> str:
    """Path of the MicroPython VM's command."""
    return _command_or_skip("micropython", "no MicroPython VM: its package has no wheel for this machine")


@pytest.fixture(scope="session")
def mosquitto() -> str:
    """Path of the broker mosquitto."""
    return _command_or_skip("mosquitto", "mosquitto is not installed (Debian package mosquitto)")


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of Chromium."""
    return _command_or_skip("chromium", "Chromium is not installed (Debian package chromium)")


@pytest.fixture(scope="session")
def openssl() -> str:
    """Path of the command openssl."""
    return _command_or_skip("openssl", "the command openssl is not installed (Debian package openssl)")


@pytest.fixture(scope="session")
def interop_python() -> str:
    """Interpreter with pycose and cbor2 5.9: another implementation of COSE than ours."""
    if not INTEROP_PYTHON.is_file():
        pytest.skip("no environment with pycose: `make test` makes .venv-interop")
    return str(INTEROP_PYTHON)


@pytest.fixture(scope="session")
def shared_vectors() -> Path:
    """Public test vectors beside the repository."""
    folder = REPOSITORY.parent / "shared" / "vectors"
    if not folder.is_dir():
        pytest.skip("no public vectors: there is no folder ../shared/vectors beside the repository")
    return folder


@pytest.fixture
def run_micropython(micropython: str) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Function (script: str, *arguments, heap_kib=96, timeout_s=60): run a script on the VM.

    It imports from the repository. Gives the finished process; the caller looks at returncode, stdout and stderr.
    """

    def run(
        script: str, *arguments: str, heap_kib: int = 96, timeout_s: float = 60
    ) -> subprocess.CompletedProcess[str]:
        lines = f"import sys\nsys.path.insert(0, {str(REPOSITORY)!r})\nsys.argv[1:] = {list(arguments)!r}\n{script}"
        command = [micropython, "-X", f"heapsize={heap_kib}K", "-c", lines]
        return subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False)

    return run


@pytest.fixture
def figure(record_property: Callable[[str, object], None]) -> Callable[[str, str], None]:
    """Function (name, value): a measured figure that the closing summary prints under "budgets", pass or fail."""
    return lambda name, value: record_property("figure", [name, value])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print every figure once, by name: prints of tests that pass are hidden, and their budgets should not be."""
    reports = [report for found in terminalreporter.stats.values() for report in found]
    told = [each for report in reports for each in getattr(report, "user_properties", ()) if each[0] == "figure"]
    figures = {(str(name), str(value)) for _, (name, value) in told}
    if figures:
        terminalreporter.section("budgets")
        width = max(len(name) for name, _ in figures)
        for name, value in sorted(figures):
            terminalreporter.write_line(f"{name:<{width}}  {value}")


@pytest.fixture
def hall_dir(tmp_path: Path) -> Path:
    """Folder of a fresh hall named yongxing: e-001, e-002, c-001, ve-001, vc-001, 4 staff."""
    plan = HallPlan("yongxing", evaluators=2, clocks=1, virtual_evaluators=1, virtual_clocks=1, staff=4)
    now = datetime.datetime.now(datetime.UTC)
    folder: HallFolder = make_hall(tmp_path / "hall", plan, HostSuite(), now, lambda line: None)
    return folder.path


@pytest.fixture
def double(hall: "GatewayHall", hall_dir: Path) -> Iterator["CentralDouble"]:
    """The central double of the test module's own `hall`."""
    from central_double import CentralDouble  # few modules need it, and what it imports

    with CentralDouble(hall, hall_dir) as made:
        yield made
