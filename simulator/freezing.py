"""The device modules as an image of one's own should freeze them: linked (see rom.py), for boards without PSRAM.

The program is the one of firmware/ and protocol/, in a third of the heap. A traceback of such a board names lines of
these files: keep them beside the image.
"""

import argparse
import hashlib
from pathlib import Path

from simulator import rom
from simulator.vm_device import LAYOUT

_REPOSITORY = Path(__file__).parent.parent
_PACKAGES = [_REPOSITORY / "protocol", _REPOSITORY / "firmware"]
# What starts the program on a board.
_BOOT = _REPOSITORY / "firmware/flash/boot.py"


def sources() -> dict[str, str]:
    """{part: source} of both kinds of devices, with the packages that they stand in."""
    parts = rom.linked(rom.read(_PACKAGES), {"boot": _BOOT.read_text("utf-8")}, LAYOUT)
    return {**parts, "firmware.__init__": ""}


def fingerprint() -> str:
    """Of the sources that are linked: firmware/manifest.py freezes no linked modules of older ones."""
    found = hashlib.sha256()
    for package in _PACKAGES:
        for path in sorted(package.glob("*.py"), key=lambda one: one.name):
            if path.name not in rom.HOST_ONLY:
                found.update(path.name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return found.hexdigest()


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """hallseal-simulator link"""
    parser = subparsers.add_parser("link", help="the device modules linked, for an image that freezes them")
    parser.add_argument("folder", type=Path, metavar="OUT", help="where they go; what it held before is removed")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Write them, as OUT/firmware/*.py; no file of another program stays among them."""
    folder = arguments.folder / "firmware"
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.py"):
        old.unlink()
    parts = sources()
    for module, source in parts.items():
        arguments.folder.joinpath(*module.split(".")).with_suffix(".py").write_text(source, "utf-8")
    (arguments.folder / "sources.sha256").write_text(fingerprint() + "\n", "ascii")
    print(f"{len(parts)} linked modules are in {folder}; with HALLSEAL_LINKED=1 firmware/manifest.py freezes them")
    return 0
