"""The evaluator as a visitor meets it: asked, pressed, thanked; and what of it stands in the journal afterwards."""

import asyncio
from pathlib import Path

import pytest
from desk_bench import Bench
from test_firmware_device import online
from virtual_time import timeless, until

from firmware.ballot import CORRECTION_MS
from firmware.evaluator import ANSWER_MS
from firmware.journal import BLOCK_BYTES, JournalFull
from firmware.screen import Screen
from firmware.ssd1306 import Ssd1306
from protocol import command, event, rating, record
from simulator import eyes

APPLICANT = {rating.NAME: "欧阳娜娜", rating.PHONE: "13800138000"}
ANSWER_S = ANSWER_MS / 1000
CORRECTION_S = CORRECTION_MS / 1000
DARK, ALL = [0] * 5, [1] * 5
ENDS = [1, 0, 0, 0, 1]


def open_visit(bench, number, timeout_s=60, **claims):
    """The window's system opens a visit."""
    wanted = {command.VISIT: number, command.WINDOW: "01", command.TIMEOUT_S: timeout_s}
    bench.send(command.EVALUATION_REQUEST, wanted | claims.get("more", {}))


def cancel(bench, number):
    bench.send(command.EVALUATION_CANCEL, {command.VISIT: number})


def lamps(bench):
    return [led.value() for led in bench.board.leds]


async def hold(bench, *levels):
    """Several buttons at once."""
    for level in levels:
        bench.board.buttons[level - 1].value(0)
    await asyncio.sleep(0.2)
    for level in levels:
        bench.board.buttons[level - 1].value(1)
    await asyncio.sleep(0.1)


async def an_evaluator(**settings):
    """A bench whose device is idle and knows the time."""
    bench = Bench(**settings).boot()
    await bench.shows("idle")
    bench.tell_time()
    assert bench.device.wall_clock.source == record.GATEWAY_TIME
    return bench


async def press(bench, level):
    """A press, and all that the display says to it, until it rests."""
    await bench.hands.press(level)
    await until(lambda: bench.app.status_word in ("idle", "ask"), 60)


def outcomes(bench):
    """[(visit number or None, level or None)] of the ratings on the flash, each with an outcome that fits."""
    found = []
    for made, disclosed in bench.records(record.RATING):
        level = made.claims.get(rating.LEVEL)
        assert made.claims[rating.OUTCOME] == (rating.RATED if level else rating.TIMED_OUT)
        visit = disclosed.get(rating.OCCASION, (0, ""))[1] or None
        assert made.claims[rating.MODE] == (rating.VISIT_MODE if visit else rating.WALK_UP)
        found.append((visit, level))
    return found


# --- one visit


@timeless
async def test_a_visit_is_asked_for_rated_and_thanked_for():
    bench = await an_evaluator()
    assert lamps(bench) == DARK and bench.screen.lit
    more = {command.STAFF: "S007", command.APPLICANT: APPLICANT}
    open_visit(bench, "V0001", more=more)
    assert (bench.app.status_word, bench.screen.word, lamps(bench)) == ("ask", "ask", ALL)
    await asyncio.sleep(7)
    await bench.hands.press(4)
    assert (bench.app.status_word, bench.screen.word, lamps(bench)) == ("thanks", "thanks", [0, 0, 0, 1, 0])
    await bench.shows("kept", CORRECTION_S)
    assert (bench.screen.word, lamps(bench)) == ("kept", [0, 0, 0, 1, 0])
    await bench.shows("idle", ANSWER_S + 0.1)
    assert lamps(bench) == DARK
    [(made, disclosed)] = bench.records(record.RATING)
    claims = made.claims
    assert (claims[rating.WINDOW], claims[rating.LEVEL], claims[rating.STAFF]) == ("01", 4, "S007")
    assert (claims[rating.OUTCOME], claims[rating.MODE]) == (rating.RATED, rating.VISIT_MODE)
    assert 7000 <= claims[rating.DELAY_MS] < 7200
    assert disclosed[rating.IDENTITY] == APPLICANT
    exact_s, visit = disclosed[rating.OCCASION]
    assert visit == "V0001" and bench.now_s + 7 <= exact_s <= bench.now_s + 8
    assert bench.app.thanks == 1


@timeless
async def test_the_thanks_come_after_the_rating_is_on_flash_and_kept_after_its_record_is():
    bench = await an_evaluator()
    order, journal, draft = [], bench.device.journal, bench.device._draft
    append, keep, show = journal.append, draft.keep, bench.app._notice.show
    journal.append = lambda *entry: (append(*entry), order.append("record"))
    draft.keep = lambda *rating: (keep(*rating), order.append("draft"))
    bench.app._notice.show = lambda word, *rest: (order.append(word), show(word, *rest))
    await press(bench, 5)
    assert order == ["draft", "thanks", "record", "kept", "idle"]


@timeless
async def test_a_visit_that_nobody_rates_is_not_rated_and_has_no_level():
    bench = await an_evaluator()
    open_visit(bench, "V0001", timeout_s=30)
    await asyncio.sleep(29.9)
    assert bench.app.status_word == "ask" and outcomes(bench) == []
    await bench.shows("timed_out", 0.2)
    assert (bench.screen.word, lamps(bench)) == ("timed_out", [0, 1, 1, 1, 0])
    [claims] = bench.claims(record.RATING)
    assert rating.LEVEL not in claims and claims[rating.OUTCOME] == rating.TIMED_OUT
    assert 30000 <= claims[rating.DELAY_MS] < 30100
    assert (outcomes(bench), bench.app.thanks, bench.device.recorder.totals()) == ([("V0001", None)], 0, [0] * 5)
    await bench.shows("idle", ANSWER_S + 0.1)


@timeless
async def test_a_press_without_a_visit_is_a_walk_up_rating_and_marked_so():
    bench = Bench().boot()  # nobody told the time yet
    await bench.shows("idle")
    await bench.hands.press(1)
    assert bench.app.status_word == "thanks"
    await bench.shows("kept")
    [(made, disclosed)] = bench.records(record.RATING)
    assert (made.claims[rating.MODE], made.claims[rating.LEVEL]) == (rating.WALK_UP, 1)
    assert rating.DELAY_MS not in made.claims and disclosed == {} and made.source == record.NO_TIME


@timeless
async def test_a_press_after_the_time_is_over_is_a_walk_up_rating():
    bench = await an_evaluator()
    open_visit(bench, "V0001", timeout_s=5)
    await bench.shows("timed_out")
    await press(bench, 2)
    assert outcomes(bench) == [("V0001", None), (None, 2)]


@timeless
@pytest.mark.parametrize("language", ["zh", "en"])
async def test_all_five_levels_are_recorded_as_pressed(language):
    bench = await an_evaluator()
    config = {command.VERSION: 1, command.PLACE: "12", command.LANGUAGE: language, command.BRIGHTNESS: 9}
    config |= {command.RATING_TIMEOUT_S: 60, command.HEARTBEAT_S: 300, command.STAFF_NUMBER: "S012"}
    bench.send(command.CONFIG, config)
    for level in range(1, 6):
        await bench.hands.press(level)
        assert eyes.read(bench.screen.frame) == "thanks" and bench.screen.contrast == 9
        await bench.shows("idle")
    assert outcomes(bench) == [(None, level) for level in range(1, 6)]
    assert bench.device.recorder.totals() == [1] * 5
    assert {(claims[rating.WINDOW], claims[rating.STAFF]) for claims in bench.claims(record.RATING)} == {("12", "S012")}


@timeless
async def test_idle_shows_the_window_and_the_clerk_where_one_is_configured():
    bench = await an_evaluator()
    config = {command.VERSION: 1, command.PLACE: "12", command.LANGUAGE: "zh", command.BRIGHTNESS: 9}
    config |= {command.RATING_TIMEOUT_S: 60, command.HEARTBEAT_S: 300}
    for version, more, word, values in (
        (1, {}, "idle", ("12",)),
        (2, {command.STAFF_NAME: "王琳"}, "idle_staff", ("12", "王琳")),
        (3, {command.PLACE: "7"}, "idle", ("7",)),
    ):
        bench.send(command.CONFIG, config | {command.VERSION: version} | more)
        expected = Ssd1306(eyes.Paper())
        Screen(expected).show(word, "zh", values, "离线")
        await until(lambda frame=bytes(expected.frame): bytes(bench.screen.frame) == frame, 3)


@timeless
async def test_an_evaluator_without_a_link_says_so_and_still_takes_ratings():
    bench = await an_evaluator()
    open_visit(bench, "V0001")
    assert bench.screen.frame == drawn("ask", mark="离线")
    await press(bench, 2)
    assert outcomes(bench) == [("V0001", 2)] and bench.device.status()["pending"] > 1
    online(bench)
    await until(lambda: bench.device.online, 90)
    open_visit(bench, "V0002")
    assert bench.screen.frame == drawn("ask")


def drawn(word, values=(), mark="", language="zh"):
    """The frame of a text."""
    expected = Ssd1306(eyes.Paper())
    Screen(expected).show(word, language, values, mark)
    return bytes(expected.frame)


# --- presses that are no answer


@timeless
async def test_a_second_press_within_three_seconds_corrects_the_first_and_is_the_only_one_recorded():
    bench = await an_evaluator()
    open_visit(bench, "V0001")
    await bench.hands.press(5)
    for level in (1, 1, 3):
        await bench.hands.press(level)
        assert bench.screen.word == "thanks"
        assert lamps(bench) == [int(at + 1 == level) for at in range(5)]  # the level that counts
    assert outcomes(bench) == [] and bench.app.thanks == 1
    await bench.shows("kept", CORRECTION_S)  # correcting does not prolong it
    assert outcomes(bench) == [("V0001", 3)]
    assert bench.device.recorder.totals() == [0, 0, 1, 0, 0]


@timeless
async def test_the_time_to_correct_is_three_seconds():
    bench = await an_evaluator()
    await bench.hands.press(5)
    await asyncio.sleep(CORRECTION_S - 0.5)
    await bench.hands.press(2)
    await bench.shows("kept", 1)
    assert (CORRECTION_S, outcomes(bench)) == (3, [(None, 2)])


@timeless
async def test_later_presses_of_the_same_visitor_do_not_exist():
    bench = await an_evaluator()
    open_visit(bench, "V0001")
    await bench.hands.press(5)
    await bench.shows("kept")
    for level in (1, 1, 3):
        await bench.hands.press(level)
        assert (bench.app.status_word, lamps(bench)) == ("already", [0, 0, 0, 0, 1])  # the level that counts
    assert outcomes(bench) == [("V0001", 5)]
    assert (bench.app.thanks, bench.device.recorder.totals()) == (1, [0, 0, 0, 0, 1])
    await bench.shows("idle", ANSWER_S - 0.3)  # impatience does not prolong it
    await press(bench, 1)
    assert outcomes(bench) == [("V0001", 5), (None, 1)]


@timeless
async def test_a_correction_that_the_flash_does_not_take_leaves_the_first_press():
    bench = await an_evaluator()
    await bench.hands.press(5)
    keep = bench.device._draft.keep

    def fail(*rating):
        raise OSError(5)

    bench.device._draft.keep = fail
    await bench.hands.press(1)
    assert (bench.screen.word, lamps(bench)) == ("thanks", [0, 0, 0, 0, 1])
    bench.device._draft.keep = keep
    await bench.shows("kept")
    assert outcomes(bench) == [(None, 5)]


@timeless
async def test_what_arrived_is_shown_as_delivered_while_the_visitor_looks():
    bench = await an_evaluator()
    await bench.hands.press(4)
    bench.receipt(bench.device.journal.head)  # of the records before
    assert bench.screen.word == "thanks"
    await bench.shows("kept")
    bench.receipt(bench.device.journal.head)
    assert (bench.screen.word, lamps(bench)) == ("delivered", [0, 0, 0, 1, 0])
    await bench.shows("idle", ANSWER_S)
    await press(bench, 4)
    bench.receipt(bench.device.journal.head)
    assert bench.app.status_word == "idle"  # too late for anybody to read


# --- visits that follow each other


@timeless
async def test_a_cancelled_visit_leaves_nothing():
    bench = await an_evaluator()
    open_visit(bench, "V0001")
    cancel(bench, "V0002")  # not the one that is open
    assert bench.app.status_word == "ask"
    cancel(bench, "V0001")
    assert (bench.app.status_word, lamps(bench)) == ("idle", DARK)
    await asyncio.sleep(120)
    assert bench.app.status_word == "idle" and outcomes(bench) == []
    open_visit(bench, "V0001")  # called again: it was never answered
    await press(bench, 3)
    assert outcomes(bench) == [("V0001", 3)]


@timeless
async def test_a_cancel_that_comes_too_late_takes_nothing_back():
    bench = await an_evaluator()
    open_visit(bench, "V0001")
    await bench.hands.press(3)
    cancel(bench, "V0001")
    assert bench.app.status_word == "thanks"
    await bench.shows("idle")
    assert outcomes(bench) == [("V0001", 3)]


@timeless
async def test_a_second_visit_replaces_the_open_one_which_was_not_rated():
    bench = await an_evaluator()
    open_visit(bench, "V0001", timeout_s=20)
    await asyncio.sleep(15)
    open_visit(bench, "V0002", timeout_s=20)
    assert bench.app.status_word == "ask" and outcomes(bench) == [("V0001", None)]
    await asyncio.sleep(15)  # the first one's time is over: that must not end the second
    assert bench.app.status_word == "ask"
    await press(bench, 4)
    assert outcomes(bench) == [("V0001", None), ("V0002", 4)] and bench.app.thanks == 1
    await asyncio.sleep(60)
    assert len(outcomes(bench)) == 2


@timeless
async def test_a_visit_that_opens_while_thanking_is_asked_for_at_once():
    bench = await an_evaluator()
    open_visit(bench, "V0001")
    await bench.hands.press(1)
    open_visit(bench, "V0002")
    assert bench.app.status_word == "ask"
    assert outcomes(bench) == [("V0001", 1)]  # nothing of it can change any more
    await press(bench, 5)
    assert outcomes(bench) == [("V0001", 1), ("V0002", 5)]
    assert bench.app.status_word == "idle"


@timeless
async def test_one_visit_is_one_rating_however_often_it_is_asked_for():
    bench = await an_evaluator()
    for _ in range(2):
        open_visit(bench, "V0001", timeout_s=20)
        await asyncio.sleep(12)
    assert outcomes(bench) == [("V0001", None)]  # the second request did not begin the time anew
    open_visit(bench, "V0001")
    assert bench.app.status_word != "ask"
    await asyncio.sleep(60)
    assert outcomes(bench) == [("V0001", None)]


@timeless
async def test_the_newest_visits_are_remembered_as_answered_whatever_came_between():
    bench = await an_evaluator()
    for number in range(1, 9):
        open_visit(bench, f"V{number}")
        if number % 2:
            await press(bench, 5)
        else:
            await bench.shows("timed_out", 61)
    before = outcomes(bench)
    assert len(before) == 8
    for number in range(1, 9):
        open_visit(bench, f"V{number}")
        assert bench.app.status_word != "ask", number
    open_visit(bench, "V9")
    assert bench.app.status_word == "ask"
    await press(bench, 4)
    assert outcomes(bench) == [*before, ("V9", 4)]


@timeless
@pytest.mark.parametrize("after_s", [0, 10])
async def test_a_rated_visit_is_not_asked_for_again_after_a_power_cut(after_s):
    bench = await an_evaluator()
    open_visit(bench, "V0001")
    await bench.hands.press(4)
    await asyncio.sleep(after_s)
    bench.cut_power()
    bench.boot()
    await bench.shows("idle")
    bench.tell_time()
    open_visit(bench, "V0001")
    assert bench.app.status_word == "idle" and outcomes(bench) == [("V0001", 4)]
    open_visit(bench, "V0002")
    assert bench.app.status_word == "ask"


@timeless
async def test_a_request_without_a_time_out_is_asked_as_long_as_the_config_says():
    bench = await an_evaluator()
    request = {command.VISIT: "V0001", command.WINDOW: "01"}
    bench.send(command.EVALUATION_REQUEST, request)
    await asyncio.sleep(59.5)
    assert bench.app.status_word == "ask"  # a minute where no config came
    await bench.shows("timed_out", 0.6)
    config = {command.VERSION: 1, command.PLACE: "12", command.LANGUAGE: "zh", command.BRIGHTNESS: 9}
    bench.send(command.CONFIG, config | {command.RATING_TIMEOUT_S: 17, command.HEARTBEAT_S: 300})
    bench.send(command.EVALUATION_REQUEST, request | {command.VISIT: "V0002"})
    await asyncio.sleep(16.5)
    assert bench.app.status_word == "ask"
    await bench.shows("timed_out", 0.6)
    open_visit(bench, "V0003", timeout_s=40)  # the request's own goes before
    await asyncio.sleep(39)
    assert bench.app.status_word == "ask"


# --- when something is broken


async def fill(bench):
    """Walk-up ratings until the journal is full."""
    for _ in range(40):
        await bench.hands.press(5)
        if bench.app.status_word == "full":
            return
        await bench.shows("idle")
    raise AssertionError("it is never full")


@timeless
async def test_a_rating_that_is_not_on_flash_is_not_thanked_for():
    bench = await an_evaluator(journal_bytes=4 * BLOCK_BYTES)
    await fill(bench)
    thanked = bench.app.thanks
    assert len(outcomes(bench)) == thanked == bench.device.recorder.totals()[4] > 4
    await bench.shows("idle")
    open_visit(bench, "V0001")
    await bench.hands.press(1)
    assert (bench.screen.word, lamps(bench), bench.app.thanks) == ("full", ENDS, thanked)
    await bench.shows("ask")  # still open
    bench.receipt(bench.device.journal.head)
    await bench.hands.press(1)
    assert bench.app.status_word == "thanks"
    await bench.shows("idle")
    assert outcomes(bench) == [("V0001", 1)]


@timeless
async def test_a_full_journal_is_reported_once_and_again_when_it_had_room_meanwhile():
    bench = await an_evaluator(journal_bytes=4 * BLOCK_BYTES)
    for _ in range(2):
        await fill(bench)
        for _ in range(3):
            await bench.hands.press(5)
            await bench.shows("idle")
        told = [claims for claims in bench.claims(record.EVENT) if claims[event.CODE] == event.JOURNAL_FULL]
        assert len(told) == 1 and 5 < told[0][event.VALUE] < 20
        bench.receipt(bench.device.journal.head)


@timeless
@pytest.mark.parametrize("failure", [OSError(5), MemoryError()])
async def test_a_failing_flash_is_said_and_the_visit_stays_open(failure):
    bench = await an_evaluator()
    open_visit(bench, "V0001")
    keep = bench.device._draft.keep

    def fail(*rating):
        raise failure

    bench.device._draft.keep = fail
    await bench.hands.press(2)
    assert (bench.screen.word, bench.app.thanks) == ("fault", 0)
    bench.device._draft.keep = keep
    await bench.shows("ask", ANSWER_S + 0.1)
    await press(bench, 2)
    assert outcomes(bench) == [("V0001", 2)] and bench.app.thanks == 1


@timeless
@pytest.mark.parametrize("failure", [OSError(5), MemoryError(), JournalFull()])
async def test_a_rating_that_cannot_be_sealed_in_its_time_is_sealed_before_the_next(failure):
    bench = await an_evaluator()
    append = bench.device.journal.append

    def fail(*entry):
        raise failure

    bench.device.journal.append = fail
    await press(bench, 2)
    assert (outcomes(bench), bench.app.thanks, bench.device.status()["pending"]) == ([], 1, bench.device.owed())
    bench.device.journal.append = append
    await press(bench, 4)
    assert outcomes(bench) == [(None, 2), (None, 4)] and bench.app.thanks == 2


@timeless
async def test_ratings_go_on_when_the_display_fails_and_it_is_reported_and_comes_back():
    bench = await an_evaluator()
    bus, write = bench.board.display, bench.board.display.writeto
    await asyncio.sleep(60)

    def dead(address, data):
        raise OSError(19)

    bus.writeto = dead
    open_visit(bench, "V0001")
    await bench.hands.press(2)
    assert lamps(bench) == [0, 1, 0, 0, 0]
    await bench.shows("idle")
    assert outcomes(bench) == [("V0001", 2)]
    await asyncio.sleep(900)
    open_visit(bench, "V0002", timeout_s=60)
    bus.writeto = write
    await until(lambda: bench.screen.word == "ask", 2)
    await asyncio.sleep(900)
    told = [one for one in bench.claims(record.EVENT) if one[event.CODE] == event.SELF_CHECK]
    assert ["display" in one.get(event.TEXT, "") for one in told] == [False, True, False]


@timeless
@pytest.mark.parametrize("part", ["timer", "sound", "key"])
async def test_an_exception_beside_the_run_ends_it_and_what_was_thanked_for_stays(part):
    """Else the screen would stand for ever; main.py makes a reboot of it, and an event."""
    bench = await an_evaluator()
    open_visit(bench, "V0001")
    await bench.hands.press(4)
    assert bench.app.status_word == "thanks"

    def fail(*_):
        raise MemoryError(part)

    async def fail_soon():
        fail()

    if part == "timer":
        bench.app.after(100, fail)
    elif part == "sound":
        bench.app._signals.beep = fail_soon
        bench.app.beep()
    else:
        assert bench.app.type(fail)
        await asyncio.sleep(0.2)  # a key that was down before is none
        await bench.hands.type("1")
    await until(bench.running.done, 1)
    assert str(bench.running.exception()) == part
    bench.cut_power()
    bench.boot()
    await bench.shows("idle")
    assert outcomes(bench) == [("V0001", 4)]


@timeless
@pytest.mark.parametrize("after_s", [0, 1, 4])
async def test_a_power_cut_loses_no_rating_that_was_thanked_for_and_doubles_none(after_s):
    bench = await an_evaluator()
    open_visit(bench, "V0001", more={command.APPLICANT: APPLICANT})
    await bench.hands.press(4)
    assert bench.app.status_word == "thanks"
    await asyncio.sleep(after_s)
    for _ in range(2):
        bench.cut_power()
        bench.boot()
        await bench.shows("idle")
    await press(bench, 2)
    assert outcomes(bench) == [("V0001", 4), (None, 2)]
    assert bench.device.recorder.totals() == [0, 1, 0, 1, 0]
    (made, disclosed), _ = bench.records(record.RATING)
    assert disclosed[rating.IDENTITY] == APPLICANT
    assert made.source == record.GATEWAY_TIME and made.coarse_s == record.coarse(disclosed[rating.OCCASION][0])


@timeless
async def test_a_correction_survives_the_power_cut():
    bench = await an_evaluator()
    await bench.hands.press(1)
    await bench.hands.press(5)
    bench.cut_power()
    bench.boot()
    assert outcomes(bench) == [(None, 5)]


@timeless
async def test_a_draft_on_flash_tells_nobody_who_rated_what():
    bench = await an_evaluator()
    open_visit(bench, "V0001", more={command.APPLICANT: APPLICANT})
    await bench.hands.press(1)
    drafts = [path.read_bytes() for path in Path(bench.who.root).glob("draft.*")]
    assert drafts and all(len(content) > 100 for content in drafts)
    for word in (*APPLICANT.values(), "V0001"):
        assert not any(word.encode() in content for content in drafts)
