"""`hallseal-gateway quarantine list|show|readmit`.

List and show read the ledger's file, whether the gateway runs or not. Re-admission is the running gateway's: it alone
writes the ledger, sends the receipts and knows the state of the streams; while it stands still, devices wait anyway.
"""

import argparse
import datetime
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from gateway import ledger_file, quarantine, quarantine_view, rules
from gateway.configuration import GatewayConfiguration
from gateway.ledger_file import LedgerError
from gateway.quarantine import OFFERED_MAX, Held
from gateway.section import ConfigurationError
from protocol import topic

ROWS_MAX = 1000

Finish = Callable[[argparse.ArgumentParser, Callable[[GatewayConfiguration, argparse.Namespace], int]], None]


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]", finish: Finish) -> None:
    """The command `quarantine`."""
    refused = commands.add_parser("quarantine", help="messages that were refused: list, show, readmit")
    actions = refused.add_subparsers(title="commands", metavar="COMMAND", required=True)
    listing = actions.add_parser("list", help="the newest ones, and how many there are of each reason")
    listing.add_argument("--limit", type=_rows, default=20, help="rows shown, 1 to 1000 (default 20)")
    listing.add_argument("--before", type=_id, metavar="ID", help="only older ones: page on from the last id shown")
    _add_selection(listing)
    listing.add_argument("--topic", help="only those that came on this topic")
    finish(listing, _list)
    one = actions.add_parser("show", help="one message from outside; what is sealed in it stays sealed")
    one.add_argument("id", type=_id, help="its number in the list")
    finish(one, _show)
    again = actions.add_parser(
        "readmit",
        help="offer messages again, after a key or the registry was mended",
        description="Asks the running gateway. What it stores leaves the quarantine; what it refuses again stays.",
    )
    again.add_argument("id", type=_id, nargs="*", help="numbers in the list; or give --reason or --device")
    _add_selection(again)
    finish(again, _readmit)


def _add_selection(parser: argparse.ArgumentParser) -> None:
    reasons = sorted(rule.code for rule in rules.RULES.values() if rule.effect == rules.QUARANTINE)
    parser.add_argument("--reason", choices=reasons, metavar="REASON", help="only those of one reason")
    parser.add_argument("--device", type=_device, help="only those that came on the topic of this device")


def _number(text: str, most: int) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= most:
        raise argparse.ArgumentTypeError(f"must be a number from 1 to {most}")
    return int(text)


def _rows(text: str) -> int:
    return _number(text, ROWS_MAX)


def _id(text: str) -> int:
    return _number(text, (1 << 63) - 1)


def _device(text: str) -> str:
    if not topic.is_name(text):
        raise argparse.ArgumentTypeError("must be a device's name: 1 to 32 of a-z, 0-9 and -")
    return text


def _list(loaded: GatewayConfiguration, options: argparse.Namespace) -> int:
    path, reason = loaded.store.ledger, options.reason
    on = topic.up(loaded.hall, options.device) if options.device else options.topic
    by_reason = ledger_file.look(path, quarantine.held_by_reason)
    rows = ledger_file.look(path, lambda c: quarantine.held(c, options.limit, reason, on, options.before))
    if not rows:
        print("nothing is in quarantine" + (f" for {reason}" if reason else ""))
        return 0
    print(f"{'id':>8}  {'received (UTC)':19}  {'reason':10}  {'bytes':>6}  {'times':>5}  topic")
    for row in rows:
        print(_line(row))
    print()
    for code, count in by_reason.items():
        rule = rules.RULES.get(code)
        print(f"{count:>8}  {code:10}  {rule.meaning if rule else ''}")
    return 0


def _line(row: Held) -> str:
    shown = ascii(row.topic)[1:-1]  # a hostile topic must not steer the terminal
    return f"{row.id:>8}  {_utc(row.received_s)}  {row.reason:10}  {row.size_bytes:>6}  {row.offered:>5}  {shown}"


def _utc(time_s: int) -> str:
    return datetime.datetime.fromtimestamp(time_s, datetime.UTC).strftime("%Y-%m-%d %H:%M:%S")


def _show(loaded: GatewayConfiguration, options: argparse.Namespace) -> int:
    found = ledger_file.look(loaded.store.ledger, lambda connection: quarantine.kept(connection, [options.id]))
    if not found:
        raise LedgerError(f"there is no message {options.id} in quarantine; it was stored, or had to make room")
    for line in _lines(quarantine_view.shown(found[0])):
        print(line)
    return 0


def _lines(shown: Mapping[str, Any]) -> Iterable[str]:
    claimed = {name: "?" if value is None else value for name, value in shown["structure"].items()}
    kept = "whole" if shown["whole"] else f"only the first {shown['kept_bytes']} bytes: it cannot be readmitted"
    yield f"message   {shown['id']}, received {_utc(shown['received_s'])} UTC, offered {shown['offered']} times"
    yield f"reason    {shown['reason']}: {shown['meaning']}"
    yield f"topic     {ascii(shown['topic'])[1:-1]}"
    yield f"bytes     {shown['size_bytes']}, kept {kept}"
    yield f"digest    {shown['digest']}"
    yield "claims    " + ", ".join(f"{name} {value}" for name, value in claimed.items())


def _readmit(loaded: GatewayConfiguration, options: argparse.Namespace) -> int:
    from gateway.running_gateway import RunningGateway  # only here: the other commands start fast

    selection = {key: getattr(options, key) for key in ("reason", "device") if getattr(options, key)}
    if bool(options.id) == bool(selection):
        raise ConfigurationError("give either numbers, or --reason or --device or both of these")
    counts: Counter[str] = Counter()
    with RunningGateway(loaded, "technician") as gateway:
        for content in _requests(options.id, selection):
            while True:
                answer = gateway.post("/api/v1/quarantine/readmit", content)
                for one in answer["results"]:
                    counts[one["result"]] += 1
                    print(f"{one['id']:>8}  {one['result']}" + (f": {one['reason']}" if "reason" in one else ""))
                if answer["next"] is None:
                    break
                content = {**content, "after": answer["next"]}
    print(", ".join(f"{count} {result}" for result, count in sorted(counts.items())) or "nothing was there")
    return 0


def _requests(ids: list[int], selection: Mapping[str, object]) -> list[Mapping[str, object]]:
    if selection:
        return [selection]
    return [{"ids": ids[at : at + OFFERED_MAX]} for at in range(0, len(ids), OFFERED_MAX)]
