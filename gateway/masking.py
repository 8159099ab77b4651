"""What remains readable of a reviewer: the first character of a name, the ends of a phone and of an identity number.

No official rule says which characters to keep (domain reference, section 5), so how much is a hall's configuration;
that a one-character name and a number too short to hide anything are hidden whole is not.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from protocol import rating

# Fixed, so that neither a name nor a number shows its length.
HIDDEN_NAME = "**"
HIDDEN_DIGITS = "****"
# Keeping both ends is only masking when at least this many characters stay hidden between them.
HIDDEN_CHARACTERS_MIN = 4


@dataclass(frozen=True)
class MaskingRule:
    """How many characters of an identity number stay readable, and whether a name of three or more keeps its last."""

    id_number_first: int = 3
    id_number_last: int = 4
    name_last: bool = False

    def name(self, name: str) -> str:
        """ "张三丰" -> "张**", or "张**丰" with name_last; a name of one character is hidden whole."""
        characters = "".join(name.split())
        if len(characters) < 2:
            return HIDDEN_NAME
        last = characters[-1] if self.name_last and len(characters) > 2 else ""
        return characters[0] + HIDDEN_NAME + last

    def phone(self, phone: str) -> str:
        """ "13812345678" -> "138****5678"; a shorter number keeps less."""
        return _ends(phone, 3, 4)

    def id_number(self, number: str) -> str:
        """ "110101199001011234" -> "110****1234"; a shorter number keeps less."""
        return _ends(number, self.id_number_first, self.id_number_last)

    def identity(self, identity: Mapping[int, str]) -> dict[str, str]:
        """The masked form of a disclosed identity (keys of protocol.rating): what was given, by name."""
        masks = {
            rating.NAME: ("name", self.name),
            rating.PHONE: ("phone", self.phone),
            rating.ID_NUMBER: ("id_number", self.id_number),
        }
        masked = {name: mask(identity[key]) for key, (name, mask) in masks.items() if key in identity}
        if rating.ID_KIND in identity:
            masked["id_kind"] = _kind(identity[rating.ID_KIND])
        return masked


def _kind(kind: str) -> str:
    """A document kind is a short code; anything else in its place could be the document itself."""
    return kind if len(kind) <= 3 and kind.isascii() and kind.isalnum() else HIDDEN_DIGITS


def _ends(text: str, first: int, last: int) -> str:
    """`first` and `last` characters around the mask; less when too little would stay hidden."""
    characters = "".join(text.split())
    hidden = len(characters) - first - last
    if hidden >= HIDDEN_CHARACTERS_MIN:
        return characters[:first] + HIDDEN_DIGITS + characters[len(characters) - last :]
    if len(characters) >= last + HIDDEN_CHARACTERS_MIN:
        return HIDDEN_DIGITS + characters[len(characters) - last :]
    return HIDDEN_DIGITS
