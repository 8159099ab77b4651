"""A release as files in a folder: one bundle for each kind of device, with its sizes and its digest told."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

from provisioning import bundle, device_modules
from provisioning.bundle import Row

# Compiled code of one kind of device, in bytes: the budget of the project. A bundle could carry more.
BUDGET_BYTES = 160 * 1024
KINDS = tuple(device_modules.APPS)


class BudgetError(Exception):
    """The firmware has grown beyond its budget. str() is one line that says by how much."""


def build(
    folder: Path,
    say: Callable[[str], None],
    kinds: Sequence[str] = KINDS,
    root: Path = device_modules.ROOT,
    budget_bytes: int = BUDGET_BYTES,
) -> None:
    """Write folder/KIND.bundle for each kind. Raises BudgetError, and writes nothing, when one of them is too large."""
    made = {kind: bundle.build(kind, root) for kind in kinds}
    for kind, content in made.items():
        for line in _lines(kind, content, budget_bytes):
            say(line)
    for kind, content in made.items():
        total = _total(bundle.rows(content))
        if total > budget_bytes:
            raise BudgetError(f"the modules of the {kind} have {total} bytes, {budget_bytes} are allowed")
    folder.mkdir(parents=True, exist_ok=True)
    for kind, content in made.items():
        (folder / f"{kind}.bundle").write_bytes(content)


def _total(rows: Sequence[Row]) -> int:
    return sum(size for _, size in rows)


def _lines(kind: str, content: bytes, budget_bytes: int) -> list[str]:
    """What is told of one bundle."""
    rows = bundle.rows(content)
    return [
        f"{kind}: {len(rows)} modules",
        *(f"{size:9,}  {name}" for name, size in rows),
        f"{_total(rows):9,}  bytes of .mpy, budget {budget_bytes:,}",
        f"{len(content):9,}  bytes of bundle, SHA-256 {hashlib.sha256(content).hexdigest()}",
    ]
