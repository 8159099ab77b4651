"""Retention: each kind as long as the hall says, never unread, never unsaid, and no gap comes of it."""

import dataclasses
import re
from pathlib import Path

import pytest
from gateway_hall import GatewayHall
from sealed_pair import flip
from sealing_device import MORNING_S, SealingDevice

from gateway import dead_letters, retention, schema, timeseries
from gateway.batch import DUPLICATE, EQUIVOCATION, STORED
from gateway.dead_letters import DeadLetter
from gateway.masking import MaskingRule
from gateway.quarantine import Quarantine
from gateway.reconciliation import Stores, reconcile
from gateway.retention import DAY_S, KINDS, RetentionRule, runs
from gateway.retention_run import Retention
from protocol import event, rating

CHINA_S = 8 * 3600
IDENTITY = {rating.NAME: "欧阳娜娜", rating.PHONE: "13987654321", rating.ID_NUMBER: "110101199003078515"}
# Everything for a hundred days; a test shortens what it is about.
RULE = RetentionRule(**dict.fromkeys(KINDS, 100))


class Kept(GatewayHall):
    """A hall with all stores that retention looks after."""

    def __init__(self, folder, before=None):
        """before: the same hall, before its restart."""
        super().__init__(
            folder, () if before else [("e-001", "evaluator"), ("c-001", "clock")], keys=before and before.keys
        )
        if before:
            self.devices, self.real.now_s = before.devices, before.real.now_s
        self.rater, self.clock_device = self.devices.values()
        self.timeseries = timeseries.open_store(folder / "timeseries.duckdb")
        self.letters = dead_letters.open_list(folder / "dead-letters.db")
        self.quarantine = self.admission.quarantine

    def forward(self, position=None, names=("timeseries", "central")):
        for name in names:
            self.ledger.set_cursor(name, self.ledger.last_position() if position is None else position)
        self.timeseries.write_batch([timeseries.point_of(one) for one in self.records()])

    def remove(self, rule=RULE, days=0, **kinds):
        """Run retention `days` after now, with these days for these kinds."""
        self.real.now_s += days * DAY_S
        rule = dataclasses.replace(rule, **kinds)
        followers = ("timeseries", "central")
        made = Retention(
            rule,
            self.ledger,
            self.quarantine,
            self.timeseries,
            self.letters,
            followers,
            CHINA_S,
            self.metrics,
            self.operator_log,
        )
        return {kind: count for kind, count in made.run(self.clock.now_s()).items() if count}

    def now(self):
        return self.clock.now_s()

    def lines(self, *kinds):
        rows = self.rows(schema.removal)
        return [
            (one["kind"], one["device"], one["first"], one["last"], one["count"])
            for one in rows
            if not kinds or one["kind"] in kinds
        ]

    def state(self, device="e-001"):
        (found,) = [one for one in self.ledger.streams() if one.device == device]
        return found

    def stop(self):
        super().stop()
        self.timeseries.close()
        self.letters.close()


@pytest.fixture
def hall(tmp_path):
    made = Kept(tmp_path)
    yield made
    made.stop()


def seqs(hall):
    return [one.seq for one in hall.records() if one.device == "e-001"]


def open_and_rate(hall, count, **more):
    hall.take(hall.rater.opened(hall.now()), *(hall.rater.rating(2, hall.now(), **more) for _ in range(count)))


def test_by_default_a_hall_keeps_its_evidence_for_years_and_identities_for_months():
    rule = RetentionRule()
    assert min(rule.ratings, rule.punches, rule.events, rule.equivocations, rule.dead_letters) >= 5 * 365
    assert 30 < rule.sealed < rule.masked <= 366


@pytest.mark.parametrize("page", ["privacy.md", "privacy.zh-CN.md"])
def test_what_the_page_says_of_the_times_is_so(page):
    text = (Path(__file__).resolve().parent.parent / "docs" / page).read_text("utf-8")
    told = dict(re.findall(r"^\| `([a-z_]+)_days` \| ([0-9]+) \|", text, re.MULTILINE))
    assert told == {kind: str(getattr(RetentionRule, kind)) for kind in KINDS}


@pytest.mark.parametrize("page", ["privacy.md", "privacy.zh-CN.md"])
def test_what_the_page_says_of_masking_is_so(page):
    text = (Path(__file__).resolve().parent.parent / "docs" / page).read_text("utf-8")
    plain = text.replace("\\*", "*")
    rule = MaskingRule()
    for name in ("欧阳娜娜", "阿依古丽·买买提", "John Smith", "丽"):
        assert name in plain
        assert f" {rule.name(name)} " in plain
    for number, mask in (("13812345678", rule.phone), ("010-12345678", rule.phone), ("H1234567801", rule.id_number)):
        assert number in plain
        assert mask(number) in plain


def test_by_default_nothing_but_the_identities_goes_in_five_years(hall):
    open_and_rate(hall, 2, identity=IDENTITY)
    hall.take((hall.clock_device, hall.clock_device.opened()), (hall.clock_device, hall.clock_device.heartbeat()))
    hall.forward()
    assert hall.remove(RetentionRule(), days=179) == {}
    assert hall.remove(RetentionRule(), days=2) == {"sealed": 2}
    assert hall.remove(RetentionRule(), days=4 * 365) == {"masked": 2}
    assert seqs(hall) == [1, 2, 3]
    assert hall.timeseries.counts()["e-001"].ratings == 2


def test_a_sealed_identity_goes_and_its_record_stays_as_it_was(hall, tmp_path):
    open_and_rate(hall, 9, identity=IDENTITY, visit="A-17", comment="慢")
    hall.forward()
    before = hall.records()

    def traces():
        """Pieces of sealed parts in the ledger's files: of a deleted row anything may be left."""
        content = b"".join(path.read_bytes() for path in tmp_path.glob("ledger.db*"))
        blobs = [one.sealed for one in before if one.sealed]
        return sum(blob[at : at + 16] in content for blob in blobs for at in range(0, len(blob) - 16, 16))

    assert traces() > 9 * 10, "the search finds what is there"
    assert hall.remove(days=11, sealed=10) == {"sealed": 9}
    assert hall.records()[1:] == [one._replace(sealed=b"") for one in before[1:]]
    assert hall.lines() == [("sealed", "e-001", 2, 10, 9)]
    assert hall.ledger.erase_traces()
    assert traces() == 0


def test_masked_form_and_pseudonym_go_together(hall):
    open_and_rate(hall, 1, identity=IDENTITY)
    hall.forward()
    before = hall.records()[1]
    assert hall.remove(days=11, masked=10) == {"masked": 1}
    assert hall.records()[1] == before._replace(masked=None, pseudonym=None)


def test_a_day_counts_from_its_midnight_in_the_hall(hall):
    """MORNING_S is 22:17 of the hall's day."""
    open_and_rate(hall, 1)
    hall.forward()
    midnight_s = MORNING_S - (MORNING_S + CHINA_S) % DAY_S + DAY_S
    hall.real.now_s = midnight_s + 31 * DAY_S - 1
    assert hall.remove(ratings=31) == {}
    hall.real.now_s = midnight_s + 31 * DAY_S
    assert hall.remove(ratings=31) == {"ratings": 1}


def test_each_kind_goes_after_its_own_time_from_ledger_and_time_series(hall):
    open_and_rate(hall, 3)
    clock = hall.clock_device
    hall.take((clock, clock.opened()), (clock, clock.punch()), (clock, clock.punch("S002")))
    hall.forward()
    assert hall.remove(days=51, ratings=50) == {"ratings": 3}
    assert seqs(hall) == [1]
    assert hall.remove(days=1, ratings=50, punches=51) == {"punches": 2}
    assert hall.remove(days=1, ratings=50, punches=51, events=52) == {"events": 2}
    assert hall.records() == []
    assert hall.timeseries.counts() == {}
    removed = [("ratings", "e-001", 2, 4, 3), ("punches", "c-001", 2, 3, 2)]
    assert hall.lines() == [*removed, ("events", "c-001", 1, 1, 1), ("events", "e-001", 1, 1, 1)]


def test_removed_records_are_no_gap_and_no_number_comes_again(hall, tmp_path):
    open_and_rate(hall, 4)
    hall.forward()
    position = hall.ledger.last_position()
    hall.remove(days=51, ratings=50, events=50)
    assert (hall.state().through, hall.state().stored, hall.state().missing) == (5, 5, 0)
    hall.admission.forget()  # as after a restart: the state comes from disk
    hall.take(hall.rater.rating(5, hall.now()))
    assert (hall.state().through, hall.state().stored, hall.state().missing) == (6, 6, 0)
    assert hall.ledger.last_position() == position + 1
    shown = reconcile(
        Stores({}, hall.ledger.summary(), hall.ledger.streams(), {}, {}, {}, 0, {}, {}, {}, hall.ledger.removed())
    )
    assert shown["by_device"]["e-001"]["gaps"] == 0
    assert shown["by_device"]["e-001"]["removed"] == 5


def test_above_a_loss_removed_records_are_told_from_lost_ones_after_a_restart(hall, tmp_path):
    """The device lost its third record for good; what came after is removed by time."""
    device = hall.rater
    opened, first = device.opened(hall.now()), device.rating(2, hall.now())
    device.rating(1, hall.now())  # never sent
    later = [device.rating(4, hall.now()), device.event(event.BOOT, hall.now()), device.rating(5, hall.now())]
    hall.take(opened, first, *later)
    hall.forward()
    assert hall.state().missing == 1
    hall.remove(days=51, ratings=50)
    assert seqs(hall) == [1, 5]
    hall.stop()
    again = Kept(tmp_path, before=hall)
    (standing,) = again.take(device.rating(3, again.now())).standings.values()
    assert (standing.through, standing.holes, again.state().missing) == (2, [[3, 3]], 1)
    assert again.take(later[0]).records == [DUPLICATE]
    again.stop()


def test_a_record_that_comes_again_after_its_removal_is_a_duplicate_and_no_contradiction(hall):
    device = hall.rater
    messages = [device.opened(hall.now()), device.rating(1, hall.now())]
    hall.take(*messages)
    hall.forward()
    hall.remove(days=51, ratings=50, events=50)
    assert hall.take(*messages).records == [DUPLICATE, DUPLICATE]
    assert hall.rows(schema.equivocation) == []
    assert hall.records() == []


@pytest.mark.parametrize("slow", ["timeseries", "central"])
def test_what_a_projection_has_not_read_stays_however_old_it_is(hall, slow):
    open_and_rate(hall, 4, identity=IDENTITY)
    hall.forward()
    hall.forward(position=3, names=[slow])
    assert hall.remove(days=90, ratings=50, sealed=10, masked=10) == {"ratings": 2}
    assert seqs(hall) == [1, 4, 5]
    assert all(one.sealed for one in hall.records()[1:])
    hall.forward()
    hall.remove(ratings=50, sealed=10, masked=10)
    assert seqs(hall) == [1]


def test_a_span_ends_a_transaction_and_the_next_goes_on(hall, monkeypatch):
    monkeypatch.setattr(retention, "SPAN_POSITIONS", 3)
    open_and_rate(hall, 10, identity=IDENTITY)
    hall.forward()
    commits = []
    monkeypatch.setattr(hall.ledger, "_observe", commits.append)
    assert hall.remove(days=51, ratings=50) == {"ratings": 10}
    assert len(commits) >= 4
    lines = hall.lines("ratings")
    assert sum(one[4] for one in lines) == 10
    assert max(one[4] for one in lines) == 3
    assert hall.remove(ratings=50) == {}


def test_one_run_removes_only_so_much(hall, monkeypatch):
    monkeypatch.setattr(retention, "SPAN_POSITIONS", 3)
    monkeypatch.setattr("gateway.retention_run.REMOVED_PER_RUN_MAX", 4)
    open_and_rate(hall, 10)
    hall.forward()
    assert [hall.remove(days=days, ratings=50).get("ratings", 0) for days in (51, 0, 0)] == [5, 5, 0]
    assert seqs(hall) == [1]


def test_contradictions_old_heartbeats_and_dead_letters_go_in_their_time(hall):
    device = hall.rater
    hall.take(device.opened(hall.now()))
    twin = device.seq, device.prev
    first = device.rating(2, hall.now())
    device.seq, device.prev = twin
    assert hall.take(first, device.rating(5, hall.now())).records[1] == EQUIVOCATION
    hall.take(device.heartbeat(hall.now()))  # states the hash of the second: a contradiction as well
    hall.letters.add([DeadLetter(2, "e-001", "ab" * 8, 2, "refused", hall.now())])
    hall.forward()
    assert hall.remove(days=51, equivocations=50, heartbeats=51, dead_letters=51) == {"equivocations": 2}
    assert hall.remove(days=1, heartbeats=51, dead_letters=51) == {"heartbeats": 1, "dead_letters": 1}
    assert hall.lines() == [
        ("equivocations", "e-001", 0, 0, 2), ("heartbeats", "e-001", 0, 0, 1), ("dead_letters", "", 0, 0, 1),
    ]  # fmt: skip


def test_quarantine_is_emptied_by_time_and_counted_and_its_bounds_still_hold(hall):
    hall.quarantine = hall.admission.quarantine = Quarantine(3, 1 << 20)
    hall.take(*(flip(hall.rater.rating(5), -number) for number in range(1, 4)))
    hall.real.now_s += 6 * DAY_S
    hall.take(b"a younger one")
    assert len(hall.reasons()) == 3
    assert hall.remove(days=5, quarantine=10) == {"quarantine": 2}
    assert hall.reasons() == ["structure"]
    assert hall.ledger.refusals()["expired"] == 2
    hall.take(*(flip(hall.rater.rating(5), -number) for number in range(1, 6)))
    assert len(hall.reasons()) == 3


def test_what_went_is_counted_by_kind(hall):
    open_and_rate(hall, 2)
    hall.forward()
    hall.remove(days=51, ratings=50)
    assert 'hallseal_removed_total{kind="ratings"} 2' in hall.metrics.text()
    (line,) = hall.operator_log.lines_after(0, 9)
    assert (line.actor, line.action, line.details) == ("gateway", "retention", '{"ratings":2}')
    hall.remove(ratings=50)
    assert hall.operator_log.head().number == 1  # nothing went, nothing is told


def test_a_run_is_an_unbroken_row_of_numbers_of_one_stream():
    names = [("a", "s", 3), ("a", "s", 1), ("a", "s", 2), ("a", "t", 4), ("b", "s", 4), ("a", "s", 7)]
    assert runs(names) == [("a", "s", 1, 3), ("a", "s", 7, 7), ("a", "t", 4, 4), ("b", "s", 4, 4)]


def test_the_boundary_is_the_newest_record_before_the_time_whatever_is_missing_between(hall):
    device = hall.rater
    for day in range(8):
        hall.real.now_s = MORNING_S + day * DAY_S
        hall.take(device.rating(5, hall.now()) if day else device.opened(hall.now()))
    for gone in (3, 4):
        hall.ledger.write(
            lambda connection, gone=gone: connection.execute(schema.record.delete().where(schema.record.c.id == gone))
        ).result()

    def boundary(day, ready=8):
        cutoff_s = MORNING_S + day * DAY_S - 43_200
        return hall.ledger.read(lambda connection: retention.boundary(connection, cutoff_s, ready))

    assert [boundary(day) for day in range(9)] == [0, 1, 2, 2, 2, 5, 6, 7, 8]
    assert [boundary(9, ready) for ready in range(9)] == [0, 1, 2, 2, 2, 5, 6, 7, 8]


def readmit_in_the_middle(hall):
    """Ratings of a device that nobody knew, taken in 90 days later between young ones. Positions: 1-3, 4-5, 6-7."""
    stranger = SealingDevice("e-009", hall.public)
    hall.take((stranger, stranger.opened()), (stranger, stranger.rating(5, identity=IDENTITY)))
    hall.real.now_s += 90 * DAY_S
    open_and_rate(hall, 2, identity=IDENTITY)
    hall.devices["e-009"] = stranger
    hall.write_registry()
    offered = hall.readmission.offer([one["id"] for one in hall.rows(schema.quarantine)], "technician")
    assert [one.result for one in offered] == [STORED, STORED]
    hall.take(*(hall.rater.rating(5, hall.now(), identity=IDENTITY) for _ in range(2)))
    hall.forward()
    assert [one.device for one in hall.records()] == ["e-001"] * 3 + ["e-009"] * 2 + ["e-001"] * 2


def test_a_readmitted_record_takes_no_younger_one_with_it(hall):
    readmit_in_the_middle(hall)
    before = hall.records()
    assert hall.remove(days=1, ratings=80, sealed=80, masked=80, events=80) == {}
    assert hall.records() == before
    assert sum(one.ratings for one in hall.timeseries.counts().values()) == 5  # the points stay as long


def test_a_readmitted_record_goes_with_its_neighbours(hall):
    readmit_in_the_middle(hall)
    assert hall.remove(days=81, ratings=80, sealed=80) == {"ratings": 5}
    assert [(one.device, one.seq) for one in hall.records()] == [("e-001", 1), ("e-009", 1)]
    assert sum(one.ratings for one in hall.timeseries.counts().values()) == 0


def test_nothing_young_goes_even_below_the_boundary(hall):
    readmit_in_the_middle(hall)
    cutoff_s = hall.now() - DAY_S
    for remove in (retention.remove_records, retention.empty_identities):
        kind = "ratings" if remove is retention.remove_records else "sealed"
        hall.ledger.write(
            lambda connection, remove=remove, kind=kind: remove(connection, kind, 7, cutoff_s, 9)
        ).result()
    assert [(one.device, one.seq) for one in hall.records() if one.sealed] == [("e-001", seq) for seq in (2, 3, 4, 5)]
    assert hall.lines() == [("ratings", "e-009", 2, 2, 1)]
