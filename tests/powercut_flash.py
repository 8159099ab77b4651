"""A flash that writes down every operation, and every state that a power cut can leave of it. Runs on MicroPython.

A life is recorded once; then each of its operations is cut in three ways: nothing, half, or all of it was done. What a
cut leaves is built from the operations before it, byte for byte what a flash that stops there holds
(test_powercut.py compares the two).
"""

from flash_root import BLOCK_BYTES, NorFlash

# Kinds of entries in a log: address and bytes; block and nothing; nothing and what was promised (see powercut_life.py).
PROGRAM, ERASE, MARK = 0, 1, 2
SHARES = (0, 1, 2)  # halves that are done of an operation when the power goes
_ERASED = b"\xff" * BLOCK_BYTES


class LoggedFlash(NorFlash):
    """NorFlash that writes each operation to `log`, a file of the host."""

    def __init__(self, memory, log, cut_at=-1, share=0):
        super().__init__(memory, cut_at, share)
        self._log = log

    def _write(self, kind, address, content):
        self._log.write(bytes((kind,)) + address.to_bytes(4, "big") + len(content).to_bytes(2, "big") + content)

    def writeblocks(self, block, buffer, offset=0):
        self._write(PROGRAM, block * BLOCK_BYTES + offset, bytes(buffer))
        return super().writeblocks(block, buffer, offset)

    def erase(self, block):
        self._write(ERASE, block * BLOCK_BYTES, b"")
        return super().erase(block)

    def mark(self, content):
        """Note something between two operations; content: up to 64 KiB."""
        self._write(MARK, 0, content)


def entries(log):
    """(kind, address, content) of each entry of a log file."""
    while True:
        head = log.read(7)
        if len(head) < 7:
            return
        yield head[0], int.from_bytes(head[1:5], "big"), log.read(int.from_bytes(head[5:], "big"))


def apply(image, kind, address, content, halves=2):
    """Do `halves` of one operation to the image (a bytearray)."""
    size = (BLOCK_BYTES if kind == ERASE else len(content)) * halves // 2
    image[address : address + size] = memoryview(_ERASED if kind == ERASE else content)[:size]


def states(log, image, first=0, step=1):
    """(number, halves, marks so far) for every cut of every `step`th operation from `first` on.

    image: bytearray of the flash before the life. The state is in it until the next one is asked for: put it elsewhere.
    """
    number, marks = 0, []
    for kind, address, content in entries(log):
        if kind == MARK:
            marks.append(content)
            continue
        if number >= first and (number - first) % step == 0:
            size = BLOCK_BYTES if kind == ERASE else len(content)
            before = bytes(image[address : address + size])
            for halves in SHARES:
                apply(image, kind, address, content, halves)
                yield number, halves, marks
                image[address : address + size] = before
        apply(image, kind, address, content)
        number += 1
