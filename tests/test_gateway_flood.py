"""A device gone mad sends junk as fast as it can: it fills its own share of the gateway, and no other device waits."""

import threading
import time

import pytest
from gateway_hall import GatewayHall

from gateway import schema
from gateway.shares import SHARE_MESSAGES_MIN, SHARES, Shares

INBOX = 2048
SHARE = INBOX // SHARES
# No record, and never the same bytes twice.
JUNK_BYTES = 400
# Ten thousand a second, more than a broker hands on. Unpaced, the thread would take the whole interpreter.
BURST, PAUSE_S = 20, 0.002


def junk(number):
    return number.to_bytes(8, "big") + bytes(JUNK_BYTES - 8)


@pytest.fixture
def hall(tmp_path):
    """Nothing runs yet."""
    made = GatewayHall(
        tmp_path, [("e-001", "evaluator"), ("e-666", "evaluator")], quarantine=(500, 1 << 20), batch=256, inbox=INBOX
    )
    yield made
    made.stop()


def start(hall):
    hall.intake.start()
    hall.downlink.start()


class Flood:
    """Junk of one device, in a thread of its own, until stop()."""

    def __init__(self, hall, device):
        self.sent, self._stopping = 0, threading.Event()
        self._thread = threading.Thread(target=self._run, args=(hall, device.topic), daemon=True)
        self._thread.start()

    def _run(self, hall, topic):
        while not self._stopping.is_set() and hall.intake.arrive(topic, junk(self.sent), False):
            self.sent += 1
            if self.sent % BURST == 0:
                time.sleep(PAUSE_S)

    def wait(self, sent):
        deadline = time.monotonic() + 20
        while self.sent < sent:
            assert time.monotonic() < deadline, f"the link was held up at {self.sent} messages"
            time.sleep(0.005)

    def stop(self):
        self._stopping.set()
        self._thread.join(10)


def test_a_flood_fills_its_share_never_the_inbox_and_what_is_beyond_is_counted(hall):
    good, mad = hall.devices.values()
    flood = Flood(hall, mad)
    try:
        flood.wait(3 * INBOX)  # nobody takes anything out, and the link is not held up
    finally:
        flood.stop()
    assert hall.intake.pending() == SHARE
    assert hall.metrics.value("dropped", reason="share") == flood.sent - SHARE
    hall.intake.arrive(good.topic, good.opened(), False)
    start(hall)
    ((what, content),) = hall.down(good, 1)
    assert (what, content.through) == ("receipt", 1)
    assert len(hall.rows(schema.quarantine)) <= SHARE


def test_a_good_device_has_its_receipts_in_the_middle_of_a_flood(hall):
    good, mad = hall.devices.values()
    start(hall)
    flood = Flood(hall, mad)
    try:
        flood.wait(INBOX)
        began, slowest_s = time.monotonic(), 0.0
        for seq in range(1, 41):
            sent_s = time.monotonic()
            hall.intake.arrive(good.topic, good.rating(5) if good.seq else good.opened(), False)
            ((_, content),) = hall.down(good, 1, timeout_s=30)
            assert content.through == seq
            slowest_s = max(slowest_s, time.monotonic() - sent_s)
        print(f"40 receipts in {time.monotonic() - began:.2f} s, slowest {1000 * slowest_s:.0f} ms; flood {flood.sent}")
    finally:
        flood.stop()
    assert hall.metrics.value("dropped", reason="share") > 0
    assert hall.metrics.value("inbox_full") == 0


def test_what_was_dropped_is_taken_when_it_comes_again(hall):
    """An honest device never has so much on its way; one that had would lose nothing."""
    good = next(iter(hall.devices.values()))
    messages = [good.opened(), *(good.event() for _ in range(SHARE + 20))]
    for message in messages:
        assert hall.intake.arrive(good.topic, message, False)
    start(hall)
    while hall.ledger.last_position() < len(messages):
        ((what, content),) = hall.down(good, 1)
        assert (what, content.holes) == ("receipt", [])
        if hall.intake.pending() == 0:
            for message in messages[content.through :]:
                hall.intake.arrive(good.topic, message, False)
    assert [one.seq for one in hall.records()] == list(range(1, len(messages) + 1))
    assert hall.metrics.value("dropped", reason="share") == 21


def test_a_hall_that_comes_back_at_once_loses_nothing_to_the_shares(tmp_path):
    """A hundred devices, each with its window of ten and the same again: more than the inbox, yet nobody's share."""
    shares = Shares(INBOX)
    assert all(shares.take(f"hallseal/1/yongxing/e-{number:03}/up") for _ in range(21) for number in range(100))
    assert shares.total() == 2100 > INBOX


def test_a_small_inbox_leaves_a_device_its_window():
    shares = Shares(1)
    assert [shares.take("up") for _ in range(SHARE_MESSAGES_MIN + 2)] == [True] * SHARE_MESSAGES_MIN + [False] * 2
    shares.give_back(["up", "up"])
    assert [shares.take("up") for _ in range(3)] == [True, True, False]
    shares.give_back(["up"] * SHARE_MESSAGES_MIN)
    assert (shares.total(), shares._taken) == (0, {})


def test_a_share_counts_what_is_in_batches_as_well(hall, monkeypatch):
    good = next(iter(hall.devices.values()))
    held, write = threading.Event(), hall.admission.admit

    def slow(connection, batch):
        held.wait(20)
        return write(connection, batch)

    monkeypatch.setattr(hall.admission, "admit", slow)
    start(hall)
    try:
        for number in range(2 * SHARE):
            hall.intake.arrive(good.topic, junk(number), False)
        assert hall.intake.pending() == SHARE
    finally:
        held.set()


def test_one_device_beyond_its_share_does_not_fill_the_log(hall, caplog):
    mad = hall.devices["e-666"]
    with caplog.at_level("WARNING"):
        for number in range(SHARE + 100):
            hall.intake.arrive(mad.topic, junk(number), False)
    assert [one.message for one in caplog.records] == ["a device sends more than its share"]
