"""The table of rules: each is driven by a message that trips it, at every level, and no level makes a difference."""

import datetime
from collections import Counter
from dataclasses import asdict, dataclass

import pytest
from gateway_hall import GatewayHall
from hypothesis import given, settings
from hypothesis import strategies as st
from rule_page import MARK, PAGE, limits, tables
from rule_trips import BAD_ONLY, IN_FORCE, LIBRARY, RETIRED, TRIPS, WITHOUT_RATING, Trips
from sealing_device import HALL, MORNING_S

from gateway import rule_settings, rules, schema
from gateway.batch import DUPLICATE, EQUIVOCATION, STORED
from gateway.facts import HallFacts, HallNow, OriginFacts, PastFacts, RecordFacts, SenderFacts, StreamFacts
from gateway.registry import Device
from gateway.rule import EFFECTS, FLAG, QUARANTINE, Checked
from gateway.rule_settings import USUAL, tags_in_force
from protocol import punch, rating, record, refusal

LEVELS = (1, 2, 3, 4, 5)


def many_windows(folder):
    """A hall with an evaluator for each level and one more, two doors of its own for each level."""
    evaluators = [(f"e-{level}", "evaluator") for level in LEVELS]
    clocks = [(f"c-{level}{door}", "clock") for level in LEVELS for door in "ab"]
    hall = GatewayHall(folder, [*evaluators, ("e-99", "evaluator"), ("c-001", "clock"), *clocks], library=LIBRARY)
    for name, device in hall.devices.items():
        device.place = name[2:]
    hall.write_registry()
    hall.registry._file._checked_s = None
    hall.registry.refresh(0)
    return hall


def trips_of(hall, level):
    clocks = [hall.devices[f"c-{level}{door}"] for door in "ab"]
    return Trips(hall, hall.devices[f"e-{level}"], level, clocks)


@dataclass
class Became:
    """What became of one message: of its record, its refusal, and everything that the ledger counts."""

    records: list
    refused: list
    marked: Counter
    flags: list


def tripped(hall, name, level):
    device, message, on, retained = trips_of(hall, level).trip(name)
    outcome = hall.take((device, message), on=on, retained=retained)
    flags = list(hall.records()[-1].flags) if outcome.records == [STORED] else []
    return Became(outcome.records, outcome.refused, Counter(outcome.flags), flags), message


def test_every_rule_is_driven_by_a_message():
    # The message of "readmitted" comes out of quarantine: test_gateway_readmission drives it, over all levels.
    assert set(rules.RULES) == set(TRIPS.values()) | {"readmitted"}


@pytest.mark.parametrize("name", TRIPS)
def test_no_rule_drops_a_message_and_none_treats_a_level_differently(tmp_path, name):
    hall, code = many_windows(tmp_path), TRIPS[name]
    effect, seen = rules.RULES[code].effect, {}
    for level in LEVELS:
        kept_before = len(hall.rows(schema.quarantine))
        became, message = tripped(hall, name, level)
        seen[level] = became
        if effect == QUARANTINE:
            assert (became.records, became.refused) == ([], [code])
            kept = hall.rows(schema.quarantine)[kept_before:]
            assert [(row["reason"], row["message"]) for row in kept] in ([(code, message[:4096])], [])
            if not kept:  # the same bytes at every level: counted
                assert max(row["offered"] for row in hall.rows(schema.quarantine)) == level
        elif effect == FLAG:
            assert (became.records, became.refused) == ([STORED], [])
            expected = code not in BAD_ONLY or level <= 2
            assert (code in became.flags, became.marked[code]) == (expected, int(expected))
        else:
            expected = {"duplicate": DUPLICATE, "equivocation": EQUIVOCATION, "gap": STORED}[code]
            assert (became.records, became.refused, code in became.flags) == ([expected], [], False)
            assert became.marked[code] == int(code == "gap"), "counted, though no record carries it"
        if code in WITHOUT_RATING:
            break
    outcomes = {str((one.records, one.refused, set(one.flags) - rules.TELL_LEVEL)) for one in seen.values()}
    assert len(outcomes) == 1
    hall.stop()


@pytest.mark.parametrize("code", ["equivocation", "gap"])
def test_what_is_evidence_is_kept_beside_the_records(tmp_path, code):
    hall = many_windows(tmp_path)
    for level in LEVELS:
        tripped(hall, code, level)
    missing = [one.missing for one in hall.ledger.streams() if one.missing]
    assert (len(hall.rows(schema.equivocation)), missing) == ((5, []) if code == "equivocation" else (0, [1] * 5))
    hall.stop()


def test_a_rating_is_refused_by_no_rule_that_could_know_its_level():
    """Rules that refuse are found by the wire, which knows bounds, or are given facts in which no level is."""
    found_by_the_wire = set(refusal.REASONS) | {"retained", "replayed", "internal"}
    for rule in rules.RULES.values():
        if rule.effect != QUARANTINE or rule.code in found_by_the_wire:
            continue
        assert isinstance(rule, Checked)
    for facts in (SenderFacts, OriginFacts, PastFacts, StreamFacts):
        assert not {"level", "record", "claims"} & set(facts._fields)
    checked = [rule for group in rules._ALONE.values() for rule in group]
    assert {rule.effect for rule in checked} == {FLAG}
    assert {rule.effect for group in rules._PAST.values() for rule in group} == {FLAG}


DEVICE = Device("e-001", "evaluator", "01", "active", b"", b"", None)


def a_rating(level, tags, staff_level, delay_ms, mode, window, source, age_s):
    claims = {rating.WINDOW: window, rating.OUTCOME: rating.RATED, rating.LEVEL: level, rating.MODE: mode}
    optional = {rating.TAGS: tags, rating.STAFF_LEVEL: staff_level, rating.DELAY_MS: delay_ms}
    claims.update({key: value for key, value in optional.items() if value is not None})
    coarse_s = record.coarse(MORNING_S - age_s) if source else 0
    return record.Record("e-001", HALL, coarse_s, record.RATING, b"", 1, b"", b"", 0, source, claims, {})


@given(
    levels=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    tags=st.none() | st.lists(st.integers(1, 999), min_size=1, max_size=8),
    staff_level=st.none() | st.integers(1, 5),
    delay_ms=st.none() | st.integers(0, 60_000),
    mode=st.sampled_from([rating.VISIT_MODE, rating.WALK_UP]),
    window=st.sampled_from(["01", "02"]),
    source=st.sampled_from([0, 1, 2]),
    age_s=st.integers(-100_000, 40_000_000),
    disclosed=st.sampled_from([{}, {1: [MORNING_S, ""]}, {1: [0, "A-1"]}, {1: [MORNING_S, "A-1"], 2: "慢"}]),
)
@settings(deadline=None)
def test_two_ratings_that_differ_in_level_alone_differ_only_in_marks_that_are_told_to_nobody(levels, disclosed, **more):
    marks = [
        set(rules.flags(RecordFacts(a_rating(level, **more), DEVICE, MORNING_S, disclosed, HallFacts())))
        for level in levels
    ]
    assert marks[0] ^ marks[1] <= rules.TELL_LEVEL


def test_every_row_of_the_table_says_what_it_is():
    codes = [rule.code for group in rules.SUBJECTS.values() for rule in group]
    assert len(set(codes)) == len(codes) - 1, "hall is checked of topic and payload; no other code stands twice"
    for rule in rules.RULES.values():
        assert rule.effect in EFFECTS
        assert rule.meaning and rule.chinese
        assert len(rule.code) <= 32, "the ledger's column"
    assert set(refusal.REASONS) <= set(rules.RULES)


def test_the_page_of_the_rules_is_the_table():
    assert PAGE.read_text("utf-8").partition(MARK)[2] == tables(), "write it anew: .venv/bin/python tests/rule_page.py"
    usual = {**asdict(USUAL), "earliest_day": datetime.datetime.fromtimestamp(USUAL.earliest_s, datetime.UTC).date()}
    assert limits() == {key: str(usual[key]) for key in rule_settings.KEYS}


@pytest.mark.parametrize(
    ("claims", "flagged"),
    [
        ({rating.TAGS: [211, 111]}, {"tag_level"}),
        ({rating.TAGS: [211], rating.STAFF_LEVEL: 1}, set()),
        ({rating.TAGS: [211, 111], rating.STAFF_LEVEL: 1}, set()),
        ({rating.TAGS: [206]}, {"tag_retired"}),
        ({rating.TAGS: [206, 403]}, {"tag_level", "tag_retired"}),
        ({rating.TAGS: [215]}, {"tag_retired"}),
        ({}, {"reason_missing"}),
    ],
)
def test_tags_must_belong_to_the_level_and_be_in_force(claims, flagged):
    made = a_rating(2, claims.get(rating.TAGS), claims.get(rating.STAFF_LEVEL), None, rating.WALK_UP, "01", 1, 0)
    assert set(rules.flags(RecordFacts(made, DEVICE, MORNING_S, {}, HallFacts()))) == flagged


def test_the_halls_own_list_is_in_force_for_the_levels_that_it_names():
    own = tags_in_force([207, 220])
    assert {207, 220} <= own
    assert 208 not in own, "the hall has taken it out"
    assert {510, 410, 310, 110} <= own, "of these levels the hall says nothing"
    assert not own & set(RETIRED.values())
    assert set(IN_FORCE.values()) <= tags_in_force(())


def test_a_hall_without_roster_knows_no_stranger(tmp_path):
    made = record.Record(
        "c-001", HALL, record.coarse(MORNING_S), record.PUNCH, b"", 1, b"", b"", 0, 1,
        {punch.DOOR: "01", punch.STAFF: "S999", punch.TIME: MORNING_S}, {},
    )  # fmt: skip
    assert rules.flags(RecordFacts(made, DEVICE, MORNING_S, {}, HallFacts())) == []
    assert rules.flags(RecordFacts(made, DEVICE, MORNING_S, {}, HallFacts(staff=frozenset()))) == ["staff_unknown"]


def test_a_roster_that_changes_is_the_one_in_force(tmp_path):
    hall = GatewayHall(tmp_path, [("c-001", "clock")])
    clock = hall.devices["c-001"]
    hall.take(clock.opened(), clock.punch("S002", MORNING_S - 600))
    (tmp_path / "roster.json").write_text('{"version": 4, "staff": [{"slot": 2, "number": "S002", "name": "李思思"}]}')
    hall.roster.refresh(0)
    hall.take(clock.punch("S002"), clock.punch("S001"))
    assert [list(one.flags) for one in hall.records()] == [[], ["staff_unknown"], [], ["staff_unknown"]]
    facts = HallNow(USUAL, (), hall.roster)
    assert facts() is facts(), "made anew only when the roster changes"
    hall.stop()


def test_a_back_dated_punch_contradicts_its_signed_quarter_of_an_hour(tmp_path):
    hall = GatewayHall(tmp_path, [("c-001", "clock")])
    clock = hall.devices["c-001"]
    claims = {1: "01", 2: "S001", 3: 0, 4: 99, punch.TIME: MORNING_S - 1800, 6: 1}
    hall.take(clock.opened(), clock.seal(*clock.make(record.PUNCH, claims)))
    assert hall.records()[-1].flags == ["time_differs"]
    hall.stop()


@pytest.mark.parametrize(("ahead_s", "flagged"), [(0, False), (300, False), (301, True), (899, True), (900, True)])
def test_a_punch_is_held_against_the_clock_by_its_second(tmp_path, ahead_s, flagged):
    now_s = MORNING_S // 900 * 900 + 450
    hall = GatewayHall(tmp_path, [("c-001", "clock")])
    hall.real.now_s = now_s
    clock = hall.devices["c-001"]
    hall.take(clock.opened(at_s=now_s), clock.punch("S001", now_s + ahead_s))
    assert ("clock_ahead" in hall.records()[-1].flags) == flagged
    hall.stop()


@pytest.mark.parametrize(("into_s", "flagged"), [(0, True), (599, True), (600, False), (899, False)])
def test_a_rating_is_held_against_the_clock_by_its_quarter_of_an_hour(into_s, flagged):
    """The exact time is the reviewer's: a rating of the next quarter is ahead once that begins beyond the tolerance."""
    quarter_s = MORNING_S // 900 * 900
    made = a_rating(5, None, None, None, rating.WALK_UP, "01", 1, age_s=-900)
    found = rules.flags(RecordFacts(made, DEVICE, quarter_s + into_s, {}, HallFacts()))
    assert ("clock_ahead" in found) == flagged


def test_of_a_time_that_cannot_be_nobody_says_how_late_it_is(tmp_path):
    hall = GatewayHall(tmp_path, [("c-001", "clock")])
    clock = hall.devices["c-001"]
    hall.take(clock.opened(), clock.punch("S001", USUAL.earliest_s - 1, uptime_ms=0))
    clock.boot = bytes(8)
    hall.take(clock.punch("S001", USUAL.earliest_s + 60, uptime_ms=0))
    assert [list(one.flags) for one in hall.records()] == [[], ["before_build", "clock_stepped"], ["late"]]
    hall.stop()


def test_a_rating_with_everything_wrong_is_stored(tmp_path):
    hall = GatewayHall(tmp_path, [("e-001", "evaluator")])
    device = hall.devices["e-001"]
    claims = {rating.WINDOW: "77", rating.TAGS: [511, 509], rating.DELAY_MS: 1}
    more = {"visit": "x", "claims": claims, "at_s": MORNING_S + 7200}
    hall.take(device.event(), *(device.rating(1, **more) for _ in range(50)))
    device.event()  # never sent
    assert hall.take(device.rating(1, uptime_ms=0, **more)).records == [STORED]
    assert set(hall.records()[-1].flags) == {
        "window", "clock_ahead", "tag_level", "tag_retired", "quick", "visit_unknown", "clock_stepped", "level_run",
        "burst",
    }  # fmt: skip
    hall.stop()
