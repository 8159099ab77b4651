"""What each of the gateway's metrics says, for the person who reads /metrics."""

from gateway.metrics import Metrics

_METRICS = {
    "records": "Records committed to the ledger, each counted once.",
    "duplicate": "Records offered again with the same payload.",
    "equivocation": "Records offered again with another payload: the device contradicts itself.",
    "heartbeats": "Heartbeats taken.",
    "refused": "Messages kept in quarantine, by reason.",
    "flagged": "Records stored with a mark, and gaps that began, by rule; none that tells a level.",
    "receipts": "Receipts handed to the broker.",
    "commands": "Commands handed to the broker.",
    "readmitted": "Messages offered again from quarantine, by what became of them.",
    "orders": "Orders that technicians gave, by order.",
    "updates": "Notices and chunks of releases handed to the broker, by kind of device and step.",
    "releases": "Releases in the folder that can be offered, expired ones included.",
    "downlink_dropped": "Messages down that were dropped; devices ask again.",
    "dropped": "Messages dropped unread, beyond their device's share: without receipt an honest one sends again.",
    "inbox_full": "Times the intake made the broker wait.",
    "commit_failed": "Batches that could not be written at the first try.",
    "removed": "Rows that retention took away or emptied, by kind.",
    "round_failures": "Daily tasks that failed and are tried again.",
    "ledger_commit": "One commit with its sync.",
    "intake_pending": "Messages taken from the broker and not yet on disk.",
    "ledger_position": "Position of the newest record.",
    "broker_connected": "1 while the broker delivers.",
}


def describe(metrics: Metrics) -> None:
    """Give every series its HELP line."""
    for name, text in _METRICS.items():
        metrics.describe(name, text)
