"""Faults planted on purpose, to see that the campaigns find them. Runs on MicroPython."""

from firmware import bundle, draft, journal, segment, slot, update
from firmware.self_check import report
from protocol import event
from protocol.limits import IV_BYTES


def _trim_first():
    """A receipt removes segments before it is stored."""
    trim = journal.Journal.trim

    def planted(self, through):
        store, kept = self._pointer.store, []
        self._pointer.store = kept.append
        trim(self, through)
        self._pointer.store = store
        for content in kept:
            store(content)

    journal.Journal.trim = planted


class _NoChecksum:
    @staticmethod
    def crc32(*_):
        return 0


def _ignore_checksum():
    """No checksum is looked at: every one fits."""
    segment.binascii = _NoChecksum


def _switch_first():
    """The slot is switched before the digest is looked at, and back when that does not fit: right until a power cut."""

    def planted(self, faults):
        device, notice, found = self._device, self.notice, []
        yield from self._unpack()
        device.pointer.try_out(notice.sequence, faults)
        slot.store(self._root, device.pointer)
        yield from bundle.digest(self._path, found)
        if found[0] != notice.digest:
            device.pointer.revert()
            device.pointer.confirm()
            slot.store(self._root, device.pointer)
            self.refuse("digest")
            return
        report(device, event.UPDATE_INSTALLED, notice.sequence)
        self._drop()
        device.board.reset()

    update.Update.install = planted


def _forget_disclosed():
    """A boot seals the draft that it finds without identity and comment."""
    load = draft.Draft._load

    def planted(self):
        kept = load(self)
        kept[3] = {}
        return kept

    draft.Draft._load = planted


def _forget_hash():
    """Where everything is receipted a boot begins the chain with something else."""
    load = journal.Journal._load

    def planted(self):
        load(self)
        if self.head and self.head == self.through:
            self.head_hash = bytes(15) + b"\x01"

    journal.Journal._load = planted


def _repeat_iv():
    """Every draft is encrypted with the same IV."""
    store = draft.Draft._store

    def planted(self, kept):
        random_bytes, self._suite.random_bytes = self._suite.random_bytes, lambda _: bytes(IV_BYTES)
        store(self, kept)
        self._suite.random_bytes = random_bytes

    draft.Draft._store = planted


_FAULTS = {
    "trim": _trim_first,
    "checksum": _ignore_checksum,
    "digest": _switch_first,
    "disclosed": _forget_disclosed,
    "hash": _forget_hash,
    "iv": _repeat_iv,
}


def plant(name):
    """One of the faults, by its name."""
    _FAULTS[name]()
