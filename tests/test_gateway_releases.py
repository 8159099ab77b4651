"""Releases on their way to devices: each heartbeat is answered with the next piece, and nothing wrong is offered."""

import io
import json
import logging
import os

import pytest
from gateway_hall import hall_of
from release_holders import LABELS, PUBLICS, lay, notice_of, sign
from sealing_device import MORNING_S, SUITE

from gateway import logs, releases
from gateway.metrics import Metrics
from gateway.registry import CHECK_INTERVAL_S
from gateway.releases import CHUNK, END, NOTICE, RELEASES_MAX, Releases
from protocol import command, heartbeat, release
from protocol.command import CHUNK_BYTES_MAX

CONTENT = bytes(range(256)) * 16  # 4096 bytes: two whole chunks and a piece
OLD = {heartbeat.RELEASE: 5}


class Shelf:
    """A folder of releases, looked at with every question."""

    def __init__(self, folder):
        self.folder = folder
        self.metrics = Metrics()
        self.releases = Releases(folder, PUBLICS, SUITE, self.metrics)
        self._real_s = 0.0

    def ask(self, claims=OLD, kind="evaluator", now_s=MORNING_S):
        self._real_s += CHECK_INTERVAL_S
        return self.releases.answer(kind, claims, now_s, self._real_s)

    def offered(self, **more):
        """Sequence of the release that is offered; None where none is."""
        answer = self.ask(**more)
        return answer and release.open(SUITE, PUBLICS, answer.claims[command.RELEASE]).sequence


@pytest.fixture
def shelf(tmp_path):
    return Shelf(tmp_path / "releases")


@pytest.fixture
def written(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    logs.setup(stream)
    return lambda: [json.loads(line) for line in stream.getvalue().splitlines()]


def fetching(sequence, at, running=5):
    return {heartbeat.RELEASE: running, heartbeat.UPDATE_SEQUENCE: sequence, heartbeat.UPDATE_BYTES: at}


# --- What is offered to whom.


def test_a_device_below_the_newest_release_is_offered_it(shelf):
    data = lay(shelf.folder, "six", CONTENT)
    answer = shelf.ask()
    assert (answer.step, answer.kind, answer.claims) == (NOTICE, command.UPDATE_NOTICE, {command.RELEASE: data})


def test_a_device_as_it_was_delivered_is_offered_the_newest(shelf):
    lay(shelf.folder, "one", CONTENT, sequence=1)
    assert shelf.offered(claims={heartbeat.RELEASE: 0}) == 1


@pytest.mark.parametrize("running", [6, 7])
def test_a_device_that_runs_it_or_a_newer_one_is_left_alone(shelf, running):
    lay(shelf.folder, "six", CONTENT)
    assert shelf.ask({heartbeat.RELEASE: running}) is None


def test_a_device_that_does_not_state_its_release_is_left_alone(shelf):
    lay(shelf.folder, "six", CONTENT)
    assert shelf.ask({}) is None


def test_a_refused_release_is_never_offered_again_and_an_older_one_neither(shelf):
    lay(shelf.folder, "six", CONTENT)
    assert shelf.ask({heartbeat.RELEASE: 4, heartbeat.UPDATE_REFUSED: 6}) is None
    assert shelf.ask({heartbeat.RELEASE: 4, heartbeat.UPDATE_REFUSED: 7}) is None
    assert shelf.ask({**fetching(6, 1792), heartbeat.UPDATE_REFUSED: 6}) is None
    lay(shelf.folder, "seven", CONTENT, sequence=7)
    assert shelf.offered(claims={heartbeat.RELEASE: 4, heartbeat.UPDATE_REFUSED: 6}) == 7


def test_each_kind_of_device_gets_its_own_release(shelf):
    lay(shelf.folder, "evaluators", CONTENT, sequence=8)
    lay(shelf.folder, "clocks", CONTENT[1:], device_class="clock", sequence=9)
    assert (shelf.offered(), shelf.offered(kind="clock")) == (8, 9)
    (shelf.folder / "clocks.notice").unlink()
    assert shelf.ask(kind="clock") is None


def test_the_highest_number_is_offered_whatever_its_file_is_called(shelf):
    for name, sequence in (("c", 7), ("a", 10), ("b", 9)):
        lay(shelf.folder, name, CONTENT, sequence=sequence)
    assert shelf.offered() == 10


def test_an_expired_release_is_not_offered_and_not_sent_on(shelf):
    lay(shelf.folder, "six", CONTENT, expires_s=MORNING_S + 1)
    lay(shelf.folder, "three", CONTENT, sequence=3, expires_s=MORNING_S + 9)
    assert shelf.offered(now_s=MORNING_S) == 6
    assert shelf.ask(now_s=MORNING_S + 1) is None
    assert shelf.ask(fetching(6, 0), now_s=MORNING_S + 1) is None
    assert shelf.offered(claims={heartbeat.RELEASE: 2}, now_s=MORNING_S + 1) == 3


def test_a_hall_without_releases_offers_none(tmp_path):
    assert Releases(None, (), SUITE, Metrics()).answer("evaluator", OLD, MORNING_S, 0.0) is None
    assert Shelf(tmp_path / "not-there").ask() is None


# --- Piece by piece.


def test_a_fetching_device_gets_the_piece_it_asks_for_and_the_end(shelf):
    lay(shelf.folder, "six", CONTENT)
    got = b""
    while True:
        answer = shelf.ask(fetching(6, len(got)))
        assert (answer.kind, answer.claims[command.SEQUENCE]) == (command.UPDATE_CHUNK, 6)
        assert answer.claims[command.OFFSET] == len(got)
        piece = answer.claims[command.DATA]
        if answer.step == END:
            break
        assert (answer.step, 0 < len(piece) <= CHUNK_BYTES_MAX) == (CHUNK, True)
        got += piece
    assert (got, piece) == (CONTENT, b"")


def test_a_piece_begins_wherever_the_device_is(shelf):
    lay(shelf.folder, "six", CONTENT)
    for at in (0, 1, 1792, 2000, 4095, 4096, 262144):
        assert shelf.ask(fetching(6, at)).claims[command.DATA] == CONTENT[at : at + CHUNK_BYTES_MAX], at
    claims = fetching(6, 0)
    del claims[heartbeat.UPDATE_BYTES]
    assert shelf.ask(claims).claims[command.OFFSET] == 0


def test_a_device_that_fetches_an_older_release_is_offered_the_newer_one(shelf):
    lay(shelf.folder, "six", CONTENT)
    lay(shelf.folder, "seven", CONTENT[2:], sequence=7)
    assert shelf.offered(claims=fetching(6, 1792)) == 7


def test_no_piece_is_sent_of_a_bundle_that_has_changed_since_it_was_verified(shelf):
    lay(shelf.folder, "six", CONTENT)
    assert shelf.ask(fetching(6, 0)).step == CHUNK
    bundle = shelf.folder / "six.bundle"
    bundle.write_bytes(CONTENT[::-1])
    os.utime(bundle, ns=(1, 1))
    assert shelf.releases.answer("evaluator", fetching(6, 0), MORNING_S, shelf._real_s) is None
    assert shelf.ask(fetching(6, 0)) is None
    bundle.unlink()
    assert shelf.ask(fetching(6, 0)) is None


# --- What is wrong is named, skipped, and taken when it is right.


def spoil(folder, name, content):
    (folder / name).write_bytes(content)


SPOILT = [
    ("bundle size", lambda folder: spoil(folder, "six.bundle", CONTENT[:-1])),
    ("bundle digest", lambda folder: spoil(folder, "six.bundle", CONTENT[:-1] + b"x")),
    ("file missing", lambda folder: (folder / "six.bundle").unlink()),
    ("file too long", lambda folder: spoil(folder, "six.bundle", bytes(262145))),
    ("file too long", lambda folder: spoil(folder, "six.notice", bytes(513))),
    ("notice structure: tag", lambda folder: spoil(folder, "six.notice", b"")),
    ("notice structure: tag", lambda folder: spoil(folder, "six.notice", b"evaluator 6")),
    ("notice encoding", lambda folder: spoil(folder, "six.notice", sign(notice_of(CONTENT))[:-1])),
    ("notice signature: threshold", lambda folder: lay(folder, "six", CONTENT, LABELS[:1])),
    ("notice signature: threshold", lambda folder: lay(folder, "six", CONTENT, (LABELS[0], LABELS[0]))),
    ("notice signature: release", lambda folder: lay(folder, "six", CONTENT, (LABELS[0], "stranger"))),
]


@pytest.mark.parametrize(("reason", "change"), SPOILT)
def test_what_cannot_be_used_is_named_once_skipped_and_taken_when_it_is_mended(shelf, written, reason, change):
    lay(shelf.folder, "five", CONTENT, sequence=5)
    lay(shelf.folder, "six", CONTENT)
    change(shelf.folder)
    for _ in range(3):
        assert shelf.offered(claims={heartbeat.RELEASE: 4}) == 5
    told = [line for line in written() if line["level"] == "warning"]
    assert [(line["event"], line["location"]) for line in told] == [("release cannot be used", "six")]
    assert told[0]["reason"].startswith(reason)
    assert shelf.metrics.value("releases") == 1
    lay(shelf.folder, "six", CONTENT)
    for name in ("six.bundle", "six.notice"):
        os.utime(shelf.folder / name, ns=(1, 1))  # another mark, however coarse this machine's file times are
    assert shelf.offered() == 6
    assert shelf.metrics.value("releases") == 2


def test_a_pipe_or_folder_in_place_of_a_file_holds_nobody_up(shelf, written):
    for number, (suffix, make) in enumerate((s, m) for s in ("notice", "bundle") for m in (os.mkfifo, os.mkdir)):
        lay(shelf.folder, f"r{number}", CONTENT)
        (shelf.folder / f"r{number}.{suffix}").unlink()
        make(shelf.folder / f"r{number}.{suffix}")
    assert shelf.ask() is None
    assert len(written()) == 4


def test_a_release_that_appears_while_the_gateway_runs_is_found(shelf):
    assert shelf.ask() is None
    data = sign(notice_of(CONTENT))
    shelf.folder.mkdir()
    (shelf.folder / "six.notice").write_bytes(data)
    assert shelf.ask() is None
    (shelf.folder / "six.bundle").write_bytes(CONTENT[:2000])
    assert shelf.ask() is None
    (shelf.folder / "six.bundle").write_bytes(CONTENT)
    assert shelf.ask().claims == {command.RELEASE: data}


def test_the_folder_is_looked_at_once_in_a_while_and_files_are_read_once(shelf, monkeypatch):
    lay(shelf.folder, "six", CONTENT)
    looks, reads = [], []
    names, read = releases._names, releases._read
    monkeypatch.setattr(releases, "_names", lambda folder: looks.append(folder) or names(folder))
    monkeypatch.setattr(releases, "_read", lambda *more: reads.append(more) or read(*more))
    for tick in range(100):
        assert shelf.releases.answer("evaluator", OLD, MORNING_S, 10 + tick * CHECK_INTERVAL_S / 10).step == NOTICE
    assert (len(looks), len(reads)) == (10, 2)


def test_a_folder_full_of_files_is_bounded(shelf, written):
    shelf.folder.mkdir()
    for number in range(RELEASES_MAX + 5):
        (shelf.folder / f"{number:03}.notice").write_bytes(b"")
    (shelf.folder / "readme.txt").write_text("notes")
    assert shelf.ask() is None
    assert len(shelf.releases._judged) == RELEASES_MAX
    (told,) = [line for line in written() if line["level"] == "error"]
    assert (told["event"], told["count"]) == ("too many releases, remove old ones", RELEASES_MAX + 5)


# --- From the heartbeat to the device.


hall = hall_of(("e-001", "evaluator"), ("c-001", "clock"), started=True, release_publics=PUBLICS)


@pytest.fixture
def device(hall):
    return hall.devices["e-001"]


def beat(hall, device, **claims):
    """A heartbeat of a device that has its settings, and the command that answers it."""
    hall.take((device, device.heartbeat(CONFIG_VERSION=1, ROSTER_VERSION=3, **claims)))
    ((what, content),) = hall.down(device, 1)
    assert what == "command"
    return content


def test_a_device_fetches_a_release_heartbeat_by_heartbeat(hall, device):
    data = lay(hall.folder / "releases", "six", CONTENT)
    offer = beat(hall, device, RELEASE=5)
    assert (offer.kind, offer.claims) == (command.UPDATE_NOTICE, {command.RELEASE: data})
    assert hall.clock.now_s() < offer.expires_s <= hall.clock.now_s() + 300
    got = b""
    while len(got) <= len(CONTENT):
        piece = beat(hall, device, RELEASE=5, UPDATE_SEQUENCE=6, UPDATE_BYTES=len(got))
        if not piece.claims[command.DATA]:
            break
        got += piece.claims[command.DATA]
    assert got == CONTENT
    steps = {step: hall.metrics.value("updates", kind="evaluator", step=step) for step in (NOTICE, CHUNK, END)}
    assert steps == {NOTICE: 1, CHUNK: 3, END: 1}


def test_what_a_device_runs_and_refused_is_kept_with_its_heartbeat(hall, device):
    hall.take(device.heartbeat(RELEASE=5, UPDATE_REFUSED=6))
    found = hall.ledger.heartbeats()["e-001"]
    assert (found.release_sequence, found.refused_sequence) == (5, 6)
    hall.take(device.heartbeat())
    found = hall.ledger.heartbeats()["e-001"]
    assert (found.release_sequence, found.refused_sequence) == (None, None)


def test_a_piece_that_the_link_did_not_take_is_asked_for_again(hall, device):
    lay(hall.folder / "releases", "six", CONTENT)
    hall.linked = False
    hall.take(device.heartbeat(CONFIG_VERSION=1, RELEASE=5))
    hall.linked = True
    offers = [beat(hall, device, RELEASE=5).kind for _ in range(2)]
    assert offers == [command.UPDATE_NOTICE] * 2


def test_receipts_come_whatever_happens_to_releases(hall, device, monkeypatch):
    def fail(*_):
        raise RuntimeError

    monkeypatch.setattr(hall.downlink._releases, "answer", fail)
    hall.take(device.heartbeat(CONFIG_VERSION=1, RELEASE=5), device.opened())
    ((what, content),) = hall.down(device, 1)
    assert (what, content.through) == ("receipt", 1)


def test_a_receipt_goes_before_the_chunk_of_the_same_batch(hall, device):
    lay(hall.folder / "releases", "six", CONTENT)
    beating = device.heartbeat(CONFIG_VERSION=1, RELEASE=5)
    hall.take(beating, device.opened())
    assert [what for what, _ in hall.down(device, 2)] == ["receipt", "command"]
