"""The uplink against a broker in memory and a clock of its own: nothing is lost, nothing is hurried."""

import asyncio

import pytest
from flash_root import new_root
from memory_broker import MemoryBroker
from suites import SeededRandom, host_suite
from virtual_time import Clock, timeless, until

from firmware.journal import BLOCK_BYTES, Journal
from firmware.tally import EVENT
from firmware.uplink import (
    BACK_OFF_FIRST_MS,
    BACK_OFF_MAX_MS,
    KEEP_ALIVE_S,
    LATENCIES_KEPT,
    RESEND_MS,
    WINDOW,
    Uplink,
    back_off_ms,
)
from gateway.continuity import Continuity
from protocol.receipt import Receipt

UP, DOWN = "hallseal/1/yongxing/e-001/up", "hallseal/1/yongxing/e-001/down"
STREAM = b"stream-1"
BEAT = b"heartbeat"


class Who:
    """As much of an identity as an uplink reads."""

    device = "e-001"


def _payload(seq):
    return b"record %d" % seq


class Link:
    """An uplink with `pending` records in its journal, and the broker it finds. heard: what it was told."""

    def __init__(self, pending=0, seed="uplink"):
        self.broker = MemoryBroker()
        self.journal = Journal(new_root(), 64 * BLOCK_BYTES)
        self.journal.begin(STREAM)
        self.heard = []
        self.clock = Clock()
        suite = host_suite(SeededRandom(seed))
        self.uplink = Uplink(
            Who,
            self.journal,
            suite,
            (UP, DOWN),
            self.broker.dial,
            self.clock,
            lambda: BEAT,
            lambda *message: self.heard.append(message),
        )
        self.record(pending)

    def record(self, count=1):
        for _ in range(count):
            seq = self.journal.head + 1
            self.journal.append(EVENT, bytes(16), _payload(seq))
            self.uplink.recorded(seq, self.clock.ticks_ms())

    async def start(self):
        """Run; returns once it is online and at rest."""
        self.running = asyncio.create_task(self.uplink.run())
        await until(lambda: self.uplink.online, 60)
        await asyncio.sleep(0.02)
        return self

    def receipt(self, through, holes=(), highest=None):
        """highest: where it is the record behind the last hole, it may be left out."""
        holes = list(holes)
        self.uplink.receipt(Receipt(STREAM, through, holes, highest or (holes[-1][1] + 1 if holes else through)))

    async def sent(self, after_s=0.02):
        """Numbers of the records that were sent until `after_s` from now, heartbeats left out."""
        await asyncio.sleep(after_s)
        return [int(payload.split()[1]) for payload in self.broker.payloads() if payload != BEAT]


# --- connecting


def test_the_back_off_doubles_up_to_a_minute_and_half_of_it_is_chance():
    for attempt in range(40):
        ceiling = min(BACK_OFF_MAX_MS, BACK_OFF_FIRST_MS << attempt)
        waits = [back_off_ms(attempt, chance) for chance in range(256)]
        assert waits == sorted(waits)
        assert (waits[0], waits[-1]) == (ceiling // 2, ceiling)
        assert len(set(waits)) > 200


@timeless
async def test_a_broker_that_is_away_is_tried_ever_more_rarely_and_never_given_up():
    link = Link()
    link.broker.refusing = True
    running = asyncio.create_task(link.uplink.run())
    await asyncio.sleep(1800)
    assert not running.done() and not link.uplink.online and link.uplink.error == "refused"
    pauses = [later - earlier for earlier, later in zip(link.broker.dialled, link.broker.dialled[1:])]
    for attempt, pause_s in enumerate(pauses):
        ceiling_s = min(BACK_OFF_MAX_MS, BACK_OFF_FIRST_MS << attempt) / 1000
        assert ceiling_s / 2 - 0.01 <= pause_s <= ceiling_s + 0.01
    assert len(pauses) > 30
    assert len({round(pause_s, 2) for pause_s in pauses[8:]}) > 10
    link.broker.refusing = False
    await until(lambda: link.uplink.online, BACK_OFF_MAX_MS / 1000)
    assert link.uplink.error == ""


@timeless
async def test_devices_of_one_hall_do_not_come_back_in_step():
    links = [Link(seed=f"device {number}") for number in range(8)]
    for link in links:
        link.broker.refusing = True
        link.running = asyncio.create_task(link.uplink.run())
    await asyncio.sleep(300)
    assert len({round(link.broker.dialled[-1], 2) for link in links}) >= 7


@timeless
async def test_a_link_that_had_held_is_tried_again_at_once_however_hard_it_was_to_get():
    link = Link()
    link.broker.refusing = True
    running = asyncio.create_task(link.uplink.run())
    await asyncio.sleep(600)
    link.broker.refusing = False
    await until(lambda: link.uplink.online, BACK_OFF_MAX_MS / 1000)
    await asyncio.sleep(BACK_OFF_MAX_MS / 1000 + 1)
    lost_s, dialled = link.clock.ticks_ms() / 1000, len(link.broker.dialled)
    link.broker.cut()
    await until(lambda: len(link.broker.dialled) > dialled, 60)
    assert link.broker.dialled[-1] - lost_s <= BACK_OFF_FIRST_MS / 1000 + 0.6  # the loop looks twice a second
    assert not running.done()


@timeless
async def test_a_link_that_breaks_at_once_each_time_is_not_hammered():
    link = Link()
    link.broker.code = 5
    running = asyncio.create_task(link.uplink.run())
    await asyncio.sleep(600)
    assert link.uplink.error == "not authorised"
    assert 8 <= len(link.broker.dialled) <= 40
    assert not running.done()


@timeless
async def test_a_broker_that_accepts_and_says_nothing_is_left():
    link = Link()
    link.broker.silent = True
    running = asyncio.create_task(link.uplink.run())
    await until(lambda: len(link.broker.dialled) == 3, 120)
    assert not link.uplink.online and not running.done()
    link.broker.silent = False
    await until(lambda: link.uplink.online, 120)


@timeless
async def test_a_half_open_link_is_found_after_one_and_a_half_keep_alives():
    link = await Link().start()
    await asyncio.sleep(KEEP_ALIVE_S)
    link.broker.silent = True
    began_s = link.clock.ticks_ms() / 1000
    await until(lambda: not link.uplink.online, 600)
    assert KEEP_ALIVE_S <= link.clock.ticks_ms() / 1000 - began_s <= 1.5 * KEEP_ALIVE_S + 2
    assert link.uplink.error == "silent"


@timeless
async def test_a_quiet_link_is_kept_by_pings_alone():
    link = await Link().start()
    await asyncio.sleep(3600)
    assert link.uplink.online and len(link.broker.dialled) == 1
    assert 3600 / KEEP_ALIVE_S <= link.broker.pings <= 3 * 3600 / KEEP_ALIVE_S


@timeless
async def test_what_the_broker_brings_is_handed_on():
    link = await Link().start()
    link.broker.send(DOWN, b"message")
    await asyncio.sleep(0.02)
    assert link.heard == [(DOWN, b"message", False)]


# --- records


@timeless
async def test_a_window_of_records_is_in_flight_and_no_more():
    link = await Link(pending=3 * WINDOW).start()
    assert await link.sent() == list(range(1, WINDOW + 1))
    assert await link.sent(after_s=2) == []
    link.receipt(4)
    assert await link.sent() == list(range(WINDOW + 1, WINDOW + 5))
    link.receipt(WINDOW + 4)
    assert await link.sent() == list(range(WINDOW + 5, 2 * WINDOW + 5))


@timeless
async def test_everything_arrives_once_when_receipts_come_in_time():
    link = await Link(pending=57).start()
    sent = []
    while link.journal.pending():
        sent += await link.sent(after_s=0.1)
        link.receipt(sent[-1])
    assert sent == list(range(1, 58))


@timeless
async def test_a_new_record_leaves_at_once():
    link = await Link().start()
    link.record()
    assert await link.sent() == [1]


@timeless
async def test_a_receipt_with_holes_sends_exactly_the_holes_again():
    link = await Link(pending=WINDOW).start()
    assert await link.sent() == list(range(1, WINDOW + 1))
    link.receipt(2, [[4, 5], [8, 8]])
    assert await link.sent() == [4, 5, 8]
    link.receipt(WINDOW)
    assert await link.sent(after_s=60) == []


@timeless
async def test_holes_are_asked_for_once_however_often_a_receipt_names_them():
    link = await Link(pending=WINDOW).start()
    await link.sent()
    for _ in range(3):
        link.receipt(2, [[4, 5]])
    assert await link.sent() == [4, 5]


@timeless
async def test_a_hole_that_was_never_sent_is_not_sent_out_of_turn():
    link = await Link(pending=2 * WINDOW).start()
    await link.sent()
    link.receipt(0, [[WINDOW, 2 * WINDOW], [2 * WINDOW + 5, 0xFFFFFFFE]])
    assert await link.sent(after_s=2) == []  # of more than we wrote nobody can have a receipt


@timeless
async def test_what_has_no_receipt_is_sent_again_after_a_while_and_not_before():
    link = await Link(pending=3).start()
    assert await link.sent() == [1, 2, 3]
    assert await link.sent(after_s=RESEND_MS / 1000 - 0.5) == []
    assert await link.sent(after_s=1.2) == [1, 2, 3]
    link.receipt(2)
    assert await link.sent(after_s=RESEND_MS / 1000 - 0.5) == []
    assert await link.sent(after_s=1.2) == [3]
    link.receipt(3)
    assert await link.sent(after_s=60) == []


@timeless
async def test_only_a_receipt_that_brings_something_puts_off_sending_again():
    link = await Link(pending=3).start()
    assert await link.sent(after_s=RESEND_MS / 1000 - 1) == [1, 2, 3]
    link.receipt(1)
    assert await link.sent(after_s=RESEND_MS / 1000 - 1) == []
    link.receipt(1)
    assert await link.sent(after_s=1.7) == [2, 3]


@timeless
async def test_the_first_record_after_a_quiet_hour_has_as_much_time_as_any():
    link = await Link().start()
    await asyncio.sleep(3600)
    link.record()
    assert await link.sent(after_s=RESEND_MS / 1000 - 0.5) == [1]
    assert await link.sent(after_s=1.2) == [1]


@timeless
async def test_after_a_reconnect_everything_without_a_receipt_is_sent_again_in_order():
    link = await Link(pending=7).start()
    await link.sent()
    link.receipt(3)
    link.broker.cut()
    await until(lambda: not link.uplink.online, 5)
    link.record()
    await until(lambda: link.uplink.online, 60)
    assert await link.sent() == [4, 5, 6, 7, 8]


@timeless
async def test_holes_of_a_lost_link_do_not_haunt_the_next_one():
    link = await Link(pending=4).start()
    await link.sent()
    link.broker.cut()
    link.receipt(1, [[2, 3]])
    await until(lambda: len(link.broker.dialled) == 2 and link.uplink.online, 60)
    assert await link.sent() == [2, 3, 4]


@timeless
async def test_a_damaged_record_does_not_hold_up_those_behind_it():
    link = Link(pending=5)
    message = link.journal.message
    link.journal.message = lambda seq: None if seq == 3 else message(seq)
    await link.start()
    assert await link.sent() == [1, 2, 4, 5]


class TruthfulGateway:
    """Stores what a link sends, but for `refused` numbers, and tells how the stream stands. lossy: chance 0 … 255."""

    def __init__(self, link, stored=0, refused=(), lossy=0):
        self._link = link
        self._refused = set(refused)
        self._lossy = lossy
        self._chance = SeededRandom("loss")
        self.arrivals = []
        self.state = Continuity(1, 0)
        for seq in range(1, stored + 1):
            self.state.add(seq, b"")

    def _lost(self):
        return self._chance(1)[0] < self._lossy

    async def serve(self, for_s):
        for _ in range(int(for_s * 10)):
            arrived = [seq for seq in await self._link.sent(after_s=0.1) if not self._lost()]
            self.arrivals += arrived
            self.state.given_up = self._link.journal.through  # as a heartbeat says
            for seq in arrived:
                if seq not in self._refused and not self.state.holds(seq):
                    self.state.add(seq, b"")
            if set(arrived) - self._refused and not self._lost():
                self._link.receipt(self.state.through, *self.state.report())

    def stored(self, head):
        return [seq for seq in range(1, head + 1) if self.state.holds(seq)]


def _lose(link, lost):
    message = link.journal.message
    link.journal.message = lambda seq: None if seq in lost else message(seq)


@timeless
async def test_what_the_flash_has_lost_holds_up_nothing_behind_it_for_ever():
    for lost in ({3}, set(range(5, 30)), {1}, {20, 40}, set(range(16, 41)), set(range(2, 41, 2)), set(range(1, 40, 2))):
        link = Link(pending=40)
        _lose(link, lost)
        await link.start()
        gateway = TruthfulGateway(link)
        await gateway.serve(for_s=60)
        assert set(gateway.stored(40)) == set(range(1, 41)) - lost
        assert link.journal.through >= max(set(range(1, 41)) - lost)  # what can be forgotten is
        link.record()
        await gateway.serve(for_s=5)
        assert gateway.state.holds(41) and link.journal.pending() == 0
        assert gateway.state.missing == len(lost)  # and at the gateway the gap stays


@timeless
async def test_a_record_that_the_gateway_never_takes_holds_up_nothing_and_is_kept():
    link = await Link(pending=60).start()
    gateway = TruthfulGateway(link, refused={7})
    await gateway.serve(for_s=20)
    assert gateway.stored(60) == [seq for seq in range(1, 61) if seq != 7]
    assert link.journal.through == 6 and link.journal.message(7)
    gateway.arrivals.clear()
    await gateway.serve(for_s=60)
    assert set(gateway.arrivals) == {7}  # offered again, and nothing else is
    assert 60 * 1000 / RESEND_MS - 3 <= len(gateway.arrivals) <= 60 * 1000 / RESEND_MS + 1


@timeless
async def test_more_refused_records_than_a_receipt_can_name_hold_up_nothing():
    refused = set(range(3, 63, 3))
    link = await Link(pending=120).start()
    gateway = TruthfulGateway(link, refused=refused)
    await gateway.serve(for_s=120)
    assert set(gateway.stored(120)) == set(range(1, 121)) - refused
    link.record()
    await gateway.serve(for_s=2 * RESEND_MS / 1000)
    assert gateway.state.holds(121)


@timeless
async def test_a_ledger_that_came_back_older_gets_all_that_is_still_here():
    link = await Link(pending=30).start()
    await link.sent()
    link.receipt(30)
    link.record(25)
    gateway = TruthfulGateway(link, stored=12)
    await gateway.serve(for_s=20)
    assert gateway.stored(55) == list(range(1, 13)) + list(range(31, 56))
    assert link.journal.pending() == 0


@timeless
async def test_a_link_that_loses_a_third_brings_everything():
    link = await Link(pending=200).start()
    gateway = TruthfulGateway(link, lossy=85)
    await gateway.serve(for_s=300)
    assert gateway.stored(200) == list(range(1, 201)) and link.journal.pending() == 0


# --- receipts


@pytest.mark.parametrize(
    ("stream", "through", "trimmed"),
    [(STREAM, 9, 9), (STREAM, 20, 20), (b"stream-2", 9, 0), (STREAM, 21, 0), (STREAM, 0xFFFFFFFF, 0), (STREAM, 0, 0)],
)
@timeless
async def test_only_a_receipt_for_our_stream_and_what_we_wrote_trims(stream, through, trimmed):
    link = Link(pending=20)
    link.uplink.receipt(Receipt(stream, through, [], through))
    assert (link.journal.through, link.journal.pending()) == (trimmed, 20 - trimmed)


@timeless
async def test_a_late_receipt_brings_nothing_back():
    link = await Link(pending=WINDOW).start()
    await link.sent()
    link.receipt(WINDOW)
    link.receipt(3, [[4, 5]])
    assert await link.sent(after_s=60) == [] and link.journal.pending() == 0


@timeless
async def test_the_way_to_the_receipt_is_measured_and_the_measures_are_bounded():
    link = await Link().start()
    link.record(2)
    await asyncio.sleep(0.3)
    link.receipt(1)
    await asyncio.sleep(0.1)
    link.receipt(2)
    assert link.uplink.latencies_ms == [300, 400]
    link.record(LATENCIES_KEPT)
    await asyncio.sleep(1)
    link.record(LATENCIES_KEPT)  # too many to remember when each began
    link.receipt(2 + 2 * LATENCIES_KEPT)
    assert link.uplink.latencies_ms == [1000] * LATENCIES_KEPT
    link.record()
    link.receipt(3 + 2 * LATENCIES_KEPT)
    assert link.uplink.latencies_ms == [1000] * (LATENCIES_KEPT - 1) + [0]


# --- heartbeats


@timeless
async def test_a_heartbeat_opens_every_session_and_goes_before_the_records():
    link = await Link(pending=2).start()
    assert link.broker.payloads() == [BEAT, _payload(1), _payload(2)]
    link.receipt(2)
    link.broker.cut()
    await until(lambda: len(link.broker.dialled) == 2 and link.uplink.online, 60)
    await asyncio.sleep(0.02)
    assert link.broker.payloads() == [BEAT]


@timeless
async def test_a_heartbeat_is_sent_when_it_is_due_and_once():
    link = await Link().start()
    link.broker.payloads()
    await asyncio.sleep(600)
    assert link.broker.payloads() == []
    link.uplink.heartbeat_due = True
    link.uplink.wake()
    await asyncio.sleep(0.02)
    assert link.broker.payloads() == [BEAT]
    await asyncio.sleep(60)
    assert link.broker.payloads() == []
