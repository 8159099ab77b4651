"""Enrolment at the door: an administrator's finger first, three touches, every change of the sensor in the stream."""

import asyncio
from pathlib import Path

import pytest
from desk_bench import Bench
from test_firmware_clock import give_roster, staff, told, touch
from virtual_time import timeless, until

from firmware import removal
from firmware.enrolment import CHOICE_MS, FINGER_MS
from firmware.fingerprint import DELETE, STORE
from firmware.identity import REMOVAL
from firmware.journal import BLOCK_BYTES
from firmware.push_button import HOLD_MS
from firmware.sensor_packet import SILENT
from protocol import command, event, record
from simulator import sensor

BOSS = 9
ROWS = [[1, "S001", "王琳"], [2, "S002", "李静"], [BOSS, "S009", "张伟", command.ADMINISTRATOR]]
FINGER = 77  # of the person who comes to be enrolled
HOLD = HOLD_MS + 300


async def a_door(enrolled=(1, BOSS), rows=ROWS, **settings):
    """A clock that is ready, with an administrator whose finger it knows."""
    bench = Bench("clock", enrolled, **settings).boot()
    bench.tell_time()
    give_roster(bench, rows=rows)
    await bench.shows("ready")
    return bench


async def lay(bench, finger):
    """Lay a finger down for a good second, and take it away."""
    bench.sensor.finger = finger
    bench.board.touch.value(0)
    await asyncio.sleep(1.2)
    bench.sensor.finger = None
    bench.board.touch.value(1)
    await asyncio.sleep(0.3)


async def touches(bench, *fingers):
    """What is asked for in an enrolment, answered with these fingers."""
    for finger in fingers:
        await bench.shows("enrol", 5)
        await lay(bench, finger)


def changes(bench):
    """The enrolments and deletions that the stream tells of, in order."""
    codes = [claims[event.CODE] for claims in bench.claims(record.EVENT)]
    return [code for code in codes if code in (event.FINGER_ENROLLED, event.FINGER_DELETED)]


def power_is_cut_at(bench, code, answered):
    """The power goes with the next command of this code, before or after the sensor has done it."""
    receive = bench.sensor.receive

    def cut(data):
        if data[9] != code:
            return receive(data)
        bench.sensor.receive = receive
        if answered:
            receive(data)
        bench.cut_power()
        return b""

    bench.sensor.receive = cut


def order(bench, kind, slot):
    bench.send(kind, {command.SLOT: slot})


async def ends(bench, word):
    """The dialogue ended with this text, and the door is ready again."""
    await bench.shows(word, 40)
    await bench.shows("ready", 10)


# --- the way in


@timeless
async def test_an_administrators_finger_then_three_touches_enrol_a_person():
    bench = await a_door()
    await bench.hands.push(HOLD)
    await bench.shows("admin", 1)
    await lay(bench, BOSS)
    await bench.shows("choose", 5)
    await bench.hands.push()  # the next one: S002
    await bench.hands.push(HOLD)
    await touches(bench, FINGER, FINGER, FINGER)
    await ends(bench, "enrolled")
    [claims] = told(bench, event.FINGER_ENROLLED)
    assert (claims[event.VALUE], claims[event.TEXT], claims[event.BY]) == (2, "S002", "S009")
    assert bench.sensor.templates[2] == FINGER and told(bench, event.FINGER_DELETED) == []
    assert await touch(bench, FINGER) == "punched"
    assert staff(bench) == ["S002"]


@timeless
async def test_the_gateway_can_name_the_person_and_an_administrator_still_comes_first():
    bench = await a_door()
    order(bench, command.ENROL, 2)
    await bench.shows("admin", 1)
    await lay(bench, BOSS)
    await touches(bench, FINGER, FINGER, FINGER)
    await ends(bench, "enrolled")
    assert bench.sensor.templates[2] == FINGER
    assert [claims[event.BY] for claims in told(bench, event.FINGER_ENROLLED)] == ["S009"]


@timeless
@pytest.mark.parametrize("finger", [1, -1, FINGER, None])
async def test_nobody_but_an_administrator_opens_the_enrolment(finger):
    for by_command in (True, False):
        bench = await a_door()
        if by_command:
            order(bench, command.ENROL, 2)
        else:
            await bench.hands.push(HOLD)
        await bench.shows("admin", 1)
        if finger is not None:
            await lay(bench, finger)
        await ends(bench, "denied")
        assert bench.sensor.enrolled == {1, BOSS}
        [claims] = told(bench, event.ENROLMENT_REFUSED)
        assert claims[event.VALUE] == (2 if by_command else 0)
        assert told(bench, event.FINGER_ENROLLED) == [] and staff(bench) == []


@timeless
async def test_the_first_administrator_is_enrolled_by_command_alone_and_nobody_else_is():
    bench = await a_door(enrolled=(1,))
    order(bench, command.ENROL, 2)
    await ends(bench, "denied")
    await bench.hands.push(HOLD)
    await bench.shows("admin", 1)
    await lay(bench, 1)
    await ends(bench, "denied")
    order(bench, command.ENROL, BOSS)
    await touches(bench, BOSS, BOSS, BOSS)
    await ends(bench, "enrolled")
    [claims] = told(bench, event.FINGER_ENROLLED)
    assert (claims[event.TEXT], event.BY in claims) == ("S009", False)
    order(bench, command.ENROL, BOSS)  # from now on a finger comes first, for everybody
    await bench.shows("admin", 1)


@timeless
async def test_a_slot_that_is_in_no_roster_is_not_enrolled():
    bench = await a_door()
    order(bench, command.ENROL, 5)
    await ends(bench, "nobody")
    bench = await a_door(rows=[])
    await bench.hands.push(HOLD)
    await ends(bench, "nobody")


# --- touches that do not fit


@timeless
async def test_touches_of_different_fingers_make_no_template():
    bench = await a_door()
    order(bench, command.ENROL, 2)
    await bench.shows("admin", 1)
    await lay(bench, BOSS)
    await touches(bench, FINGER, FINGER + 1)
    await ends(bench, "failed")
    assert bench.sensor.enrolled == {1, BOSS} and told(bench, event.FINGER_ENROLLED) == []


@timeless
async def test_no_template_is_stored_before_the_third_touch_has_proven_it():
    bench = await a_door()
    order(bench, command.ENROL, 2)
    await bench.shows("admin", 1)
    await lay(bench, BOSS)
    await touches(bench, FINGER, FINGER, FINGER + 1)
    await ends(bench, "failed")
    assert bench.sensor.enrolled == {1, BOSS} and changes(bench) == []


@timeless
async def test_a_finger_that_is_known_is_not_enrolled_for_a_second_person():
    bench = await a_door()
    order(bench, command.ENROL, 2)
    await bench.shows("admin", 1)
    await lay(bench, BOSS)
    await touches(bench, 1)
    await ends(bench, "known")
    assert bench.sensor.enrolled == {1, BOSS}


@timeless
async def test_who_goes_away_in_the_middle_is_not_enrolled():
    for fingers in ((), (FINGER,), (FINGER, FINGER)):
        bench = await a_door()
        order(bench, command.ENROL, 2)
        await bench.shows("admin", 1)
        await lay(bench, BOSS)
        await touches(bench, *fingers)
        await ends(bench, "failed")
        assert bench.sensor.enrolled == {1, BOSS}
    await bench.hands.push(HOLD)
    await bench.shows("admin", 1)
    await lay(bench, BOSS)
    await bench.shows("choose", 5)
    await asyncio.sleep(CHOICE_MS / 1000)
    await ends(bench, "failed")


@timeless
async def test_a_messy_picture_is_taken_again_and_no_failure():
    bench = await a_door()
    order(bench, command.ENROL, 2)
    await bench.shows("admin", 1)
    await lay(bench, BOSS)
    bench.sensor.pictures.extend((0x06, 0x07))
    await touches(bench, FINGER, FINGER, FINGER)
    await ends(bench, "enrolled")


@timeless
async def test_without_room_for_the_event_nobody_is_enrolled_or_deleted():
    bench = await a_door(journal_bytes=4 * BLOCK_BYTES)
    while bench.device.journal.has_room():
        bench.device.record(record.EVENT, {event.CODE: event.SELF_CHECK})
    append = bench.device.journal.append
    bench.device.journal.append = lambda *entry: (_ for _ in ()).throw(OSError(28))
    order(bench, command.DELETE_FINGER, 1)
    await ends(bench, "full")
    order(bench, command.ENROL, 2)
    await bench.shows("admin", 1)
    await lay(bench, BOSS)
    await touches(bench, FINGER, FINGER, FINGER)
    await ends(bench, "full")
    bench.device.journal.append = append
    assert bench.sensor.enrolled == {1, BOSS}


# --- the way out


@timeless
async def test_a_command_deletes_a_finger_and_the_stream_says_so():
    bench = await a_door()
    order(bench, command.DELETE_FINGER, 1)
    await ends(bench, "deleted")
    [claims] = told(bench, event.FINGER_DELETED)
    assert (claims[event.VALUE], claims[event.TEXT], event.BY in claims) == (1, "S001", False)
    assert bench.sensor.enrolled == {BOSS}
    assert await touch(bench, 1) == "unknown"


@timeless
async def test_an_administrator_deletes_at_the_door_by_holding_twice():
    for hold, word, left in ((0, "failed", {1, BOSS}), (HOLD, "deleted", {BOSS})):
        bench = await a_door()
        await bench.hands.push(HOLD)
        await bench.shows("admin", 1)
        await lay(bench, BOSS)
        await bench.shows("choose", 5)
        await bench.hands.push(HOLD)
        await bench.shows("remove", 5)
        await asyncio.sleep(0.5)
        await bench.hands.push(hold or 90)
        await ends(bench, word)
        assert bench.sensor.enrolled == left
        assert [claims[event.BY] for claims in told(bench, event.FINGER_DELETED)] == ["S009"] * (word == "deleted")


# --- the sensor itself


@timeless
@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize("fault", ["checksum", "half", "silence", "unplugged"])
async def test_a_sensor_that_fails_in_the_middle_enrols_nobody_and_is_reported(fault, number):
    bench = await a_door()
    order(bench, command.ENROL, 2)
    await bench.shows("admin", 1)
    await lay(bench, BOSS)
    await touches(bench, *[FINGER] * (number - 1))
    await bench.shows("enrol", 5)
    if fault == "unplugged":
        bench.sensor.unplug()
    else:
        bench.sensor.fault = fault
    await touches(bench, FINGER)
    await bench.shows("sensor", 10)
    bench.sensor.fault = ""
    bench.sensor.plug()
    await bench.shows("ready", 90)
    assert bench.sensor.enrolled == {1, BOSS} and len(told(bench, event.FAULT)) == 1
    assert changes(bench) == []
    assert await touch(bench, FINGER) == "unknown"
    assert await touch(bench, 1) == "punched"


@timeless
@pytest.mark.parametrize("stored", [False, True])
@pytest.mark.parametrize("rebooted", [False, True])
async def test_a_template_whose_storing_was_not_confirmed_goes_again_and_the_stream_says_both(stored, rebooted):
    bench = await a_door()
    receive = bench.sensor.receive

    def lose(data):
        """The plug comes off with the command to store."""
        if data[9] == STORE:
            if stored:
                receive(data)
            bench.sensor.unplug()
            bench.sensor.receive = receive
            return b""
        return receive(data)

    bench.sensor.receive = lose
    order(bench, command.ENROL, 2)
    await bench.shows("admin", 1)
    await lay(bench, BOSS)
    await touches(bench, FINGER, FINGER, FINGER)
    await bench.shows("sensor", 10)
    assert changes(bench) == [event.FINGER_ENROLLED] and (2 in bench.sensor.templates) == stored
    if rebooted:
        bench.cut_power()
        bench.boot()
        await bench.shows("sensor", 10)
    bench.sensor.plug()
    await bench.shows("ready", 90)
    assert changes(bench) == [event.FINGER_ENROLLED, event.FINGER_DELETED]
    assert bench.sensor.enrolled == {1, BOSS} and await touch(bench, FINGER) == "unknown"
    assert [claims[event.BY] for claims in told(bench, event.FINGER_DELETED)] == ["S009"]


@timeless
@pytest.mark.parametrize("answered", [False, True])
async def test_a_power_cut_while_a_template_is_stored_leaves_none_that_the_stream_does_not_tell_of(answered):
    bench = await a_door()
    power_is_cut_at(bench, STORE, answered)
    order(bench, command.ENROL, 2)
    await bench.shows("admin", 1)
    await lay(bench, BOSS)
    await touches(bench, FINGER, FINGER, FINGER)
    bench.boot()
    await bench.shows("ready", 90)
    assert changes(bench) == [event.FINGER_ENROLLED, event.FINGER_DELETED] and bench.sensor.enrolled == {1, BOSS}
    bench.cut_power()
    bench.boot()
    await bench.shows("ready", 90)
    assert len(changes(bench)) == 2


@timeless
@pytest.mark.parametrize("rebooted", [False, True])
async def test_a_deletion_that_the_sensor_does_not_answer_is_told_when_it_is_done_and_not_before(rebooted):
    bench = await a_door()
    receive = bench.sensor.receive

    def lose(data):
        if data[9] == DELETE:
            bench.sensor.unplug()
            bench.sensor.receive = receive
        return receive(data)

    bench.sensor.receive = lose
    order(bench, command.DELETE_FINGER, 1)
    await bench.shows("sensor", 10)
    assert changes(bench) == [] and bench.sensor.enrolled == {1, BOSS}
    if rebooted:
        bench.cut_power()
        bench.boot()
    bench.sensor.plug()
    await bench.shows("ready", 90)
    assert await touch(bench, 1) == "unknown"
    assert changes(bench) == [event.FINGER_DELETED] and bench.sensor.enrolled == {BOSS} and staff(bench) == []
    await asyncio.sleep(600)
    assert changes(bench) == [event.FINGER_DELETED]


@timeless
@pytest.mark.parametrize("answered", [False, True])
async def test_no_power_cut_leaves_a_deletion_untold(answered):
    bench = await a_door()
    power_is_cut_at(bench, DELETE, answered)
    order(bench, command.DELETE_FINGER, 1)
    await until(lambda: bench.running.done(), 10)
    assert (1 in bench.sensor.templates) != answered
    bench.boot()
    await bench.shows("ready", 90)
    [claims] = told(bench, event.FINGER_DELETED)
    assert (claims[event.VALUE], claims[event.TEXT]) == (1, "S001") and bench.sensor.enrolled == {BOSS}


@timeless
async def test_a_removal_that_the_power_cut_tore_was_not_begun():
    bench = await a_door()
    bench.cut_power()
    Path(bench.who.root, REMOVAL[1:]).write_bytes(b"\x83\x01")
    bench.boot()
    await bench.shows("ready", 90)
    assert changes(bench) == [] and bench.sensor.enrolled == {1, BOSS}
    assert not Path(bench.who.root, REMOVAL[1:]).exists()


@timeless
async def test_a_flash_that_takes_no_removal_leaves_the_finger_and_says_so(monkeypatch):
    bench = await a_door()

    def fail(*_):
        raise OSError(5)

    monkeypatch.setattr(removal, "begin", fail)
    order(bench, command.DELETE_FINGER, 1)
    await ends(bench, "fault")
    assert changes(bench) == [] and await touch(bench, 1) == "punched"


@timeless
async def test_the_halls_password_is_set_once_and_asked_for_after_every_power_on():
    bench = await a_door()
    config = {command.VERSION: 1, command.PLACE: "D1", command.LANGUAGE: "zh", command.BRIGHTNESS: 128}
    config |= {command.RATING_TIMEOUT_S: 60, command.HEARTBEAT_S: 300, command.SENSOR_PASSWORD: 0xC0FFEE}
    bench.send(command.CONFIG, config)
    assert await touch(bench, 1) == "punched"
    assert bench.sensor.password == 0xC0FFEE
    bench.sensor.unplug()
    bench.sensor.plug()
    await asyncio.sleep(90)
    await bench.shows("ready")
    assert await touch(bench, 1) == "punched"
    bench.cut_power()
    bench.boot()
    await bench.shows("ready")
    bench.sensor.password = 1  # somebody else's sensor
    bench.sensor.unplug()
    bench.sensor.plug()
    await bench.shows("sensor", 90)
    assert "wrong password" in [claims.get(event.TEXT, "") for claims in told(bench, event.FAULT)][-1] or (
        "password needed" in [claims.get(event.TEXT, "") for claims in told(bench, event.FAULT)][-1]
    )


@timeless
async def test_templates_never_leave_the_sensor():
    bench = await a_door()
    order(bench, command.ENROL, 2)
    await bench.shows("admin", 1)
    await lay(bench, BOSS)
    await touches(bench, FINGER, FINGER, FINGER)
    await ends(bench, "enrolled")
    order(bench, command.DELETE_FINGER, 2)
    await ends(bench, "deleted")
    assert bench.sensor.biometrics == 0
    answers = [bench.sensor.receive(sensor.packet(1, bytes((code, 1)))) for code in sensor.BIOMETRIC]
    assert all(len(answer) == 12 and answer[9] == sensor.BAD_PACKET for answer in answers)
    assert bench.sensor.biometrics == len(sensor.BIOMETRIC)  # the count above can fail


@timeless
async def test_a_button_that_is_jammed_is_found_by_the_self_check():
    bench = await a_door()
    await asyncio.sleep(100)
    bench.board.button.value(0)
    await asyncio.sleep(700)
    checks = [claims.get(event.TEXT, "") for claims in told(bench, event.SELF_CHECK)]
    assert "buttons" in checks[-1]
    assert FINGER_MS < 60000 and SILENT < 0
    await until(lambda: bench.app.status_word == "ready", 60)
