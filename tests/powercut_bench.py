"""A whole device on the MicroPython VM without anything around it: its keys, its flash, and what the gateway would say.

Time is counted, not measured, and chance is seeded, so that one life is the same each time.
"""

import asyncio
import hashlib

from flash_root import BLOCK_BYTES
from sealed_pair import HALL, NAME, Pair, private_key
from suites import SeededRandom, device_suite
from updating_device import bundle_of, notice_of, publics

from firmware import identity, slot
from firmware.device import Device
from firmware.journal import KEPT_FREE_BYTES
from protocol import cbor, command, encrypt0, receipt, topic

BLOCKS = 64
# Three segments of one boot each leave no room for a fourth.
JOURNAL_BYTES = 24 * BLOCK_BYTES
BUILT_S = 1772409600
NOW_S = BUILT_S + 5 * 86400
# Programs of the updates here: {name: content} with the sequence all over it.
PROGRAM_FILES = ("firmware/__init__.mpy", "firmware/main.mpy", "protocol/cbor.mpy")


class Ticks:
    """A clock that runs a little with every look."""

    def __init__(self):
        self._now_ms = 5000

    def ticks_ms(self):
        self._now_ms += 3
        return self._now_ms

    def ticks_diff(self, later, earlier):
        return later - earlier

    async def sleep_ms(self, duration_ms):
        self._now_ms += duration_ms


class _Watchdog:
    def feed(self):
        """Nothing bites."""


class Board:
    """What a device asks of its board, without peripherals. free_flash_bytes is what littlefs says."""

    def __init__(self):
        self.clock = self.network_clock = Ticks()
        self.watchdog = _Watchdog()

    def trust(self, tls_files):
        """No link here."""

    def boot_reason(self):
        return "power"

    def set_time(self, utc_s):
        """No certificate is checked here."""

    def free_flash_bytes(self):
        return 200 * BLOCK_BYTES

    def flash_bytes(self):
        return JOURNAL_BYTES + KEPT_FREE_BYTES

    def free_heap_bytes(self):
        return 1000000

    def reset(self):
        """What comes next is the life's to say."""


class _Check:
    async def faults(self):
        return 0


class App:
    """An app that shows nothing: the life plays the person."""

    busy = False
    check = _Check()

    def __init__(self, device):
        self.thanks = 0
        self.status_word = ""

    def counts(self):
        return {}

    def on_receipt(self):
        """Nobody waits for it."""

    def on_command(self, found):
        """No visits here."""

    def hold(self, word):
        self.status_word = word


class Sent:
    """In the place of an MQTT connection: keeps what was published."""

    def __init__(self):
        self.messages = []

    async def publish(self, on_topic, messages):
        self.messages += messages


def files():
    """{name: content} of the flash of a new device."""
    suite = device_suite(SeededRandom("files"))

    def public(label):
        return suite.public_bytes(suite.load_private(private_key(label)))

    fields = {
        identity.DEVICE: NAME,
        identity.HALL: HALL,
        identity.KIND: identity.EVALUATOR,
        identity.BROKER_HOST: "127.0.0.1",
        identity.BROKER_PORT: 8883,
        identity.SERVER_NAME: "broker",
        identity.PLACE: "12",
        identity.GATEWAY_KEY: public("agreement of gateway"),
        identity.COMMAND_KEY: public("command"),
        identity.BUILT_S: BUILT_S,
        identity.RELEASE_KEYS: publics(suite),
    }
    named = {"device.cbor": cbor.encode(fields)}
    named["signing.key"], named["agreement.key"] = private_key("record"), private_key("agreement of device")
    named["tls.crt"] = named["tls.key"] = named["root.crt"] = b"none here"
    return named


def program(sequence):
    """The bundle of a release: about three chunks."""
    return bundle_of({name: b"%d of %s " % (sequence, name.encode()) * 90 for name in PROGRAM_FILES})


def is_program(folder, sequence):
    """True when the slot in this folder holds the release, whole."""
    for name in PROGRAM_FILES:
        with open("/flash" + folder + "/" + name, "rb") as file:
            if file.read() != b"%d of %s " % (sequence, name.encode()) * 90:
                return False
    return True


def once(work):
    """work(), done once for the same values. Of a bench there are few."""
    known = {}

    def remembered(*values):
        if values not in known:
            known[values] = work(*values)
        return known[values]

    return remembered


class Bench:
    """device: of the newest boot(). pair: the gateway's keys.

    on_sealed(place, digest): called for everything that the device encrypts, before any of it can be written or sent.
    place: of key and IV; the same one must never come with another digest.
    """

    def __init__(self, seed, on_sealed):
        self.suite = device_suite(SeededRandom(seed))
        self._ccm_seal, self._on_sealed = self.suite.ccm_seal, on_sealed
        self.suite.ccm_seal = self._seal
        # Keys never change here, and what follows from them alone is half of a boot's work.
        for name in ("load_public", "agree", "public_bytes"):
            setattr(self.suite, name, once(getattr(self.suite, name)))
        self.pair = Pair(device_suite(SeededRandom("gateway " + seed)))
        self.device = None
        self._counter = 0

    def _seal(self, key, iv, aad, plaintext):
        sealed = self._ccm_seal(key, iv, aad, plaintext)
        self._on_sealed(_digest(key + iv), _digest(aad + sealed))
        return sealed

    def boot(self):
        """Power on: what loader.py and main.py do, up to the first wait."""
        pointer = slot.load("/flash")
        if pointer.count_boot():
            slot.store("/flash", pointer)
        self.device = Device(Board(), self.suite, identity.Identity("/flash"), App)
        return self.device

    def deliver(self, message):
        """A message from the gateway, as the broker delivers it."""
        device = self.device
        dropped = device.inbox.dropped
        device.inbox.take(topic.down(HALL, NAME), message, False)
        assert device.inbox.dropped == dropped, "the device did not believe its gateway"

    def command(self, kind, claims):
        self._counter = max(self._counter, self.device.settings.counter) + 1
        made = command.Command(NAME, HALL, NOW_S + 86400, NOW_S, kind, self._counter, claims)
        self.deliver(command.seal(self.pair.gateway, self.pair.command_signer, made))

    def notice(self, sequence):
        return notice_of(self.suite, program(sequence), sequence, expires_s=NOW_S + 86400)

    def tell_time(self):
        nonce = self.device.wall_clock.ask()
        self.command(command.TIME_ANSWER, {command.NONCE: nonce, command.TIME_MS: 1000 * NOW_S})

    def send(self):
        """Messages that the uplink puts on the wire where a session begins: a heartbeat, and what waits."""
        uplink, sent = self.device.uplink, Sent()
        uplink._sent = uplink._known = self.device.journal.through
        uplink.heartbeat_due = True
        asyncio.run(uplink._send(sent))
        return sent.messages

    def receipt(self, through):
        made = receipt.Receipt(self.device.journal.stream, through, [], through)
        self.deliver(receipt.seal(self.pair.gateway, made))


def _digest(content):
    return hashlib.sha256(content).digest()[:8]


def fingerprint(message):
    """(IV under its key, digest) of a sealed message: the same pair of key and IV must never have another digest."""
    envelope = encrypt0.parse(message)
    return envelope.context + envelope.iv, _digest(message)


def disclosed_digest(values):
    """Of redactable claims and their values, {claim: value}."""
    return _digest(cbor.encode(values))
