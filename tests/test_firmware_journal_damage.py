"""What damage and failure leave of a journal: all that was confirmed. Runs on CPython and on MicroPython."""

import os

from flash_root import BLOCK_BYTES, read, write
from journal_samples import (
    MARK_BYTES,
    OPENING,
    QUOTA_BYTES,
    RECORD_BYTES,
    SIZES,
    STREAM,
    a_hash,
    a_journal,
    a_tally,
    an_entry,
    append,
    is_there,
    last_segment,
    raises,
    reboot,
    segments,
)
from suites import SeededRandom

from firmware import journal as journal_module
from firmware import segment
from firmware.journal import Journal, JournalFull

# The flash lies in the heap here, beside the journal.
HEAP_KIB = 256
# So little that a life at random is full now and then.
WALK_QUOTA_BYTES = 6 * BLOCK_BYTES


def test_a_torn_tail_is_passed_over_wherever_it_is_torn():
    """The last record of a segment is cut everywhere in its frame and mark, and at steps of 37 bytes in its message.

    littlefs never shows such a tail. The record before is whole whatever happens; its hash went with the mark that the
    torn one was written over, so the chain goes on from an older one.
    """
    journal, root = a_journal(10)
    before = read(last_segment(root))
    append(journal, an_entry(11))
    journal.close()
    whole = read(last_segment(root))
    start = len(before) - MARK_BYTES
    lengths = list(range(start, start + 64))
    lengths.extend(range(start + 64, len(whole) - MARK_BYTES, 37))
    lengths.extend(range(len(whole) - MARK_BYTES - 3, len(whole)))
    for length in lengths:
        write(last_segment(root), whole[:length] + before[length:])
        journal = Journal(root, QUOTA_BYTES)
        head = 11 if length >= len(whole) - MARK_BYTES else 10
        assert (journal.head, journal.tally) == (head, a_tally(head)), length
        assert journal.head_hash == a_hash(10 if length == start else 8), length
        for seq in range(1, 12):
            assert is_there(journal, an_entry(seq)) if seq <= head else journal.message(seq) is None, (length, seq)


def test_after_a_torn_tail_the_stream_goes_on_with_its_number():
    journal, root = a_journal(11)
    journal.close()
    write(last_segment(root), read(last_segment(root))[: -MARK_BYTES - 7])
    journal = Journal(root, QUOTA_BYTES)
    append(journal, an_entry(11, mark=1))
    append(journal, an_entry(12))
    for again in (journal, reboot(journal, root)):
        assert again.head == 12 and is_there(again, an_entry(11, mark=1))
        assert all(is_there(again, an_entry(seq)) for seq in (1, 8, 9, 10, 12))


def test_a_segment_that_was_only_begun_is_no_loss():
    begun = segment.mark(8, a_hash(8), a_tally(8), OPENING)
    for torn in (b"", b"\x00", bytes(7), bytes(8), b"\xff" * 59, b"\xff" * 360, begun, begun[:-1], begun + bytes(300)):
        journal, root = a_journal(8)
        journal.close()
        write(root + "/journal/00000009.seg", torn)
        journal = Journal(root, QUOTA_BYTES)
        assert journal.head == 8 and journal.head_hash == a_hash(8) and len(segments(root)) == 1, torn
        append(journal, an_entry(9))
        assert is_there(reboot(journal, root), an_entry(9))


def test_a_damaged_record_hides_no_other():
    """Any turned bit in the third record of a segment: the others are still there, and the head is."""
    journal, root = a_journal(16)
    journal.close()
    path = root + "/journal/" + segments(root)[0]
    whole = read(path)
    third = MARK_BYTES + 2 * RECORD_BYTES
    places = list(range(third, third + 64))
    places.extend((third + 300, third + RECORD_BYTES - 1))
    for at in places:
        damaged = bytearray(whole)
        damaged[at] ^= 0x10
        write(path, damaged)
        journal = Journal(root, QUOTA_BYTES)
        assert journal.head == 16 and journal.message(3) is None, at
        assert all(is_there(journal, an_entry(seq)) for seq in range(1, 17) if seq != 3), at


def test_a_damaged_length_takes_no_memory_and_no_other_segment():
    journal, root = a_journal(16)
    journal.close()
    path = root + "/journal/" + segments(root)[0]
    whole = read(path)
    write(path, whole[:MARK_BYTES] + b"\xff\xff" + whole[MARK_BYTES + 2 :])
    journal = Journal(root, QUOTA_BYTES)
    assert journal.message(1) is None
    assert journal.head == 16 and all(is_there(journal, an_entry(seq)) for seq in range(2, 17))


def test_a_damaged_newest_segment_gives_up_only_what_is_damaged():
    journal, root = a_journal(12)
    journal.close()
    damaged = bytearray(read(last_segment(root)))
    damaged[100] ^= 1
    write(last_segment(root), damaged)
    journal = Journal(root, QUOTA_BYTES)
    assert journal.head == 12 and journal.message(9) is None
    assert all(is_there(journal, an_entry(seq)) for seq in (8, 10, 11, 12))


def test_the_number_of_a_damaged_record_never_comes_back():
    """Any turned bit in the newest record: it was thanked for, and may be at the gateway."""
    journal, root = a_journal(12)
    journal.close()
    whole = read(last_segment(root))
    start = len(whole) - MARK_BYTES - RECORD_BYTES
    places = list(range(start, start + 64))
    places.extend((start + 300, start + RECORD_BYTES - 1))
    flips = [(at, 0x10) for at in places]
    flips.extend([(start + byte, 1 << bit) for byte in (0, 1) for bit in range(8)])  # its length
    for at, bits in flips:
        damaged = bytearray(whole)
        damaged[at] ^= bits
        write(last_segment(root), damaged)
        journal = Journal(root, QUOTA_BYTES)
        assert (journal.head, journal.head_hash, journal.tally) == (12, a_hash(12), a_tally(12)), at
        assert journal.message(12) is None and is_there(journal, an_entry(11)), at
    append(journal, an_entry(13))
    journal = reboot(journal, root)
    assert journal.head == 13 and is_there(journal, an_entry(13)) and is_there(journal, an_entry(10))


def test_a_damaged_mark_hides_no_record_and_gives_back_no_number():
    """Any turned bit in one of the two. Without the last, the hash is that of the record before the segment."""
    journal, root = a_journal(12)
    journal.close()
    whole = read(last_segment(root))
    for start in (0, len(whole) - MARK_BYTES):
        for at in range(start, start + MARK_BYTES):
            damaged = bytearray(whole)
            damaged[at] ^= 0x10
            write(last_segment(root), damaged)
            journal = Journal(root, QUOTA_BYTES)
            assert (journal.head, journal.tally) == (12, a_tally(12)), at
            assert journal.head_hash == a_hash(8 if start else 12), at
            assert all(is_there(journal, an_entry(seq)) for seq in range(1, 13)), at
    append(journal, an_entry(13))
    assert is_there(reboot(journal, root), an_entry(13))


def test_without_both_marks_the_numbers_stay_in_use():
    journal, root = a_journal(12)
    journal.close()
    damaged = bytearray(read(last_segment(root)))
    damaged[20] ^= 1
    damaged[-20] ^= 1
    write(last_segment(root), damaged)
    journal = Journal(root, QUOTA_BYTES)
    assert (journal.head, journal.message(12)) == (12, None) and not journal.lost
    assert is_there(journal, an_entry(8))


def test_a_newest_segment_of_noise_uses_up_the_numbers_it_may_have_held():
    journal, root = a_journal(12)
    journal.close()
    size = len(read(last_segment(root)))
    write(last_segment(root), b"\xff" * size)
    journal = Journal(root, QUOTA_BYTES)
    assert 12 <= journal.head <= 13
    assert is_there(journal, an_entry(8)) and journal.message(12) is None
    head = journal.head
    append(journal, an_entry(head + 1))
    assert reboot(journal, root).head == head + 1


class FailingFile:
    """A file whose flash fails at the write number `at`, after half of it is written."""

    def __init__(self, file, at):
        self.file = file
        self._left = at
        self.read = file.read
        self.seek = file.seek

    def write(self, data):
        self._left -= 1
        if self._left == 0:
            self.file.write(data[: len(data) // 2])
            self.file.flush()
            raise OSError(28)
        return self.file.write(data)

    def flush(self):
        self.file.flush()

    def close(self):
        self.file.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()


def _append_with_failure(journal, entry, at):
    """Append while the file of the open, or next, segment fails at a write."""
    if journal._file:
        journal._file = FailingFile(journal._file, at)
    journal_module.open = lambda path, mode: FailingFile(open(path, mode), at)  # noqa: SIM115  # the journal closes it
    try:
        return raises(OSError, append, journal, entry)
    finally:
        del journal_module.open
        if journal._file:  # it was written before it could fail
            journal._file = journal._file.file


def test_a_failed_write_hides_no_record_behind_it():
    """The flash fails at any write of any record of a segment; what is taken afterwards stays readable."""
    for before in (0, 1, 5, 7, 8):
        for at in (1, 2, 3, 4):
            journal, root = a_journal(before)
            if not _append_with_failure(journal, an_entry(before + 1, mark=1), at):
                continue  # fewer writes than that
            assert journal.head == before
            for seq in range(before + 1, before + 12):
                append(journal, an_entry(seq))
            for again in (journal, reboot(journal, root)):
                assert again.head == before + 11
                assert all(is_there(again, an_entry(seq)) for seq in range(1, before + 12)), (before, at)


def test_a_failed_removal_does_not_stop_the_next_receipt():
    journal, root = a_journal(40)
    gone = root + "/journal/" + segments(root)[0]
    os.remove(gone)
    raises(OSError, journal.trim, 20)
    journal.trim(32)
    assert journal.through == 32 and reboot(journal, root).through == 32


class Walk:
    """A long life at random, beside a model of it.

    pending: {seq: (size, mark)} of every record that was confirmed and has no receipt.
    """

    def __init__(self, seed):
        self.draw = SeededRandom(seed)
        self.journal, self.root = a_journal(quota_bytes=WALK_QUOTA_BYTES)
        self.pending, self.head, self.through = {}, 0, 0
        self.fulls = 0

    def number(self, below):
        return int.from_bytes(self.draw(4), "big") % below

    def append(self):
        made = SIZES[self.number(20) // 4 % 5 if self.number(3) == 0 else 0], self.number(1000)
        try:
            append(self.journal, an_entry(self.head + 1, *made))
        except JournalFull:
            self.fulls += 1
            return
        self.head += 1
        self.pending[self.head] = made

    def trim(self):
        through = self.through + self.number(self.head - self.through + 3)
        self.journal.trim(through)
        if self.through < through <= self.head:
            self.through = through
            self.pending = {seq: self.pending[seq] for seq in self.pending if seq > through}

    def fail(self):
        entry = an_entry(self.head + 1, 636, 1001)
        try:
            failed = _append_with_failure(
                self.journal, entry, 1 + self.number(2)
            )  # not its mark: then the record may survive
        except JournalFull:
            return
        assert failed and self.journal.head == self.head

    def boot(self):
        self.journal = reboot(self.journal, self.root, WALK_QUOTA_BYTES)
        assert self.journal.through <= self.through

    def tear(self):
        """Power is lost in the middle of an append: in the record, or in the mark behind it."""
        before = self.head
        self.append()
        if self.head == before:
            return
        self.journal.close()
        path = last_segment(self.root)
        torn, size = read(path), 8 + self.pending[self.head][0] - len(OPENING)
        if self.number(2):
            write(path, torn[: len(torn) - 1 - self.number(MARK_BYTES)])
        else:
            write(path, torn[: len(torn) - MARK_BYTES - size + self.number(300)])
            self.pending.pop(self.head)
            self.head -= 1
        self.boot()

    def check(self):
        journal = self.journal
        assert (journal.stream, journal.head) == (STREAM, self.head)
        assert all(is_there(journal, an_entry(seq, *self.pending[seq])) for seq in self.pending)
        assert sorted(self.pending) == list(range(self.through + 1, self.head + 1))


def _walk(seed, steps):
    walk = Walk(seed)
    for _ in range(steps):
        choice = walk.number(20)
        (walk.append if choice < 14 else walk.trim if choice < 17 else walk.boot if choice < 18 else
         walk.fail if choice < 19 else walk.tear)()  # fmt: skip
    walk.check()
    walk.boot()
    walk.check()
    walk.journal.close()
    return walk.fulls


def test_a_long_life_at_random_loses_nothing_confirmed():
    fulls = 0
    for life in range(12):
        fulls += _walk("life " + str(life), 120)
    assert fulls  # a full journal was among it
