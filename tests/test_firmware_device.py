"""A device as a whole: what its boot, its clock and its link may do to it, and what may not stop it."""

import asyncio
import contextlib
import hashlib
import traceback
from pathlib import Path

import pytest
from desk_bench import MORNING_S, NAMES, Bench
from memory_broker import MemoryBroker
from virtual_time import timeless, until

from firmware import crash, schedule
from firmware.buttons import STUCK_MS
from firmware.journal import BLOCK_BYTES, JournalFull
from firmware.self_check import BUTTONS, CLOCK, DISPLAY, FLASH, FLASH_LOW_BYTES, LID, LINK, SENSOR, names
from firmware.twin_file import TwinFile
from firmware.wall_clock import GUESS_STEP_S
from protocol import command, event, heartbeat, rating, record, sealed_record, topic

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


class DatedBroker:
    """A broker whose certificate is valid for a year from `begins_s`, as far as a board can tell: by its own clock,
    which begins in 2000. checked: what that showed, at each attempt.
    """

    def __init__(self, bench, begins_s):
        self._broker, self._begins_s = MemoryBroker(), begins_s
        self._clock_s = 946684800
        self.checked = []
        bench.board.set_time, bench.board.dial = self._set, self.dial

    def _set(self, utc_s):
        self._clock_s = utc_s

    async def dial(self):
        self.checked.append(self._clock_s)
        if self._clock_s < self._begins_s:
            raise ValueError("\nThe certificate validity starts in the future\n")
        if self._clock_s > self._begins_s + 366 * 86400:
            raise ValueError("\nThe certificate validity has expired\n")
        return await self._broker.dial()


@timeless
async def test_a_device_that_never_had_the_time_checks_certificates_by_its_build_time():
    bench = Bench().build()
    broker = DatedBroker(bench, bench.who.built_s - 3600)
    bench.run()
    await until(lambda: bench.device.online, 10)
    assert broker.checked == [bench.who.built_s]


@timeless
async def test_after_a_power_cut_certificates_are_checked_by_the_last_time_that_was_kept():
    bench = Bench().boot()
    bench.tell_time()
    bench.cut_power()
    broker = DatedBroker(bench.build(), MORNING_S - 60)
    bench.run()
    await until(lambda: bench.device.online, 10)
    assert broker.checked == [MORNING_S]
    assert bench.device.wall_clock.now_s() == 0  # nobody has told it the time: no record is dated by that


@timeless
async def test_a_device_from_the_drawer_finds_its_way_to_a_certificate_that_was_renewed_meanwhile():
    bench = Bench().build()
    broker = DatedBroker(bench, bench.who.built_s + 400 * 86400)
    bench.run()
    await until(lambda: bench.device.online, 900)
    assert broker.checked == [bench.who.built_s + GUESS_STEP_S * step for step in range(15)]
    assert bench.device.wall_clock.now_s() == 0


@timeless
async def test_an_expired_certificate_is_not_made_valid_by_guessing():
    bench = Bench().build()
    broker = DatedBroker(bench, bench.who.built_s - 367 * 86400)
    bench.run()
    await asyncio.sleep(900)
    assert set(broker.checked) == {bench.who.built_s} and bench.device.uplink.error == "expired"


@timeless
async def test_once_the_time_is_known_no_certificate_is_checked_by_a_guess():
    bench = Bench().build()
    broker = DatedBroker(bench, MORNING_S + 86400)
    bench.run()
    bench.tell_time()
    await asyncio.sleep(900)
    assert set(broker.checked) == {MORNING_S} and bench.device.uplink.error == "early"


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


@timeless
async def test_a_flash_that_does_not_keep_the_settings_is_shown_as_what_it_is_and_breaks_no_link(monkeypatch):
    def fail(*_):
        raise OSError(5)

    bench = Bench().boot()
    broker = online(bench)
    bench.tell_time()
    await until(lambda: bench.device.online, 30)
    bench.deliver = lambda message: broker.send(topic.down(bench.who.hall, bench.who.device), message)
    with monkeypatch.context() as failing:
        failing.setattr(TwinFile, "store", fail)
        bench.send(command.CONFIG, hall_config(PLACE="07"))
        await asyncio.sleep(10)
        assert bench.device.settings.get(command.VERSION) == 0 and bench.device.inbox.dropped == 1
        assert await bench.device.app.check.faults() == FLASH
    assert (bench.device.online, bench.device.uplink.error, len(broker.dialled)) == (True, "", 1)
    bench.send(command.CONFIG, hall_config(PLACE="07"))  # it is offered again, for the heartbeat tells of none
    await asyncio.sleep(10)
    assert bench.device.place == "07" and await bench.device.app.check.faults() == 0


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


def break_part(bench, bit):
    """Break what this bit of a check stands for."""
    board = bench.board

    def dead(address, data):
        raise OSError(19)

    if bit == BUTTONS:
        (board.buttons[2] if bench.who.kind == "evaluator" else board.button).value(0)
    elif bit == DISPLAY:
        board.display.writeto = dead
    elif bit == SENSOR:
        bench.sensor.unplug()
    elif bit == FLASH:
        board.free_flash_bytes = lambda: FLASH_LOW_BYTES - 1
    elif bit == LINK:
        bench.broker.refusing = True
        bench.broker.cut()
    elif bit == LID:
        board.tamper.value(0)


@timeless
@pytest.mark.parametrize(
    ("kind", "bit"),
    [("clock", SENSOR)] + [(kind, bit) for kind in NAMES for bit in (0, BUTTONS, DISPLAY, FLASH, LINK, LID)],
)
async def test_the_opening_check_finds_whatever_is_broken(kind, bit):
    bench = Bench(kind).boot()
    bench.broker = online(bench)
    bench.tell_time()
    await until(lambda: bench.device.online, 30)
    await asyncio.sleep(5)
    break_part(bench, bit)
    await asyncio.sleep(STUCK_MS / 1000 + 5)
    bench.send(command.CONFIG, hall_config(OPENING_MIN=9 * 60 + 5))
    await until(lambda: openings(bench), 10)
    [told] = openings(bench)
    assert (told[event.VALUE], told.get(event.TEXT, "")) == (bit, names(bit))


@timeless
async def test_an_unknown_time_is_found_by_the_first_self_check():
    """The opening check cannot: without a time there is no opening hour."""
    bench = Bench().boot()
    await asyncio.sleep(60)
    checks = [claims for claims in bench.claims(record.EVENT) if claims[event.CODE] == event.SELF_CHECK]
    assert checks[0][event.VALUE] == CLOCK | LINK and checks[0][event.TEXT] == "clock link"


@timeless
@pytest.mark.parametrize("after_min", [20, 60, 11 * 60])
async def test_a_device_that_learns_the_time_only_after_the_opening_is_checked_then_and_says_so(after_min):
    opening_min = (9 * 60 + 10 - after_min) % 1440  # it is nine o'clock
    bench = Bench().boot()
    bench.now_s -= 86400
    bench.tell_time()
    bench.send(command.CONFIG, hall_config(OPENING_MIN=opening_min))
    await asyncio.sleep(5)
    assert len(openings(bench)) == 1  # yesterday's
    bench.cut_power()
    bench.now_s += 86400
    bench.boot()
    await asyncio.sleep(120)  # no network in the morning
    assert len(openings(bench)) == 1
    bench.tell_time()
    await asyncio.sleep(3)
    assert [claims[event.TEXT] for claims in openings(bench)] == ["link late"] * 2
    for _ in range(3):  # one a day, whatever happens on it
        bench.cut_power()
        bench.now_s += 300
        bench.boot()
        bench.tell_time()
        await asyncio.sleep(120)
        assert len(openings(bench)) == 2


@timeless
async def test_a_reboot_within_the_hour_of_the_opening_check_does_not_repeat_it():
    bench = Bench().boot()
    bench.tell_time()
    bench.send(command.CONFIG, hall_config(OPENING_MIN=9 * 60 + 30))
    await asyncio.sleep(22 * 60)
    assert len(openings(bench)) == 1
    bench.now_s += 25 * 60
    bench.cut_power()
    bench.boot()
    bench.tell_time()
    await asyncio.sleep(600)
    assert len(openings(bench)) == 1


@timeless
async def test_who_learns_the_time_half_a_day_after_the_opening_waits_for_the_next():
    bench = Bench().boot()
    bench.tell_time()  # 09:00 in the hall
    bench.send(command.CONFIG, hall_config(OPENING_MIN=21 * 60 + 10))
    await asyncio.sleep(600)
    assert openings(bench) == []


@timeless
async def test_an_opening_check_that_the_journal_does_not_take_comes_with_the_receipt():
    bench = Bench(journal_bytes=QUOTA_BYTES).boot()
    bench.tell_time()
    exhaust(bench)
    bench.send(command.CONFIG, hall_config(OPENING_MIN=9 * 60 + 5))
    tried = []
    look = bench.device.board.free_flash_bytes
    bench.device.board.free_flash_bytes = lambda: tried.append(1) or look()
    await asyncio.sleep(240)
    assert openings(bench) == [] and 0 < len(tried) < 20  # not every second
    bench.receipt(bench.device.journal.head)
    await asyncio.sleep(61)
    assert len(openings(bench)) == 1


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
    for minute, inside in ((1079, False), (1080, True), (1439, True), (0, True), (479, True), (480, False)):
        assert schedule.is_within(minute, 1080, 480) is inside
    assert not any(schedule.is_within(minute, 600, 600) for minute in range(1440))
    midnight_s = MORNING_S - 9 * 3600
    since = [schedule.since_check_min(midnight_s + 60 * minute, 5, 480) for minute in range(-5, 1440)]
    assert since == [*range(1440), *range(5)]  # five minutes before midnight, for a hall that opens five after it
