"""Marks of ratings as the live view counts them: with level and time of the rating, read beside the annotation."""

import json
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, select

from gateway import schema
from gateway.annotations import Annotation
from gateway.ledger import Ledger


class LiveMark(NamedTuple):
    """What a mark does to the day's counts. position: of the rating in the ledger; level: 1..5."""

    position: int
    device: str
    time_s: int
    level: int
    visit: bool
    adopted: bool


def of_page(ledger: Ledger, page: Sequence[Annotation]) -> list[LiveMark]:
    """The marks in a page of annotations; of a visit that nobody rated there is nothing to count or not to count."""
    marks = [one for one in page if one.adopted is not None]
    if not marks:
        return []
    rated = ledger.read(lambda connection: _rated(connection, {one.record for one in marks}))
    return [rated[one.record]._replace(adopted=bool(one.adopted)) for one in marks if one.record in rated]


def _rated(connection: Connection, records: set[int]) -> dict[int, LiveMark]:
    table = schema.record
    columns = (table.c.id, table.c.device, table.c.coarse_s, table.c.received_s, table.c.claims_json)
    found = {}
    for row in connection.execute(select(*columns).where(table.c.id.in_(records))):
        claims = json.loads(row.claims_json)
        level, time_s = level_of(claims), time_of(claims, row.coarse_s, row.received_s)
        if level is not None:
            found[row.id] = LiveMark(row.id, row.device, time_s, level, claims.get("mode") == "visit", True)
    return found


def time_of(claims: Mapping[str, object], coarse_s: int, received_s: int) -> int:
    """A punch's exact second; else the signed quarter of an hour; else when the gateway received it."""
    time_s = claims.get("time_s")
    return time_s if isinstance(time_s, int) else coarse_s or received_s


def level_of(claims: Mapping[str, object]) -> int | None:
    """1..5; None of a visit that timed out."""
    level = claims.get("level")
    return level if claims.get("outcome") == "rated" and isinstance(level, int) else None
