"""What an audit says: lines for a person, or JSON for a machine."""

import datetime
from typing import Any

from gateway.audit import Report
from gateway.findings import KEPT_MAX, KINDS, MISSING, NOTE, WRONG, Finding
from protocol.record import EVENT, KIND_NAMES, PUNCH, RATING

_PLURALS = {RATING: "ratings", PUNCH: "punches", EVENT: "events"}


def lines(report: Report) -> list[str]:
    """The report, the verdict last."""
    return [
        f"hall {report.hall}, {_files(report.files)}{_period(report)}",
        _records(report),
        _manifests(report),
        _counts(report),
        _presses(report),
        *_not_looked_at(report),
        *[line for severity in (NOTE, MISSING, WRONG) for line in _section(report, severity)],
        _verdict(report),
    ]


def _files(count: int) -> str:
    return "1 file" if count == 1 else f"{count} files"


def _period(report: Report) -> str:
    if report.coarse_s is None:
        return ""
    first, last = (_moment(each) for each in report.coarse_s)
    return f", stated from {first} to {last} UTC"


def _moment(utc_s: int) -> str:
    return datetime.datetime.fromtimestamp(utc_s, datetime.UTC).strftime("%Y-%m-%d %H:%M")


def _records(report: Report) -> str:
    kinds = ", ".join(f"{count} {_PLURALS[kind]}" for kind, count in sorted(report.records.items()))
    verified = f"records verified: {sum(report.records.values())}" + (f" ({kinds})" if kinds else "")
    return f"{verified}, of {report.devices} devices in {report.streams} streams"


def _manifests(report: Report) -> str:
    first, last = report.numbers
    if not report.manifests:
        return "manifests verified: none"
    link = report.link.hex()[:16] if report.link else ""
    return f"manifests verified: {report.manifests} ({first} to {last}), the last with hash {link}…"


def _counts(report: Report) -> str:
    counted = report.findings.counts
    parts = {
        "gaps": counted["gap"],
        "hidden tails": counted["hidden_tail"],
        "equivocations": counted["equivocation"],
        "wrong masks": counted["mask"] + counted["mask_differs"],
        "missing manifests": counted["manifest_missing"],
        "refusals": sum(report.refused.values()),
        "annotations": report.annotations,
    }
    return ", ".join(f"{name}: {count}" for name, count in parts.items())


def _presses(report: Report) -> str:
    return f"buttons: {report.presses} presses by the devices' counters, {report.ratings} ratings up to them"


def _not_looked_at(report: Report) -> list[str]:
    return [] if report.opened else ["masks: only what they show was looked at; with --central-key they are made again"]


def _section(report: Report, severity: str) -> list[str]:
    found = [one for one in report.findings.kept() if KINDS[one.code].severity == severity]
    shown: list[str] = []
    for code in dict.fromkeys(one.code for one in found):
        count = report.findings.counts[code]
        shown.append(f"{severity}: {code} ({count}): {KINDS[code].meaning}")
        shown += [f"    {where(one)}" for one in found if one.code == code and where(one)]
        if count > KEPT_MAX:
            shown.append(f"    … and {count - KEPT_MAX} more")
    return shown


def where(one: Finding) -> str:
    """Device, stream and numbers of a finding, and its detail; hostile text cannot steer a terminal."""
    parts = []
    if one.device is not None:
        parts.append(one.device)
    if one.stream is not None:
        parts.append(f"stream {one.stream}")
    if one.first is not None:
        name = "manifest" if one.device is None else "number"
        parts.append(f"{name} {one.first}" if one.first == one.last else f"{name}s {one.first} to {one.last}")
    if one.detail:
        parts.append(one.detail)
    return ascii(", ".join(parts))[1:-1]


def _verdict(report: Report) -> str:
    findings = report.findings
    wrong, missing, notes = (findings.of(severity) for severity in (WRONG, MISSING, NOTE))
    if findings.status() == 0:
        return f"audit: clean, {notes} notes"
    return f"audit: {wrong} wrong, {missing} missing, {notes} notes"


def as_json(report: Report) -> dict[str, Any]:
    """The same, JSON types only. findings: each with code, severity and where; counts: of each code, all of them."""
    return {
        "hall": report.hall,
        "files": report.files,
        "status": report.findings.status(),
        "records": {KIND_NAMES[kind]: count for kind, count in sorted(report.records.items())},
        "devices": report.devices,
        "streams": report.streams,
        "manifests": {
            "first": report.numbers[0],
            "last": report.numbers[1],
            "verified": report.manifests,
            "link": report.link.hex() if report.link else None,
        },
        "tail_records": report.tail_records,
        "presses": report.presses,
        "ratings": report.ratings,
        "refused": report.refused,
        "annotations": report.annotations,
        "sealed_parts_opened": report.opened,
        "counts": dict(report.findings.counts),
        "findings": [{"severity": KINDS[one.code].severity, **one._asdict()} for one in report.findings.kept()],
    }
