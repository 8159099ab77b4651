"""Updates of a whole device, in virtual time: fetched beside its work, tried, confirmed, or given up."""

import asyncio
import os

import pytest
from desk_bench import NAMES, SUITE, Bench
from test_firmware_evaluator import open_visit
from updating_device import FILES, bundle_of, notice_of
from virtual_time import timeless, until

from firmware import slot, trial, update
from firmware.journal import JournalFull
from firmware.recorder import Recorder
from firmware.self_check import DISPLAY
from protocol import command, event, heartbeat, record, sealed_record
from simulator.desk_board import Reset

BUNDLE = bundle_of(FILES)
UPDATES = (event.UPDATE_REFUSED, event.UPDATE_INSTALLED, event.UPDATE_CONFIRMED, event.UPDATE_REVERTED)


def told(bench):
    """[code, value, text] of the events about updates that wait on the flash."""
    return [
        [claims[event.CODE], claims[event.VALUE], claims.get(event.TEXT, "")]
        for claims in bench.claims(record.EVENT)
        if claims[event.CODE] in UPDATES
    ]


def beat(bench):
    """Claims of the heartbeat of this moment, as a gateway opens it."""
    made = sealed_record.open(bench.pair.gateway, bench.device._heartbeat())
    claims = record.decode(made.payload).claims
    return [claims.get(key) for key in range(heartbeat.RELEASE, heartbeat.UPDATE_REFUSED + 1)]


def a_notice(bench, **named):
    return notice_of(SUITE, BUNDLE, kind=bench.who.kind, expires_s=bench.now_s + 86400, **named)


def offer(bench, **named):
    bench.send(command.UPDATE_NOTICE, {command.RELEASE: a_notice(bench, **named)})


def chunk(bench, at, size=700, sequence=6):
    claims = {command.SEQUENCE: sequence, command.OFFSET: at, command.DATA: BUNDLE[at : at + size]}
    bench.send(command.UPDATE_CHUNK, claims)


def fetch(bench):
    for at in range(0, len(BUNDLE), 700):
        chunk(bench, at)


def dies(bench):
    """True when the board was reset."""
    return bench.running.done() and isinstance(bench.running.exception(), Reset)


def started(kind="evaluator"):
    bench = Bench(kind, (1,)).boot()
    bench.tell_time()
    return bench


def restart(bench):
    """What the loader does before a boot, and the boot."""
    bench.device.journal.close()
    pointer = slot.load(bench.who.root)
    if pointer.count_boot():
        slot.store(bench.who.root, pointer)
    bench.boot()
    return pointer


async def installed(kind="evaluator"):
    """A bench on the first boot of its trial."""
    bench = started(kind)
    offer(bench)
    fetch(bench)
    await until(lambda: dies(bench), 60)
    restart(bench)
    return bench


async def receipted(bench):
    """The way to the gateway stands, and it has everything."""
    bench.tell_time()
    bench.device.uplink.online = True
    bench.receipt(bench.device.journal.head)


# --- fetching


@timeless
@pytest.mark.parametrize("kind", sorted(NAMES))
async def test_an_update_is_fetched_beside_the_work_and_installed_when_nobody_is_there(kind):
    bench = started(kind)
    assert beat(bench) == [0, None, None, None]
    offer(bench)
    assert beat(bench) == [0, 6, 0, None]
    chunk(bench, 0)
    assert beat(bench) == [0, 6, 700, None] and bench.screen.word != "updating"
    fetch(bench)
    await until(lambda: dies(bench), 60)
    assert bench.screen.word == "updating"
    assert told(bench) == [[event.UPDATE_INSTALLED, 6, ""]]
    pointer = slot.load(bench.who.root)
    assert (pointer.active, pointer.state) == (1, slot.TRIAL)


@timeless
async def test_a_visitor_is_not_sent_away_for_an_update():
    bench = started()
    offer(bench)
    open_visit(bench, "V0001")
    fetch(bench)
    await asyncio.sleep(30)
    assert bench.screen.word == "ask" and not dies(bench)
    await bench.hands.press(5)
    await until(lambda: dies(bench), 120)
    assert len(bench.claims(record.RATING)) == 1


@timeless
async def test_what_was_lost_on_the_way_is_asked_for_again():
    bench = started()
    offer(bench)
    await asyncio.sleep(1)
    bench.device.uplink.heartbeat_due = False
    await asyncio.sleep(update.ASK_S - 2)
    assert not bench.device.uplink.heartbeat_due
    await asyncio.sleep(4)
    assert bench.device.uplink.heartbeat_due


@timeless
async def test_fetching_goes_on_after_a_power_cut():
    bench = started()
    offer(bench)
    chunk(bench, 0)
    bench.cut_power()
    bench.boot()
    assert beat(bench) == [0, 6, 700, None]
    await asyncio.sleep(60)  # the time is not known yet: nobody could say whether it has expired
    bench.tell_time()
    fetch(bench)
    await until(lambda: dies(bench), 60)
    assert slot.load(bench.who.root).sequence == 6


@timeless
async def test_a_whole_bundle_waits_for_the_time():
    bench = started()
    offer(bench)
    open_visit(bench, "V0001")
    fetch(bench)
    bench.cut_power()
    bench.boot()
    await asyncio.sleep(60)
    assert not dies(bench)
    bench.tell_time()
    await until(lambda: dies(bench), 60)


@timeless
async def test_a_refused_update_is_told_and_the_next_one_is_taken():
    bench = started()
    offer(bench)
    bench.send(command.UPDATE_CHUNK, {command.SEQUENCE: 6, command.OFFSET: 0, command.DATA: b""})
    await asyncio.sleep(5)
    assert told(bench) == [[event.UPDATE_REFUSED, 6, "truncated"]]
    assert beat(bench) == [0, None, None, 6]
    bench.cut_power()
    bench.boot()
    bench.tell_time()
    assert beat(bench) == [0, None, None, 6]
    offer(bench, sequence=7)
    assert beat(bench) == [0, 7, 0, 6]


@timeless
async def test_a_device_that_knows_no_release_keys_takes_no_updates():
    bench = Bench()
    bench.who.takes_updates = False
    bench.boot()
    bench.tell_time()
    offer(bench)
    chunk(bench, 0)
    await asyncio.sleep(5)
    assert beat(bench) == [None] * 4 and told(bench) == []
    assert not [name for name in os.listdir(bench.who.root) if name.startswith("update")]


@timeless
async def test_a_device_that_retires_takes_no_updates():
    bench = started()
    offer(bench)
    bench.send(command.DECOMMISSION, {command.RETIRED: bench.who.device})
    fetch(bench)
    await asyncio.sleep(60)
    assert bench.screen.word == "leaving" and not dies(bench)


# --- the trial


@timeless
@pytest.mark.parametrize("kind", sorted(NAMES))
async def test_a_trial_with_a_sound_self_check_and_a_receipt_of_its_own_is_confirmed(kind):
    bench = await installed(kind)
    assert bench.device.pointer.boots == 1 and beat(bench)[0] == 6
    await asyncio.sleep(60)
    assert bench.device.pointer.state == slot.TRIAL  # nobody has heard of it yet
    await receipted(bench)
    await asyncio.sleep(10)
    assert told(bench) == [[event.UPDATE_CONFIRMED, 6, ""]]
    assert slot.load(bench.who.root).state == slot.CONFIRMED
    await asyncio.sleep(2 * trial.TRIAL_MS / 1000)
    assert not dies(bench) and beat(bench) == [6, None, None, None]


@timeless
async def test_the_receipt_of_an_older_record_proves_nothing():
    bench = await installed()
    bench.tell_time()
    bench.device.uplink.online = True
    bench.receipt(bench.device.journal.head - 1)
    await asyncio.sleep(60)
    assert bench.device.pointer.state == slot.TRIAL


def crammed(*_):
    raise JournalFull()


@timeless
@pytest.mark.parametrize("error", [JournalFull, OSError])
async def test_a_program_that_cannot_record_anything_is_never_confirmed(error, monkeypatch):
    def record_nothing(*_):
        raise error()

    bench = started()
    offer(bench)
    fetch(bench)
    await until(lambda: dies(bench), 60)
    monkeypatch.setattr(Recorder, "record", record_nothing)
    for _ in (1, 2, 3):
        restart(bench)
        await receipted(bench)  # of what the old program had recorded
        await until(lambda: dies(bench), trial.TRIAL_MS / 1000 + 10)
    pointer = restart(bench)
    assert (pointer.active, pointer.refused, slot.REASONS[pointer.reason]) == (0, 6, "receipt")


@timeless
async def test_a_trial_whose_boot_could_not_be_recorded_needs_the_receipt_of_another_record_of_its_own(monkeypatch):
    bench = started()
    offer(bench)
    fetch(bench)
    await until(lambda: dies(bench), 60)
    head = bench.device.journal.head
    with monkeypatch.context() as full:
        full.setattr(Recorder, "record", crammed)
        restart(bench)
        await receipted(bench)
        await asyncio.sleep(10)
    await asyncio.sleep(10)
    own = bench.device.journal.head
    assert own > head and bench.device.pointer.state == slot.TRIAL
    assert bench.claims(record.EVENT)[0][event.CODE] == event.BOOT
    bench.receipt(own)
    await asyncio.sleep(10)
    assert slot.load(bench.who.root).state == slot.CONFIRMED and told(bench) == [[event.UPDATE_CONFIRMED, 6, ""]]


@timeless
async def test_a_confirmation_that_cannot_be_recorded_is_none(monkeypatch):
    bench = await installed()
    monkeypatch.setattr(Recorder, "record", crammed)
    await receipted(bench)
    await asyncio.sleep(60)
    assert slot.load(bench.who.root).state == slot.TRIAL
    monkeypatch.undo()
    await asyncio.sleep(10)
    assert slot.load(bench.who.root).state == slot.CONFIRMED and told(bench) == [[event.UPDATE_CONFIRMED, 6, ""]]


@timeless
async def test_what_was_given_up_is_told_as_soon_as_the_journal_takes_it_and_the_next_one_is_taken(monkeypatch):
    bench = await installed()
    for _ in range(3):
        bench.cut_power()
        with monkeypatch.context() as full:
            full.setattr(Recorder, "record", crammed)
            restart(bench)
            await asyncio.sleep(5)
    bench.tell_time()
    offer(bench, sequence=7)
    assert beat(bench) == [0, None, None, 6]
    await asyncio.sleep(90)
    assert told(bench)[-1] == [event.UPDATE_REVERTED, 6, "crash"]
    offer(bench, sequence=7)
    assert beat(bench) == [0, 7, 0, 6]
    await asyncio.sleep(90)
    assert [one[0] for one in told(bench)].count(event.UPDATE_REVERTED) == 1


@timeless
async def test_a_trial_that_never_gets_a_receipt_ends_with_the_old_program_after_three_boots():
    bench = await installed()
    for boots in (1, 2, 3):
        assert bench.device.pointer.boots == boots
        await asyncio.sleep(trial.TRIAL_MS / 1000 - 10)
        assert not dies(bench)
        await until(lambda: dies(bench), 20)
        pointer = restart(bench)
    assert (pointer.active, pointer.sequence, pointer.refused) == (0, 0, 6)
    bench.tell_time()
    await asyncio.sleep(5)
    assert told(bench)[-1] == [event.UPDATE_REVERTED, 6, "receipt"]
    assert beat(bench) == [0, None, None, 6]
    offer(bench)
    await asyncio.sleep(5)
    assert told(bench)[-1] == [event.UPDATE_REFUSED, 6, "sequence"]
    bench.cut_power()
    bench.boot()
    await asyncio.sleep(5)
    assert [one[0] for one in told(bench)].count(event.UPDATE_REVERTED) == 1


@timeless
async def test_a_fault_that_was_not_there_before_keeps_a_trial_from_being_confirmed():
    bench = await installed()
    bench.board.display.writeto = broken
    await receipted(bench)
    await until(lambda: dies(bench), trial.TRIAL_MS / 1000 + 10)
    pointer = slot.load(bench.who.root)
    assert (pointer.state, slot.REASONS[pointer.reason]) == (slot.TRIAL, "self check")


@timeless
async def test_a_fault_that_was_there_before_is_no_reason_to_go_back():
    bench = started()
    bench.board.display.writeto = broken
    offer(bench)
    fetch(bench)
    await until(lambda: dies(bench), 60)
    assert slot.load(bench.who.root).faults & DISPLAY
    restart(bench)
    bench.board.display.writeto = broken
    await receipted(bench)
    await asyncio.sleep(10)
    assert slot.load(bench.who.root).state == slot.CONFIRMED


def broken(address, data):
    raise OSError(19)


@timeless
async def test_a_program_that_crashes_on_trial_ends_with_the_old_one_after_three_boots():
    bench = await installed()
    for _ in range(3):
        bench.cut_power()
        pointer = restart(bench)
    bench.tell_time()
    await asyncio.sleep(5)
    assert pointer.active == 0 and told(bench)[-1] == [event.UPDATE_REVERTED, 6, "crash"]


@timeless
async def test_while_a_trial_runs_nothing_is_written_over_the_way_back():
    bench = await installed()
    bench.tell_time()
    offer(bench, sequence=7)
    chunk(bench, 0, sequence=7)
    assert beat(bench) == [6, None, None, None]
    await receipted(bench)
    await asyncio.sleep(10)
    offer(bench, sequence=7)
    assert beat(bench) == [6, 7, 0, None]
