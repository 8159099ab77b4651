"""A device as a whole: what its boot, its clock and its link may do to it, and what may not stop it."""

import asyncio
import contextlib
from pathlib import Path

from desk_bench import MORNING_S, Bench
from memory_broker import MemoryBroker
from virtual_time import timeless, until

from firmware import main
from firmware.journal import BLOCK_BYTES, JournalFull
from protocol import command, event, heartbeat, rating, record, sealed_record

RATED = {rating.WINDOW: "01", rating.OUTCOME: rating.RATED, rating.LEVEL: 5, rating.MODE: rating.WALK_UP}
QUOTA_BYTES = 3 * BLOCK_BYTES


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


@timeless
async def test_what_ended_the_last_run_is_told_in_the_stream_once():
    bench = Bench().build()
    crash = Path(bench.who.root, "crash")
    crash.write_text("OSError 5 " + "x" * 200, "utf-8")
    for _ in range(2):
        main.report_crash(bench.device)
        [told] = [claims for claims in bench.claims(record.EVENT) if claims[event.CODE] == event.FAULT]
        assert told[event.TEXT].startswith("OSError 5 x") and len(told[event.TEXT]) == main.CRASH_CHARS_MAX
        assert not crash.exists()


@timeless
async def test_a_crash_that_cannot_be_told_yet_stops_no_boot_and_is_told_later():
    bench = Bench(journal_bytes=QUOTA_BYTES).build()
    exhaust(bench)
    crash = Path(bench.who.root, "crash")
    crash.write_text("OSError 5", "utf-8")
    main.report_crash(bench.device)
    assert crash.exists() and event.FAULT not in codes(bench)
    bench.receipt(bench.device.journal.head)
    main.report_crash(bench.device)
    assert not crash.exists() and codes(bench) == [event.FAULT]


@timeless
async def test_a_crash_in_no_language_is_no_crash():
    bench = Bench().build()
    Path(bench.who.root, "crash").write_bytes(b"\xff\xfe\x00")
    main.report_crash(bench.device)
    assert event.FAULT not in codes(bench)


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
        await bench.shows("idle")
    await asyncio.sleep(301)
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
    status, journal = bench.device.status(), bench.device.journal
    assert (status["device"], status["kind"], status["stream"]) == ("e-001", "evaluator", journal.stream.hex())
    assert (status["journaled"], status["receipted"]) == ((1, 0, 2), (0, 0, 0))
    assert (status["head"], status["through"], status["pending"], status["thanks"]) == (3, 0, 3, 1)
    assert (status["screen"], status["online"], status["clock_source"]) == ("thanks", False, record.NO_TIME)
    bench.receipt(3)
    assert bench.device.status()["receipted"] == (1, 0, 2) and bench.device.status()["pending"] == 0
