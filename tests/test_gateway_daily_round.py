"""The daily round: everything once a day of the hall, and again what failed."""

import re
import time

import pytest
from gateway_hall import TurnedClock
from hall_broker import EmbeddedBroker
from sealing_device import MORNING_S
from wired_hall import GatewayProcess, connect

from gateway import schema
from gateway.daily_round import DailyRound
from gateway.hall_clock import HallClock
from gateway.metrics import Metrics
from protocol import rating, record

CHINA_S = 8 * 3600
# 22:17 of the hall's day.
MIDNIGHT_S = MORNING_S - (MORNING_S + CHINA_S) % 86_400 + 86_400


class Tasks:
    """Tasks that a test lets fail: an exception, or False where they can."""

    def __init__(self):
        self.done, self.failing = [], None
        self.real, self.metrics = TurnedClock(), Metrics()
        names = {name: lambda now_s, name=name: self._do(name, now_s) for name in ("keys", "retention")}
        self.round = DailyRound(HallClock(real=self.real), CHINA_S, names, self.metrics)

    def _do(self, name, now_s):
        if name == self.failing:
            raise OSError("disk full")
        self.done.append((name, now_s))

    def look(self, now_s):
        self.real.now_s, before = now_s, len(self.done)
        self.round.look()
        return self.done[before:]


@pytest.fixture
def tasks():
    return Tasks()


def test_everything_is_done_at_start_and_once_on_each_day_of_the_hall(tasks):
    assert tasks.look(MORNING_S) == [("keys", MORNING_S), ("retention", MORNING_S)]
    assert tasks.look(MIDNIGHT_S - 1) == []
    assert tasks.look(MIDNIGHT_S) == [("keys", MIDNIGHT_S), ("retention", MIDNIGHT_S)]
    assert tasks.look(MIDNIGHT_S + 1800) == []


def test_what_failed_is_done_at_the_next_look_and_holds_up_no_other(tasks):
    tasks.failing = "keys"
    assert tasks.look(MORNING_S) == [("retention", MORNING_S)]
    assert 'hallseal_round_failures_total{task="keys"} 1' in tasks.metrics.text()
    tasks.failing = None
    assert tasks.look(MORNING_S + 1800) == [("keys", MORNING_S + 1800)]


def test_a_task_that_says_false_is_not_done():
    answers = [False, True, True]
    looked = DailyRound(HallClock(real=TurnedClock()), CHINA_S, {"traces": lambda now_s: answers.pop(0)}, Metrics())
    for left in (2, 1, 1):
        looked.look()
        assert len(answers) == left


def test_the_thread_ends_when_it_is_told_to(tasks):
    tasks.round.start()
    tasks.round.stop(10)
    assert not tasks.round.alive()


@pytest.mark.xdist_group("broker")
def test_a_running_hall_forgets_identities_once_their_time_is_over(hall_dir, tmp_path):
    """A real gateway whose day takes nine seconds, and that forwards nothing."""
    broker = EmbeddedBroker(hall_dir, tmp_path / "broker")
    gateway = GatewayProcess(hall_dir, broker)
    toml = re.sub(r"\[central\](\n.+)+", "", gateway.toml.read_text())
    now_s = int(time.time())
    clock = f"[clock]\nspeed = 10000\norigin_s = {now_s}\nreal0_s = {now_s}\n"
    gateway.toml.write_text(toml + f"\n[retention]\nsealed_days = 1\n{clock}")
    device = None
    try:
        gateway.start()
        device = connect(gateway, "e-001", broker)
        device.deliver(device.opened(now_s))
        device.deliver(device.rating(1, now_s, identity={rating.PHONE: "13987654321"}))

        def sealed():
            table = schema.record
            query = table.select().where(table.c.kind == record.RATING)
            return [row.sealed for row in gateway.look(lambda connection: connection.execute(query).all())]

        assert [bool(one) for one in sealed()] == [True]
        gateway.wait(lambda: sealed() == [b""], 60)
        gateway.wait(lambda: 'hallseal_removed_total{kind="sealed"} 1' in gateway.get("/metrics").text, 10)
        assert gateway.counts()["by_device"]["e-001"]["gaps"] == 0
        assert gateway.terminate()[1] == 0
    finally:
        if device:
            device.close()
        if gateway.process and gateway.process.poll() is None:
            gateway.kill()
        broker.kill()
