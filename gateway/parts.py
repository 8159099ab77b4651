"""The parts of a running gateway that its API shows: made once by the service, handed to every group of routes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.dead_letters import DeadLetters
from gateway.feed import Feed
from gateway.ledger import Ledger
from gateway.metrics import Metrics
from gateway.notebook import Notebook
from gateway.operator_log import OperatorLog
from gateway.orders import Orders
from gateway.projection import Projection
from gateway.readmission import Readmission
from gateway.registry import Registry
from gateway.timeseries import TimeSeries
from gateway.token_use import TokenUse
from gateway.tokens import ApiTokens
from gateway.visits import Visits


@dataclass(frozen=True)
class GatewayParts:
    """The parts of a running gateway that the API shows.

    vital: checks whose failure makes the gateway unfit ("ledger", "intake"); outside: of things beyond it that may fail
    for a while ("broker", "central", "registry"). Each returns True when well, quickly.
    """

    ledger: Ledger
    registry: Registry
    visits: Visits
    orders: Orders
    readmission: Readmission
    operator_log: OperatorLog
    token_use: TokenUse
    timeseries: TimeSeries
    feed: Feed
    metrics: Metrics
    projections: Mapping[str, Projection[Any]]  # by name; those with a durable cursor: "timeseries", "central"
    notebook: Notebook
    dead_letters: DeadLetters | None = None
    tokens: ApiTokens = field(default_factory=ApiTokens)
    intake_pending: Callable[[], int] = lambda: 0
    vital: Mapping[str, Callable[[], bool]] = field(default_factory=dict)
    outside: Mapping[str, Callable[[], bool]] = field(default_factory=dict)
