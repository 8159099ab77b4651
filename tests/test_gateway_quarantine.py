"""The quarantine: bytes and reasons, each message once, bounded, the oldest of the fullest out, all counted."""

import pytest
from sqlalchemy import select

from gateway import quarantine as quarantine_module
from gateway import schema
from gateway.ledger import Ledger
from gateway.quarantine import EVICTED, Quarantine, Stray, held, held_by_reason


@pytest.fixture
def ledger(tmp_path):
    made = Ledger(tmp_path / "ledger.db")
    yield made
    made.close()


def put(ledger, quarantine, *strays):
    ledger.write(lambda connection: quarantine.put(connection, list(strays))).result()


def stray(number, size=100, reason="decrypt", topic="hallseal/1/yongxing/e-001/up"):
    return Stray(reason, topic, number.to_bytes(4, "big") + bytes(size - 4), 1000 + number)


def messages(ledger):
    return [row.message[:4] for row in ledger.read(lambda c: c.execute(select(schema.quarantine)).all())]


def numbers(ledger):
    return [int.from_bytes(message, "big") for message in messages(ledger)]


def test_the_same_bytes_are_kept_once_and_counted_each_time(ledger):
    quarantine = Quarantine(10, 10_000)
    put(ledger, quarantine, stray(1), stray(1), stray(2))
    put(ledger, quarantine, stray(1))
    rows = ledger.read(lambda connection: held(connection, 10))
    assert [(row.offered, row.reason) for row in rows] == [(1, "decrypt"), (3, "decrypt")]
    assert ledger.refusals() == {"decrypt": 4}


def test_the_same_bytes_on_another_topic_are_another_message(ledger):
    put(ledger, Quarantine(10, 10_000), stray(1), stray(1, topic="hallseal/1/yongxing/e-002/up"))
    assert len(numbers(ledger)) == 2


def test_the_oldest_leave_when_there_are_too_many(ledger):
    quarantine = Quarantine(5, 10_000)
    for number in range(12):
        put(ledger, quarantine, stray(number))
    assert numbers(ledger) == [7, 8, 9, 10, 11]
    assert ledger.refusals() == {"decrypt": 12, EVICTED: 7}


def test_the_oldest_leave_when_there_are_too_many_bytes(ledger):
    quarantine = Quarantine(100, 1000)
    put(ledger, quarantine, *(stray(number, 300) for number in range(5)))
    assert numbers(ledger) == [2, 3, 4]


def test_the_bounds_hold_within_one_batch_and_over_a_restart(ledger, monkeypatch):
    monkeypatch.setattr(quarantine_module, "_EVICT_PAGE", 4)
    put(ledger, Quarantine(10, 100_000), *(stray(number) for number in range(30)))
    assert numbers(ledger) == list(range(20, 30))
    put(ledger, Quarantine(10, 100_000), stray(30))
    assert numbers(ledger) == list(range(21, 31))


MAD = "hallseal/1/yongxing/e-666/up"


@pytest.mark.parametrize("page", [2, 256])
def test_a_device_gone_mad_pushes_out_its_own_messages_and_no_other(ledger, monkeypatch, page):
    monkeypatch.setattr(quarantine_module, "_EVICT_PAGE", page)
    quarantine = Quarantine(10, 100_000)
    put(ledger, quarantine, *(stray(number) for number in range(4)))
    for first in range(100, 150, 10):
        put(ledger, quarantine, *(stray(number, topic=MAD) for number in range(first, first + 10)))
    assert numbers(ledger) == [0, 1, 2, 3, *range(144, 150)]
    put(ledger, quarantine, stray(4))
    assert numbers(ledger) == [0, 1, 2, 3, *range(145, 150), 4]
    assert ledger.refusals() == {"decrypt": 55, EVICTED: 45}


def test_a_device_with_few_large_messages_pushes_out_its_own_as_well(ledger):
    quarantine = Quarantine(100, 5000)
    put(ledger, quarantine, *(stray(number) for number in range(8)))
    put(ledger, quarantine, *(stray(number, 2000, topic=MAD) for number in range(100, 105)))
    assert numbers(ledger) == [*range(8), 103, 104]


def test_two_devices_gone_mad_share_what_a_third_leaves(ledger):
    quarantine = Quarantine(10, 100_000)
    put(ledger, quarantine, stray(0), stray(1))
    put(ledger, quarantine, *(stray(number, topic=MAD) for number in range(100, 120)))
    put(ledger, quarantine, *(stray(number, topic=MAD + "2") for number in range(200, 220)))
    assert numbers(ledger) == [0, 1, *range(116, 120), *range(216, 220)]


def test_who_fills_the_quarantine_is_known_after_a_restart(ledger):
    put(ledger, Quarantine(10, 100_000), *(stray(number) for number in range(3)))
    put(ledger, Quarantine(10, 100_000), *(stray(number, topic=MAD) for number in range(100, 107)))
    put(ledger, Quarantine(10, 100_000), stray(3), stray(4))
    assert numbers(ledger) == [0, 1, 2, *range(102, 107), 3, 4]


def test_a_rollback_is_not_counted(ledger):
    quarantine = Quarantine(3, 10_000)
    ledger.on_rollback(quarantine.forget)
    put(ledger, quarantine, stray(1))

    def fail(connection):
        quarantine.put(connection, [stray(2), stray(3)])
        raise OSError

    with pytest.raises(OSError):
        ledger.write(fail).result()
    put(ledger, quarantine, stray(4), stray(5))
    assert numbers(ledger) == [1, 4, 5]


def test_of_an_endless_message_the_beginning_and_the_size_are_kept(ledger):
    put(ledger, Quarantine(10, 100_000), stray(1, 50_000, "size"))
    (row,) = ledger.read(lambda connection: connection.execute(select(schema.quarantine)).all())
    assert (len(row.message), row.size_bytes) == (4096, 50_000)


def test_two_long_messages_with_the_same_beginning_are_two(ledger):
    one, other = stray(1, 50_000, "size"), stray(1, 50_001, "size")
    put(ledger, Quarantine(10, 100_000), one, other)
    assert len(numbers(ledger)) == 2


def test_the_list_is_newest_first_and_by_reason(ledger):
    put(ledger, Quarantine(10, 10_000), stray(1), stray(2, reason="schema"), stray(3))
    assert [row.received_s for row in ledger.read(lambda c: held(c, 2))] == [1003, 1002]
    assert [row.received_s for row in ledger.read(lambda c: held(c, 9, "decrypt"))] == [1003, 1001]
    assert ledger.read(held_by_reason) == {"decrypt": 2, "schema": 1}


@pytest.mark.parametrize("topic", ["\ud800", "t" * 70_000, "hallseal\x00/1", ""])
def test_a_hostile_topic_is_kept_as_text_and_bounded(ledger, topic):
    put(ledger, Quarantine(10, 10_000), stray(1, topic=topic))
    (row,) = ledger.read(lambda connection: held(connection, 1))
    assert len(row.topic) <= 200
