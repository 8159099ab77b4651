"""Makes firmware/glyphs.py: the glyphs of the displays' texts and no others, from GNU Unifont (SIL Open Font License
1.1).

make glyphs
"""

import hashlib
import sys
from collections.abc import Sequence
from pathlib import Path

from firmware.tags import TAGS
from firmware.texts import TEXTS
from simulator.name_characters import FAMILY, GIVEN, PLACES, WITHIN

# Font of the Debian package unifont 1:15.0.01-2. Another version draws other glyphs, which somebody has to look at.
FONT_SHA256 = "fe93c0df9a69e71df0fcf9e71af3adab3c85a393b1a3cae1eb32f69880fc1841"
TARGET = Path(__file__).parent.parent / "firmware" / "glyphs.py"
_NARROW = [chr(code) for code in range(32, 127)]

_MODULE = '''"""Glyphs of the displays, 16 pixels high. Made by simulator/glyph_subset.py from GNU Unifont (SIL OFL
1.1)."""

# One bytes object per width: it stays in flash where modules run from there.
_WIDE_CHARS = (
{index}
)
_WIDE = (
{wide}
)
_NARROW = (
{narrow}
)


def columns(char):
    """(upper, lower) bytes of a character, eight pixels a byte; a box for one that is not in the subset."""
    code = ord(char)
    if 32 <= code < 127:
        at = 16 * (code - 32)
        return _NARROW[at : at + 8], _NARROW[at + 8 : at + 16]
    found = _WIDE_CHARS.find(char)
    if found < 0:
        return b"\\xff" + b"\\x01" * 14 + b"\\xff", b"\\xff" + b"\\x80" * 14 + b"\\xff"
    return _WIDE[32 * found : 32 * found + 16], _WIDE[32 * found + 16 : 32 * found + 32]
'''


def characters() -> str:
    """Every wide character that a display may show: those of the texts sorted, then those of names only. A board looks
    for a glyph from the front, and a press waits for its thanks.
    """
    texts = {char for char in TEXTS + TAGS if ord(char) > 126}
    return "".join([*sorted(texts), *sorted(set(FAMILY + GIVEN + PLACES + WITHIN) - texts)])


def columns(rows: list[int], width: int) -> bytes:
    """Two display pages of a glyph of 16 rows: `width` bytes for its upper half, then the lower, top bit lowest."""
    result = bytearray()
    for half in (rows[:8], rows[8:]):
        for x in range(width):
            result.append(sum((row >> (width - 1 - x) & 1) << y for y, row in enumerate(half)))
    return bytes(result)


def _centred(rows: list[int], width: int) -> list[int]:
    """The rows in 16 columns: the dot within foreign names is a narrow glyph."""
    return [row << (16 - width) // 2 for row in rows]


def read_font(path: Path) -> dict[str, tuple[list[int], int]]:
    """{character: (16 rows, width 8 or 16)} of a Unifont .hex file. Raises ValueError when it is not the pinned one."""
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != FONT_SHA256:
        raise ValueError(f"{path} is not the pinned font: the file of Debian's unifont 1:15.0.01-2")
    font = {}
    for line in content.decode("ascii").splitlines():
        code, digits = line.split(":")
        step = len(digits) // 16
        font[chr(int(code, 16))] = [int(digits[i : i + step], 16) for i in range(0, len(digits), step)], 4 * step
    return font


def _literal(data: bytes) -> str:
    lines = [data[at : at + 24] for at in range(0, len(data), 24)]
    return "\n".join('    b"' + "".join(f"\\x{byte:02x}" for byte in line) + '"' for line in lines)


def module(font: dict[str, tuple[list[int], int]]) -> str:
    """The text of firmware/glyphs.py."""
    wide = characters()
    return _MODULE.format(
        index="\n".join(f'    "{wide[at : at + 40]}"' for at in range(0, len(wide), 40)),
        wide=_literal(b"".join(columns(_centred(*font[char]), 16) for char in wide)),
        narrow=_literal(b"".join(columns(*font[char]) for char in _NARROW)),
    )


def main(arguments: Sequence[str]) -> int:
    """Write the firmware's glyphs from the font whose path is the first argument; 1 when it is not the pinned one."""
    try:
        TARGET.write_text(module(read_font(Path(arguments[0]))), "utf-8")
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
