"""The gateway's HTTP face: page, live data, visits of the window business system, orders, health and metrics."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException as StarletteHTTPException

from gateway import metrics, page_files
from gateway.dead_letters import DeadLetters
from gateway.feed import Feed, TooManyViewersError
from gateway.http_guard import HttpGuard, token_fits
from gateway.ledger import Ledger
from gateway.logs import Log
from gateway.metrics import Metrics
from gateway.orders import OrderRefused, Orders
from gateway.projection import Projection
from gateway.reconciliation import Stores, reconcile
from gateway.registry import Registry
from gateway.timeseries import TimeSeries
from gateway.tokens import ApiTokens
from gateway.visits import Visit, VisitRefused, Visits
from protocol.limits import NAME_CHARS_MAX

_REFUSALS = {"window": 404, "field": 422, "busy": 503}
_ORDER_REFUSALS = {"device": 404, "kind": 409, "status": 409, "slot": 422, "confirm": 422, "busy": 503}
# What the business system waits before it asks again: one evaluator's pending request, one full queue.
RETRY_AFTER_S = 2

# No control characters: these are shown on displays and printed.
_FIELD_NAME = re.compile("[a-z_]{1,20}")
_PLAIN = r"^[^\x00-\x1f\x7f]*$"

_log = Log("api")


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
    timeseries: TimeSeries
    feed: Feed
    metrics: Metrics
    projections: Mapping[str, Projection]  # by name; those with a durable cursor: "timeseries", "central"
    dead_letters: DeadLetters | None = None
    tokens: ApiTokens = field(default_factory=ApiTokens)
    intake_pending: Callable[[], int] = lambda: 0
    vital: Mapping[str, Callable[[], bool]] = field(default_factory=dict)
    outside: Mapping[str, Callable[[], bool]] = field(default_factory=dict)


class Applicant(BaseModel):
    """Who is rated for; bounds of the wire (protocol/rating.py)."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    name: str | None = Field(None, min_length=1, max_length=30, repr=False)
    phone: str | None = Field(None, min_length=1, max_length=20, repr=False)
    id_number: str | None = Field(None, min_length=1, max_length=32, repr=False)
    id_kind: str | None = Field(None, min_length=1, max_length=8, repr=False)


class VisitRequest(BaseModel):
    """A visit that the window business system opens."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    window: str = Field(min_length=1, max_length=16, pattern=_PLAIN)
    visit: str = Field(min_length=1, max_length=50, pattern=_PLAIN, repr=False)
    staff: str | None = Field(None, min_length=1, max_length=20)
    timeout_s: int | None = Field(None, ge=5, le=600)
    applicant: Applicant | None = None


class OrderRequest(BaseModel):
    """What a technician orders of a device; which of slot and confirm belongs to it, gateway.orders tells."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    order: Literal["enrol", "delete_finger", "decommission"]
    slot: int | None = Field(None, strict=True, ge=0, le=0xFFFF)
    confirm: str | None = Field(None, max_length=NAME_CHARS_MAX)


def create(parts: GatewayParts) -> FastAPI:
    """The application. It opens nothing and starts nothing; a server runs it."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    app.add_middleware(HttpGuard)
    _add_errors(app)
    _add_page(app)
    _add_live(app, parts.feed)
    _add_visits(app, parts)
    _add_orders(app, parts)
    _add_operation(app, parts)
    return app


def _add_page(app: FastAPI) -> None:
    @app.get("/")
    def index(request: Request) -> Response:
        return page_files.answer("index.html", request.headers.get("if-none-match"))

    @app.get("/page/{name}")
    def page_file(name: str, request: Request) -> Response:
        return page_files.answer(name, request.headers.get("if-none-match"))


def _add_live(app: FastAPI, feed: Feed) -> None:
    @app.get("/api/v1/live")
    def live() -> Response:
        return Response(feed.latest().text, media_type="application/json")

    @app.get("/api/v1/feed")
    async def events() -> Response:
        try:
            stream = feed.join()
        except TooManyViewersError:
            return _error(503, "too_many_viewers")
        return StreamingResponse(stream, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})


def _add_visits(app: FastAPI, parts: GatewayParts) -> None:
    business = _bearer(parts.tokens.business, "visits_closed", parts.metrics)

    @app.post("/api/v1/visits", dependencies=[Depends(business)])
    def open_visit(asked: VisitRequest) -> dict[str, object]:
        applicant = asked.applicant.model_dump(exclude_none=True) if asked.applicant else None
        opened = parts.visits.open(asked.window, asked.visit, asked.staff, asked.timeout_s, applicant)
        parts.metrics.count("visits_asked", new=opened.new)
        return _shown(opened)

    # A visit number may hold a slash: it is the business system's own.
    @app.get("/api/v1/visits/{visit:path}", dependencies=[Depends(business)])
    def visit_state(visit: str) -> dict[str, object]:
        return _found(parts.visits.state(visit) if 1 <= len(visit) <= 50 else None)

    @app.delete("/api/v1/visits/{visit:path}", dependencies=[Depends(business)])
    def cancel_visit(visit: str) -> dict[str, object]:
        return _found(parts.visits.cancel(visit) if 1 <= len(visit) <= 50 else None)


def _add_orders(app: FastAPI, parts: GatewayParts) -> None:
    technician = _bearer(parts.tokens.technician, "orders_closed", parts.metrics)

    @app.post("/api/v1/devices/{device}/orders", status_code=202, dependencies=[Depends(technician)])
    def give_order(device: str, asked: OrderRequest) -> dict[str, object]:
        given = parts.orders.give(device, asked.order, asked.slot, asked.confirm)
        parts.metrics.count("orders", order=given.order)
        return given._asdict()


def _bearer(token: str | None, closed: str, metrics: Metrics) -> Callable[[Request], None]:
    """A dependency that lets only the holder of `token` in; nobody where there is none (403, reason `closed`)."""

    def check(request: Request) -> None:
        if token is None:
            raise HTTPException(403, closed)
        if not token_fits(request.headers.get("authorization"), token):
            metrics.count("api_unauthorised")
            raise HTTPException(401, "token", {"WWW-Authenticate": "Bearer"})

    return check


def _found(visit: Visit | None) -> dict[str, object]:
    if visit is None:
        raise HTTPException(404, "visit")
    return _shown(visit)


def _shown(visit: Visit) -> dict[str, object]:
    return {"visit": visit.visit, "window": visit.window, "state": visit.state}


def _add_operation(app: FastAPI, parts: GatewayParts) -> None:
    @app.get("/healthz")
    def health() -> Response:
        vital = {name: _is_well(check) for name, check in parts.vital.items()}
        outside = {name: _is_well(check) for name, check in parts.outside.items()}
        status = "ok" if all(vital.values()) and all(outside.values()) else "degraded"
        content = {"status": status if all(vital.values()) else "failed", "vital": vital, "outside": outside}
        return JSONResponse(content, 200 if all(vital.values()) else 503)

    @app.get("/metrics")
    def prometheus() -> Response:
        return PlainTextResponse(parts.metrics.text(), media_type=metrics.CONTENT_TYPE)

    # Press counters by level, of every device and of this moment: not for whoever sits at a window.
    audit = _bearer(parts.tokens.audit, "counts_closed", parts.metrics)

    @app.get("/api/v1/reconciliation", dependencies=[Depends(audit)])
    def reconciliation() -> dict[str, object]:
        return reconcile(_read(parts))


def _read(parts: GatewayParts) -> Stores:
    # The projections' positions before the ledger's: what arrives between the two reads shows as pending, not as ahead.
    positions = {name: one.position for name, one in parts.projections.items()}
    timeseries = parts.timeseries.counts()
    return Stores(
        devices=parts.registry.devices(),
        summary=parts.ledger.summary(),
        streams=parts.ledger.streams(),
        heartbeats=parts.ledger.heartbeats(),
        timeseries=timeseries,
        positions=positions,
        intake_pending=parts.intake_pending(),
        quarantined=parts.ledger.quarantined(),
        refusals=parts.ledger.refusals(),
        dead_letters=parts.dead_letters.by_reason() if parts.dead_letters else {},
        removed=parts.ledger.removed(),
    )


def _is_well(check: Callable[[], bool]) -> bool:
    try:
        return check()
    except Exception as error:  # a check that fails is an answer, too
        _log.error("health check failed", error)
        return False


def _error(status: int, reason: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"error": reason}, status, headers)


def _refused(status: int, reason: str) -> JSONResponse:
    return _error(status, reason, {"Retry-After": str(RETRY_AFTER_S)} if status == 503 else None)


def _field_name(location: Sequence[int | str]) -> str:
    """What a developer mistyped, where it looks like the name of a field; else "unknown", for it may be a person's."""
    return ".".join(part if _FIELD_NAME.fullmatch(part) else "unknown" for part in map(str, location))


def _add_errors(app: FastAPI) -> None:
    """Every error is {"error": word}; none repeats a value that was sent, for it may hold an identity."""

    @app.exception_handler(StarletteHTTPException)
    def http_error(_request: Request, error: StarletteHTTPException) -> Response:
        return _error(error.status_code, str(error.detail), error.headers)

    @app.exception_handler(RequestValidationError)
    def invalid(_request: Request, error: RequestValidationError) -> Response:
        fields = sorted({_field_name(one["loc"][1:]) for one in error.errors()})
        return JSONResponse({"error": "field", "fields": fields[:16]}, 422)

    @app.exception_handler(VisitRefused)
    def refused(_request: Request, error: VisitRefused) -> Response:
        return _refused(_REFUSALS.get(error.reason, 422), error.reason)

    @app.exception_handler(OrderRefused)
    def order_refused(_request: Request, error: OrderRefused) -> Response:
        return _refused(_ORDER_REFUSALS[error.reason], error.reason)

    @app.exception_handler(Exception)
    def failed(_request: Request, error: Exception) -> Response:
        _log.error("request failed", error)
        return _error(500, "internal")
