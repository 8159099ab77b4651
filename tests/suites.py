"""The suites that protocol tests run with: both on CPython, the device's own on the MicroPython VM. Runs on both."""

import hashlib
import sys

from protocol.suite_device import DeviceSuite

ON_VM = sys.implementation.name == "micropython"

if ON_VM:
    _AES = None  # DeviceSuite finds cryptolib by itself
else:
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    from protocol.suite_host import HostSuite

    class _AES:
        """cryptolib.aes on `cryptography`: mode 1 is ECB, 2 is CBC."""

        def __init__(self, key, mode, iv=None):
            self._encryptor = Cipher(algorithms.AES(key), modes.ECB() if mode == 1 else modes.CBC(iv)).encryptor()

        def encrypt(self, blocks):
            return self._encryptor.update(blocks)


class SeededRandom:
    """Bytes that only look random: SHA-256 of a label and a counter. Call it with a count, like os.urandom."""

    def __init__(self, label):
        self._label = label.encode()
        self._block = 0

    def __call__(self, count):
        drawn = b""
        while len(drawn) < count:
            drawn += hashlib.sha256(self._label + self._block.to_bytes(4, "big")).digest()
            self._block += 1
        return drawn[:count]


def device_suite(random=None):
    """DeviceSuite, on either interpreter. random: function count -> bytes."""
    return DeviceSuite(_AES, random)


def host_suite(random=None):
    """HostSuite; on CPython only."""
    return HostSuite(random) if random else HostSuite()


def suites(seed=None):
    """Every suite that this interpreter can run; each draws from a SeededRandom of its own when there is a seed."""
    makers = (device_suite,) if ON_VM else (host_suite, device_suite)
    return [make(SeededRandom(seed) if seed else None) for make in makers]
