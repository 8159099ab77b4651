"""First script of a simulated device: mounts the read-only image that its process holds, and boots from it."""

import os
import sys

import uctypes
import vfs

_address, _size = [int(number) for number in os.getenv("HALLSEAL_ROM").split(",")]
vfs.mount(vfs.VfsRom(uctypes.bytearray_at(_address, _size)), "/rom")
sys.path[:] = ["/rom", ".frozen"]  # nothing of the host's folders: what is not in the image does not exist

import vm_boot  # noqa: E402

vm_boot.boot()
