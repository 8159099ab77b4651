"""The flash chip of a simulated board: a file of the host, with the rules of NOR flash.

An erase sets a block to ones, a program can only clear bits. Writing where nothing was erased would damage data on a
real chip, so it is refused and said in the log. Errors are returned, as VfsLfs2 expects, not raised.
"""

BLOCK_BYTES = 4096
# A whole block of filler would be a large object on a small heap.
_ONES = (
    b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"
    b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"
)


class FlashDevice:
    """path: file of a multiple of BLOCK_BYTES. Methods as os.AbstractBlockDev has them, in its extended form."""

    def __init__(self, path):
        self.file = open(path, "r+b")

    def readblocks(self, block, buffer, offset=0):
        self.file.seek(block * BLOCK_BYTES + offset)
        self.file.readinto(buffer)

    def writeblocks(self, block, buffer, offset=0):
        file, at = self.file, block * BLOCK_BYTES + offset
        file.seek(at)
        old = file.read(len(buffer))
        for index in range(len(buffer)):
            if buffer[index] & ~old[index]:
                print("flash: program without erase at", at)
                return -5  # EIO
        file.seek(at)
        file.write(buffer)

    def ioctl(self, operation, argument):
        """4 asks for the blocks, 5 for their size, 6 erases one; 3 (sync) has nothing to do: writes go to the host."""
        if operation == 4:
            return self.file.seek(0, 2) // BLOCK_BYTES
        if operation == 5:
            return BLOCK_BYTES
        if operation == 6:
            self.file.seek(argument * BLOCK_BYTES)
            for _ in range(BLOCK_BYTES // len(_ONES)):
                self.file.write(_ONES)
        return 0
