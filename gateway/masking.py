"""What remains readable of a reviewer: the first letter of a name, the ends of a phone and of an identity number.

No official rule says which characters to keep (domain reference, section 5), so how much of each field is a hall's
configuration. That a name of one letter is hidden whole, and so is a number too short to hide anything and whatever
has not the form of its field, is not. Compound surnames have no rule of their own: one character of 欧阳 tells less.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from gateway import identity_forms
from gateway.identity_forms import MOBILE
from protocol import rating

# What a name of one letter becomes; any other shows neither its length nor that of its parts.
HIDDEN_LETTER = "*"
HIDDEN_NAME = "**"
HIDDEN_DIGITS = "****"
# Keeping both ends is only masking when at least this many characters stay hidden: 10 000 persons share the rest.
HIDDEN_CHARACTERS_MIN = 4


@dataclass(frozen=True)
class MaskingRule:
    """How many characters stay readable of each field, and whether a name of three letters or more keeps its last.

    id_number: of a resident identity number. document: of a passport, permit or any other number. phone_first: of a
    mobile phone; of a landline the area code is hidden as well.
    """

    id_number_first: int = 3
    id_number_last: int = 4
    name_last: bool = False
    name_first: bool = True
    phone_first: int = 3
    phone_last: int = 4
    document_last: int = 4

    def name(self, name: str) -> str:
        """ "张三丰" -> "张**", or "张**丰" with name_last; "丽" -> "*"; what begins with no letter is hidden whole."""
        found = identity_forms.letters(name)
        if found is not None and len(found) < 2:
            return HIDDEN_LETTER
        if found is None or not self.name_first:
            return HIDDEN_NAME
        return found[0] + HIDDEN_NAME + (found[-1] if self.name_last and len(found) > 2 else "")

    def phone(self, phone: str) -> str:
        """ "+86 138 1234 5678" -> "138****5678", "0379-12345678" -> "****5678"; a shorter number keeps less."""
        found = identity_forms.phone(phone)
        if found is None:
            return HIDDEN_DIGITS
        return _ends(found.number, self.phone_first if found.kind == MOBILE else 0, self.phone_last)

    def id_number(self, number: str) -> str:
        """ "110101199001011234" -> "110****1234", "E12345678" -> "****5678"; a shorter number keeps less."""
        found = identity_forms.document(number)
        if found is None:
            return HIDDEN_DIGITS
        if found.resident:
            return _ends(found.number, self.id_number_first, self.id_number_last)
        return _ends(found.number, 0, self.document_last)

    def identity(self, identity: Mapping[int, str]) -> dict[str, str]:
        """The masked form of a disclosed identity (keys of protocol.rating): what was given, by name."""
        masks = {
            rating.NAME: ("name", self.name),
            rating.PHONE: ("phone", self.phone),
            rating.ID_NUMBER: ("id_number", self.id_number),
            rating.ID_KIND: ("id_kind", _kind),
        }
        return {name: mask(identity[key]) for key, (name, mask) in masks.items() if key in identity}


def _kind(kind: str) -> str:
    """A document kind is a code of three digits (111: identity card); anything else could be the document itself."""
    return kind if len(kind) <= 3 and kind.isascii() and kind.isdecimal() else HIDDEN_DIGITS


def _ends(text: str, first: int, last: int) -> str:
    """`first` and `last` characters around the mask; less when too little would stay hidden."""
    for shown_first, shown_last in ((first, last), (0, last)):
        if len(text) - shown_first - shown_last >= HIDDEN_CHARACTERS_MIN:
            return text[:shown_first] + HIDDEN_DIGITS + text[len(text) - shown_last :]
    return HIDDEN_DIGITS
