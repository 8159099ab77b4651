"""The journal loses nothing that it has taken, whatever happens to the flash. Runs on CPython and on MicroPython."""

import os

from flash_root import BLOCK_BYTES, new_root, read, sizes, write
from suites import SeededRandom

from firmware import journal as journal_module
from firmware.journal import EMPTY_TALLY, Entry, Journal, JournalFull

# The flash lies in the heap here, beside the journal.
HEAP_KIB = 256
STREAM = b"stream-1"
QUOTA_BYTES = 16 * BLOCK_BYTES
# So little that a life at random is full now and then.
WALK_QUOTA_BYTES = 6 * BLOCK_BYTES
# Messages of the wire: the five buckets, sealed.
SIZES = (449, 633, 1097, 2121, 3913)


def _tally(seq):
    return seq.to_bytes(4, "big") * 7


def an_entry(seq, size=449, mark=0):
    """The record that a test expects under this number."""
    word = b"%d/%d/" % (seq, mark)
    message = (word * (size // len(word) + 1))[:size]
    return Entry(1 + seq % 3, seq, (b"h%d.%d" % (seq, mark) + bytes(16))[:16], _tally(seq), message)


def same(found, wanted):
    """True when two entries agree in every field."""
    return found is not None and (
        (found.kind, found.seq, found.hash, found.tally, found.message)
        == (wanted.kind, wanted.seq, wanted.hash, wanted.tally, wanted.message)
    )


def a_journal(count=0, root=None, quota_bytes=QUOTA_BYTES):
    """(journal, root) with records 1 to `count` on a new flash."""
    root = root or new_root()
    journal = Journal(root, quota_bytes)
    journal.begin(STREAM)
    for seq in range(1, count + 1):
        journal.append(an_entry(seq))
    return journal, root


def reboot(journal, root, quota_bytes=QUOTA_BYTES):
    """The journal after a reset: the old object is left as it is, nothing is closed in an orderly way on a board."""
    journal.close()  # a test on CPython must not leak the file
    return Journal(root, quota_bytes)


def segments(root):
    return sorted(name for name in os.listdir(root + "/journal"))


def _raises(kind, call, *arguments):
    try:
        call(*arguments)
    except kind:
        return True
    return False


def test_a_new_journal_is_empty_and_has_no_stream():
    journal = Journal(new_root(), QUOTA_BYTES)
    assert (journal.stream, journal.head, journal.through, journal.pending()) == (b"", 0, 0, 0)
    assert journal.head_hash == bytes(16) and journal.tally == EMPTY_TALLY and journal.entry(1) is None


def test_every_record_comes_back_as_it_was_whatever_its_size():
    journal, root = a_journal()
    wanted = [an_entry(seq, SIZES[seq % 5]) for seq in range(1, 16)]
    for entry in wanted:
        journal.append(entry)
    for again in (journal, reboot(journal, root)):
        assert all(same(again.entry(entry.seq), entry) for entry in wanted)
        assert again.entry(0) is None and again.entry(16) is None


def test_the_head_survives_a_reboot():
    journal, root = a_journal(11)
    journal = reboot(journal, root)
    assert (journal.stream, journal.head, journal.head_hash) == (STREAM, 11, an_entry(11).hash)
    assert journal.tally == _tally(11) and journal.pending() == 11


def test_the_head_survives_a_receipt_for_everything_and_a_reboot():
    journal, root = a_journal(40)
    journal.trim(40)
    assert journal.pending() == 0 and journal.through_tally == _tally(40)
    journal = reboot(journal, root)
    assert (journal.stream, journal.head, journal.head_hash, journal.tally) == (
        STREAM, 40, an_entry(40).hash, _tally(40)
    )  # fmt: skip
    journal.append(an_entry(41))
    assert same(reboot(journal, root).entry(41), an_entry(41))


def test_a_receipt_frees_whole_segments_and_nothing_above_it():
    journal, root = a_journal(40)
    before = len(segments(root))
    journal.trim(20)
    assert len(segments(root)) < before
    for again in (journal, reboot(journal, root)):
        assert all(same(again.entry(seq), an_entry(seq)) for seq in range(21, 41))


def test_after_a_reboot_at_most_one_segment_is_sent_again():
    journal, root = a_journal(40)
    journal.trim(37)
    journal = reboot(journal, root)
    assert 37 - 8 < journal.through <= 37


def test_a_receipt_is_taken_only_for_what_is_pending():
    journal = a_journal(10)[0]
    journal.trim(6)
    for through in (0, 5, 6, 11, 4294967295):
        journal.trim(through)
        assert (journal.through, journal.through_tally, journal.pending()) == (6, _tally(6), 4)
    assert all(same(journal.entry(seq), an_entry(seq)) for seq in range(7, 11))


def test_a_boot_begins_a_new_segment():
    journal, root = a_journal(3)
    assert segments(root) == ["00000001.seg"]
    journal = reboot(journal, root)
    journal.append(an_entry(4))
    assert segments(root) == ["00000001.seg", "00000004.seg"]


def test_a_full_journal_says_so_and_keeps_every_record():
    journal, root = a_journal()
    seq = 0
    while not _raises(JournalFull, journal.append, an_entry(seq + 1)):
        seq += 1
    assert seq >= 8 * (QUOTA_BYTES // BLOCK_BYTES - 1) and journal.head == seq
    for again in (journal, reboot(journal, root)):
        assert _raises(JournalFull, again.append, an_entry(seq + 1))
        assert again.head == seq and all(same(again.entry(each), an_entry(each)) for each in range(1, seq + 1))


def test_a_receipt_makes_room_in_a_full_journal():
    journal, root = a_journal()
    while not _raises(JournalFull, journal.append, an_entry(journal.head + 1)):
        pass
    head = journal.head
    journal.trim(8)
    journal.append(an_entry(head + 1))
    assert same(reboot(journal, root).entry(head + 1), an_entry(head + 1))


def test_a_full_journal_has_room_for_the_event_that_says_so():
    journal, root = a_journal()
    while not _raises(JournalFull, journal.append, an_entry(journal.head + 1)):
        pass
    head = journal.head
    journal.append(an_entry(head + 1), True)
    assert same(reboot(journal, root).entry(head + 1), an_entry(head + 1))


def test_what_is_pending_never_takes_more_blocks_than_its_quota():
    """A file takes whole blocks, so they are what counts, whatever the sizes of the records."""
    for size in SIZES:
        journal, root = a_journal()
        while not _raises(JournalFull, journal.append, an_entry(journal.head + 1, size), True):
            pass
        taken = sum([-(-each // BLOCK_BYTES) for each in sizes(root + "/journal")])
        assert taken * BLOCK_BYTES <= QUOTA_BYTES, (size, taken)
        journal.close()


def _last_segment(root):
    return root + "/journal/" + segments(root)[-1]


def test_a_torn_tail_is_passed_over_wherever_it_is_torn():
    """The last record of a segment is cut everywhere in its head, and at steps of 37 bytes in its message."""
    journal, root = a_journal(11)
    journal.close()
    whole = read(_last_segment(root))
    start = len(whole) - 449 - 59
    lengths = list(range(start, start + 64))
    lengths.extend(range(start + 64, len(whole), 37))
    lengths.append(len(whole) - 1)
    for length in lengths:
        write(_last_segment(root), whole[:length])
        journal = Journal(root, QUOTA_BYTES)
        assert (journal.head, journal.head_hash) == (10, an_entry(10).hash), length
        assert journal.entry(11) is None and all(same(journal.entry(seq), an_entry(seq)) for seq in range(1, 11))


def test_after_a_torn_tail_the_stream_goes_on_with_its_number():
    journal, root = a_journal(11)
    journal.close()
    write(_last_segment(root), read(_last_segment(root))[:-7])
    journal = Journal(root, QUOTA_BYTES)
    journal.append(an_entry(11, mark=1))
    journal.append(an_entry(12))
    for again in (journal, reboot(journal, root)):
        assert again.head == 12 and same(again.entry(11), an_entry(11, mark=1))
        assert all(same(again.entry(seq), an_entry(seq)) for seq in (1, 8, 9, 10, 12))


def test_a_segment_that_was_only_begun_is_no_loss():
    for torn in (b"", b"\x00", bytes(58), bytes(59), b"\xff" * 59, b"\xff" * 400):
        journal, root = a_journal(8)
        journal.close()
        write(root + "/journal/00000009.seg", torn)
        journal = Journal(root, QUOTA_BYTES)
        assert journal.head == 8 and len(segments(root)) == 1, torn
        journal.append(an_entry(9))
        assert same(reboot(journal, root).entry(9), an_entry(9))


def test_a_damaged_record_hides_no_other():
    """Any turned bit in the third record of a segment: the others are still there, and the head is."""
    journal, root = a_journal(16)
    journal.close()
    path = root + "/journal/" + segments(root)[0]
    whole = read(path)
    third = 2 * (449 + 59)
    places = list(range(third, third + 64))
    places.extend((third + 300, third + 449 + 58))
    for at in places:
        damaged = bytearray(whole)
        damaged[at] ^= 0x10
        write(path, damaged)
        journal = Journal(root, QUOTA_BYTES)
        assert journal.head == 16 and journal.entry(3) is None, at
        assert all(same(journal.entry(seq), an_entry(seq)) for seq in range(1, 17) if seq != 3), at


def test_a_damaged_length_takes_no_memory_and_no_other_segment():
    journal, root = a_journal(16)
    journal.close()
    path = root + "/journal/" + segments(root)[0]
    whole = read(path)
    write(path, b"\xff\xff" + whole[2:])
    journal = Journal(root, QUOTA_BYTES)
    assert journal.entry(1) is None
    assert journal.head == 16 and all(same(journal.entry(seq), an_entry(seq)) for seq in range(2, 17))


def test_a_damaged_newest_segment_gives_up_only_what_is_damaged():
    journal, root = a_journal(12)
    journal.close()
    damaged = bytearray(read(_last_segment(root)))
    damaged[100] ^= 1
    write(_last_segment(root), damaged)
    journal = Journal(root, QUOTA_BYTES)
    assert journal.head == 12 and journal.entry(9) is None
    assert all(same(journal.entry(seq), an_entry(seq)) for seq in (8, 10, 11, 12))


def test_the_number_of_a_damaged_record_never_comes_back():
    """Any turned bit in the newest record: it was thanked for, and may be at the gateway."""
    journal, root = a_journal(12)
    journal.close()
    whole = read(_last_segment(root))
    start = len(whole) - 449 - 59
    places = list(range(start, start + 64))
    places.extend((start + 300, len(whole) - 1))
    flips = [(at, 0x10) for at in places]
    flips.extend([(start + byte, 1 << bit) for byte in (0, 1) for bit in range(8)])  # its length
    for at, bits in flips:
        damaged = bytearray(whole)
        damaged[at] ^= bits
        write(_last_segment(root), damaged)
        journal = Journal(root, QUOTA_BYTES)
        assert (journal.head, journal.head_hash) == (12, an_entry(11).hash), at
        assert journal.entry(12) is None and same(journal.entry(11), an_entry(11)), at
    journal.append(an_entry(13))
    journal = reboot(journal, root)
    assert journal.head == 13 and same(journal.entry(13), an_entry(13)) and same(journal.entry(10), an_entry(10))


def test_a_newest_segment_of_noise_uses_up_the_numbers_it_may_have_held():
    journal, root = a_journal(12)
    journal.close()
    size = len(read(_last_segment(root)))
    write(_last_segment(root), b"\xff" * size)
    journal = Journal(root, QUOTA_BYTES)
    assert 12 <= journal.head <= 13
    assert same(journal.entry(8), an_entry(8)) and journal.entry(12) is None
    head = journal.head
    journal.append(an_entry(head + 1))
    assert reboot(journal, root).head == head + 1


def test_a_new_stream_that_was_cut_off_while_the_old_one_was_removed_begins_without_it():
    for removed in (0, 1, 2):
        journal, root = a_journal(20)
        really_remove, left = os.remove, [removed]

        class Dying:
            """The power goes at the removal after the `removed`th."""

            listdir, mkdir = os.listdir, os.mkdir

            @staticmethod
            def remove(path):
                if not left[0]:
                    raise OSError(5)
                left[0] -= 1
                really_remove(path)

        journal_module.os = Dying
        try:
            journal.begin(b"stream-2")
            raise AssertionError("not cut")
        except OSError:
            pass
        finally:
            journal_module.os = os
        journal = Journal(root, QUOTA_BYTES)
        assert (journal.stream, journal.head, segments(root), journal.lost) == (b"stream-2", 0, [], False)
        journal.append(an_entry(1))
        assert reboot(journal, root).stream == b"stream-2"


def test_a_number_with_a_receipt_never_comes_back_whatever_else_is_gone():
    journal, root = a_journal(30)
    journal.trim(30)
    journal.close()
    through = Journal(root, QUOTA_BYTES).through
    assert through == 30
    os.remove(_last_segment(root))
    journal = Journal(root, QUOTA_BYTES)
    assert journal.head == 30 and journal.pending() == 0
    journal.append(an_entry(31))
    assert same(reboot(journal, root).entry(31), an_entry(31))


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
        self.file.write(data)

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
        return _raises(OSError, journal.append, entry)
    finally:
        del journal_module.open
        if journal._file:  # it was written before it could fail
            journal._file = journal._file.file


def test_a_failed_write_hides_no_record_behind_it():
    """The flash fails at any write of any record of a segment; what is taken afterwards stays readable."""
    for before in (0, 1, 5, 7, 8):
        for at in (1, 2):
            journal, root = a_journal(before)
            if not _append_with_failure(journal, an_entry(before + 1, mark=1), at):
                continue  # fewer writes than that
            assert journal.head == before
            for seq in range(before + 1, before + 12):
                journal.append(an_entry(seq))
            for again in (journal, reboot(journal, root)):
                assert again.head == before + 11
                assert all(same(again.entry(seq), an_entry(seq)) for seq in range(1, before + 12)), (before, at)


def test_a_failed_removal_does_not_stop_the_next_receipt():
    journal, root = a_journal(40)
    gone = root + "/journal/" + segments(root)[0]
    os.remove(gone)
    _raises(OSError, journal.trim, 20)
    journal.trim(30)
    assert journal.through == 30 and reboot(journal, root).through >= 24


def test_a_new_stream_leaves_nothing_of_the_old_one():
    journal, root = a_journal(12)
    journal.trim(12)
    journal.begin(b"stream-2")
    assert (journal.stream, journal.head, journal.through, journal.pending()) == (b"stream-2", 0, 0, 0)
    journal = reboot(journal, root)
    assert (journal.stream, journal.head, journal.entry(12)) == (b"stream-2", 0, None)
    journal.append(an_entry(1))
    assert same(reboot(journal, root).entry(1), an_entry(1))


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
            self.journal.append(an_entry(self.head + 1, *made))
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
        entry = an_entry(self.head + 1, 633, 1001)
        try:
            failed = _append_with_failure(self.journal, entry, 1 + self.number(2))
        except JournalFull:
            return
        assert failed and self.journal.head == self.head

    def boot(self):
        self.journal = reboot(self.journal, self.root, WALK_QUOTA_BYTES)
        assert self.journal.through <= self.through

    def tear(self):
        """Power is lost in the middle of an append."""
        self.append()
        if self.head == self.through:
            return
        self.journal.close()
        path = _last_segment(self.root)
        torn = read(path)
        write(path, torn[: len(torn) - 1 - self.number(59)])
        self.pending.pop(self.head)
        self.head -= 1
        self.boot()

    def check(self):
        journal = self.journal
        assert (journal.stream, journal.head) == (STREAM, self.head)
        assert all(same(journal.entry(seq), an_entry(seq, *self.pending[seq])) for seq in self.pending)
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
