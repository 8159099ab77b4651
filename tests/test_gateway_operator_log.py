"""The operator log: every line hashed onto the one before; whatever is done to it is found, and the place named."""

import json
import re
import sqlite3

import pytest
from cbor2 import dumps
from cryptography.hazmat.primitives.hashes import SHA256, Hash
from gateway_hall import GatewayHall
from sealing_device import MORNING_S
from sqlalchemy import insert

from gateway import ledger_file, operator_checkpoint, operator_log, schema
from gateway.ledger import Ledger
from gateway.operator_check import FINDINGS_MAX, KEPT_S_MIN, check
from gateway.operator_log import NOTHING, ORDER, PAGE_LINES_MAX, REVOKE, Head, Note, append_all

LINES = 12


@pytest.fixture
def ledger(tmp_path):
    made = Ledger(tmp_path / "ledger.db")
    yield made
    made.close()


def fill(ledger, count=LINES, at_s=MORNING_S, step_s=60):
    """`count` lines; the head after each."""
    heads = []
    for number in range(1, count + 1):
        note = Note("technician", ORDER, f"e-{number:03}", {"order": "enrol", "slot": number})
        at = at_s + number * step_s
        heads.append(ledger.write(lambda connection, at=at, note=note: append_all(connection, at, [note])).result())
    return heads


LATER_S = MORNING_S + 100 * 366 * 24 * 3600  # no line is younger


def checked(path, heads=(), now_s=LATER_S):
    return ledger_file.look(path, lambda connection: check(operator_log.all_lines(connection), heads, now_s))


def found(path, heads=(), now_s=LATER_S):
    """[(line, code)] of a check."""
    return [(one.number, one.code) for one in checked(path, heads, now_s)[1]]


def rows_of(path):
    with sqlite3.connect(path) as connection:
        return connection.execute("SELECT * FROM operator_action ORDER BY number").fetchall()


def change(path, *statements):
    """What somebody does who can write to the ledger's file."""
    with sqlite3.connect(path) as connection:
        for statement in statements:
            connection.execute(*statement) if isinstance(statement, tuple) else connection.execute(statement)
    connection.close()


# --- The chain.


def test_a_line_is_hashed_as_the_module_says_by_an_encoder_that_is_not_ours(ledger):
    fill(ledger, 2)
    first, second = ledger.read(lambda connection: operator_log.lines_after(connection, 0, 9))
    digest = Hash(SHA256())
    digest.update(dumps(["hallseal operator log 1", *second[:6], first.hash], canonical=True))
    assert second.previous == first.hash
    assert second.hash == digest.finalize()
    assert first.previous == NOTHING
    assert second.details == '{"order":"enrol","slot":2}'


def test_a_whole_log_has_no_finding_and_tells_its_head(ledger, tmp_path):
    heads = fill(ledger)
    assert checked(tmp_path / "ledger.db", heads) == (heads[-1], [])
    assert ledger.read(operator_log.head) == heads[-1]
    assert heads[-1].number == LINES


def test_an_empty_log_is_whole(ledger, tmp_path):
    assert checked(tmp_path / "ledger.db") == (Head(0, NOTHING), [])
    assert checked(tmp_path / "ledger.db", [Head(0, NOTHING)]) == (Head(0, NOTHING), [])


# What is done to twelve lines -> where it is found, and as what.
TAMPERING = {
    "a line in the middle deleted": (["DELETE FROM operator_action WHERE number = 5"], (5, "missing")),
    "several deleted": (["DELETE FROM operator_action WHERE number BETWEEN 5 AND 8"], (5, "missing")),
    "the first deleted": (["DELETE FROM operator_action WHERE number = 1"], (1, "missing")),
    "the last deleted": (["DELETE FROM operator_action WHERE number = 12"], (12, "missing")),
    "the end deleted": (["DELETE FROM operator_action WHERE number > 3"], (4, "missing")),
    "all deleted": (["DELETE FROM operator_action"], (1, "missing")),
    "who": (["UPDATE operator_action SET actor = 'audit' WHERE number = 7"], (7, "changed")),
    "what": (["UPDATE operator_action SET action = 'login' WHERE number = 7"], (7, "changed")),
    "whom": (["UPDATE operator_action SET subject = 'e-099' WHERE number = 7"], (7, "changed")),
    "when": (["UPDATE operator_action SET at_s = at_s + 1 WHERE number = 7"], (7, "changed")),
    "a detail": (["UPDATE operator_action SET details_json = '{}' WHERE number = 7"], (7, "changed")),
    "a kind of value that no line has": (["UPDATE operator_action SET at_s = 1.5 WHERE number = 7"], (7, "changed")),
    "bytes that are no text": (["UPDATE operator_action SET actor = x'ff' WHERE number = 7"], (7, "changed")),
    "a hash": (["UPDATE operator_action SET hash = zeroblob(32) WHERE number = 7"], (7, "changed")),
    "the hash before": (["UPDATE operator_action SET previous = zeroblob(32) WHERE number = 7"], (7, "changed")),
    "two swapped": (
        ["UPDATE operator_action SET number = 99 WHERE number = 6",
         "UPDATE operator_action SET number = 6 WHERE number = 9",
         "UPDATE operator_action SET number = 9 WHERE number = 99"],
        (6, "changed"),
    ),
    "one moved up, to close the gap of one deleted": (
        ["DELETE FROM operator_action WHERE number = 11", "UPDATE operator_action SET number = 11 WHERE number = 12"],
        (11, "changed"),
    ),
    "one inserted": (
        ["UPDATE operator_action SET number = -number - 1 WHERE number > 4",
         "UPDATE operator_action SET number = -number WHERE number < 0",
         "INSERT INTO operator_action SELECT 5, at_s, actor, action, 'e-077', details_json, previous, hash "
         "FROM operator_action WHERE number = 4"],
        (5, "changed"),
    ),
    "one inserted before the first": (
        ["INSERT INTO operator_action SELECT -3, at_s, actor, action, subject, details_json, zeroblob(32), hash "
         "FROM operator_action WHERE number = 1"],
        (-3, "changed"),
    ),
}  # fmt: skip
ONLY_BY_A_HEAD = {"the last deleted", "the end deleted", "all deleted"}


@pytest.mark.parametrize("deed", TAMPERING)
def test_whatever_is_done_to_the_log_is_found_and_the_place_is_named(ledger, tmp_path, deed):
    heads = fill(ledger)
    statements, place = TAMPERING[deed]
    change(tmp_path / "ledger.db", *statements)
    assert found(tmp_path / "ledger.db", [heads[-1]])[0] == place
    alone = found(tmp_path / "ledger.db")
    assert alone == [] if deed in ONLY_BY_A_HEAD else alone[0] == place


@pytest.mark.parametrize(("forged", "place"), [({"actor": "audit"}, 8), ({"previous": NOTHING}, 7)])
def test_a_line_whose_own_hash_was_computed_anew_breaks_the_chain(ledger, tmp_path, forged, place):
    heads = fill(ledger)
    path = tmp_path / "ledger.db"
    true = ledger.read(lambda connection: operator_log.lines_after(connection, 6, 1))[0]
    line = true._replace(**forged)
    values = (line.actor, line.previous, line.computed())
    change(path, ("UPDATE operator_action SET actor = ?, previous = ?, hash = ? WHERE number = 7", values))
    assert found(path)[0] == (place, "chain")
    assert found(path, [heads[6]])[0] == ((7, "head") if place == 8 else (7, "chain"))


def test_a_forger_who_computes_all_hashes_anew_is_found_by_one_kept_head(ledger, tmp_path):
    heads = fill(ledger)
    path = tmp_path / "ledger.db"
    kept = [row for row in rows_of(path) if row[0] != 5]
    change(path, "DELETE FROM operator_action")
    notes = [(row[1], Note(row[2], row[3], row[4], json.loads(row[5]))) for row in kept]
    for at_s, note in notes:
        ledger.write(lambda connection, at_s=at_s, note=note: append_all(connection, at_s, [note])).result()
    fill(ledger, 1)  # and goes on, until the number is as high as before
    assert found(path) == []
    assert found(path, [heads[3]]) == []
    for kept_head in heads[4:]:
        assert found(path, [kept_head]) == [(kept_head.number, "head")]


def test_a_line_that_was_put_at_the_end_is_found_by_the_head_that_follows(ledger, tmp_path):
    fill(ledger, 3)
    path = tmp_path / "ledger.db"
    true = Head(4, b"\x11" * 32)  # what the gateway told of its own fourth line
    fill(ledger, 1)
    assert found(path, [true]) == [(4, "head")]


def test_a_log_in_pieces_is_told_in_bounded_words(ledger, tmp_path):
    fill(ledger, 60)
    change(tmp_path / "ledger.db", "UPDATE operator_action SET actor = 'x'")
    assert found(tmp_path / "ledger.db") == [(number, "changed") for number in range(1, FINDINGS_MAX + 1)]


# --- What a line may hold.


@pytest.mark.parametrize(
    ("note", "field"),
    [
        (Note("陈晓梅", ORDER, "e-001", {}), "actor"),
        (Note("", ORDER, "e-001", {}), "actor"),
        (Note("x" * 33, ORDER, "e-001", {}), "actor"),
        (Note("technician", "other", "e-001", {}), "action"),
        (Note("technician", ORDER, "e 001", {}), "subject"),
        (Note("technician", ORDER, "e" * 97, {}), "subject"),
        (Note("technician", ORDER, "一号窗口", {}), "subject"),
        (Note("technician", ORDER, "", {"name": "王"}), "details"),
        (Note("technician", ORDER, "", {"王": 1}), "details"),
        (Note("technician", ORDER, "", {"a": [["王"]]}), "details"),
        (Note("technician", ORDER, "", {"a": 1.5}), "details"),
        (Note("technician", ORDER, "", {"a": "x" * 97}), "details"),
        (Note("technician", ORDER, "", {"a": ["x" * 90] * 100}), "details"),
        (Note("technician", ORDER, "", {1: 1}), "details"),
        (Note("technician", ORDER, "", {"a": b"x"}), "details"),
    ],
)
def test_a_line_holds_no_name_and_no_more_than_it_may(ledger, note, field):
    good = Note("technician", ORDER, "e-001", {})
    with pytest.raises(ValueError, match=f"^{field}$"):
        ledger.write(lambda connection: append_all(connection, 1, [good, note])).result()
    assert ledger.read(operator_log.head) == Head(0, NOTHING)


def test_a_line_stands_or_falls_with_the_transaction_of_what_it_tells(ledger):
    def fail(connection):
        append_all(connection, 1, [Note("technician", REVOKE, "e-001", {})])
        raise OSError

    with pytest.raises(OSError):
        ledger.write(fail).result()
    assert ledger.read(operator_log.head).number == 0


def test_jobs_of_one_commit_make_one_chain(ledger, tmp_path):
    note = Note("technician", ORDER, "e-001", {})
    jobs = [ledger.write(lambda connection: append_all(connection, 1, [note, note])) for _ in range(50)]
    assert sorted(job.result().number for job in jobs) == list(range(2, 101, 2))
    assert found(tmp_path / "ledger.db") == []


# --- Checkpoints.


def old_log(ledger, count=operator_checkpoint.LINES_MIN + 10):
    """`count` lines of long ago."""
    notes = [Note("technician", ORDER, "e-001", {})] * count
    ledger.write(lambda connection: append_all(connection, MORNING_S, notes)).result()
    return MORNING_S + operator_checkpoint.KEPT_S + 1


def compact(ledger, now_s):
    return ledger.write(lambda connection: operator_checkpoint.compact(connection, now_s)).result()


def test_what_is_too_old_leaves_behind_a_line_that_says_so_and_the_chain_holds(ledger, tmp_path):
    now_s = old_log(ledger)
    heads = fill(ledger, 5, now_s)
    count = operator_checkpoint.LINES_MIN + 9
    assert compact(ledger, now_s + 301) == count
    head, findings = checked(tmp_path / "ledger.db", heads, now_s + 301)
    assert (head.number, findings) == (count + 7, [])
    rows = rows_of(tmp_path / "ledger.db")
    assert [row[0] for row in rows] == list(range(count + 1, count + 8)), "the newest old line stays, as a witness"
    stated = json.loads(rows[-1][5])
    assert stated == {"through": count, "hash": rows[0][6].hex(), "until_s": MORNING_S, "lines": count}
    assert compact(ledger, now_s + 301) == 0


def test_nothing_leaves_that_is_young_or_too_little_or_nothing(ledger, tmp_path):
    assert compact(ledger, MORNING_S) == 0
    fill(ledger, 10)
    assert compact(ledger, MORNING_S + 10 * operator_checkpoint.KEPT_S) == 0
    now_s = old_log(ledger, operator_checkpoint.LINES_MIN)
    assert compact(ledger, now_s - 3600) == 0
    assert len(rows_of(tmp_path / "ledger.db")) == 10 + operator_checkpoint.LINES_MIN


def test_one_run_removes_a_bounded_number_and_the_next_goes_on(ledger, tmp_path, monkeypatch):
    monkeypatch.setattr(operator_checkpoint, "LINES_MAX", operator_checkpoint.LINES_MIN + 5)
    now_s = old_log(ledger, 2 * operator_checkpoint.LINES_MIN + 20)
    assert compact(ledger, now_s) == operator_checkpoint.LINES_MIN + 5
    assert compact(ledger, now_s) == operator_checkpoint.LINES_MIN + 5
    assert compact(ledger, now_s) == 0
    head, findings = checked(tmp_path / "ledger.db")
    assert (head.number, findings) == (2 * operator_checkpoint.LINES_MIN + 22, [])


@pytest.mark.parametrize(
    ("deed", "code"),
    [
        ("DELETE FROM operator_action WHERE number = {first}", "missing"),
        ("UPDATE operator_action SET previous = zeroblob(32) WHERE number = {first}", "changed"),
        ("DELETE FROM operator_action WHERE action = 'checkpoint'", "missing"),
    ],
)
def test_a_checkpoint_hides_nothing_but_what_it_states(ledger, tmp_path, deed, code):
    now_s = old_log(ledger)
    fill(ledger, 5, now_s)
    compact(ledger, now_s + 301)
    first = rows_of(tmp_path / "ledger.db")[0][0]
    change(tmp_path / "ledger.db", deed.format(first=first))
    assert code in [finding for _, finding in found(tmp_path / "ledger.db")]


def test_a_checkpoint_over_young_lines_or_another_log_is_found(ledger, tmp_path):
    heads = fill(ledger, 5)
    path = tmp_path / "ledger.db"

    def forge(at_s, digest):
        stated = {"through": 3, "hash": digest.hex(), "until_s": MORNING_S + 180, "lines": 3}
        change(path, "DELETE FROM operator_action WHERE number <= 3 OR action = 'checkpoint'")
        note = Note("gateway", operator_log.CHECKPOINT, "", stated)
        ledger.write(lambda connection: append_all(connection, at_s, [note])).result()

    forge(MORNING_S + 600, heads[2].hash)
    assert found(path) == [(6, "checkpoint")]
    forge(MORNING_S + 240 + KEPT_S_MIN, heads[2].hash)
    assert found(path, heads[3:]) == []
    assert found(path, heads) == [(3, "removed")]
    assert found(path, [Head(3, b"\x11" * 32)]) == [(3, "removed"), (6, "head")]
    forge(MORNING_S + 240 + KEPT_S_MIN, b"\x11" * 32)
    assert found(path)[0] == (4, "chain")


def forge_checkpoint(ledger, path, head, at_s, until_s):
    """Who can write to the ledger's file removes the lines up to `head`, behind a checkpoint with the true hash."""
    stated = {"through": head.number, "hash": head.hash.hex(), "until_s": until_s, "lines": head.number}
    note = Note("gateway", operator_log.CHECKPOINT, "", stated)
    ledger.write(lambda connection: append_all(connection, at_s, [note])).result()
    change(path, f"DELETE FROM operator_action WHERE number <= {head.number}")


LONG_AGO_S = MORNING_S - 6 * 366 * 24 * 3600


def test_a_checkpoint_that_lies_about_the_age_of_what_it_removed_is_found(ledger, tmp_path):
    heads, path = fill(ledger), tmp_path / "ledger.db"
    forge_checkpoint(ledger, path, heads[4], MORNING_S + 3600, until_s=LONG_AGO_S)
    assert found(path) == [(13, "checkpoint")]
    assert found(path, heads[5:]) == [(13, "checkpoint")]


def test_a_checkpoint_that_is_dated_ahead_is_found_by_the_clock_and_by_what_follows_it(ledger, tmp_path):
    heads, path = fill(ledger), tmp_path / "ledger.db"
    forge_checkpoint(ledger, path, heads[4], MORNING_S + 2 * KEPT_S_MIN, until_s=LONG_AGO_S)
    assert found(path, heads[5:], now_s=MORNING_S + 7200) == [(13, "checkpoint")]
    fill(ledger, 1, MORNING_S + 7200)  # the gateway goes on
    assert found(path, heads[5:]) == [(13, "checkpoint")]


def test_all_lines_removed_behind_one_that_is_dated_back_are_found_by_any_head_of_them(ledger, tmp_path):
    heads, path = fill(ledger), tmp_path / "ledger.db"
    fill(ledger, 1, LONG_AGO_S)
    forge_checkpoint(ledger, path, heads[-1], MORNING_S + 3600, until_s=LONG_AGO_S)
    assert found(path, now_s=MORNING_S + 7200) == [], "the file alone proves little"
    for head in heads:
        assert found(path, [head], MORNING_S + 7200) == [(head.number, "removed")]


# --- The ledger that had no such log.


def test_a_ledger_of_the_third_version_gets_its_log(tmp_path):
    hall = GatewayHall(tmp_path, [("e-001", "evaluator")])
    hall.take(hall.devices["e-001"].opened())
    hall.stop()
    made = "\n".join(schema.MIGRATIONS[3])
    columns = re.findall(r"ALTER TABLE (\w+) ADD COLUMN (\w+)", made)
    undone = [f"DROP INDEX {name}" for name in re.findall(r"CREATE INDEX (\w+)", made)]
    undone += [f"ALTER TABLE {table} DROP COLUMN {column}" for table, column in columns]
    tables = ("DROP TABLE operator_action", "DROP TABLE operator_known")
    change(tmp_path / "ledger.db", *undone, *tables, "PRAGMA user_version = 3")
    again = GatewayHall(tmp_path, keys=hall.keys)
    assert again.ledger.last_position() == 1
    assert again.operator_log.note("technician", ORDER, "e-001").number == 1
    version = again.ledger.read(lambda connection: connection.exec_driver_sql("PRAGMA user_version").scalar())
    assert version == schema.SCHEMA_VERSION
    again.stop()


def test_a_long_log_is_read_in_pages(ledger, tmp_path):
    row = {"at_s": 1, "actor": "a", "action": ORDER, "subject": "", "details_json": "{}"}
    rows = [{**row, "number": number, "previous": NOTHING, "hash": NOTHING} for number in range(1, PAGE_LINES_MAX + 3)]
    ledger.write(lambda connection: connection.execute(insert(schema.operator_action), rows) and None).result()
    lines = ledger.read(lambda connection: list(operator_log.all_lines(connection)))
    assert [line.number for line in lines] == list(range(1, PAGE_LINES_MAX + 3))
    with pytest.raises(ValueError, match="limit"):
        ledger.read(lambda connection: operator_log.lines_after(connection, 0, PAGE_LINES_MAX + 1))
