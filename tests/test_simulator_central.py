"""The central double: it verifies what it is given, counts each record once, and fails as it is told."""

import argparse
import base64
import gzip
import json
import ssl
import subprocess
import sys

import httpx
import pytest
from central_double import CentralDouble
from gateway_hall import GatewayHall

from gateway.forwarder import batch_id, entry
from protocol import rating, record, sign1
from simulator import central, central_faults
from simulator.central_store import REPEATS_MAX

IDENTITY = {rating.NAME: "欧阳娜娜", rating.PHONE: "13987654321", rating.ID_NUMBER: "110101199003078515"}


@pytest.fixture
def hall(tmp_path):
    made = GatewayHall(tmp_path, [("e-001", "evaluator"), ("c-001", "clock")])
    evaluator, clock = made.devices.values()
    made.take(evaluator.opened(), evaluator.rating(2, visit="A-17", identity=IDENTITY, comment="等了太久"))
    made.take((clock, clock.opened()), (clock, clock.punch("S001")))
    yield made
    made.stop()


def offer(double, entries, batch="b1", hall="yongxing", **headers):
    body = gzip.compress(json.dumps({"hall": hall, "batch": batch, "records": entries}).encode())
    headers = {"Content-Encoding": "gzip", "Idempotency-Key": batch, **headers}
    with double.client() as client:
        return client.post("/api/v1/records", content=body, headers=headers)


def verdicts(answer):
    return [(one["verdict"], one["reason"]) for one in answer.json()["verdicts"]]


def entries_of(hall):
    return [entry(one) for one in hall.records()]


def test_one_person_who_rates_again_and_again_is_seen_without_being_known(hall, double):
    evaluator = hall.devices["e-001"]
    hall.take(*(evaluator.rating(1, visit=f"B-{number}", identity=IDENTITY) for number in range(REPEATS_MAX)))
    offer(double, entries_of(hall))
    assert (double.summary()["raters"], double.summary()["repeated_raters"]) == (1, 1)


def test_a_sealed_part_whose_time_at_the_hall_was_over_is_told_apart_from_one_that_is_missing(hall, double):
    entries = entries_of(hall)
    entries[1]["sealed"] = ""
    assert verdicts(offer(double, entries)) == [("stored", None)] * 4
    assert (double.summary()["sealed_removed"], double.summary()["disclosures_opened"]) == (1, 0)


@pytest.mark.parametrize("pseudonym", ["13987654321", "", 7, "AB" * 16])
def test_a_pseudonym_that_could_be_something_else_is_refused(hall, double, pseudonym):
    entries = entries_of(hall)
    entries[1]["pseudonym"] = pseudonym
    assert verdicts(offer(double, entries))[1] == ("refused", "pseudonym")


def test_every_record_of_a_hall_is_stored_verified_and_opened(hall, double):
    answer = offer(double, entries_of(hall))
    assert verdicts(answer) == [("stored", None)] * 4
    summary = double.summary()
    assert (summary["records"], summary["distinct"], summary["duplicates_offered"]) == (4, 4, 0)
    assert summary["by_kind"] == {"event": 2, "rating": 1, "punch": 1}
    assert summary["by_device"]["e-001"] == {
        "records": 2, "ratings": 1, "punches": 0, "events": 1, "head": 2, "gaps": 0,
    }  # fmt: skip
    assert summary["levels"] == {"2": 1}
    # Occasion (exact time, visit number), comment and identity, each held against its signed digest.
    assert summary["disclosures_opened"] == 3
    assert summary["unmasked"] == summary["broken_links"] == 0
    assert summary["first_rating_real_s"] > 0


def test_a_record_offered_twice_counts_once(hall, double):
    offer(double, entries_of(hall))
    assert verdicts(offer(double, entries_of(hall), "b2")) == [("duplicate", None)] * 4
    summary = double.summary()
    assert (summary["records"], summary["duplicates_offered"]) == (4, 4)


def test_a_second_payload_under_a_number_that_is_taken_is_refused(hall, double):
    offer(double, entries_of(hall))
    evaluator = hall.devices["e-001"]
    evaluator.seq -= 1
    made, _ = evaluator.make(1, evaluator.rating_claims(5))
    forged = {**entries_of(hall)[1], "sealed": None, "evidence": _evidence(evaluator, made)}
    assert verdicts(offer(double, [forged], "b2")) == [("refused", "equivocation")]
    assert double.summary()["equivocations"] == 1
    assert double.summary()["levels"] == {"2": 1}


def _evidence(device, made):
    return base64.b64encode(device.signer.sign(sign1.RECORD_TYP, record.encode(made))).decode()


def test_gaps_and_heads_are_seen(hall, double):
    evaluator = hall.devices["e-001"]
    hall.take(*[evaluator.rating(level) for level in (5, 4, 3)])
    offer(double, [one for one in entries_of(hall) if one["seq"] not in (3, 4)])
    assert double.summary()["by_device"]["e-001"]["gaps"] == 2
    assert double.summary()["by_device"]["e-001"]["head"] == 5


def test_a_broken_chain_is_seen(hall, double):
    evaluator = hall.devices["e-001"]
    evaluator.prev = bytes(range(16))
    hall.take(evaluator.rating(5))
    offer(double, entries_of(hall))
    assert double.summary()["broken_links"] == 1


def flipped(text, at=40):
    data = bytearray(base64.b64decode(text))
    data[at] ^= 1
    return base64.b64encode(bytes(data)).decode()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda one: one.update(evidence=flipped(one["evidence"], -1)), "signature"),
        (lambda one: one.update(sealed=flipped(one["sealed"])), "sealed part does not open"),
        (lambda one: one.update(sealed=None), "sealed part missing"),
        (lambda one: one.update(seq=9), "entry differs from evidence"),
        (lambda one: one.update(kind=2), "entry differs from evidence"),
        (lambda one: one.update(device="e-002"), "entry differs from evidence"),
        (lambda one: one.update(evidence="!!"), "evidence is not base64"),
        (lambda one: one.update(evidence=None), "evidence missing or too long"),
    ],
)
def test_what_is_not_the_devices_own_word_is_refused(hall, double, change, reason):
    one = entries_of(hall)[1]
    change(one)
    assert verdicts(offer(double, [one])) == [("refused", reason)]
    assert double.summary()["records"] == 0
    assert double.summary()["refused"] == {reason: 1}


def test_a_sealed_part_of_another_record_does_not_open(hall, double):
    evaluator = hall.devices["e-001"]
    hall.take(evaluator.rating(1, visit="A-18"))
    one, other = entries_of(hall)[1], entries_of(hall)[-1]
    one["sealed"] = other["sealed"]
    assert verdicts(offer(double, [one])) == [("refused", "sealed part does not open")]


def test_an_unmasked_name_is_noticed(hall, double):
    one = entries_of(hall)[1]
    assert one["masked"]["name"] == "欧**"
    one["masked"]["name"] = IDENTITY[rating.NAME]
    offer(double, [one])
    assert double.summary()["unmasked"] == 1


def test_an_unknown_device_is_refused(hall, double):
    del hall.devices["e-001"]
    assert verdicts(offer(double, entries_of(hall)[1:2])) == [("refused", "unknown device")]


def test_only_the_hall_with_the_token_is_heard(hall, double):
    with double.client(token="another-token") as client:
        assert client.get("/api/v1/summary").status_code == 401
        assert client.post("/api/v1/records", content=b"{}").status_code == 401
        assert client.post("/faults", json={"mode": "none"}).status_code == 401
    assert offer(double, [], hall="elsewhere").status_code == 403


def test_a_body_that_is_no_batch_is_refused(double):
    bodies = [b"", b"{", b"[]", b'{"hall":"yongxing"}', b'{"hall":"yongxing","batch":1,"records":3}']
    heads = [
        "{}",
        "[]",
        '{"number":-1,"hash":"%s"}' % ("00" * 32),
        '{"number":1,"hash":"00"}',
        '{"number":"1","hash":""}',
    ]
    bodies += [b'{"hall":"yongxing","batch":"b1","records":[],"operator_log":%s}' % one.encode() for one in heads]
    with double.client() as client:
        answers = [client.post("/api/v1/records", content=body, headers={"Idempotency-Key": "b1"}) for body in bodies]
    assert [answer.status_code for answer in answers] == [400] * len(bodies)


def test_a_compressed_bomb_is_not_unpacked(double):
    bomb = gzip.compress(bytes(central.BODY_BYTES_MAX + 1))
    with double.client() as client:
        headers = {"Content-Encoding": "gzip", "Idempotency-Key": "b1"}
        assert client.post("/api/v1/records", content=bomb, headers=headers).status_code == 413


def test_faults_are_played_as_often_as_asked_and_where_asked(hall, double):
    double.fail("error", status=503, count=1, devices=["c-001"])
    assert offer(double, entries_of(hall)[:2]).status_code == 200
    assert offer(double, entries_of(hall)[2:], "b2").status_code == 503
    assert offer(double, entries_of(hall)[2:], "b2").status_code == 200
    double.fail("refuse", reason="item is unknown")
    assert verdicts(offer(double, entries_of(hall)[:1], "b3")) == [("refused", "item is unknown")]
    double.fail("none")
    assert verdicts(offer(double, entries_of(hall)[:1], "b4")) == [("duplicate", None)]


@pytest.mark.parametrize(
    "asked", [{"mode": "explode"}, {"mode": "slow", "delay_s": 61}, {"mode": "error", "status": 200}, {"moed": "none"}]
)
def test_a_fault_that_is_none_is_refused(asked):
    with pytest.raises(ValueError, match=r"mode|status|unknown"):
        central_faults.parse(asked)


def test_what_was_stored_survives_a_restart(hall, hall_dir, tmp_path):
    file = tmp_path / "central.db"
    with CentralDouble(hall, hall_dir, file) as first:
        offer(first, entries_of(hall))
    with CentralDouble(hall, hall_dir, file) as second:
        assert second.summary()["records"] == 4
        assert verdicts(offer(second, entries_of(hall))) == [("duplicate", None)] * 4


def test_it_runs_as_a_process_of_its_own_from_a_provisioned_hall(hall_dir):
    command = (
        "import sys; from simulator import central; import argparse; p = argparse.ArgumentParser(); "
        "central.add_parser(p.add_subparsers(required=True)); o = p.parse_args(sys.argv[1:]); sys.exit(o.run(o))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", command, "central", str(hall_dir), "--port", "0"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        name, url = process.stdout.readline().split()
        assert name == "central"
        token = (hall_dir / "central" / "token").read_text().strip()
        context = ssl.create_default_context(cafile=str(hall_dir / "central" / "root.pem"))
        answer = httpx.get(url + "/api/v1/summary", headers={"Authorization": "Bearer " + token}, verify=context)
        assert answer.json()["records"] == 0
    finally:
        process.terminate()
        assert process.wait(10) in (0, -15)
        process.stdout.close()


def test_its_help_is_understood(capsys):
    parser = argparse.ArgumentParser()
    central.add_parser(parser.add_subparsers())
    with pytest.raises(SystemExit):
        parser.parse_args(["central", "--help"])
    assert "folder of the hall" in capsys.readouterr().out


def test_the_batch_id_follows_the_records(hall):
    entries = entries_of(hall)
    assert batch_id(entries) == batch_id(entries_of(hall))
    assert batch_id(entries) != batch_id(entries[1:])
