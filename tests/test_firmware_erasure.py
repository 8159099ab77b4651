"""Erased is erased: nothing of a key is left anywhere on the raw flash. Runs on both interpreters.

On the VM the flash is littlefs on NOR memory that the test looks into; on CPython only the files can be looked at.
"""

import flash_root
from flash_root import ON_VM, new_root, read, write

from firmware import erasure
from firmware.identity import ERASED

# As small as a private key, and as large as one with its certificate headers: in the log of a folder, and in a block.
KEYS = {
    "/signing.key": bytes(range(100, 132)),
    "/tls.key": bytes(range(1, 139)),
    "/wifi.cbor": b"a network and its key",
}
HEAP_KIB = 320  # the flash lies in the heap here, beside the modules


def _flash():
    """Every byte of the flash."""
    return bytes(flash_root._memory) if ON_VM else b""


def _with_keys(times=1):
    """A flash with keys that were written, `times` over, among other files."""
    root = new_root()
    write(root + "/device.cbor", b"who it is" * 40)
    for _ in range(times):
        for path in sorted(KEYS):
            write(root + path, KEYS[path])
    write(root + "/config.0", b"settings" * 40)
    return root


def _fed(counts):
    def feed():
        counts[0] += 1

    return feed


def test_no_key_is_left_on_the_raw_flash():
    for times in (1, 3):
        root, counts = _with_keys(times), [0]
        for path in KEYS:
            assert not ON_VM or KEYS[path] in _flash()  # the look can find one
        erasure.erase(root, sorted(KEYS), _fed(counts))
        for path in KEYS:
            assert KEYS[path] not in _flash() and KEYS[path][:16] not in _flash(), path
        assert read(root + "/device.cbor") == b"who it is" * 40 and read(root + "/config.0") == b"settings" * 40
        assert read(root + ERASED) == b"done" and erasure.is_done(root)
        assert counts[0] > 100  # a watchdog does not bite meanwhile


def test_removing_a_key_alone_would_leave_it_there():
    """Why all the trouble: this is what a file system for flash does."""
    import os

    root = _with_keys()
    for path in KEYS:
        os.remove(root + path)
    assert not ON_VM or _flash().find(KEYS["/signing.key"]) >= 0


def test_an_erasure_that_was_cut_off_is_not_done():
    root = _with_keys()

    class Cut(Exception):
        pass

    def feed():
        raise Cut()

    try:
        erasure.erase(root, sorted(KEYS), feed)
        raise AssertionError("not cut")
    except Cut:
        pass
    assert not erasure.is_done(root)
    erasure.erase(root, sorted(KEYS), lambda: None)
    assert erasure.is_done(root)
    for path in KEYS:
        assert KEYS[path] not in _flash()
