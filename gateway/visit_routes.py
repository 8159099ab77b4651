"""The routes of the window business system: open a visit, ask for its state, take it back. See docs/visits.md."""

from typing import Annotated, Literal

from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from gateway import http_errors, matter
from gateway.bearer import bearer
from gateway.matter import Item, Matter
from gateway.parts import GatewayParts
from gateway.visit import Visit, VisitRefused
from protocol.rating import VISIT_CHARS_MAX

_STATUSES = {"window": 404, "busy": 503, "visit_differs": 409, "visit_answered": 409}

# No control characters: these are shown on displays and printed.
PLAIN = r"^[^\x00-\x1f\x7f]*$"


def _text(characters_max: int) -> StringConstraints:
    return StringConstraints(min_length=1, max_length=characters_max, pattern=PLAIN, strip_whitespace=True)


# Longer than any code may be: a wrong length is flagged, not refused.
_Code = Annotated[str, _text(64)]
_Name = Annotated[str, _text(matter.NAME_CHARACTERS_MAX)]
_DepartmentCode = Annotated[str, _text(matter.DEPARTMENT_CODE_CHARACTERS_MAX)]
_DepartmentName = Annotated[str, _text(matter.DEPARTMENT_CHARACTERS_MAX)]


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class Applicant(_Request):
    """Who is rated for; bounds of the wire (protocol/rating.py). kind: what they are, the only word that is kept."""

    name: str | None = Field(None, min_length=1, max_length=30, repr=False)
    phone: str | None = Field(None, min_length=1, max_length=20, repr=False)
    id_number: str | None = Field(None, min_length=1, max_length=32, repr=False)
    id_kind: str | None = Field(None, min_length=1, max_length=8, repr=False)
    kind: Literal["natural_person", "enterprise", "institution", "social_organisation", "agency", "other"] | None = None


class Department(_Request):
    """The department that handles an item."""

    code: _DepartmentCode | None = None
    name: _DepartmentName | None = None
    credit_code: _Code | None = None


class ItemRequest(_Request):
    """One service item."""

    item_code: _Code | None = Field(None, repr=False)  # a careless system may put a person's words anywhere
    item_name: _Name | None = Field(None, repr=False)
    department: Department = Field(Department(), repr=False)

    def item(self) -> Item:
        """As gateway.matter takes it."""
        of = self.department
        return Item(self.item_code, self.item_name, of.code, of.name, of.credit_code)


class VisitRequest(ItemRequest):
    """A visit that the window business system opens."""

    window: str = Field(min_length=1, max_length=16, pattern=PLAIN)
    visit: str = Field(min_length=1, max_length=VISIT_CHARS_MAX, pattern=PLAIN, repr=False)
    staff: str | None = Field(None, min_length=1, max_length=20)
    timeout_s: int | None = Field(None, ge=5, le=600)
    applicant: Applicant | None = None
    kind: Literal["single", "batch", "joint", "theme", "consultation"] = "single"
    parts: list[ItemRequest] = Field([], max_length=matter.PARTS_MAX)
    supersede: bool = False

    def about(self) -> Matter:
        """As gateway.matter takes it. Raises VisitRefused("field") for parts of a kind that has none."""
        if self.parts and self.kind not in matter.WITH_PARTS:
            raise VisitRefused("field", "parts")
        applicant_kind = self.applicant.kind if self.applicant else None
        return Matter(self.kind, self.item(), applicant_kind, tuple(part.item() for part in self.parts))

    def identity(self) -> dict[str, str] | None:
        """What goes to the device and nowhere else."""
        said = self.applicant.model_dump(exclude_none=True, exclude={"kind"}) if self.applicant else {}
        return said or None


def add(app: FastAPI, parts: GatewayParts) -> None:
    """Add the routes, for the holder of the business system's token."""
    visits, metrics = parts.visits, parts.metrics
    business = [Depends(bearer(parts, "business", "visits_closed"))]

    @app.post("/api/v1/visits", dependencies=business)
    def open_visit(asked: VisitRequest) -> dict[str, object]:
        opened = visits.open(
            asked.window, asked.visit, asked.staff, asked.timeout_s, asked.identity(), asked.about(), asked.supersede
        )
        metrics.count("visits_asked", new=opened.new)
        return _shown(opened)

    # A visit number may hold a slash: it is the business system's own.
    @app.get("/api/v1/visits/{visit:path}", dependencies=business)
    def visit_state(visit: str) -> dict[str, object]:
        return _found(visits.state(visit) if 1 <= len(visit) <= VISIT_CHARS_MAX else None)

    @app.delete("/api/v1/visits/{visit:path}", dependencies=business)
    def cancel_visit(visit: str) -> dict[str, object]:
        return _found(visits.cancel(visit) if 1 <= len(visit) <= VISIT_CHARS_MAX else None)

    @app.exception_handler(VisitRefused)
    def refused(_request: Request, error: VisitRefused) -> Response:
        if error.reason == "field":
            return JSONResponse({"error": "field", "fields": [error.detail]}, 422)
        return http_errors.refused(_STATUSES[error.reason], error.reason)


def _found(visit: Visit | None) -> dict[str, object]:
    if visit is None:
        raise HTTPException(404, "visit")
    return _shown(visit)


def _shown(visit: Visit) -> dict[str, object]:
    shown: dict[str, object] = {"visit": visit.visit, "window": visit.window, "state": visit.state, "id": visit.id}
    if visit.flags:
        shown["flags"] = list(visit.flags)
    if visit.parts:
        shown["parts"] = list(visit.parts)
    return shown
