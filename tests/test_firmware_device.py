"""A device as a whole: what its boot, its clock and its link may do to it, and what may not stop it."""

import asyncio
import contextlib
import hashlib
import traceback
from pathlib import Path

from desk_bench import MORNING_S, Bench
from memory_broker import MemoryBroker
from virtual_time import timeless, until

from firmware import crash, schedule
from firmware.journal import BLOCK_BYTES, JournalFull
from firmware.self_check import BUTTONS, LINK
from protocol import command, event, heartbeat, rating, record, sealed_record

RATED = {rating.WINDOW: "01", rating.OUTCOME: rating.RATED, rating.LEVEL: 5, rating.MODE: rating.WALK_UP}
QUOTA_BYTES = 4 * BLOCK_BYTES


def codes(bench):
    """The events on the flash, by their codes."""
    return [claims[event.CODE] for claims in bench.claims(record.EVENT)]


def fill(bench, kind=record.RATING, claims=RATED):
    """Records of one kind until there is no room for another."""
    with contextlib.suppress(JournalFull):
        while True:
            bench.device.record(kind, claims)


def exhaust(bench):
    """Use up the journal, and what it keeps for events."""
    fill(bench)
    fill(bench, record.EVENT, {event.CODE: event.SELF_CHECK, event.VALUE: 0})


def online(bench):
    """The broker that this device finds."""
    broker = MemoryBroker()
    bench.board.dial = broker.dial
    return broker


def beats(bench, broker):
    """Claims of the heartbeats that came since the last call."""
    payloads = [sealed_record.open(bench.pair.gateway, message).payload for message in broker.payloads()]
    return [made.claims for made in map(record.decode, payloads) if made.kind == record.HEARTBEAT]


# --- boot


@timeless
async def test_every_boot_is_an_event_of_the_same_stream():
    bench = Bench()
    for _ in range(3):
        bench.boot()
        await bench.shows("idle")
        bench.cut_power()
    assert codes(bench.build()) == [event.STREAM_OPENED] + [event.BOOT] * 4
    assert len({made.boot for made, _ in bench.records(record.EVENT)}) == 4


@timeless
async def test_a_device_whose_journal_is_full_still_boots_and_comes_back_with_a_receipt():
    """Else it could never be emptied: whoever cannot boot sends nothing."""
    bench = Bench(journal_bytes=QUOTA_BYTES).build()
    exhaust(bench)
    ratings = len(bench.records(record.RATING))
    for _ in range(4):
        bench.device.journal.close()
        bench.build()
        assert len(bench.records(record.RATING)) == ratings
    broker = online(bench)
    running = asyncio.create_task(bench.device.run())
    await until(lambda: broker.published, 60)
    bench.tell_time()
    bench.receipt(bench.device.journal.head)
    await bench.hands.press(1)
    assert bench.app.status_word == "thanks" and not running.done()


def a_crash(depth):
    """The text of a traceback as long as it gets."""
    try:
        if depth:
            a_crash(depth - 1)
        raise OSError(5)
    except OSError:
        return traceback.format_exc()


def crashes(bench):
    return [claims for claims in bench.claims(record.EVENT) if claims[event.CODE] == event.CRASH]


@timeless
async def test_what_ended_the_last_run_is_told_once_with_digest_and_last_lines():
    bench = Bench().build()
    text = a_crash(3)
    crash.keep(bench.who.root, text)
    for _ in range(2):
        crash.report(bench.device)
        [told] = crashes(bench)
        assert told[event.DIGEST] == hashlib.sha256(text.encode()).digest()[:16]
        assert told[event.TEXT].endswith("OSError: 5") and len(told[event.TEXT]) <= crash.TEXT_CHARS_MAX
        assert told[event.TEXT].count("\n") >= 1  # more than the last line
        assert not Path(bench.who.root, "crash").exists()


@timeless
async def test_a_crash_that_cannot_be_told_yet_stops_no_boot_and_is_told_later():
    bench = Bench(journal_bytes=QUOTA_BYTES).build()
    exhaust(bench)
    crash.keep(bench.who.root, "OSError: 5")
    crash.report(bench.device)
    assert Path(bench.who.root, "crash").exists() and crashes(bench) == []
    bench.receipt(bench.device.journal.head)
    crash.report(bench.device)
    assert not Path(bench.who.root, "crash").exists() and codes(bench) == [event.CRASH]


@timeless
async def test_a_torn_or_unreadable_crash_is_no_crash():
    bench = Bench().build()
    for content in (b"", b"\xff" * 15, b"x" * 16 + b"\xff\xfe\x00"):
        Path(bench.who.root, "crash").write_bytes(content)
        crash.report(bench.device)
        assert crashes(bench) == [], content


def test_a_last_line_longer_than_an_event_is_cut_at_its_begin():
    for text, kept in (("a\nb\n" + "x" * 500 + "end", "end"), ("", "crash"), ("one\n\n", "one")):
        assert crash._last_lines(text).endswith(kept)
        assert 0 < len(crash._last_lines(text)) <= crash.TEXT_CHARS_MAX


# --- time


@timeless
async def test_a_jump_of_the_clock_is_an_event_and_the_first_time_is_none():
    bench = Bench().boot()
    bench.tell_time()
    bench.now_s += 600
    bench.tell_time()
    bench.now_s += 1
    bench.tell_time()
    told = [claims for claims in bench.claims(record.EVENT) if claims[event.CODE] == event.CLOCK_STEPPED]
    assert [claims[event.VALUE] for claims in told] == [600000]


@timeless
async def test_an_answer_that_is_not_believed_sets_no_clock():
    bench = Bench().boot()
    set_to = []
    bench.board.set_time = set_to.append
    bench.tell_time()
    bench.send(command.TIME_ANSWER, {command.NONCE: bytes(8), command.TIME_MS: 1000 * (MORNING_S + 9999)})
    bench.now_s = bench.who.built_s - 1
    bench.tell_time()
    assert set_to == [MORNING_S] and bench.device.wall_clock.now_s() == MORNING_S


@timeless
async def test_a_jump_that_cannot_be_recorded_does_not_end_the_device():
    bench = Bench(journal_bytes=QUOTA_BYTES).boot()
    bench.tell_time()
    exhaust(bench)
    bench.now_s += 600
    bench.tell_time()
    assert bench.device.wall_clock.now_s() == MORNING_S + 600
    assert event.CLOCK_STEPPED not in codes(bench)


# --- heartbeats and settings


@timeless
async def test_a_heartbeat_says_how_far_the_stream_is_and_asks_for_the_time():
    bench = Bench().build()
    broker = online(bench)
    running = asyncio.create_task(bench.device.run())
    await bench.shows("idle")
    for level in (2, 5):
        await bench.hands.press(level)
        await bench.shows("kept")
        await bench.shows("idle")
    await asyncio.sleep(289)
    journal = bench.device.journal
    claims = beats(bench, broker)[-1]
    assert (claims[heartbeat.HEAD], claims[heartbeat.HEAD_HASH]) == (journal.head, journal.head_hash)
    assert (claims[heartbeat.STREAM], claims[heartbeat.PENDING]) == (journal.stream, journal.head)
    assert claims[heartbeat.PRESSES] == [0, 1, 0, 0, 1]
    assert (claims[heartbeat.CONFIG_VERSION], claims[heartbeat.ROSTER_VERSION]) == (0, 0)
    bench.send(command.TIME_ANSWER, {command.NONCE: claims[heartbeat.TIME_NONCE], command.TIME_MS: 1000 * MORNING_S})
    assert 0 <= bench.device.wall_clock.now_s() - MORNING_S <= 5  # half the time since it asked
    assert not running.done()


@timeless
async def test_heartbeats_come_as_often_as_the_config_says():
    bench = Bench().build()
    broker = online(bench)
    running = asyncio.create_task(bench.device.run())
    await asyncio.sleep(3600)
    found = beats(bench, broker)
    assert len(found) == 12
    assert len({claims[heartbeat.TIME_NONCE] for claims in found}) == 12
    bench.tell_time()
    config = {command.VERSION: 3, command.PLACE: "01", command.LANGUAGE: "zh", command.BRIGHTNESS: 128}
    bench.send(command.CONFIG, config | {command.RATING_TIMEOUT_S: 60, command.HEARTBEAT_S: 30})
    await asyncio.sleep(300)  # the one that was waited for
    beats(bench, broker)
    await asyncio.sleep(600)
    found = beats(bench, broker)
    assert 19 <= len(found) <= 21 and found[-1][heartbeat.CONFIG_VERSION] == 3
    assert not running.done()


@timeless
async def test_the_status_of_a_device_agrees_with_its_journal():
    bench = Bench().boot()
    await bench.shows("idle")
    await bench.hands.press(3)
    assert bench.device.status()["pending"] == 3  # two events, and what is kept but not sealed
    await bench.shows("kept")
    status, journal = bench.device.status(), bench.device.journal
    assert (status["device"], status["kind"], status["stream"]) == ("e-001", "evaluator", journal.stream.hex())
    assert (status["journaled"], status["receipted"]) == ((1, 0, 2), (0, 0, 0))
    assert (status["head"], status["through"], status["pending"], status["thanks"]) == (3, 0, 3, 1)
    assert (status["screen"], status["online"], status["clock_source"]) == ("kept", False, record.NO_TIME)
    bench.receipt(3)
    assert bench.device.status()["receipted"] == (1, 0, 2) and bench.device.status()["pending"] == 0


# --- time, drift


def answer_after(bench, minutes, lag_ms):
    """The gateway answers that its clock is `lag_ms` ahead of this device's."""
    bench.device.uptime._ms += minutes * 60000
    nonce = bench.device.wall_clock.ask()
    time_ms = 1000 * MORNING_S + bench.device.uptime.ms() + lag_ms
    bench.send(command.TIME_ANSWER, {command.NONCE: nonce, command.TIME_MS: time_ms})


@timeless
async def test_the_drift_of_the_clock_is_estimated_and_told_in_the_heartbeat():
    bench = Bench().boot()
    broker = online(bench)
    answer_after(bench, 0, 0)
    answer_after(bench, 20, 60)
    assert bench.device.wall_clock.drift_ppm is None  # too early to tell a drift from a slow answer
    answer_after(bench, 20, 120)
    assert bench.device.wall_clock.drift_ppm == -50  # 120 ms too slow in 40 minutes
    answer_after(bench, 40, 120)
    assert bench.device.wall_clock.drift_ppm == -25
    await asyncio.sleep(301)
    assert [claims.get(heartbeat.DRIFT_PPM) for claims in beats(bench, broker)][-1] == -25


@timeless
async def test_a_step_begins_the_estimate_of_the_drift_anew():
    bench = Bench().boot()
    answer_after(bench, 0, 0)
    answer_after(bench, 60, 36)
    assert bench.device.wall_clock.drift_ppm == -10
    answer_after(bench, 60, 600_000)
    assert bench.device.wall_clock.drift_ppm is None
    answer_after(bench, 60, 600_072)
    assert bench.device.wall_clock.drift_ppm == -20
    assert codes(bench).count(event.CLOCK_STEPPED) == 1


# --- the opening check


def hall_config(version=1, **more):
    config = {command.VERSION: version, command.PLACE: "01", command.LANGUAGE: "zh", command.BRIGHTNESS: 128}
    config |= {command.RATING_TIMEOUT_S: 60, command.HEARTBEAT_S: 300}
    return config | {getattr(command, name): value for name, value in more.items()}


def openings(bench):
    return [claims for claims in bench.claims(record.EVENT) if claims[event.CODE] == event.OPENING_CHECK]


@timeless
async def test_ten_minutes_before_opening_the_state_is_an_event_once_a_day():
    bench = Bench().boot()
    bench.tell_time()  # 01:00 UTC, 09:00 in the hall
    bench.send(command.CONFIG, hall_config(OPENING_MIN=9 * 60 + 30))
    await asyncio.sleep(19 * 60)
    assert openings(bench) == []
    await asyncio.sleep(62)
    [told] = openings(bench)
    assert told[event.VALUE] == LINK and told[event.TEXT] == "link"
    await asyncio.sleep(3600)
    assert len(openings(bench)) == 1
    bench.device.uptime._ms += 23 * 3600 * 1000
    await asyncio.sleep(2)
    assert len(openings(bench)) == 2


@timeless
async def test_the_opening_check_is_told_even_when_everything_is_well_and_when_it_is_not():
    for jammed in (False, True):
        bench = Bench().boot()
        online(bench)
        bench.tell_time()
        await until(lambda: bench.device.online, 30)
        if jammed:
            bench.board.buttons[2].value(0)
            await asyncio.sleep(30)
        bench.send(command.CONFIG, hall_config(OPENING_MIN=9 * 60 + 5))
        await asyncio.sleep(2)
        [told] = openings(bench)
        assert told[event.VALUE] == (BUTTONS if jammed else 0) and told.get(event.TEXT, "") == (
            "buttons" if jammed else ""
        )


@timeless
async def test_without_a_known_time_or_an_opening_hour_there_is_no_opening_check():
    bench = Bench().boot()
    bench.tell_time()
    bench.send(command.CONFIG, hall_config())
    await asyncio.sleep(1800)
    assert openings(bench) == []
    bench.send(command.CONFIG, hall_config(2, OPENING_MIN=9 * 60 + 35))
    bench.cut_power()
    bench.boot()  # it knows its hour, not the time
    await asyncio.sleep(1800)
    assert openings(bench) == []


def test_hours_of_the_day_go_over_midnight():
    assert schedule.minute_of_day(MORNING_S, 480) == 9 * 60 and schedule.minute_of_day(MORNING_S, -120) == 23 * 60
    assert schedule.day(MORNING_S, 480) == schedule.day(MORNING_S, -120) + 1
    for minute, inside in ((1079, False), (1080, True), (1439, True), (0, True), (479, True), (480, False)):
        assert schedule.is_within(minute, 1080, 480) is inside
    assert not any(schedule.is_within(minute, 600, 600) for minute in range(1440))
    assert [minute for minute in range(1440) if schedule.is_check_time(minute, 5)] == [
        0,
        1,
        2,
        3,
        4,
        *range(1435, 1440),
    ]
