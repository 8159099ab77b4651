"""The flash chip of a simulated device: a file of the host, with the rules of NOR flash.

An erase sets a block to ones, a program can only clear bits; writing where nothing was erased would damage data on a
real
chip, so it is refused here. Errors are returned, as VfsLfs2 expects, not raised.
"""

import errno

BLOCK_BYTES = 4096
_FILL = b"\xff" * 256  # a whole block of filler would be a large object on a small heap


class FlashDevice:
    """path: file of a multiple of BLOCK_BYTES."""

    def __init__(self, path):
        self._file = open(path, "r+b")
        self._blocks = self._file.seek(0, 2) // BLOCK_BYTES

    def readblocks(self, block, buffer, offset=0):
        self._file.seek(block * BLOCK_BYTES + offset)
        self._file.readinto(buffer)
        return 0

    def writeblocks(self, block, buffer, offset=0):
        at = block * BLOCK_BYTES + offset
        self._file.seek(at)
        before = self._file.read(len(buffer))
        for old, new in zip(before, buffer):
            if new & ~old:
                return -errno.EIO
        self._file.seek(at)
        self._file.write(buffer)
        return 0

    def _erase(self, block):
        self._file.seek(block * BLOCK_BYTES)
        for _ in range(BLOCK_BYTES // len(_FILL)):
            self._file.write(_FILL)
        return 0

    def ioctl(self, operation, argument):
        if operation == 4:
            return self._blocks
        if operation == 5:
            return BLOCK_BYTES
        if operation == 6:
            return self._erase(argument)
        return 0
