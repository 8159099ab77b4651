"""First script of a simulated device: mounts the read-only image that its process holds, and boots from it."""

import os
import sys

import uctypes
import vfs

_image = os.getenv("HALLSEAL_ROM").split(",")
vfs.mount(vfs.VfsRom(uctypes.bytearray_at(int(_image[0]), int(_image[1]))), "/rom")  # type: ignore[abstract]  # it is not
sys.path[:] = ["/rom", ".frozen"]  # nothing of the host's folders: what is not in the image does not exist

import vm_boot  # noqa: E402, F401
