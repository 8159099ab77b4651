"""Modules of a device's image: FROZEN_MANIFEST of MicroPython's ESP32 port, whose build runs this file in its folder.

    make -C ports/esp32 BOARD=ESP32_GENERIC_S3 FROZEN_MANIFEST=<repository>/firmware/manifest.py

Frozen modules run from flash, so that their code costs no heap. boot.py among them: no file on the flash can take its
place. include(), module() and package() are the build's own.
"""
# ruff: noqa: F821

import os

# What needs CPython, and this file.
HOST_ONLY = ("suite_host.py", "manifest.py")

include("$(PORT_DIR)/boards/manifest.py")  # asyncio, and what the port itself needs
for _package in ("protocol", "firmware"):
    _files = [name for name in sorted(os.listdir("../" + _package)) if name.endswith(".py") and name not in HOST_ONLY]
    package(_package, _files, base_path="..")
module("boot.py", base_path="flash")
