"""The loader: at every boot it decides which program that is for (see slot.py), and loads it.

It is always that of the program which the board was delivered with; no update replaces it. So it needs nothing but the
pointer, and it leaves nothing behind in the heap.
"""

import gc
import sys

from firmware import slot

_PACKAGES = ("firmware", "protocol")
# For the list of modules and for a pointer on its way to the flash, with words of 64 bits as well.
_SPARE_BYTES = 4096


def program(root=""):
    """The function run() of the program that this boot is for (see main.py). root: folder of the flash.

    A boot on trial is counted on flash before its program is loaded. Raises what the program raised that could not be
    loaded, which is on flash by then; the next boot knows better.
    """
    pointer = slot.load(root)
    if pointer.count_boot():
        slot.store(root, pointer)
    if pointer.active:
        sys.path.insert(0, root + slot.FOLDERS[pointer.active])
    _forget()
    # What cannot be loaded may have taken all of the heap: what the way back needs is put aside.
    spare = bytearray(_SPARE_BYTES) if pointer.active else None
    try:
        from firmware.main import run
    except Exception:
        if pointer.active:
            del spare
            _forget()
            pointer.fail_import()
            slot.store(root, pointer)
        raise
    return run


def _forget():
    """This program's modules would stand before those of the slot, and lie in the heap beside them."""
    for name in list(sys.modules):
        if name.split(".")[0] in _PACKAGES:
            del sys.modules[name]
    gc.collect()
