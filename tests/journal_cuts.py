"""Cuts the power at program and erase operations of a journal's life on littlefs, and looks what is left.

Runs on the MicroPython VM; test_firmware_power_cuts.py starts it. Settings of the environment: PROGRAM_BYTES of the
flash; CUT_FIRST and CUT_STEP, which operations are cut; CUT_SHARES, how much of a cut operation is still done (see
NorFlash). Ends with one line: "cases=N unconfirmed=N survived without being confirmed".
"""

import os

import vfs
from flash_root import BLOCK_BYTES, NorFlash, is_cut, mount, unmount
from journal_samples import STREAM, a_hash, a_tally, an_entry, append, is_there

from firmware.journal import Journal
from firmware.twin_file import TwinFile

BLOCKS = 14
PROGRAM_BYTES = int(os.getenv("PROGRAM_BYTES"))
QUOTA_BYTES = 8 * BLOCK_BYTES
SIZES = (404, 404, 636, 404, 1100)
# Appends between boots and receipts: segments fill, are left, are removed.
APPENDS = 30
RECEIPTS = {6: 4, 13: 12, 19: 19, 25: 21}
BOOTS = (9, 16, 20)


def expected(seq):
    """The record that is written under this number."""
    return an_entry(seq, SIZES[seq % 5])


class Life:
    """What a device did until its power was lost. settings: how many changes of them returned."""

    def __init__(self):
        self.begun = False
        self.confirmed = 0
        self.receipted = 0
        self.settings = 0

    def run(self):
        """Raises OSError where the power is lost."""
        journal = Journal("/flash", QUOTA_BYTES)
        journal.begin(STREAM)
        self.begun = True
        for seq in range(1, APPENDS + 1):
            if seq in BOOTS:
                journal.close()
                journal = Journal("/flash", QUOTA_BYTES)
            append(journal, expected(seq))
            self.confirmed = seq
            if seq in RECEIPTS:
                self.receipted = RECEIPTS[seq]  # from now on the device may forget
                journal.trim(self.receipted)
            if seq % 7 == 0:
                TwinFile("/flash/config").store(b"config %d" % (self.settings + 1))
                self.settings += 1


def check(life, where):
    """The power is back: nothing confirmed is missing, the device goes on. True when an unconfirmed record is there."""
    journal = Journal("/flash", QUOTA_BYTES)
    assert journal.stream == STREAM or not life.begun, where
    if not journal.stream:
        journal.begin(STREAM)
    assert life.confirmed <= journal.head <= life.confirmed + 1, (where, life.confirmed, journal.head)
    assert journal.through <= life.receipted, where
    for seq in range(journal.through + 1, journal.head + 1):  # what looks unsent is there, receipted or not
        assert is_there(journal, expected(seq)), (where, seq)
    if journal.head:
        assert (journal.head_hash, journal.tally) == (a_hash(journal.head), a_tally(journal.head)), where
    config = TwinFile("/flash/config").content
    allowed = [b"config %d" % number if number else b"" for number in (life.settings, life.settings + 1)]
    assert config in allowed, (where, config)
    survived = journal.head > life.confirmed
    go_on(journal, journal.head, where)
    return survived


def go_on(journal, head, where):
    """Eight more records, a receipt in the middle, a boot: all as if nothing had been."""
    for seq in range(head + 1, head + 9):
        append(journal, expected(seq))
    journal.trim(head + 3)
    journal.close()
    journal = Journal("/flash", QUOTA_BYTES)
    assert journal.head == head + 8, where
    for seq in range(head + 4, head + 9):
        assert is_there(journal, expected(seq)), (where, seq)
    journal.close()


def fresh(memory, cut_at=-1, share=0):
    """A device of an empty file system, mounted."""
    unmount()
    device = NorFlash(memory)
    for block in range(BLOCKS):
        device.erase(block)
    vfs.VfsLfs2.mkfs(device, progsize=PROGRAM_BYTES)
    device = NorFlash(memory, cut_at, share)
    mount(device, PROGRAM_BYTES)
    return device


def cut(memory, at, share):
    """One life, cut at operation `at`. Returns check(), or None when the life ended before."""
    device = fresh(memory, at, share)
    life = Life()
    if not is_cut(device, life.run):
        return None
    mount(NorFlash(memory), PROGRAM_BYTES)
    return check(life, (at, share))


def main():
    memory = bytearray(BLOCKS * BLOCK_BYTES)
    shares = [int(number) for number in os.getenv("CUT_SHARES").split(",")]
    step = int(os.getenv("CUT_STEP"))
    at, cases, survivors, last = int(os.getenv("CUT_FIRST")), 0, 0, False
    while not last:
        for share in shares:
            found = cut(memory, at, share)
            last = found is None
            cases += not last
            survivors += bool(found)
        at += step
    print(f"cases={cases} unconfirmed={survivors}")


main()
