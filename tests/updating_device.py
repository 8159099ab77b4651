"""A device that takes updates, and nothing else of a device; and the releases for it. Runs on both interpreters."""

import hashlib

from sealed_pair import private_key

from firmware import slot
from firmware.journal import JournalFull
from firmware.update import Update
from protocol import cbor, command, event, release
from protocol.record import GATEWAY_TIME

HOLDERS = ("release 1", "release 2", "release 3")
NOW_S = 1772845200
MAGIC = b"hallseal bundle 1\n"
FILES = {"firmware/__init__.mpy": b"", "firmware/main.mpy": b"M\x06" * 700, "protocol/cbor.mpy": b"one word" * 9}


def bundle_of(files):
    """The bundle of {name: content}."""
    names = sorted(files)
    table = cbor.encode([[name, len(files[name])] for name in names])
    return MAGIC + len(table).to_bytes(2, "big") + table + b"".join([files[name] for name in names])


_publics = []


def publics(suite):
    """The release keys that a device knows."""
    if not _publics:
        _publics.extend([suite.public_bytes(suite.load_private(private_key(label))) for label in HOLDERS])
    return list(_publics)


def notice_of(suite, bundle, sequence=6, labels=HOLDERS[:2], kind="evaluator", expires_s=NOW_S + 86400, size=None):
    """The assembled notice of a bundle. labels: who signs it. size: what it says, if not the truth."""
    digest = hashlib.sha256(bundle).digest()
    payload = release.encode(release.Notice(kind, sequence, "0.2.0", expires_s, size or len(bundle), digest))
    signatures = [release.sign(suite, suite.load_private(private_key(label)), payload) for label in labels]
    return release.assemble(payload, signatures)


class Rebooted(Exception):
    """The board was reset."""


class UpdatingDevice:
    """As firmware/device.py has it, as far as an update sees it. boot() is one run; the flash outlives it.

    events: [code, value, text] of every run. full: True while the journal takes nothing.
    """

    def __init__(self, suite, root, free_bytes=1000000):
        self.suite, self.root, self.free_bytes = suite, root, free_bytes
        self.device, self.kind = "e-001", "evaluator"
        self.events, self.full = [], False
        self.time_s, self.source = NOW_S, GATEWAY_TIME
        self.keys = publics(suite)
        self.free_heap = 1000000
        self.unused = self.waiting = 0  # of the journal: what it could still take, and how many records wait
        self.boot()

    def boot(self):
        """Power on. What was in memory is gone."""
        self.identity = self.board = self.journal = self.wall_clock = self.uplink = self.app = self
        self.heartbeat_due = False
        self.held = ""
        self.pointer = slot.load(self.root)
        self.update = Update(self)
        return self.update

    def release_keys(self):
        return self.keys

    def free_flash_bytes(self):
        return self.free_bytes

    def free_heap_bytes(self):
        return self.free_heap

    def unused_bytes(self):
        return self.unused

    def pending(self):
        return self.waiting

    def now_s(self):
        return self.time_s

    def wake(self):
        pass

    def hold(self, word):
        self.held = word

    def reset(self):
        raise Rebooted()

    def record(self, kind, claims):
        if self.full:
            raise JournalFull()
        self.events.append([claims[event.CODE], claims[event.VALUE], claims.get(event.TEXT, "")])

    def feed(self, bundle, sequence=6, chunk_bytes=command.CHUNK_BYTES_MAX):
        """Send every chunk, and the empty one that ends them."""
        update = self.update
        for at in range(update.at, len(bundle) + 1, chunk_bytes):
            update.on_chunk(sequence, at, bundle[at : at + chunk_bytes])
        update.on_chunk(sequence, len(bundle), b"")

    def install(self, faults=0):
        """True when the board was reset in the end."""
        try:
            for _ in self.update.install(faults):
                pass
        except Rebooted:
            return True
        return False
