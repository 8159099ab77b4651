"""The uplink against a broker in memory and a clock of its own: nothing is lost, nothing is hurried."""

import asyncio
import random

import pytest
from flash_root import new_root
from memory_broker import MemoryBroker
from suites import SeededRandom, host_suite
from virtual_time import Clock, Sleeper, timeless, until

from firmware.journal import BLOCK_BYTES, Journal
from firmware.tally import EVENT
from firmware.uplink import (
    BACK_OFF_FIRST_MS,
    BACK_OFF_MAX_MS,
    KEEP_ALIVE_S,
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
    """An uplink with `pending` records in its journal, its board, and the broker it finds. heard: what it was told."""

    def __init__(self, pending=0, seed="uplink", clock=None):
        self.broker = MemoryBroker()
        self.journal = Journal(new_root(), 64 * BLOCK_BYTES)
        self.journal.begin(STREAM)
        self.heard = []
        self.clock = self.network_clock = clock or Clock()
        self.met_server = False
        suite = host_suite(SeededRandom(seed))
        self.uplink = Uplink(
            self,
            Who,
            self.journal,
            suite,
            (UP, DOWN),
            self.broker.dial,
            lambda: BEAT,
            lambda *message: self.heard.append(message),
        )
        self.record(pending)

    def record(self, count=1):
        for _ in range(count):
            seq = self.journal.head + 1
            self.journal.append(EVENT, bytes(16), _payload(seq))
            self.uplink.wake()

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
    assert BACK_OFF_MAX_MS == 60000
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
    assert not running.done() and not link.uplink.online and link.uplink.error == "server"
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
async def test_a_hall_that_lost_its_power_at_once_comes_back_spread_out():
    """Sixty devices boot in the same second, a minute before their broker does."""
    links = [Link(seed=f"device {number}") for number in range(60)]
    for link in links:
        link.broker.refusing = True
        link.running = asyncio.create_task(link.uplink.run())
    await asyncio.sleep(90)
    back_s = asyncio.get_running_loop().time()
    for link in links:
        link.broker.refusing = False
    await until(lambda: all(link.uplink.online for link in links), BACK_OFF_MAX_MS / 1000 + 1)
    arrivals = sorted(link.broker.dialled[-1] - back_s for link in links)
    in_a_second = max(sum(1 for other in arrivals if 0 <= other - one < 1) for one in arrivals)
    print(f"60 devices back within {arrivals[-1]:.0f} s, at most {in_a_second} in a second")
    assert in_a_second <= 8 and arrivals[-1] - arrivals[0] > 20


@timeless
async def test_a_link_that_had_held_is_tried_again_at_once_however_hard_it_was_to_get():
    link = Link()
    link.broker.refusing = True
    running = asyncio.create_task(link.uplink.run())
    await asyncio.sleep(600)
    link.broker.refusing = False
    await until(lambda: link.uplink.online, BACK_OFF_MAX_MS / 1000)
    await asyncio.sleep(BACK_OFF_MAX_MS / 1000 + 1)
    lost_s, dialled = asyncio.get_running_loop().time(), len(link.broker.dialled)
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
    assert link.uplink.error == "login"
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
async def test_a_half_open_link_is_found_within_ninety_seconds_whenever_it_breaks():
    for after_s in (0, 14, 29.9, 30.4, 45, 3600):
        link = await Link(pending=2).start()
        link.receipt(2)
        await asyncio.sleep(after_s)
        link.broker.silent = True  # it still takes what is written, as the buffers of a dead link do
        began_s = asyncio.get_running_loop().time()
        await until(lambda link=link: not link.uplink.online, 600)
        assert 0.5 * KEEP_ALIVE_S <= asyncio.get_running_loop().time() - began_s <= 90
        assert link.uplink.error == "silent"
        link.running.cancel()


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


class Weather:
    """What a broker and its network do to a link in a day. down_s, outages: how long and how often it was no good.

    forgetting: True while the broker acknowledges everything and passes on nothing.
    """

    def __init__(self, link, seed):
        self._link, self._chance = link, random.Random(seed)
        self.down_s, self.outages = 0, 0
        self.forgetting = False

    async def last(self, until_s):
        broker, chance, loop = self._link.broker, self._chance, asyncio.get_running_loop()
        while loop.time() < until_s:
            await asyncio.sleep(min(chance.expovariate(1 / 900), until_s - loop.time()))
            kind = chance.choice(("refusing", "silent", "unavailable", "forgetting", "flapping", "night"))
            length_s = 7200 if kind == "night" and self.down_s < 14400 else chance.expovariate(1 / 180)
            self.down_s, self.outages = self.down_s + length_s, self.outages + 1
            await self._be(kind, length_s)
            broker.refusing = broker.silent = self.forgetting = False
            broker.code = 0

    async def _be(self, kind, length_s):
        broker = self._link.broker
        broker.refusing = kind in ("refusing", "night")
        broker.silent = kind == "silent"
        broker.code = 3 if kind == "unavailable" else 0
        self.forgetting = kind == "forgetting"
        if kind != "silent":
            broker.cut()
        for _ in range(5 if kind == "flapping" else 0):
            await asyncio.sleep(length_s / 6)
            broker.cut()
        await asyncio.sleep(length_s / 6 if kind == "flapping" else length_s)


@pytest.mark.parametrize("seed", [1, 2])
@timeless
async def test_a_day_of_outages_loses_nothing_and_hammers_nobody(seed):
    link = await Link(seed=f"day {seed}", clock=Sleeper()).start()
    weather, stored, received = Weather(link, seed), Continuity(1, 0), 0
    begun_s = asyncio.get_running_loop().time()
    raining = asyncio.create_task(weather.last(begun_s + 86400))
    while not raining.done() or asyncio.get_running_loop().time() < begun_s + 86400 + 600:
        if not raining.done() and link.journal.head < (asyncio.get_running_loop().time() - begun_s) / 60:
            link.record()
        arrived = await link.sent(after_s=2)
        if not weather.forgetting:
            received += len(arrived)
            for seq in arrived:
                if not stored.holds(seq):
                    stored.add(seq, b"")
            if arrived and link.uplink.online and not link.broker.silent:
                link.receipt(stored.through, *stored.report())
    head, attempts = link.journal.head, len(link.broker.dialled)
    print(
        f"{weather.outages} outages, {weather.down_s / 3600:.1f} h: {head} records, {received - head} twice, "
        f"{attempts} attempts, longest back-off {max(link.clock.slept_ms) / 1000:.1f} s"
    )
    assert stored.through == head > 1000 and not link.journal.pending()
    assert max(link.clock.slept_ms) <= BACK_OFF_MAX_MS
    # Ten tries until the back-off is at its longest, then one in half a minute at most; flapping has its own five.
    assert attempts <= 15 * weather.outages + weather.down_s / (BACK_OFF_MAX_MS / 2000)


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
