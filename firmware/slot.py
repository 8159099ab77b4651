"""Which program a boot is for: the one that the board was delivered with, or that of one of two slots of the flash.

A slot is a folder that holds the unpacked files of a bundle. The pointer names the active one, in two copies (see
twin_file.py). What was just installed is on trial: it has a few boots to prove itself, each counted on flash before it
begins. Programs older and newer than this one read the pointer too, so it has one fixed form.
"""

import struct

from firmware.twin_file import TwinFile

# The program that the board was delivered with has no folder: frozen, in ROMFS, or on the flash itself.
FACTORY = 0
FOLDERS = ("", "/a", "/b")
CONFIRMED, TRIAL, REVERTED = 0, 1, 2
# One may be lost to a power cut and one to a network that is slow in the morning.
TRIAL_BOOTS_MAX = 3
# Why a trial was given up, as event 19 says it. Whoever cannot say anything more leaves the first.
REASONS = ("crash", "import", "receipt", "self check")
CRASH, IMPORT, RECEIPT, SELF_CHECK = 0, 1, 2, 3
# The pointer's file, without ending (see twin_file.py).
PATH = "/slot"
# Form, active, previous, state, boots, faults, reason; sequences: of active, previous, refused.
_FORM, _LAYOUT, _BYTES = 1, ">7B3I", 19


class Pointer:
    """active, previous: 0 factory, 1, 2. sequence, previous_sequence: of their releases, 0 for the factory's.

    state: CONFIRMED, TRIAL, or REVERTED until event 19 tells it. boots: of this trial so far. faults: mask of the self
    check before the update. reason: index into REASONS. refused: newest sequence that was refused or reverted.
    """

    def __init__(self, content=b""):
        """content: as encode() makes it; anything else is the pointer of a board as it was delivered."""
        if len(content) != _BYTES or content[0] != _FORM:
            content = bytes((_FORM,)) + bytes(_BYTES - 1)
        fields = struct.unpack(_LAYOUT, content)
        self.active, self.previous, self.state, self.boots, self.faults, self.reason = fields[1:7]
        self.sequence, self.previous_sequence, self.refused = fields[7:]

    def encode(self):
        """The bytes of the pointer's file."""
        fields = (self.active, self.previous, self.state, self.boots, self.faults, self.reason)
        return struct.pack(_LAYOUT, _FORM, *fields, self.sequence, self.previous_sequence, self.refused)

    @property
    def spare(self):
        """The slot that the next program goes into. While a trial runs there is none: the other holds the way back."""
        return 2 if self.active == 1 else 1

    def try_out(self, sequence, faults):
        """The next boots are for what lies in the spare slot."""
        self.previous, self.previous_sequence, self.active = self.active, self.sequence, self.spare
        self.sequence, self.faults = sequence, faults
        self.state, self.boots, self.reason = TRIAL, 0, CRASH

    def count_boot(self):
        """Before a boot: one more of the trial, or the way back. True when the pointer changed."""
        if self.state != TRIAL:
            return False
        if self.boots >= TRIAL_BOOTS_MAX:
            self.revert()
        else:
            self.boots += 1
        return True

    def fail_import(self):
        """The active program cannot be loaded. On trial that was one boot; of one that was confirmed the flash lost
        something, and what ran before is better than nothing.
        """
        self.reason = IMPORT
        if self.state != TRIAL:
            self.revert()

    def revert(self):
        """Back to the program before, and behind that to the factory's."""
        self.refuse(self.sequence)
        self.active, self.sequence = self.previous, self.previous_sequence
        self.previous = self.previous_sequence = FACTORY
        self.state = REVERTED

    def confirm(self):
        """What runs is what shall run."""
        self.state = CONFIRMED

    def refuse(self, sequence):
        """Neither this release nor one before it is tried again."""
        self.refused = max(self.refused, sequence)


def load(root):
    """The pointer of this flash. root: its folder."""
    return Pointer(TwinFile(root + PATH).content)


def store(root, pointer):
    """Durable on return. Raises OSError."""
    TwinFile(root + PATH).store(pointer.encode())
