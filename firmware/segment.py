"""A segment: one file of the journal. Frames in a row, each of which is found again behind a damaged one.

    mark, record, record …, mark
    frame: body size (2), low byte of a seq, code, CRC-32 of these and the body (4); body
    body of a record: its message without the opening, the bytes that all messages of one boot begin with
    body of a mark: hash (16) and tally (28) behind the record of that seq; the opening

The first mark tells what was before the segment, the last what its newest record left. The next record is written over
the last mark and followed by another; of such a change littlefs shows all or nothing. The opening stands in both: a
damaged mark hides no message.
"""

import binascii
import struct

from firmware.tally import TALLY_BYTES, after
from protocol.limits import BUCKETS_BYTES, IV_BYTES, MESSAGE_BYTES_MAX, PREV_BYTES, TAG_BYTES

_FRAME = ">HBBI"
FRAME_BYTES = 8
_CHECKED_BYTES = 4  # of the frame: all that stands before its CRC
MARK = 255
_CODE_MAX = 7  # see tally.py
OPENING_BYTES_MAX = 72  # that of a device name of 32 characters has 69
MARK_BYTES_MAX = FRAME_BYTES + PREV_BYTES + TALLY_BYTES + OPENING_BYTES_MAX
# The smallest record of the wire: IV, length of the ciphertext (3), ciphertext.
RECORD_BYTES_MIN = FRAME_BYTES + IV_BYTES + 3 + BUCKETS_BYTES[0] + TAG_BYTES
# The end of an opening, before the IV: see protocol/encrypt0.py.
BEFORE_IV = b"\xa1\x05\x4d"
# Read at once while a frame is looked for or checked: small beside the heap, and half of littlefs' own cache.
_PIECE_BYTES = 64


def frame(seq, code, body):
    """The FRAME_BYTES that stand before a body."""
    head = struct.pack(">HBB", len(body), seq & 255, code)
    return head + struct.pack(">I", binascii.crc32(body, binascii.crc32(head)))


def mark(seq, payload_hash, tally, opening):
    """A whole mark: what record `seq` left."""
    body = payload_hash + tally + opening
    return frame(seq, MARK, body) + body


class Frames:
    """The frames of a segment, one after the other. first: seq of its first record. file: open while it is read.

    seq, code: of the frame that next() found. hash, tally, opening: of the newest mark so far, None before the first;
    tally: with the records behind it.
    damaged: at the end, how many records may lie behind the last frame that was found, at most.
    """

    def __init__(self, first):
        self.first = first
        self.file = None
        self.seq = first - 1
        self.code = MARK
        self.hash = self.tally = self.opening = None
        self._at = self._size = self._next = self.damaged = 0

    def next(self):
        """Go on to the next whole frame; False where none is left."""
        at = self._next
        while True:
            self.file.seek(at)
            piece = self.file.read(_PIECE_BYTES)
            for offset in range(len(piece) - FRAME_BYTES + 1):
                if self._is_frame(piece, offset, at + offset):
                    return True
            if len(piece) < _PIECE_BYTES:
                self.damaged = (at + len(piece) - self._next) // RECORD_BYTES_MIN
                return False
            at += _PIECE_BYTES - FRAME_BYTES + 1

    def _is_frame(self, piece, offset, at):
        """True when a whole frame begins here; then it is the one that was found."""
        size, low, code, crc = struct.unpack_from(_FRAME, piece, offset)
        if size > MESSAGE_BYTES_MAX or _CODE_MAX < code < MARK:
            return False
        found = binascii.crc32(piece[offset : offset + _CHECKED_BYTES])
        at += FRAME_BYTES
        self.file.seek(at)
        left = size
        while left:
            body = self.file.read(min(left, _PIECE_BYTES))
            if not body:
                return False
            found = binascii.crc32(body, found)
            left -= len(body)
        if found != crc:
            return False
        self._at, self._size, self._next = at, size, at + size
        self.code = code
        self.seq += (low - self.seq) & 255  # a segment has fewer records than that, damaged ones included
        if code == MARK:
            self.file.seek(at)
            body = self.file.read(size)
            self.hash, self.tally = body[:PREV_BYTES], body[PREV_BYTES : PREV_BYTES + TALLY_BYTES]
            self.opening = body[PREV_BYTES + TALLY_BYTES :]
        elif self.tally:
            self.tally = after(self.tally, code)
        return True

    def message(self):
        """The message of the record that was found, or None where both marks are damaged."""
        if self.opening is None:
            here = self.seq, self.code, self._at, self._size, self._next
            while self.opening is None and self.next():
                pass
            self.seq, self.code, self._at, self._size, self._next = here
        self.file.seek(self._at)
        return None if self.opening is None else self.opening + self.file.read(self._size)
