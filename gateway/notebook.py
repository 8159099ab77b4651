"""The annotations of a running gateway: what makes them, keeps them and passes them on, in one place."""

from collections.abc import Callable, Sequence

from gateway import annotations, live_marks
from gateway.annotations import Annotation, AnnotationSource, AnnotationWriter
from gateway.boot_clocks import BootClocks
from gateway.dead_letters import DeadLetters
from gateway.estimates import Estimates
from gateway.forwarder import Forwarder
from gateway.hall_clock import HallClock
from gateway.ledger import Ledger
from gateway.live import LiveView
from gateway.marks import Marks
from gateway.metrics import Metrics
from gateway.projection import Projection
from gateway.reconciliation import Annotated
from gateway.timeseries import TimeSeries
from protocol.sign1 import Signer

# Cursors and metrics of the projections of annotations; those of records have the names without the ending.
TIMESERIES, LIVE, CENTRAL = "timeseries_annotations", "live_annotations", "central_annotations"


class Notebook:
    """clocks: for the intake. marks: for the API. projections: by name, started and stopped with those of records.

    signer: the hall's command key.
    """

    def __init__(self, ledger: Ledger, hall: str, signer: Signer, clock: HallClock, metrics: Metrics) -> None:
        self._ledger = ledger
        self._metrics = metrics
        self.clocks = BootClocks()
        self.source = AnnotationSource(ledger)
        writer = AnnotationWriter(hall, signer)
        self.marks = Marks(ledger, writer, self.source, clock)
        self.estimates = Estimates(ledger, self.clocks, writer, self.source, clock, metrics)
        self.projections: dict[str, Projection[Annotation]] = {}
        self._dead_letters: DeadLetters | None = None
        metrics.describe("time_estimates", "Records without time that got an estimate.")
        metrics.describe("annotations_forwarded", "Annotations that the central system has judged, by verdict.")

    def project_timeseries(self, store: TimeSeries) -> None:
        """Pass annotations on to the time series, from where both it and the ledger know that it has them."""
        position = min(store.annotated(), self._ledger.cursor(TIMESERIES))
        self._project(TIMESERIES, position, store.annotate, self._save(TIMESERIES))

    def project_live(self, view: LiveView, records_from: int) -> None:
        """Pass marks on to the live view, which begins with the records behind the position `records_from`."""

        def take(page: Sequence[Annotation]) -> None:
            view.mark(live_marks.of_page(self._ledger, page))

        self._project(LIVE, self.source.before(records_from), take, lambda position: None)

    def project_central(self, sender: Forwarder[Annotation], letters: DeadLetters) -> None:
        """Pass all annotations on to the central system. letters: of those that it refuses."""
        self._dead_letters = letters
        self._project(CENTRAL, self._ledger.cursor(CENTRAL), sender.take, self._save(CENTRAL))

    def _save(self, name: str) -> Callable[[int], None]:
        return lambda position: self._ledger.set_cursor(name, position)

    def _project(
        self, name: str, position: int, take: Callable[[Sequence[Annotation]], None], save: Callable[[int], None]
    ) -> None:
        projection = Projection(name, self.source, position, take, save, self._metrics)
        self._metrics.describe(f"{name}_behind", "Annotations that are not there yet.")
        self._metrics.watch(f"{name}_behind", projection.behind)
        self.projections[name] = projection

    def look(self, store: TimeSeries) -> Annotated:
        """What the reconciliation shows of annotations; the projections before the ledger."""
        positions = {name: one.position for name, one in self.projections.items()}
        in_timeseries = store.not_adopted()
        return Annotated(
            last=self.source.last_position(),
            positions=positions,
            not_adopted=self._ledger.read(annotations.not_adopted),
            not_adopted_timeseries=in_timeseries,
            dead_letters=self._dead_letters.by_reason() if self._dead_letters else {},
        )
