"""A device and its gateway with fixed keys, for tests of the wire. Runs on CPython and on the MicroPython VM."""

import hashlib

from protocol import sign1
from protocol.channel import DEVICE, GATEWAY, Channel

HALL = "yongxing"
NAME = "e-001"


def private_key(label):
    """32 bytes, always the same for a label. Nothing but tests may use them."""
    return hashlib.sha256(b"hallseal test key: " + label.encode()).digest()


class Pair:
    """Both ends of one channel: `device` and `gateway` (Channel), and the keys of both signers.

    keys: word that makes the agreement keys others than those of other pairs.
    """

    def __init__(self, suite, hall=HALL, name=NAME, epoch=1, keys=""):
        self.suite = suite
        self._hall, self._name, self._epoch, self._keys = hall, name, epoch, keys
        self.device = self.channel(DEVICE)
        self.gateway = self.channel(GATEWAY)
        self.signer = sign1.Signer(suite, private_key("record"))
        self.command_signer = sign1.Signer(suite, private_key("command"))
        self.signing_public = suite.load_public(self.signer.public_key)
        self.command_public = suite.load_public(self.command_signer.public_key)

    def channel(self, side):
        """A new end of the channel: a device after a reboot, a gateway after a start."""
        private = {
            DEVICE: self.suite.load_private(private_key("agreement of device" + self._keys)),
            GATEWAY: self.suite.load_private(private_key("agreement of gateway" + self._keys)),
        }
        peer = self.suite.public_bytes(private[GATEWAY if side == DEVICE else DEVICE])
        peer_public = self.suite.load_public(peer)
        return Channel(self.suite, self._hall, self._name, private[side], peer_public, side, self._epoch)


def flip(data, bit):
    """`data` with one bit turned: bit 0 is the lowest of the first byte, bit -1 the highest of the last."""
    turned = bytearray(data)
    turned[bit >> 3] ^= 1 << (bit & 7)
    return bytes(turned)
