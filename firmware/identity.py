"""Who this device is and whom it trusts: what provisioning wrote to its flash."""

import os

from protocol import cbor

DEVICE, HALL, KIND, BROKER_HOST, BROKER_PORT, SERVER_NAME, PLACE, GATEWAY_KEY, COMMAND_KEY, BUILT_S = range(1, 11)
RELEASE_KEYS = 11
EVALUATOR, CLOCK = "evaluator", "clock"
# What nobody may read from a device that was opened or taken away: its private keys, and the network's.
SECRETS = ("/signing.key", "/agreement.key", "/tls.key", "/wifi.cbor")
# A file that says that they are going or gone (see erasure.py).
ERASED = "/erased"
# What ended the last run (see crash.py).
CRASH = "/crash"
# A finger that the sensor has to forget (see removal.py).
REMOVAL = "/removal"
# A file that says that the device was decommissioned (see retirement.py).
RETIRING = "/retiring"
# Which program runs (see slot.py): as soon as another one than the board was delivered with was ever to be.
SLOT = "/slot.0"
# What is fetched of an update so far, and the notice that speaks of it (see update.py).
UPDATE, UPDATE_NOTICE = "/update", "/update.notice"


def read_file(path):
    """The bytes of a file; OSError where it is missing."""
    with open(path, "rb") as file:
        return file.read()


def has_file(root, path):
    """True when the folder of the flash has this file; path: with a slash in front."""
    return path[1:] in os.listdir(root or "/")


class Identity:
    """device, hall, kind, broker_host, broker_port, server_name, place (window or door), built_s (UTC); key bytes.

    takes_updates: True when it knows whose releases to believe. is_locked: True when the keys were erased: such a
    device says so, and nothing else. Raises OSError or ValueError when the flash was not provisioned completely: such a
    device must not run.
    """

    def __init__(self, root):
        fields = cbor.decode_map(read_file(root + "/device.cbor"))
        self.device = fields[DEVICE]
        self.hall = fields[HALL]
        self.kind = fields[KIND]
        self.broker_host = fields[BROKER_HOST]
        self.broker_port = fields[BROKER_PORT]
        self.server_name = fields[SERVER_NAME]
        self.place = fields[PLACE]
        self.built_s = fields[BUILT_S]
        self.gateway_key = fields[GATEWAY_KEY]
        self.command_key = fields[COMMAND_KEY]
        if self.kind not in (EVALUATOR, CLOCK) or not self.server_name:
            raise ValueError("device.cbor")
        self.root = root
        self.takes_updates = RELEASE_KEYS in fields
        self.is_locked = has_file(root, ERASED)
        if not self.is_locked:
            self.signing_key = read_file(root + "/signing.key")
            self.agreement_key = read_file(root + "/agreement.key")

    def release_keys(self):
        """Public keys of the three holders, 65 bytes each; read anew for each notice, like the TLS files."""
        return cbor.decode_map(read_file(self.root + "/device.cbor"))[RELEASE_KEYS]

    def tls_files(self):
        """(certificate, key, authority), DER bytes; read anew for each connection, they need not fill the heap."""
        return tuple(read_file(self.root + name) for name in ("/tls.crt", "/tls.key", "/root.crt"))
