"""Retention before an audit: what it took is a note; what somebody took who only says so is found and named."""

import dataclasses

import pytest
from evidence_morning import FIRST_S, QUARTER_S, EvidenceMorning, Frames
from sealing_device import MORNING_S
from sqlalchemy import delete, update

from gateway import audit, bundle_file, retention, schema
from gateway.audit_removals import rule_of
from gateway.findings import KINDS, NOTE
from gateway.retention import DAY_S, HEARTBEATS, MASKED, RATINGS, SEALED, RetentionRule
from protocol import record

RULE = RetentionRule(ratings=100, sealed=40, masked=60)
TODAY = MORNING_S // DAY_S  # of UTC; the hall's day is the same or the next


@pytest.fixture
def morning(tmp_path):
    made = EvidenceMorning(tmp_path)
    made.rule = RULE
    yield made
    made.hall.stop()


def later(morning, days):
    """The morning, so many days on; returns that day."""
    morning.hall.real.now_s += days * DAY_S
    return TODAY + days


def write(morning, job):
    morning.hall.ledger.write(job).result()


def judged(morning, *contents, central=True):
    paths = []
    for number, content in enumerate(contents):
        paths.append(morning.folder / f"{number}.evidence")
        paths[-1].write_bytes(content)
    return audit.run(paths, morning.root_pem, morning.central_private if central else None)


def codes(report):
    """Codes of what is wrong or missing."""
    return {code for code in report.findings.counts if KINDS[code].severity != NOTE}


def bad_rating(morning, seq=None):
    return next(
        one
        for one in morning.hall.records()
        if one.device == "e-001" and one.kind == record.RATING and (one.claims["level"] == 1 or one.seq == seq)
    )


def name_of(one):
    return one.device, one.stream, one.seq, one.seq


def hide(morning, one, day, kind=RATINGS):
    """What write access to the ledger alone can do: the row is gone, and a line says that retention took it."""

    def job(connection):
        connection.execute(delete(schema.record).where(schema.record.c.id == one.position))
        retention._note(connection, kind, day, [name_of(one)])

    write(morning, job)


# --- Retention itself.


def test_what_retention_took_away_is_a_note_and_no_finding(morning):
    """The real removal of old ratings and identities, whole and in part."""
    day = later(morning, 110)

    def remove(connection):
        cutoff_s = morning.hall.clock.now_s() - 60 * DAY_S
        retention.empty_identities(connection, SEALED, 8, cutoff_s, day)
        retention.empty_identities(connection, MASKED, 12, cutoff_s, day)
        retention.remove_records(connection, RATINGS, 5, cutoff_s, day)

    write(morning, remove)
    for central in (False, True):
        report = judged(morning, morning.export(), central=central)
        assert codes(report) == set()
        assert report.findings.counts["removed"] == 3
        assert sum(report.records.values()) < 20


@pytest.mark.parametrize("until", [3, 12, 15, 18])
@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_a_part_of_the_evidence_stays_clean_after_a_removal_below_it(morning, until, quarters):
    """Also where the newest record that came before the part is gone, and where the removal reaches into the part."""
    day = later(morning, 110)
    write(morning, lambda connection: retention.remove_records(connection, RATINGS, until, MORNING_S + DAY_S, day))
    report = judged(morning, morning.export(from_s=FIRST_S + quarters * QUARTER_S))
    assert codes(report) == set()
    assert "begins" in report.findings.counts


def test_a_device_that_fell_silent_is_no_loss_when_its_heartbeat_goes(morning):
    morning.rule = dataclasses.replace(RULE, heartbeats=50)
    morning.state()
    day = later(morning, 60)
    write(morning, lambda connection: retention.remove_plain(connection, HEARTBEATS, MORNING_S + DAY_S, day))
    assert codes(judged(morning, morning.export())) == set()
    assert codes(judged(morning, morning.export(from_s=morning.hall.clock.now_s() - DAY_S))) == set()


def test_a_longer_rule_does_not_make_a_loss_of_what_an_older_file_tells(morning):
    day = later(morning, 110)
    write(morning, lambda connection: retention.remove_records(connection, RATINGS, 8, MORNING_S + DAY_S, day))
    old = morning.export()
    morning.rule = RetentionRule()
    assert {"withheld", "gap"} <= codes(judged(morning, morning.export()))
    report = judged(morning, old, morning.export())
    assert codes(report) == set()
    assert report.findings.counts["removed"] == 1


# --- Somebody else.


@pytest.mark.parametrize(
    ("age_days", "ahead_days", "expected"),
    [
        (0, 0, {"withheld", "gap"}),
        (0, 110, {"removal", "withheld", "gap"}),
        (0, -110, {"withheld", "gap"}),
        (50, 0, {"withheld", "gap"}),
        (50, 60, {"removal", "withheld", "gap"}),
        (200, -150, {"withheld", "gap"}),
        (200, 2, {"removal", "withheld", "gap"}),
    ],
)
def test_a_bad_rating_that_somebody_took_is_no_removal(morning, age_days, ahead_days, expected):
    """Exported by the honest gateway. The hall keeps ratings for 100 days."""
    day = later(morning, age_days) + ahead_days
    hide(morning, bad_rating(morning), day)
    report = judged(morning, morning.export(), central=False)
    assert codes(report) == expected
    assert report.findings.status() == 1
    assert all(one.device == "e-001" for one in report.findings.kept() if KINDS[one.code].severity != NOTE)


def test_an_old_rating_out_of_the_middle_is_no_removal(morning):
    """Retention begins with the oldest: the ratings of the first manifest would have gone before that of the second."""
    day = later(morning, 200)
    hide(morning, next(one for one in morning.hall.records() if one.claims.get("level") == 2), day)
    assert codes(judged(morning, morning.export(), central=False)) == {"withheld", "gap"}


@pytest.mark.parametrize("kind", [SEALED, MASKED])
@pytest.mark.parametrize("age_days", [0, 30, 100])
@pytest.mark.parametrize("ahead_days", [0, 2, 110])
def test_a_line_alone_switches_no_check_off(morning, kind, age_days, ahead_days):
    day = later(morning, age_days) + ahead_days
    one = bad_rating(morning)

    def job(connection):
        retention._note(connection, kind, day, [name_of(one)])
        connection.execute(update(schema.record).values(flags_json='["quick"]'))

    write(morning, job)
    found = codes(judged(morning, morning.export(), central=False))
    assert found == ({"words", "removal"} if ahead_days else {"words"})


@pytest.mark.parametrize(("age_days", "ahead_days"), [(0, 0), (0, 110), (30, 0), (30, 80), (100, 2)])
def test_what_retention_would_not_have_emptied_yet_is_missing(morning, age_days, ahead_days):
    day = later(morning, age_days) + ahead_days
    one = bad_rating(morning)

    def job(connection):
        mine = schema.record.c.id == one.position
        connection.execute(update(schema.record).where(mine).values(sealed=b"", masked_json=None))
        for kind in (SEALED, MASKED):
            retention._note(connection, kind, day, [name_of(one)])

    write(morning, job)
    found = codes(judged(morning, morning.export(), central=False))
    assert found == {"sealed_missing", "words"} | ({"removal"} if ahead_days else set())


def test_a_mask_that_retention_would_not_have_taken_yet_is_missed_by_the_central_system(morning):
    """Also where the gateway's key states it anew."""
    one = bad_rating(morning)
    write(morning, lambda connection: retention._note(connection, MASKED, TODAY, [name_of(one)]))
    frames = Frames.of(morning.export())
    (at,) = frames.records("e-001", level=1)
    frames[at][1][3] = None
    assert codes(judged(morning, frames.restate(morning.signer).data())) == {"mask_differs"}


def test_a_heartbeat_of_a_device_that_was_heard_since_is_missing(morning):
    morning.rule = dataclasses.replace(RULE, heartbeats=50)
    day = later(morning, 30)
    write(morning, lambda connection: retention.remove_plain(connection, HEARTBEATS, MORNING_S + DAY_S, day))
    report = judged(morning, morning.export())
    assert codes(report) == {"heartbeat_missing"}
    assert report.findings.counts["heartbeat_missing"] == 3


def test_a_line_hides_no_heartbeat_from_the_audit_of_a_part_without_the_device(morning):
    """It was certified more recently than the heartbeats that are to go."""
    morning.state()
    day = later(morning, 60)
    write(morning, lambda connection: retention.remove_plain(connection, HEARTBEATS, MORNING_S + DAY_S, day))
    report = judged(morning, morning.export(from_s=morning.hall.clock.now_s() - DAY_S))
    assert codes(report) == {"heartbeat_missing"}


def test_a_line_hides_no_tail_from_the_audit_of_a_part(morning):
    """The newest record, which no manifest states yet."""
    newest = max((one for one in morning.hall.records() if one.device == "e-001"), key=lambda one: one.seq)
    hide(morning, newest, TODAY)
    assert codes(judged(morning, morning.export(from_s=FIRST_S + 2 * QUARTER_S))) == {"hidden_tail"}


# --- The rule in the head.


def test_the_head_has_the_halls_rule(morning):
    frames = Frames.of(morning.export())
    assert rule_of(frames[0][1][6]) == RULE


@pytest.mark.parametrize("text", ["", "[]", "{}x", '{"ratings": 1}', '{"ratings": "31"}', '{"letters": 31}'])
def test_a_rule_that_no_hall_may_have_is_refused(morning, text):
    with pytest.raises(ValueError):
        rule_of(text)
    frames = Frames.of(morning.export())
    frames[0][1][6] = text
    assert codes(judged(morning, frames.restate(morning.signer).data(), central=False)) == {"schema"}


def test_a_removal_of_no_kind_that_is_kept_is_named(morning):
    frames = Frames.of(morning.export())
    line = ["utils", "e-001", bytes(8), 1, 1, 1, TODAY]
    frames.insert(frames.places(bundle_file.MANIFEST)[0], [bundle_file.REMOVAL, line])
    assert codes(judged(morning, frames.restate(morning.signer).data(), central=False)) == {"schema"}
