"""How names, phones and document numbers are read, however they were typed: for masking, and to know a person again.

Full-width characters, spaces, hyphens, brackets and invisible characters do not count. What has not the form of its
field is told as such (None), so that nobody mistakes a name in the field of a phone for a phone.
"""

import re
import unicodedata
from typing import NamedTuple

MOBILE, LANDLINE, OTHER = "mobile", "landline", "other"

# E.164: an international number has at most 15 digits. A longer one is something else, such as an identity number.
PHONE_DIGITS_MAX = 15
# Numbers for the public: three digits for Beijing and the large cities (010, 02x), four for all others.
_AREA = re.compile("010|02[0-9]|0[3-9][0-9]{2}")
_MOBILE = re.compile("1[3-9][0-9]{9}")
_LANDLINE_DIGITS_MAX = 12
# What stands before an extension; a hyphen does so, too, but only after a whole number.
_EXTENSION = re.compile(r"转|轉|分机|分機|[xX#,;*]|(?i:ext)")
_HAN = re.compile("[\u4e00-\u9fff]+")
_SEPARATORS = re.compile(r"[\s().·/\-]")
_PLAIN_PHONE = re.compile(r"\+?[0-9]+")
_PLAIN_DOCUMENT = re.compile("[0-9A-Z]+")
# Of 1999 and later: 17 digits and a check character; before, 15 digits.
_RESIDENT = re.compile("[0-9]{17}[0-9X]|[0-9]{15}")
# Hong Kong and Macao permits: of the person the first nine, then twice a digit that counts renewals.
_PERMIT = re.compile("([HM][0-9]{8})[0-9]{2}")


class Phone(NamedTuple):
    """A telephone number. area: with its 0, of a landline only. number: the subscriber's own. extension: "" without."""

    kind: str
    area: str
    number: str
    extension: str


class Document(NamedTuple):
    """A document number: digits and capital letters. resident: it has the form of a resident identity number."""

    number: str
    resident: bool


def letters(name: str) -> str | None:
    """The letters of a name, in their order; None when it begins with something else, such as a digit.

    "阿依古丽·买买提" -> "阿依古丽买买提", "O'Neil" -> "ONeil", a letter with its accents is one. Characters of a hall's
    own font (private use: rare surnames) count as letters.
    """
    if _HAN.fullmatch(name):  # nearly every name; what follows costs ten times as much
        return name
    seen = [one for one in unicodedata.normalize("NFKC", name) if not _is_silent(one)]
    if seen and not _is_letter(seen[0]):
        return None
    return "".join(one for one in seen if _is_letter(one))


def _is_letter(character: str) -> bool:
    category = unicodedata.category(character)
    return category[0] == "L" or category == "Co"


def _is_silent(character: str) -> bool:
    """Marks, spaces, punctuation and controls: they neither begin nor lengthen a name."""
    category = unicodedata.category(character)
    return category[0] in "MZP" or category in ("Cc", "Cf", "Sk")


def phone(text: str) -> Phone | None:
    """The number in `text`; None when it is none.

    +86 and 0086 are left out. "010-12345678转801" -> Phone("landline", "010", "12345678", "801").
    """
    if _MOBILE.fullmatch(text):  # nearly every phone
        return Phone(MOBILE, "", text, "")
    number, _, extension = _split_extension(_visible(text))
    digits = _SEPARATORS.sub("", number)
    if not _PLAIN_PHONE.fullmatch(digits):
        return None
    national = re.sub(r"^(\+|00)86", "", digits) if len(digits) != 13 else re.sub(r"^(\+?86|0086)", "", digits)
    if national.startswith(("+", "00")):
        return _other(national.lstrip("+").removeprefix("00"))
    if _MOBILE.fullmatch(national):
        return Phone(MOBILE, "", national, extension)
    abroad = national != digits and not national.startswith("0")  # from abroad one leaves out the 0 of the area
    return _landline("0" + national if abroad else national, extension) or _other(national)


def _split_extension(text: str) -> tuple[str, str, str]:
    """(number, separator, digits of the extension)."""
    found = _EXTENSION.search(text, 1)
    if found:
        return text[: found.start()], found[0], "".join(re.findall("[0-9]", text[found.end() :]))
    number, hyphen, last = text.rpartition("-")
    if hyphen and text.startswith("0") and len(re.findall("[0-9]", text)) > _LANDLINE_DIGITS_MAX and last.isdecimal():
        return number, hyphen, last
    return text, "", ""


def _landline(digits: str, extension: str) -> Phone | None:
    area = _AREA.match(digits)
    if area is None or not 7 <= len(digits) - area.end() <= 8:
        return None
    return Phone(LANDLINE, area[0], digits[area.end() :], extension)


def _other(digits: str) -> Phone | None:
    return Phone(OTHER, "", digits, "") if len(digits) <= PHONE_DIGITS_MAX else None


def document(text: str) -> Document | None:
    """The document number in `text`; None when there is more than letters and digits of ASCII.

    A Hong Kong or Macao permit comes without the two digits that count its renewals.
    """
    if _RESIDENT.fullmatch(text):  # nearly every document
        return Document(text, resident=True)
    number = _SEPARATORS.sub("", _visible(text)).upper()
    if not _PLAIN_DOCUMENT.fullmatch(number):
        return None
    permit = _PERMIT.fullmatch(number)
    return Document(permit[1] if permit else number, _RESIDENT.fullmatch(number) is not None)


def _visible(text: str) -> str:
    """Half-width, every kind of hyphen as "-", without what cannot be seen."""
    return "".join(
        "-" if unicodedata.category(one) == "Pd" else one
        for one in unicodedata.normalize("NFKC", text).strip()
        if unicodedata.category(one) not in ("Cc", "Cf", "Mn")
    )
