"""Every screen of the devices as a picture: what people will see, before there is hardware, and after each change.

The frame is the firmware's own; only what holds the pixels is ours. Pictures of one pixel a dot are the golden images
of the tests; larger ones are for people.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, product
from pathlib import Path

from PIL import Image, ImageDraw

from firmware import tags
from firmware.screen import Screen
from firmware.ssd1306 import HEIGHT, WIDTH, Ssd1306
from firmware.texts import TEXTS, lines
from simulator.eyes import MARKS, Paper

LANGUAGES = ("zh", "en")
# What fills the gaps of a text, {language: values}: a window, a door, a name, digits.
_Values = dict[str, tuple[str, ...]]
_DOOR: _Values = {"zh": ("D1",), "en": ("D1",)}
_NAME: _Values = {"zh": ("林建国",), "en": ("Lin Jianguo",)}
_LONG_NAME: _Values = {"zh": ("欧阳娜娜",), "en": ("Ouyang Nana",)}
_VALUES: dict[str, _Values] = {
    "idle": {"zh": ("07",), "en": ("07",)},
    "idle_staff": {"zh": ("07", "林建国"), "en": ("07", "Lin Jianguo")},
    "phone": {"zh": ("_",), "en": ("_",)},
    "wrong": {"zh": ("13800_",), "en": ("13800_",)},
    "ready": _DOOR,
    "ready_in": _DOOR,
    "ready_out": _DOOR,
    "punched": _NAME,
    "in": _NAME,
    "out": _NAME,
    "choose": _NAME,
    "remove": _NAME,
    "lift": _NAME,
    "enrolled": _NAME,
    "deleted": _NAME,
    "enrol": {"zh": ("林建国", "2"), "en": ("Lin Jianguo", "2")},
}
# The case that leaves no room for the mark of a lost link.
_WHOLE = "longest"
# More of the same text, for what is hardest to lay out: {text: {case: values}}.
_CASES: dict[str, dict[str, _Values]] = {
    "idle_staff": {
        "long": {"zh": ("07", "欧阳娜娜"), "en": ("07", "Ouyang Nana")},
        _WHOLE: {
            "zh": ("综合服务大厅东区一层二号三号四号", "买买提·阿依古丽江·阿提"),
            "en": ("East hall, no. 7", "Ouyang Nanxi"),
        },
    },
    "phone": {
        "begun": {"zh": ("138_",), "en": ("138_",)},
        "whole": {"zh": ("057138001380_",), "en": ("057138001380_",)},
    },
    "ready": {"long": {"zh": ("东门二楼入口处",), "en": ("Back entrance 2",)}},
    "punched": {"long": _LONG_NAME},
    "choose": {"long": _LONG_NAME},
    "remove": {"long": _LONG_NAME},
    "enrol": {"long": {"zh": ("欧阳娜娜", "2"), "en": ("Ouyang Nana", "2")}},
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
    """One screen. word: name of its text. mark: name of its mark, "" for none. tag: of a reason page. case: which
    values fill the text, "" for ordinary ones.
    """

    word: str
    language: str
    mark: str = ""
    tag: int = 0
    case: str = ""

    @property
    def name(self) -> str:
        """As the file is called, without its ending."""
        tag = f"-{self.tag}" if self.tag else ""
        case = f"-{self.case}" if self.case else ""
        return f"{self.word}{case}{tag}-{self.language}{self._marked}"

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
        values = _CASES[self.word][self.case] if self.case else _VALUES.get(self.word, {})
        return values.get(self.language, ())

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
            yield from _of_word(word)


def _of_word(word: str) -> Iterator[Shot]:
    tags_of_word = _tag_codes() if word == "reason" else [0]
    for tag, case in product(tags_of_word, ("", *_CASES.get(word, ()))):
        for language in LANGUAGES:
            for mark in _marks(word, case):
                yield Shot(word, language, mark, tag, case)


def _marks(word: str, case: str) -> tuple[str, ...]:
    """The marks that this text is shown with, the empty one first."""
    if word in _UNMARKED or case == _WHOLE:
        return ("",)
    return ("", *MARKS) if word == _EXPLAINED else ("", MARKS[0])


def picture(frame: bytes, scale: int) -> Image.Image:
    """A frame (eight pixels a byte, from top to bottom) as an image; scale: pixels a dot, 1 to SCALE_MAX."""
    image = Image.new("RGB", (WIDTH, HEIGHT), _GROUND)
    dots = [frame[y // 8 * WIDTH + x] >> (y % 8) & 1 for y in range(HEIGHT) for x in range(WIDTH)]
    image.putdata([_DOT if dot else _GROUND for dot in dots])
    return image.resize((WIDTH * scale, HEIGHT * scale), Image.Resampling.NEAREST)


def _places(found: Sequence[Shot]) -> Iterator[tuple[int, int]]:
    """(row, column) of each on the sheet."""
    row, column, word = -1, _SHEET_COLUMNS, ""
    for _, shots_of_one in groupby(found, lambda shot: (shot.word, shot.case, shot.tag, shot.language)):
        together = list(shots_of_one)
        if together[0].word != word or len(together) > _SHEET_COLUMNS - column:
            row, column, word = row + 1, 0, together[0].word
        for _ in together:
            if column == _SHEET_COLUMNS:
                row, column = row + 1, 0
            yield row, column
            column += 1


def sheet(found: Sequence[Shot], scale: int) -> Image.Image:
    """All of them on one sheet, each with its name below; every text begins a row."""
    wide, high = WIDTH * scale + _GAP, HEIGHT * scale + _GAP + _CAPTION_PIXELS
    places = list(_places(found))
    rows = places[-1][0] + 1
    image = Image.new("RGB", (_SHEET_COLUMNS * wide + _GAP, rows * high + _GAP), _SHEET_GROUND)
    pen = ImageDraw.Draw(image)
    for shot, (row, column) in zip(found, places, strict=True):
        left, top = _GAP + column * wide, _GAP + row * high
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
