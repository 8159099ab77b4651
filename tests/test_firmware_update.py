"""What a device takes of updates, and what it refuses, with its own word each. Runs on CPython and on MicroPython."""

import os

from flash_root import new_root, read, write
from suites import suites
from updating_device import FILES, HOLDERS, MAGIC, NOW_S, Rebooted, UpdatingDevice, bundle_of, notice_of

from firmware import bundle, slot, update
from protocol import cbor, event
from protocol.record import NO_TIME

# The flash lies in the heap here, beside the update.
HEAP_KIB = 384
SUITE = suites()[0]
BUNDLE = bundle_of(FILES)
REFUSED = event.UPDATE_REFUSED


def a_device(**named):
    return UpdatingDevice(SUITE, new_root(), **named)


def noticed(content=BUNDLE, **named):
    """A device that has taken the notice of this bundle."""
    device = a_device()
    device.update.on_notice(notice_of(SUITE, content, **named))
    return device


def left(device):
    """Names of what lies on the flash, but for the pointer."""
    return sorted([name for name in os.listdir(device.root) if not name.startswith("slot.")])


def refuses(device, word, sequence=6):
    """True when this is all that was told, and nothing is fetched any more."""
    return device.events == [[REFUSED, sequence, word]] and device.update.notice is None and left(device) == []


def whole(content=BUNDLE, **named):
    """A device with every byte of the bundle."""
    device = noticed(content, **named)
    device.feed(content)
    assert device.update.whole
    return device


def is_reboot(steps):
    """True when these steps end with a reset of the board."""
    try:
        for _ in steps:
            pass
    except Rebooted:
        return True
    return False


# --- from the notice to the slot


def test_a_bundle_goes_into_the_spare_slot_and_the_board_reboots_on_trial():
    device = whole()
    assert device.install(faults=32)
    for name in FILES:
        assert read(device.root + "/a/" + name) == FILES[name]
    assert device.events == [[event.UPDATE_INSTALLED, 6, ""]] and device.held == "updating"
    pointer = slot.load(device.root)
    assert (pointer.active, pointer.sequence, pointer.state, pointer.faults) == (1, 6, slot.TRIAL, 32)
    assert left(device) == ["a"]


def test_the_second_update_goes_into_the_other_slot_and_the_third_over_the_first():
    device, seen = a_device(), []
    for sequence in (6, 7, 8):
        content = bundle_of({"firmware/main.mpy": b"program %d" % sequence})
        device.boot().on_notice(notice_of(SUITE, content, sequence=sequence))
        device.feed(content, sequence)
        assert device.install()
        pointer = slot.load(device.root)
        seen.append((pointer.active, pointer.previous))
        pointer.confirm()
        slot.store(device.root, pointer)
        assert read(device.root + slot.FOLDERS[pointer.active] + "/firmware/main.mpy") == b"program %d" % sequence
    assert seen == [(1, 0), (2, 1), (1, 2)]
    assert read(device.root + "/b/firmware/main.mpy") == b"program 7"


def test_what_is_left_of_an_older_program_is_gone():
    device = whole()
    for folder in ("/a", "/a/firmware", "/a/protocol"):
        os.mkdir(device.root + folder)
    write(device.root + "/a/firmware/older.mpy", b"older")
    assert device.install()
    assert sorted(os.listdir(device.root + "/a/firmware")) == ["__init__.mpy", "main.mpy"]


def test_any_size_of_chunk_will_do():
    for chunk_bytes in (1, 511, 512, len(BUNDLE)):
        device = noticed()
        device.feed(BUNDLE, chunk_bytes=chunk_bytes)
        assert device.install() and device.events == [[event.UPDATE_INSTALLED, 6, ""]]


def test_each_chunk_is_answered_with_how_far_it_is():
    device = noticed()
    assert device.heartbeat_due
    device.heartbeat_due = False
    device.update.on_chunk(6, 0, BUNDLE[:100])
    assert device.heartbeat_due and device.update.at == 100


def test_a_chunk_of_another_place_or_release_changes_nothing_and_the_right_one_is_still_taken():
    device = noticed()
    device.update.on_chunk(6, 0, BUNDLE[:100])
    device.heartbeat_due = False
    for sequence, offset in ((6, 0), (6, 99), (6, 101), (6, 1792), (5, 100), (7, 100)):
        device.update.on_chunk(sequence, offset, BUNDLE[offset : offset + 50])
        device.update.on_chunk(sequence, offset, b"")
    assert (device.update.at, device.heartbeat_due, device.events) == (100, False, [])
    device.feed(BUNDLE)
    assert device.install()


def test_fetching_goes_on_after_a_reboot_at_any_chunk():
    device = noticed()
    while not device.update.whole:
        at = device.boot().at
        assert at == (os.stat(device.root + "/update")[6] if at else 0)
        device.update.on_chunk(6, at, BUNDLE[at : at + 300])
    assert device.boot().whole
    assert device.install() and device.events == [[event.UPDATE_INSTALLED, 6, ""]]


def test_a_torn_notice_is_forgotten_and_asked_for_again():
    device = noticed()
    device.update.on_chunk(6, 0, BUNDLE[:100])
    for torn in (b"", notice_of(SUITE, BUNDLE)[:100]):
        write(device.root + "/update.notice", torn)
        assert device.boot().notice is None and device.events == [] and left(device) == []
    device.update.on_notice(notice_of(SUITE, BUNDLE))
    assert device.update.at == 0


def test_the_same_notice_again_keeps_what_is_fetched_and_a_newer_one_begins_anew():
    device = noticed()
    device.update.on_chunk(6, 0, BUNDLE[:100])
    device.update.on_notice(notice_of(SUITE, BUNDLE, labels=HOLDERS))
    assert (device.update.notice.sequence, device.update.at) == (6, 100)
    device.update.on_notice(notice_of(SUITE, BUNDLE, sequence=9))
    assert (device.update.notice.sequence, device.update.at, device.events) == (9, 0, [])


def test_another_release_that_is_no_newer_than_what_is_fetched_is_refused_and_fetching_goes_on():
    for content, sequence in ((b"other", 5), (BUNDLE, 5), (b"other", 6)):
        device = noticed()
        device.update.on_chunk(6, 0, BUNDLE[:100])
        for _ in range(2):  # told once
            device.update.on_notice(notice_of(SUITE, content, sequence=sequence))
        assert device.events == [[REFUSED, sequence, "sequence"]] and device.pointer.refused == 0
        assert (device.update.notice.sequence, device.update.at) == (6, 100)
        device.feed(BUNDLE)
        assert device.install()


def test_what_a_failing_flash_took_of_a_chunk_is_not_asked_for_again():
    device = noticed()
    device.update.on_chunk(6, 0, BUNDLE[:100])
    path, size = device.root + "/update", 100
    for taken in (0, 40):  # nothing, or a part of it
        failed = Torn(path, BUNDLE[size : size + taken])
        update.open = failed.open
        try:
            device.update.on_chunk(6, size, BUNDLE[size : size + 100])
        except OSError:
            failed.told = True
        finally:
            del update.open
        size += taken
        assert failed.told and device.update.at == size
    device.feed(BUNDLE)
    assert device.install()


class Torn:
    """A file that takes a part of what is written, and fails."""

    def __init__(self, path, part):
        self._path, self._part = path, part
        self.told = False

    def open(self, path, mode):
        assert (path, mode) == (self._path, "ab")
        with open(path, mode) as file:
            file.write(self._part)
        raise OSError(5)


def test_what_was_installed_is_not_fetched_again_by_what_a_power_cut_left():
    device = whole()
    kept = {name: read(device.root + "/" + name) for name in left(device)}
    assert device.install()
    for name in kept:
        write(device.root + "/" + name, kept[name])
    assert device.boot().notice is None
    assert left(device) == ["a"]


# --- refused by the notice


def test_a_number_below_or_equal_to_what_runs_is_refused():
    for running in (6, 7, 0xFFFFFFFF):
        device = a_device()
        device.pointer.sequence = running
        device.update.on_notice(notice_of(SUITE, BUNDLE))
        assert refuses(device, "sequence")
        assert device.pointer.refused == 0


def test_the_program_of_another_kind_of_device_is_refused_and_hides_no_later_one():
    device = noticed(kind="clock", sequence=99)
    assert refuses(device, "class", 99)
    device.update.on_notice(notice_of(SUITE, BUNDLE))
    assert device.update.notice.sequence == 6


def test_an_expired_release_is_refused():
    assert refuses(noticed(expires_s=NOW_S - 1), "expired")
    assert noticed(expires_s=NOW_S).update.notice


def test_a_release_that_expires_before_it_is_installed_is_refused():
    device = whole(expires_s=NOW_S + 10)
    device.time_s = NOW_S + 11
    assert not device.install()
    assert refuses(device, "expired")


def test_a_signature_that_does_not_verify_is_refused_and_what_it_says_is_not_believed():
    data = notice_of(SUITE, BUNDLE, sequence=0xFFFFFFFF)
    device = a_device()
    device.update.on_notice(data[:-1] + bytes((data[-1] ^ 1,)))
    assert refuses(device, "signature", 0)
    assert device.pointer.refused == 0
    assert refuses(noticed(labels=("release 1", "stranger")), "signature", 0)


def test_one_signature_alone_is_refused():
    for labels in (("release 1",), ("release 3", "release 3")):
        assert refuses(noticed(labels=labels), "threshold", 0)


def test_what_is_no_notice_is_refused():
    for data in (b"", b"\xd8\x62\x84", notice_of(SUITE, BUNDLE)[:-1], notice_of(SUITE, BUNDLE) + b"\x00"):
        device = a_device()
        device.update.on_notice(data)
        assert refuses(device, "structure", 0)


def test_a_bundle_that_the_flash_has_no_room_for_is_refused():
    needed = 2 * len(BUNDLE) + update.ROUNDING_BYTES + update.FLASH_LOW_BYTES
    for free_bytes, fits in ((needed, True), (needed - 1, False)):
        device = a_device(free_bytes=free_bytes)
        device.update.on_notice(notice_of(SUITE, BUNDLE))
        assert (device.update.notice is not None) == fits
        assert fits or refuses(device, "oversize")


def test_a_program_that_the_heap_cannot_hold_is_refused_before_anything_is_fetched():
    needed = (update.MEMORY_PERCENT * len(BUNDLE) + 99) // 100
    for free_heap, fits in ((needed, True), (needed - 1, False), (0, False)):
        device = a_device()
        device.free_heap = free_heap
        device.update.on_notice(notice_of(SUITE, BUNDLE))
        assert (device.update.notice is not None) == fits
        assert fits or refuses(device, "memory")
        assert slot.load(device.root).refused == (0 if fits else 6)


def test_the_room_of_the_program_that_it_will_replace_counts():
    device = a_device(free_bytes=2 * len(BUNDLE) + update.ROUNDING_BYTES + update.FLASH_LOW_BYTES - 1)
    os.mkdir(device.root + "/a")
    os.mkdir(device.root + "/a/firmware")
    write(device.root + "/a/firmware/main.mpy", b"older")
    device.update.on_notice(notice_of(SUITE, BUNDLE))
    assert device.update.notice


def test_an_update_may_lie_in_half_of_what_the_journal_could_still_take():
    needed = 2 * len(BUNDLE) + update.ROUNDING_BYTES + update.FLASH_LOW_BYTES
    for unused, fits in ((0, True), (2000, True), (2002, False)):
        device = a_device(free_bytes=needed + 1000)
        device.unused = unused
        device.update.on_notice(notice_of(SUITE, BUNDLE))
        assert (device.update.notice is not None) == fits, unused


def test_records_that_wait_are_no_reason_to_refuse_a_release_for_good():
    device = a_device(free_bytes=0)
    device.waiting = update.BACKLOG + 1
    device.update.on_notice(notice_of(SUITE, BUNDLE))
    assert device.update.notice is None and device.events == [] and not device.pointer.refused
    device.waiting, device.free_bytes = 0, 10**6
    device.update.on_notice(notice_of(SUITE, BUNDLE))
    assert device.update.notice


def test_an_update_gives_way_when_the_flash_gets_low_and_comes_again():
    device = noticed()
    device.update.on_chunk(6, 0, BUNDLE[:100])
    device.update.give_way()
    assert device.update.at == 100  # there is room
    device.free_bytes = update.FLASH_LOW_BYTES - 1
    device.update.give_way()
    assert device.update.notice is None and left(device) == [] and device.events == []
    device.free_bytes = 10**6
    device.update.on_notice(notice_of(SUITE, BUNDLE))
    assert device.update.notice and device.update.at == 0 and not device.pointer.refused


def test_what_was_refused_once_is_not_tried_again():
    device = noticed(expires_s=NOW_S - 1)
    for _ in range(3):
        device.boot().on_notice(notice_of(SUITE, BUNDLE))
        assert device.update.notice is None and left(device) == []
    assert device.events == [[REFUSED, 6, "expired"]] + [[REFUSED, 6, "sequence"]] * 3
    device.update.on_notice(notice_of(SUITE, BUNDLE, sequence=7))
    assert device.update.notice


def test_whatever_is_offered_again_and_again_does_not_fill_the_journal():
    device = a_device()
    for sequence in range(1, 30):
        for _ in range(3):
            device.update.on_notice(notice_of(SUITE, BUNDLE, kind="clock", sequence=sequence))
    assert device.events == [[REFUSED, sequence, "class"] for sequence in range(1, update.TOLD_MAX + 1)]


def test_a_full_journal_keeps_nothing_from_being_refused():
    device = a_device()
    device.full = True
    device.update.on_notice(notice_of(SUITE, BUNDLE, expires_s=1))
    assert device.update.notice is None and slot.load(device.root).refused == 6


# --- refused by its bytes


def test_a_bundle_that_ends_too_early_is_refused():
    for size in (0, 1, 500, len(BUNDLE) - 1):
        device = noticed()
        device.feed(BUNDLE[:size])
        assert refuses(device, "truncated"), size
        assert slot.load(device.root).refused == 6


def test_a_bundle_that_goes_on_behind_its_end_is_refused():
    device = noticed()
    device.update.on_chunk(6, 0, BUNDLE[:1000])
    device.update.on_chunk(6, 1000, BUNDLE[1000:] + b"x")
    assert refuses(device, "oversize")


def test_bytes_that_were_not_signed_are_refused_before_anything_is_unpacked():
    for at in (0, 40, len(BUNDLE) - 1):
        device = noticed()
        device.feed(BUNDLE[:at] + bytes((BUNDLE[at] ^ 1,)) + BUNDLE[at + 1 :])
        assert not device.install() and device.held == ""
        assert refuses(device, "digest"), at


def test_the_digest_is_that_of_the_file_and_not_of_what_came():
    device = whole()
    content = read(device.root + "/update")
    write(device.root + "/update", content[:-1] + b"?")
    assert not device.install()
    assert refuses(device, "digest")


def row(name, size):
    return MAGIC + (len(cbor.encode([[name, size]])).to_bytes(2, "big")) + cbor.encode([[name, size]])


def test_signed_bytes_that_do_not_unpack_are_refused_and_the_old_program_stays():
    table = cbor.encode([["firmware/b.mpy", 1], ["firmware/a.mpy", 1]])
    for content in (
        b"no bundle",
        MAGIC,
        MAGIC + b"\x00\x01\xff",
        MAGIC + b"\x00\x01\x80",
        MAGIC + b"\x00\x01\xa0",
        MAGIC + b"\xff\xff" + bytes(100),
        MAGIC + len(table).to_bytes(2, "big") + table + b"ab",
        row("firmware/main.mpy", 10) + b"too short",
        row("firmware/main.mpy", 3) + b"too long",
        row("firmware/main.py", 1) + b"x",
        row("../firmware/main.mpy", 1) + b"x",
        row("firmware/../device.mpy", 1) + b"x",
        row("/signing.key", 1) + b"x",
        row("gateway/main.mpy", 1) + b"x",
        row("firmware/.mpy", 1) + b"x",
        row("firmware/main.mpy", -1),
        row("firmware/main.mpy", "1") + b"x",
        row(b"firmware/main.mpy", 1) + b"x",
    ):
        device = whole(content)
        assert device.install() and device.held == "updating", content  # the reboot ends what was held
        assert device.events == [[REFUSED, 6, "bundle"]], content
        assert slot.load(device.root).active == 0 and slot.load(device.root).refused == 6


def test_a_bundle_whose_files_need_more_than_the_flash_has_is_refused():
    device = whole()
    device.free_bytes = 30000
    assert device.install()
    assert device.events == [[REFUSED, 6, "oversize"]] and slot.load(device.root).active == 0


def test_what_the_flash_did_not_keep_is_found_before_it_runs():
    device = whole()
    verify, found = bundle.verify, []

    def damaged(path, folder):
        write(folder + "/firmware/main.mpy", FILES["firmware/main.mpy"][:-1] + b"?")
        found.append(folder)
        return verify(path, folder)

    bundle.verify = damaged
    try:
        assert device.install()
    finally:
        bundle.verify = verify
    assert found and device.events == [[REFUSED, 6, "bundle"]] and slot.load(device.root).active == 0


def test_while_it_installs_it_listens_to_nobody():
    device = whole()
    newer = notice_of(SUITE, BUNDLE, sequence=7)
    steps = device.update.install(0)
    for _ in range(12):
        next(steps)
        device.update.on_notice(newer)
        device.update.on_chunk(7, 0, b"x")
    assert is_reboot(steps) and slot.load(device.root).sequence == 6


def test_a_device_that_does_not_know_the_time_goes_on_fetching_after_a_reboot():
    device = noticed()
    device.time_s, device.source = 0, NO_TIME
    assert device.boot().notice
