"""`hallseal-gateway operators check|list`: the operator log, read from the ledger's file. Neither changes anything."""

import argparse
import datetime
import re
from collections.abc import Sequence

from sqlalchemy import Connection

from gateway import ledger_file, operator_check, operator_log
from gateway.configuration import GatewayConfiguration
from gateway.operator_check import Finding
from gateway.operator_log import PAGE_LINES_MAX, Head
from gateway.quarantine_commands import Finish

_HEAD = re.compile("([0-9]{1,18}):([0-9a-f]{64})")


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]", finish: Finish) -> None:
    """The command `operators`."""
    operators = commands.add_parser("operators", help="the log of what operators did: check, list")
    actions = operators.add_subparsers(title="commands", metavar="COMMAND", required=True)
    check = actions.add_parser(
        "check",
        help="is it whole?",
        description="Finds lines that were changed, moved, inserted or removed. The last ones only against a head that "
        "was kept elsewhere: the central system has one for each batch.",
    )
    shown = "kept elsewhere in the last six months; may be given several times"
    check.add_argument("--head", type=_head, action="append", default=[], metavar="NUMBER:HASH", help=shown)
    finish(check, _check)
    listing = actions.add_parser("list", help="lines in their order")
    rows = f"lines shown, 1 to {PAGE_LINES_MAX} (default 20)"
    listing.add_argument("--after", type=int, default=0, metavar="NUMBER", help="only later ones")
    listing.add_argument(
        "--limit", type=int, choices=range(1, PAGE_LINES_MAX + 1), default=20, metavar="ROWS", help=rows
    )
    finish(listing, _list)


def _head(text: str) -> Head:
    found = _HEAD.fullmatch(text)
    if found is None:
        raise argparse.ArgumentTypeError("must be NUMBER:HASH, the hash as 64 hex digits")
    return Head(int(found[1]), bytes.fromhex(found[2]))


def _check(loaded: GatewayConfiguration, options: argparse.Namespace) -> int:
    now_s = loaded.clock.now_s()
    head, findings = ledger_file.look(loaded.store.ledger, lambda connection: _whole(connection, options.head, now_s))
    for finding in findings:
        print(finding.words)
    if findings:
        print("the operator log was tampered with, or damaged; the first broken place stands first")
        return 1
    print(f"the operator log is whole; its head is {head.number}:{head.hash.hex()}")
    if not options.head:
        print("that no line is missing at its end, only a head from the central system can tell: --head NUMBER:HASH")
    return 0


def _whole(connection: Connection, heads: Sequence[Head], now_s: int) -> tuple[Head, list[Finding]]:
    """All lines as of one moment, while the gateway may add more, or remove the oldest."""
    connection.exec_driver_sql("BEGIN")
    return operator_check.check(operator_log.all_lines(connection), heads, now_s)


def _list(loaded: GatewayConfiguration, options: argparse.Namespace) -> int:
    lines = ledger_file.look(
        loaded.store.ledger, lambda connection: operator_log.lines_after(connection, options.after, options.limit)
    )
    for line in lines:
        at = datetime.datetime.fromtimestamp(line.at_s, datetime.UTC).strftime("%Y-%m-%d %H:%M:%S")
        # What somebody else wrote into the file must not steer the terminal.
        said = ascii(f"{line.actor}  {line.action}  {line.subject}  {line.details}")[1:-1]
        print(f"{line.number:>8}  {at}  {said}")
    return 0
