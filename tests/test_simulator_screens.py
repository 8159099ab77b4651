"""Every screen is as it was when somebody last looked at it: golden images, and the sheet in the docs.

After a change that is meant: `hallseal-simulator screens tests/screens --scale 1`, move sheet.png to docs/screens.png,
and look at it.
"""

from pathlib import Path

import pytest
from PIL import Image, ImageChops
from source_tree import REPOSITORY

from firmware.tags import TAGS
from firmware.texts import TEXTS, lines
from simulator import cli, screens
from simulator.eyes import MARKS

GOLDEN = REPOSITORY / "tests" / "screens"
SHOTS = {shot.name: shot for shot in screens.shots()}


def same(first: Image.Image, second: Image.Image) -> bool:
    first, second = first.convert("RGB"), second.convert("RGB")
    return first.size == second.size and ImageChops.difference(first, second).getbbox() is None


@pytest.mark.parametrize("name", SHOTS)
def test_a_screen_looks_as_its_golden_image(name: str) -> None:
    with Image.open(GOLDEN / f"{name}.png") as golden:
        assert same(screens.picture(SHOTS[name].frame(), 1), golden)


def test_every_text_has_its_screens_and_no_golden_image_is_left_over() -> None:
    words = {line.split()[0] for line in TEXTS.strip().splitlines()} - set(MARKS)
    assert {shot.word for shot in SHOTS.values()} == words
    for word in words:
        of_word = [shot for shot in SHOTS.values() if shot.word == word]
        assert {shot.language for shot in of_word} == set(screens.LANGUAGES)
        # A screen that labels its buttons has no room for the mark; one without keys has no link to lose.
        unmarked = any("=" in line for line in lines(word, "zh")) or word == "locked"
        assert {shot.mark != "" for shot in of_word} == ({False} if unmarked else {True, False})
    for language in screens.LANGUAGES:
        shown = {shot.mark for shot in SHOTS.values() if (shot.word, shot.language) == ("idle", language)}
        assert shown == {"", *MARKS}
    assert {shot.tag for shot in SHOTS.values()} == {0, *(int(row.split()[0]) for row in TAGS.strip().splitlines())}
    assert {path.stem for path in GOLDEN.iterdir()} == set(SHOTS)


def test_no_two_screens_of_a_language_look_alike() -> None:
    for language in screens.LANGUAGES:
        frames = [shot.frame() for shot in SHOTS.values() if shot.language == language]
        assert len(set(frames)) == len(frames)


def test_the_command_draws_them_larger_and_all_on_one_sheet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["screens", str(tmp_path / "out"), "--scale", "3"]) == 0
    assert f"{len(SHOTS)} screens" in capsys.readouterr().out
    with Image.open(tmp_path / "out" / "thanks-zh.png") as made:
        assert same(made, screens.picture(SHOTS["thanks-zh"].frame(), 3))
        assert made.size == (384, 192)
    with Image.open(tmp_path / "out" / "sheet.png") as made, Image.open(REPOSITORY / "docs" / "screens.png") as shown:
        assert same(made, shown), "the sheet in the docs is not of these screens"


def test_every_text_begins_a_row_of_the_sheet_and_each_kind_of_its_screens_keeps_its_column() -> None:
    found = list(SHOTS.values())
    places = list(screens._places(found))
    assert len(set(places)) == len(found) and {column for _, column in places} == {0, 1, 2, 3}
    first = {shot.word: place for shot, place in zip(reversed(found), reversed(places), strict=True)}
    assert {column for _, column in first.values()} == {0}
    for shot, (_, column) in zip(found, places, strict=True):
        if shot.word != "idle" and (shot.mark or f"{shot.name}-offline" in SHOTS):  # zh, zh offline, en, en offline
            assert column == 2 * (shot.language == "en") + bool(shot.mark), shot.name


def test_a_scale_that_makes_no_sense_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for scale in ("0", "17", "-1", "x"):
        with pytest.raises(SystemExit):
            cli.main(["screens", str(tmp_path), "--scale", scale])
        assert "--scale" in capsys.readouterr().err
