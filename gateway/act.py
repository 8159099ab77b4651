"""What a person or a device did, as far as the rules hold later acts against it."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Row

from gateway import schema
from protocol import event, punch, rating
from protocol.record import EVENT, PUNCH, RATING, Record


class Act(NamedTuple):
    """One record. exact_s: UTC second of a rating or punch, 0 where nobody knows it; of a rating it is the reviewer's,
    and stays in memory. level: 1..5 of a rated rating, else 0. staff: of a punch, else "".
    """

    device: str
    stream: str
    seq: int
    kind: int
    window: str
    boot: str
    uptime_ms: int
    coarse_s: int
    exact_s: int = 0
    level: int = 0
    staff: str = ""
    step_told: bool = False


def of_record(content: Record, window: str, disclosed: Mapping[int, Any]) -> Act:
    """The act of a verified record. disclosed: {claim: value} of a rating's disclosures."""
    claims: Mapping[int, Any] = content.claims  # decoding has checked the types
    kind = content.kind
    exact_s = claims.get(punch.TIME, 0) if kind == PUNCH else disclosed.get(rating.OCCASION, (0,))[0]
    return Act(
        content.device,
        content.stream.hex(),
        content.seq,
        kind,
        window,
        content.boot.hex(),
        content.uptime_ms,
        content.coarse_s,
        exact_s,
        claims.get(rating.LEVEL, 0) if kind == RATING else 0,
        claims[punch.STAFF] if kind == PUNCH else "",
        kind == EVENT and claims[event.CODE] == event.CLOCK_STEPPED,
    )


# What of_row reads.
COLUMNS: Sequence[Any] = [
    schema.record.c[name]
    for name in ("device", "stream", "seq", "kind", "window", "boot", "uptime_ms", "coarse_s", "claims_json")
]


def of_row(row: Row[Any]) -> Act:
    """The act of a row of the ledger (COLUMNS): of a rating without its second, which the ledger does not hold."""
    claims = json.loads(row[-1])
    level, staff = claims.get("level", 0), claims.get("staff", "") if row.kind == PUNCH else ""
    step_told = row.kind == EVENT and claims.get("code") == event.CLOCK_STEPPED
    values: list[Any] = [*row[:-1], claims.get("time_s", 0), level, staff, step_told]
    return Act(*values)
