"""The draft: a rating that is thanked for and may still be corrected. It is on flash before the thanks, sealed after.

A signature takes an ESP32 a quarter of a second, which a finger feels; a small encrypted file takes it some
milliseconds. So the bare rating is written first, under a key that only this device can derive, and becomes a record of
the stream when nothing about it can change any more, or at the next boot.

The presses of each button since first boot lie in the same file: a press that was taken and not stored must show. They
are written with every draft and before a heartbeat tells them, so that nothing that was told or thanked for is
forgotten; a power cut forgets the presses without thanks since the last heartbeat.

Nothing has to be erased afterwards, which could fail: a draft carries the number that its rating will have among all
ratings of the stream, and is one only as long as the stream has not reached it.
"""

from firmware.recorder import ratings
from firmware.twin_file import TwinFile
from protocol import cbor
from protocol.limits import IV_BYTES, KEY_BYTES
from protocol.refusal import Refused

_INFO = b"hallseal draft 1"


class Draft:
    """suite, identity, journal: of this device. totals: ratings of level 1 … 5 that its stream has (see Recorder).

    pending: [claims, redactable, moment] of a rating that is not sealed yet (see Recorder.record), or None.
    presses: five counts, index 0 is level 1; never less than `totals`. newest: redactable of the newest draft that this
    boot found, sealed or not, {} for none.
    """

    def __init__(self, suite, identity, journal, totals):
        self._suite = suite
        self._journal = journal
        self._key = suite.hkdf(identity.agreement_key, b"", _INFO, KEY_BYTES)
        self._file = TwinFile(identity.root + "/draft")
        self._kept = self._load()
        self.newest = self._kept[3]
        self.presses = list(map(max, totals, self._kept[5]))

    def _load(self):
        """[stream, number, claims, redactable, moment, presses]; an empty one where no draft of this device is."""
        content, self._file.content = self._file.content, b""  # nobody asks for it again
        try:
            if content:
                return cbor.decode(self._suite.ccm_open(self._key, content[:IV_BYTES], _INFO, content[IV_BYTES:]))
        except Refused:  # another device's flash, or no key any more: nobody can read it
            pass
        return [b"", 0, {}, {}, [], [0] * 5]

    def _place(self):
        """[stream, number] that the next rating will have."""
        return [self._journal.stream, ratings(self._journal.tally) + 1]

    @property
    def pending(self):
        kept = self._kept
        return kept[2:5] if kept[:2] == self._place() else None

    def keep(self, claims, redactable, moment):
        """Make this the draft, in place of the one before; on flash on return. Raises OSError, ValueError."""
        self._store(self._place() + [claims, redactable, moment, list(self.presses)])

    def told(self):
        """The presses for a heartbeat; on flash on return unless that fails."""
        try:
            if self._kept[5] != self.presses:
                self._store(self._kept[:5] + [list(self.presses)])
        except OSError:  # it is told all the same
            pass
        return list(self.presses)

    def _store(self, kept):
        iv = self._suite.random_bytes(IV_BYTES)
        self._file.store(iv + self._suite.ccm_seal(self._key, iv, _INFO, cbor.encode(kept)))
        self._file.content = b""
        self._kept = kept
