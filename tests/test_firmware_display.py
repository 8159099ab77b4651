"""What a person reads on a display and presses below it: every text fits, every press counts once."""

import asyncio
import hashlib
from pathlib import Path

import pytest
from virtual_time import Clock, timeless

from firmware import glyphs, tags
from firmware.buttons import SAMPLE_MS, STABLE_SAMPLES, STUCK_MS, Buttons, levels
from firmware.screen import Screen
from firmware.ssd1306 import PAGES, WIDTH, Ssd1306
from firmware.texts import TEXTS, lines
from simulator import glyph_subset
from simulator.desk_board import DeskPin, Edge
from simulator.eyes import MARKS

ROWS = [row.split(maxsplit=2) for row in TEXTS.strip().split("\n")]
NAMES = sorted({name for name, _, _ in ROWS} - set(MARKS))
LANGUAGES = ("zh", "en")
# Texts with a value that the hall does not choose: reasons are in tags.py, touches are three.
OWN_VALUES = {"reason": ("没有提供|材料样本？", "1/8"), "enrol": (None, "2")}
# Texts that label the buttons; the mark of a lost link has no place there.
LABELLED = {name for name, _, text in ROWS if "|=" in text}
BOX = glyphs.columns("\uffff")
# What a hall writes on its displays (command.CONFIG_ROWS, ROSTER_ROWS): a window or door, a name.
PLACE_CHARS_MAX, NAME_CHARS_MAX = 16, 12


class Bus:
    """An I2C bus that keeps what is sent. Fails while `dead`."""

    def __init__(self):
        self.sent = []
        self.dead = False

    def writeto(self, address, data):
        if self.dead:
            raise OSError(19)
        assert address == 0x3C and len(data) <= 32
        self.sent.append(bytes(data))


def mark(name, language):
    """The text of a mark, as it is in the lowest line; "" for no name."""
    return lines(name, language)[0].replace("%s", "-29184") if name else ""


def drawn(word, language, value="", marked=""):
    """(frame, [(page, column, text)]) of what the screen draws with this value in every gap; a line takes two pages."""
    values = [value if own is None else own for own in OWN_VALUES.get(word, (None, None))]
    display = Ssd1306(Bus())
    placed, draw = [], display.text

    def text(page, x, content):
        placed.append((page, x, content))
        return draw(page, x, content)

    display.text = text
    Screen(display).show(word, language, values, mark(marked, language))
    return bytes(display.frame), placed


def width(text):
    return sum(len(glyphs.columns(char)[0]) for char in text)


# --- texts


def test_every_text_is_there_in_both_languages_and_once():
    assert sorted((name, language) for name, language, _ in ROWS) == [
        (name, language) for name in sorted([*NAMES, *MARKS]) for language in sorted(LANGUAGES)
    ]
    with pytest.raises(ValueError):
        lines("idle", "fr")
    with pytest.raises(ValueError):
        lines("idl", "zh")


def test_every_text_is_found_as_it_is_written():
    for name, language, text in ROWS:
        assert lines(name, language) == text.split("|")


def test_every_character_of_every_text_has_a_glyph():
    missing = {char for _, _, text in ROWS for char in text.replace("%s", "") if glyphs.columns(char) == BOX}
    assert missing == set()


def test_the_glyphs_are_those_that_the_displays_use_and_no_others():
    assert list(glyphs._WIDE_CHARS) == list(glyph_subset.characters())
    used = set("".join(text for _, _, text in ROWS)) | set(tags.TAGS)
    assert {char for char in used if ord(char) > 126} <= set(glyphs._WIDE_CHARS)


def test_the_glyphs_are_made_from_the_open_font():
    font = Path("/usr/share/unifont/unifont.hex")
    if not font.exists() or hashlib.sha256(font.read_bytes()).hexdigest() != glyph_subset.FONT_SHA256:
        pytest.skip("the Debian package unifont 1:15.0.01-2 is not installed")
    made = glyph_subset.module(glyph_subset.read_font(font))
    assert made == Path(glyphs.__file__).read_text("utf-8"), "run python -m simulator.glyph_subset, and look"


def test_a_glyph_is_as_wide_as_its_kind_and_has_two_halves():
    for char in {char for _, _, text in ROWS for char in text}:
        upper, lower = glyphs.columns(char)
        assert len(upper) == len(lower) == (8 if ord(char) < 127 else 16)
        assert any(upper) or any(lower) or char == " "


def test_a_character_without_a_glyph_is_a_box_and_no_error():
    upper, lower = BOX
    assert len(upper) == len(lower) == 16 and any(upper)
    assert glyphs.columns("\n") == glyphs.columns("龘") == BOX


def test_texts_with_the_same_words_and_languages_have_gaps_for_the_same_values():
    for name in NAMES:
        zh, en = ("".join(lines(name, language)).count("%s") for language in LANGUAGES)
        assert zh == en <= 2, name


@pytest.mark.parametrize("value", ["", "8", "12", "D10", "A-12", "王琳", "欧阳娜娜", "Li Xiaoming"])
@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("marked", ["", *MARKS])
def test_every_text_fits_with_the_values_of_a_hall(language, value, marked):
    for word in NAMES:
        _, placed = drawn(word, language, value, marked)
        for page, x, text in placed:
            assert 0 <= x <= WIDTH - width(text) and 0 <= page < PAGES - 1, (word, text)
        places = [(page + half, at) for page, x, text in placed for half in (0, 1) for at in range(x, x + width(text))]
        assert len(places) == len(set(places)), word  # the mark of a lost link covers nothing


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("value", ["W" * PLACE_CHARS_MAX, "窗" * PLACE_CHARS_MAX, "卡" * NAME_CHARS_MAX, "\U00020000"])
@pytest.mark.parametrize("marked", ["", "offline", "own"])
def test_the_longest_possible_value_is_shown_whole(language, value, marked):
    for word in NAMES:
        _, placed = drawn(word, language, value, marked)
        shown = "".join(text for _, _, text in placed)
        assert value in shown or word == "reason" or not any("%s" in line for line in lines(word, language)), word
        for page, x, text in placed:
            assert 0 <= x <= WIDTH - width(text) and 0 <= page < PAGES - 1, (word, text)


def test_no_two_texts_look_alike():
    for language in LANGUAGES:
        frames = {drawn(word, language, "01")[0] for word in NAMES}
        assert len(frames) == len(NAMES)


@pytest.mark.parametrize("marked", MARKS)
def test_a_lost_link_and_its_cause_show_in_the_corner_and_touch_no_text(marked):
    for word in set(NAMES) - LABELLED:
        for language in LANGUAGES:
            (_, on), (_, off) = (drawn(word, language, "01", which) for which in ("", marked))
            *text, shown = off
            assert [content for _, _, content in text] == [content for _, _, content in on]
            assert shown == (PAGES - 2, WIDTH - width(shown[2]), mark(marked, language))
            lowest = max(page for page, _, _ in text)
            assert lowest <= PAGES - (5 if len(text) < 3 else 4), word  # half a line between them, where there is room


def test_labels_stand_above_their_buttons():
    for word in LABELLED:
        for language in LANGUAGES:
            for marked in ("", "offline"):
                _, placed = drawn(word, language, "1", marked)
                labels = [(x, text) for page, x, text in placed if page == PAGES - 2 and text]
                assert lines("offline", language)[0] not in [text for _, text in labels]
                last_x, last = labels[-1]
                assert WIDTH * 4 // 5 <= last_x + width(last) // 2 < WIDTH, word
    _, placed = drawn("reason", "zh")
    middles = [x + width(text) // 2 for page, x, text in placed if page == PAGES - 2]
    assert middles == [WIDTH * (2 * number + 1) // 10 for number in range(5)]


# --- display


def test_what_was_shown_before_leaves_no_trace():
    display = Ssd1306(Bus())
    screen = Screen(display)
    screen.show("idle", "en", ("W" * 9,), "offline")
    screen.show("timed_out", "zh")
    assert bytes(display.frame) == drawn("timed_out", "zh")[0]


def test_the_controller_is_set_up_once_and_lit_after_its_first_frame():
    bus = Bus()
    display = Ssd1306(bus)
    display.show(7)
    first = list(bus.sent)
    assert first[0].startswith(b"\x00\xae") and first[-1] == b"\x00\xaf"
    assert b"".join(sent[1:] for sent in first if sent[:1] == b"\x40") == bytes(display.frame)
    bus.sent.clear()
    display.show(200)
    assert bus.sent[0][:3] == b"\x00\x81\xc8" and b"\x00\xaf" not in bus.sent
    assert len(bus.sent) == len(first) - 2


def test_a_display_that_lost_its_power_is_set_up_again():
    bus = Bus()
    display = Ssd1306(bus)
    display.show()
    first = list(bus.sent)
    bus.dead = True
    with pytest.raises(OSError):
        display.show()
    bus.dead = False
    bus.sent.clear()
    display.show()
    assert bus.sent == first


# --- buttons


class Panel:
    """Five buttons and what was understood of them. presses: as Buttons.press() gave them."""

    def __init__(self, down=()):
        self.edge = Edge()
        self.pins = [DeskPin(0 if level in down else 1, self.edge.set) for level in range(1, 6)]
        self.buttons = Buttons(self.pins, self.edge, Clock())
        self.presses = []
        self.listening = asyncio.create_task(self._listen())

    async def _listen(self):
        while True:
            self.presses.append(await self.buttons.press())

    def set(self, value, *which):
        for level in which:
            self.pins[level - 1].value(value)

    async def bounce(self, level, value, times=4):
        """Contacts bounce for some milliseconds and then stand."""
        for _ in range(times):
            self.set(value, level)
            await asyncio.sleep(0.001)
            self.set(1 - value, level)
            await asyncio.sleep(0.001)
        self.set(value, level)

    async def press(self, level, hold_s=0.1):
        await self.bounce(level, 0)
        await asyncio.sleep(hold_s)
        await self.bounce(level, 1)
        await asyncio.sleep(0.1)


def test_a_mask_names_its_levels():
    assert [levels(mask) for mask in (0, 1, 16, 0b10101, 0b11111)] == [[], [1], [5], [1, 3, 5], [1, 2, 3, 4, 5]]


@timeless
async def test_a_press_that_bounces_is_one_press():
    panel = Panel()
    for level in (1, 2, 3, 4, 5, 5):
        await panel.press(level)
    assert panel.presses == [1, 2, 3, 4, 5, 5]


@timeless
async def test_a_press_counts_when_it_begins_however_long_it_is_held():
    panel = Panel()
    await panel.bounce(2, 0)
    await asyncio.sleep(0.05)
    assert panel.presses == [2]
    await asyncio.sleep(5)
    await panel.bounce(2, 1)
    await asyncio.sleep(0.1)
    assert panel.presses == [2]


@timeless
async def test_a_spark_on_the_wire_is_no_press():
    panel = Panel()
    for level in (1, 3, 5):
        panel.set(0, level)
        await asyncio.sleep(0.002)
        panel.set(1, level)
        await asyncio.sleep(0.2)
    assert panel.presses == []


@timeless
async def test_the_shortest_press_of_a_person_counts():
    panel = Panel()
    await panel.press(4, hold_s=2 * SAMPLE_MS * STABLE_SAMPLES / 1000)
    assert panel.presses == [4]


@timeless
async def test_two_buttons_at_once_are_no_level():
    panel = Panel()
    panel.set(0, 2, 4)
    await asyncio.sleep(0.1)
    panel.set(1, 2, 4)
    await asyncio.sleep(0.1)
    assert panel.presses == [0]
    await panel.press(3)
    assert panel.presses == [0, 3]


@timeless
async def test_a_second_button_beside_one_that_is_held_is_no_level():
    panel = Panel()
    panel.set(0, 1)
    await asyncio.sleep(0.1)
    await panel.press(5)
    panel.set(1, 1)
    await asyncio.sleep(0.1)
    assert panel.presses == [1, 0]


@timeless
async def test_a_stuck_button_does_not_block_the_others():
    panel = Panel()
    panel.set(0, 3)
    await asyncio.sleep(STUCK_MS / 1000 - 0.3)
    await panel.press(5)
    assert panel.presses == [3, 0] and panel.buttons.stuck() == 0
    await asyncio.sleep(0.5)
    assert panel.buttons.stuck() == 0b00100
    for level in (1, 2, 4, 5):
        await panel.press(level)
    assert panel.presses == [3, 0, 1, 2, 4, 5]
    panel.set(1, 3)
    await asyncio.sleep(0.1)
    assert panel.buttons.stuck() == 0
    await panel.press(3)
    assert panel.presses[-1] == 3


@timeless
async def test_a_button_that_is_down_at_power_on_is_no_press_and_blocks_no_other_for_long():
    panel = Panel(down=(2,))
    await asyncio.sleep(STUCK_MS / 1000 + 0.1)
    await panel.press(1)
    assert panel.presses == [1] and panel.buttons.stuck() == 0b00010


@timeless
async def test_a_button_that_falls_off_its_jam_and_bounces_is_no_press_of_another():
    panel = Panel(down=(2, 3))
    await asyncio.sleep(STUCK_MS / 1000 + 0.1)
    await panel.bounce(2, 1)
    await asyncio.sleep(0.1)
    assert panel.presses == []
    await panel.press(2)
    assert panel.presses == [2] and panel.buttons.stuck() == 0b00100


@timeless
async def test_a_contact_that_never_rests_does_not_silence_the_others():
    """A broken contact flutters for hours; the others must be heard all the same."""
    panel = Panel()

    async def flutter():
        while True:
            panel.set(1 - panel.pins[4].value(), 5)
            await asyncio.sleep(0.004)

    fluttering = asyncio.create_task(flutter())
    await asyncio.sleep(STUCK_MS / 1000)
    before = len(panel.presses)
    for level in (2, 4):
        await panel.press(level, hold_s=0.3)
    assert [level for level in panel.presses[before:] if level in (2, 4)] == [2, 4]
    assert not fluttering.done()
