"""Modules of a device's image: FROZEN_MANIFEST of MicroPython's ESP32 port, whose build runs this file in its folder.

    make -C ports/esp32 BOARD=ESP32_GENERIC_S3 FROZEN_MANIFEST=<repository>/firmware/manifest.py

Frozen modules run from flash, so that their code costs no heap. boot.py among them: no file on the flash can take its
place. Where `make linked` has written them, the linked modules are frozen: the same program in a third of the heap, for
boards without PSRAM. include(), module() and package() are the build's own.
"""
# ruff: noqa: F821

import os

# What needs CPython, and this file.
HOST_ONLY = ("suite_host.py", "manifest.py")
_LINKED = "../build/linked"

include("$(PORT_DIR)/boards/manifest.py")  # asyncio, and what the port itself needs
_base = _LINKED if os.path.isdir(_LINKED) else ".."
for _package in ("protocol", "firmware"):
    _folder = _base + "/" + _package
    _files = sorted(os.listdir(_folder)) if os.path.isdir(_folder) else []  # linked, the wire is part of the core
    _files = [name for name in _files if name.endswith(".py") and name not in HOST_ONLY]
    if _files:
        package(_package, _files, base_path=_base)
module("boot.py", base_path="flash")
