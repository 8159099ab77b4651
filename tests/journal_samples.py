"""A journal of plain records to be looked at, for tests of it. Runs on CPython and on MicroPython."""

import os

from flash_root import BLOCK_BYTES, new_root

from firmware import tally
from firmware.journal import Journal

STREAM = b"stream-1"
QUOTA_BYTES = 16 * BLOCK_BYTES
# Messages of the wire: the five buckets, sealed by a device of 8 characters. All of one boot begin with the same bytes.
SIZES = (404, 636, 1100, 2124, 3916)
OPENING = b"\xd0\x83\x58\x25" + bytes(range(37)) + b"\xa1\x05\x4d"
MARK_BYTES = 8 + 16 + 28 + len(OPENING)
RECORD_BYTES = 8 + 404 - len(OPENING)
# Each segment of a_journal() has so many records.
EACH = 8


class Entry:
    """A record as a test writes it, and expects it."""

    def __init__(self, seq, code, message):
        self.seq = seq
        self.code = code
        self.message = message


def an_entry(seq, size=404, mark=0, opening=OPENING):
    """The record that a test expects under this number."""
    word = b"%d/%d/" % (seq, mark)
    message = opening + (word * (size // len(word) + 1))[: size - len(opening)]
    return Entry(seq, seq % 8, message)


def a_hash(seq, mark=0):
    return (b"h%d.%d" % (seq, mark) + bytes(16))[:16]


def a_tally(seq):
    """Behind record `seq`, where every record is there."""
    found = tally.EMPTY
    for each in range(1, seq + 1):
        found = tally.after(found, each % 8)
    return found


def append(journal, entry, reserve=False, mark=0):
    """The entry becomes the next record."""
    assert journal.append(entry.code, a_hash(entry.seq, mark), entry.message, reserve) == entry.seq


def is_there(journal, entry):
    """True when the journal has this record as it was written."""
    return journal.message(entry.seq) == entry.message


def a_journal(count=0, root=None, quota_bytes=QUOTA_BYTES):
    """(journal, root) with records 1 to `count` on a new flash, EACH in a segment, as if there had been boots."""
    root = root or new_root()
    journal = Journal(root, quota_bytes)
    journal.begin(STREAM)
    for seq in range(1, count + 1):
        if seq % EACH == 1:
            journal.close()
        append(journal, an_entry(seq))
    return journal, root


def reboot(journal, root, quota_bytes=QUOTA_BYTES):
    """The journal after a reset: the old object is left as it is, nothing is closed in an orderly way on a board."""
    journal.close()  # a test on CPython must not leak the file
    return Journal(root, quota_bytes)


def segments(root):
    return sorted(name for name in os.listdir(root + "/journal"))


def raises(kind, call, *arguments):
    try:
        call(*arguments)
    except kind:
        return True
    return False


def last_segment(root):
    return root + "/journal/" + segments(root)[-1]
