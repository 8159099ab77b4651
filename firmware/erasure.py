"""Erasure of secrets from a flash that only ever writes elsewhere.

A file system for flash leaves removed bytes where they are until it needs the block again. So after the files are gone
every place that may hold a copy is made to be used again: the log of the folder by small writes until both its blocks
were erased, the free blocks by a file that fills them all. What was begun is finished at the next boot.
"""

import os

from firmware.identity import ERASED

# Littlefs keeps a file of this size in the log of its folder. Two blocks of 4 KiB are logged over by 82 of them; three
# times as many leave no doubt about heads and padding.
_SMALL_BYTES = 100
_SMALL_WRITES = 250
_CHUNK = bytes(512)
# The file system is at most this large; a write that never fails must not go on for ever.
_FILL_BYTES_MAX = 16 * 1024 * 1024


def erase(root, paths, feed):
    """Make the content of these files (paths below root) unreadable; missing ones are passed over.

    feed(): called in between, for a watchdog; it takes an ESP32 some ten seconds. The mark stays: such a device must
    never start again.
    """
    _mark(root, "begun")
    for path in paths:
        _remove(root + path)
    _log_over(root + "/filler", feed)
    _fill(root + "/filler", feed)
    _mark(root, "done")


def _mark(root, word):
    with open(root + ERASED, "w") as file:
        file.write(word)


def is_done(root):
    """True when nothing is left to erase."""
    with open(root + ERASED) as file:
        return file.read() == "done"


def _remove(path):
    try:
        os.remove(path)
    except OSError:  # it was removed by the run before
        pass


def _log_over(path, feed):
    for number in range(_SMALL_WRITES):
        try:
            with open(path, "wb") as file:
                file.write(bytes((number & 0xFF,)) * _SMALL_BYTES)
        except OSError:  # a full flash is logged over by the next step
            break
        feed()
    _remove(path)


def _fill(path, feed):
    try:
        with open(path, "wb") as file:
            for _ in range(_FILL_BYTES_MAX // len(_CHUNK)):
                file.write(_CHUNK)
                feed()
    except OSError:  # full, as it should be
        pass
    _remove(path)
