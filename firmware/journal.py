"""The journal keeps every sealed record of the ledger stream on flash until the gateway's receipt.

A folder of segments named by their first seq. A segment is a file of records, each a head and the message, and takes
one block of flash. A boot or a failed write begins a new one, because a torn tail may only be followed by nothing.
Whole segments are removed once they are receipted, but never the last: its newest record is where the stream goes on.
"""

import array
import binascii
import os
import struct

from firmware.twin_file import TwinFile
from protocol.limits import BUCKETS_BYTES

# Erase block of littlefs, and so what a file takes at least. Eight messages of the smallest bucket fill it, with heads;
# one of the largest fits.
BLOCK_BYTES = 4096
# Message length, kind, seq, hash of the payload, tally, CRC-32 of the message; then CRC-32 of all that, so that a
# damaged length never hides the records behind it.
_HEAD = ">HBI16s28sI"
_HEAD_BYTES = 59
_RECORD_BYTES_MIN = _HEAD_BYTES + BUCKETS_BYTES[0]
_ENDING = ".seg"
# A rating with the longest identity and visit number lies in the bucket of 1024 bytes; with headers and head it is less
# than this.
_PROMISED_BYTES = 1300
# In the place of a receipt: the segments that are there belong to the stream before.
_WIPING = 0xFFFFFFFF
TALLY_BYTES = 28
EMPTY_TALLY = bytes(TALLY_BYTES)
# Kept free for events: the journal must still be able to say that it is full.
RESERVED_SEGMENTS = 1


class JournalFull(Exception):
    """The quota is used up by records without receipt. Nothing was written."""


class Entry:
    """One record: kind, seq, hash (16 bytes), tally (28 bytes), message (up to MESSAGE_BYTES_MAX)."""

    def __init__(self, kind, seq, payload_hash, tally, message):
        self.kind = kind
        self.seq = seq
        self.hash = payload_hash
        self.tally = tally
        self.message = message


def _head(entry):
    head = struct.pack(
        _HEAD, len(entry.message), entry.kind, entry.seq, entry.hash, entry.tally, binascii.crc32(entry.message)
    )
    return head + struct.pack(">I", binascii.crc32(head))


def _is_head(head):
    return binascii.crc32(head[:-4]) == struct.unpack(">I", head[-4:])[0]


def _read(file):
    """The next record of a segment; or how many are damaged here, at most; or 0 at its end, torn or not."""
    begins = at = file.tell()
    head = file.read(_HEAD_BYTES)
    while len(head) == _HEAD_BYTES and not _is_head(head):  # search: the next one begins anywhere
        at += 1
        file.seek(at)
        head = file.read(_HEAD_BYTES)
    if len(head) < _HEAD_BYTES:
        return (at + len(head) - begins) // _RECORD_BYTES_MIN if at > begins else 0
    if at > begins:
        file.seek(at)
        return 1
    size, kind, seq, payload_hash, tally, crc = struct.unpack(_HEAD, head[:-4])
    message = file.read(size)
    if len(message) < size:
        return 0
    return Entry(kind, seq, payload_hash, tally, message) if binascii.crc32(message) == crc else 1


def _read_entry(file):
    """The next whole record of a segment, or None at its end, torn or not. A damaged one is passed over."""
    found = 1
    while found and isinstance(found, int):
        found = _read(file)
    return found or None


class Journal:
    """root: folder of the flash. quota_bytes: how much of it the segments may take.

    stream: 8 bytes, b"" before begin(). head: highest seq in use, 0 before the first; head_hash, tally: of the newest
    record that is whole.
    through: the receipt's; through_hash, through_tally: of that record. tally is the owner's: running totals, 28 bytes.
    lost: True when the hash of nothing is known any more: the stream cannot go on.
    """

    def __init__(self, root, quota_bytes):
        self._folder = root + "/journal"
        self._segments_max = quota_bytes // BLOCK_BYTES
        try:
            os.mkdir(self._folder)
        except OSError:  # it is there
            pass
        self._pointer = TwinFile(root + "/receipt")
        self._file = None
        self._segment_bytes = 0
        self._load()
        if self.through == _WIPING:
            self._wipe()

    def _load(self):
        self._load_pointer()
        self._firsts = array.array(
            "I", sorted([int(n[:-4], 16) for n in os.listdir(self._folder) if n.endswith(_ENDING)])
        )
        self._load_head()

    def _load_pointer(self):
        content = self._pointer.content
        self.stream = content[:8]
        self.through = int.from_bytes(content[8:12], "big")
        self.through_hash = content[12:28] or bytes(16)
        self.through_tally = content[28:] or EMPTY_TALLY

    def _load_head(self):
        """The newest whole record, and behind it what is damaged: that was thanked for and may have been sent, so its
        number must not come back. A segment with neither was only begun, and goes.
        """
        self.head, self.head_hash, self.tally = self.through, self.through_hash, self.through_tally
        at, whole = len(self._firsts), False
        while at and not whole:
            at -= 1
            used, whole = self._load_segment(self._firsts[at])
            if used < self._firsts[at]:
                os.remove(self._path(self._firsts[at]))
                self._firsts = self._firsts[:at] + self._firsts[at + 1 :]
            self.head = max(self.head, used)

    def _load_segment(self, first):
        """(highest seq that the segment has used, True when it holds a whole record, which is noted)."""
        used, whole = first - 1, False
        with open(self._path(first), "rb") as file:
            found = _read(file)
            while found:
                if isinstance(found, int):
                    used += found
                else:
                    used, whole = found.seq, True
                    self.head_hash, self.tally = found.hash, found.tally
                found = _read(file)
        return used, whole

    def _path(self, first):
        return "%s/%08x%s" % (self._folder, first, _ENDING)

    def begin(self, stream):
        """Begin a new stream (8 bytes) with seq 1. Whatever is left of an old one is removed first.

        The new name is on flash before that: a power cut among the removals must not leave the old name with none of
        its numbers, which would be used again.
        """
        self.close()
        self._store_pointer(stream, _WIPING)
        self._wipe()

    def _store_pointer(self, stream, through):
        self._pointer.store(stream + through.to_bytes(4, "big") + bytes(16) + EMPTY_TALLY)

    def _wipe(self):
        """Remove every segment, then let the stream begin."""
        for name in os.listdir(self._folder):
            os.remove(self._folder + "/" + name)
        self._store_pointer(self._pointer.content[:8], 0)
        self._load()

    @property
    def lost(self):
        return self.head > 0 and self.head_hash == bytes(16)

    def unused_bytes(self):
        """How much of the quota no segment takes yet: nothing else may take it either."""
        return (self._segments_max - len(self._firsts)) * BLOCK_BYTES

    def pending(self):
        """How many records have no receipt yet."""
        return self.head - self.through

    def _lacks(self, size_bytes, reserve):
        """True when a record of this size, head included, has no room."""
        room = self._segments_max - len(self._firsts) - (0 if reserve else RESERVED_SEGMENTS)
        return room < (1 if self._begins(size_bytes) else 0)  # below 0: the open segment is of the reserve

    def _begins(self, size_bytes):
        """True when a record of this size begins a segment."""
        return self._file is None or self._segment_bytes + size_bytes > BLOCK_BYTES

    def has_room(self):
        """True when one more record of up to _PROMISED_BYTES has room outside the reserve."""
        return not self._lacks(_PROMISED_BYTES, False)

    def append(self, entry, reserve=False):
        """Write the record with seq head + 1; on flash on return. reserve: may use the last segments of the quota.

        Raises JournalFull, or OSError when the flash fails; then nothing counts as written.
        """
        size = _HEAD_BYTES + len(entry.message)
        if self._lacks(size, reserve):
            raise JournalFull()
        if self._begins(size):
            self._open_segment(entry.seq)
        try:
            self._file.write(_head(entry))
            self._file.write(entry.message)
            self._file.flush()
        except OSError:
            self._leave_segment(entry.seq)
            raise
        self._segment_bytes += size
        self.head, self.head_hash, self.tally = entry.seq, entry.hash, entry.tally

    def _open_segment(self, first):
        self.close()
        self._file = open(self._path(first), "wb")
        self._segment_bytes = 0
        self._firsts.append(first)

    def _leave_segment(self, failed):
        """What was half written stays behind, and nothing follows it there. A segment with no other record is none."""
        try:
            self.close()
        except OSError:
            pass
        self._file = None
        if self._firsts[-1] == failed:
            self._firsts = self._firsts[:-1]

    def entry(self, seq):
        """The record of `seq`, or None when it is gone or damaged."""
        at = len(self._firsts) - 1
        while at >= 0 and self._firsts[at] > seq:
            at -= 1
        if at < 0:
            return None
        with open(self._path(self._firsts[at]), "rb") as file:
            found = _read_entry(file)
            while found and found.seq != seq:
                found = _read_entry(file)
        return found

    def trim(self, through):
        """A receipt came: every record up to `through` is on the gateway's disk. Older or too new ones are ignored."""
        if not self.through < through <= self.head:
            return
        last = self.entry(through)
        self.through = through
        if last:
            self.through_hash, self.through_tally = last.hash, last.tally
        done = 0
        while done + 1 < len(self._firsts) and self._firsts[done + 1] <= through + 1:
            done += 1
        if done:  # the pointer first: a segment that is gone must never look unsent
            self._pointer.store(self.stream + through.to_bytes(4, "big") + self.through_hash + self.through_tally)
            receipted, self._firsts = self._firsts[:done], self._firsts[done:]
            for first in receipted:
                os.remove(self._path(first))

    def close(self):
        """Close the open segment; the next append begins another."""
        if self._file:
            self._file.close()
            self._file = None
