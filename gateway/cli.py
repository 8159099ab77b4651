"""The console command `hallseal-gateway`: run the hall's gateway, check it, work with its quarantine and its logs."""

import argparse
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
    operator_commands,
    quarantine_commands,
    readiness,
    subject,
)
from gateway.ledger_file import LedgerError
from gateway.registry import RegistryError
from gateway.section import ConfigurationError
from gateway.visit_book import VisitBook

_OVERVIEW = """\
The server of one service hall. It takes the sealed records of rating devices and attendance clocks from the hall's
broker, keeps them in its ledger, and tells each device what is safely on disk.

  hallseal-gateway check --config gateway/gateway.toml                   is everything in place? changes nothing
  hallseal-gateway run --config gateway/gateway.toml                     run until SIGTERM (systemctl stop) or Ctrl-C
  hallseal-gateway quarantine list --config gateway/gateway.toml         what was refused, and why
  hallseal-gateway quarantine readmit 118 --config gateway/gateway.toml  offer it again, after a repair
  hallseal-gateway operators check --config gateway/gateway.toml         is the log of what operators did whole?
  hallseal-gateway subject --config gateway/gateway.toml                 what is held about a visit (reads its number)
  hallseal-gateway items import FILE --config gateway/gateway.toml       the items that the hall handles
  hallseal-gateway export FILE --config gateway/gateway.toml             the evidence of a period, into a file
  hallseal-gateway audit FILE --root hall-root.pem                       is it what devices and gateway have signed?
"""
_STATUSES = """\
exit status: 0 done, 1 the gateway could not run, answer or stop cleanly, or a check has found something,
2 command or configuration is wrong (stderr says what)
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
    quarantine_commands.add(commands, _finish)
    operator_commands.add(commands, _finish)
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


def _subject(loaded: configuration.GatewayConfiguration, options: argparse.Namespace) -> int:
    visit = (options.visit if options.visit is not None else sys.stdin.readline()).strip()
    book = VisitBook(loaded.clock)
    held = ledger_file.look(loaded.store.ledger, lambda connection: subject.find(connection, book, visit))
    print("\n".join(subject.report(held, loaded.retention)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
