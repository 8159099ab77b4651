"""`hallseal-gateway quarantine` and `operators`, against a gateway that listens with the hall's own certificate."""

import re
import shutil

import pytest
from sealed_pair import flip
from sealing_device import SealingDevice
from web_hall import WebHall

from gateway import cli, export_note, tokens
from gateway.configuration import PageSettings, load
from gateway.ledger_file import LedgerError
from gateway.quarantine import OFFERED_MAX
from gateway.running_gateway import url_of


class CommandHall:
    """hall: the running gateway. config: arguments that name its configuration."""

    def __init__(self, folder, hall_dir):
        self.toml = hall_dir / "gateway" / "gateway.toml"
        self.config = ["--config", str(self.toml)]
        loaded = load(self.toml)
        self.hall = WebHall(
            folder, [("e-001", "evaluator")], tokens=tokens.of_api(loaded), certificate=loaded.page.certificate,
            key=loaded.page.key, started=True,
        )  # fmt: skip
        self.set("port = 8443", f"port = {self.hall.url.rsplit(':', 1)[1]}")
        self.set('ledger = "ledger.db"', f'ledger = "{folder}/ledger.db"')

    def set(self, before, after):
        text = self.toml.read_text()
        assert before in text
        self.toml.write_text(text.replace(before, after))

    def run(self, *words):
        return cli.main([*words, *self.config])


@pytest.fixture
def made(tmp_path, hall_dir):
    found = CommandHall(tmp_path, hall_dir)
    yield found
    found.hall.stop()


@pytest.fixture
def stranger(made):
    return SealingDevice("e-009", made.hall.public)


def enrol(hall, device, status="active"):
    hall.devices[device.name] = device
    hall.write_registry(**{device.name.replace("-", "_"): status})


def fill(made, stranger):
    """1, 2 unknown; 3 decrypt; 4 size."""
    hall, evaluator = made.hall, made.hall.devices["e-001"]
    hall.take((stranger, stranger.opened()), (stranger, stranger.rating(1)))
    hall.take((evaluator, flip(evaluator.opened(), -160)))
    hall.take((evaluator, bytes(5000)))


def lines(capsys):
    return capsys.readouterr().out.splitlines()


def listed(capsys):
    return [line.split()[0] for line in lines(capsys) if re.match(r" +\d+ +\d{4}-", line)]


def test_the_list_is_filtered_and_goes_on_from_the_last_number(made, stranger, capsys):
    fill(made, stranger)
    assert made.run("quarantine", "list") == 0
    assert listed(capsys) == ["4", "3", "2", "1"]
    for words, numbers in (
        (["--reason", "unknown"], ["2", "1"]),
        (["--device", "e-001"], ["4", "3"]),
        (["--topic", stranger.topic], ["2", "1"]),
        (["--limit", "2", "--before", "4"], ["3", "2"]),
    ):
        assert made.run("quarantine", "list", *words) == 0
        assert listed(capsys) == numbers, words
    assert made.run("quarantine", "list", "--reason", "schema") == 0
    assert lines(capsys) == ["nothing is in quarantine for schema"]


def test_a_message_is_shown_with_what_it_claims_and_why_it_was_refused(made, stranger, capsys):
    fill(made, stranger)
    assert made.run("quarantine", "show", "2") == 0
    text = capsys.readouterr().out
    assert "unknown: the registry has no such device" in text
    assert "device e-009, algorithm 31, epoch 1, type hs-rec" in text
    assert made.run("quarantine", "show", "4") == 0
    assert "kept only the first 4096 bytes: it cannot be readmitted" in capsys.readouterr().out
    assert made.run("quarantine", "show", "99") == 1
    assert "there is no message 99" in capsys.readouterr().err


def test_the_technician_takes_back_what_was_refused_after_the_repair(made, stranger, capsys):
    fill(made, stranger)
    enrol(made.hall, stranger)
    assert made.run("quarantine", "readmit", "1", "3", "4") == 0
    assert lines(capsys) == [
        "       1  stored", "       3  refused: decrypt", "       4  cut", "1 cut, 1 refused, 1 stored",
    ]  # fmt: skip
    assert made.run("quarantine", "readmit", "--device", "e-009") == 0
    assert lines(capsys) == ["       2  stored", "1 stored"]
    assert made.run("quarantine", "readmit", "--device", "e-009") == 0
    assert lines(capsys) == ["nothing was there"]
    assert made.hall.ledger.last_position() == 2


def test_many_come_back_in_as_many_calls_as_it_takes(made, stranger, capsys):
    made.hall.take((stranger, stranger.opened()), *((stranger, stranger.event()) for _ in range(2 * OFFERED_MAX + 5)))
    enrol(made.hall, stranger)
    assert made.run("quarantine", "readmit", "--reason", "unknown") == 0
    assert lines(capsys)[-1] == f"{2 * OFFERED_MAX + 6} stored"


def test_numbers_or_a_selection_and_not_both(made, capsys):
    for words in ([], ["1", "--reason", "unknown"]):
        assert made.run("quarantine", "readmit", *words) == 2
        assert "give either numbers" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        made.run("quarantine", "readmit", "--reason", "readmitted")
    assert "invalid choice" in capsys.readouterr().err


def test_what_stands_in_the_way_is_said_with_what_to_do(made, stranger, capsys, tmp_path):
    fill(made, stranger)
    token = made.toml.parent / "technician.token"
    good = token.read_text()
    token.write_text("another-token-that-is-long-enough")
    assert made.run("quarantine", "readmit", "1") == 1
    assert "started with another token; start it again" in capsys.readouterr().err
    token.write_text(good)
    made.set('technician_token_file = "technician.token"\n', "")
    assert made.run("quarantine", "readmit", "1") == 2
    assert "[api] technician_token_file: is missing; " in capsys.readouterr().err
    assert made.hall.ledger.last_position() == 0


def test_a_gateway_that_does_not_run_is_to_be_started_first(made, stranger, capsys):
    fill(made, stranger)
    made.hall.web.stop()
    assert made.run("quarantine", "readmit", "1") == 1
    assert "the gateway does not answer; start it, then do this again" in capsys.readouterr().err
    assert made.run("quarantine", "list") == 0


def test_another_server_in_its_place_is_not_believed(made, hall_dir, stranger, capsys):
    fill(made, stranger)
    for name in ("https.pem", "https.key"):  # of the same root, but not the gateway's own
        shutil.copy(hall_dir / "central" / name.replace("https", "server"), made.toml.parent / ("other-" + name))
    made.set('cert = "https.pem"', 'cert = "other-https.pem"')
    made.set('key = "https.key"', 'key = "other-https.key"')
    assert made.run("quarantine", "readmit", "1") == 1
    assert "has another certificate than [page] cert" in capsys.readouterr().err
    assert made.hall.ledger.last_position() == 0


def test_the_page_is_reached_where_it_listens():
    for host, url in (
        ("127.0.0.1", "http://127.0.0.1:80"), ("0.0.0.0", "http://127.0.0.1:80"), ("::", "http://[::1]:80"),
        ("hall.example", "http://hall.example:80"),
    ):  # fmt: skip
        assert url_of(PageSettings(host, 80, None, None)) == url


# --- The operator log.


def test_the_operator_log_is_checked_and_listed_while_the_gateway_runs(made, capsys):
    for slot in range(3):
        made.hall.operator_log.note("technician", "order", "c-001", slot=slot)
    head = made.hall.operator_log.head()
    assert made.run("operators", "check") == 0
    told = lines(capsys)
    assert told[0] == f"the operator log is whole; its head is 3:{head.hash.hex()}"
    assert "only a head from the central system can tell" in told[1]
    assert made.run("operators", "check", "--head", f"3:{head.hash.hex()}") == 0
    assert len(lines(capsys)) == 1
    assert made.run("operators", "list", "--after", "1") == 0
    assert [line.split()[0] for line in lines(capsys)] == ["2", "3"]


def test_help_says_what_each_command_does(capsys):
    for words in (["quarantine", "readmit"], ["quarantine", "show"], ["operators", "check"], ["operators", "list"]):
        with pytest.raises(SystemExit, match="0"):
            cli.main([*words, "--help"])
        assert "--config FILE" in capsys.readouterr().out


def test_a_log_that_lacks_a_line_is_told_and_ends_with_one(made, capsys):
    for slot in range(3):
        made.hall.operator_log.note("technician", "order", "c-001", slot=slot)
    head = made.hall.operator_log.head()
    delete = "DELETE FROM operator_action WHERE number = {}"
    made.hall.ledger.write(lambda connection: connection.exec_driver_sql(delete.format(3)) and None).result()
    assert made.run("operators", "check") == 0
    assert made.run("operators", "check", "--head", f"3:{head.hash.hex()}") == 1
    assert "line 3 is missing" in capsys.readouterr().out
    made.hall.ledger.write(lambda connection: connection.exec_driver_sql(delete.format(1)) and None).result()
    assert made.run("operators", "check") == 1
    assert lines(capsys)[0] == "line 1 is missing"
    with pytest.raises(SystemExit):
        made.run("operators", "check", "--head", "3:abc")


def test_an_export_is_told_by_the_running_gateway_or_else_by_itself(made):
    configuration, digest = load(made.toml), bytes(range(32))
    told = export_note.tell(configuration, digest, 12)
    line = next(one for one in made.hall.operator_log.lines_after(0, 9) if one.action == "export")
    assert (line.number, line.hash) == told
    assert line.details == f'{{"digest":"{digest.hex()}","records":12}}'
    made.hall.web.stop()
    with pytest.raises(LedgerError, match="another gateway uses this ledger"):
        export_note.tell(configuration, digest, 12)
    made.hall.ledger.close()
    assert export_note.tell(configuration, digest, 13).number > told.number
