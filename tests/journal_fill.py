"""A device's flash over its life: how many sealed ratings it holds, and what each costs. Runs on the MicroPython VM.

test_firmware_capacity.py starts it. Settings of the environment: FLASH, a file of the size of the flash; MODE, "fill"
(until the journal is full, and then some ratings and receipts), "wear" (ratings with receipts) or "hard" (the same with
identity, corrected twice); RECORDS, how many of these. The flash lies in a file, because the collector would look
through memory for pointers after every record. Prints name=value pairs.
"""

import os
import time

import vfs
from flash_root import BLOCK_BYTES
from sealed_pair import Pair
from suites import suites

from firmware.draft import Draft
from firmware.journal import Journal, JournalFull, quota_bytes
from firmware.recorder import Recorder
from firmware.twin_file import TwinFile
from firmware.uptime import Uptime
from firmware.wall_clock import WallClock
from protocol import disclosure, rating, record, sealed_record, sign1

_ONES = b"\xff" * BLOCK_BYTES
SIGNED_EACH = 16
DEVICE, HALL = "e-000001", "chaoyang-001"
NOW_S = 1_790_000_123
IDENTITY = {1: "欧阳娜娜古丽扎尔", 2: "13800138000", 3: "110101199003074514", 4: "111"}
# Without a receipt while the link is there: the window of the uplink.
PENDING = 10
# Beside the journal: 400 KiB of other files, as two slots of an update, settings, keys and certificates would be.
OTHER_BLOCKS = 100


class CountingFlash:
    """A block device in a file. Counts programs (calls and bytes) and erases."""

    def __init__(self, path):
        self.file = open(path, "r+b")  # noqa: SIM115  # until the end
        self.blocks = self.file.seek(0, 2) // BLOCK_BYTES
        self.programs = self.program_bytes = self.erases = 0

    def readblocks(self, block, buffer, offset=0):
        self.file.seek(block * BLOCK_BYTES + offset)
        self.file.readinto(buffer)

    def writeblocks(self, block, buffer, offset=0):
        self.programs += 1
        self.program_bytes += len(buffer)
        self.file.seek(block * BLOCK_BYTES + offset)
        self.file.write(buffer)

    def ioctl(self, operation, argument):
        if operation == 4:
            return self.blocks
        if operation == 6:
            self.erases += 1
            self.file.seek(argument * BLOCK_BYTES)
            self.file.write(_ONES)
        return BLOCK_BYTES if operation == 5 else 0


class Who:
    """As much of an identity as recorder and draft read."""

    root, device, hall, agreement_key = "/flash", DEVICE, HALL, bytes(32)


class Ticks:
    """A board's ticks, that nobody moves."""

    def ticks_ms(self):
        return 1000

    def ticks_diff(self, later, earlier):
        return later - earlier


class RareSignatures:
    """Stands in for the suite of a signer: makes one signature in SIGNED_EACH, and gives it to the next ones as well.

    A signature is most of what a record costs the VM. Size, encryption and digests of every record are real.
    """

    def __init__(self, suite):
        self._suite = suite
        self._count, self._signature = 0, b""

    def sign(self, private, content):
        if self._count % SIGNED_EACH == 0:
            self._signature = self._suite.sign(private, content)
        self._count += 1
        return self._signature


def visit(number):
    return f"BJ-20260921-{number:08d}"


class Evaluator:
    """Draft, recorder and journal of a device, as firmware/device.py puts them together."""

    def __init__(self, flash):
        suite = suites()[0]
        self.pair = Pair(suite, HALL, DEVICE)
        self.pair.signer._suite = RareSignatures(suite)
        uptime = Uptime(Ticks())
        clock = WallClock(suite, uptime, "/flash", NOW_S)
        self.journal = Journal("/flash", quota_bytes(flash.blocks * BLOCK_BYTES))
        self.verified = 0
        self.recorder = Recorder(suite, Who, self.pair.device, self.pair.signer, self.journal, uptime, clock)
        self.draft = Draft(suite, Who, self.journal, self.recorder.totals())

    def rate(self, number, drafts=0, identity=None):
        """One visit rated: so many drafts (the thanks, each correction), then the record. Raises JournalFull."""
        claims = {rating.WINDOW: "A012", rating.OUTCOME: rating.RATED, rating.LEVEL: number % 5 + 1}
        claims.update({rating.MODE: rating.VISIT_MODE, rating.STAFF: "S0000001", rating.DELAY_MS: 4200})
        redactable = {rating.OCCASION: [NOW_S + number, visit(number)]}
        if identity:
            redactable[rating.IDENTITY] = identity
        for _ in range(drafts):
            self.draft.keep(claims, redactable, self.recorder.moment())
        self.recorder.record(record.RATING, claims, redactable)

    def visit_of(self, seq):
        """Visit number of a record, opened at the gateway and its signature verified."""
        pair = self.pair
        signed = sealed_record.open(pair.gateway, self.journal.message(seq))
        self.verified += sign1.verify(pair.suite, pair.signing_public, signed)
        found = record.decode(signed.payload)
        assert (found.seq, found.kind) == (seq, record.RATING)
        return disclosure.check(pair.suite, signed.disclosures, found.digests)[rating.OCCASION][1]


def fill(flash):
    """Rate until the journal is full, boot, look at what is there, and go on with receipts."""
    for number in range(OTHER_BLOCKS // 20):
        with open(f"/flash/other.{number}", "wb") as file:
            for _ in range(20):
                file.write(bytes(BLOCK_BYTES - 8))
    one, rated = Evaluator(flash), 0
    try:
        while True:
            one.rate(rated + 1)
            rated += 1
    except JournalFull:
        pass
    one.journal.close()
    sizes = [os.stat("/flash/journal/" + name)[6] for name in os.listdir("/flash/journal")]
    blocks = sum([-(-size // BLOCK_BYTES) for size in sizes])
    free = os.statvfs("/flash")[3]
    print(f"records={rated} segments={len(sizes)} blocks={blocks} free_blocks={free}")
    one = Evaluator(flash)
    check_full(one, rated)
    one.journal.trim(one.journal.head - rated + 200)
    wear(flash, one, rated - 200)


def check_full(one, rated):
    """Every rating is there that is looked at, and the device can still say that it is full."""
    journal = one.journal
    assert journal.head == rated + 1 and not journal.has_room()
    for seq in list(range(2, 60)) + list(range(2, rated, 331)) + [rated, rated + 1]:
        assert one.visit_of(seq) == visit(seq - 1), seq
    assert one.verified > 3
    began_ms = time.ticks_ms()
    for seq in range(2, 1002):
        assert journal.message(seq), seq
    print(f"read_1000_ms={time.ticks_diff(time.ticks_ms(), began_ms)}")
    assert one.recorder.record(record.EVENT, {1: 5, 3: rated}) == rated + 2
    TwinFile("/flash/config").store(bytes(200))


def wear(flash, one, pending, drafts=1, identity=None):
    """Ratings, each with a receipt for the one that `pending` others were made after."""
    records = int(os.getenv("RECORDS"))
    flash.programs = flash.program_bytes = flash.erases = 0
    for number in range(1, records + 1):
        one.rate(number, drafts, identity)
        one.journal.trim(one.journal.head - pending)
    print(f"wire_bytes={len(one.journal.message(one.journal.head))}")
    print(f"programs={flash.programs} program_bytes={flash.program_bytes} erases={flash.erases}")


def main():
    flash = CountingFlash(os.getenv("FLASH"))
    vfs.VfsLfs2.mkfs(flash)
    vfs.mount(vfs.VfsLfs2(flash), "/flash")
    mode = os.getenv("MODE")
    if mode == "fill":
        fill(flash)
    elif mode == "wear":
        wear(flash, Evaluator(flash), PENDING)
    else:
        wear(flash, Evaluator(flash), PENDING, 3, IDENTITY)


main()
