"""Does every store hold the same? Counts of the devices' own words, the ledger and its projections, side by side."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gateway.ledger import Heartbeat, StreamState, Summary
from gateway.operator_log import EMPTY, Head
from gateway.registry import Device
from gateway.timeseries import Counts
from protocol import record

_NO_COUNTS = Counts(0, 0, 0)


@dataclass(frozen=True)
class Annotated:
    """What was said of records afterwards. last: number of the newest annotation; positions: how far each projection of

    annotations is. not_adopted: ratings by device, as the ledger and as the time series have it; they stay in all
    counts of records. dead_letters: annotations that the central system refused, by reason.
    """

    last: int = 0
    positions: Mapping[str, int] = field(default_factory=dict)
    not_adopted: Mapping[str, int] = field(default_factory=dict)
    not_adopted_timeseries: Mapping[str, int] = field(default_factory=dict)
    dead_letters: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Stores:
    """What was read from each store; the projections before the ledger, so that what comes between shows as pending."""

    devices: Mapping[str, Device]
    summary: Summary
    streams: Sequence[StreamState]
    heartbeats: Mapping[str, Heartbeat]
    timeseries: Mapping[str, Counts]
    positions: Mapping[str, int]  # cursor by projection: "timeseries", "central"
    intake_pending: int  # messages taken from the broker, not yet committed
    quarantined: Mapping[str, int]
    refusals: Mapping[str, int]
    dead_letters: Mapping[str, int]
    removed: Mapping[str, int] = field(default_factory=dict)  # records that retention took away, by device
    annotations: Annotated = field(default_factory=Annotated)
    operator_head: Head = EMPTY  # of the operator log


def reconcile(stores: Stores) -> dict[str, object]:
    """The answer of `/api/v1/reconciliation`, JSON types only."""
    names = sorted({*stores.devices, *stores.summary.by_device, *stores.heartbeats, *stores.timeseries})
    last, notes = stores.summary.position, stores.annotations
    return {
        "by_device": {name: _device(name, stores) for name in names},
        "pending": {
            "intake": stores.intake_pending,
            **{name: max(0, last - position) for name, position in stores.positions.items()},
            **{name: max(0, notes.last - position) for name, position in notes.positions.items()},
        },
        "position": last,
        "quarantine": dict(stores.quarantined),
        "refusals": dict(stores.refusals),
        "dead_letters": dict(stores.dead_letters),
        "operator_log": stores.operator_head.shown(),
        "annotations": {
            "position": notes.last,
            "not_adopted": sum(notes.not_adopted.values()),
            "dead_letters": dict(notes.dead_letters),
        },
    }


def _device(name: str, stores: Stores) -> dict[str, object]:
    device = stores.devices.get(name)
    heartbeat = stores.heartbeats.get(name)
    streams = sorted((one for one in stores.streams if one.device == name), key=lambda one: one.number)
    newest = streams[-1] if streams else None
    by_kind = stores.summary.by_device.get(name, {})
    ledger = Counts(by_kind.get(record.RATING, 0), by_kind.get(record.PUNCH, 0), by_kind.get(record.EVENT, 0))
    return {
        "kind": device.kind if device else None,
        "stream": newest.stream if newest else None,
        "head": newest.highest if newest else 0,
        "declared_head": newest.declared if newest else 0,
        "ledger": ledger._asdict(),
        "timeseries": stores.timeseries.get(name, _NO_COUNTS)._asdict(),
        "removed": stores.removed.get(name, 0),
        "gaps": sum(one.missing for one in streams),
        "duplicates": sum(one.duplicates for one in streams),
        "equivocations": sum(one.equivocations for one in streams),
        "central_position": stores.positions.get("central"),
        "press_counters": list(heartbeat.presses) if heartbeat else None,
        "device_pending": heartbeat.pending if heartbeat else None,
        "not_adopted": {
            "ledger": stores.annotations.not_adopted.get(name, 0),
            "timeseries": stores.annotations.not_adopted_timeseries.get(name, 0),
        },
    }
