"""The console command `hallseal-gateway`: run the hall's gateway, check its configuration, look into the quarantine."""

import argparse
import datetime
import logging
import os
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from gateway import (
    configuration,
    evidence_commands,
    item_commands,
    ledger_file,
    logs,
    memory_image,
    quarantine,
    readiness,
    rules,
    subject,
)
from gateway.ledger_file import LedgerError
from gateway.registry import RegistryError
from gateway.section import ConfigurationError
from gateway.visit_book import VisitBook

QUARANTINE_ROWS_MAX = 1000

_OVERVIEW = """\
The server of one service hall. It takes the sealed records of rating devices and attendance clocks from the hall's
broker, keeps them in its ledger, and tells each device what is safely on disk.

  hallseal-gateway check --config gateway/gateway.toml            is everything in place? changes nothing
  hallseal-gateway run --config gateway/gateway.toml              run until SIGTERM (systemctl stop) or Ctrl-C
  hallseal-gateway quarantine list --config gateway/gateway.toml  what was refused, and why
  hallseal-gateway subject --config gateway/gateway.toml          what is held about a visit (its number: one line)
  hallseal-gateway items import FILE --config gateway/gateway.toml  the items that the hall handles
  hallseal-gateway export FILE --config gateway/gateway.toml      the evidence of a period, into a file
  hallseal-gateway audit FILE --root hall-root.pem                is that file what the devices and the gateway signed?
"""
_STATUSES = """\
exit status: 0 done, 1 the gateway could not run or stop cleanly, 2 command or configuration is wrong (stderr says what)
of `audit`: 0 clean, 1 something is wrong or missing, 2 a file cannot be read
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status, see _STATUSES."""
    options = _parser().parse_args(arguments)
    try:
        loaded = configuration.load(options.config) if options.config is not None else None
        return int(options.act(loaded, options))
    except (ConfigurationError, RegistryError) as error:
        print(f"hallseal-gateway: {error}", file=sys.stderr)
        return 2
    except (LedgerError, OSError) as error:
        print(f"hallseal-gateway: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="hallseal-gateway",
        description=_OVERVIEW,
        epilog=_STATUSES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    run = commands.add_parser("run", help="run the gateway", description="Run until SIGTERM or Ctrl-C.")
    run.add_argument("--verbose", action="store_true", help="also log what is only of interest when something is wrong")
    _finish(run, _run)
    check = commands.add_parser("check", help="check configuration, keys and registry; changes nothing")
    _finish(check, _check)
    refused = commands.add_parser("quarantine", help="messages that were refused")
    actions = refused.add_subparsers(title="commands", metavar="COMMAND", required=True)
    listing = actions.add_parser("list", help="the newest ones, and how many there are of each reason")
    listing.add_argument("--limit", type=_rows, default=20, help="rows shown, 1 to 1000 (default 20)")
    listing.add_argument("--reason", choices=sorted(_reasons()), metavar="REASON", help="only those of one reason")
    _finish(listing, _list)
    asked = commands.add_parser(
        "subject",
        help="what is held about a visit, for the person who asks",
        description="Tells what the gateway holds about one visit. Without VISIT the number is read from standard "
        "input, so that it stands neither in the shell's history nor in the list of processes.",
    )
    asked.add_argument("visit", nargs="?", metavar="VISIT", help="the visit number (办件编号)")
    _finish(asked, _subject)
    _finish(item_commands.add_parser(commands), item_commands.run_import)
    for exporting in evidence_commands.add_to(commands):
        _finish(exporting, evidence_commands.run_export)
    return parser


def _finish(parser: argparse.ArgumentParser, act: object) -> None:
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="the hall's gateway.toml")
    parser.set_defaults(act=act)


def _rows(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= QUARANTINE_ROWS_MAX:
        raise argparse.ArgumentTypeError(f"must be a number from 1 to {QUARANTINE_ROWS_MAX}")
    return int(text)


def _reasons() -> list[str]:
    return [rule.code for rule in rules.RULES.values() if rule.effect == rules.QUARANTINE]


def _run(loaded: configuration.GatewayConfiguration, options: argparse.Namespace) -> int:
    from gateway import service  # only here: the other commands start fast

    memory_image.forbid()
    logs.setup(level=logging.DEBUG if options.verbose else logging.INFO)
    logs.take_over()
    status = service.run(loaded)
    if threading.active_count() > 1:
        _leave(status)
    return status


def _leave(status: int) -> None:
    """End at once. A thread that still waits for the central system cannot be ended, and everything is closed.

    The interpreter would take itself apart around that thread, and DuckDB's binding would complain of what it holds:
    lines on stderr that are no JSON.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _check(loaded: configuration.GatewayConfiguration, _options: argparse.Namespace) -> int:
    for line in readiness.check(loaded):
        print(line)
    print("everything is in place")
    return 0


def _list(loaded: configuration.GatewayConfiguration, options: argparse.Namespace) -> int:
    path = loaded.store.ledger
    by_reason = ledger_file.look(path, quarantine.held_by_reason)
    rows = ledger_file.look(path, lambda connection: quarantine.held(connection, options.limit, options.reason))
    if not rows:
        print("nothing is in quarantine" + (f" for {options.reason}" if options.reason else ""))
        return 0
    print(f"{'id':>8}  {'received (UTC)':19}  {'reason':10}  {'bytes':>6}  {'times':>5}  topic")
    for row in rows:
        at = datetime.datetime.fromtimestamp(row.received_s, datetime.UTC).strftime("%Y-%m-%d %H:%M:%S")
        topic = ascii(row.topic)[1:-1]  # a hostile topic must not steer the terminal
        print(f"{row.id:>8}  {at}  {row.reason:10}  {row.size_bytes:>6}  {row.offered:>5}  {topic}")
    print()
    for reason, count in by_reason.items():
        rule = rules.RULES.get(reason)
        print(f"{count:>8}  {reason:10}  {rule.meaning if rule else ''}")
    return 0


def _subject(loaded: configuration.GatewayConfiguration, options: argparse.Namespace) -> int:
    visit = (options.visit if options.visit is not None else sys.stdin.readline()).strip()
    book = VisitBook(loaded.clock)
    held = ledger_file.look(loaded.store.ledger, lambda connection: subject.find(connection, book, visit))
    print("\n".join(subject.report(held, loaded.retention)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
