"""Everything of the gateway that serves the windows' business system, made together and run together."""

from collections.abc import Callable, Mapping

from gateway import https_client, webhook
from gateway.configuration import GatewayConfiguration
from gateway.downlink import Downlink
from gateway.hall_clock import HallClock
from gateway.item_library import ItemFile
from gateway.ledger import Ledger
from gateway.metrics import Metrics
from gateway.registry import Registry
from gateway.visit_book import VisitBook
from gateway.visit_settings import WebhookSettings
from gateway.visit_watch import VisitWatch
from gateway.visits import Visits
from gateway.webhook import Webhook

_METRICS = {
    "visits_asked": "Visits that the business system opened; new=False: the same request again.",
    "webhook_told": "Answers of the business system's webhook, by HTTP status.",
    "webhook_failed": "Times that the webhook could not be reached.",
    "webhook_dead": "Changes of visits that will never be told: refused too often, or two days old.",
}


class VisitDesk:
    """Raises ConfigurationError or RegistryError when it cannot be made."""

    def __init__(
        self,
        configuration: GatewayConfiguration,
        ledger: Ledger,
        registry: Registry,
        downlink: Downlink,
        clock: HallClock,
        metrics: Metrics,
    ) -> None:
        settings = configuration.visits
        self.items = ItemFile(settings.items)
        self.book = VisitBook(clock, tells=settings.webhook is not None)
        self.visits = Visits(
            ledger,
            self.book,
            registry,
            downlink,
            clock,
            configuration.devices.rating_timeout_s,
            self.items.current,
            settings.rate_parts_of,
        )
        self._watch = VisitWatch(ledger, self.book, self.visits, metrics)
        self._webhook = self._make_webhook(configuration.hall, settings.webhook, ledger, metrics)
        for name, text in _METRICS.items():
            metrics.describe(name, text)

    def _make_webhook(
        self, hall: str, settings: WebhookSettings | None, ledger: Ledger, metrics: Metrics
    ) -> Webhook | None:
        if settings is None:
            return None
        secret = webhook.read_secret(settings.secret_file)
        client = https_client.connect(settings.url, {}, settings.ca)
        return Webhook(ledger, self.book, client, settings.url, secret, hall, metrics)

    def refresh(self, now_s: float) -> None:
        """Look whether the item library has changed; see WatchedFile.refresh."""
        self.items.refresh(now_s)

    def vital(self) -> Mapping[str, Callable[[], bool]]:
        """Checks of what the gateway cannot do without."""
        return {"visits": self._watch.alive}

    def outside(self) -> Mapping[str, Callable[[], bool]]:
        """Checks of what may fail for a while."""
        checks: dict[str, Callable[[], bool]] = {"items": lambda: self.items.healthy}
        told = self._webhook
        if told is not None:
            checks["webhook"] = lambda: told.alive() and told.failures == 0
        return checks

    def start(self) -> None:
        """Start its threads."""
        self._watch.start()
        if self._webhook is not None:
            self._webhook.start()

    def stop(self) -> None:
        """End its threads; what is not told yet stays in the ledger."""
        self._watch.stop()
        if self._webhook is not None:
            self._webhook.stop()
