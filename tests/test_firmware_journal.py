"""The journal loses nothing that it has taken, whatever happens to the flash. Runs on CPython and on MicroPython."""

import os

from flash_root import BLOCK_BYTES, new_root, sizes
from journal_samples import (
    EACH,
    MARK_BYTES,
    OPENING,
    QUOTA_BYTES,
    SIZES,
    STREAM,
    Entry,
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

from firmware import journal as journal_module
from firmware import tally
from firmware.journal import BLOCK_BYTES as JOURNAL_BLOCK_BYTES
from firmware.journal import RESERVED_BLOCKS, Journal, JournalFull, quota_bytes

# The flash lies in the heap here, beside the journal.
HEAP_KIB = 256


def test_a_new_journal_is_empty_and_has_no_stream():
    journal = Journal(new_root(), QUOTA_BYTES)
    assert (journal.stream, journal.head, journal.through, journal.pending()) == (b"", 0, 0, 0)
    assert journal.head_hash == bytes(16) and journal.tally == tally.EMPTY and journal.message(1) is None


def test_every_record_comes_back_as_it_was_whatever_its_size():
    journal, root = a_journal()
    wanted = [an_entry(seq, SIZES[seq % 5]) for seq in range(1, 16)]
    for entry in wanted:
        append(journal, entry)
    for again in (journal, reboot(journal, root)):
        assert all(is_there(again, entry) for entry in wanted)
        assert again.message(0) is None and again.message(16) is None


def test_the_head_survives_a_reboot():
    journal, root = a_journal(11)
    journal = reboot(journal, root)
    assert (journal.stream, journal.head, journal.head_hash) == (STREAM, 11, a_hash(11))
    assert journal.tally == a_tally(11) and journal.pending() == 11


def test_the_head_survives_a_receipt_for_everything_and_a_reboot():
    journal, root = a_journal(40)
    journal.trim(40)
    assert journal.pending() == 0 and journal.state(journal.through)[1] == a_tally(40)
    journal = reboot(journal, root)
    assert (journal.stream, journal.head, journal.head_hash, journal.tally) == (
        STREAM, 40, a_hash(40), a_tally(40)
    )  # fmt: skip
    append(journal, an_entry(41))
    assert is_there(reboot(journal, root), an_entry(41))


def test_a_receipt_frees_whole_segments_and_nothing_above_it():
    journal, root = a_journal(40)
    before = len(segments(root))
    journal.trim(20)
    assert len(segments(root)) < before
    for again in (journal, reboot(journal, root)):
        assert all(is_there(again, an_entry(seq)) for seq in range(21, 41))


def test_after_a_reboot_at_most_one_segment_is_sent_again():
    journal, root = a_journal(40)
    journal.trim(37)
    journal = reboot(journal, root)
    assert 37 - EACH < journal.through <= 37


def test_a_receipt_is_taken_only_for_what_is_pending():
    journal = a_journal(10)[0]
    journal.trim(6)
    for through in (0, 5, 6, 11, 4294967295):
        journal.trim(through)
        assert (journal.through, journal.state(journal.through)[1], journal.pending()) == (6, a_tally(6), 4)
    assert all(is_there(journal, an_entry(seq)) for seq in range(7, 11))


def test_a_boot_begins_a_new_segment():
    journal, root = a_journal(3)
    assert segments(root) == ["00000001.seg"]
    journal = reboot(journal, root)
    append(journal, an_entry(4))
    assert segments(root) == ["00000001.seg", "00000004.seg"]


def test_a_full_journal_says_so_and_keeps_every_record():
    journal, root = a_journal()
    seq = 0
    while not raises(JournalFull, append, journal, an_entry(seq + 1)):
        seq += 1
    assert seq >= 10 * (QUOTA_BYTES // BLOCK_BYTES - RESERVED_BLOCKS) and journal.head == seq
    for again in (journal, reboot(journal, root)):
        assert raises(JournalFull, append, again, an_entry(seq + 1))
        assert again.head == seq and all(is_there(again, an_entry(each)) for each in range(1, seq + 1))


def test_a_receipt_makes_room_in_a_full_journal():
    journal, root = a_journal()
    while not raises(JournalFull, append, journal, an_entry(journal.head + 1)):
        pass
    head = journal.head
    journal.trim(int(segments(root)[1][:-4], 16) - 1)
    append(journal, an_entry(head + 1))
    assert is_there(reboot(journal, root), an_entry(head + 1))


def test_a_full_journal_has_room_for_the_event_that_says_so():
    journal, root = a_journal()
    while not raises(JournalFull, append, journal, an_entry(journal.head + 1)):
        pass
    head = journal.head
    append(journal, an_entry(head + 1), True)
    assert is_there(reboot(journal, root), an_entry(head + 1))


def test_what_is_pending_never_takes_more_blocks_than_its_quota():
    """A file takes whole blocks, so they are what counts, whatever the sizes of the records, and however many boots."""
    for size in SIZES:
        journal, root = a_journal()
        while not raises(JournalFull, append, journal, an_entry(journal.head + 1, size), True):
            if journal.head % 30 == 0:
                journal = reboot(journal, root)
        taken = sum([-(-each // BLOCK_BYTES) for each in sizes(root + "/journal")])
        assert QUOTA_BYTES // BLOCK_BYTES - 2 <= taken <= QUOTA_BYTES // BLOCK_BYTES, (size, taken)
        journal.close()


def test_a_small_journal_is_not_kept_full_by_the_segment_that_stays():
    """The last segment is never removed, so that it must not be the only one."""
    journal = a_journal(quota_bytes=(RESERVED_BLOCKS + 2) * BLOCK_BYTES)[0]
    for _ in range(40):
        while not raises(JournalFull, append, journal, an_entry(journal.head + 1)):
            pass
        journal.trim(journal.head)
        assert journal.has_room()
    assert journal.head >= 40 * 9


def test_the_quota_follows_from_the_size_of_the_file_system():
    assert JOURNAL_BLOCK_BYTES == BLOCK_BYTES
    for total, blocks in ((1024, 912), (512, 400), (112, 0), (50, 0)):
        assert quota_bytes(total * BLOCK_BYTES) == blocks * BLOCK_BYTES


def test_messages_of_one_boot_store_once_what_they_share():
    """And those of another begin a segment of their own, without a boot of the journal: they come back as they were."""
    journal, root = a_journal()
    other = OPENING[:20] + b"another boot" + OPENING[32:]
    wanted = [an_entry(seq, opening=OPENING if seq < 21 else other) for seq in range(1, 41)]
    wanted.append(Entry(41, 1, b"no message of ours"))
    wanted.append(Entry(42, 2, b"\xa1\x05\x4d"))
    for entry in wanted:
        append(journal, entry)
    assert [name[:-4] for name in segments(root)] == ["00000001", "00000015", "00000029", "0000002a"]
    assert sizes(root + "/journal") and min(sizes(root + "/journal")) < 20 * (404 - 30)
    for again in (journal, reboot(journal, root)):
        assert all(is_there(again, entry) for entry in wanted)


def test_records_in_order_cost_one_look_each():
    """Whoever drains the journal does not read a segment from its beginning for every record."""
    journal = a_journal()[0]
    for seq in range(1, 41):
        append(journal, an_entry(seq))
    seen, really_open = [], open

    def watching(path, mode):
        file = WatchedFile(really_open(path, mode))
        seen.append(file)
        return file

    journal_module.open = watching
    try:
        for seq in range(1, 41):
            assert is_there(journal, an_entry(seq))
            if seq % 10 == 0:
                append(journal, an_entry(40 + seq // 10))  # the mark behind the newest one moves
    finally:
        del journal_module.open
    assert max([file.read_bytes for file in seen]) <= 64 + 2 * 404 + 2 * MARK_BYTES


class WatchedFile:
    """A file that counts what is read of it."""

    def __init__(self, file):
        self.file = file
        self.read_bytes = 0
        self.seek, self.write, self.flush, self.close = file.seek, file.write, file.flush, file.close

    def read(self, size):
        self.read_bytes += size
        return self.file.read(size)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()


def test_a_new_stream_leaves_nothing_of_the_old_one():
    journal, root = a_journal(12)
    journal.trim(12)
    journal.begin(b"stream-2")
    assert (journal.stream, journal.head, journal.through, journal.pending()) == (b"stream-2", 0, 0, 0)
    journal = reboot(journal, root)
    assert (journal.stream, journal.head, journal.message(12)) == (b"stream-2", 0, None)
    append(journal, an_entry(1))
    assert is_there(reboot(journal, root), an_entry(1))


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
        append(journal, an_entry(1))
        assert reboot(journal, root).stream == b"stream-2"


def test_a_number_with_a_receipt_never_comes_back_whatever_else_is_gone():
    journal, root = a_journal(30)
    journal.trim(30)
    journal.close()
    through = Journal(root, QUOTA_BYTES).through
    assert through == 30
    os.remove(last_segment(root))
    journal = Journal(root, QUOTA_BYTES)
    assert journal.head == 30 and journal.pending() == 0
    append(journal, an_entry(31))
    assert is_there(reboot(journal, root), an_entry(31))
