"""Manifests of a ledger: each record in one, none twice, in time and not too soon; the central system finds lies."""

import itertools
import time

import pytest
from central_double import TOKEN, CentralDouble
from evidence_morning import QUARTER_S, EvidenceMorning
from gateway_hall import GatewayHall
from hypothesis import given, settings
from hypothesis import strategies as st
from ledger_records import ledger_record
from sealing_device import HALL, MORNING_S, SUITE

from gateway import manifests, schema
from gateway.configuration import CentralSettings
from gateway.evidence_keys import EvidenceKeys, RegisterBook
from gateway.forwarder import RECORDS, Forwarder
from gateway.ledger import Ledger
from gateway.manifests import DueRecords, cover, cut
from gateway.notary import DueManifests, ManifestForwarder, Notary
from gateway.projection import UnavailableError
from protocol import manifest, purpose, record, sign1
from protocol.manifest import RECORDS_MAX, RUNS_MAX
from provisioning import authority, evidence_authority


@pytest.fixture
def morning(tmp_path):
    made = EvidenceMorning(tmp_path)
    yield made
    made.hall.stop()


def stated(morning):
    """All manifests of the ledger, in their order."""
    rows = morning.hall.ledger.read(lambda connection: manifests.after(connection, 0, 1000))
    return [manifest.decode(sign1.parse(one.statement, manifest.MANIFEST_TYP).payload) for one in rows]


# --- What one covers.


@given(st.lists(st.tuples(st.integers(1, 60), st.integers(1, 30)), min_size=1, unique=True, max_size=600))
@settings(max_examples=30, deadline=None)
def test_parts_of_a_page_hold_every_record_once_within_the_bounds(places):
    page = [
        ledger_record(at, device=f"e-{device:03}", seq=seq, digest=bytes([at % 256]) * 32)
        for at, (device, seq) in enumerate(places, 1)
    ]
    parts = cut(page)
    assert [one for part in parts for one in part] == page
    for part in parts:
        covered = cover(part)
        assert (covered.records, len(covered.runs) <= RUNS_MAX) == (len(part), True)
        named = {(device, seq) for device, _, first, last in covered.runs for seq in range(first, last + 1)}
        assert named == {(one.device, one.seq) for one in part}
        assert len(part) <= RECORDS_MAX
    assert all(len(part) > RUNS_MAX / 2 for part in parts[:-1])


def test_the_order_of_arrival_changes_nothing_in_a_manifest():
    page = [ledger_record(at, seq=seq, digest=bytes([seq]) * 32) for at, seq in enumerate((3, 1, 2, 9), 1)]
    covered = cover(page)
    assert covered == cover(sorted(page, key=manifests.order))
    assert [run[2:] for run in covered.runs] == [(1, 3), (9, 9)]


# --- When one is made.


def test_a_manifest_waits_until_its_quarter_of_an_hour_is_over(tmp_path):
    hall = GatewayHall(tmp_path, [("e-001", "evaluator")])
    device, due = hall.devices["e-001"], DueRecords(hall.ledger, hall.clock.now_s)
    hall.take(device.opened(), device.rating(1))
    assert due.records_after(0, 256) == []
    hall.real.now_s = record.coarse(MORNING_S) + QUARTER_S - 1
    assert due.records_after(0, 256) == []
    hall.real.now_s += 1
    assert len(due.records_after(0, 256)) == 2
    hall.stop()


def test_a_full_manifest_and_the_last_one_of_a_gateway_wait_for_nothing(tmp_path, monkeypatch):
    hall = GatewayHall(tmp_path, [("e-001", "evaluator")])
    device, due = hall.devices["e-001"], DueRecords(hall.ledger, hall.clock.now_s)
    hall.take(device.opened(), device.rating(5), device.rating(5))
    assert due.records_after(0, 256) == []
    due.ending = True
    assert len(due.records_after(0, 256)) == 3
    due.ending = False
    monkeypatch.setattr("gateway.manifests.RECORDS_MAX", 3)
    assert len(due.records_after(0, 256)) == 3
    hall.stop()


def test_a_manifest_tells_no_reviewers_minute(morning):
    for one in stated(morning):
        assert one.coarse_s % QUARTER_S == 0
    rows = morning.hall.rows(schema.manifest)
    assert all(row["coarse_s"] % QUARTER_S == 0 for row in rows)


# --- The chain.


def test_manifests_are_a_chain_that_covers_every_record_once(morning):
    morning.state()
    chain = stated(morning)
    assert [one.number for one in chain] == [1, 2, 3, 4]
    assert chain[0].previous == manifest.GENESIS
    for before, one in itertools.pairwise(chain):
        assert one.previous == manifest.link(manifest.encode(before))
    covered = [
        (device, stream.hex(), seq)
        for one in chain
        for device, stream, first, last in one.runs
        for seq in range(first, last + 1)
    ]
    assert sorted(covered) == sorted(manifests.order(one) for one in morning.hall.records())
    assert len(covered) == len(set(covered))


def test_a_page_that_comes_again_after_a_crash_makes_no_second_manifest(morning):
    before = len(stated(morning))
    morning.manifests.take(morning.hall.ledger.records_after(0, 3))
    assert len(stated(morning)) == before


def test_refusals_are_stated_once_each_and_contradictions_in_total(tmp_path):
    lying = EvidenceMorning(tmp_path, lie=True)
    lying.hall.take((lying.hall.devices["e-001"], b"forged as well"))
    lying.state()
    chain = stated(lying)
    assert [one.refusals for one in chain] == [[("structure", 1)], [], [], [("structure", 1)]]
    assert [one.equivocations for one in chain] == [0, 1, 1, 1]
    lying.hall.stop()


def test_the_head_of_the_operators_log_stands_in_the_manifest(morning):
    hall = morning.hall
    morning.manifests = manifests.ManifestBook(
        HALL, hall.ledger, morning.keys, morning.book.current, hall.clock.now_s, hall.metrics, lambda _: b"\7" * 32
    )
    morning.state()
    assert stated(morning)[-1].operator == b"\7" * 32


def test_a_register_is_kept_once_and_anew_when_a_device_is_revoked(morning):
    assert len(morning.hall.rows(schema.register)) == 1
    since = morning.now
    serial = morning.certificates["e-002"].serial_number
    crl = evidence_authority.revocations({serial: since}, morning.authority, morning.now)
    (morning.folder / "evidence.crl").write_bytes(crl.public_bytes(authority.Encoding.PEM))
    morning.book = RegisterBook(morning.keys, morning.folder / "evidence.crl", dict)
    morning.manifests._register = morning.book.current
    morning.state()
    assert len(morning.hall.rows(schema.register)) == 2
    assert stated(morning)[-1].register != stated(morning)[-2].register


def test_a_ledger_of_the_version_before_gets_the_tables_and_a_manifest_of_all_it_holds(morning):
    hall = morning.hall
    hall.ledger.write(_as_version_3).result()
    hall.stop()
    again = Ledger(morning.folder / "ledger.db")
    book = manifests.ManifestBook(HALL, again, morning.keys, morning.book.current, lambda: MORNING_S, hall.metrics)
    book.take(again.records_after(0, 1000))
    (only,) = again.read(lambda connection: manifests.after(connection, 0, 10))
    assert only.record_position == again.last_position() == 20
    again.close()


def _as_version_3(connection):
    """Take away what the step from version 3 adds, the last thing first."""
    for table in ("manifest", "register", "certificate"):
        connection.exec_driver_sql(f"DROP TABLE {table}")
    for statement in reversed(schema.MIGRATIONS[3]):
        words = statement.split()
        if words[:2] == ["ALTER", "TABLE"]:
            connection.exec_driver_sql(f"ALTER TABLE {words[2]} DROP COLUMN {words[5]}")
        elif words[:2] == ["CREATE", "INDEX"]:
            connection.exec_driver_sql(f"DROP INDEX {words[2]}")
    connection.exec_driver_sql("PRAGMA user_version=3")


def test_a_notary_states_what_is_left_when_it_ends(morning):
    hall = morning.hall
    notary = Notary(HALL, hall.ledger, morning.keys, morning.book, hall.clock.now_s, hall.metrics)
    notary.start()
    notary.stop()
    assert [one.number for one in stated(morning)] == [1, 2, 3, 4]
    assert hall.metrics.value("manifests") == 4


# --- The central system.


@pytest.fixture
def central(morning, hall_dir):
    with CentralDouble(morning.hall, hall_dir) as double:
        double.parts.manifests._root = morning.root.certificate
        yield double


class Sender:
    """Hands records, then manifests, to the double."""

    def __init__(self, morning, double, client):
        hall = morning.hall
        self.records = Forwarder(HALL, client, None, hall.metrics, hall.clock.now_s, RECORDS, hall.operator_log.head)
        self.manifests = ManifestForwarder(HALL, client, morning.keys.certificates, hall.metrics)
        self.ledger, self.metrics = hall.ledger, hall.metrics

    def all_manifests(self):
        return self.ledger.read(lambda connection: manifests.after(connection, 0, 100))


def test_the_central_system_takes_true_manifests_and_knows_them_again(morning, central):
    with central.client() as client:
        sender = Sender(morning, central, client)
        sender.records.take(morning.hall.records())
        sender.manifests.take(sender.all_manifests())
        sender.manifests.take(sender.all_manifests())
    summary = central.summary()
    assert (summary["manifests"], summary["manifests_refused"]) == (3, {})
    assert sender.metrics.value("manifests_forwarded", verdict="stored") == 6


@pytest.mark.parametrize("what", ["withheld", "flags", "received", "masked"])
def test_the_central_system_finds_what_was_done_to_records_on_their_way(morning, central, what):
    records = morning.hall.records()
    at = next(at for at, one in enumerate(records) if one.masked)
    changed = {
        "withheld": None,
        "flags": records[at]._replace(flags=["quick"]),
        "received": records[at]._replace(received_s=records[at].received_s + QUARTER_S),
        "masked": records[at]._replace(masked={"name": "王**"}),
    }[what]
    records[at : at + 1] = [changed] if changed else []
    with central.client() as client:
        sender = Sender(morning, central, client)
        sender.records.take(records)
        sender.manifests.take(sender.all_manifests())
    expected = "records missing" if what == "withheld" else "words"
    assert central.summary()["manifests_refused"] == {expected: 1}
    assert sender.metrics.value("manifests_forwarded", verdict="refused") == 1


def test_the_central_system_finds_a_manifest_that_is_missing_and_one_of_a_stranger(morning, central):
    with central.client() as client:
        sender = Sender(morning, central, client)
        sender.records.take(morning.hall.records())
        first, second, third = sender.all_manifests()
        stranger = sign1.Signer(SUITE, SUITE.generate_private())
        payload = sign1.parse(second.statement, manifest.MANIFEST_TYP).payload
        sender.manifests.take([first, second._replace(statement=stranger.sign(manifest.MANIFEST_TYP, payload)), third])
    assert central.summary()["manifests"] == 2  # the stranger's is not kept
    assert central.summary()["manifests_refused"] == {"chain": 1}


def test_a_key_of_the_hall_for_something_else_cannot_sign_manifests_for_the_central_system(morning, central):
    """A certificate below the root that was made for something else is no gateway's."""
    impostor = sign1.Signer(SUITE, SUITE.generate_private())
    device = evidence_authority.certify_device(
        HALL, "e-001", "evaluator", impostor.public_key, morning.authority, morning.now
    )
    annotating = evidence_authority.certify_gateway(
        HALL, impostor.public_key, morning.root, morning.now, purpose.ANNOTATIONS
    )
    shown = [one.public_bytes(authority.Encoding.DER) for one in (device, annotating)]
    keys = EvidenceKeys(impostor, (*shown, morning.authority.certificate_der()))
    with central.client() as client:
        sender = Sender(morning, central, client)
        sender.records.take(morning.hall.records())
        (first, *_) = sender.all_manifests()
        payload = sign1.parse(first.statement, manifest.MANIFEST_TYP).payload
        forged = first._replace(statement=impostor.sign(manifest.MANIFEST_TYP, payload))
        ManifestForwarder(HALL, client, keys.certificates, sender.metrics).take([forged])
    assert central.summary()["manifests"] == 0


def test_an_outage_of_the_central_system_refuses_no_manifest(morning, central):
    with central.client(token="wrong") as client:
        sender = Sender(morning, central, client)
        with pytest.raises(UnavailableError, match="http_401"):
            sender.manifests.take(sender.all_manifests())


def test_manifests_follow_their_records_and_never_go_before_them(morning):
    positions = [row["position"] for row in morning.hall.rows(schema.manifest)]
    for reached, count in ((0, 0), (positions[0] - 1, 0), (positions[0], 1), (positions[-1], 3)):
        due = DueManifests(morning.hall.ledger, lambda reached=reached: reached)
        assert len(due.records_after(0, 64)) == count
    assert due.last_position() == 3


def test_a_running_notary_brings_every_manifest_to_the_central_system(morning, central, tmp_path):
    hall = morning.hall
    token = tmp_path / "token"
    token.write_text(TOKEN)
    notary = Notary(HALL, hall.ledger, morning.keys, morning.book, hall.clock.now_s, hall.metrics)
    with central.client() as client:
        Forwarder(HALL, client, None, hall.metrics, hall.clock.now_s, RECORDS, hall.operator_log.head).take(
            hall.records()
        )
    notary.forward_to(CentralSettings(central.url, central.root, token), hall.ledger.last_position)
    hall.real.now_s += QUARTER_S
    notary.start()
    deadline = time.monotonic() + 20
    while central.summary()["manifests"] < 4 and time.monotonic() < deadline:
        time.sleep(0.02)
    notary.stop()
    assert (central.summary()["manifests"], central.summary()["manifests_refused"]) == (4, {})
