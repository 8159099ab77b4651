"""A device that is opened or taken out of service: what it still says, what it forgets, and that nobody reads it."""

import asyncio
from pathlib import Path

import pytest
from desk_bench import Bench
from test_firmware_clock import told
from test_firmware_device import QUOTA_BYTES, exhaust, hall_config
from test_firmware_enrolment import BOSS, FINGER, a_door, lay
from test_firmware_evaluator import open_visit
from test_firmware_evaluator import press as rate
from virtual_time import timeless, until

from firmware import erasure, retirement
from firmware.fingerprint import MATCH, SEARCH, STORE
from firmware.identity import ERASED, RETIRING, SECRETS
from firmware.locked import Locked
from protocol import command, event, rating, record
from simulator.desk_board import Reset

KEYS = {path[1:]: bytes(range(index, index + 32)) for index, path in enumerate(SECRETS)}


def with_keys(bench):
    """The files of its secrets lie on the flash of this bench, as provisioning leaves them."""
    for name, content in KEYS.items():
        Path(bench.who.root, name).write_bytes(content)
    return bench


def files(bench):
    return {path.name for path in Path(bench.who.root).rglob("*") if path.is_file()}


def decommission(bench):
    bench.send(command.DECOMMISSION, {command.RETIRED: bench.who.device})


def codes(bench):
    return [claims[event.CODE] for claims in bench.claims(record.EVENT)]


# --- the lid


@timeless
async def test_an_opened_lid_is_an_event_and_erases_nothing_where_the_hall_does_not_want_it():
    bench = with_keys(Bench()).boot()
    bench.tell_time()
    bench.board.tamper.value(0)
    await asyncio.sleep(2)
    bench.board.tamper.value(1)
    await asyncio.sleep(2)
    bench.board.tamper.value(0)
    await asyncio.sleep(2)
    assert len(told(bench, event.TAMPER)) == 2 and set(KEYS) <= files(bench)
    assert event.KEYS_ERASED not in codes(bench)
    await rate(bench, 5)
    assert bench.app.thanks == 1


@timeless
@pytest.mark.parametrize("kind", ["evaluator", "clock"])
async def test_an_opened_lid_erases_the_keys_where_configured_and_what_was_thanked_for_stays(kind):
    bench = with_keys(Bench(kind, (1,))).boot()
    bench.tell_time()
    bench.send(command.CONFIG, hall_config(ERASE_ON_TAMPER=1))
    if kind == "evaluator":
        open_visit(bench, "V0001")
        await bench.hands.press(2)
    bench.board.tamper.value(0)
    await asyncio.sleep(2)
    assert bench.screen.word == "locked" and not set(KEYS) & files(bench)
    assert codes(bench)[-2:] == [event.TAMPER, event.KEYS_ERASED]
    if kind == "evaluator":
        assert [claims[rating.LEVEL] for claims in bench.claims(record.RATING)] == [2]
        await bench.hands.press(5)
    else:
        await bench.hands.touch(1)
        assert bench.claims(record.PUNCH) == []
    await asyncio.sleep(600)
    assert bench.screen.word == "locked" and bench.app.thanks == (kind == "evaluator")
    assert any(name.endswith(".seg") for name in files(bench))  # sealed, and owed to the gateway


@timeless
async def test_a_full_journal_saves_no_keys_and_the_lid_is_told_as_soon_as_there_is_room():
    bench = with_keys(Bench(journal_bytes=QUOTA_BYTES)).boot()
    bench.tell_time()
    bench.send(command.CONFIG, hall_config(ERASE_ON_TAMPER=1))
    await bench.shows("idle")
    exhaust(bench)
    bench.board.tamper.value(0)
    await asyncio.sleep(2)
    assert bench.screen.word == "locked" and not set(KEYS) & files(bench)
    assert event.TAMPER not in codes(bench)
    bench.receipt(bench.device.journal.head)
    await asyncio.sleep(2)
    assert codes(bench)[-2:] == [event.TAMPER, event.KEYS_ERASED]
    await asyncio.sleep(60)
    assert codes(bench).count(event.TAMPER) == 1


# --- decommission


@timeless
async def test_a_decommissioned_device_hands_over_everything_before_it_forgets():
    bench = with_keys(Bench()).boot()
    bench.tell_time()
    open_visit(bench, "V0001")
    await bench.hands.press(2)
    decommission(bench)
    await asyncio.sleep(1)
    assert bench.screen.word == "leaving"
    await bench.hands.press(5)
    open_visit(bench, "V0002")
    await asyncio.sleep(3600)
    assert bench.screen.word == "leaving" and set(KEYS) <= files(bench)  # nobody has receipted it yet
    assert [claims.get(rating.LEVEL) for claims in bench.claims(record.RATING)] == [2]
    assert codes(bench)[-1] == event.DECOMMISSIONED
    bench.receipt(bench.device.journal.head - 1)
    await asyncio.sleep(60)
    assert set(KEYS) <= files(bench)
    bench.receipt(bench.device.journal.head)
    await until(bench.running.done, 10)
    assert isinstance(bench.running.exception(), Reset)
    assert files(bench) == {ERASED[1:], RETIRING[1:], "clock.0"} or files(bench) == {ERASED[1:], RETIRING[1:]}


@timeless
async def test_a_decommissioned_clock_erases_its_templates_first_and_waits_for_its_sensor():
    bench = with_keys(Bench("clock", (1, 2))).boot()
    bench.tell_time()
    await bench.shows("ready")
    bench.sensor.unplug()
    decommission(bench)
    await asyncio.sleep(30)
    assert bench.screen.word == "leaving" and event.DECOMMISSIONED not in codes(bench)
    bench.sensor.plug()
    await until(lambda: event.DECOMMISSIONED in codes(bench), 30)
    assert bench.sensor.templates == {}
    bench.receipt(bench.device.journal.head)
    await until(bench.running.done, 10)


@timeless
@pytest.mark.parametrize("touched", [0, 1, 2, 3, 4])
async def test_a_decommission_ends_an_enrolment_and_leaves_no_template(touched):
    """touched: how many fingers were laid down by then, the administrator's and up to three of the person."""
    bench = with_keys(await a_door())
    bench.send(command.ENROL, {command.SLOT: 2})
    await bench.shows("admin", 5)
    for finger in (BOSS, FINGER, FINGER, FINGER)[:touched]:
        await lay(bench, finger)
    decommission(bench)
    await bench.shows("leaving", 1)
    for _ in range(4):  # whoever stands there goes on
        await lay(bench, FINGER if touched else BOSS)
        await bench.hands.push()
        assert bench.screen.word == "leaving"
    await until(lambda: event.DECOMMISSIONED in codes(bench), 30)
    for _ in range(4):
        await lay(bench, FINGER)
    await asyncio.sleep(60)
    assert bench.screen.word == "leaving" and bench.sensor.templates == {}
    assert codes(bench)[-1] == event.DECOMMISSIONED
    assert codes(bench).count(event.FINGER_ENROLLED) == (touched == 4) and event.ENROLMENT_REFUSED not in codes(bench)
    bench.receipt(bench.device.journal.head)
    await until(bench.running.done, 10)
    assert isinstance(bench.running.exception(), Reset)


@timeless
@pytest.mark.parametrize("code", [MATCH, STORE, SEARCH])
async def test_a_decommission_waits_for_whom_the_sensor_is_serving(code):
    bench = with_keys(await a_door())
    receive = bench.sensor.receive

    def meanwhile(data):
        """The command comes while an answer is lost on the wire, and asked for again."""
        if data[9] != code:
            return receive(data)
        bench.sensor.receive = receive
        decommission(bench)
        return b""

    if code == SEARCH:
        bench.sensor.receive = meanwhile
        await lay(bench, 1)
    else:
        bench.send(command.ENROL, {command.SLOT: 2})
        await bench.shows("admin", 5)
        for finger in (BOSS, FINGER, FINGER):
            await lay(bench, finger)
        bench.sensor.receive = meanwhile
        await lay(bench, FINGER)
    await until(lambda: event.DECOMMISSIONED in codes(bench), 30)
    await asyncio.sleep(60)
    assert bench.sensor.templates == {} and bench.screen.word == "leaving"
    kinds = [(made.kind, made.claims.get(event.CODE)) for made, _ in bench.records()][-2:]
    served = (record.PUNCH, None) if code == SEARCH else (record.EVENT, event.FINGER_ENROLLED)
    assert kinds[1] == (record.EVENT, event.DECOMMISSIONED)
    assert kinds[0][0] == served[0] and (code == SEARCH or kinds[0] == served)


@timeless
async def test_a_finger_that_lies_on_the_glass_does_not_hold_up_a_decommission():
    bench = with_keys(await a_door())
    bench.send(command.ENROL, {command.SLOT: 2})
    await bench.shows("admin", 5)
    bench.sensor.finger = BOSS
    bench.board.touch.value(0)
    await bench.shows("lift", 5)
    decommission(bench)
    await until(lambda: event.DECOMMISSIONED in codes(bench), 30)
    assert bench.sensor.templates == {} and bench.screen.word == "leaving"


@timeless
async def test_a_power_cut_does_not_end_a_decommission():
    bench = with_keys(Bench()).boot()
    bench.tell_time()
    await rate(bench, 4)
    decommission(bench)
    await asyncio.sleep(1)
    bench.cut_power()
    bench.boot()
    await bench.shows("leaving")
    bench.receipt(bench.device.journal.head)
    await until(bench.running.done, 10)
    assert not set(KEYS) & files(bench)


@timeless
async def test_a_decommission_for_another_device_or_from_nobody_is_not_taken():
    bench = with_keys(Bench()).boot()
    bench.tell_time()
    dropped = bench.device.inbox.dropped
    bench.send(command.DECOMMISSION, {command.RETIRED: "e-002"}, device="e-002")
    assert bench.device.inbox.dropped == dropped + 1
    await asyncio.sleep(10)
    assert bench.app.status_word == "idle" and RETIRING[1:] not in files(bench)


# --- what is left


@timeless
async def test_a_locked_device_says_so_in_both_languages_and_finishes_what_a_power_cut_left():
    bench = with_keys(Bench()).build()
    Path(bench.who.root, ERASED[1:]).write_text("begun")
    locked = Locked(bench.board, bench.who.root)
    running = asyncio.create_task(locked.run())
    await asyncio.sleep(1)
    assert bench.screen.word == "locked" and not set(KEYS) & files(bench) and erasure.is_done(bench.who.root)
    assert any(name.endswith(".seg") for name in files(bench))  # it was opened, not decommissioned
    frames = set()
    for _ in range(20):
        frames.add(bytes(bench.screen.frame))
        await asyncio.sleep(1)
    assert len(frames) == 2 and not running.done()


def test_erasing_twice_or_where_nothing_is_does_no_harm(tmp_path):
    for _ in range(2):
        retirement.erase_all(str(tmp_path), lambda: None)
    assert [path.name for path in tmp_path.iterdir()] == [ERASED[1:]]
