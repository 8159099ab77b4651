"""What a person reads on a display and presses below it: every text fits, every press counts once."""

import asyncio
import hashlib
from pathlib import Path

import pytest
from virtual_time import Clock, timeless

from firmware import glyphs, tags
from firmware.buttons import SAMPLE_MS, STABLE_SAMPLES, STUCK_MS, TOGETHER_MS, Buttons, levels
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
    return _placed(word, language, values, marked)


def _placed(word, language, values, marked):
    """As drawn(), with a value for each gap."""
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


def test_glyphs_of_another_font_are_refused(tmp_path, capsys):
    other = tmp_path / "other.hex"
    other.write_text("0041:" + "00" * 16 + "\n")
    before = glyph_subset.TARGET.read_bytes()
    assert glyph_subset.main([str(other)]) == glyph_subset.main([str(tmp_path / "none")]) == 1
    assert "pinned font" in capsys.readouterr().err and glyph_subset.TARGET.read_bytes() == before


def test_a_text_is_found_before_any_name():
    """A board looks from the front: what visitors wait for must not get slower with every name."""
    texts = {char for _, _, text in ROWS for char in text if ord(char) > 126}
    assert max(glyphs._WIDE_CHARS.index(char) for char in texts) < 300 < len(glyphs._WIDE_CHARS)


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


# Names as they are: what a public display must not show as boxes, nor break.
PEOPLE = (
    "欧阳娜娜 洪施安 严倪温 鲁葛章 翟殷庞 季庄祝 左玲萍 燕鑫琪 雨睿悦 嘉妍昊 泽东荣 尉迟祥 "
    "慕容雪 司徒雅 端木蕾 王梓涵 李浩宇 张沐宸 刘若曦 陈奕辰 杨诗琪 赵晟睿 黄芷若 周煜城 "
    "吴欣怡 徐翊轩 孙懿 马骏驰 朱璟雯 胡桂兰 林建国 郭淑珍 何秀英 高翠花 罗铁柱 臧天朔 "
    "缪昌文 冼星海 甄宓 荆楚 农德孟 覃塘 佟丽娅 扎西卓玛 买买提·阿依古丽"
).split()


WINDOWS_AND_DOORS = (
    "综合服务大厅东区一层二号 不动产登记 社保医保 出入境证件 婚姻登记处 公积金贷款 车辆管理所 税务发票 企业开办 "
    "咨询导办台 东门二楼入口处 南侧员工通道 地下停车场 三〇五办公室 值班室 甲乙丙丁 六七八九十"
).split()


@pytest.mark.parametrize("shown", [PEOPLE, WINDOWS_AND_DOORS])
def test_frequent_names_of_people_and_places_have_their_glyphs(shown):
    assert {char for name in shown for char in name if glyphs.columns(char) == BOX} == set()


@pytest.mark.parametrize(("language", "names"), [("zh", PEOPLE), ("en", ["Lin Jianguo", "Ouyang Nana", "Li Xiaoming"])])
@pytest.mark.parametrize("marked", ["", "offline"])
def test_a_name_that_fits_a_line_is_never_broken(language, names, marked):
    for word in ("idle_staff", "punched", "in", "out", "choose", "remove", "enrol", "lift", "enrolled", "deleted"):
        for name in names:
            values = ["07", name] if word == "idle_staff" else [name, "2"]
            shown = [text for _, _, text in rows_of(word, language, values, marked)]
            assert any(name in text for text in shown) == (width(name) <= WIDTH), (word, shown)


def test_a_line_that_is_too_long_breaks_at_a_space():
    shown = [text for _, _, text in rows_of("ready", "en", ["Back entrance 2"])]
    assert shown == ["Door Back", "entrance 2", "Touch the sensor"]
    shown = [text for _, _, text in rows_of("ready", "zh", ["东门二楼入口处"])]
    assert shown == ["考勤", "东门二楼入口处", "请按指纹"]


@pytest.mark.parametrize(("language", "question"), [("zh", "请您评价服务"), ("en", "Please rate us")])
@pytest.mark.parametrize("place", ["窗" * PLACE_CHARS_MAX, "W" * PLACE_CHARS_MAX, "07"])
def test_the_longest_place_and_name_leave_the_question_and_a_part_of_each(language, question, place):
    for name in ("卡" * NAME_CHARS_MAX, "W" * NAME_CHARS_MAX, "\U00020000" * NAME_CHARS_MAX):
        for marked in ("", "offline"):
            shown = [text for _, _, text in rows_of("idle_staff", language, [place, name], marked)]
            assert question in shown and any(name[:8] in text for text in shown)
            assert any(place[:4] in text for text in shown)


def rows_of(word, language, values, marked=""):
    """[(page, column, text)] of a screen with these values, the mark of a lost link left out."""
    placed = _placed(word, language, values, marked)[1]
    return [one for one in placed if one[2] != mark(marked, language)]


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
    labelled = drawn("phone", "zh", "138_")[1] + drawn("phone", "en", "138_")[1]
    assert {"跳过", "Skip"} <= {text for _, _, text in labelled}
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
        self.buttons = Buttons(self.pins, self.edge, Clock(), Clock())
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
@pytest.mark.parametrize("skew_ms", [0, 5, 10, 15, 20, 35, 50, 60, 100])
@pytest.mark.parametrize("hold_ms", [70, 300])
async def test_two_buttons_of_one_grip_end_as_no_level_however_far_they_are_apart(skew_ms, hold_ms):
    panel = Panel()

    async def grip(level, after_ms):
        await asyncio.sleep(after_ms / 1000)
        await panel.press(level, hold_ms / 1000)

    await asyncio.gather(grip(5, 0), grip(1, skew_ms))
    assert panel.presses in ([0], [5, 0])
    await panel.press(2)
    assert panel.presses[-1] == 2


@timeless
async def test_who_corrects_himself_is_not_taken_for_one_grip():
    panel = Panel()
    for level in (5, 1, 5):
        await panel.press(level, hold_s=(TOGETHER_MS - 100) / 1000)
        await asyncio.sleep(0.01)
    assert panel.presses == [5, 1, 5]


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
