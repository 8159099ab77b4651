"""The draft: a rating that is thanked for and may still be corrected. It is on flash before the thanks, sealed after.

A signature takes an ESP32 a quarter of a second, which a finger feels; a small encrypted file takes it some
milliseconds. So the bare rating is written first, under a key that only this device can derive, and becomes a record of
the stream when nothing about it can change any more, or at the next boot.

Nothing has to be erased afterwards, which could fail: a draft carries the number that its rating will have among all
ratings of the stream, and is one only as long as the stream has not reached it.
"""

from firmware.tally import RATINGS, counts
from firmware.twin_file import TwinFile
from protocol import cbor
from protocol.limits import IV_BYTES, KEY_BYTES
from protocol.refusal import Refused

_INFO = b"hallseal draft 1"


class Draft:
    """suite, identity, journal: of this device.

    pending: [claims, redactable, moment] of a rating that is not sealed yet (see Recorder.record), or None.
    """

    def __init__(self, suite, identity, journal):
        self._suite = suite
        self._journal = journal
        self._key = suite.hkdf(identity.agreement_key, b"", _INFO, KEY_BYTES)
        self._file = TwinFile(identity.root + "/draft")
        self._kept = self._load()

    def _load(self):
        """[stream, number, claims, redactable, moment], or None where no draft of this device is."""
        content = self._file.content
        if not content:
            return None
        try:
            bare = self._suite.ccm_open(self._key, content[:IV_BYTES], _INFO, content[IV_BYTES:])
            return cbor.decode(bare)
        except Refused:  # another device's flash, or no key any more: nobody can read it
            return None

    def _place(self):
        """[stream, number] that the next rating will have."""
        return [self._journal.stream, counts(self._journal.tally)[RATINGS] + 1]

    @property
    def pending(self):
        kept = self._kept
        return kept[2:] if kept and kept[:2] == self._place() else None

    def keep(self, claims, redactable, moment):
        """Make this the draft, in place of the one before; on flash on return. Raises OSError, ValueError."""
        kept = self._place() + [claims, redactable, moment]
        iv = self._suite.random_bytes(IV_BYTES)
        self._file.store(iv + self._suite.ccm_seal(self._key, iv, _INFO, cbor.encode(kept)))
        self._kept = kept
