"""The auditor's route to the operator log, and the way by which an export tells that it was made."""

import json
from typing import Annotated

from fastapi import Depends, FastAPI, Query
from pydantic import BaseModel, ConfigDict, Field

from gateway.bearer import bearer
from gateway.operator_log import EXPORT, PAGE_LINES_MAX, Line
from gateway.parts import GatewayParts

_NUMBER_MAX = (1 << 63) - 1


class ExportNotice(BaseModel):
    """An export of evidence that somebody has made on the gateway's machine. digest: SHA-256 of the file, in hex."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    digest: str = Field(pattern="^[0-9a-f]{64}$")
    records: int = Field(ge=0, le=_NUMBER_MAX)


def add(app: FastAPI, parts: GatewayParts) -> None:
    """Add the routes."""
    audit = Depends(bearer(parts, "audit", "counts_closed"))

    @app.get("/api/v1/operator-log", dependencies=[audit])
    def listing(
        after: Annotated[int, Query(ge=0, le=_NUMBER_MAX)] = 0,
        limit: Annotated[int, Query(ge=1, le=PAGE_LINES_MAX)] = 100,
    ) -> dict[str, object]:
        lines = parts.operator_log.lines_after(after, limit)
        return {
            "head": parts.operator_log.head().shown(),
            "lines": [_shown(line) for line in lines],
            "next": lines[-1].number if len(lines) == limit else None,
        }

    @app.post("/api/v1/operator-log/exports", status_code=201, dependencies=[audit])
    def exported(notice: ExportNotice) -> dict[str, object]:
        details = {"digest": notice.digest, "records": notice.records}
        return parts.operator_log.note("audit", EXPORT, "", **details).shown()


def _shown(line: Line) -> dict[str, object]:
    return {
        **line._asdict(),
        "details": json.loads(line.details),
        "previous": line.previous.hex(),
        "hash": line.hash.hex(),
    }
