"""What a visit is about, in the business system's words, and what of them may stand with the rating.

Words are held against the hall's item library. What does not fit never refuses a visit, for then nobody could rate it:
the rating carries a flag. Where the library knows the item, its words stand with the rating, not those that were sent.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace

from gateway import credit_code
from gateway.applicant_words import ApplicantWords

# Article 3 of the seed document treats them apart (domain reference, P5).
SINGLE, BATCH, JOINT, THEME, CONSULTATION = "single", "batch", "joint", "theme", "consultation"
KINDS = (SINGLE, BATCH, JOINT, THEME, CONSULTATION)
WITH_PARTS = (BATCH, JOINT, THEME)
# A theme (一件事) joins 3 to 10 matters; more questions nobody would answer.
PARTS_MAX = 12

# GB/T 39046-2020, A.4, as words: platforms number them in different ways (domain reference 3.3).
APPLICANT_KINDS = ("natural_person", "enterprise", "institution", "social_organisation", "agency", "other")

# Implementation code of an item; with the two characters of a handling item behind it. They begin with a credit code,
# so they hold letters as well.
CODE = re.compile("[0-9A-Z]{31}(?:[0-9A-Z]{2})?")
# GB/T 39046-2020: item name an..200, agency code an..18; a department's name is shorter than an item's.
NAME_CHARACTERS_MAX = 200
DEPARTMENT_CHARACTERS_MAX = 100
DEPARTMENT_CODE_CHARACTERS_MAX = 18
_NOTHING = ApplicantWords()


@dataclass(frozen=True)
class Item:
    """A service item and the department that handles it; None: not said."""

    code: str | None = None  # 31 or 33 characters
    name: str | None = None
    department_code: str | None = None
    department_name: str | None = None
    credit_code: str | None = None  # unified social credit code of the department


@dataclass(frozen=True)
class LibraryItem:
    """An item as the library has it. item: code and names are given, the others where the library has them."""

    item: Item
    active: bool


@dataclass(frozen=True)
class Matter:
    """What one visit is about. parts: of a batch, joint or theme visit, at most PARTS_MAX."""

    kind: str = SINGLE
    item: Item = Item()
    applicant_kind: str | None = None
    parts: tuple[Item, ...] = ()


@dataclass(frozen=True)
class Context:
    """What stands with a rating: words for `visit_json` of the record, and rule codes."""

    words: Mapping[str, object]
    flags: tuple[str, ...]


def whole(
    matter: Matter, staff: str | None, library: Mapping[str, LibraryItem] | None, unsaid: ApplicantWords = _NOTHING
) -> Context:
    """The context of a visit that is rated once. library: None where the hall has none. unsaid: see compare()."""
    item, flags = compare(matter.item, library, unsaid)
    compared = [compare(part, library, unsaid) for part in matter.parts]
    words, found = _words(matter, staff, item, unsaid)
    if compared:
        words["parts"] = [_item_words(part) for part, _ in compared]
    return _context(words, [*flags, *found, *(flag for _, found in compared for flag in found)])


def part(
    matter: Matter,
    number: int,
    staff: str | None,
    library: Mapping[str, LibraryItem] | None,
    unsaid: ApplicantWords = _NOTHING,
) -> Context:
    """The context of part `number` (from 1) of a visit that is rated part by part."""
    item, flags = compare(matter.parts[number - 1], library, unsaid)
    words, found = _words(matter, staff, item, unsaid)
    return _context({**words, "part": number}, [*flags, *found])


def _context(words: Mapping[str, object], flags: Sequence[str]) -> Context:
    return Context(words, tuple(dict.fromkeys(flags)))


def compare(
    said: Item, library: Mapping[str, LibraryItem] | None, unsaid: ApplicantWords = _NOTHING
) -> tuple[Item, list[str]]:
    """The words that may be kept, and the rule codes of what does not fit.

    unsaid: what must never be kept; a word that holds some of it is dropped, whatever its field: one identity number
    in 31 passes for a credit code. A code of the library is public, and no person's.
    """
    item, flags = _plain(said, library or {}, unsaid)
    if item.credit_code is not None and not credit_code.is_valid(item.credit_code):
        item = replace(item, credit_code=None)
        flags.append("credit_code")
    if item.code is None:
        return item, flags
    if not CODE.fullmatch(item.code):
        return replace(item, code=None), [*flags, "item_code"]
    if library is None:
        return item, flags
    known = library.get(item.code)
    if known is None:
        return item, [*flags, "item_unknown"]
    return known.item, [*flags, *_differences(item, known)]


def _plain(said: Item, library: Mapping[str, LibraryItem], unsaid: ApplicantWords) -> tuple[Item, list[str]]:
    """Codes in capitals, and no word that holds what must not be kept."""
    values: dict[str, str] = {}
    flags: list[str] = []
    for one in fields(said):
        value = getattr(said, one.name)
        if value is None:
            continue
        value = value if one.name.endswith("name") else value.upper()
        if unsaid.stand_in(value) and not (one.name == "code" and value in library):
            flags = ["item_words"]
            continue
        values[one.name] = value
    return Item(**values), flags


def _differences(said: Item, known: LibraryItem) -> list[str]:
    flags = [] if known.active else ["item_inactive"]
    if said.name not in (None, known.item.name):
        flags.append("item_differs")
    of_department = ("department_code", "department_name", "credit_code")
    if any(_differ(getattr(said, name), getattr(known.item, name)) for name in of_department):
        flags.append("department_differs")
    return flags


def _differ(said: str | None, known: str | None) -> bool:
    return said is not None and known is not None and said != known


def _words(
    matter: Matter, staff: str | None, item: Item, unsaid: ApplicantWords
) -> tuple[dict[str, object], list[str]]:
    """The words besides the parts, and the rule codes of what was dropped."""
    words: dict[str, object] = {"kind": matter.kind, **_item_words(item)}
    flags = []
    if staff is not None and unsaid.stand_in(staff):
        flags = ["item_words"]
    elif staff is not None:
        words["staff"] = staff
    if matter.applicant_kind is not None:
        words["applicant_kind"] = matter.applicant_kind
    return words, flags


def _item_words(item: Item) -> dict[str, str]:
    names = {"code": "item_code", "name": "item_name"}
    found = {one.name: getattr(item, one.name) for one in fields(item)}
    return {names.get(name, name): value for name, value in found.items() if value is not None}
