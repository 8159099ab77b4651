"""The commands `export` and `audit`: the ledger's evidence into a file, and that file judged without the gateway."""

import argparse
import datetime
import hashlib
import json
import re
import sys
from pathlib import Path

from gateway import annotations, audit, audit_report, evidence_keys, export, export_note, ledger_file, operator_log
from gateway.bundle_file import BundleError
from gateway.configuration import GatewayConfiguration
from gateway.export import Exporter, Period
from gateway.registry import Registry
from gateway.section import ConfigurationError
from gateway.trust import TrustError
from protocol.limits import KEY_BYTES
from protocol.refusal import Refused
from protocol.suite_host import HostSuite

_DAY = re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2}")

_EXPORT = """\
Writes what the ledger holds as evidence into one new file: records as the devices signed them (masked, sealed), the
gateway's manifests and annotations, certificates and revocations, the newest heartbeat of each device. The gateway
may run meanwhile.

  hallseal-gateway export march.evidence --from 2027-03-01 --to 2027-04-01 --config gateway/gateway.toml

Days begin at midnight in the hall. Without --to the file goes up to this moment; only then can an audit tell whether
the newest records of a device are held back. Files of periods that follow each other are audited together.
"""
_AUDIT = """\
Judges exports with the hall's root certificate and nothing else: no gateway, no network, no configuration.

  hallseal-gateway audit march.evidence april.evidence --root hall-root.pem

Says how many records and manifests were verified, and names what is wrong or missing: device, stream, numbers. Notes
accuse nobody. What it cannot know: whether a device recorded every press (the counters of the buttons hint at it), and
what a gateway did that lost no record, contradicted no device and broke no manifest. Compare the hash of the last
manifest with the central system's: then the gateway cannot have made the whole chain anew.
"""
_AUDIT_STATUSES = "exit status: 0 clean (there may be notes), 1 something is wrong or missing, 2 a file cannot be read"


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> list[argparse.ArgumentParser]:
    """Add both commands; returns those that work on a hall's configuration, each with its `act` to be set."""
    raw = argparse.RawDescriptionHelpFormatter
    exporting = commands.add_parser(
        "export", help="the evidence of a period into one file", description=_EXPORT, formatter_class=raw
    )
    exporting.add_argument("file", type=Path, metavar="FILE", help="new file; never overwrites one")
    exporting.add_argument("--from", dest="from_day", type=_day, metavar="DAY", help="first day (default: all)")
    exporting.add_argument("--to", dest="to_day", type=_day, metavar="DAY", help="day after the last one")
    auditing = commands.add_parser(
        "audit",
        help="judge exports, offline",
        description=_AUDIT,
        epilog=_AUDIT_STATUSES,
        formatter_class=raw,
    )
    auditing.add_argument("files", type=Path, nargs="+", metavar="FILE", help="what `export` wrote")
    auditing.add_argument("--root", type=Path, required=True, metavar="FILE", help="the hall's root certificate")
    auditing.add_argument(
        "--central-key", type=Path, metavar="FILE", help="hpke.key of the central system: open sealed parts as well"
    )
    auditing.add_argument("--json", action="store_true", help="for a machine")
    auditing.set_defaults(act=_audit, config=None)
    return [exporting]


def _day(text: str) -> datetime.date:
    if not _DAY.fullmatch(text):
        raise argparse.ArgumentTypeError("must be a day like 2027-03-01")
    try:
        return datetime.date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError("is no day of the calendar") from None


def _midnight_s(day: datetime.date | None, utc_offset_min: int) -> int | None:
    """UTC seconds of the hall's midnight before `day`."""
    if day is None:
        return None
    midnight = datetime.datetime.combine(day, datetime.time(), datetime.UTC)
    return int(midnight.timestamp()) - 60 * utc_offset_min


def run_export(loaded: GatewayConfiguration, options: argparse.Namespace) -> int:
    """`export`; raises ConfigurationError, LedgerError, OSError."""
    if loaded.evidence is None:
        raise ConfigurationError("[evidence]: is missing; without its key nothing can be signed, and nothing exported")
    suite = HostSuite()
    own = evidence_keys.load(loaded.evidence, suite)
    devices = Registry(loaded.registry, loaded.hall).devices()
    register = evidence_keys.RegisterBook(own, loaded.evidence.revocations, lambda: devices).current()
    offset_min = loaded.devices.utc_offset_min
    period = Period(_midnight_s(options.from_day, offset_min), _midnight_s(options.to_day, offset_min))
    exporter = Exporter(
        loaded.hall,
        own,
        register,
        loaded.masking,
        loaded.retention,
        loaded.clock.now_s(),
        operator_head=operator_log.stated_head,
        annotations=annotations.statements,
    )
    made = export.to_file(
        options.file,
        lambda out: ledger_file.look(
            loaded.store.ledger, lambda connection: export.write(connection, exporter, period, out)
        ),
    )
    with options.file.open("rb") as written:
        digest = hashlib.file_digest(written, "sha256").digest()
    export_note.tell(loaded, digest, made.records)
    numbers = f"manifests {made.first_number} to {made.last_number}" if made.last_number else "no manifest yet"
    print(f"{options.file}: {made.records} records, {numbers}, {made.tail} records after them")
    return 0


def _audit(_loaded: None, options: argparse.Namespace) -> int:
    try:
        central = None if options.central_key is None else _read(options.central_key)
        if central is not None and len(central) != KEY_BYTES:
            raise BundleError(f"{options.central_key}: must hold {KEY_BYTES} raw bytes; take the hall's hpke.key")
        report = audit.run(options.files, _read(options.root), central)
    except TrustError as error:
        return _cannot(f"{options.root}: {error}")
    except Refused:
        return _cannot(f"{options.central_key}: is no key of the curve P-256; take the hall's hpke.key")
    except BundleError as error:
        return _cannot(str(error))
    if options.json:
        print(json.dumps(audit_report.as_json(report), indent=1))
    else:
        print("\n".join(audit_report.lines(report)))
    return report.findings.status()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BundleError(f"{path}: cannot be read ({error.strerror})") from None


def _cannot(why: str) -> int:
    print(f"hallseal-gateway: {why}", file=sys.stderr)
    return 2
