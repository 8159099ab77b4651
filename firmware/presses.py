"""Presses of each button since first boot, whatever came of them: a press that was taken and not stored must show.

They lie in a file of their own, which is written before a heartbeat tells them, and in every draft (see draft.py): what
was told or thanked for is never forgotten. A power cut forgets the presses without thanks since the last heartbeat.
"""

import struct

from firmware.twin_file import TwinFile

_COUNTS = ">5I"
_COUNT_MAX = 0xFFFFFFFF


class Presses:
    """root: folder of the flash. counts: five, index 0 is level 1."""

    def __init__(self, root):
        self._file = TwinFile(root + "/presses")
        content = self._file.content
        self.counts = list(struct.unpack(_COUNTS, content)) if content else [0] * 5

    def add(self, levels):
        """These buttons went down."""
        for level in levels:
            self.counts[level - 1] = min(self.counts[level - 1] + 1, _COUNT_MAX)

    def restore(self, counts):
        """Never less than these: what a draft or the journal knows."""
        self.counts = [max(pair) for pair in zip(self.counts, counts)]

    def told(self):
        """The counts for a heartbeat, on flash on return unless it fails."""
        content = struct.pack(_COUNTS, *self.counts)
        if content != self._file.content:
            try:
                self._file.store(content)
            except OSError:  # the heartbeat is signed all the same
                pass
        return list(self.counts)
