"""The running gateway, as the hall runs it: a process, a broker, TLS, signals."""

import contextlib
import json
import os
import re
import socket
import ssl
import subprocess
import sys
import threading
import time

import pytest
from hall_broker import EmbeddedBroker, Mosquitto
from sealed_pair import flip
from wired_hall import GatewayProcess
from wired_hall import connect as connected

from gateway import cli, quarantine, schema
from protocol import command, rating

pytestmark = pytest.mark.xdist_group("broker")

# The rest runs with the simulator's broker alone, which is always there.
on_both_brokers = pytest.mark.parametrize(
    "wired", ["embedded", pytest.param("mosquitto", marks=pytest.mark.broker)], indirect=True
)

WORDS = ["司马相如", "13700001111", "440301199912310022", "VISIT-4712", "没有一次性告知"]
IDENTITY = {rating.NAME: WORDS[0], rating.PHONE: WORDS[1], rating.ID_NUMBER: WORDS[2]}

# On the way without receipt; a device has ten, this keeps batches full and stays below a device's share of the intake.
WINDOW = 50


class Stream:
    """A device that sends without end, at most WINDOW on the way: whenever it is looked at, it is in mid-stream.

    make(number): the next message. end() gives all of them.
    """

    def __init__(self, device, make):
        self._device, self._make, self._messages = device, make, []
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        device, messages = self._device, self._messages
        while not self._ending.is_set():
            with device.changed:
                room = device.changed.wait_for(lambda: len(messages) - device.through < WINDOW, 0.1)
            if room:
                messages.append(self._make(len(messages)))
                device.send(messages[-1])

    def end(self):
        self._ending.set()
        self._thread.join()
        return self._messages

    def end_full(self):
        """end() once the window is full: no receipt comes any more."""
        deadline = time.monotonic() + 20
        while len(self._messages) < self._device.through + WINDOW:
            assert time.monotonic() < deadline, "receipts still come"
            time.sleep(0.02)
        return self.end()


@pytest.fixture
def wired(hall_dir, tmp_path, request):
    """(gateway process, broker, function that makes a connected device); all end with the test."""
    if getattr(request, "param", "embedded") == "mosquitto":
        broker = Mosquitto(request.getfixturevalue("mosquitto"), hall_dir, tmp_path / "broker")
    else:
        broker = EmbeddedBroker(hall_dir, tmp_path / "broker")
    gateway = GatewayProcess(hall_dir, broker)
    made = []

    def connect(name="e-001", kind="evaluator"):
        made.append(connected(gateway, name, broker, kind))
        return made[-1]

    try:
        yield gateway.start(), broker, connect
    finally:
        for device in made:
            device.close()
        if gateway.process and gateway.process.poll() is None:
            gateway.kill()
        broker.kill()


@on_both_brokers
def test_a_rating_travels_from_the_broker_to_the_ledger_and_its_receipt_back(wired):
    gateway, _, connect = wired
    device = connect()
    device.send(device.opened(int(time.time())), device.rating(2, int(time.time()), comment="慢"))
    device.wait(lambda: device.through == 2)
    assert len(gateway.stored("e-001")) == 2
    assert 'hallseal_records_total{kind="rating"} 1' in gateway.get("/metrics").text


def test_a_heartbeat_is_answered_with_the_time_and_with_what_the_device_lacks(wired):
    _, _, connect = wired
    device = connect("c-001", "clock")
    device.send(device.heartbeat(int(time.time()), TIME_NONCE=b"12345678"))
    device.wait(lambda: len(device.commands) == 3)
    answered, config, roster = device.commands
    assert answered.claims[1] == b"12345678"
    assert abs(answered.claims[2] / 1000 - time.time()) < 30
    assert (config.claims[1], roster.claims[1]) == (1, 1)
    assert answered.counter < config.counter < roster.counter


def test_a_visit_is_asked_at_its_window_and_its_outcome_is_told_without_level(wired):
    gateway, _, connect = wired
    device = connect()
    asked = {"window": device.place, "visit": WORDS[3], "applicant": {"name": WORDS[0], "phone": WORDS[1]}}
    opened = gateway.post("/api/v1/visits", asked).json()
    assert opened["state"] == "asked"
    device.wait(lambda: device.commands)
    request = device.commands[0].claims
    assert (request[1], request[5]) == (WORDS[3], {1: WORDS[0], 2: WORDS[1]})
    device.send(device.opened(), device.rating(1, int(time.time()), visit=request[1], identity=request[5]))
    device.wait(lambda: device.through == 2)
    again = gateway.post("/api/v1/visits", asked).json()
    assert again == {**opened, "state": "rated"}
    assert set(again) == {"visit", "window", "state", "id"}


def test_the_technicians_settings_and_orders_reach_the_clock(wired):
    gateway, _, connect = wired
    gateway.terminate()
    (gateway.folder / "sensor.password").write_text("0x13579BDF\n")
    (gateway.folder / "sensor.password").chmod(0o600)
    with gateway.toml.open("a") as toml:
        toml.write('\n[devices]\nopens_at = "08:30"\nutc_offset_min = 540\nsensor_password_file = "sensor.password"\n')
    gateway.start()
    clock = connect("c-001", "clock")
    clock.send(clock.heartbeat(int(time.time())))
    clock.wait(lambda: len(clock.commands) == 2)
    config, roster = (one.claims for one in clock.commands)
    assert (config[command.OPENING_MIN], config[command.UTC_OFFSET_MIN]) == (510, 540)
    assert config[command.SENSOR_PASSWORD] == 0x13579BDF
    assert [len(row) for row in roster[command.STAFF_ROWS]] == [4, 3, 3, 3], "the first is an administrator"
    assert gateway.get("/api/v1/live").json()["utc_offset_s"] == 540 * 60, "the page goes by the same hours"
    order = {"order": "enrol", "slot": 2}
    assert gateway.post("/api/v1/devices/c-001/orders", order).status_code == 401
    answer = gateway.post("/api/v1/devices/c-001/orders", order, "technician.token")
    assert (answer.status_code, answer.json()["order"]) == (202, "enrol")
    clock.wait(lambda: len(clock.commands) == 3)
    assert (clock.commands[2].kind, clock.commands[2].claims) == (command.ENROL, {command.SLOT: 2})
    assert f"{0x13579BDF}" not in gateway.log.read_text()
    assert "13579" not in gateway.log.read_text()


@on_both_brokers
def test_sigkill_loses_nothing_that_was_receipted(wired):
    gateway, _, connect = wired
    device = connect()
    now_s = int(time.time())

    def rated(number):
        return device.rating(1 + number % 5, now_s, visit=f"{WORDS[3]}-{number}", identity=IDENTITY)

    stream = Stream(device, lambda number: rated(number) if number else device.opened(now_s))
    device.wait(lambda: device.through >= 200, 60)
    gateway.kill()
    messages = stream.end_full()
    receipted = device.through
    assert receipted < len(messages), "killed in mid-stream"
    kept = gateway.stored("e-001")
    stream = device.stream.hex()
    assert [seq for seq in range(1, receipted + 1) if (stream, seq) not in kept] == []
    gateway.start()
    # A device waits for its receipt and sends again what has none.
    device.send(*messages[device.through :])
    device.wait(lambda: device.through == len(messages), 60)
    stored = gateway.stored("e-001")
    assert set(stored) == {(stream, seq) for seq in range(1, len(messages) + 1)}
    assert {key: stored[key] for key in kept} == kept, "what was stored before the kill is unchanged"
    summary = gateway.counts()["by_device"]["e-001"]
    assert (summary["ledger"], summary["gaps"]) == ({"ratings": len(messages) - 1, "punches": 0, "events": 1}, 0)
    assert_no_identity(gateway)


def assert_no_identity(gateway):
    """Nothing on the gateway's disk, its log included, names the reviewer."""
    seconds, status = gateway.terminate()
    assert (status, seconds < 5) == (0, True)
    searched = 0
    for path in gateway.folder.iterdir():
        if path.suffix in (".db", ".duckdb", ".jsonl") or path.name.startswith(("ledger", "timeseries")):
            content = path.read_bytes()
            searched += len(content)
            assert not [word for word in WORDS if word.encode() in content], (path.name, "holds an identity")
    assert searched > 100_000


def test_sigterm_in_mid_stream_ends_cleanly_within_five_seconds(wired):
    gateway, _, connect = wired
    device = connect()
    stream = Stream(device, lambda number: device.rating(5) if number else device.opened())
    device.wait(lambda: device.through >= 50)
    seconds, status = gateway.terminate()
    stream.end()
    assert status == 0
    assert seconds < 5
    kept = gateway.stored("e-001")
    assert set(kept) >= {(device.stream.hex(), seq) for seq in range(1, device.through + 1)}
    assert "gateway stopped" in gateway.log.read_text()


@on_both_brokers
def test_a_device_gone_mad_neither_stops_another_nor_pushes_its_messages_out_of_the_quarantine(wired):
    gateway, _, connect = wired
    gateway.terminate()
    gateway.toml.write_text(gateway.toml.read_text().replace("[store]\n", "[store]\nquarantine_messages_max = 200\n"))
    gateway.start()
    good, mad = connect(), connect("e-002")
    good.send(b"the only one of its kind")
    gateway.wait(lambda: sum(gateway.counts()["quarantine"].values()) == 1, 10)
    stopping = threading.Event()

    def flood():
        while not stopping.is_set():
            for _ in range(20):
                mad.client.publish(mad.topic, os.urandom(400), qos=0)
            stopping.wait(0.002)  # else it is this test that the flood holds up

    flooding = threading.Thread(target=flood, daemon=True)
    flooding.start()
    taken_s = []
    try:
        gateway.wait(lambda: gateway.counts()["quarantine"].get("structure", 0) >= 200, 60)
        for seq in range(1, 21):
            message, began = good.rating(5) if good.seq else good.opened(), time.monotonic()
            good.deliver(message)
            taken_s.append(time.monotonic() - began)
            assert good.through == seq
    finally:
        stopping.set()
        flooding.join(10)
    print(f"receipts in a flood: median {sorted(taken_s)[10]:.3f} s, slowest {max(taken_s):.3f} s")
    held = gateway.look(lambda connection: quarantine.held(connection, 1000))
    assert len(held) <= 200
    assert [one.topic for one in held if one.size_bytes != 400] == [good.topic]


class SilentCentral:
    """A central system that takes a request and never answers. asked: set when one came."""

    def __init__(self, hall):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(hall / "central" / "server.pem", hall / "central" / "server.key")
        self._listener = context.wrap_socket(socket.create_server(("127.0.0.1", 0)), server_side=True)
        self.port = self._listener.getsockname()[1]
        self.asked, self._held = threading.Event(), []
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        with contextlib.suppress(OSError):  # the listener was closed
            while True:
                self._held.append(self._listener.accept()[0])
                if self._held[-1].recv(1):
                    self.asked.set()

    def close(self):
        for one in (self._listener, *self._held):
            one.close()


def test_a_central_system_that_hangs_neither_holds_up_the_end_nor_breaks_the_log(wired):
    gateway, _, connect = wired
    gateway.terminate()
    central = SilentCentral(gateway.folder.parent)
    gateway.toml.write_text(re.sub(r"127.0.0.1:8444", f"127.0.0.1:{central.port}", gateway.toml.read_text()))
    gateway.start()
    try:
        device = connect()
        device.deliver(device.opened())
        assert central.asked.wait(20)
        assert gateway.terminate()[1] == 0
    finally:
        central.close()
    lines = [json.loads(line) for line in gateway.log.read_text().splitlines()]
    assert lines[-1]["event"] == "gateway stopped"
    assert gateway.look(lambda connection: connection.execute(schema.record.select()).all())


@on_both_brokers
def test_a_broker_that_forgets_everything_costs_only_time(wired):
    gateway, broker, connect = wired
    device = connect()
    device.send(device.opened())
    device.wait(lambda: device.through == 1)
    broker.kill()
    gateway.wait(lambda: not gateway.health()["outside"]["broker"], 10)
    broker.start()
    gateway.wait(lambda: gateway.health()["outside"]["broker"], 20)
    message = device.rating(4)
    deadline = time.monotonic() + 20
    while device.through < 2 and time.monotonic() < deadline:  # a device repeats what has no receipt
        if device.client.is_connected():
            device.send(message)
        time.sleep(0.2)
    assert device.through == 2


def test_a_ledger_that_is_older_than_the_time_series_hides_no_new_record_from_it(wired):
    """A back-up of the ledger numbers its records anew from where it ends."""
    gateway, _, connect = wired

    def points(device):
        found = gateway.counts()["by_device"].get(device.name, {"timeseries": {}})
        return found["timeseries"].get("ratings", 0)

    first, second = connect(), connect("e-002")
    first.send(first.opened(), first.rating(5), first.rating(4))
    first.wait(lambda: first.through == 3)
    gateway.wait(lambda: points(first) == 2, 10)
    gateway.terminate()
    for path in gateway.folder.glob("ledger.db*"):
        path.unlink()
    gateway.start()
    second.send(second.opened(), second.rating(1))
    second.wait(lambda: second.through == 2)
    gateway.wait(lambda: points(second) == 1, 10)


def test_a_second_gateway_on_the_same_ledger_is_refused(wired, capsys):
    gateway, _, _ = wired
    assert cli.main(["run", "--config", str(gateway.toml)]) == 1
    assert "another gateway uses this ledger" in capsys.readouterr().err


def test_a_time_series_that_another_program_holds_is_told_in_words(hall_dir, capsys):
    gateway = hall_dir / "gateway"
    holder = subprocess.Popen(
        [sys.executable, "-c", "import duckdb, sys\nheld = duckdb.connect(sys.argv[1])\nprint(1, flush=True)\ninput()",
         str(gateway / "timeseries.duckdb")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert holder.stdout.readline()
        assert cli.main(["run", "--config", str(gateway / "gateway.toml")]) == 1
        assert "another program has it open; end that first" in capsys.readouterr().err
    finally:
        holder.communicate(b"\n")


def test_a_damaged_list_of_dead_letters_is_told_in_words(hall_dir, capsys):
    gateway = hall_dir / "gateway"
    (gateway / "dead-letters.db").write_bytes(b"this is no database" * 100)
    assert cli.main(["run", "--config", str(gateway / "gateway.toml")]) == 1
    told = capsys.readouterr().err
    assert "dead-letters.db" in told
    assert "may be moved away" in told


def test_a_token_that_is_no_text_or_not_readable_is_told_in_words(hall_dir, capsys):
    gateway = hall_dir / "gateway"
    check = ["check", "--config", str(gateway / "gateway.toml")]
    business = (gateway / "business.token").read_bytes()
    (gateway / "business.token").write_bytes(b"\xff" * 40)
    assert cli.main(check) == 2
    assert "must hold one line" in capsys.readouterr().err
    (gateway / "business.token").write_bytes(business)
    (gateway / "audit.token").write_bytes(business)
    assert cli.main(check) == 2
    assert "[api] audit_token_file: holds the token of the business system" in capsys.readouterr().err
    (gateway / "audit.token").write_bytes(b"a-token-of-its-own-for-the-audit")
    for other, name in (("business", "the business system"), ("audit", "the audit")):
        (gateway / "technician.token").write_bytes((gateway / f"{other}.token").read_bytes())
        assert cli.main(check) == 2
        assert f"[api] technician_token_file: holds the token of {name}" in capsys.readouterr().err
    (gateway / "technician.token").write_bytes(b"a-token-of-its-own-for-technicians")
    for other, name in (("business", "the business system"), ("audit", "the audit"), ("technician", "the technician")):
        (gateway / "supervisor.token").write_bytes((gateway / f"{other}.token").read_bytes())
        assert cli.main(check) == 2
        assert f"[api] supervisor_token_file: holds the token of {name}" in capsys.readouterr().err


def test_the_technician_sees_what_was_refused(wired, capsys):
    gateway, _, connect = wired
    device = connect()
    device.send(flip(device.rating(5), -1), b"noise")
    gateway.wait(lambda: sum(gateway.counts()["quarantine"].values()) == 2, 10)
    assert cli.main(["quarantine", "list", "--config", str(gateway.toml)]) == 0
    shown = capsys.readouterr().out
    assert "decrypt" in shown
    assert "structure" in shown
    assert "hallseal/1/yongxing/e-001/up" in shown


def test_the_check_names_what_is_there_and_what_is_wrong(hall_dir, capsys):
    toml = hall_dir / "gateway" / "gateway.toml"
    assert cli.main(["check", "--config", str(toml)]) == 0
    assert "everything is in place" in capsys.readouterr().out
    (hall_dir / "gateway" / "command.key").chmod(0o644)
    assert cli.main(["check", "--config", str(toml)]) == 2
    assert "chmod 600" in capsys.readouterr().err
    (hall_dir / "gateway" / "command.key").chmod(0o600)
    toml.write_text(toml.read_text() + '\n[devices]\nsensor_password_file = "sensor.password"\n')
    (toml.parent / "sensor.password").write_text("none of a sensor")
    (toml.parent / "sensor.password").chmod(0o600)
    assert cli.main(["check", "--config", str(toml)]) == 2
    assert "[devices] sensor_password_file" in capsys.readouterr().err


def test_help_says_what_each_command_does(capsys):
    commands = ([], ["run"], ["check"], ["quarantine", "list"], ["items", "import"])
    for arguments in ([*words, "--help"] for words in commands):
        with pytest.raises(SystemExit) as ended:
            cli.main(arguments)
        assert ended.value.code == 0
        assert "--config" in capsys.readouterr().out
