"""A flash to write on: a folder on CPython, littlefs on NOR flash in memory on the MicroPython VM. Runs on both."""

import gc
import os
import sys

ON_VM = sys.implementation.name == "micropython"
BLOCK_BYTES = 4096

if ON_VM:
    import vfs

    _ONES = b"\xff" * 256

    class NorFlash:
        """Memory with the rules of NOR flash: a program clears bits, an erase of a block sets them.

        cut_at: number of the program or erase that the power is lost in; from then on everything fails. share: how
        much of that one is still done, 0 nothing, 1 half, 2 all. operations: how many there were.
        """

        def __init__(self, memory, cut_at=-1, share=0):
            self.memory = memoryview(memory)
            self.cut_at = cut_at
            self.share = share
            self.operations = 0
            self.dead = False

        def readblocks(self, block, buffer, offset=0):
            if self.dead:
                return -5  # EIO; an exception would only be printed
            at = block * BLOCK_BYTES + offset
            buffer[:] = self.memory[at : at + len(buffer)]
            return 0

        def _lasting(self, size):
            """How many of `size` bytes the power lasts for."""
            if self.operations == self.cut_at:
                self.dead = True
                size = size * self.share // 2
            elif self.dead:
                size = 0
            self.operations += 1
            return size

        def writeblocks(self, block, buffer, offset=0):
            at, size = block * BLOCK_BYTES + offset, len(buffer)
            both = int.from_bytes(self.memory[at : at + size], "big") & int.from_bytes(buffer, "big")
            assert both == int.from_bytes(buffer, "big"), "program without erase"
            lasting = self._lasting(size)
            self.memory[at : at + lasting] = buffer[:lasting]
            return -5 if self.dead else 0

        def erase(self, block):
            at, lasting = block * BLOCK_BYTES, self._lasting(BLOCK_BYTES)
            for piece in range(at, at + lasting, len(_ONES)):
                self.memory[piece : piece + len(_ONES)] = _ONES
            return -5 if self.dead else 0

        def ioctl(self, operation, argument):
            if operation == 4:
                return len(self.memory) // BLOCK_BYTES
            if operation == 5:
                return BLOCK_BYTES
            return self.erase(argument) if operation == 6 else 0

    def mount(device, program_bytes=32, mtime=True):
        """Mount what is on the device as /flash, in place of whatever was there. mtime: files have a time, as usual."""
        unmount()
        vfs.mount(vfs.VfsLfs2(device, progsize=program_bytes, mtime=mtime), "/flash")

    def unmount():
        """Leave /flash empty."""
        try:
            vfs.umount("/flash")
        except OSError:
            pass

    def is_cut(device, live):
        """live() until the power of this device goes, or to its end: True when it went."""
        try:
            live()
        except OSError:
            if not device.dead:
                raise
        if device.dead:
            gc.collect()  # closes the files of the dead life, while everything still fails
        return device.dead

    # One flash for all tests of a process: it is large beside the heap. 24 blocks.
    _memory = bytearray(24 * BLOCK_BYTES)

    def new_root():
        """Path of an empty flash; the one before is gone."""
        unmount()
        device = NorFlash(_memory)
        for block in range(len(_memory) // BLOCK_BYTES):
            device.erase(block)
        vfs.VfsLfs2.mkfs(device)
        mount(device)
        return "/flash"

else:
    import tempfile

    _kept = []

    def new_root():
        """Path of an empty folder, gone with the process."""
        _kept.append(tempfile.TemporaryDirectory(prefix="hallseal-flash-"))
        return _kept[-1].name


def read(path):
    """The bytes of a file."""
    with open(path, "rb") as file:
        return file.read()


def write(path, content):
    """Make a file of these bytes."""
    with open(path, "wb") as file:
        file.write(content)


def sizes(folder):
    """Sizes in bytes of the files in a folder."""
    return [os.stat(folder + "/" + name)[6] for name in os.listdir(folder)]
