"""The technician's routes to the quarantine: what lies there, what one message looks like from outside, offer again."""

from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException, Path, Query
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.exc import OperationalError

from gateway import quarantine, quarantine_view
from gateway.bearer import bearer
from gateway.parts import GatewayParts
from gateway.quarantine import OFFERED_MAX, TOPIC_CHARACTERS_MAX
from gateway.readmission import Result, Selection
from protocol.limits import NAME_CHARS_MAX

ROWS_MAX = 1000
# An id is a row number of SQLite: beyond 64 bits there is no question.
_ID_MAX = (1 << 63) - 1
_REASON = r"^[a-z_]{1,32}$"
_DEVICE = rf"^[a-z0-9-]{{1,{NAME_CHARS_MAX}}}$"

_Id = Annotated[int, Field(ge=1, le=_ID_MAX)]


class ReadmitRequest(BaseModel):
    """Which messages: by id, or the next ones of a reason, a device, or both, above the id `after`."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    ids: list[_Id] | None = Field(None, min_length=1, max_length=OFFERED_MAX)
    reason: str | None = Field(None, pattern=_REASON)
    device: str | None = Field(None, pattern=_DEVICE)
    after: int = Field(0, ge=0, le=_ID_MAX)


def add(app: FastAPI, parts: GatewayParts) -> None:
    """Add the routes."""
    technician = Depends(bearer(parts, "technician", "quarantine_closed"))

    @app.get("/api/v1/quarantine", dependencies=[technician])
    def listing(
        limit: Annotated[int, Query(ge=1, le=ROWS_MAX)] = 100,
        reason: Annotated[str | None, Query(pattern=_REASON)] = None,
        device: Annotated[str | None, Query(pattern=_DEVICE)] = None,
        on: Annotated[str | None, Query(alias="topic", max_length=TOPIC_CHARACTERS_MAX)] = None,
        before: Annotated[int | None, Query(ge=1, le=_ID_MAX)] = None,
    ) -> dict[str, object]:
        if device is not None and on is not None:
            raise HTTPException(422, "selection")
        sought = parts.readmission.topic_of(device) if device else on
        rows = parts.ledger.read(lambda connection: quarantine.held(connection, limit, reason, sought, before))
        return {
            "messages": [row._asdict() for row in rows],
            "by_reason": parts.ledger.quarantined(),
            "next": rows[-1].id if len(rows) == limit else None,
        }

    @app.get("/api/v1/quarantine/{number}", dependencies=[technician])
    def message(number: Annotated[int, Path(ge=1, le=_ID_MAX)]) -> dict[str, object]:
        found = parts.ledger.read(lambda connection: quarantine.kept(connection, [number]))
        if not found:
            raise HTTPException(404, "message")
        return quarantine_view.shown(found[0])

    @app.post("/api/v1/quarantine/readmit", dependencies=[technician])
    def readmit(asked: ReadmitRequest) -> dict[str, object]:
        try:
            return _readmit(parts, asked)
        except OperationalError:  # the disk takes nothing now; nothing has changed
            raise HTTPException(503, "busy", {"Retry-After": "5"}) from None


def _readmit(parts: GatewayParts, asked: ReadmitRequest) -> dict[str, object]:
    """{"results": by id, "next": `after` of the next call, None at the end}."""
    selects = asked.reason is not None or asked.device is not None
    if selects == (asked.ids is not None):
        raise HTTPException(422, "selection")
    ids = asked.ids or parts.readmission.chosen(Selection(asked.reason, asked.device), asked.after)
    results = parts.readmission.offer(ids, "technician")
    ended = asked.ids is not None or len(ids) < OFFERED_MAX
    return {"results": [_shown(one) for one in results], "next": None if ended else ids[-1]}


def _shown(result: Result) -> dict[str, object]:
    return {key: value for key, value in result._asdict().items() if value is not None}
