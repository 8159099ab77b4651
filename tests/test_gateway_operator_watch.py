"""What the operator log tells by itself: registry, keys, configuration and tokens, few lines and none forgotten."""

import dataclasses
import hashlib
import json
import time

import pytest
from gateway_hall import hall_of
from sealing_device import SealingDevice
from web_hall import AUDIT_TOKEN, BUSINESS_TOKEN, TECHNICIAN_TOKEN, WebHall

from gateway import configuration, keys, known_state
from gateway.operator_log import LOGIN, LOGIN_FAILED
from gateway.operator_watch import OperatorWatch
from gateway.operators import Operators
from gateway.periodic import Periodic
from gateway.token_use import ACCEPTED_TOLD_S, REFUSED_TOLD_S, REFUSED_TOLD_S_MAX, TokenUse
from protocol.suite_host import HostSuite

PUBLICS = {"agreement": b"a" * 65, "command": b"c" * 65}


hall = hall_of(("e-001", "evaluator"), ("c-001", "clock"))


@pytest.fixture
def loaded(hall_dir):
    return configuration.load(hall_dir / "gateway" / "gateway.toml")


def watch(hall, loaded, publics=PUBLICS):
    """As a gateway makes it when it starts."""
    return OperatorWatch(
        hall.operator_log,
        hall.ledger,
        hall.registry,
        hall.roster,
        loaded,
        publics,
        TokenUse(hall.operator_log.hand_in),
        lambda: (hall.registry.refresh(0, at_once=True), hall.roster.refresh(time.monotonic())),
    )


def said(hall, after=0):
    """[(action, subject, details)] of the lines after a number."""
    return [(one.action, one.subject, json.loads(one.details)) for one in hall.operator_log.lines_after(after, 1000)]


def told(hall, watching):
    """[(action, subject)] of what one look adds."""
    before = hall.operator_log.head().number
    watching.look()
    return [(action, subject) for action, subject, _ in said(hall, before)]


# --- Registry, keys, configuration.


def test_the_first_start_states_everything_and_the_next_one_nothing(hall, loaded):
    assert told(hall, watch(hall, loaded)) == [
        ("config", ""), ("enrol", "c-001"), ("enrol", "e-001"), ("change", "evidence.crl"), ("key", "agreement"),
        ("key", "command"), ("change", "roster.json"),
    ]  # fmt: skip
    assert told(hall, watch(hall, loaded)) == []
    assert {one.actor for one in hall.operator_log.lines_after(0, 9)} == {"machine"}


def test_every_change_of_a_device_is_a_line_with_its_own_word(hall, loaded):
    watching = watch(hall, loaded)
    watching.look()
    for change, word in (("revoked", "revoke"), ("pending", "pending"), ("active", "approve")):
        hall.write_registry(e_001=change)
        assert told(hall, watching) == [(word, "e-001")]
        assert said(hall)[-1][2]["status"] == change
    hall.devices["e-002"] = SealingDevice("e-002", hall.public)
    hall.write_registry(e_002="pending")
    assert told(hall, watching) == [("enrol", "e-002")]
    del hall.devices["e-002"]
    hall.write_registry()
    assert told(hall, watching) == [("remove", "e-002")]
    hall.write_registry(c_001="pending")
    assert told(hall, watching) == [("pending", "c-001")]


def test_a_new_key_or_place_is_told_by_fingerprint_and_name_of_the_field(hall, loaded):
    watching = watch(hall, loaded)
    watching.look()
    before = said(hall)[2][2]
    other, evaluator = SealingDevice("e-001", hall.public, place="一号窗口"), hall.devices["e-001"]
    hall.devices["e-001"] = other
    hall.write_registry()
    assert told(hall, watching) == [("change", "e-001")]
    details = said(hall)[-1][2]
    assert details["changed"] == ["agreement", "place", "signing"]
    assert details["signing"] == known_state.fingerprint(other.signer.public_key)
    assert before["signing"] == known_state.fingerprint(evaluator.signer.public_key)
    assert "窗口" not in json.dumps(said(hall), ensure_ascii=False)


def test_another_roster_is_told_without_a_name(hall, loaded):
    watching = watch(hall, loaded)
    watching.look()
    before = said(hall)[-1][2]
    staff = [{"slot": 1, "number": "S001", "name": "陈晓梅", "administrator": True}]
    (hall.folder / "roster.json").write_text(json.dumps({"version": 4, "staff": staff}))
    hall.roster._file._checked_s = None
    assert told(hall, watching) == [("change", "roster.json")]
    details = said(hall)[-1][2]
    assert (before["version"], details["version"], details["people"]) == ("3", "4", "1")
    assert details["digest"] != before["digest"]
    assert "陈" not in json.dumps(said(hall), ensure_ascii=False)


def test_another_item_library_or_list_of_revocations_is_told_by_its_digest(hall, loaded, tmp_path):
    items, crl = tmp_path / "items.csv", tmp_path / "evidence.crl"
    crl.write_bytes(b"first")
    evidence = dataclasses.replace(loaded.evidence, revocations=crl)
    placed = dataclasses.replace(loaded, evidence=evidence, visits=dataclasses.replace(loaded.visits, items=items))
    watching = watch(hall, placed)
    watching.look()

    def told_of(name, content):
        after = hall.operator_log.head().number
        watching.look()
        digest = content and hashlib.sha256(content).hexdigest()
        assert said(hall, after) == [("change", name, {"digest": digest})]

    items.write_text("事项编码,事项名称\n", "utf-8")
    told_of("items.csv", items.read_bytes())
    crl.write_bytes(b"other")
    told_of("evidence.crl", b"other")
    items.unlink()
    told_of("items.csv", None)
    assert told(hall, watching) == told(hall, watch(hall, placed)) == []
    crl.write_bytes(b"while it did not run")
    assert told(hall, watch(hall, placed)) == [("change", "evidence.crl")]


def test_what_changed_while_the_gateway_did_not_run_is_told_at_the_start(hall, loaded):
    watch(hall, loaded).look()
    hall.write_registry(c_001="revoked")
    later = dataclasses.replace(loaded, page=dataclasses.replace(loaded.page, port=1234), roster=None)
    publics = {**PUBLICS, "command": b"d" * 65}
    before = hall.operator_log.head().number
    watch(hall, later, publics).look()
    config, revoke, key = said(hall, before)
    assert config[:2] == ("config", "") and config[2]["changed"] == ["page", "roster"]
    assert revoke[:2] == ("revoke", "c-001")
    assert key == (
        "key", "command",
        {"before": known_state.fingerprint(b"c" * 65), "fingerprint": known_state.fingerprint(b"d" * 65)},
    )  # fmt: skip


def test_the_gateways_own_keys_are_known_by_their_public_halves_alone(loaded):
    suite = HostSuite()
    secrets = keys.load(loaded.keys, suite)
    publics = keys.publics(secrets, loaded, suite)
    assert sorted(publics) == ["agreement", "central", "command", "release"]
    assert publics["agreement"] == suite.public_bytes(suite.load_private(loaded.keys.agreement.read_bytes()))
    assert publics["command"] == secrets.commands.public_key
    assert publics["release"] == loaded.releases.keys.read_bytes()


def test_the_state_of_a_configuration_differs_with_every_part_and_is_the_same_at_every_start(loaded, hall_dir):
    state = known_state.of_configuration(loaded)
    again = configuration.load(hall_dir / "gateway" / "gateway.toml")
    assert known_state.of_configuration(again) == state
    (parts,) = state.values()
    assert set(parts) == {one.name for one in dataclasses.fields(loaded)}
    for name, changed in (
        ("hall", "other"), ("clock", configuration.HallClock(60.0)), ("releases", None),
        ("masking", dataclasses.replace(loaded.masking, name_last=True)),
        ("devices", dataclasses.replace(loaded.devices, tag_codes=(207,))),
    ):  # fmt: skip
        (other,) = known_state.of_configuration(dataclasses.replace(loaded, **{name: changed})).values()
        assert [key for key in parts if parts[key] != other[key]] == [name]


def test_a_look_that_fails_is_made_up_for_by_the_next(hall, loaded, monkeypatch):
    watching = watch(hall, loaded)
    with monkeypatch.context() as patched:
        patched.setattr(known_state, "save", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            watching.look()
    assert hall.operator_log.head().number == 0
    assert len(told(hall, watching)) == 7


def test_the_operators_of_a_gateway_are_looked_after_until_the_end(hall, loaded):
    heads = []
    made = Operators(hall.ledger, hall.registry, hall.roster, loaded, PUBLICS, lambda: None)
    made.forward(lambda: heads.append(made.log.head()))
    made.start()
    deadline = time.monotonic() + 10
    while (not heads or made.log.head().number < 7) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert all(one.stop(10) for one in made.periodics)
    first = ["config", "enrol", "enrol", "change", "key", "key", "change"]
    assert heads and [action for action, _, _ in said(hall)] == first
    for _ in range(2):
        made.token_use.refused("audit")
    made.finish()
    assert made.compact(2**40) == 0
    assert [line.details for line in made.log.lines_after(7, 9)] == ['{"count":1}', '{"count":1}']


# --- Tokens.


class Uses:
    """A TokenUse with a clock of its own; `lines` are what it told."""

    def __init__(self):
        self.now_s, self.lines = 100.0, []
        self.use = TokenUse(
            lambda note: self.lines.append((note.actor, note.action, note.subject, note.details["count"])),
            lambda: self.now_s,
        )

    def told_after(self, seconds):
        self.now_s += seconds
        self.lines.clear()
        self.use.tell()
        return self.lines


def test_a_token_that_is_used_all_day_is_told_at_once_and_then_by_the_quarter_of_an_hour():
    uses = Uses()
    for _ in range(500):
        uses.use.accepted("audit")
    assert uses.lines == [("audit", LOGIN, "", 1)]
    assert uses.told_after(ACCEPTED_TOLD_S - 1) == []
    assert uses.told_after(1) == [("audit", LOGIN, "", 499)]
    assert uses.told_after(ACCEPTED_TOLD_S) == []  # quiet: forgotten
    uses.use.accepted("audit")
    assert uses.lines == [("audit", LOGIN, "", 1)]


def test_a_program_that_opens_visits_all_day_makes_no_line_unless_it_is_refused():
    uses = Uses()
    uses.use.accepted("business")
    assert uses.lines == []
    uses.use.refused("business")
    assert uses.lines == [("unknown", LOGIN_FAILED, "business", 1)]


def test_a_guesser_is_told_at_once_and_of_all_he_tried_but_cannot_fill_the_log():
    uses, lines, tries = Uses(), [], 0
    for _ in range(24 * 60):
        for _ in range(3):
            uses.use.refused("technician")
            tries += 1
        lines += list(uses.told_after(60)) or []
    told = [one for one in lines if one[1] == LOGIN_FAILED]
    assert len(told) <= 24 * 3600 / REFUSED_TOLD_S_MAX + 8
    uses.lines.clear()
    uses.use.tell(at_once=True)
    assert 1 + sum(count for *_, count in [*told, *uses.lines]) == tries
    assert REFUSED_TOLD_S < REFUSED_TOLD_S_MAX


def test_the_end_tells_what_was_counted():
    uses = Uses()
    for _ in range(3):
        uses.use.refused("audit")
    uses.lines.clear()
    uses.use.tell(at_once=True)
    assert uses.lines == [("unknown", LOGIN_FAILED, "audit", 2)]


def test_the_api_tells_who_used_which_token_and_who_was_refused(tmp_path):
    hall = WebHall(tmp_path, [("e-001", "evaluator"), ("c-001", "clock")], started=True)
    for token in (AUDIT_TOKEN, AUDIT_TOKEN, TECHNICIAN_TOKEN, "wrong"):
        with hall.business(token) as client:
            client.get("/api/v1/reconciliation")
    with hall.business(TECHNICIAN_TOKEN) as client:
        assert client.post("/api/v1/devices/c-001/orders", json={"order": "enrol", "slot": 7}).status_code == 202
        assert client.post("/api/v1/devices/e-001/orders", json={"order": "enrol", "slot": 7}).status_code == 409
    with hall.business(BUSINESS_TOKEN) as client:
        client.post("/api/v1/visits", json={"window": "01", "visit": "A-17"})
    deadline = time.monotonic() + 10
    while hall.operator_log.head().number < 4 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert sorted(
        (one.actor, one.action, one.subject, one.details) for one in hall.operator_log.lines_after(0, 99)
    ) == [
        ("audit", "login", "", '{"count":1}'),
        ("technician", "login", "", '{"count":1}'),
        ("technician", "order", "c-001", '{"order":"enrol","slot":7}'),
        ("unknown", "login_failed", "audit", '{"count":1}'),
    ]
    hall.stop()


# --- The thread.


def test_a_turn_that_fails_does_not_end_the_others():
    turns = []

    def work():
        turns.append(1)
        raise ZeroDivisionError

    periodic = Periodic("test", 0.001, work)
    periodic.start()
    deadline = time.monotonic() + 10
    while len(turns) < 3 and time.monotonic() < deadline:
        time.sleep(0.001)
    assert periodic.stop(10)
    assert len(turns) >= 3
    assert Periodic("never", 1, work).stop(0)
