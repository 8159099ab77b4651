"""The commands `hallseal-gateway items …`: take an item library into use."""

import argparse
import os
from pathlib import Path

from gateway import item_library
from gateway.configuration import GatewayConfiguration
from gateway.section import ConfigurationError


def run_import(loaded: GatewayConfiguration, options: argparse.Namespace) -> int:
    """Check a file, then put it in the library's place. Raises ConfigurationError, RegistryError, OSError."""
    items = item_library.read(options.file)
    path = loaded.visits.items
    if path is None:
        raise ConfigurationError('[visits] items: is missing; add items = "items.csv", and start the gateway again')
    _replace(path, options.file.read_bytes())
    unused = sum(not one.active for one in items.values())
    print(f"items in use: {len(items) - unused} of {len(items)} in {path}; a running gateway takes them within seconds")
    return 0


def _replace(path: Path, content: bytes) -> None:
    """Whole or not at all: the gateway may look at any moment."""
    draft = path.with_name(f".{path.name}.new")
    with draft.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> argparse.ArgumentParser:
    """The command `items import`; the caller finishes it."""
    items = commands.add_parser("items", help="the library of service items that visits are checked against")
    actions = items.add_subparsers(title="commands", metavar="COMMAND", required=True)
    importing = actions.add_parser("import", help="check a CSV file and take it into use")
    importing.add_argument("file", type=Path, metavar="FILE", help="CSV in UTF-8; see docs/visits.md for its columns")
    return importing
