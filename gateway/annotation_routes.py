"""HTTP routes of annotations: a supervisor marks a rating, takes it back, and reads what was said of it."""

import base64
from typing import Annotated, Literal

from fastapi import Depends, FastAPI, Path, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from gateway import annotations
from gateway.annotations import Annotation
from gateway.bearer import bearer
from gateway.marks import Marked, MarkRefused
from gateway.parts import GatewayParts
from protocol.annotation import KIND_NAMES, TIME_ESTIMATE
from protocol.limits import NAME_CHARS_MAX, SEQ_MAX

_REFUSALS = {"rating": 404, "reason": 422, "author": 422, "full": 409}
_ROUTE = "/api/v1/ratings/{device}/{stream}/{seq}/annotations"


class MarkRequest(BaseModel):
    """A mark of one rating. reason: with not_adopted only. author: the supervisor's staff number, see gateway.marks."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    what: Literal["not_adopted", "adopted"]
    reason: Literal["mistaken", "malicious", "faked"] | None = None
    author: str = Field(min_length=1, max_length=20)


_Device = Annotated[str, Path(max_length=NAME_CHARS_MAX)]
_Stream = Annotated[str, Path(pattern="^[0-9a-f]{16}$")]
_Seq = Annotated[int, Path(ge=1, le=SEQ_MAX)]


def add(app: FastAPI, parts: GatewayParts) -> None:
    """Add the routes."""
    marks, allowed = parts.notebook.marks, [Depends(bearer(parts, "supervisor", "annotations_closed"))]

    @app.post(_ROUTE, dependencies=allowed)
    def mark(device: _Device, stream: _Stream, seq: _Seq, asked: MarkRequest) -> Response:
        marked = marks.mark(device, stream, seq, asked.what, asked.reason, asked.author)
        return JSONResponse(_shown(marked), 201 if marked.new else 200)

    @app.get(_ROUTE, dependencies=allowed)
    def look(device: _Device, stream: _Stream, seq: _Seq) -> dict[str, object]:
        return _shown(marks.look(device, stream, seq))

    @app.exception_handler(MarkRefused)
    def refused(_request: Request, error: MarkRefused) -> Response:
        return JSONResponse({"error": error.reason}, _REFUSALS[error.reason])


def _shown(marked: Marked) -> dict[str, object]:
    """How the rating stands. No level: whoever decides has the case before them, and others need not see it."""
    present = annotations.standing(marked.history)
    estimates = [one.content["estimate_s"] for one in marked.history if one.kind == TIME_ESTIMATE]
    return {
        "device": marked.device,
        "stream": marked.stream,
        "seq": marked.seq,
        "adopted": present is None or present.adopted,
        "reason": present.content.get("reason") if present else None,
        "coarse_s": marked.coarse_s or None,
        "estimated_s": estimates[-1] if estimates else None,
        "annotations": [_told(one) for one in marked.history],
    }


def _told(one: Annotation) -> dict[str, object]:
    return {
        "number": one.position,
        "what": KIND_NAMES[one.kind],
        "made_s": one.made_s,
        **one.content,
        "statement": base64.b64encode(one.statement).decode(),
    }
