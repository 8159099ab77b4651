"""The hall's item library: a CSV file of the items that its windows handle, exported from the provincial item database.

A technician makes it with a spreadsheet, so every complaint names a line, and the column titles may be Chinese. A file
that is spoilt while the gateway runs leaves the last good one in force.
"""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from gateway import credit_code
from gateway.logs import Log
from gateway.matter import (
    CODE,
    DEPARTMENT_CHARACTERS_MAX,
    DEPARTMENT_CODE_CHARACTERS_MAX,
    NAME_CHARACTERS_MAX,
    Item,
    LibraryItem,
)
from gateway.registry import CHECK_INTERVAL_S, FILE_BYTES_MAX, RegistryError, WatchedFile

Library = Mapping[str, LibraryItem]

# Column -> its Chinese title in exports. The first two must be there.
TITLES = {
    "item_code": "事项编码",
    "item_name": "事项名称",
    "department_code": "部门编码",
    "department_name": "受理部门名称",
    "credit_code": "统一社会信用代码",
    "active": "是否在用",
}
REQUIRED = ("item_code", "item_name")
_CHARACTERS_MAX = {
    "item_name": NAME_CHARACTERS_MAX,
    "department_code": DEPARTMENT_CODE_CHARACTERS_MAX,
    "department_name": DEPARTMENT_CHARACTERS_MAX,
}
_YES_OR_NO = {
    **dict.fromkeys(("", "yes", "true", "1", "是", "在用"), True),
    **dict.fromkeys(("no", "false", "0", "否", "停用"), False),
}
# A province lists some 30 000 items for a county and everything below it; a row takes half a kilobyte of memory.
ITEMS_MAX = 50_000
# Complaints shown at once: enough to see a pattern, few enough to read.
COMPLAINTS_MAX = 20

_log = Log("items")


def parse(text: str) -> dict[str, LibraryItem]:
    """The items in the text of a CSV file, by code. Raises RegistryError, which names up to COMPLAINTS_MAX lines."""
    reader = csv.reader(io.StringIO(text.removeprefix("\ufeff")), strict=True)
    items: dict[str, LibraryItem] = {}
    complaints: list[str] = []
    try:
        columns = _columns(next(reader, []))
        for row in reader:
            if any(row) and len(complaints) < COMPLAINTS_MAX:
                complaints += _add(items, columns, row, reader.line_num)
            if len(items) > ITEMS_MAX:
                raise RegistryError(f"has more than {ITEMS_MAX} items; keep those of this hall")
    except csv.Error as error:
        raise RegistryError(f"line {reader.line_num}: is not CSV ({error}); export the table again") from None
    if complaints:
        raise RegistryError("; ".join(complaints[:COMPLAINTS_MAX]))
    return items


def _columns(header: Sequence[str]) -> list[str]:
    """Names of the columns in their order; "" for one that we do not read."""
    by_title = {**{title: name for name, title in TITLES.items()}, **{name: name for name in TITLES}}
    columns = [by_title.get(title.strip(), "") for title in header]
    for name in REQUIRED:
        if name not in columns:
            raise RegistryError(f"line 1: has no column {name} ({TITLES[name]}); the first line must name the columns")
    return columns


def _add(items: dict[str, LibraryItem], columns: Sequence[str], row: Sequence[str], line: int) -> list[str]:
    """Add one row; what is wrong with it."""
    if len(row) != len(columns):
        return [f"line {line}: has {len(row)} fields where the first line has {len(columns)}"]
    values = {name: value.strip() for name, value in zip(columns, row, strict=True) if name}
    wrong = [f"line {line}: {complaint}" for complaint in _complaints(values, items)]
    if not wrong:
        said = {name: value or None for name, value in values.items()}
        item = Item(
            said["item_code"],
            said["item_name"],
            said.get("department_code"),
            said.get("department_name"),
            said.get("credit_code"),
        )
        items[values["item_code"]] = LibraryItem(item, _YES_OR_NO[values.get("active", "").lower()])
    return wrong


def _complaints(values: Mapping[str, str], known: Library) -> list[str]:
    wrong = []
    code = values["item_code"]
    if not CODE.fullmatch(code):
        wrong.append("item_code must be 31 characters, or 33 of a handling item, digits and capital letters")
    elif code in known:
        wrong.append("item_code stands in an earlier line, too")
    if not values["item_name"]:
        wrong.append("item_name is missing")
    wrong += [
        f"{name} has more than {most} characters"
        for name, most in _CHARACTERS_MAX.items()
        if len(values.get(name, "")) > most
    ]
    if values.get("credit_code") and not credit_code.is_valid(values["credit_code"]):
        wrong.append("credit_code is not 18 characters with the right check character at the end")
    if values.get("active", "").lower() not in _YES_OR_NO:
        wrong.append("active must be yes or no (是, 否)")
    return wrong


def read(path: Path) -> dict[str, LibraryItem]:
    """The items of a file. Raises RegistryError."""
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            raise RegistryError(f"{path}: is larger than {FILE_BYTES_MAX} bytes")
        return parse(path.read_text("utf-8"))
    except OSError as error:
        raise RegistryError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise RegistryError(f"{path}: is not UTF-8; save it as CSV UTF-8") from None
    except RegistryError as error:
        raise RegistryError(str(error) if str(path) in str(error) else f"{path}: {error}") from None


class ItemFile:
    """The library in force; None where the hall has none (yet). Raises RegistryError at the start only."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._file = WatchedFile(path, parse) if path is not None and path.exists() else None
        self._looked_s = -CHECK_INTERVAL_S
        self._spoilt = False

    def refresh(self, now_s: float) -> bool:
        """See WatchedFile.refresh; a file that appears later is taken as well."""
        if self._file is not None:
            return self._file.refresh(now_s)
        if self._path is None or now_s - self._looked_s < CHECK_INTERVAL_S:
            return False
        self._looked_s = now_s
        return self._path.exists() and self._begin(self._path)

    def _begin(self, path: Path) -> bool:
        try:
            self._file = WatchedFile(path, parse)
        except RegistryError as error:
            if not self._spoilt:
                _log.error("item library cannot be used", error)
            self._spoilt = True
            return False
        self._spoilt = False
        return True

    @property
    def healthy(self) -> bool:
        """False while the file on disk cannot be used."""
        return self._file.healthy if self._file else not self._spoilt

    def current(self) -> Library | None:
        """A snapshot that nobody changes."""
        return self._file.content if self._file else None
