"""Messages from quarantine, offered again: stored once, receipted, marked; what still cannot be believed stays."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from gateway_hall import GatewayHall, hall_of
from sealed_pair import flip
from sealing_device import MORNING_S, SealingDevice
from sqlalchemy.exc import IntegrityError, OperationalError

from gateway import schema
from gateway.operator_log import READMIT
from gateway.quarantine import OFFERED_MAX
from gateway.readmission import Selection
from protocol import event, rating, record, sign1
from protocol import topic as topics

IDENTITY = {rating.NAME: "欧阳娜娜", rating.PHONE: "13987654321"}


hall = hall_of(("e-001", "evaluator"), ("c-001", "clock"))


@pytest.fixture
def evaluator(hall):
    return hall.devices["e-001"]


@pytest.fixture
def stranger(hall):
    """A device that the registry does not have yet."""
    return SealingDevice("e-009", hall.public)


def enrol(hall, device, status="active"):
    hall.devices[device.name] = device
    hall.write_registry(**{device.name.replace("-", "_"): status})


def held(hall):
    """[(id, reason, offered)] of the quarantine."""
    return [(row["id"], row["reason"], row["offered"]) for row in hall.rows(schema.quarantine)]


def readmit(hall, *ids):
    """[(result, reason)] by id; all that is held when none is given."""
    chosen = ids or [number for number, _, _ in held(hall)]
    return [(one.result, one.reason) for one in hall.readmission.offer(chosen, "technician")]


def seqs(hall):
    return [(one.device, one.seq) for one in hall.records()]


# --- After the repair.


def test_what_came_while_the_registry_had_a_wrong_key_is_stored_once_the_key_is_right(hall, evaluator):
    other = SealingDevice("e-001", hall.public)
    for wrong in ({"agreement": other.agreement_public}, {"signing": other.signer.public_key}):
        entry = evaluator.entry
        evaluator.entry = lambda status, entry=entry, wrong=wrong: {
            **entry(status), **{name: key.hex() for name, key in wrong.items()},
        }  # fmt: skip
        hall.write_registry()
        hall.registry.refresh(0, at_once=True)
        message = evaluator.event() if evaluator.seq else evaluator.opened()
        assert hall.take((evaluator, message)).refused in (["decrypt"], ["signature"])
        evaluator.entry = entry
        hall.write_registry()
        assert readmit(hall) == [("stored", None)]
    assert seqs(hall) == [("e-001", 1), ("e-001", 2)]
    assert held(hall) == []


def test_what_a_device_sent_before_it_was_approved_is_stored_after(hall, stranger):
    enrol(hall, stranger, "pending")
    hall.registry.refresh(0, at_once=True)
    messages = [stranger.opened(), stranger.rating(1), stranger.rating(5)]
    assert hall.take(*((stranger, one) for one in messages)).refused == ["pending"] * 3
    assert readmit(hall) == [("refused", "pending")] * 3
    enrol(hall, stranger, "active")
    assert readmit(hall) == [("stored", None)] * 3
    assert seqs(hall) == [("e-009", 1), ("e-009", 2), ("e-009", 3)]
    assert all("readmitted" in one.flags for one in hall.records())
    assert (hall.ledger.streams()[0].through, hall.ledger.streams()[0].missing) == (3, 0)


def test_a_wrong_window_in_the_registry_flags_and_its_repair_takes_the_flag_away(hall, stranger):
    enrol(hall, stranger, "pending")
    hall.registry.refresh(0, at_once=True)
    hall.take((stranger, stranger.opened()), (stranger, stranger.rating(4)), (stranger, stranger.rating(4)))
    first, second, third = (number for number, _, _ in held(hall))
    stated = stranger.entry
    stranger.entry = lambda status: {**stated(status), "window": "99"}
    enrol(hall, stranger)
    assert readmit(hall, first, second) == [("stored", None)] * 2
    stranger.entry = stated
    enrol(hall, stranger)
    assert readmit(hall, third) == [("stored", None)]
    assert [one.flags for one in hall.records()[1:]] == [["window", "readmitted"], ["readmitted"]]


def test_no_level_decides_whether_a_message_comes_back(hall, stranger):
    hall.take((stranger, stranger.opened()), *((stranger, stranger.rating(level)) for level in (1, 2, 3, 4, 5)))
    enrol(hall, stranger)
    assert readmit(hall) == [("stored", None)] * 6
    assert [one.claims["level"] for one in hall.records()[1:]] == [1, 2, 3, 4, 5]
    assert all("readmitted" in one.flags for one in hall.records())


def test_a_readmitted_rating_is_masked_and_sealed_like_any_other(hall, stranger):
    hall.take((stranger, stranger.opened()), (stranger, stranger.rating(2, visit="A-17", identity=IDENTITY)))
    enrol(hall, stranger)
    readmit(hall)
    kept = hall.records()[1]
    assert kept.masked == {"name": "欧**", "phone": "139****4321"}
    assert kept.sealed is not None
    assert sign1.parse(kept.evidence, sign1.RECORD_TYP).disclosures == []


# --- Time.


def test_the_rules_of_time_judge_by_the_first_arrival(hall, stranger):
    clock = hall.devices["c-001"]
    hall.take((clock, clock.opened()))
    hall.write_registry(c_001="revoked")
    hall.registry.refresh(0, at_once=True)
    hall.real.now_s = MORNING_S + 30
    hall.take((clock, clock.punch("S001", MORNING_S)), (stranger, stranger.opened()), (stranger, stranger.rating(5)))
    enrol(hall, stranger)
    hall.real.now_s += 3 * 24 * 3600
    assert readmit(hall) == [("stored", None)] * 3
    punch, _, rated = hall.records()[1:]
    assert (punch.received_s, punch.flags) == (MORNING_S + 30, ["readmitted"])
    assert (rated.received_s, rated.flags) == (rated.coarse_s, ["readmitted"])
    assert hall.operator_log.lines_after(0, 9)[-1].at_s == hall.real.now_s


# --- What cannot come back.


def test_a_message_for_another_hall_stays_refused_and_is_counted(hall, evaluator):
    hall.take((evaluator, evaluator.seal(*evaluator.make(record.EVENT, {event.CODE: event.BOOT}, hall="elsewhere"))))
    hall.take((evaluator, evaluator.event()), on=topics.up("elsewhere", "e-001"))
    assert readmit(hall) == [("refused", "hall")] * 2
    assert readmit(hall) == [("refused", "hall")] * 2
    assert [(reason, offered) for _, reason, offered in held(hall)] == [("hall", 3), ("hall", 3)]
    assert hall.ledger.refusals() == {"hall": 6}
    assert hall.ledger.last_position() == 0


def test_a_forged_message_stays_whatever_is_mended(hall, evaluator):
    hall.take((evaluator, flip(evaluator.rating(5), -160)), (evaluator, SealingDevice("e-001", hall.public).rating(5)))
    assert readmit(hall) == [("refused", "decrypt")] * 2


def test_what_is_refused_for_another_reason_now_says_so(hall, stranger):
    hall.take((stranger, stranger.opened()))
    assert [reason for _, reason, _ in held(hall)] == ["unknown"]
    enrol(hall, stranger, "revoked")
    assert readmit(hall) == [("refused", "revoked")]
    assert [(reason, offered) for _, reason, offered in held(hall)] == [("revoked", 2)]
    assert hall.ledger.refusals() == {"unknown": 1, "revoked": 1}


def test_of_what_was_too_long_only_the_beginning_is_there_and_it_says_so(hall, evaluator):
    hall.take((evaluator, bytes(5000)))
    hall.take((evaluator, evaluator.event()), on="hallseal/1/yongxing/" + "e" * 300)
    assert readmit(hall) == [("cut", None)] * 2
    assert [offered for _, _, offered in held(hall)] == [1, 1]
    assert hall.ledger.refusals() == {"size": 1, "topic": 1}


def test_a_copy_that_the_broker_kept_comes_back_only_once(hall, evaluator):
    first = evaluator.opened()
    hall.take((evaluator, first), retained=True)
    assert readmit(hall) == [("stored", None)]
    hall.take((evaluator, first), retained=True)
    assert (readmit(hall), hall.ledger.streams()[0].duplicates) == ([], 1)
    assert (seqs(hall), held(hall)) == ([("e-001", 1)], [])


def test_an_old_heartbeat_stays_old_and_a_new_one_is_not_answered(tmp_path):
    hall = GatewayHall(tmp_path, [("e-001", "evaluator")], started=True)
    evaluator = hall.devices["e-001"]
    old, new = evaluator.heartbeat(), evaluator.heartbeat(TIME_NONCE=bytes(8))
    hall.write_registry(e_001="pending")
    hall.registry.refresh(0, at_once=True)
    hall.take(old, new)
    hall.write_registry()
    assert readmit(hall, 2, 1) == [("stored", None), ("stored", None)]
    assert readmit(hall) == []
    hall.take(old, retained=True)
    assert readmit(hall) == [("refused", "replayed")]
    assert readmit(hall) == [("refused", "replayed")]
    assert [(reason, offered) for _, reason, offered in held(hall)] == [("replayed", 3)]
    hall.take(evaluator.opened())
    (sent,) = hall.down(evaluator, 1)
    assert sent[0] == "receipt"  # and no answer to a question of then
    hall.stop()


# --- Once and for all.


def test_offering_twice_changes_nothing(hall, stranger):
    hall.take((stranger, stranger.opened()), (stranger, stranger.rating(1)))
    enrol(hall, stranger)
    assert readmit(hall, 1, 2, 2) == [("stored", None)] * 2
    assert readmit(hall, 1, 2, 77) == [("gone", None)] * 3
    (stream,) = hall.ledger.streams()
    assert (stream.stored, stream.duplicates, hall.ledger.last_position()) == (2, 0, 2)


def test_what_the_device_sent_again_meanwhile_has_left_by_itself(hall, stranger, evaluator):
    message, other = stranger.opened(), stranger.rating(1)
    hall.take((stranger, message), (stranger, other))
    enrol(hall, stranger)
    hall.registry.refresh(0, at_once=True)
    hall.take((stranger, message), evaluator.opened())
    assert (seqs(hall), [number for number, _, _ in held(hall)]) == ([("e-009", 1), ("e-001", 1)], [2])
    assert "readmitted" not in hall.records()[0].flags
    hall.take((stranger, other))
    assert (held(hall), hall.ledger.refusals(), readmit(hall, 1, 2)) == ([], {"unknown": 2}, [("gone", None)] * 2)
    assert not hall.admission.quarantine._held.messages


def test_what_the_device_sealed_anew_meanwhile_is_a_duplicate_and_leaves(hall, stranger):
    made = stranger.make(record.EVENT, {event.CODE: event.STREAM_OPENED})
    hall.take((stranger, stranger.seal(*made)))
    enrol(hall, stranger)
    hall.registry.refresh(0, at_once=True)
    hall.take((stranger, stranger.seal(*made)))
    assert readmit(hall) == [("duplicate", None)]
    assert (seqs(hall), held(hall)) == ([("e-009", 1)], [])
    assert "readmitted" not in hall.records()[0].flags


def test_a_contradiction_is_kept_as_evidence_and_leaves(hall, stranger):
    hall.take((stranger, stranger.opened()), (stranger, stranger.rating(1)))
    enrol(hall, stranger)
    hall.registry.refresh(0, at_once=True)
    stranger.seq -= 1
    hall.take((stranger, stranger.rating(5)))
    assert readmit(hall) == [("stored", None), ("equivocation", None)]
    assert held(hall) == []
    (kept,) = hall.rows(schema.equivocation)
    assert (kept["device"], kept["seq"]) == ("e-009", 2)
    assert sign1.parse(kept["evidence"], sign1.RECORD_TYP).payload


def test_a_record_from_quarantine_closes_the_gap_that_it_left(hall, evaluator):
    messages = [evaluator.opened(), evaluator.rating(1), evaluator.rating(5)]
    hall.take(messages[0])
    hall.take(messages[1], retained=True)
    hall.take(messages[2])
    assert hall.ledger.streams()[0].missing == 1
    assert readmit(hall) == [("stored", None)]
    (stream,) = hall.ledger.streams()
    assert (stream.through, stream.missing) == (3, 0)
    assert [one.flags for one in hall.records()] == [[], [], ["reason_missing", "readmitted"]]


def test_two_who_offer_the_same_at_once_store_it_once(hall, stranger):
    hall.take((stranger, stranger.opened()), *((stranger, stranger.event()) for _ in range(30)))
    enrol(hall, stranger)
    ids = [number for number, _, _ in held(hall)]
    together, results = threading.Barrier(4), []

    def offer():
        together.wait()
        results.extend(one.result for one in hall.readmission.offer(ids, "technician"))

    threads = [threading.Thread(target=offer) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == ["gone"] * 93 + ["stored"] * 31
    (stream,) = hall.ledger.streams()
    assert (stream.stored, stream.duplicates, held(hall)) == (31, 0, [])


def test_a_commit_that_fails_leaves_everything_as_it_was(hall, stranger, monkeypatch):
    hall.take((stranger, stranger.opened()), (stranger, stranger.rating(2)))
    enrol(hall, stranger)
    before = held(hall)

    def fail(*_):
        raise OperationalError("insert", {}, OSError("disk I/O error"))

    with monkeypatch.context() as patched:
        patched.setattr(hall.operator_log, "append", fail)  # the last step of the transaction
        with pytest.raises(OperationalError):
            readmit(hall)
    assert (held(hall), hall.ledger.last_position(), hall.ledger.refusals()) == (before, 0, {"unknown": 2})
    assert hall.ledger.streams() == []
    assert readmit(hall) == [("stored", None)] * 2
    assert hall.ledger.streams()[0].stored == 2


KILLED = """
import os, signal, sys
sys.path[:0] = [{tests!r}, {root!r}]
from pathlib import Path
from gateway_hall import GatewayHall
hall = GatewayHall(Path({folder!r}), keys=[bytes.fromhex(key) for key in {keys!r}])
append = hall.operator_log.append
def kill(connection, *notes):
    append(connection, *notes)
    os.kill(os.getpid(), signal.SIGKILL)
hall.operator_log.append = kill
hall.readmission.offer([1, 2], "technician")
"""


def test_a_kill_before_the_commit_loses_nothing_and_stores_nothing_twice(hall, stranger, tmp_path):
    hall.take((stranger, stranger.opened()), (stranger, stranger.rating(2)))
    enrol(hall, stranger)
    hall.stop()
    tests = Path(__file__).parent
    text = KILLED.format(
        tests=str(tests), root=str(tests.parent), folder=str(tmp_path), keys=[key.hex() for key in hall.keys]
    )
    ended = subprocess.run([sys.executable, "-c", text], timeout=60, env={**os.environ})
    assert ended.returncode == -signal.SIGKILL
    again = GatewayHall(tmp_path, keys=hall.keys)
    assert [number for number, _, _ in held(again)] == [1, 2]
    assert again.ledger.last_position() == again.operator_log.head().number == 0
    assert readmit(again) == [("stored", None)] * 2
    assert readmit(again, 1, 2) == [("gone", None)] * 2
    assert seqs(again) == [("e-009", 1), ("e-009", 2)]
    again.stop()


def test_a_message_that_the_ledger_cannot_take_stays_and_holds_up_no_other(hall, stranger, monkeypatch):
    hall.take((stranger, stranger.opened()), *((stranger, stranger.event()) for _ in range(3)))
    enrol(hall, stranger)
    admit = hall.admission.admit

    def choke(connection, batch):
        if any(one.seq == 3 for one in batch.records):
            raise IntegrityError("insert", {}, ValueError("of one record"))
        return admit(connection, batch)

    monkeypatch.setattr(hall.admission, "admit", choke)
    results = readmit(hall)
    assert results == [("stored", None), ("stored", None), ("refused", "internal"), ("stored", None)]
    assert [(number, reason) for number, reason, _ in held(hall)] == [(3, "internal")]
    assert [seq for _, seq in seqs(hall)] == [1, 2, 4]


# --- Choosing, bounds, traces.


def test_messages_are_chosen_by_reason_and_by_device(hall, evaluator, stranger):
    hall.take((stranger, stranger.opened()), (evaluator, flip(evaluator.opened(), -160)), (stranger, stranger.event()))
    hall.take((evaluator, b"\xd1noise"))
    chosen = hall.readmission.chosen
    assert chosen(Selection("unknown")) == [1, 3]
    assert chosen(Selection("unknown"), after=1) == [3]
    assert chosen(Selection(device="e-001")) == [2, 4]
    assert chosen(Selection("decrypt", "e-001")) == [2]
    assert chosen(Selection("decrypt", "e-009")) == []


def test_one_call_offers_a_bounded_number(hall, stranger):
    hall.take((stranger, stranger.opened()), *((stranger, stranger.event()) for _ in range(OFFERED_MAX)))
    enrol(hall, stranger)
    first = hall.readmission.chosen(Selection("unknown"))
    assert len(first) == OFFERED_MAX
    with pytest.raises(ValueError, match="ids"):
        readmit(hall)
    assert readmit(hall, *first) == [("stored", None)] * OFFERED_MAX
    assert hall.readmission.chosen(Selection("unknown"), first[-1]) == [OFFERED_MAX + 1]


def test_the_room_that_it_leaves_is_free_and_what_was_evicted_stays_counted(tmp_path):
    hall = GatewayHall(tmp_path, [("e-001", "evaluator")], quarantine=(4, 1 << 20))
    stranger = SealingDevice("e-009", hall.public)
    messages = [stranger.opened(), *(stranger.event() for _ in range(5))]
    hall.take(*((stranger, one) for one in messages))
    assert [number for number, _, _ in held(hall)] == [3, 4, 5, 6]
    enrol(hall, stranger)
    assert readmit(hall) == [("stored", None)] * 4
    assert hall.ledger.refusals() == {"evicted": 2, "unknown": 6}
    assert hall.ledger.streams()[0].missing == 2  # what had to make room shows as a gap
    evaluator = hall.devices["e-001"]
    hall.take(*(flip(evaluator.event(), -160) for _ in range(4)))
    assert len(held(hall)) == 4
    assert hall.ledger.refusals()["evicted"] == 2
    hall.stop()


def test_one_receipt_follows_for_each_stream(tmp_path):
    hall = GatewayHall(tmp_path, [("e-001", "evaluator")], started=True)
    stranger = SealingDevice("e-009", hall.public)
    hall.take((stranger, stranger.opened()), *((stranger, stranger.event()) for _ in range(20)))
    enrol(hall, stranger)
    readmit(hall)
    ((what, content),) = hall.down(stranger, 1)
    assert (what, content.through) == ("receipt", 21)
    assert not hall.published
    assert hall.metrics.value("readmitted", result="stored") == 21
    assert hall.metrics.value("records", kind="event") == 21
    assert hall.metrics.value("flagged", flag="readmitted") == 21
    hall.stop()


def test_the_operator_log_tells_who_offered_what_and_what_became_of_it(hall, evaluator, stranger):
    hall.take((stranger, stranger.opened()), (stranger, stranger.event()), (evaluator, flip(evaluator.event(), -160)))
    enrol(hall, stranger)
    hall.real.now_s += 60
    readmit(hall)
    (line,) = hall.operator_log.lines_after(0, 10)
    assert (line.actor, line.action, line.at_s) == ("technician", READMIT, MORNING_S + 60)
    stream = stranger.stream.hex()
    assert line.details == f'{{"refused":1,"stored":2,"streams":[["e-009","{stream}",1,2,2]]}}'
    hall.readmission.offer([77], "technician")
    assert hall.operator_log.head().number == 1  # nothing was there, nothing was done
