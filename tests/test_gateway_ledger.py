"""The ledger: one row for each number, whole commits, cursors, and a continuity that is always right."""

import itertools
import sqlite3
import stat
import threading
from concurrent.futures import wait

import pytest
from gateway_hall import GatewayHall, hall_of
from hypothesis import given, settings
from hypothesis import strategies as st
from sealing_device import MORNING_S
from sqlalchemy import insert

from gateway import continuity as continuity_module
from gateway import ledger_file, schema
from gateway.continuity import ISLANDS_MAX, Continuity
from gateway.ledger import PAGE_RECORDS_MAX, Ledger
from gateway.ledger_file import LedgerError
from gateway.opening import Arrival
from protocol import annotation, event, record
from protocol.limits import HOLES_MAX

hall = hall_of(("e-001", "evaluator"), ("e-002", "evaluator"))


@pytest.fixture
def device(hall):
    return hall.devices["e-001"]


# --- The file.


def test_the_ledger_is_closed_to_others(hall, tmp_path):
    for name in ("ledger.db", "ledger.db-wal"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600


def test_commits_are_synced_in_full_in_a_write_ahead_log(hall):
    def pragmas(connection):
        return [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("journal_mode", "synchronous")]

    assert hall.ledger.write(pragmas).result() == ["wal", 2]


def test_readers_cannot_write(hall):
    with pytest.raises(Exception, match="readonly"):
        hall.ledger.read(
            lambda connection: connection.execute(insert(schema.cursor), [{"destination": "x", "position": 1}])
        )


def test_a_second_gateway_cannot_open_the_same_ledger(hall, tmp_path):
    with pytest.raises(LedgerError, match="another gateway uses this ledger; stop it first"):
        Ledger(tmp_path / "ledger.db")


def test_a_ledger_of_another_version_is_refused(tmp_path):
    with sqlite3.connect(tmp_path / "ledger.db") as connection:
        connection.execute("PRAGMA user_version=99")
    connection.close()
    with pytest.raises(LedgerError, match="schema 99"):
        Ledger(tmp_path / "ledger.db")


# What the fourth version has and the third had not.
SINCE_THE_THIRD = (
    "DROP INDEX record_rating",
    "DROP INDEX record_unsynchronised",
    "DROP TABLE annotation",
    "DROP TABLE boot_clock",
    *(f"DROP INDEX visit_{name}" for name in ("state", "parent", "notice")),
    *(
        f"ALTER TABLE visit DROP COLUMN {name}"
        for name in "answered change request context_json flags_json parent part parts notice".split()
    ),
    "ALTER TABLE record DROP COLUMN visit_json",
    "ALTER TABLE record DROP COLUMN pseudonym",
    "ALTER TABLE visit DROP COLUMN stream",
    "ALTER TABLE visit DROP COLUMN seq",
    "DROP TABLE pseudonym_key",
    "DROP TABLE removal",
    "DROP TABLE operator_action",
    "DROP TABLE operator_known",
)


def _as_made_by_the_third_version(path):
    with sqlite3.connect(path) as connection:
        for statement in SINCE_THE_THIRD:
            connection.execute(statement)
        connection.execute("PRAGMA user_version=3")
    connection.close()


def _as_made_by_the_first_version(path):
    _as_made_by_the_third_version(path)
    with sqlite3.connect(path) as connection:
        for column in ("drift_ppm", "unknown_fingers", "release_sequence", "refused_sequence"):
            connection.execute(f"ALTER TABLE heartbeat DROP COLUMN {column}")
        connection.execute("DROP INDEX quarantine_topic")
        connection.execute("PRAGMA user_version=1")
    connection.close()


def test_a_ledger_of_the_first_version_goes_on_with_all_it_holds(hall, device, tmp_path):
    hall.take(device.opened(), device.rating(5), device.heartbeat())
    hall.stop()
    _as_made_by_the_first_version(tmp_path / "ledger.db")
    ledger = Ledger(tmp_path / "ledger.db")
    assert ledger.last_position() == 2
    found = ledger.heartbeats()["e-001"]
    assert (found.head, found.drift_ppm, found.unknown_fingers) == (2, None, None)
    assert (found.release_sequence, found.refused_sequence) == (None, None)
    version = ledger.read(lambda connection: connection.exec_driver_sql("PRAGMA user_version").scalar())
    assert version == schema.SCHEMA_VERSION
    indexes = ledger.read(lambda connection: connection.exec_driver_sql("PRAGMA index_list(quarantine)").all())
    assert "quarantine_topic" in {row[1] for row in indexes}
    ledger.close()
    again = GatewayHall(tmp_path, keys=hall.keys)
    again.take((device, device.heartbeat(DRIFT_PPM=-31, RELEASE=5, UPDATE_REFUSED=6)))
    found = again.ledger.heartbeats()["e-001"]
    assert (found.drift_ppm, found.release_sequence, found.refused_sequence) == (-31, 5, 6)
    again.stop()


def test_a_ledger_of_the_third_version_goes_on_and_its_records_have_no_pseudonym(hall, device, tmp_path):
    hall.take(device.opened(), device.rating(5))
    before = hall.records()
    hall.stop()
    _as_made_by_the_third_version(tmp_path / "ledger.db")
    again = GatewayHall(tmp_path, keys=hall.keys)
    again.devices = hall.devices
    again.take(device.rating(2, identity={2: "13812345678"}))
    records = again.records()
    assert records[:2] == before
    assert [one.pseudonym is None for one in records] == [True, True, False]
    assert again.rows(schema.removal) == []
    again.stop()


def _form_of(path, table):
    """Columns and indexes of a table as SQLite has them."""
    with sqlite3.connect(path) as connection:
        columns = connection.execute(f"SELECT name, type, [notnull] FROM pragma_table_info('{table}') ORDER BY name")
        indexes = connection.execute(
            f"SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND tbl_name = '{table}' ORDER BY name"
        )
        found = columns.fetchall(), [(name, sql and sql.replace('"', "")) for name, sql in indexes]
    connection.close()
    return found


def test_a_ledger_of_the_third_version_keeps_its_visits_and_gets_the_form_of_a_new_one(hall, device, tmp_path):
    hall.visits.open("01", "A-17")
    hall.take(device.opened(), device.rating(5, visit="A-17"))
    hall.visits.open("01", "A-18")
    hall.stop()
    path = tmp_path / "ledger.db"
    new = [_form_of(path, table) for table in ("visit", "record")]
    _as_made_by_the_third_version(path)
    again = GatewayHall(tmp_path, keys=hall.keys)
    assert [_form_of(path, table) for table in ("visit", "record")] == new
    assert [again.visits.state(visit).state for visit in ("A-17", "A-18")] == ["rated", "asked"]
    again.take((device, device.rating(4, visit="A-17")), (device, device.rating(4, visit="A-18")))
    assert [list(row.flags) for row in again.records()[1:]] == [[], ["visit_again"], []]
    again.stop()


def test_a_ledger_of_the_third_version_gets_estimates_for_what_it_holds(hall, device, tmp_path):
    hall.take(device.opened(), device.seal(*device.make(record.EVENT, {event.CODE: event.BOOT}, source=0)))
    hall.stop()
    _as_made_by_the_third_version(tmp_path / "ledger.db")
    again = GatewayHall(tmp_path, keys=hall.keys)
    version = again.ledger.read(lambda connection: connection.exec_driver_sql("PRAGMA user_version").scalar())
    assert version == schema.SCHEMA_VERSION
    indexes = again.ledger.read(lambda connection: connection.exec_driver_sql("PRAGMA index_list(record)").all())
    assert "record_unsynchronised" in {row[1] for row in indexes}
    again.take((device, device.heartbeat()))
    assert again.notebook.estimates.step() == 1
    assert [(row["seq"], row["kind"]) for row in again.rows(schema.annotation)] == [(2, annotation.TIME_ESTIMATE)]
    again.stop()


def test_a_migration_that_fails_leaves_the_ledger_as_it_was(hall, device, tmp_path, monkeypatch):
    hall.take(device.opened())
    hall.stop()
    _as_made_by_the_first_version(tmp_path / "ledger.db")
    broken = {**schema.MIGRATIONS, 1: (*schema.MIGRATIONS[1], "ALTER TABLE nothing ADD COLUMN x INTEGER")}
    with monkeypatch.context() as patched:
        patched.setattr(schema, "MIGRATIONS", broken)
        with pytest.raises(LedgerError, match="cannot be opened"):
            Ledger(tmp_path / "ledger.db")
    Ledger(tmp_path / "ledger.db").close()


def test_every_older_version_has_its_way_to_the_present_one():
    assert sorted(schema.MIGRATIONS) == list(range(1, schema.SCHEMA_VERSION))


def test_what_is_no_ledger_is_refused_and_left_as_it_is(tmp_path):
    (tmp_path / "ledger.db").write_bytes(b"something else" * 100)
    with pytest.raises(LedgerError, match="cannot be opened"):
        Ledger(tmp_path / "ledger.db")
    assert (tmp_path / "ledger.db").read_bytes().startswith(b"something else")


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(LedgerError, match="cannot be written"):
        Ledger(tmp_path / "none" / "ledger.db")


def test_an_error_of_the_database_shows_no_record(hall):
    def fail(connection):
        connection.execute(insert(schema.cursor), [{"destination": "private words", "position": 1}] * 2)

    with pytest.raises(Exception, match="UNIQUE") as failed:
        hall.ledger.write(fail).result()
    assert "private words" not in str(failed.value)


# --- Writing and reading.


def test_records_are_read_in_the_order_of_their_commits(hall, device):
    other = hall.devices["e-002"]
    hall.take((device, device.opened()), (other, other.opened()))
    hall.take((device, device.event()))
    rows = hall.ledger.records_after(0, 10)
    assert [(row.device, row.seq) for row in rows] == [("e-001", 1), ("e-002", 1), ("e-001", 2)]
    assert [row.position for row in rows] == sorted(row.position for row in rows)
    assert hall.ledger.records_after(rows[1].position, 10) == rows[2:]
    assert hall.ledger.records_after(0, 1) == rows[:1]
    assert hall.ledger.last_position() == rows[-1].position
    assert hall.ledger.records_after(rows[-1].position, 10) == []


@pytest.mark.parametrize(("position", "limit"), [(-1, 1), (0, 0), (0, PAGE_RECORDS_MAX + 1)])
def test_a_page_out_of_range_is_our_fault(hall, position, limit):
    with pytest.raises(ValueError):
        hall.ledger.records_after(position, limit)


def test_a_cursor_is_kept_over_a_restart_and_may_move_back(hall, tmp_path):
    assert hall.ledger.cursor("central") == 0
    hall.ledger.set_cursor("central", 17)
    hall.ledger.set_cursor("timeseries", 5)
    hall.ledger.set_cursor("central", 12)
    hall.ledger.close()
    again = Ledger(tmp_path / "ledger.db")
    assert (again.cursor("central"), again.cursor("timeseries")) == (12, 5)
    again.close()


def test_a_reader_is_woken_by_a_commit(hall, device):
    assert hall.ledger.wait_beyond(0, 0.0) is False
    woken = []
    reader = threading.Thread(target=lambda: woken.append(hall.ledger.wait_beyond(0, 20)))
    reader.start()
    hall.take(device.opened())
    reader.join(10)
    assert woken == [True]


def test_closing_wakes_readers_and_refuses_writers(hall):
    woken = []
    reader = threading.Thread(target=lambda: woken.append(hall.ledger.wait_beyond(0, 20)))
    reader.start()
    hall.ledger.close()
    reader.join(10)
    assert woken == [False]
    with pytest.raises(LedgerError):
        hall.ledger.write(lambda connection: None)


def test_jobs_that_wait_share_one_commit_and_one_that_fails_takes_no_other_with_it(hall):
    began, go = threading.Event(), threading.Event()
    hall.ledger.write(lambda connection: began.set() or go.wait(10))
    assert began.wait(10)
    hooks = []
    hall.ledger.on_rollback(lambda: hooks.append(1))

    def save(destination):
        return hall.ledger.write(
            lambda connection: (
                connection.execute(insert(schema.cursor), [{"destination": destination, "position": 1}]).rowcount
            )
        )

    jobs = [save("a"), save("a"), save("b")]
    go.set()
    wait(jobs, 10)
    assert [type(job.exception()).__name__ for job in jobs] == ["NoneType", "IntegrityError", "NoneType"]
    assert (hall.ledger.cursor("a"), hall.ledger.cursor("b")) == (1, 1)
    assert hooks, "state in memory is dropped with the rollback"


def test_a_rollback_leaves_the_continuity_as_the_disk_has_it(hall, device):
    first, second = device.opened(), device.event()
    hall.take(first)
    batch = hall.intake.prepare([_arrival(device, second)])

    def fail(connection):
        hall.admission.admit(connection, batch)
        raise OSError

    with pytest.raises(OSError):
        hall.ledger.write(fail).result()
    assert len(hall.records()) == 1
    assert hall.take(second).records == ["stored"]


def _arrival(device, message):
    return Arrival(device.topic, message, False, 1000 * MORNING_S)


def test_the_summary_counts_what_is_there(hall, device):
    hall.take(device.opened(), device.rating(5), device.rating(1), device.event())
    assert hall.ledger.summary().by_device == {"e-001": {1: 2, 3: 2}}
    assert hall.ledger.summary().position == hall.ledger.last_position()


def test_a_technician_can_look_while_the_gateway_runs_but_not_into_nothing(hall, device, tmp_path):
    hall.take(device.opened())
    assert ledger_file.look(tmp_path / "ledger.db", lambda c: len(c.execute(schema.record.select()).all())) == 1
    with pytest.raises(LedgerError, match="there is no ledger yet"):
        ledger_file.look(tmp_path / "none.db", lambda connection: None)


# --- Continuity.


def test_a_gap_is_known_and_closes_when_the_missing_come(hall, device):
    messages = [device.opened(), *(device.event() for _ in range(9))]
    outcome = hall.take(messages[0], *messages[4:6], messages[8])
    (standing,) = outcome.standings.values()
    assert (standing.through, standing.holes) == (1, [[2, 4], [7, 8]])
    assert hall.ledger.streams()[0].missing == 5
    (standing,) = hall.take(*messages[1:4]).standings.values()
    assert (standing.through, standing.holes) == (6, [[7, 8]])
    (standing,) = hall.take(*messages[6:]).standings.values()
    assert (standing.through, standing.holes) == (10, [])
    assert hall.ledger.streams()[0].missing == 0
    assert all(row.flags == [] for row in hall.records())


def test_the_continuity_survives_a_restart(hall, device, tmp_path):
    messages = [device.opened(), *(device.event() for _ in range(5))]
    hall.take(messages[0], messages[3], messages[5])
    hall.stop()
    again = GatewayHall(tmp_path, keys=hall.keys)
    again.devices = hall.devices
    (standing,) = again.take(messages[3]).standings.values()
    assert (standing.through, standing.holes) == (1, [[2, 3], [5, 5]])
    assert again.take(messages[1], messages[2], messages[4]).records == ["stored"] * 3
    assert again.ledger.streams()[0].through == 6
    again.stop()


def test_a_broken_chain_is_flagged_from_either_side(hall, device):
    messages = [device.opened(), device.event()]
    device.prev = bytes(15) + b"x"
    messages += [device.event(), device.event(), device.event()]
    device.prev = bytes(15) + b"y"
    messages += [device.event()]
    hall.take(*messages[:4])
    hall.take(messages[5])
    hall.take(messages[4])
    flags = {row.seq: list(row.flags) for row in hall.records()}
    assert flags == {1: [], 2: [], 3: ["chain"], 4: [], 5: ["chain"], 6: []}


def test_a_stream_that_does_not_begin_with_its_opening_is_flagged(hall, device):
    hall.take(device.event(event.BOOT))
    assert hall.records()[0].flags == ["unopened"]


def test_a_reopened_stream_is_flagged_and_its_lost_tail_shows(hall, device):
    hall.take(device.opened(), device.event())
    before = device.stream
    for _ in range(3):
        device.event()  # journaled, never sent
    device.open_stream()
    hall.take(device.opened(previous=(before, 5)))
    assert hall.records()[-1].flags == ["reopened"]
    old, new = hall.ledger.streams()
    assert (old.number, old.declared, old.missing) == (1, 5, 3)
    assert (new.number, new.missing) == (2, 0)


@pytest.mark.parametrize("previous", [None, (bytes(8), 2), "lower head"])
def test_an_opening_that_hides_what_was_before_is_flagged(hall, device, previous):
    hall.take(device.opened(), device.event())
    before = device.stream
    device.open_stream()
    hall.take(device.opened(previous=(before, 1) if previous == "lower head" else previous))
    assert hall.records()[-1].flags == ["reopened", "previous_differs"]


def test_a_first_stream_that_names_an_unknown_one_makes_that_one_missed(hall, device):
    hall.take(device.opened(previous=(b"8 bytes!", 40)))
    assert hall.records()[0].flags == ["previous_differs"]
    missed = [stream for stream in hall.ledger.streams() if stream.stream == b"8 bytes!".hex()]
    assert [one.missing for one in missed] == [40]


def naive(stored):
    """What a person would say of the stored numbers."""
    through = 0
    while through + 1 in stored:
        through += 1
    missing = [n for n in range(through + 1, max(stored, default=0)) if n not in stored]
    holes = []
    for number in missing:
        if holes and holes[-1][1] == number - 1:
            holes[-1][1] = number
        else:
            holes.append([number, number])
    return through, holes[:HOLES_MAX]


@given(st.lists(st.integers(1, 60), max_size=120))
def test_continuity_says_what_a_person_would_say(numbers):
    state, stored = Continuity(1, 0), set()
    for number in numbers:
        assert state.holds(number) is (number in stored)
        if number not in stored:
            state.add(number, bytes(32))
            stored.add(number)
        assert (state.through, state.report()[0]) == naive(stored)
        assert (state.highest, state.stored) == (max(stored), len(stored))


@given(st.lists(st.integers(1, 40), max_size=120))
@settings(deadline=None)
def test_continuity_with_more_islands_than_it_remembers_asks_and_is_right(numbers):
    kept = continuity_module.ISLANDS_MAX
    continuity_module.ISLANDS_MAX = 4
    try:
        state, stored = Continuity(1, 0), set()
        for number in numbers:
            if state.outdated:
                state.reload(sorted(one for one in stored if one > state.through))
            held = state.holds(number)
            assert held in (None, number in stored)
            if number not in stored:
                state.add(number, bytes(32))
                stored.add(number)
            through, holes = naive(stored)
            assert len(state.islands) <= 4
            assert state.through <= through
            if not state.outdated:
                assert state.report()[0] == holes[: len(state.report()[0])]
        state.reload(sorted(one for one in stored if one > state.through))
        assert state.through == naive(stored)[0]
    finally:
        continuity_module.ISLANDS_MAX = kept


def test_a_device_that_skips_every_second_number_costs_no_memory_and_loses_nothing(hall, device):
    messages = [device.opened(), *(device.event() for _ in range(4 * ISLANDS_MAX))]
    hall.take(*messages[::2])
    state = next(iter(hall.admission._streams.values()))
    assert len(state.islands) == ISLANDS_MAX
    assert set(hall.take(*messages[::2]).records) == {"duplicate"}
    assert set(hall.take(*messages[1::2]).records) == {"stored"}
    (stream,) = hall.ledger.streams()
    assert (stream.through, stream.missing) == (len(messages), 0)


@given(
    order=st.permutations(range(12)),
    cuts=st.lists(st.integers(0, 12), max_size=3),
    repeats=st.lists(st.integers(0, 11)),
)
@settings(max_examples=25, deadline=None)
def test_any_order_of_arrival_gives_the_same_ledger(tmp_path_factory, order, cuts, repeats):
    hall = GatewayHall(tmp_path_factory.mktemp("hall"), [("e-001", "evaluator")])
    device = hall.devices["e-001"]
    messages = [device.opened(), *(device.event() for _ in range(11))]
    arriving = [messages[at] for at in [*order, *repeats]]
    edges = [0, *sorted(cuts), len(arriving)]
    for first, last in itertools.pairwise(edges):
        hall.take(*arriving[first:last])
    (stream,) = hall.ledger.streams()
    assert (stream.through, stream.stored, stream.missing) == (12, 12, 0)
    assert stream.duplicates == len(repeats)
    assert sorted(row.seq for row in hall.records()) == list(range(1, 13))
    assert all(row.flags == [] for row in hall.records())
    hall.stop()


def test_intake_memory_of_streams_is_bounded(hall, device, monkeypatch):
    monkeypatch.setattr("gateway.admission.STREAMS_MAX", 3)
    opened = []
    for _ in range(8):
        device.open_stream()
        opened.append(device.opened())
        hall.take(opened[-1])
    assert len(hall.admission._streams) == 3
    assert set(hall.take(*opened).records) == {"duplicate"}


def test_a_batch_of_a_hundred_records_is_one_sync(hall, device):
    commits = []
    hall.ledger._observe = commits.append
    hall.take(device.opened(), *(device.event() for _ in range(99)))
    assert len(commits) == 1


def test_a_boot_is_recorded_with_its_clock_evidence(hall, device):
    hall.take(device.opened(), device.seal(*device.make(3, {event.CODE: 2}, uptime_ms=123_456)))
    stored = hall.records()[-1]
    assert (stored.uptime_ms, stored.boot, stored.source) == (123_456, device.boot.hex(), 1)
