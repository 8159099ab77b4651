"""The ballot: item and clerk, reasons after a bad level, a number to call back; each can be left out, none is lost."""

import asyncio

import pytest
from desk_bench import Bench
from test_firmware_evaluator import an_evaluator, cancel, drawn, hold, lamps, open_visit
from test_firmware_presses import grip
from virtual_time import timeless, until

from firmware import reasons, signals, tags
from firmware.ballot import PHONE_MS, REASON_MS, STAFF_MS
from firmware.phone import DIGITS_MAX, Phone
from protocol import command, event, rating, record

YES, NO, BACK, END = reasons.YES, reasons.NO, reasons.BACK, reasons.END
CODES = [115, 114, 113, 214, 213, 999 // 2]
CONFIG = {
    command.VERSION: 1,
    command.PLACE: "12",
    command.LANGUAGE: "zh",
    command.RATING_TIMEOUT_S: 60,
    command.HEARTBEAT_S: 300,
    command.BRIGHTNESS: 128,
}
REASONS = {command.TAG_CODES: CODES}
STAFF = {command.RATE_STAFF: 1}
PHONE = {command.ASK_PHONE: 1}


async def configured(*settings):
    """An idle evaluator with these settings."""
    bench = await an_evaluator()
    config = dict(CONFIG)
    for one in settings:
        config |= one
    bench.send(command.CONFIG, config)
    return bench


def rated(bench):
    """[(claims, disclosed)] of the ratings on the flash."""
    return [(made.claims, disclosed) for made, disclosed in bench.records(record.RATING)]


def levels(bench):
    return [(claims.get(rating.LEVEL), claims.get(rating.STAFF_LEVEL)) for claims, _ in rated(bench)]


def picked(bench):
    return [claims.get(rating.TAGS, []) for claims, _ in rated(bench)]


# --- item and staff


@timeless
async def test_item_and_staff_are_rated_separately_where_the_hall_wants_it():
    bench = await configured(STAFF)
    open_visit(bench, "V0001")
    await bench.hands.press(4)
    assert (bench.screen.word, lamps(bench)) == ("ask_staff", [1] * 5)
    await bench.hands.press(5)
    assert (bench.screen.word, lamps(bench)) == ("thanks", [0, 0, 0, 0, 1])
    await bench.shows("idle")
    assert levels(bench) == [(4, 5)] and bench.app.thanks == 1
    assert bench.device.recorder.totals() == [0, 0, 0, 1, 0]


@timeless
async def test_the_rating_of_the_item_is_safe_while_the_clerk_is_asked_for():
    bench = await configured(STAFF)
    await bench.hands.press(2)
    assert bench.screen.word == "ask_staff"
    bench.cut_power()
    bench.boot()
    assert levels(bench) == [(2, None)]


@timeless
async def test_who_does_not_rate_the_clerk_has_rated_the_item():
    bench = await configured(STAFF)
    await bench.hands.press(3)
    await bench.shows("thanks", STAFF_MS / 1000 + 0.1)
    await bench.shows("idle")
    assert levels(bench) == [(3, None)]


@timeless
async def test_a_correction_after_both_answers_changes_the_last_one():
    bench = await configured(STAFF)
    for level in (4, 1, 5):
        await bench.hands.press(level)
    await bench.shows("idle")
    assert levels(bench) == [(4, 5)]


@timeless
async def test_two_buttons_at_once_are_asked_again_for_the_clerk_too():
    bench = await configured(STAFF)
    await bench.hands.press(4)
    await hold(bench, 1, 5)
    assert bench.screen.word == "again"
    await bench.shows("ask_staff", 5)
    await bench.hands.press(3)
    await bench.shows("idle")
    assert levels(bench) == [(4, 3)]


@timeless
@pytest.mark.parametrize("skew_ms", [20, 35, 50])
async def test_a_grip_at_the_item_is_asked_again_for_the_item_and_then_for_the_clerk(skew_ms):
    bench = await configured(STAFF)
    await grip(bench, skew_ms, 1, 5)
    assert bench.screen.word == "again"
    await grip(bench, skew_ms, 2, 3)  # and once more
    assert bench.screen.word == "again"
    await bench.hands.press(4)
    assert bench.screen.word == "ask_staff"
    await bench.hands.press(5)
    await bench.shows("idle")
    assert levels(bench) == [(4, 5)]


@timeless
async def test_a_grip_at_the_reasons_and_at_the_number_is_asked_again_and_answers_nothing():
    bench = await configured(REASONS, PHONE)
    await bench.hands.press(1)
    await bench.shows("reason")
    await grip(bench, 0, YES, NO)
    assert bench.screen.word == "again"
    await bench.shows("reason", 3.1)
    await bench.hands.press(YES)
    await bench.hands.press(END)
    await bench.shows("phone", 1)
    await bench.hands.type("139")
    await grip(bench, 0, 1, 2)
    assert bench.screen.word == "again"
    await bench.shows("phone", 3.1)
    await bench.hands.type("00001234#")
    await bench.shows("kept", 1)
    [(claims, disclosed)] = rated(bench)
    assert claims[rating.TAGS] == [115] and disclosed[rating.IDENTITY] == {rating.PHONE: "13900001234"}


# --- reasons


@timeless
@pytest.mark.parametrize("level", [1, 2, 3, 4, 5])
async def test_reasons_are_asked_for_after_the_two_bad_levels_only(level):
    bench = await configured(REASONS)
    await bench.hands.press(level)
    await until(lambda: bench.app.status_word in ("reason", "kept"), 10)
    assert bench.app.status_word == ("reason" if level <= 2 else "kept")


@timeless
async def test_reasons_are_the_active_codes_of_that_level_picked_with_the_five_buttons():
    bench = await configured(REASONS)
    open_visit(bench, "V0001")
    await bench.hands.press(2)
    await bench.shows("reason")
    assert lamps(bench) == [1, 1, 0, 1, 1]  # the middle button has no meaning here
    await bench.hands.press(YES)
    await bench.hands.press(NO)
    await bench.shows("kept", 0.1)
    assert picked(bench) == [[214]] and levels(bench) == [(2, None)]


@timeless
async def test_reasons_can_be_skipped_ended_early_taken_back_and_left_alone():
    bench = await configured(REASONS)
    for presses, expected in (
        ([END], []),
        ([YES, END], [115]),
        ([NO, YES, YES], [114, 113]),
        ([YES, BACK, NO, NO, NO], []),
        ([YES, YES, BACK, BACK, YES, END], [114, 115]),
        ([BACK, 3, 3, NO, YES, NO], [114]),
    ):
        await bench.hands.press(1)
        await bench.shows("reason")
        for press in presses:
            await bench.hands.press(press)
        await bench.shows("kept", 0.1)
        assert picked(bench)[-1] == expected, presses
        await bench.shows("idle")
    await bench.hands.press(1)
    await bench.shows("reason")
    await bench.hands.press(YES)
    await bench.shows("kept", REASON_MS / 1000 + 0.1)  # the visitor has gone; what was said counts
    assert picked(bench)[-1] == [115]


@timeless
async def test_a_correction_decides_which_reasons_are_asked_for():
    bench = await configured(REASONS)
    await bench.hands.press(1)
    await bench.hands.press(5)
    await bench.shows("kept")
    assert levels(bench) == [(5, None)] and picked(bench) == [[]]


@timeless
async def test_a_badly_rated_clerk_is_asked_about_when_the_item_was_good():
    bench = await configured(REASONS, STAFF)
    await bench.hands.press(5)
    await bench.hands.press(2)
    await bench.shows("reason")
    await bench.hands.press(YES)
    await bench.hands.press(END)
    await bench.shows("idle")
    assert (levels(bench), picked(bench)) == ([(5, 2)], [[214]])


@timeless
async def test_without_active_codes_of_the_level_nobody_is_asked_why():
    bench = await configured({command.TAG_CODES: [115]})
    await bench.hands.press(2)
    await bench.shows("kept", 3.1)
    assert picked(bench) == [[]]


@timeless
async def test_the_next_visit_ends_the_reasons_and_keeps_what_was_picked():
    bench = await configured(REASONS)
    await bench.hands.press(1)
    await bench.shows("reason")
    await bench.hands.press(YES)
    open_visit(bench, "V0002")
    assert bench.screen.word == "ask" and picked(bench) == [[115]]
    cancel(bench, "V0002")
    assert bench.app.status_word == "idle"


@timeless
async def test_a_power_cut_among_the_reasons_leaves_the_rating():
    bench = await configured(REASONS)
    await bench.hands.press(1)
    await bench.shows("reason")
    await bench.hands.press(YES)
    bench.cut_power()
    bench.boot()
    assert levels(bench) == [(1, None)]


def test_every_reason_fits_the_display_and_has_its_level_in_front():
    codes = sorted({int(row.split()[0]) for row in tags.TAGS.strip().splitlines()})
    assert codes == [*range(108, 116), *range(207, 215)]  # domain reference 3.6, in force
    for code in codes:
        for language, longest in (("zh", 8), ("en", 16)):
            lines = tags.words(code, language).split("|")
            assert len(lines) == 2 and all(0 < len(line) <= longest for line in lines), (code, language)
    assert tags.words(999, "zh") == "" and tags.words(115, "fr") == ""


# --- a number to call back


@timeless
async def test_a_phone_number_for_the_follow_up_travels_as_identity_of_the_rating():
    bench = await configured(REASONS, PHONE)
    await bench.hands.press(1)
    await bench.shows("reason")
    await bench.hands.press(END)
    await bench.shows("phone", 0.1)
    assert lamps(bench) == [1, 0, 0, 0, 0]
    assert bench.screen.frame == drawn("phone", ["_"])
    await bench.hands.type("138")
    assert bench.screen.frame == drawn("phone", ["138_"])  # there is always room for one more
    await bench.hands.type("***")
    await bench.hands.type("1380013800*01#")
    await bench.shows("kept", 1)
    [(claims, disclosed)] = rated(bench)
    assert disclosed[rating.IDENTITY] == {rating.PHONE: "13800138001"}
    assert not any("138" in str(value) for value in claims.values())


@timeless
async def test_a_typed_number_goes_beside_the_name_that_the_visit_brought():
    bench = await configured(PHONE)
    open_visit(bench, "V0001", more={command.APPLICANT: {rating.NAME: "欧阳娜娜", rating.PHONE: "13911112222"}})
    await bench.hands.press(2)
    await bench.shows("phone")
    await asyncio.sleep(0.2)  # a key that was down before the question came is no answer to it
    await bench.hands.type("7654321#")
    await bench.shows("idle")
    [(_, disclosed)] = rated(bench)
    assert disclosed[rating.IDENTITY] == {rating.NAME: "欧阳娜娜", rating.PHONE: "7654321"}


@timeless
async def test_a_number_with_too_few_digits_is_asked_again_and_an_unconfirmed_one_is_not_given():
    bench = await configured(PHONE)
    await bench.hands.press(1)
    await bench.shows("phone")
    await bench.hands.type("138#")
    assert bench.app.status_word == "wrong"
    await bench.hands.type("00138000")
    await bench.shows("kept", PHONE_MS / 1000 + 0.1)
    await bench.shows("idle")
    [(claims, disclosed)] = rated(bench)
    assert claims[rating.LEVEL] == 1 and rating.IDENTITY not in disclosed


@timeless
async def test_the_phone_number_can_be_skipped_with_a_button_and_is_never_asked_after_a_good_level():
    bench = await configured(PHONE)
    await bench.hands.press(1)
    await bench.shows("phone")
    await bench.hands.type("138001380")
    await bench.hands.press(3)  # means nothing here
    assert bench.app.status_word == "phone"
    await bench.hands.press(1)
    await bench.shows("idle")
    for level in (3, 4, 5):
        await bench.hands.press(level)
        await bench.shows("kept", 3.1)
        await bench.shows("idle")
    assert all(rating.IDENTITY not in disclosed for _, disclosed in rated(bench)) and len(rated(bench)) == 4


@timeless
async def test_keys_at_any_other_time_mean_nothing():
    bench = await configured(PHONE)
    await bench.hands.type("13800138000#")
    assert bench.app.status_word == "idle"
    for _ in range(2):  # the second number begins empty
        await bench.hands.press(1)
        await bench.shows("phone")
        await bench.hands.type("123")
        await bench.hands.press(1)
        await bench.shows("idle")
    assert all(rating.IDENTITY not in disclosed for _, disclosed in rated(bench))


def test_a_phone_number_has_no_more_digits_than_any_has():
    phone = Phone()
    for _ in range(40):
        assert not phone.key("7")
    assert len(phone.digits) == DIGITS_MAX
    for _ in range(40):
        phone.key("*")
    assert phone.digits == "" and not phone.key("#")


# --- what is seen and heard without reading


@timeless
async def test_every_state_has_lamps_of_its_own():
    bench = Bench().boot()
    await bench.shows("idle")
    seen = []
    for _ in range(10):
        seen.append(lamps(bench))
        await asyncio.sleep(signals.STEP_MS / 1000)
    assert [0, 0, 1, 0, 0] in seen and seen.count([0] * 5) >= 7  # offline: the middle one blinks
    patterns = {
        word: signals.pattern(word, mask, True)
        for word, mask in (
            ("idle", 0),
            ("ask", 31),
            ("thanks", 4),
            ("reason", 27),
            ("fault", 0),
            ("updating", 0),
            ("again", 31),
            ("timed_out", 0),
        )
    }
    patterns["offline"] = signals.pattern("idle", 0, False)
    assert len(set(patterns.values())) == len(patterns)
    assert signals.pattern("full", 0, True) == signals.pattern("fault", 0, False)


@timeless
async def test_no_sound_in_quiet_hours_and_a_dim_display():
    bench = await configured({command.QUIET_FROM_MIN: 0, command.QUIET_UNTIL_MIN: 1439})
    heard = []
    bench.board.buzzer._changed = lambda: heard.append(1)
    await bench.hands.press(5)
    assert bench.screen.word == "thanks" and (heard, bench.screen.contrast) == ([], 0)
    bench.send(command.CONFIG, {**CONFIG, command.VERSION: 2})
    await bench.shows("idle")
    await bench.hands.press(5)
    assert heard and bench.screen.contrast == 128


@timeless
async def test_two_languages_take_turns_on_the_display():
    bench = await configured({command.LANGUAGE: "zh+en"})
    open_visit(bench, "V0001")
    frames = set()
    for _ in range(12):
        frames.add(bytes(bench.screen.frame))
        assert bench.screen.word == "ask"
        await asyncio.sleep(1)
    assert len(frames) >= 2


@timeless
async def test_an_evaluator_on_hold_takes_no_press_and_no_visit_and_loses_nothing():
    bench = await configured(REASONS)
    await bench.hands.press(1)
    await bench.shows("reason")
    bench.app.hold("updating")
    open_visit(bench, "V0001")
    await bench.hands.press(5)
    await asyncio.sleep(120)
    assert bench.screen.word == "updating" and levels(bench) == [(1, None)]
    assert [one[event.CODE] for one in bench.claims(record.EVENT)].count(event.FAULT) == 0
