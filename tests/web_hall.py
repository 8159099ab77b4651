"""A GatewayHall with everything that reads its ledger, and the real web server over it."""

import httpx
from gateway_hall import GatewayHall

from gateway import api
from gateway.dead_letters import DeadLetters
from gateway.feed import Feed
from gateway.live import LiveView, rebuild_from
from gateway.parts import GatewayParts
from gateway.projection import Projection
from gateway.timeseries import DuckTimeSeries, point_of
from gateway.token_use import TokenUse
from gateway.tokens import ApiTokens
from gateway.web_server import WebServer

BUSINESS_TOKEN = "token-of-the-business-system"
AUDIT_TOKEN = "token-of-the-audit"
TECHNICIAN_TOKEN = "token-of-the-technician"
SUPERVISOR_TOKEN = "token-of-the-supervisor"
TOKENS = ApiTokens(BUSINESS_TOKEN, AUDIT_TOKEN, TECHNICIAN_TOKEN, SUPERVISOR_TOKEN)


class WebHall(GatewayHall):
    """Projections move when the test says `project`; the page is at `url`."""

    def __init__(self, folder, devices=(), tokens=TOKENS, certificate=None, key=None, port=0, **more):
        super().__init__(folder, devices, **more)
        self.checks = {"ledger": lambda: True, "broker": lambda: True}
        self.timeseries = DuckTimeSeries(folder / "timeseries.duckdb")
        self.dead_letters = DeadLetters(folder / "dead-letters.db")
        self.live = LiveView("yongxing", self.registry.devices, self.ledger.heartbeats, self.clock)
        self.feed = Feed(self.live.snapshot)
        start = rebuild_from(self.ledger.last_position())
        self.projections = {
            "timeseries": self._projection("timeseries", self.timeseries.position(), self._write),
            "live": self._projection("live", start, self.live.take),
        }
        self.notebook.project_timeseries(self.timeseries)
        self.notebook.project_live(self.live, start)
        self.token_use = TokenUse(self.operator_log.hand_in)
        parts = GatewayParts(
            ledger=self.ledger,
            registry=self.registry,
            visits=self.visits,
            orders=self.orders,
            readmission=self.readmission,
            operator_log=self.operator_log,
            token_use=self.token_use,
            timeseries=self.timeseries,
            feed=self.feed,
            metrics=self.metrics,
            projections=self.projections,
            notebook=self.notebook,
            dead_letters=self.dead_letters,
            tokens=tokens,
            intake_pending=self.intake.pending,
            vital={"ledger": lambda: self.checks["ledger"]()},
            outside={"broker": lambda: self.checks["broker"]()},
        )
        self.web = WebServer(api.create(parts), "127.0.0.1", port, certificate, key, self.feed.close)
        self.web.start()
        self.url = self.web.url

    def _projection(self, name, position, take):
        return Projection(name, self.ledger, position, take, lambda done: None, self.metrics)

    def _write(self, page):
        self.timeseries.write_batch([point_of(one) for one in page])

    def project(self):
        """Make the estimates that are due, and bring every projection to the end of the ledger."""
        while self.notebook.clocks.owing:
            self.notebook.estimates.step()
        for projection in [*self.projections.values(), *self.notebook.projections.values()]:
            while projection.step():
                pass

    def client(self, **more):
        return httpx.Client(base_url=self.url, timeout=10, **more)

    def business(self, token=BUSINESS_TOKEN):
        return self.client(headers={"Authorization": "Bearer " + token})

    def stop(self):
        assert self.web.stop()
        super().stop()
        self.timeseries.close()
        self.dead_letters.close()
