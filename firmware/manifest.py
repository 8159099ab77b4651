"""Modules of a device's image: FROZEN_MANIFEST of MicroPython's ESP32 port, whose build runs this file in its folder.

    make -C ports/esp32 BOARD=ESP32_GENERIC_S3 FROZEN_MANIFEST=<repository>/firmware/manifest.py

Frozen modules run from flash, so that their code costs no heap. boot.py among them: no file on the flash can take its
place. With HALLSEAL_LINKED=1 in the environment the linked modules are frozen, which `make linked` writes: the same
program in a third of the heap, for boards without PSRAM. include(), module() and package() are the build's own.
"""
# ruff: noqa: F821

import hashlib
import os

# What needs CPython, and this file.
HOST_ONLY = ("suite_host.py", "manifest.py")
_LINKED = "../build/linked"
PACKAGES = ("protocol", "firmware")


def _files(folder):
    return [name for name in sorted(os.listdir(folder)) if name.endswith(".py") and name not in HOST_ONLY]


def _fingerprint():
    """Of the sources, as `make linked` writes it beside what it made of them."""
    found = hashlib.sha256()
    for package_name in PACKAGES:
        for name in _files("../" + package_name):
            with open("../" + package_name + "/" + name, "rb") as file:
                found.update(name.encode() + b"\0" + hashlib.sha256(file.read()).digest())
    return found.digest().hex()


def _freeze_linked():
    try:
        with open(_LINKED + "/sources.sha256") as file:
            made_of = file.read().strip()
    except OSError:
        made_of = ""
    if made_of != _fingerprint():
        raise SystemExit("the linked modules are missing or older than their sources: run `make linked`")
    package("firmware", _files(_LINKED + "/firmware"), base_path=_LINKED)


include("$(PORT_DIR)/boards/manifest.py")  # asyncio, and what the port itself needs
if os.getenv("HALLSEAL_LINKED") == "1":
    _freeze_linked()
else:
    for _package in PACKAGES:
        package(_package, _files("../" + _package), base_path="..")
module("boot.py", base_path="flash")
