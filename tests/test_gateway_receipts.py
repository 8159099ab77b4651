"""What goes down: receipts after the commit, at a bounded rate; answers, settings, counters that never repeat."""

import json
import time

import pytest
from gateway_hall import GatewayHall, hall_of
from sealed_pair import flip
from sealing_device import SUITE

from gateway.batch import Standing
from gateway.command_counters import BLOCK, CommandCounters
from gateway.continuity import Continuity
from gateway.receipts import AGAIN_INTERVAL_S, ReceiptSchedule, receipt_of
from protocol import command, receipt
from protocol.limits import HOLES_MAX

STREAM = b"8 bytes!".hex()


hall = hall_of(("e-001", "evaluator"), ("c-001", "clock"), started=True)


@pytest.fixture
def device(hall):
    return hall.devices["e-001"]


def standing(through, holes=(), stream=STREAM):
    return Standing("e-001", stream, through, list(holes), holes[-1][1] + 1 if holes else through)


# --- The schedule.


def test_a_receipt_for_new_records_goes_at_once():
    schedule = ReceiptSchedule()
    assert schedule.offer([standing(1)], True, 0.0) == [standing(1)]
    assert schedule.offer([standing(2)], True, 0.001) == [standing(2)]


def test_a_receipt_that_repeats_goes_once_in_a_while_and_tells_the_newest():
    schedule = ReceiptSchedule()
    assert schedule.offer([standing(1)], False, 10.0) == [standing(1)]
    assert schedule.offer([standing(1)], False, 10.1) == []
    assert schedule.offer([standing(2)], False, 10.2) == []
    assert schedule.due(10.0 + AGAIN_INTERVAL_S - 0.01) == []
    assert schedule.due(10.0 + AGAIN_INTERVAL_S) == [standing(2)]
    assert schedule.due(99.0) == []


def test_one_stream_does_not_delay_another():
    schedule = ReceiptSchedule()
    other = standing(5, stream=bytes(8).hex())
    schedule.offer([standing(1)], False, 0.0)
    assert schedule.offer([other], False, 0.0) == [other]


def test_new_records_make_a_waiting_receipt_needless():
    schedule = ReceiptSchedule()
    schedule.offer([standing(1)], False, 0.0)
    schedule.offer([standing(1)], False, 0.1)
    assert schedule.waiting == 1
    assert schedule.offer([standing(3)], True, 0.2) == [standing(3)]
    assert schedule.waiting == 0


def test_the_schedule_is_bounded(monkeypatch):
    monkeypatch.setattr("gateway.receipts.STREAMS_MAX", 3)
    schedule = ReceiptSchedule()
    many = [standing(1, stream=bytes([n] * 8).hex()) for n in range(10)]
    schedule.offer(many, False, 0.0)
    schedule.offer(many, False, 0.1)
    assert schedule.waiting <= 3
    assert len(schedule._sent_s) <= 4


def test_a_receipt_tells_at_most_the_holes_that_fit():
    state = Continuity(1, 0)
    for seq in range(1, 80, 2):
        state.add(seq, b"")
    made = receipt_of(Standing("e-001", STREAM, state.through, *state.report()))
    assert made.holes == [[2 * n, 2 * n] for n in range(1, HOLES_MAX + 1)]
    assert made.highest == 2 * HOLES_MAX + 1  # the next hole lies above it
    assert receipt.decode(receipt.encode(made)).holes == made.holes


# --- From the intake to the device.


def arrive(hall, device, *messages):
    for message in messages:
        hall.intake.arrive(device.topic, message, False)


def test_a_device_gets_one_receipt_for_a_batch(tmp_path):
    hall = GatewayHall(tmp_path, [("e-001", "evaluator")])
    device = hall.devices["e-001"]
    arrive(hall, device, device.opened(), *(device.rating(5) for _ in range(9)))
    hall.intake.start()  # only now: the ten are there together, however slow the machine
    hall.downlink.start()
    ((what, content),) = hall.down(device, 1)
    assert (what, content.stream, content.through) == ("receipt", device.stream, 10)
    hall.stop()
    assert hall.published == [], "ten records that come together are not ten receipts"


def test_a_receipt_speaks_of_what_is_on_disk(hall, device):
    arrive(hall, device, device.opened())
    ((_, content),) = hall.down(device, 1)
    assert hall.ledger.streams()[0].through == content.through == 1
    assert len(hall.records()) == 1


def test_a_failed_commit_gives_no_receipt(hall, device, monkeypatch):
    def fail(*_):
        raise OSError

    monkeypatch.setattr(hall.admission, "admit", fail)
    arrive(hall, device, device.opened())
    with pytest.raises(AssertionError, match="0 of 1"):
        hall.down(device, 1, timeout_s=0.5)


def test_holes_are_told(hall, device):
    messages = [device.opened(), *(device.event() for _ in range(6))]
    hall.take(messages[0], messages[2], messages[5])
    ((_, content),) = hall.down(device, 1)
    assert (content.through, content.holes) == (1, [[2, 2], [4, 5]])


def test_a_repeated_record_is_receipted_again(hall, device):
    message = device.opened()
    hall.take(message)
    hall.down(device, 1)
    hall.take(message)
    ((what, content),) = hall.down(device, 1)
    assert (what, content.through) == ("receipt", 1)


def test_a_flood_of_repetitions_is_not_a_flood_of_receipts(hall, device):
    message = device.opened()
    began_s = time.monotonic()
    hall.take(message)
    for _ in range(50):
        hall.take(message)
    hall.down(device, 2)
    # One for the record and one in each interval since; a slow disk makes more intervals.
    assert 2 + len(hall.published) <= 1 + (time.monotonic() - began_s) / AGAIN_INTERVAL_S
    assert 2 + len(hall.published) < 50


def test_what_is_refused_gets_no_receipt(hall, device):
    hall.take(flip(device.opened(), -1))
    with pytest.raises(AssertionError, match="0 of 1"):
        hall.down(device, 1, timeout_s=0.5)


def test_a_heartbeat_without_the_last_receipt_gets_it_again(hall, device):
    hall.take(device.opened(), device.event())
    hall.down(device, 1)
    config = {"CONFIG_VERSION": 1}
    hall.take(device.heartbeat(THROUGH=0, **config))
    hall.take(device.heartbeat(THROUGH=0))
    seen = hall.down(device, 2)
    assert sorted(what for what, _ in seen) == ["command", "receipt"]
    assert [content.through for what, content in seen if what == "receipt"] == [2]


def test_a_revoked_device_is_told_nothing_more(hall, device):
    outcome = hall.take(device.opened())
    hall.down(device, 1)
    hall.write_registry(e_001="revoked")
    hall.registry._file._checked_s = None
    hall.registry.refresh(0)
    found = hall.registry.get("e-001")
    assert hall.downlink.command(found, command.EVALUATION_CANCEL, {command.VISIT: "A"}, 2**31)
    hall.downlink.committed(outcome)
    with pytest.raises(AssertionError, match="0 of 1"):
        hall.down(device, 1, timeout_s=0.5)


# --- Commands.


def test_the_time_is_answered_to_the_nonce(hall, device):
    hall.take(device.heartbeat(TIME_NONCE=b"nonce123", CONFIG_VERSION=1))
    ((what, content),) = hall.down(device, 1)
    assert (what, content.kind) == ("command", command.TIME_ANSWER)
    assert content.claims == {command.NONCE: b"nonce123", command.TIME_MS: hall.clock.now_ms()}


def test_a_replayed_heartbeat_gets_no_time(hall, device):
    message = device.heartbeat(TIME_NONCE=b"nonce123", CONFIG_VERSION=1)
    hall.take(message)
    hall.down(device, 1)
    hall.take(message)
    with pytest.raises(AssertionError, match="0 of 1"):
        hall.down(device, 1, timeout_s=0.5)


def test_the_configuration_is_sent_until_the_heartbeat_states_it(hall, device):
    for _ in range(2):
        hall.take(device.heartbeat(CONFIG_VERSION=0))
        ((_, content),) = hall.down(device, 1)
        assert content.kind == command.CONFIG
        assert content.claims[command.VERSION] == 1
        assert content.claims[command.PLACE] == "01"
    hall.take(device.heartbeat(CONFIG_VERSION=1))
    with pytest.raises(AssertionError, match="0 of 1"):
        hall.down(device, 1, timeout_s=0.5)


def test_a_moved_device_gets_a_new_version_and_a_restart_does_not_change_it(hall, device, tmp_path):
    hall.take(device.heartbeat())
    hall.down(device, 1)
    device.place = "09"
    hall.write_registry()
    hall.registry._file._checked_s = None
    hall.registry.refresh(0)
    hall.take(device.heartbeat(CONFIG_VERSION=1))
    ((_, content),) = hall.down(device, 1)
    assert (content.claims[command.VERSION], content.claims[command.PLACE]) == (2, "09")
    hall.stop()
    again = GatewayHall(tmp_path, keys=hall.keys, started=True)
    again.devices = hall.devices
    again.take(device.heartbeat(CONFIG_VERSION=1))
    ((_, content),) = again.down(device, 1)
    assert content.claims[command.VERSION] == 2
    again.stop()


def test_a_clock_gets_the_roster_until_it_states_it(hall):
    clock = hall.devices["c-001"]
    hall.take((clock, clock.heartbeat(CONFIG_VERSION=1)))
    ((_, content),) = hall.down(clock, 1)
    assert content.kind == command.ROSTER
    assert content.claims == {1: 3, 2: [[1, "S001", "陈晓梅"]]}
    hall.take((clock, clock.heartbeat(CONFIG_VERSION=1, ROSTER_VERSION=3)))
    with pytest.raises(AssertionError, match="0 of 1"):
        hall.down(clock, 1, timeout_s=0.5)


def test_an_evaluator_gets_no_roster(hall, device):
    hall.take(device.heartbeat(CONFIG_VERSION=1))
    with pytest.raises(AssertionError, match="0 of 1"):
        hall.down(device, 1, timeout_s=0.5)


def test_a_roster_that_no_message_holds_is_counted_and_stops_nobody(tmp_path):
    hall = GatewayHall(tmp_path, [("c-001", "clock")])
    staff = [{"slot": n, "number": f"S{n:019}", "name": "名" * 12} for n in range(250)]
    (tmp_path / "roster.json").write_text(json.dumps({"version": 9, "staff": staff}))
    hall.stop()
    again = GatewayHall(tmp_path, keys=hall.keys, started=True)
    again.devices = hall.devices
    clock = again.devices["c-001"]
    again.take(clock.heartbeat(CONFIG_VERSION=1))
    again.take(clock.heartbeat(CONFIG_VERSION=1, TIME_NONCE=b"nonce123"))
    ((_, content),) = again.down(clock, 1)
    assert content.kind == command.TIME_ANSWER
    assert again.metrics.value("downlink_dropped", reason="bounds") >= 1
    again.stop()


def test_command_counters_never_repeat_over_restarts(hall):
    counters = CommandCounters(hall.ledger)
    used = [counters.next("e-001") for _ in range(BLOCK + 2)]
    assert used == list(range(1, BLOCK + 3))
    after = CommandCounters(hall.ledger).next("e-001")
    assert after > used[-1]
    assert CommandCounters(hall.ledger).next("c-001") == 1


def test_each_device_has_commands_of_its_own(hall, device):
    hall.take(device.heartbeat())
    (topic, message), *_ = _wait(hall)
    assert topic == "hallseal/1/yongxing/e-001/down"
    clock = hall.devices["c-001"]
    with pytest.raises(Exception, match="address"):
        clock.read(message)


def _wait(hall):
    with hall.grown:
        assert hall.grown.wait_for(lambda: hall.published, 10)
        return list(hall.published)


def test_a_broken_link_drops_receipts_and_counts_them(hall, device):
    hall.linked = False
    hall.take(device.opened())
    for _ in range(200):
        if hall.metrics.value("downlink_dropped", reason="link"):
            break
        hall.downlink._thread.join(0.02)
    assert hall.metrics.value("downlink_dropped", reason="link") == 1
    hall.linked = True
    hall.take(device.event())
    ((_, content),) = hall.down(device, 1)
    assert content.through == 2


def test_a_fault_with_one_device_does_not_silence_the_others(hall, device, monkeypatch):
    seal = hall.channels.seal_receipt

    def fail(found, content):
        if found.name == "c-001":
            raise ZeroDivisionError
        return seal(found, content)

    monkeypatch.setattr(hall.channels, "seal_receipt", fail)
    clock = hall.devices["c-001"]
    hall.take((clock, clock.opened()))
    hall.take(device.opened())
    ((what, _),) = hall.down(device, 1)
    assert what == "receipt"


def test_the_command_is_signed_by_the_halls_command_key(hall, device):
    hall.take(device.heartbeat())
    (_, message), *_ = _wait(hall)
    stranger = SUITE.load_public(SUITE.public_bytes(SUITE.load_private(SUITE.generate_private())))
    with pytest.raises(Exception, match="signature"):
        command.open(device.channel, stranger, message)
