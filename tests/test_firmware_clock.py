"""The clock as staff meet it: a touch, an answer, and what of it stands in the journal afterwards."""

import asyncio

from desk_bench import Bench
from test_firmware_device import beats, online
from virtual_time import timeless, until

from firmware.clock import ANSWER_MS
from firmware.direction import CHOSEN_MS
from firmware.journal import BLOCK_BYTES
from firmware.punches import REPEAT_MS, UNKNOWN_IN_A_ROW
from firmware.self_check import SENSOR
from firmware.sensor_packet import SILENT
from protocol import command, event, heartbeat, punch, record

ROWS = [[1, "S001", "王琳"], [2, "S002", "李静"], [3, "S003", "张伟"]]
SLOTS = (1, 2, 3, 4)  # the fourth is enrolled, and in no roster
STRANGER = -1


def give_roster(bench, version=1, rows=ROWS):
    bench.send(command.ROSTER, {command.ROSTER_VERSION: version, command.STAFF_ROWS: rows})


async def a_clock(**settings):
    """A bench whose device is ready, knows the time and its staff."""
    bench = Bench("clock", SLOTS, **settings).boot()
    bench.tell_time()
    give_roster(bench)
    await bench.shows("ready")
    return bench


async def touch(bench, finger):
    """One touch; the word that answered it."""
    await bench.shows("ready")
    await bench.hands.touch(finger)
    word = await until(lambda: bench.app.status_word != "ready" and bench.app.status_word, 5)
    await asyncio.sleep(ANSWER_MS / 1000 + 0.2)
    return word


def staff(bench):
    """Numbers of the punches on the flash, in order."""
    return [claims[punch.STAFF] for claims in bench.claims(record.PUNCH)]


def told(bench, code):
    """Claims of the events of one code."""
    return [claims for claims in bench.claims(record.EVENT) if claims[event.CODE] == code]


# --- punches


@timeless
async def test_a_touch_is_a_punch_with_its_time():
    bench = await a_clock()
    await asyncio.sleep(7)
    began_s = bench.device.wall_clock.now_s()
    await bench.hands.touch(2)
    assert bench.app.status_word == "punched"
    [claims] = bench.claims(record.PUNCH)
    assert (claims[punch.DOOR], claims[punch.STAFF], claims[punch.DIRECTION]) == ("D1", "S002", punch.AUTO)
    assert claims[punch.METHOD] == punch.FINGERPRINT and claims[punch.SCORE] > 0
    assert began_s <= claims[punch.TIME] <= began_s + 1
    await bench.shows("ready", ANSWER_MS / 1000 + 0.1)
    assert (bench.app.thanks, bench.app.touches) == (1, 1)


@timeless
async def test_a_punch_without_a_known_time_carries_none_and_counts():
    bench = await a_clock()
    bench.cut_power()
    bench.boot()
    assert await touch(bench, 1) == "punched"
    [(made, _)] = bench.records(record.PUNCH)
    assert (made.source, punch.TIME in made.claims) == (record.NO_TIME, False)


@timeless
async def test_the_punch_is_on_flash_before_the_door_says_so():
    bench = await a_clock()
    order, journal, notice = [], bench.device.journal, bench.app._notice
    append, show = journal.append, notice.show
    journal.append = lambda *entry: (append(*entry), order.append("flash"))
    notice.show = lambda word, *rest: (order.append(word), show(word, *rest))
    await bench.hands.touch(3)
    assert order == ["flash", "punched"]


@timeless
async def test_the_same_person_within_a_minute_is_one_punch():
    bench = await a_clock()
    assert await touch(bench, 1) == "punched"
    for finger in (1, 2, 1):  # somebody else between changes nothing
        assert await touch(bench, finger) == ("punched" if finger == 2 else "repeated")
    assert (staff(bench), bench.app.thanks, bench.app.touches) == (["S001", "S002"], 2, 4)
    await asyncio.sleep(REPEAT_MS / 1000)
    assert await touch(bench, 1) == "punched"
    assert staff(bench) == ["S001", "S002", "S001"]


@timeless
async def test_nobody_of_a_rush_punches_twice():
    """As many as the door can take in a minute, and then the first one again."""
    bench = await a_clock()
    rush = range(1, 26)
    give_roster(bench, 2, [[slot, f"S{slot:03}", "王琳"] for slot in rush])
    bench.sensor.templates = {slot: slot for slot in rush}
    began_ms = bench.device.uptime.ms()
    for finger in rush:
        assert await touch(bench, finger) == "punched"
    assert await touch(bench, 1) == "repeated"
    assert bench.device.uptime.ms() - began_ms < REPEAT_MS + 1000
    assert staff(bench) == [f"S{slot:03}" for slot in rush]


@timeless
async def test_the_minute_begins_with_the_punch_and_not_with_the_last_touch():
    bench = await a_clock()
    words = [await touch(bench, 1)]
    for _ in range(3):
        await asyncio.sleep(REPEAT_MS / 1000 / 4)
        words.append(await touch(bench, 1))
    await asyncio.sleep(REPEAT_MS / 1000 / 4)
    words.append(await touch(bench, 1))
    assert words == ["punched", "repeated", "repeated", "repeated", "punched"]


@timeless
async def test_a_finger_that_stays_on_the_glass_is_one_touch():
    bench = await a_clock()
    bench.hands.sensor.finger = 1
    bench.board.touch.value(0)
    await asyncio.sleep(3 * REPEAT_MS / 1000)
    bench.hands.sensor.finger = None
    bench.board.touch.value(1)
    await bench.shows("ready", 1)
    assert (staff(bench), bench.app.touches) == (["S001"], 1)


@timeless
async def test_a_new_roster_is_in_force_with_the_next_touch():
    bench = await a_clock()
    assert await touch(bench, 4) == "unknown"
    give_roster(bench, 2, [*ROWS, [4, "S004", "刘洋"]])
    assert await touch(bench, 4) == "punched"
    assert staff(bench) == ["S004"]


# --- fingers that nobody knows


@timeless
async def test_five_unknown_fingers_in_a_row_are_one_event():
    bench = await a_clock()
    for finger in (STRANGER, 4, STRANGER, STRANGER):
        assert await touch(bench, finger) == "unknown"
    assert told(bench, event.UNKNOWN_FINGER) == []
    assert await touch(bench, STRANGER) == "unknown"
    [claims] = told(bench, event.UNKNOWN_FINGER)
    assert claims[event.VALUE] == UNKNOWN_IN_A_ROW == 5
    for _ in range(4):
        await touch(bench, STRANGER)
    assert len(told(bench, event.UNKNOWN_FINGER)) == 1  # counted anew
    await touch(bench, STRANGER)
    assert len(told(bench, event.UNKNOWN_FINGER)) == 2
    assert (staff(bench), bench.app.thanks) == ([], 0)


@timeless
async def test_a_known_finger_ends_the_row():
    bench = await a_clock()
    for finger in (STRANGER,) * 4 + (1,) + (STRANGER,) * 4:
        await touch(bench, finger)
    assert told(bench, event.UNKNOWN_FINGER) == []


@timeless
async def test_a_touch_too_short_to_see_is_tried_again_and_counts_for_nothing():
    bench = await a_clock()
    for _ in range(UNKNOWN_IN_A_ROW + 1):
        await bench.shows("ready")
        bench.board.touch.value(0)  # felt, and gone before the picture
        await asyncio.sleep(0.01)
        bench.board.touch.value(1)
        await bench.shows("unknown", 2)
    assert told(bench, event.UNKNOWN_FINGER) == [] and bench.app.touches == 0
    assert not told(bench, event.FAULT)


@timeless
async def test_fingers_that_nobody_knows_are_counted_in_the_heartbeat():
    bench = await a_clock()
    for finger in (STRANGER, 1, 4, STRANGER):
        await touch(bench, finger)
    assert bench.app.counts() == {heartbeat.UNKNOWN_FINGERS: 3}
    broker = online(bench)
    await until(lambda: beats(bench, broker), 90)
    await asyncio.sleep(301)
    assert beats(bench, broker)[-1][heartbeat.UNKNOWN_FINGERS] == 3


# --- the direction


@timeless
async def test_the_direction_is_automatic_or_chosen_with_the_button_for_one_punch():
    bench = await a_clock()
    words = []
    for presses, finger in ((0, 1), (1, 2), (2, 3), (0, 1), (3, 2)):
        await asyncio.sleep(REPEAT_MS / 1000)
        await bench.shows("ready")
        for _ in range(presses):
            await bench.hands.push()
        await bench.hands.touch(finger)
        words.append(bench.app.status_word)
        await bench.shows("ready", 3)
    assert words == ["punched", "in", "out", "punched", "punched"]
    directions = [claims[punch.DIRECTION] for claims in bench.claims(record.PUNCH)]
    assert directions == [punch.AUTO, punch.IN, punch.OUT, punch.AUTO, punch.AUTO]


@timeless
async def test_a_chosen_direction_that_nobody_uses_goes_back_to_automatic():
    bench = await a_clock()
    await bench.hands.push()
    assert bench.app.status_word == "ready_in"
    await bench.hands.push()
    assert bench.app.status_word == "ready_out"
    await asyncio.sleep(CHOSEN_MS / 1000 - 1)
    assert bench.app.status_word == "ready_out"
    await bench.shows("ready", 2.1)
    assert await touch(bench, 1) == "punched"


# --- when something is broken


@timeless
async def test_a_silent_sensor_is_shown_reported_once_and_recovers():
    bench = await a_clock()
    await asyncio.sleep(120)  # the opening check is through
    bench.hands.sensor.fault = "silence"
    await bench.hands.touch(1)
    await bench.shows("sensor", 10)
    assert bench.screen.word == "sensor"
    for _ in range(3):
        await bench.hands.touch(1)
        await asyncio.sleep(300)
        assert bench.app.status_word == "sensor"
    [claims] = told(bench, event.FAULT)
    assert claims[event.VALUE] == SILENT and "silent" in claims[event.TEXT]
    bench.hands.sensor.fault = ""
    await bench.shows("ready", 70)  # by itself: the self check asks every minute
    assert await touch(bench, 1) == "punched"
    await asyncio.sleep(1800)
    assert len(told(bench, event.FAULT)) == 1 and bench.app.status_word == "ready"
    checks = [claims[event.VALUE] & SENSOR for claims in told(bench, event.SELF_CHECK)]
    assert checks == [0, 0]  # the opening check, and the mend; the fault itself was told


@timeless
async def test_a_sensor_that_is_silent_from_the_start_is_waited_for():
    bench = Bench("clock", SLOTS).build()
    bench.hands.sensor.fault = "silence"
    running = asyncio.create_task(bench.device.run())
    bench.tell_time()
    give_roster(bench)
    await bench.shows("sensor", 10)
    await asyncio.sleep(300)
    assert len(told(bench, event.FAULT)) == 1 and not running.done()
    bench.hands.sensor.fault = ""
    await bench.shows("ready", 10)
    assert await touch(bench, 2) == "punched"


@timeless
async def test_a_sensor_that_fails_again_is_reported_again():
    bench = await a_clock()
    for failures in (1, 2):
        bench.hands.sensor.fault = "checksum"
        await bench.shows("sensor", 90)
        bench.hands.sensor.fault = ""
        await bench.shows("ready", 90)
        assert len(told(bench, event.FAULT)) == failures


@timeless
async def test_one_spoiled_packet_is_no_fault():
    bench = await a_clock()
    sensor, spoiled = bench.hands.sensor, []
    receive = sensor.receive

    def once(data):
        answer = receive(data)
        if answer and not spoiled:
            spoiled.append(answer)
            return answer[:-1] + bytes((answer[-1] ^ 1,))
        return answer

    sensor.receive = once
    assert await touch(bench, 3) == "punched"
    assert spoiled and not told(bench, event.FAULT)


@timeless
async def test_a_punch_that_is_not_on_flash_is_not_confirmed():
    bench = await a_clock(journal_bytes=4 * BLOCK_BYTES)
    for _ in range(40):
        if await touch(bench, 1) == "full":
            break
        await asyncio.sleep(REPEAT_MS / 1000)
    else:
        raise AssertionError("it is never full")
    thanked = bench.app.thanks
    assert len(staff(bench)) == thanked > 4
    assert await touch(bench, 2) == "full"
    bench.receipt(bench.device.journal.head)
    assert await touch(bench, 2) == "punched"  # and no repetition: the one before did not count
    assert (staff(bench), bench.app.thanks) == (["S002"], thanked + 1)


@timeless
async def test_a_roster_that_does_not_fit_the_heap_is_said_and_the_clock_goes_on():
    bench = await a_clock()
    look = bench.device.settings.staff

    def crowded(slot):
        raise MemoryError()

    bench.device.settings.staff = crowded
    assert await touch(bench, 1) == "fault"
    bench.device.settings.staff = look
    assert await touch(bench, 1) == "punched"


@timeless
async def test_a_power_cut_loses_no_punch_that_was_confirmed():
    bench = await a_clock()
    await bench.hands.touch(1)
    assert bench.app.status_word == "punched"
    bench.cut_power()
    bench.boot()
    bench.tell_time()
    assert await touch(bench, 3) == "punched"  # the roster is there again
    assert staff(bench) == ["S001", "S003"]
