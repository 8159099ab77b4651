"""`hallseal-gateway export` and `audit` as commands: what they say, how they end, and that an audit needs no hall."""

import json
import os
import re
import stat
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import long_export
import pytest
from evidence_morning import EvidenceMorning, Frames
from sealing_device import SUITE

from gateway import audit, cli
from gateway import bundle_file as kinds
from gateway.findings import KINDS
from gateway.ledger import Ledger
from protocol import field, manifest, sign1

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def morning(tmp_path_factory):
    made = EvidenceMorning(tmp_path_factory.mktemp("morning"))
    made.clean = made.export()
    made.file, made.root_file = made.folder / "morning.evidence", made.folder / "hall-root.pem"
    made.file.write_bytes(made.clean)
    made.root_file.write_bytes(made.root_pem)
    yield made
    made.hall.stop()


def test_an_audit_of_a_clean_file_ends_with_0_and_says_what_it_verified(morning, capsys):
    assert cli.main(["audit", str(morning.file), "--root", str(morning.root_file)]) == 0
    said = capsys.readouterr().out
    assert "records verified: 20 (14 ratings, 2 punches, 4 events), of 3 devices in 4 streams" in said
    assert "manifests verified: 3 (1 to 3)" in said
    assert said.splitlines()[-1] == "audit: clean, 3 notes"


def test_an_audit_without_a_bad_rating_ends_with_1_and_names_it(morning, capsys, tmp_path):
    frames = Frames.of(morning.clean)
    at = frames.records("e-001", level=1)[0]
    seq, stream = frames.content(at).seq, frames.content(at).stream.hex()
    frames.drop(at)
    (tmp_path / "changed").write_bytes(frames.data())
    assert cli.main(["audit", str(tmp_path / "changed"), "--root", str(morning.root_file)]) == 1
    said = capsys.readouterr().out
    assert f"    e-001, stream {stream}, number {seq}, manifest 1\n" in said
    assert "missing: gap (1)" in said
    assert said.splitlines()[-1].startswith("audit: 1 wrong, 2 missing")


def test_an_audit_for_a_machine_is_json_with_the_same_verdict(morning, capsys):
    assert cli.main(["audit", str(morning.file), "--root", str(morning.root_file), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["status"], found["records"]["rating"], found["manifests"]["last"]) == (0, 14, 3)
    assert {one["code"] for one in found["findings"]} == {"reopened", "refused", "tail"}


def test_the_central_key_opens_what_was_sealed_and_makes_the_masks_again(morning, capsys, tmp_path):
    (tmp_path / "hpke.key").write_bytes(morning.central_private)
    words = ["audit", str(morning.file), "--root", str(morning.root_file), "--central-key", str(tmp_path / "hpke.key")]
    assert cli.main(words) == 0
    assert "only what they show was looked at" not in capsys.readouterr().out
    (tmp_path / "hpke.key").write_bytes(SUITE.generate_private())
    assert cli.main(words) == 1
    assert "wrong: sealed (" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda words: [words[0], "no-such-file", *words[2:]], "cannot be read"),
        (lambda words: [words[0], words[3], *words[2:]], "is no export of hallseal-gateway"),
        (lambda words: [*words[:3], words[1]], "is no root certificate of a hall"),
        (lambda words: [*words, "--central-key", words[1]], "must hold 32 raw bytes"),
    ],
)
def test_an_audit_that_cannot_read_ends_with_2_and_says_why(morning, capsys, change, said):
    words = change(["audit", str(morning.file), "--root", str(morning.root_file)])
    assert cli.main(words) == 2
    error = capsys.readouterr().err
    assert said in error
    assert "Traceback" not in error


ALONE = """
import sys
def watch(event, arguments):
    if event.startswith("socket.") and event != "socket.gethostname":
        raise SystemExit("it reached for the network: " + event)
sys.addaudithook(watch)
from gateway.cli import main
sys.exit(main(sys.argv[1:]))
"""


def test_an_audit_works_alone_with_the_file_and_the_root(morning, tmp_path):
    """In another folder, without anything of the hall, and where every socket would end it."""
    words = ["audit", str(morning.file), "--root", str(morning.root_file)]
    environment = {"PYTHONPATH": str(REPOSITORY), "PATH": os.environ["PATH"]}
    done = subprocess.run(
        [sys.executable, "-c", ALONE, *words], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "audit: clean, 3 notes"


# --- Export.


@pytest.fixture
def ledger_of(hall_dir):
    """The configuration of a provisioned hall whose ledger is empty."""
    Ledger(hall_dir / "gateway" / "ledger.db").close()
    return hall_dir


def export(hall, *words):
    return cli.main(["export", *words, "--config", str(hall / "gateway" / "gateway.toml")])


def test_an_export_of_a_hall_names_the_devices_that_nobody_has_heard_of(ledger_of, tmp_path, capsys):
    file = tmp_path / "first.evidence"
    assert export(ledger_of, str(file)) == 0
    assert "0 records, no manifest yet" in capsys.readouterr().out
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert cli.main(["audit", str(file), "--root", str(ledger_of / "ca" / "root.pem"), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["counts"] == {"silent": 5}


def test_an_export_never_overwrites_and_leaves_no_half(ledger_of, tmp_path, capsys):
    file = tmp_path / "kept"
    file.write_bytes(b"kept")
    assert export(ledger_of, str(file)) == 1
    assert "never overwritten" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["kept"]
    assert file.read_bytes() == b"kept"


def test_an_export_without_a_key_says_what_is_missing(ledger_of, tmp_path, capsys):
    settings = ledger_of / "gateway" / "gateway.toml"
    settings.write_text(settings.read_text().replace("[evidence]", "[clock]").split("[clock]")[0] + _rest(settings))
    assert export(ledger_of, str(tmp_path / "none")) == 2
    assert "[evidence]: is missing" in capsys.readouterr().err


def _rest(settings):
    """What stands behind the section [evidence]."""
    behind = settings.read_text().split("[evidence]")[1]
    return "[" + behind.split("\n[", 1)[1]


def test_a_period_is_meant_in_days_of_the_hall(ledger_of, tmp_path, capsys):
    assert export(ledger_of, str(tmp_path / "day"), "--from", "2026-11-24", "--to", "2026-11-25") == 0
    for wrong in ("2026-11", "24.11.2026", "2026-02-30"):
        with pytest.raises(SystemExit):
            export(ledger_of, str(tmp_path / "other"), "--from", wrong)
        assert "day" in capsys.readouterr().err


def test_keys_and_certificates_of_two_halls_do_not_pass_the_check(ledger_of, tmp_path, capsys):
    (ledger_of / "gateway" / "evidence.key").write_bytes(SUITE.generate_private())
    assert cli.main(["check", "--config", str(ledger_of / "gateway" / "gateway.toml")]) == 2
    assert "copy evidence.pem and evidence.key of one hall" in capsys.readouterr().err


# --- How much and how fast.


def test_memory_of_an_audit_does_not_grow_with_the_records(morning, tmp_path, figure):
    peaks = []
    for records in (1500, 4500):
        long_export.write(tmp_path / str(records), morning, records)
        tracemalloc.start()
        report = audit.run([tmp_path / str(records)], morning.root_pem)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert (sum(report.records.values()), report.findings.status()) == (records, 0)
    figure("audit, memory of 4,500 records over that of 1,500", f"{peaks[1] / peaks[0]:.2f} (budget 1.3)")
    assert peaks[1] < 1.3 * peaks[0]


def test_an_audited_record_costs_a_few_signature_checks(morning, tmp_path, figure):
    """A ratio, because machines differ: both are measured here and now."""
    long_export.write(tmp_path / "long", morning, 2000)
    began_s = time.process_time()
    audit.run([tmp_path / "long"], morning.root_pem)
    audited_s = time.process_time() - began_s
    frames = Frames.of((tmp_path / "long").read_bytes())
    signed = sign1.parse(frames[frames.places(kinds.RECORD)[0]][1][0], sign1.RECORD_TYP)
    public = SUITE.load_public(morning.hall.devices["e-001"].signer.public_key)
    began_s = time.process_time()
    for _ in range(2000):
        assert sign1.verify(SUITE, public, signed)
    ratio = audited_s / (time.process_time() - began_s)
    figure("audit of a record, in signature checks", f"{ratio:.1f} (budget 12)")
    assert ratio < 12


def test_the_page_explains_every_code_of_the_table():
    shown = re.findall(r"^\| ([a-z_]+) \| (wrong|missing|note) \| (.+) \|$", _page("evidence.md"), re.MULTILINE)
    assert shown == [tuple(kind) for kind in KINDS.values()]
    named = set(re.findall(r"`([a-z]+(?:_[a-z]+)*)`", _page("evidence.zh-CN.md"))) - {"export", "audit"}
    assert named <= set(KINDS)


def test_the_page_explains_every_field_of_a_manifest():
    shown = re.findall(r"^\| ([0-9, ]+) \| ([a-z_, ]+) \|", _page("evidence.md"), re.MULTILINE)
    found = {
        (int(number), name.strip())
        for numbers, names in shown
        for number, name in zip(numbers.split(","), names.split(","), strict=True)
    }
    assert found == {(key, name) for key, name, *_ in field.rows(manifest.ROWS)}


def _page(name):
    return (REPOSITORY / "docs" / name).read_text("utf-8")
