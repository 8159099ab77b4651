"""Faults planted on purpose, to see that the campaign finds them. Runs on MicroPython."""

from firmware import journal, segment, update


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
    """What has come of a bundle is unpacked and runs; nobody looks at its digest."""

    def planted(self, faults):
        yield from self._unpack()
        self._switch(faults)
        self._device.board.reset()

    update.Update.install = planted


def plant(name):
    """One of the faults, by its name."""
    {"trim": _trim_first, "checksum": _ignore_checksum, "digest": _switch_first}[name]()
