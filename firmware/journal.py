"""The journal keeps every sealed record of the ledger stream on flash until the gateway's receipt.

A folder of segments (see segment.py) named by their first seq. A boot or a failed write begins a new one, because a
torn tail may only be followed by nothing; and so do messages of another opening. Whole segments are removed once they
are receipted, but never the last: its newest record is where the stream goes on.
"""

import array
import os

from firmware import segment
from firmware.segment import BEFORE_IV, FRAME_BYTES, MARK, MARK_BYTES_MAX, OPENING_BYTES_MAX, Frames
from firmware.tally import EMPTY, after
from firmware.twin_file import TwinFile

# Erase block of littlefs, and so what a file takes at least.
BLOCK_BYTES = 4096
# What a block holds of a long file: littlefs keeps two pointers in a block on average, and never more in all before it.
_BLOCK_CONTENT_BYTES = BLOCK_BYTES - 8
# Sixteen blocks hold 177 ratings. In one block 10 would fit and a tenth of the flash be lost at its end; with eight a
# hundredth would go into names and ends. More would win nothing, but a receipt frees whole segments, a boot sends a
# whole one again, and a record that is asked for out of order is looked for from its beginning.
_SEGMENT_BLOCKS = 16
# The last segment is never removed: below a fourth of the quota it cannot keep the others from making room.
_SEGMENTS_MIN = 4
_ENDING = ".seg"
# A rating with the longest identity and visit number lies in the bucket of 1024 bytes; with headers, frame and two
# marks it is less than this.
_PROMISED_BYTES = 1400
# In the place of a receipt: the segments that are there belong to the stream before.
_WIPING = 0xFFFFFFFF
# Kept free for events: the journal must still be able to say that it is full, and a boot takes a block of its own.
RESERVED_BLOCKS = 2
# Of the file system, kept out of the journal: 100 blocks for two slots of an update and all other files, and 12 for
# littlefs: directories (a block pair for some 50 names), and what it copies before the old block is free.
KEPT_FREE_BYTES = 112 * BLOCK_BYTES


def quota_bytes(flash_bytes):
    """What the segments may take of a file system of this size: 912 blocks of 4 MiB, 400 of 2 MiB."""
    return max(0, flash_bytes - KEPT_FREE_BYTES)


def _blocks(size_bytes):
    """How many blocks a file of this size takes, at most."""
    return (size_bytes + _BLOCK_CONTENT_BYTES - 1) // _BLOCK_CONTENT_BYTES


class JournalFull(Exception):
    """The quota is used up by records without receipt. Nothing was written."""


class Journal:
    """root: folder of the flash. quota_bytes: how much of it the segments may take.

    stream: 8 bytes, b"" before begin(). head: highest seq in use, 0 before the first; tally: behind it; head_hash: of
    the newest record that is whole, or of an older one where a mark is damaged. through: the receipt's.
    lost: True when the hash of nothing is known any more: the stream cannot go on.
    """

    def __init__(self, root, quota_bytes):
        self._folder = root + "/journal"
        self._blocks_max = quota_bytes // BLOCK_BYTES
        blocks = min(_SEGMENT_BLOCKS, max(1, self._blocks_max // _SEGMENTS_MIN))
        self._segment_bytes = blocks * _BLOCK_CONTENT_BYTES
        try:
            os.mkdir(self._folder)
        except OSError:  # it is there
            pass
        self._pointer = TwinFile(root + "/receipt")
        self._file = None
        self._end = 0  # of the open segment: where its last mark begins
        self._opening = b""
        self._load()
        if self.through == _WIPING:
            self._wipe()

    def _load(self):
        content = self._pointer.content
        self.stream = content[:8]
        self.through = int.from_bytes(content[8:12], "big")
        self._receipted = content[12:28] or bytes(16), content[28:] or EMPTY
        self._frames = None  # where the record behind the one that was last asked for begins
        self._firsts = array.array(
            "I", sorted([int(n[:-4], 16) for n in os.listdir(self._folder) if n.endswith(_ENDING)])
        )
        self._load_head()
        self._blocks = array.array("B", [_blocks(os.stat(self._path(first))[6]) for first in self._firsts])

    def _load_head(self):
        """What the newest whole frame tells, and behind it what is damaged: that was thanked for and may have been
        sent, so its number must not come back. A segment with neither was only begun, and goes.
        """
        self.head = self.through
        self.head_hash, self.tally = self._receipted
        at, whole = len(self._firsts), False
        while at and not whole:
            at -= 1
            used, whole = self._load_segment(self._firsts[at])
            if used < self._firsts[at]:
                os.remove(self._path(self._firsts[at]))
                self._firsts = self._firsts[:at] + self._firsts[at + 1 :]
            self.head = max(self.head, used)

    def _load_segment(self, first):
        """(highest seq that the segment has used, True when it could tell hash and tally, which are noted)."""
        frames = Frames(first)
        with open(self._path(first), "rb") as frames.file:
            while frames.next():
                pass
            used = frames.seq + frames.damaged
        whole = frames.seq >= first and frames.tally is not None
        if whole:
            self.head_hash, self.tally = frames.hash, frames.tally
        return used, whole

    def _path(self, first):
        return "%s/%08x%s" % (self._folder, first, _ENDING)

    def begin(self, stream):
        """Begin a new stream (8 bytes) with seq 1. Whatever is left of an old one is removed first.

        The new name is on flash before that: a power cut among the removals must not leave the old name with none of
        its numbers, which would be used again.
        """
        self.close()
        self._store_pointer(stream, _WIPING, (bytes(16), EMPTY))
        self._wipe()

    def _store_pointer(self, stream, through, state):
        self._pointer.store(stream + through.to_bytes(4, "big") + state[0] + state[1])

    def _wipe(self):
        """Remove every segment, then let the stream begin."""
        for name in os.listdir(self._folder):
            os.remove(self._folder + "/" + name)
        self._store_pointer(self._pointer.content[:8], 0, (bytes(16), EMPTY))
        self._load()

    @property
    def lost(self):
        return self.head > 0 and self.head_hash == bytes(16)

    def unused_bytes(self):
        """How much of the quota no segment takes yet."""
        return max(0, self._blocks_max - sum(self._blocks)) * BLOCK_BYTES

    def pending(self):
        """How many records have no receipt yet."""
        return self.head - self.through

    def _begins(self, size_bytes, message):
        """True when a record of this size, frame and mark included, begins a segment."""
        fits = self._end + size_bytes <= self._segment_bytes and message.startswith(self._opening)
        return self._file is None or not fits

    def _lacks(self, size_bytes, begins, reserve):
        """True when a record of this size, frame and mark included, has no room."""
        taken = sum(self._blocks)
        if begins:
            taken += _blocks(size_bytes + MARK_BYTES_MAX)
        else:
            taken += max(0, _blocks(self._end + size_bytes) - self._blocks[-1])
        return taken > self._blocks_max - (0 if reserve else RESERVED_BLOCKS)

    def has_room(self):
        """True when one more record of up to _PROMISED_BYTES has room outside the reserve."""
        return not self._lacks(_PROMISED_BYTES, self._begins(_PROMISED_BYTES, self._opening), False)

    def append(self, code, payload_hash, message, reserve=False):
        """Write the record with seq head + 1 (code: see tally.py); on flash on return, which is that seq.

        reserve: may use the last blocks of the quota. Raises JournalFull, or OSError when the flash fails; then nothing
        counts as written.
        """
        size = FRAME_BYTES + len(message) + MARK_BYTES_MAX
        begins = self._begins(size, message)
        if self._lacks(size, begins, reserve):
            raise JournalFull()
        seq, tally = self.head + 1, after(self.tally, code)
        if begins:
            self.close()
            self._file = open(self._path(seq), "wb")
            self._end, self._frames = 0, None
            self._opening = message[: message.find(BEFORE_IV, 0, OPENING_BYTES_MAX) + len(BEFORE_IV)]
            self._firsts.append(seq)
            self._blocks.append(1)
        body = memoryview(message)[len(self._opening) :]
        last = segment.mark(seq, payload_hash, tally, self._opening)
        file, end = self._file, self._end
        try:
            if not end:
                end = file.write(segment.mark(self.head, self.head_hash, self.tally, self._opening))
            file.seek(end)
            end += file.write(segment.frame(seq, code, body)) + file.write(body)
            file.write(last)
            file.flush()
        except OSError:
            self._leave_segment(seq)
            raise
        self._end, self._blocks[-1] = end, _blocks(end + len(last))
        self.head, self.head_hash, self.tally = seq, payload_hash, tally
        return seq

    def _leave_segment(self, failed):
        """What was half written stays behind, and nothing follows it there. A segment with no other record is none."""
        try:
            self.close()
        except OSError:
            pass
        self._file = None
        if self._firsts[-1] == failed:
            self._firsts, self._blocks = self._firsts[:-1], self._blocks[:-1]

    def _first(self, seq):
        """First seq of the segment that `seq` must lie in, or 0 where there is none."""
        at = len(self._firsts) - 1
        while at >= 0 and self._firsts[at] > seq:
            at -= 1
        return self._firsts[at] if at >= 0 else 0

    def message(self, seq):
        """The message of record `seq`, or None when it is gone or damaged. Asked for in order, each costs one look."""
        first = self._first(seq)
        if not first or seq > self.head:
            return None
        frames, self._frames = self._frames, None
        if frames is None or frames.first != first or frames.seq >= seq:
            frames = Frames(first)
        with open(self._path(first), "rb") as frames.file:
            while frames.next() and (frames.seq < seq or frames.code == MARK):
                pass
            if frames.seq != seq or frames.code == MARK:
                return None
            message = frames.message()
        frames.file = None
        self._frames = frames
        return message

    def state(self, seq):
        """(hash, tally) behind record `seq`, which is in use; the hash may be that of an older one."""
        if seq == self.head:
            return self.head_hash, self.tally
        first = self._first(seq)
        if not first:
            return self._receipted
        frames = Frames(first)
        with open(self._path(first), "rb") as frames.file:
            while frames.seq < seq and frames.next():
                pass
        return (frames.hash, frames.tally) if frames.tally else self._receipted

    def trim(self, through):
        """A receipt came: every record up to `through` is on the gateway's disk. Older or too new ones are ignored."""
        if not self.through < through <= self.head:
            return
        self.through = through
        if through == self.head:
            self._frames = None  # it is not small, and nothing is left to be asked for
        done = 0
        while done + 1 < len(self._firsts) and self._firsts[done + 1] <= through + 1:
            done += 1
        if done:  # the pointer first: a segment that is gone must never look unsent
            self._receipted = self.state(through)
            self._store_pointer(self.stream, through, self._receipted)
            receipted, self._firsts, self._blocks = self._firsts[:done], self._firsts[done:], self._blocks[done:]
            for first in receipted:
                os.remove(self._path(first))

    def close(self):
        """Close the open segment; the next append begins another."""
        if self._file:
            self._file.close()
            self._file = None
