"""The gateway's HTTP face: page, live data, visits of the window business system, orders, health and metrics."""

import re
from collections.abc import Callable, Sequence
from typing import Literal

from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException as StarletteHTTPException

from gateway import (
    annotation_routes,
    http_errors,
    metrics,
    operator_routes,
    page_files,
    quarantine_routes,
    visit_routes,
)
from gateway.bearer import bearer
from gateway.feed import Feed, TooManyViewersError
from gateway.http_guard import HttpGuard
from gateway.logs import Log
from gateway.orders import OrderRefused
from gateway.parts import GatewayParts
from gateway.reconciliation import Stores, reconcile
from protocol.limits import NAME_CHARS_MAX

_ORDER_REFUSALS = {"device": 404, "kind": 409, "status": 409, "slot": 422, "confirm": 422, "busy": 503}

_FIELD_NAME = re.compile("[a-z_]{1,20}|[0-9]{1,2}")

_log = Log("api")


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
    visit_routes.add(app, parts)
    _add_orders(app, parts)
    annotation_routes.add(app, parts)
    _add_operation(app, parts)
    quarantine_routes.add(app, parts)
    operator_routes.add(app, parts)
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
            return http_errors.error(503, "too_many_viewers")
        return StreamingResponse(stream, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})


def _add_orders(app: FastAPI, parts: GatewayParts) -> None:
    technician = bearer(parts, "technician", "orders_closed")

    @app.post("/api/v1/devices/{device}/orders", status_code=202, dependencies=[Depends(technician)])
    def give_order(device: str, asked: OrderRequest) -> dict[str, object]:
        given = parts.orders.give(device, asked.order, asked.slot, asked.confirm)
        parts.metrics.count("orders", order=given.order)
        return given._asdict()


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
    audit = bearer(parts, "audit", "counts_closed")

    @app.get("/api/v1/reconciliation", dependencies=[Depends(audit)])
    def reconciliation() -> dict[str, object]:
        return reconcile(_read(parts))


def _read(parts: GatewayParts) -> Stores:
    # The projections' positions before the ledger's: what arrives between the two reads shows as pending, not as ahead.
    positions = {name: one.position for name, one in parts.projections.items()}
    annotations = parts.notebook.look(parts.timeseries)
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
        operator_head=parts.operator_log.head(),
        annotations=annotations,
    )


def _is_well(check: Callable[[], bool]) -> bool:
    try:
        return check()
    except Exception as error:  # a check that fails is an answer, too
        _log.error("health check failed", error)
        return False


def _field_name(location: Sequence[int | str]) -> str:
    """What a developer mistyped, where it looks like the name of a field; else "unknown", for it may be a person's."""
    return ".".join(part if _FIELD_NAME.fullmatch(part) else "unknown" for part in map(str, location))


def _add_errors(app: FastAPI) -> None:
    """Every error is {"error": word}; none repeats a value that was sent, for it may hold an identity."""

    @app.exception_handler(StarletteHTTPException)
    def http_error(_request: Request, error: StarletteHTTPException) -> Response:
        return http_errors.error(error.status_code, str(error.detail), error.headers)

    @app.exception_handler(RequestValidationError)
    def invalid(_request: Request, error: RequestValidationError) -> Response:
        fields = sorted({_field_name(one["loc"][1:]) for one in error.errors()})
        return JSONResponse({"error": "field", "fields": fields[:16]}, 422)

    @app.exception_handler(OrderRefused)
    def order_refused(_request: Request, error: OrderRefused) -> Response:
        return http_errors.refused(_ORDER_REFUSALS[error.reason], error.reason)

    @app.exception_handler(Exception)
    def failed(_request: Request, error: Exception) -> Response:
        _log.error("request failed", error)
        return http_errors.error(500, "internal")
