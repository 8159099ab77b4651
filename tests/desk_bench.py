"""A bench for one device on CPython, in virtual time: its board, its flash, its gateway, and what it wrote down."""

import asyncio

from flash_root import new_root
from sealed_pair import HALL, Pair, private_key
from updating_device import publics
from virtual_time import Clock, until

from firmware.clock import Clock as ClockApp
from firmware.device import Device
from firmware.evaluator import Evaluator
from firmware.journal import KEPT_FREE_BYTES
from protocol import command, disclosure, receipt, record, sealed_record, sign1, topic
from protocol.suite_host import HostSuite
from simulator.desk_board import DeskBoard
from simulator.owned_tasks import OwnedTasks

SUITE = HostSuite()
# 2026-03-02 00:00:00 UTC, when the firmware of these devices was built, and a morning some days later.
BUILT_S = 1772409600
MORNING_S = BUILT_S + 5 * 86400 + 3600
NAMES = {"evaluator": "e-001", "clock": "c-001"}
PLACES = {"evaluator": "01", "clock": "D1"}
APPS = {"evaluator": Evaluator, "clock": ClockApp}


class Who:
    """In the place of firmware.identity.Identity, with the keys of a Pair."""

    def __init__(self, kind, root, pair):
        self.device, self.hall, self.kind, self.place = NAMES[kind], HALL, kind, PLACES[kind]
        self.broker_host, self.broker_port, self.server_name = "127.0.0.1", 8883, "broker"
        self.built_s, self.root = BUILT_S, root
        self.signing_key = private_key("record")
        self.agreement_key = private_key("agreement of device")
        self.gateway_key = SUITE.public_bytes(SUITE.load_private(private_key("agreement of gateway")))
        self.command_key = pair.command_signer.public_key
        self.takes_updates = True

    def release_keys(self):
        return publics(SUITE)

    def tls_files(self):
        return b"", b"", b""


class Board(DeskBoard):
    """A desk board on virtual time. dial: async () -> (reader, writer); nobody answers by default."""

    def __init__(self, root, enrolled, journal_bytes):
        super().__init__(root, 1, enrolled)
        self._journal_bytes = journal_bytes
        self.clock = self.network_clock = Clock()
        self.dial = self._no_network

    def trust(self, tls_files):
        """There is no TLS on this bench."""

    async def _no_network(self):
        raise OSError("no wifi")

    async def open_stream(self, host, port, server_name):
        return await self.dial()

    def flash_bytes(self):
        return KEPT_FREE_BYTES + self._journal_bytes

    def free_flash_bytes(self):
        return 2000000


class Bench:
    """kind: "evaluator" or "clock". enrolled: slots of the sensor. now_s: UTC that the gateway tells.

    device, board, hands, screen, app: of the newest boot().
    """

    def __init__(self, kind="evaluator", enrolled=(), journal_bytes=1024 * 1024):
        self.pair = Pair(SUITE, name=NAMES[kind])
        self.who = Who(kind, new_root(), self.pair)
        self._enrolled, self._journal_bytes = enrolled, journal_bytes
        self.now_s = MORNING_S
        self.counter = 0
        self.device = None
        self.sensor = None  # what it holds survives a power cut

    def build(self):
        """Power on; nothing runs yet."""
        self.board = Board(self.who.root, self._enrolled, self._journal_bytes)
        self.hands, self.screen = self.board.hands, self.board.screen
        self.sensor = self.hands.sensor = self.sensor or self.hands.sensor
        self.device = Device(self.board, SUITE, self.who, APPS[self.who.kind])
        self.app = self.device.app
        return self

    def boot(self):
        """Power on, and run."""
        return self.build().run()

    def run(self):
        """What was built runs."""
        self._tasks = OwnedTasks()
        self.running = asyncio.create_task(self._tasks.run(self.device.run()))
        return self

    def cut_power(self):
        """Off; the flash keeps what it has."""
        self._tasks.cancel()
        self.device.journal.close()  # CPython would complain of the open file

    def send(self, kind, claims, **changed):
        """A command of the gateway, as the broker delivers it. changed: fields of the Command that are not as usual."""
        self.counter += 1
        fields = {
            "device": self.who.device,
            "hall": HALL,
            "expires_s": self.now_s + 86400,
            "issued_s": self.now_s,
            "kind": kind,
            "counter": self.counter,
            "claims": claims,
        } | changed
        message = command.seal(self.pair.gateway, self.pair.command_signer, command.Command(**fields))
        self.deliver(message)
        return message

    def deliver(self, message):
        self.device.inbox.take(topic.down(HALL, self.who.device), message, False)

    def tell_time(self):
        """Answer the device's question for the time."""
        nonce = self.device.wall_clock.ask()
        self.send(command.TIME_ANSWER, {command.NONCE: nonce, command.TIME_MS: 1000 * self.now_s})

    def receipt(self, through):
        """Say that everything up to `through` is durable."""
        made = receipt.Receipt(self.device.journal.stream, through, [], through)
        self.deliver(receipt.seal(self.pair.gateway, made))

    def records(self, kind=None):
        """[(Record, {claim: disclosed value})] that wait on the flash, of one kind or of all, opened and verified."""
        found, journal = [], self.device.journal
        for seq in range(journal.through + 1, journal.head + 1):
            signed = sealed_record.open(self.pair.gateway, journal.message(seq))
            assert sign1.verify(SUITE, self.pair.signing_public, signed)
            made = record.decode(signed.payload)
            assert made.seq == seq
            found.append((made, disclosure.check(SUITE, list(signed.disclosures), made.digests)))
        return [one for one in found if kind is None or one[0].kind == kind]

    def claims(self, kind):
        """The claims of the records of one kind."""
        return [made.claims for made, _ in self.records(kind)]

    async def shows(self, word, limit_s=90):
        """Wait until the display says this text."""
        await until(lambda: self.app.status_word == word, limit_s)
