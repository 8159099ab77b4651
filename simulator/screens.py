"""Every screen of the devices as a picture: what people will see, before there is hardware, and after each change.

The frame is the firmware's own; only what holds the pixels is ours. Pictures of one pixel a dot are the golden images
of the tests; larger ones are for people.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw

from firmware import tags
from firmware.screen import Screen
from firmware.ssd1306 import HEIGHT, WIDTH, Ssd1306
from firmware.texts import TEXTS, lines
from simulator.eyes import MARKS, Paper

LANGUAGES = ("zh", "en")
_NAME: dict[str, tuple[str, ...]] = {"zh": ("王琳",), "en": ("Wang Lin",)}
# What fills the gaps of a text: a window, a door, a name, digits.
_VALUES: dict[str, dict[str, tuple[str, ...]]] = {
    "idle": {"zh": ("07",), "en": ("07",)},
    "idle_staff": {"zh": ("07", "王琳"), "en": ("07", "Wang Lin")},
    "phone": {"zh": ("138_",), "en": ("138_",)},
    "wrong": {"zh": ("13800_",), "en": ("13800_",)},
    "ready": {"zh": ("D1",), "en": ("D1",)},
    "ready_in": {"zh": ("D1",), "en": ("D1",)},
    "ready_out": {"zh": ("D1",), "en": ("D1",)},
    "punched": _NAME,
    "in": _NAME,
    "out": _NAME,
    "choose": _NAME,
    "remove": _NAME,
    "lift": _NAME,
    "enrolled": _NAME,
    "deleted": _NAME,
    "enrol": {"zh": ("王琳", "2"), "en": ("Wang Lin", "2")},
}
# These label the buttons where the mark of a lost link has its place, or have no link to lose.
_UNMARKED = ("reason", "phone", "wrong", "locked")
# Why the link is lost is shown where nobody is in the middle of something; this screen stands for all of these.
_EXPLAINED = "idle"
_ERROR_CODE = "-29184"
# Dots of such a display are light blue on black.
_DOT, _GROUND = (158, 216, 255), (6, 10, 14)
_SHEET_GROUND, _CAPTION = (38, 44, 50), (214, 220, 224)
_SHEET_COLUMNS, _GAP, _CAPTION_PIXELS = 4, 24, 22
SCALE_MAX = 16


@dataclass(frozen=True)
class Shot:
    """One screen. word: name of its text. mark: name of its mark, "" for none. tag: of a reason page."""

    word: str
    language: str
    mark: str = ""
    tag: int = 0

    @property
    def name(self) -> str:
        """As the file is called, without its ending."""
        tag = f"-{self.tag}" if self.tag else ""
        return f"{self.word}{tag}-{self.language}{self._marked}"

    @property
    def _marked(self) -> str:
        if not self.mark:
            return ""
        return "-offline" if self.mark == MARKS[0] else f"-offline-{self.mark}"

    @property
    def _values(self) -> tuple[str, ...]:
        if self.tag:
            asked = tags.of_level(_tag_codes(), self.tag // 100)
            return tags.words(self.tag, self.language), f"{asked.index(self.tag) + 1}/{len(asked)}"
        return _VALUES.get(self.word, {}).get(self.language, ())

    def frame(self) -> bytes:
        """The display's memory, as the firmware draws it."""
        display = Ssd1306(Paper())
        mark = lines(self.mark, self.language)[0].replace("%s", _ERROR_CODE) if self.mark else ""
        Screen(display).show(self.word, self.language, self._values, mark)
        return bytes(display.frame)


def _tag_codes() -> list[int]:
    """Every tag that has words, in their order."""
    return list(dict.fromkeys(int(line.split()[0]) for line in tags.TAGS.strip().splitlines()))


def shots() -> Iterator[Shot]:
    """Every screen in every language, with and without a link; texts in their order, a reason page for every tag."""
    words = dict.fromkeys(line.split()[0] for line in TEXTS.strip().splitlines())
    for word in words:
        if word not in MARKS:
            for tag in _tag_codes() if word == "reason" else (0,):
                for language in LANGUAGES:
                    for mark in _marks(word):
                        yield Shot(word, language, mark, tag)


def _marks(word: str) -> tuple[str, ...]:
    """The marks that this text is shown with, the empty one first."""
    if word in _UNMARKED:
        return ("",)
    return ("", *MARKS) if word == _EXPLAINED else ("", MARKS[0])


def picture(frame: bytes, scale: int) -> Image.Image:
    """A frame (eight pixels a byte, from top to bottom) as an image; scale: pixels a dot, 1 to SCALE_MAX."""
    image = Image.new("RGB", (WIDTH, HEIGHT), _GROUND)
    dots = [frame[y // 8 * WIDTH + x] >> (y % 8) & 1 for y in range(HEIGHT) for x in range(WIDTH)]
    image.putdata([_DOT if dot else _GROUND for dot in dots])
    return image.resize((WIDTH * scale, HEIGHT * scale), Image.Resampling.NEAREST)


def sheet(found: Sequence[Shot], scale: int) -> Image.Image:
    """All of them on one sheet, each with its name below."""
    wide, high = WIDTH * scale + _GAP, HEIGHT * scale + _GAP + _CAPTION_PIXELS
    rows = -(-len(found) // _SHEET_COLUMNS)
    image = Image.new("RGB", (_SHEET_COLUMNS * wide + _GAP, rows * high + _GAP), _SHEET_GROUND)
    pen = ImageDraw.Draw(image)
    for number, shot in enumerate(found):
        left, top = _GAP + number % _SHEET_COLUMNS * wide, _GAP + number // _SHEET_COLUMNS * high
        image.paste(picture(shot.frame(), scale), (left, top))
        pen.text((left, top + HEIGHT * scale + 4), shot.name, fill=_CAPTION)
    return image


def _scale(text: str) -> int:
    value = int(text)
    if not 1 <= value <= SCALE_MAX:
        raise argparse.ArgumentTypeError(f"a number from 1 to {SCALE_MAX}")
    return value


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """hallseal-simulator screens"""
    parser = subparsers.add_parser("screens", help="every screen of the devices as a picture, and all on one sheet")
    parser.add_argument("folder", type=Path, metavar="OUT", help="where the pictures go; made where there is none")
    parser.add_argument("--scale", type=_scale, default=4, help="pixels a dot of the display (default 4)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Write the pictures; those that stand there under the same names are replaced."""
    found = list(shots())
    arguments.folder.mkdir(parents=True, exist_ok=True)
    for shot in found:
        picture(shot.frame(), arguments.scale).save(arguments.folder / f"{shot.name}.png", optimize=True)
    sheet(found, 2).save(arguments.folder / "sheet.png", optimize=True)
    print(f"{len(found)} screens, and sheet.png with all of them, are in {arguments.folder}")
    return 0
