"""An update: a signed notice, the bundle that it names, fetched piece by piece, and its way into the spare slot.

    notice -> checks -> chunks, one behind the other -> digest -> unpacked -> read back -> pointer -> reboot, on trial
What is on flash counts: after a power cut fetching goes on where it was, and installing begins again. The pointer is
the last thing to change. What does not fit is refused with a word (protocol/WIRE.md, section 7) and recorded.
"""

import gc
import os

from firmware import bundle, slot
from firmware.identity import UPDATE, UPDATE_NOTICE, has_file, read_file
from firmware.self_check import FLASH_LOW_BYTES, report
from protocol import event, release
from protocol.record import NO_TIME
from protocol.refusal import Refused

# Sixty files waste half a block each on average. The table of a bundle tells it exactly, when it is there.
ROUNDING_BYTES = 60 * bundle.BLOCK_BYTES // 2
# A slot's program has all its bytecode in the heap. Importing every module of a bundle of 147 KB takes 162 KB more than
# the tightest image that could fetch it (188 KB and 26 KB of a board: HARDWARE.md, "Memory"), 11/10 of the bundle; the
# rest is what the new program may need for itself. Of what is free in percent of a bundle's size.
MEMORY_PERCENT = 125
# Nothing came for so long: the chunk or the question for it is lost. A gateway answers within a second.
ASK_S = 10
# What was told in this run is not told again; and whatever a gateway offers, more than this is not told at all.
TOLD_MAX = 8
_NO_SPACE = 28  # ENOSPC
# Records that wait for a receipt: with more of them a bundle that finds no room now may find it later.
BACKLOG = 100


def objection(notice, kind, newest, now_s):
    """Why a device of this kind does not take a signed notice: a word, "" where it does.

    newest: sequence that runs or was refused, the higher of them. now_s: UTC, 0 while the time is unknown.
    """
    if notice.device_class != kind:
        return "class"
    if notice.sequence <= newest:
        return "sequence"
    return "expired" if now_s > notice.expires_s else ""


def _flaw(error):
    """The word for a notice that cannot be believed."""
    if error.reason != "signature":
        return "structure"
    return "threshold" if error.detail == "threshold" else "signature"


def _failure(error):
    """The word for a bundle that could not be unpacked."""
    if isinstance(error, Refused):
        return "oversize" if error.reason == "size" else "bundle"
    return "oversize" if isinstance(error, OSError) and error.args[0] == _NO_SPACE else "bundle"


class Update:
    """device: see device.py. notice: release.Notice of what is fetched, or None. at: how many bytes are on flash."""

    def __init__(self, device):
        self._device = device
        self._root = device.identity.root
        self._path = self._root + UPDATE
        self._told = []
        self._installing = False
        self.notice = None
        self.at = 0
        if has_file(self._root, UPDATE_NOTICE):
            self._resume()

    @property
    def whole(self):
        """True when every byte that the notice speaks of is on flash."""
        return self.notice is not None and self.at == self.notice.size_bytes

    def _open(self, data):
        """The notice in these bytes, signed as it must be. Raises Refused."""
        return release.open(self._device.suite, self._device.identity.release_keys(), data)

    def _objection(self, notice):
        device, pointer = self._device, self._device.pointer
        newest = max(pointer.sequence, pointer.refused)
        return objection(notice, device.identity.kind, newest, device.wall_clock.now_s())

    def _resume(self):
        """Go on with what a power cut has left, unless it is torn, installed or refused."""
        try:
            notice = self._open(read_file(self._root + UPDATE_NOTICE))
        except Refused:
            notice = None
        if notice is None or self._objection(notice):
            self._drop()
            return
        self.notice = notice
        self.at = self._fetched_bytes()

    def on_notice(self, data):
        """A notice came. What is fetched already goes on; a newer one takes its place. Raises OSError."""
        if self._installing:
            return
        try:
            notice = self._open(data)
        except Refused as error:
            self._tell(_flaw(error), 0)  # nobody has signed what it says
            return
        fetched = self.notice
        if fetched and (notice.sequence, notice.digest) == (fetched.sequence, fetched.digest):
            return
        word = self._objection(notice)
        if word != "class" and fetched and notice.sequence <= fetched.sequence:
            word = "sequence"
        if word in ("class", "sequence"):  # no reason to refuse a later one that is ours
            self._tell(word, notice.sequence)
        else:
            self._drop()
            self.notice = notice
            self._begin(data, word)

    def _begin(self, data, word):
        if not word and not self._has_memory():
            word = "memory"
        if not word and not self._has_room():
            if self._device.journal.pending() > BACKLOG:  # they go first, and the notice comes again
                self._drop()
                return
            word = "oversize"
        if word:
            self.refuse(word)
            return
        with open(self._root + UPDATE_NOTICE, "wb") as file:
            file.write(data)
        self._ask()

    def _has_memory(self):
        """True when the program of the bundle fits the heap of this board, beside what runs now. What runs from a slot
        goes with the reboot and counts all the same: with PSRAM there is room for both, without it for neither.
        """
        gc.collect()  # garbage is in nobody's way; and on an ESP32 this counts what the heap may still grow by
        return 100 * self._device.board.free_heap_bytes() >= MEMORY_PERCENT * self.notice.size_bytes

    def _has_room(self):
        """True when the bundle fits beside everything else, and unpacked in place of what the slot holds now.

        The file of the bundle may lie in what the journal could still take, but for half of that (see give_way()).
        """
        device, size = self._device, self.notice.size_bytes
        room = device.board.free_flash_bytes() - device.journal.unused_bytes() // 2 - FLASH_LOW_BYTES
        return room >= size and room + bundle.held_bytes(self._folder) >= 2 * size + ROUNDING_BYTES

    @property
    def _folder(self):
        return self._root + slot.FOLDERS[self._device.pointer.spare]

    def on_chunk(self, sequence, offset, data):
        """Bytes of a bundle came; b"" says that there are no more. Only those that belong next are taken.

        Raises OSError.
        """
        if not self.notice or sequence != self.notice.sequence or offset != self.at or self.whole:
            return
        if not data or self.at + len(data) > self.notice.size_bytes:
            self.refuse("oversize" if data else "truncated")
            return
        try:
            with open(self._path, "ab") as file:
                file.write(data)
        finally:  # a flash that fails may have taken a part of it
            self.at = self._fetched_bytes()
        self._ask()

    def _fetched_bytes(self):
        return os.stat(self._path)[6] if has_file(self._root, UPDATE) else 0

    def _ask(self):
        """Tell the gateway how far it is: it answers with what comes next."""
        self._device.uplink.heartbeat_due = True
        self._device.uplink.wake()

    def _tell(self, word, sequence):
        """Event 16, once in a run."""
        if (word, sequence) not in self._told and len(self._told) < TOLD_MAX:
            self._told.append((word, sequence))
            report(self._device, event.UPDATE_REFUSED, sequence, word)

    def refuse(self, word):
        """What is being fetched is not wanted: it says why, is not tried again, and leaves the flash. Raises OSError.

        Recorded first: a power cut in between tells it twice, and never not at all.
        """
        device, sequence = self._device, self.notice.sequence
        self._tell(word, sequence)
        device.pointer.refuse(sequence)
        slot.store(self._root, device.pointer)
        self._drop()

    def give_way(self):
        """The flash gets low: records go before programs. What was fetched is fetched again another day."""
        if self.notice and not self._installing and self._device.board.free_flash_bytes() < FLASH_LOW_BYTES:
            self._drop()

    def _drop(self):
        """Nothing is being fetched, and nothing of it is left."""
        self.notice, self.at = None, 0
        for path in (UPDATE, UPDATE_NOTICE):
            if has_file(self._root, path):
                os.remove(self._root + path)

    def install(self, faults):
        """Install what is whole; yields after each piece. faults: mask of the self check as things are now.

        Ends with a reset of the board, but for a bundle that is refused by its digest or too late. Raises OSError.
        """
        self._installing = True
        found: list = []
        yield from bundle.digest(self._path, found)
        word = self._objection(self.notice) or ("" if found[0] == self.notice.digest else "digest")
        if word:
            self.refuse(word)
            self._installing = False
            return
        self._device.app.hold("updating")
        try:
            yield from self._unpack()
        except (Refused, OSError, MemoryError) as error:
            self.refuse(_failure(error))
        else:
            self._switch(faults)
        self._device.board.reset()

    def _unpack(self):
        """The spare slot holds the bundle on return, and every byte of it was read back."""
        pointer, folder = self._device.pointer, self._folder
        if pointer.previous:  # what runs has no way back to a slot that is written over
            pointer.previous = pointer.previous_sequence = 0
            slot.store(self._root, pointer)
        yield from bundle.remove(folder)
        yield from bundle.unpack(self._path, folder, self._device.board.free_flash_bytes())
        yield from bundle.verify(self._path, folder)

    def _switch(self, faults):
        """From the next boot on it is the new program's turn. Recorded first, like everything that must not be lost."""
        device, sequence = self._device, self.notice.sequence
        report(device, event.UPDATE_INSTALLED, sequence)
        device.pointer.try_out(sequence, faults)
        slot.store(self._root, device.pointer)
        self._drop()

    async def run(self):
        """As long as something is to be fetched or installed."""
        device = self._device
        at, silent_s = self.at, 0
        while self.notice and not device.retiring:
            if self.whole and not device.app.busy and device.wall_clock.source != NO_TIME:
                for _ in self.install(await device.app.check.faults()):
                    await device.board.network_clock.sleep_ms(0)
                continue
            await device.board.network_clock.sleep_ms(1000)
            silent_s = silent_s + 1 if self.at == at and not self.whole else 0
            at = self.at
            if silent_s >= ASK_S:
                silent_s = 0
                self._ask()
