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
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from simulator.constant_folding import fold
from simulator.free_names import free_names, spell
from simulator.inlining import inline_linked, inline_private
from simulator.linking import link
from simulator.short_names import shorten
from simulator.unused_code import trim

ADDRESS_VARIABLE = "HALLSEAL_ROM"
# Parts of the packages that a device never runs: they need CPython.
HOST_ONLY = ("suite_host.py", "manifest.py")


@dataclass(frozen=True)
class Layout:
    """How modules are linked, see linking.py. core: holds all that no app claims. apps: app -> its modules."""

    core: str
    apps: Mapping[str, Sequence[str]]


def build(packages: list[Path], modules: Path | None = None, layout: Layout | None = None) -> bytes:
    """The ROMFS image of these package folders, compiled by mpy-cross.

    modules: a folder whose modules stand at the top of the image, as they are. layout: link the packages so, for the
    least heap; without it every file is compiled as it stands. Raises RuntimeError when a module is no MicroPython; the
    compiler prints where.
    """
    from mpremote.romfs import make_romfs

    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        tops = {path.stem: path.read_text("utf-8") for path in modules.glob("*.py")} if modules else {}
        sources = read(packages)
        image = spell(linked(sources, tops, layout), tops.values(), free_names()) if layout else sources
        for module, source in {**image, **tops}.items():
            path = scratch / (module.replace(".", "/") + ".py")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(source, "utf-8")
        made, words = b"", io.StringIO()
        # It ends the process when a module does not compile; the compiler itself has said why by then.
        with contextlib.redirect_stdout(words), contextlib.redirect_stderr(words), contextlib.suppress(SystemExit):
            made = make_romfs(name, mpy_cross=True)
    if not made:
        raise RuntimeError("the device modules do not compile, see above:\n" + words.getvalue())
    return bytes(made)


def read(packages: list[Path]) -> dict[str, str]:
    """{module: source} of what a device runs of these packages."""
    paths = [path for package in packages for path in sorted(package.glob("*.py")) if path.name not in HOST_ONLY]
    return {f"{path.parent.name}.{path.stem}": path.read_text("utf-8") for path in paths}


def linked(sources: Mapping[str, str], callers: Mapping[str, str], layout: Layout) -> dict[str, str]:
    """{part: source}, the same program in less heap: constants folded, unused code left out, short names, few functions
    and modules. callers: {module: source} of what starts the program, and stays as it is.
    """
    trimmed = trim({**fold(sources), **callers}, keep=callers)
    shrunk = shorten({module: inline_private(trimmed[module]) for module in sources}, callers.values())
    return inline_linked(link(shrunk, layout.core, layout.apps))


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
