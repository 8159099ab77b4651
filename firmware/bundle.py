"""Unpacks a bundle (protocol/WIRE.md, section 7) into a folder of the flash, and proves what was written.

What takes long is a generator that yields between its steps, so that whoever drives it can feed a watchdog. Everything
is read in pieces: neither a bundle nor a file of it need fit the heap.
"""

import hashlib
import os

from protocol import cbor
from protocol.refusal import Refused
from protocol.release import BUNDLE_FILES_MAX, BUNDLE_MAGIC, BUNDLE_TABLE_BYTES_MAX

PACKAGES = ("firmware", "protocol")
NAME_CHARS_MAX = 40
_ENDING = ".mpy"
# Two packages deep, and the folder of the slot: littlefs gives each folder two blocks.
BLOCK_BYTES = 4096
_FOLDERS_BYTES = 3 * 2 * BLOCK_BYTES
PIECE_BYTES = 512


def table(file):
    """[(name, size in bytes)] of a bundle, sorted by name; the file stands at the first of them then.

    Raises Refused("structure") or "encoding".
    """
    size = int.from_bytes(file.read(2), "big") if file.read(len(BUNDLE_MAGIC)) == BUNDLE_MAGIC else 0
    rows = cbor.decode(file.read(size)) if 0 < size <= BUNDLE_TABLE_BYTES_MAX else None
    if not isinstance(rows, list) or not 0 < len(rows) <= BUNDLE_FILES_MAX:
        raise Refused("structure", "table")
    last = ""
    for row in rows:
        if not isinstance(row, list) or len(row) != 2 or not _is_name(row[0]) or not isinstance(row[1], int):
            raise Refused("structure", "row")
        if row[0] <= last or row[1] < 0:
            raise Refused("structure", "row")
        last = row[0]
    return rows


def _is_name(name):
    """True for firmware/NAME.mpy or protocol/NAME.mpy: nothing else may be written, and nowhere else."""
    if not isinstance(name, str) or not name.endswith(_ENDING):
        return False
    package, _, module = name[: -len(_ENDING)].partition("/")
    if package not in PACKAGES or not 0 < len(module) <= NAME_CHARS_MAX:
        return False
    return all(char in "abcdefghijklmnopqrstuvwxyz0123456789_" for char in module)


def room_bytes(rows):
    """What these files take at most of a flash: each its blocks, and the folders."""
    return sum([(size + BLOCK_BYTES - 1) // BLOCK_BYTES * BLOCK_BYTES for _, size in rows]) + _FOLDERS_BYTES


def digest(path, found):
    """Yields after each piece of the file at `path`; puts its SHA-256 behind what the list `found` has."""
    hashed = hashlib.sha256()
    with open(path, "rb") as file:
        piece = file.read(PIECE_BYTES)
        while piece:
            hashed.update(piece)
            yield
            piece = file.read(PIECE_BYTES)
    found.append(hashed.digest())


def remove(folder):
    """Remove a slot with all that is in it, whether it is there or not. Yields after each file."""
    for name in _names(folder):
        for inner in _names(folder + "/" + name):
            os.remove(folder + "/" + name + "/" + inner)
            yield
        os.rmdir(folder + "/" + name)
    if _is_folder(folder):
        os.rmdir(folder)


def _is_folder(path):
    try:
        os.stat(path)
        return True
    except OSError:
        return False


def _names(folder):
    return os.listdir(folder) if _is_folder(folder) else ()


def held_bytes(folder):
    """What the files of a slot take of the flash, 0 where there is none."""
    rows = []
    for name in _names(folder):
        inside = folder + "/" + name
        rows += [(inner, os.stat(inside + "/" + inner)[6]) for inner in _names(inside)]
    return room_bytes(rows) if rows else 0


def unpack(path, folder, free_bytes):
    """Write the files of the bundle at `path` below `folder`, which does not exist yet. Yields after each piece.

    free_bytes: what the flash has. Raises Refused: "size" when the files need more, "structure" or "encoding" when this
    is no bundle; OSError when the flash fails.
    """
    with open(path, "rb") as file:
        rows = table(file)
        if room_bytes(rows) > free_bytes:
            raise Refused("size", "slot")
        os.mkdir(folder)
        for package in PACKAGES:
            os.mkdir(folder + "/" + package)
        for name, size in rows:
            with open(folder + "/" + name, "wb") as target:
                for piece in _pieces(file, size):
                    target.write(piece)
                    yield
        if file.read(1):
            raise Refused("structure", "rest")


def verify(path, folder):
    """Compare what lies below `folder` with the bundle at `path`. Yields after each piece.

    Raises Refused("structure") for any difference, OSError for a file that is not there.
    """
    with open(path, "rb") as file:
        for name, size in table(file):
            with open(folder + "/" + name, "rb") as written:
                for piece in _pieces(file, size):
                    if written.read(len(piece)) != piece:
                        raise Refused("structure", "flash")
                    yield
                if written.read(1):
                    raise Refused("structure", "flash")


def _pieces(file, size):
    """The next `size` bytes of a file, in pieces. Raises Refused("structure") where it ends before."""
    while size:
        piece = file.read(min(size, PIECE_BYTES))
        if not piece:
            raise Refused("structure", "end")
        size -= len(piece)
        yield piece
