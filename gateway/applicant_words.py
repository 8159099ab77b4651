"""What must never be kept of a visit: the applicant's name and numbers and the visit number, however they are typed.

A careless business system puts them where the words of an item belong. Both sides are compared without case, width,
accents and separators: "138-0013-8000" holds "13800138000", "张 三丰" is "张三丰", "LI NA" is "Li Na".
"""

import unicodedata
from collections.abc import Iterable, Mapping

from gateway import identity_forms

# Shorter ones stand in many a code or word by chance: two Chinese characters are a name already, two Latin letters
# are nothing; four digits are a year.
CHINESE_MIN, LETTERS_MIN, NUMBER_MIN = 2, 3, 5


class ApplicantWords:
    """The words of one visit. In memory only, and never shown."""

    def __init__(self, visit: str = "", applicant: Mapping[str, str] | None = None) -> None:
        """applicant: "name", "phone" and "id_number" of a visit's request, each optional."""
        said = applicant or {}
        words = (visit, *(said.get(key, "") for key in ("name", "phone", "id_number")), *_numbers(said))
        self._folded = tuple({one for one in map(folded, words) if _is_telling(one)})

    def stand_in(self, text: str) -> bool:
        """True when `text` holds one of them."""
        if not self._folded:
            return False
        seen = folded(text)
        return any(one in seen for one in self._folded)


def folded(text: str) -> str:
    """Letters and digits alone, half-width, without case and accents; those of a hall's own font count as letters."""
    if text.isascii() and text.isalnum():  # nearly every code and number
        return text.lower()
    seen = unicodedata.normalize("NFKD", text)
    return unicodedata.normalize("NFC", "".join(filter(_counts, seen))).casefold()


def _counts(character: str) -> bool:
    category = unicodedata.category(character)
    return category[0] in "LN" or category == "Co"


def _numbers(said: Mapping[str, str]) -> Iterable[str]:
    """The person's own part of phone and document: +86, area code and extension may be left out, or be added."""
    phone = identity_forms.phone(said.get("phone", ""))
    document = identity_forms.document(said.get("id_number", ""))
    return [one.number for one in (phone, document) if one is not None]


def _is_telling(word: str) -> bool:
    if not word.isascii():
        return len(word) >= CHINESE_MIN
    return len(word) >= (LETTERS_MIN if word.isalpha() else NUMBER_MIN)
