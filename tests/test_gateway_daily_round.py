"""The daily round: everything once a day of the hall, and again what failed."""

import pytest
from gateway_hall import TurnedClock
from sealing_device import MORNING_S

from gateway.daily_round import DailyRound
from gateway.hall_clock import HallClock
from gateway.metrics import Metrics

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
    assert not tasks.round._thread.is_alive()
