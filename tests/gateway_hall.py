"""A hall's gateway core in one process, made of the real parts, without broker: messages in, published messages out."""

import json
import threading
import time

import pytest
from sealing_device import HALL, MORNING_S, SUITE, SealingDevice
from sqlalchemy import select

from gateway import schema
from gateway.admission import Admission
from gateway.channels import Channels
from gateway.command_counters import CommandCounters
from gateway.configuration import DeviceSettings, IntakeSettings
from gateway.device_settings import DesiredSettings
from gateway.downlink import Downlink
from gateway.facts import HallNow
from gateway.hall_clock import HallClock
from gateway.history import History
from gateway.identity_seal import IdentitySeal
from gateway.intake import Intake
from gateway.ledger import Ledger
from gateway.masking import MaskingRule
from gateway.metrics import Metrics
from gateway.notebook import Notebook
from gateway.opening import Arrival, Opener
from gateway.operator_log import OperatorLog
from gateway.orders import Orders
from gateway.pseudonym import Pseudonyms
from gateway.quarantine import Quarantine
from gateway.readmission import Readmission
from gateway.registry import Registry, RosterFile
from gateway.releases import Releases
from gateway.rule_settings import USUAL
from gateway.visit_book import VisitBook
from gateway.visit_watch import VisitWatch
from gateway.visits import Visits
from protocol import sign1, topic

SETTINGS = DeviceSettings("zh", 60, 300, 160)


class TurnedClock:
    """Real seconds that only a test moves."""

    def __init__(self, now_s=MORNING_S):
        self.now_s = now_s

    def __call__(self):
        return self.now_s


class GatewayHall:
    """folder: where ledger and registry lie; a second hall on the same folder is the gateway after a restart."""

    def __init__(
        self,
        folder,
        devices=(),
        quarantine=(1000, 1 << 20),
        keys=None,
        started=False,
        batch=64,
        inbox=1000,
        settings=SETTINGS,
        sensor_password=None,
        release_publics=(),
        rules=USUAL,
        library=None,
        rate_parts_of=(),
    ):
        self.folder = folder
        self.real = TurnedClock()
        self.clock = HallClock(real=self.real)
        self.keys = keys or [SUITE.generate_private() for _ in range(3)]
        agreement, commands, central = self.keys
        self.public = SUITE.public_bytes(SUITE.load_private(agreement))
        self.signer = sign1.Signer(SUITE, commands)
        self.central_private = SUITE.load_private(central)
        self.devices = {}
        for name, kind in devices:
            self.devices[name] = SealingDevice(name, self.public, kind, command_public=self.signer.public_key)
        if devices:
            self.write_registry()
            (folder / "roster.json").write_text(
                json.dumps({"version": 3, "staff": [{"slot": 1, "number": "S001", "name": "陈晓梅"}]})
            )
        self.desired = settings, sensor_password
        self.rules = rules
        self.release_publics = release_publics
        self.library, self.rate_parts_of = library, rate_parts_of
        self._make(SUITE.load_private(agreement), quarantine, IntakeSettings(batch, 5, inbox))
        if started:
            self.intake.start()
            self.downlink.start()

    def _make(self, agreement, quarantine, settings):
        self.metrics = Metrics()
        self.registry = Registry(self.folder / "registry.json", HALL)
        self.ledger = Ledger(self.folder / "ledger.db")
        self.roster = RosterFile(self.folder / "roster.json")
        self.book = VisitBook(self.clock, tells=True)
        self.channels = Channels(SUITE, HALL, agreement, self.signer)
        self.published, self.linked, self.grown = [], True, threading.Condition()
        self.downlink = Downlink(
            HALL,
            self.channels,
            CommandCounters(self.ledger),
            DesiredSettings(self.ledger, *self.desired),
            self.registry,
            self.roster,
            Releases(self.folder / "releases", self.release_publics, SUITE, self.metrics),
            self.clock,
            self._publish,
            lambda: self.linked,
            self.metrics,
        )
        self.operator_log = OperatorLog(self.ledger, self.clock)
        self.notebook = Notebook(self.ledger, HALL, self.signer, self.clock, self.metrics)
        history = History(self.rules)
        self.admission = Admission(Quarantine(*quarantine), self.book, history, self.notebook.clocks)
        self.outcomes = []
        self.pseudonyms = Pseudonyms(self.ledger, self.clock, 60 * self.desired[0].utc_offset_min)
        self.intake = Intake(
            Opener(
                *(HALL, SUITE, self.registry, self.channels, MaskingRule(), self.pseudonyms),
                HallNow(self.rules, self.desired[0].tag_codes, self.roster),
            ),
            IdentitySeal(HALL, SUITE.public_bytes(self.central_private)),
            self.ledger,
            self.admission,
            self.clock,
            self._committed,
            lambda: self.registry.refresh(time.monotonic()),
            self.metrics,
            settings,
        )
        self.visits = Visits(
            self.ledger, self.book, self.registry, self.downlink, self.clock, 60, self._library, self.rate_parts_of
        )
        self.watch = VisitWatch(self.ledger, self.book, self.visits, self.metrics)
        self.orders = Orders(self.registry, self.downlink, self.clock, self.operator_log)
        self.readmission = Readmission(
            HALL,
            self.registry,
            self.ledger,
            self.intake,
            self.admission,
            self.operator_log,
            self.metrics,
        )

    def _library(self):
        return self.library

    def write_registry(self, **status):
        entries = [one.entry(status.get(name.replace("-", "_"), "active")) for name, one in self.devices.items()]
        (self.folder / "registry.json").write_text(json.dumps({"hall": HALL, "devices": entries}))

    def _committed(self, outcome):
        self.outcomes.append(outcome)
        self.downlink.committed(outcome)

    def _publish(self, to_topic, message):
        if not self.linked:
            return False
        with self.grown:
            self.published.append((to_topic, message))
            self.grown.notify_all()
        return True

    def take(self, *messages, on=None, retained=False):
        """One batch of messages in this thread; its Outcome, after the commit. messages: (device, bytes) or bytes."""
        arrivals = []
        for one in messages:
            device, message = one if isinstance(one, tuple) else (next(iter(self.devices.values())), one)
            arrivals.append(Arrival(on or device.topic, message, retained, self.clock.now_ms()))
        batch = self.intake.prepare(arrivals)
        outcome = self.ledger.write(lambda connection: self.admission.admit(connection, batch)).result()
        self.intake.done(batch, outcome)
        return outcome

    def down(self, device, count, timeout_s=10):
        """The next `count` messages published for `device`, opened by it: [("receipt" | "command", content)]."""
        mine = topic.down(HALL, device.name)
        with self.grown:
            found = self.grown.wait_for(lambda: self._count(mine) >= count, timeout_s)
            assert found, f"{self._count(mine)} of {count} messages came down"
            taken = [message for to, message in self.published if to == mine][:count]
            self.published[:] = [one for one in self.published if one[0] != mine or one[1] not in taken]
        return [device.read(message) for message in taken]

    def _count(self, mine):
        return sum(to == mine for to, _ in self.published)

    def rows(self, table, **where):
        """Rows of a table as dicts, by column order of insertion."""
        query = select(table).where(*(table.c[name] == value for name, value in where.items()))
        return self.ledger.read(lambda connection: [dict(row._mapping) for row in connection.execute(query)])

    def records(self):
        return self.ledger.records_after(0, 1000)

    def reasons(self):
        return [row["reason"] for row in self.rows(schema.quarantine)]

    def stop(self):
        self.intake.stop(5)
        if self.downlink.alive():
            self.downlink.stop(5)
        self.ledger.close()


def hall_of(*devices, **settings):
    """The fixture `hall` of a test module: a GatewayHall of these devices, (name, kind) each, with these settings."""

    @pytest.fixture
    def hall(tmp_path):
        made = GatewayHall(tmp_path, list(devices), **settings)
        yield made
        made.stop()

    return hall
