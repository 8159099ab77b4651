"""The running gateway: all parts made once, started in the order of the data, stopped against it."""

import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

from gateway import api, evidence_keys, forwarder, keys, live, metric_words, notebook, operator_log, timeseries, tokens
from gateway.admission import Admission
from gateway.central_link import CentralLink
from gateway.channels import Channels
from gateway.command_counters import CommandCounters
from gateway.configuration import CentralSettings, GatewayConfiguration
from gateway.daily_round import DailyRound
from gateway.dead_letters import DeadLetters
from gateway.device_settings import DesiredSettings
from gateway.downlink import Downlink
from gateway.facts import HallNow
from gateway.feed import Feed
from gateway.history import History
from gateway.identity_seal import IdentitySeal
from gateway.intake import Intake
from gateway.ledger import Ledger, LedgerRecord
from gateway.logs import Log
from gateway.metrics import Metrics
from gateway.mqtt_link import MqttLink
from gateway.notary import STATED_CURSOR, Notary
from gateway.notebook import Notebook
from gateway.opening import Opener
from gateway.operators import Operators
from gateway.orders import Orders
from gateway.parts import GatewayParts
from gateway.projection import Projection
from gateway.pseudonym import Pseudonyms
from gateway.quarantine import Quarantine
from gateway.readmission import Readmission
from gateway.registry import Registry, RosterFile
from gateway.releases import Releases
from gateway.retention_run import Retention
from gateway.sign_in import DayRule
from gateway.tokens import ApiTokens
from gateway.visit_desk import VisitDesk
from gateway.web_server import WebServer
from protocol.suite_host import HostSuite

# A tripled heartbeat period: one may be lost, and one be late.
OFFLINE_HEARTBEATS = 3
# Parts of the five seconds between SIGTERM and the end (systemd would kill later, but a technician waits).
INTAKE_STOP_S = 1.5
DOWNLINK_STOP_S = 0.5
PROJECTION_STOP_S = 0.3
WEB_STOP_S = 1.5
# How often the main thread looks whether the others live.
WATCH_S = 0.5

_log = Log("service")


class Gateway:
    """One gateway. Raises ConfigurationError, RegistryError, LedgerError or OSError when it cannot be made."""

    def __init__(self, configuration: GatewayConfiguration) -> None:
        self._configuration = configuration
        self._opened = ExitStack()  # files: the ledger first, and closed last
        try:
            self._make()
        except BaseException:
            self._opened.close()
            raise

    def _make(self) -> None:
        configuration = self._configuration
        self.metrics = Metrics()
        self._clock = configuration.clock
        api_tokens = tokens.of_api(configuration)
        suite = HostSuite()
        secrets = keys.load(configuration.keys, suite)
        sensor_password = keys.sensor_password(configuration.devices.sensor_password_file)
        self._registry = Registry(configuration.registry, configuration.hall)
        self._roster = RosterFile(configuration.roster)
        self.ledger = Ledger(configuration.store.ledger, lambda seconds: self.metrics.observe("ledger_commit", seconds))
        self._opened.callback(self.ledger.close)
        self._notebook = Notebook(self.ledger, configuration.hall, secrets.commands, self._clock, self.metrics)
        channels = Channels(suite, configuration.hall, secrets.agreement, secrets.commands)
        self._link = MqttLink(configuration.mqtt, configuration.hall, self._arrive, self.metrics)
        self._downlink = Downlink(
            configuration.hall,
            channels,
            CommandCounters(self.ledger),
            DesiredSettings(self.ledger, configuration.devices, sensor_password),
            self._registry,
            self._roster,
            self._make_releases(suite),
            self._clock,
            self._link.publish,
            lambda: self._link.connected,
            self.metrics,
        )
        self._intake = self._make_intake(suite, channels, secrets.central_public)
        self._describe()
        publics = keys.publics(secrets, configuration, suite)
        self.operators = Operators(self.ledger, self._registry, self._roster, configuration, publics, self._refresh)
        self._make_outer(api_tokens)

    def _make_releases(self, suite: HostSuite) -> Releases:
        settings = self._configuration.releases
        if settings is None:
            return Releases(None, (), suite, self.metrics)
        return Releases(settings.folder, keys.release_keys(settings.keys, suite), suite, self.metrics)

    def _describe(self) -> None:
        """What a person who reads /metrics wants to know."""
        metric_words.describe(self.metrics)
        self.metrics.watch("intake_pending", self._intake.pending)
        self.metrics.watch("ledger_position", self.ledger.last_position)
        self.metrics.watch("broker_connected", lambda: int(self._link.connected))

    def _watch_projections(self) -> None:
        for name, projection in self._projections.items():
            self.metrics.describe(f"{name}_behind", "Records of the ledger that are not there yet.")
            self.metrics.watch(f"{name}_behind", projection.behind)

    def _make_intake(self, suite: HostSuite, channels: Channels, central_public: bytes) -> Intake:
        configuration, store = self._configuration, self._configuration.store
        self._desk = VisitDesk(configuration, self.ledger, self._registry, self._downlink, self._clock, self.metrics)
        self._pseudonyms = Pseudonyms(self.ledger, self._clock, 60 * configuration.devices.utc_offset_min)
        facts = HallNow(configuration.rules, configuration.devices.tag_codes, self._roster)
        opener = Opener(
            configuration.hall,
            suite,
            self._registry,
            channels,
            configuration.masking,
            self._pseudonyms,
            facts,
        )
        self._quarantine = Quarantine(store.quarantine_messages_max, store.quarantine_bytes_max)
        self._admission = Admission(
            self._quarantine, self._desk.book, History(configuration.rules), self._notebook.clocks
        )
        return Intake(
            opener,
            IdentitySeal(configuration.hall, central_public),
            self.ledger,
            self._admission,
            self._clock,
            self._downlink.committed,
            self._refresh,
            self.metrics,
            configuration.intake,
        )

    def _make_outer(self, api_tokens: ApiTokens) -> None:
        """What reads the ledger: time series, central system, live view; and the API over all."""
        configuration = self._configuration
        self._timeseries = timeseries.open_store(configuration.store.timeseries)
        self._opened.callback(self._timeseries.close)
        view = live.LiveView(
            configuration.hall,
            self._registry.devices,
            self.ledger.heartbeats,
            self._clock,
            OFFLINE_HEARTBEATS * configuration.devices.heartbeat_s,
            DayRule(utc_offset_s=60 * configuration.devices.utc_offset_min),
        )
        self._feed = Feed(view.snapshot)
        self._dead_letters: DeadLetters | None = None
        self._central: CentralLink | None = None
        rebuilt_from = live.rebuild_from(self.ledger.last_position())
        self._projections: dict[str, Projection[LedgerRecord]] = {
            "timeseries": self._project("timeseries", self._timeseries_position(), self._write_points),
            "live": Projection("live", self.ledger, rebuilt_from, view.take, lambda position: None, self.metrics),
        }
        self._notebook.project_timeseries(self._timeseries)
        self._notebook.project_live(view, rebuilt_from)
        if configuration.central is not None:
            self._central = self._make_central(configuration.central)
        self._watch_projections()
        self._notary = self._make_notary()
        self._round = self._make_round()
        self._web = WebServer(
            api.create(self._parts(api_tokens)),
            configuration.page.host,
            configuration.page.port,
            configuration.page.certificate,
            configuration.page.key,
            self._feed.close,
        )

    def _make_round(self) -> DailyRound:
        configuration = self._configuration
        utc_offset_s = 60 * configuration.devices.utc_offset_min
        old = Retention(
            configuration.retention,
            self.ledger,
            self._quarantine,
            self._timeseries,
            self._dead_letters,
            [name for name in self._projections if name != "live"] + ([STATED_CURSOR] if self._notary else []),
            utc_offset_s,
            self.metrics,
            self.operators.log,
        )
        tasks: dict[str, Callable[[int], object]] = {
            "pseudonym key": lambda now_s: self._pseudonyms.rotate(),
            "retention": old.run,
            "operator log": self.operators.compact,
            "traces": lambda now_s: self.ledger.erase_traces(),
        }
        return DailyRound(self._clock, utc_offset_s, tasks, self.metrics)

    def _timeseries_position(self) -> int:
        """Where the store goes on: it ignores what it has, and a ledger from a backup knows less than it does."""
        return min(self._timeseries.position(), self.ledger.cursor("timeseries"))

    def _project(self, name: str, position: int, take: Callable[..., None]) -> Projection[LedgerRecord]:
        return Projection(
            name, self.ledger, position, take, lambda done: self.ledger.set_cursor(name, done), self.metrics
        )

    def _make_central(self, settings: CentralSettings) -> CentralLink:
        hall, folder = self._configuration.hall, self._configuration.store.ledger.parent
        link = CentralLink(settings, hall, folder, self._opened, self.metrics, self._clock.now_s)
        records, self._dead_letters = link.forwarder(forwarder.RECORDS, "dead-letters.db", self.operators.log.head)
        self.operators.forward(records.tell_head)
        self._projections["central"] = self._project("central", self.ledger.cursor("central"), records.take)
        self._notebook.project_central(*link.forwarder(forwarder.ANNOTATIONS, "dead-annotations.db"))
        return link

    def _make_notary(self) -> Notary | None:
        configuration = self._configuration
        if configuration.evidence is None:
            return None
        own = evidence_keys.load(configuration.evidence, HostSuite())
        book = evidence_keys.RegisterBook(own, configuration.evidence.revocations, self._registry.devices)
        notary = Notary(
            configuration.hall, self.ledger, own, book, self._clock.now_s, self.metrics, operator_log.stated_head
        )
        if configuration.central is not None:
            central = self._projections["central"]
            notary.forward_to(configuration.central, lambda: central.position)
        return notary

    def _parts(self, api_tokens: ApiTokens) -> GatewayParts:
        return GatewayParts(
            ledger=self.ledger,
            registry=self._registry,
            visits=self._desk.visits,
            orders=Orders(self._registry, self._downlink, self._clock, self.operators.log),
            readmission=self._readmission(),
            operator_log=self.operators.log,
            token_use=self.operators.token_use,
            timeseries=self._timeseries,
            feed=self._feed,
            metrics=self.metrics,
            projections=self._projections,
            notebook=self._notebook,
            dead_letters=self._dead_letters,
            tokens=api_tokens,
            intake_pending=self._intake.pending,
            vital=self._vital(),
            outside=self._outside(),
        )

    def _readmission(self) -> Readmission:
        return Readmission(
            self._configuration.hall,
            self._registry,
            self.ledger,
            self._intake,
            self._admission,
            self.operators.log,
            self.metrics,
        )

    def _vital(self) -> Mapping[str, Callable[[], bool]]:
        parts = {"ledger": self.ledger.alive, "intake": self._intake.alive, "downlink": self._downlink.alive}
        return {**parts, **self._desk.vital()}

    def _outside(self) -> Mapping[str, Callable[[], bool]]:
        checks: dict[str, Callable[[], bool]] = {
            "broker": lambda: self._link.connected,
            "registry": lambda: self._registry.healthy,
            **self._desk.outside(),
        }
        for name in ("central", "timeseries"):
            if name in self._projections:
                checks[name] = partial(_keeps_up, self._projections[name])
        checks["annotations"] = lambda: all(map(_keeps_up, self._notebook.projections.values()))
        return checks

    def _arrive(self, topic: str, message: bytes, retained: bool) -> bool:
        return self._intake.arrive(topic, message, retained)

    def _refresh(self) -> None:
        now_s = time.monotonic()
        self._registry.refresh(now_s)
        self._roster.refresh(now_s)
        self._desk.refresh(now_s)

    def _write_points(self, page: Sequence[LedgerRecord]) -> None:
        self._timeseries.write_batch([timeseries.point_of(one) for one in page])

    @property
    def url(self) -> str:
        """Address of the page."""
        return self._web.url

    def start(self) -> None:
        """Everything runs when this returns; the broker and the central system may still be out of reach."""
        self._web.start()
        for projection in self._all_projections().values():
            projection.start()
        self.operators.start()
        self._notebook.estimates.start()
        if self._notary is not None:
            self._notary.start()
        self._downlink.start()
        self._desk.start()
        self._intake.start()
        self._link.start()
        self._round.start()
        _log.info("gateway runs", hall=self._configuration.hall, address=self.url)

    def failed(self) -> bool:
        """True when a part has died that the gateway cannot do without."""
        return not all(check() for check in self._vital().values())

    def stop(self) -> bool:
        """Commit and receipt what has arrived, then end, within 5 s. True when nothing was left behind."""
        web = threading.Thread(target=self._web.stop, args=(WEB_STOP_S,), daemon=True)
        web.start()
        committed = self._intake.stop(INTAKE_STOP_S)
        self._desk.stop()
        self._downlink.stop(DOWNLINK_STOP_S)
        link = threading.Thread(target=self._link.stop, daemon=True)
        link.start()
        self._notebook.estimates.stop()
        self._round.stop(DOWNLINK_STOP_S)
        self._stop_projections()
        link.join(DOWNLINK_STOP_S)
        web.join(WEB_STOP_S)
        self.operators.finish()
        self._opened.close()
        _log.info("gateway stopped", pending=self._intake.pending())
        return committed

    def _stop_projections(self) -> None:
        """All at once: what is left stays in the ledger for the next start."""
        stops: dict[str, Callable[[float], bool]] = {name: one.stop for name, one in self._all_projections().items()}
        stops |= {str(number): one.stop for number, one in enumerate(self.operators.periodics)}
        stopping = {
            name: threading.Thread(target=stop, args=(PROJECTION_STOP_S,), daemon=True) for name, stop in stops.items()
        }
        if self._notary is not None:
            stopping["notary"] = threading.Thread(target=self._notary.stop, daemon=True)
        for thread in stopping.values():
            thread.start()
        for name in ("central", notebook.CENTRAL):
            if name in stopping:
                stopping[name].join(PROJECTION_STOP_S)
        if self._central is not None:
            self._central.close()
        for thread in stopping.values():
            thread.join(1.0)

    def _all_projections(self) -> dict[str, Projection[Any]]:
        return {**self._projections, **self._notebook.projections}


def _keeps_up(projection: Projection[Any]) -> bool:
    return projection.alive() and projection.failures == 0


def run(configuration: GatewayConfiguration) -> int:
    """Run until SIGTERM or SIGINT; the exit status: 0 when all was committed, 1 when not or when a part has died."""
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    gateway = Gateway(configuration)
    gateway.start()
    failed = False
    while not failed and not stopping.wait(WATCH_S):
        failed = gateway.failed()
    if failed:
        _log.error("a part of the gateway has died")
    return 0 if gateway.stop() and not failed else 1
