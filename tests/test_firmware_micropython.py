"""The tests of the firmware core once more, on the MicroPython VM, with littlefs for a flash: the same promises."""

import contextlib
import io
import shutil
from pathlib import Path

import micropython_run
import pytest

pytestmark = [pytest.mark.micropython, pytest.mark.xdist_group("firmware_vm")]

# Plain modules, as micropython_run.py asks for: no pytest, and nothing that MicroPython lacks.
PORTABLE = (
    "test_firmware_crash",
    "test_firmware_erasure",
    "test_firmware_inbox",
    "test_firmware_journal",
    "test_firmware_journal_damage",
    "test_firmware_recorder",
    "test_firmware_slot",
    "test_firmware_update",
)
SHARED = (
    "flash_root.py",
    "journal_samples.py",
    "micropython_session.py",
    "refusing.py",
    "sealed_pair.py",
    "suites.py",
    "updating_device.py",
    "vector_files.py",
    "wire_samples.py",
)


@pytest.fixture(scope="session")
def image(micropython: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Read-only image of protocol/, firmware/ and these tests, compiled as they stand."""
    from mpremote.romfs import make_romfs

    folder = tmp_path_factory.mktemp("firmware-rom")
    scratch = folder / "content"
    for package in ("protocol", "firmware"):
        shutil.copytree(
            micropython_run.REPOSITORY / package,
            scratch / package,
            ignore=shutil.ignore_patterns("suite_host.py", "__pycache__", "*.md"),
        )
    for name in (*SHARED, *(f"{module}.py" for module in PORTABLE)):
        shutil.copy(micropython_run.TESTS / name, scratch)
    words = io.StringIO()
    with contextlib.redirect_stdout(words), contextlib.redirect_stderr(words):
        made = make_romfs(str(scratch), mpy_cross=True)
    assert made, words.getvalue()
    path = folder / "firmware.romfs"
    path.write_bytes(made)
    return path


@pytest.mark.parametrize("module", PORTABLE)
def test_the_firmware_keeps_its_promises_on_micropython(module: str, image: Path) -> None:
    outcome = micropython_run.run(module, image)
    assert (outcome.failed, outcome.skipped, outcome.returncode) == (0, 0, 0), outcome.output
    assert outcome.passed == len(micropython_run.tests_of(module)) > 0, outcome.output
