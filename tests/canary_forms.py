"""Words that must not be found anywhere, in every form in which a program may have written them."""

import base64
import binascii
import html
import random
from collections.abc import Iterable, Iterator
from string import ascii_lowercase
from urllib.parse import quote_from_bytes

from protocol import cbor

_CHANCE = random.SystemRandom()
# Shorter pieces stand anywhere by chance: 2^-48 for each place of a file.
PIECE_BYTES_MIN = 6


def chinese(length):
    """A word of rare characters that no text of ours holds."""
    return "".join(chr(_CHANCE.randrange(0x5000, 0x9F00)) for _ in range(length))


def digits(length):
    return "".join(_CHANCE.choice("0123456789") for _ in range(length))


def latin():
    """A short name in Latin letters: first and family name of two."""
    return " ".join("".join(_CHANCE.choice(ascii_lowercase) for _ in range(2)).title() for _ in range(2))


def typed(word: str) -> list[str]:
    """The same word as people and programs type it: full-width, with separators, in other case."""
    wide = "".join(chr(ord(one) + 0xFEE0) if "!" <= one <= "~" else one for one in word)
    third = len(word) // 3
    pieces = word[:third], word[third : 2 * third], word[2 * third :]
    return [wide, *(mark.join(pieces) for mark in ("-", " ", "·", "\u200b")), word.lower(), word.upper()]


def _base64(content: bytes) -> Iterator[tuple[str, bytes]]:
    """What does not depend on the bytes around it, for each place within three bytes."""
    for offset in range(3):
        for name, encode in (("base64", base64.b64encode), ("base64 for addresses", base64.urlsafe_b64encode)):
            text = encode(bytes(offset) + content)
            first, last = -(-offset * 8 // 6), (offset + len(content)) * 8 // 6
            yield f"{name}, {offset} bytes on", text[first:last]


def _of_bytes(content: bytes) -> Iterator[tuple[str, bytes]]:
    yield "as it is", content
    lower = binascii.hexlify(content)
    yield "hex", lower
    yield "HEX", lower.upper()
    yield "hex with colons", binascii.hexlify(content, ":")
    yield "CBOR bytes", cbor.encode(content)
    yield "Python bytes", repr(content)[2:-1].encode()
    percent = quote_from_bytes(content, safe="").encode()
    yield "address", percent
    yield "address, lower case", bytes(percent).lower()
    yield from _base64(content)


def _of_text(word: str) -> Iterator[tuple[str, bytes]]:
    yield from _of_bytes(word.encode())
    yield "CBOR text", cbor.encode(word)
    for encoding in ("utf-16-le", "utf-16-be", "utf-32-le", "gb18030"):
        yield encoding, word.encode(encoding)
    escaped = "".join(f"\\u{ord(one):04x}" for one in word).encode()
    yield "JSON", escaped
    yield "JSON, upper case", escaped.upper().replace(b"\\U", b"\\u")
    yield "HTML", "".join(f"&#{ord(one)};" for one in word).encode()
    yield "HTML, hex", "".join(f"&#x{ord(one):x};" for one in word).encode()
    yield "HTML, quoted", html.escape(word).encode()


def _of_number(number: int) -> Iterator[tuple[str, bytes]]:
    yield "decimal", str(number).encode()
    yield "CBOR number", cbor.encode(number)
    yield "hex", f"{number:x}".encode()
    yield "HEX", f"{number:X}".encode()
    yield "64 bits, little end first", number.to_bytes(8, "little")
    yield "64 bits, big end first", number.to_bytes(8, "big")


def forms_of(word: object) -> dict[str, bytes]:
    """{name of the form: bytes} of a text, of bytes or of a number."""
    if isinstance(word, str):
        found = dict(_of_text(word))
    elif isinstance(word, bytes):
        found = dict(_of_bytes(word))
    else:
        found = dict(_of_number(int(str(word))))
    short = [name for name, form in found.items() if len(form) < PIECE_BYTES_MIN - (name == "CBOR number")]
    assert not short, f"too short to be told from chance: {short}"
    return found


class Search:
    """Looks for all planted words at once. words: {what it is: text, bytes or number}."""

    def __init__(self, words: dict[str, object]) -> None:
        self._needles: dict[bytes, tuple[str, str]] = {}
        for what, word in words.items():
            for form, needle in forms_of(word).items():
                self._needles.setdefault(needle, (what, form))

    def __len__(self) -> int:
        return len(self._needles)

    def hits(self, content: bytes) -> list[tuple[str, str]]:
        """(what, form) of everything that stands in `content`."""
        return sorted(found for needle, found in self._needles.items() if needle in content)


def cells(rows: Iterable[Iterable[object]]) -> bytes:
    """The values of a table as text and bytes: a database may pack them, and then no file shows them as they are."""
    return b"\n".join(
        value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogatepass")
        for row in rows
        for value in row
        if value is not None
    )
