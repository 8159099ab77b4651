"""What a device writes down, when it says that was, and what it keeps over a reboot. On CPython and on MicroPython."""

import gc
import os

from flash_root import new_root, read, write
from refusing import refusal_of
from sealed_pair import HALL, NAME, Pair
from suites import suites

from firmware.journal import BLOCK_BYTES, Journal, JournalFull
from firmware.recorder import Recorder
from firmware.settings import DEFAULTS, Settings
from firmware.tally import by_kind
from firmware.twin_file import CONTENT_BYTES_MAX, TwinFile
from firmware.uptime import Uptime
from firmware.wall_clock import STEP_MS, WallClock
from protocol import command, disclosure, event, heartbeat, punch, rating, record, sealed_record, sign1
from protocol.record import GATEWAY_TIME, NO_TIME

# The flash lies in the heap here, beside the devices.
HEAP_KIB = 256
if hasattr(gc, "freeze"):  # a recorder collects after every record; what CPython holds by now need not be looked at
    gc.freeze()
SUITE = suites()[0]
PAIR = Pair(SUITE)
BUILT_S = 1772409600
MORNING_S = BUILT_S + 432000
HOUR_MS = 3600000
RATED = {rating.WINDOW: "01", rating.OUTCOME: rating.RATED, rating.LEVEL: 5, rating.MODE: rating.WALK_UP}
UNRATED = {rating.WINDOW: "01", rating.OUTCOME: rating.TIMED_OUT, rating.MODE: rating.VISIT_MODE}
PUNCHED = {punch.DOOR: "D1", punch.STAFF: "S001", punch.DIRECTION: 0, punch.SCORE: 99, punch.METHOD: 1}
TOLD = {event.CODE: event.SELF_CHECK, event.VALUE: 0}


class Ticks:
    """A board's ticks, which wrap. now_ms moves only when the test moves it."""

    PERIOD_MS = 1 << 30

    def __init__(self, now_ms=1000):
        self.now_ms = now_ms

    def ticks_ms(self):
        return self.now_ms % self.PERIOD_MS

    def ticks_diff(self, later, earlier):
        half = self.PERIOD_MS // 2
        return (later - earlier + half) % self.PERIOD_MS - half


class Who:
    """As much of an identity as a recorder reads."""

    device, hall = NAME, HALL


class Life:
    """One boot of a device on the flash `root`: everything that a recorder stands on."""

    def __init__(self, root, quota_bytes=16 * BLOCK_BYTES, built_s=BUILT_S):
        self.root = root
        self.ticks = Ticks()
        self.uptime = Uptime(self.ticks)
        self.clock = WallClock(SUITE, self.uptime, root, built_s)
        self.journal = Journal(root, quota_bytes)
        channel = PAIR.channel("device")
        self.recorder = Recorder(SUITE, Who, channel, PAIR.signer, self.journal, self.uptime, self.clock)

    def reboot(self):
        self.journal.close()
        return Life(self.root)

    def tell(self, time_s, trip_ms=0):
        """The gateway's answer to a fresh question."""
        nonce = self.clock.ask()
        self.ticks.now_ms += trip_ms
        return self.clock.answer(nonce, 1000 * time_s)

    def signed(self, seq):
        return sealed_record.open(PAIR.gateway, self.journal.message(seq))

    def made(self, seq):
        """The record of this number, as the gateway reads it."""
        signed = self.signed(seq)
        assert sign1.verify(SUITE, PAIR.signing_public, signed)
        return record.decode(signed.payload)


def _beat(life):
    """Claims of a heartbeat."""
    beats = {heartbeat.STREAM: life.journal.stream, heartbeat.HEAD_HASH: life.journal.head_hash}
    beats[heartbeat.FIRMWARE], beats[heartbeat.PRESSES] = "0.1.0", life.recorder.totals()
    for claim in (heartbeat.HEAD, heartbeat.PENDING, heartbeat.FREE_FLASH, heartbeat.FREE_HEAP):
        beats[claim] = 1
    for claim in (heartbeat.CONFIG_VERSION, heartbeat.THROUGH, heartbeat.ROSTER_VERSION):
        beats[claim] = 0
    return beats


def _raises(kind, call, *arguments):
    try:
        call(*arguments)
    except kind:
        return True
    return False


# --- uptime and time


def test_uptime_goes_on_where_ticks_wrap_and_never_goes_back():
    ticks = Ticks(Ticks.PERIOD_MS - 500)
    uptime = Uptime(ticks)
    assert uptime.ms() == 0
    ticks.now_ms += 2000
    assert uptime.ms() == 2000
    ticks.now_ms -= 700
    assert uptime.ms() == 2000
    for _ in range(9):
        ticks.now_ms += 5 * 24 * HOUR_MS
        uptime.ms()
    assert uptime.ms() == 2000 - 700 + 45 * 24 * HOUR_MS


def test_a_device_that_nobody_told_the_time_does_not_know_it():
    life = Life(new_root())
    life.ticks.now_ms += HOUR_MS
    assert (life.clock.source, life.clock.now_s()) == (NO_TIME, 0)


def test_told_the_time_it_goes_on_by_itself_and_half_the_trip_is_added():
    life = Life(new_root())
    assert life.tell(MORNING_S, trip_ms=4000) == 0
    assert (life.clock.source, life.clock.now_s()) == (GATEWAY_TIME, MORNING_S + 2)
    life.ticks.now_ms += 45000
    assert life.clock.now_s() == MORNING_S + 47


def test_time_is_never_below_build_time():
    life = Life(new_root())
    assert life.tell(BUILT_S - 1) is None
    assert (life.clock.source, life.clock.now_s()) == (NO_TIME, 0)
    assert life.tell(BUILT_S) == 0
    assert life.clock.now_s() == BUILT_S


def test_time_is_never_below_the_last_persisted_time():
    life = Life(new_root())
    life.tell(MORNING_S)
    life = life.reboot()
    assert (life.clock.source, life.clock.floor_s) == (NO_TIME, MORNING_S)
    assert life.tell(MORNING_S - 1) is None and life.clock.source == NO_TIME
    assert life.tell(MORNING_S) == 0


def test_the_first_time_told_is_a_floor_however_new_the_firmware():
    life = Life(new_root())
    life.tell(BUILT_S + 60)
    assert life.reboot().clock.floor_s == BUILT_S + 60


def test_newer_firmware_raises_the_floor():
    life = Life(new_root())
    life.tell(MORNING_S)
    assert Life(life.root, built_s=MORNING_S + 9).clock.floor_s == MORNING_S + 9


def test_the_floor_is_written_once_an_hour():
    life = Life(new_root())
    written = []
    for _ in range(13):
        life.tell(MORNING_S + (life.ticks.now_ms - 1000) // 1000)
        written.append(int.from_bytes(TwinFile(life.root + "/clock").content, "big") - MORNING_S)
        life.ticks.now_ms += 600000
    assert written == [0] * 6 + [3600] * 6 + [7200]


def test_a_torn_clock_file_is_an_older_floor_and_no_error():
    life = Life(new_root())
    life.tell(MORNING_S)
    life.ticks.now_ms += HOUR_MS
    life.tell(MORNING_S + 3600)
    _tear_newest(life.root + "/clock")
    assert life.reboot().clock.floor_s == MORNING_S


def test_an_answer_counts_once_and_only_for_the_newest_question():
    life = Life(new_root())
    clock = life.clock
    assert clock.answer(b"", 1000 * MORNING_S) is None  # nobody asked
    stale, nonce = clock.ask(), clock.ask()
    assert stale != nonce
    for wrong in (stale, bytes(8), b"", nonce[:7]):
        assert clock.answer(wrong, 1000 * MORNING_S) is None
    assert (clock.source, clock.now_s()) == (NO_TIME, 0)
    assert clock.answer(nonce, 1000 * MORNING_S) == 0
    assert clock.answer(nonce, 1000 * (MORNING_S + 7200)) is None
    assert clock.now_s() == MORNING_S


def test_a_jump_is_reported_in_both_directions_and_drift_is_not():
    life = Life(new_root())
    assert life.tell(MORNING_S) == 0  # the first time is no jump
    assert life.tell(MORNING_S + STEP_MS // 1000) == 0
    assert life.tell(MORNING_S + STEP_MS // 1000 + 1800) == 1800000
    assert life.tell(MORNING_S + STEP_MS // 1000 + 600) == -1200000
    assert life.clock.now_s() == MORNING_S + STEP_MS // 1000 + 600


def test_what_a_slow_network_leaves_unknown_is_no_jump():
    life = Life(new_root())
    life.tell(MORNING_S)
    off_s = (STEP_MS + 5000) // 1000
    assert life.tell(MORNING_S + 10 + off_s, trip_ms=20000) == 0  # 20 s on the way: it may be 10 s off
    assert life.tell(MORNING_S + 20 + 2 * off_s) == 1000 * off_s


# --- records


def test_a_record_without_a_known_time_says_so():
    life = Life(new_root())
    seq = life.recorder.record(record.EVENT, TOLD)
    assert (life.made(seq).source, life.made(seq).coarse_s) == (NO_TIME, 0)
    life.tell(MORNING_S + 899)
    seq = life.recorder.record(record.EVENT, TOLD)
    assert (life.made(seq).source, life.made(seq).coarse_s) == (GATEWAY_TIME, MORNING_S)
    life = life.reboot()
    seq = life.recorder.record(record.EVENT, TOLD)
    assert (life.made(seq).source, life.made(seq).coarse_s) == (NO_TIME, 0)


def test_records_are_numbered_and_chained_without_a_gap_over_reboots():
    life = Life(new_root())
    boots = []
    for _ in range(3):
        for _ in range(3):
            life.recorder.record(record.EVENT, TOLD)
        life = life.reboot()
    prev = record.GENESIS_PREV
    for seq in range(1, 11):
        made = life.made(seq)
        assert (made.seq, made.prev, made.stream) == (seq, prev, life.journal.stream)
        prev = record.payload_hash(SUITE, life.signed(seq).payload)
        if made.boot not in boots:
            boots.append(made.boot)
    assert life.journal.head == 10 and len(boots) == 3
    assert life.made(1).claims == {event.CODE: event.STREAM_OPENED}


def test_a_record_is_on_flash_before_its_number_is_known():
    life = Life(new_root())
    for kind, claims in ((record.RATING, RATED), (record.PUNCH, PUNCHED), (record.EVENT, TOLD)):
        seq = life.recorder.record(kind, claims)
        after = Journal(life.root, 16 * BLOCK_BYTES)  # what a power cut at this moment would leave; nothing is closed
        assert (after.head, after.head_hash, after.tally) == (seq, life.journal.head_hash, life.journal.tally)
        assert after.message(seq) == life.journal.message(seq)
    life.journal.close()


def test_a_turned_bit_in_what_is_left_after_a_receipt_stops_no_device():
    """Everything is receipted, one segment is left, and its only record is damaged."""
    life = Life(new_root())
    for _ in range(7):
        life.recorder.record(record.PUNCH, PUNCHED)
    life.journal.close()
    life.recorder.record(record.PUNCH, PUNCHED)
    life.journal.trim(9)
    path = life.root + "/journal/00000009.seg"
    whole = read(path)
    for at in list(range(0, len(whole), 41)) + [1, 2, 3, len(whole) - 1]:  # noqa: RUF005
        life.journal.close()
        write(path, whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        again = Life(life.root)
        assert again.journal.head >= 9 and again.journal.stream == life.journal.stream
        again.recorder.heartbeat(_beat(again))
        seq = again.recorder.record(record.EVENT, TOLD)
        assert seq == again.journal.head and again.made(seq).prev != bytes(16)
        again.journal.close()
        os.remove(f"{life.root}/journal/{seq:08x}.seg")


def test_a_flash_that_lost_everything_begins_a_stream_that_names_the_one_before():
    life = Life(new_root())
    life.recorder.record(record.PUNCH, PUNCHED)
    before = life.journal.stream
    life.journal.close()
    path = life.root + "/journal/00000001.seg"
    write(path, b"\xff" * len(read(path)))
    again = Life(life.root)
    assert again.journal.stream != before and again.journal.head == 1
    opening = again.made(1).claims
    assert opening[event.CODE] == event.STREAM_OPENED
    assert (opening[event.PREVIOUS_STREAM], opening[event.PREVIOUS_HEAD]) == (before, 2)
    assert again.recorder.record(record.PUNCH, PUNCHED) == 2


def test_what_is_refused_takes_no_number():
    life = Life(new_root())
    wrong = {rating.WINDOW: "01", rating.OUTCOME: rating.TIMED_OUT, rating.LEVEL: 3, rating.MODE: rating.WALK_UP}
    assert refusal_of(life.recorder.record, record.RATING, wrong) == "schema"
    assert (life.journal.head, life.recorder.totals()) == (1, [0] * 5)
    assert life.recorder.record(record.RATING, RATED) == 2


def test_a_full_journal_takes_no_number_and_still_takes_events():
    life = Life(new_root(), quota_bytes=4 * BLOCK_BYTES)
    while not _raises(JournalFull, life.recorder.record, record.RATING, RATED):
        pass
    head, totals = life.journal.head, life.recorder.totals()
    assert totals == [0, 0, 0, 0, head - 1]
    for told in (1, 2):
        assert life.recorder.record(record.EVENT, TOLD) == head + told
        assert _raises(JournalFull, life.recorder.record, record.RATING, RATED)  # what is kept for events is for events
    assert life.recorder.totals() == totals
    assert by_kind(life.journal.head, life.journal.tally) == (head - 1, 0, 3)


def test_totals_of_ratings_survive_reboots_and_receipts():
    life = Life(new_root())
    for level in (1, 3, 3, 5, 5, 5):
        claims = dict(RATED)
        claims[rating.LEVEL] = level
        life.recorder.record(record.RATING, claims)
    life.recorder.record(record.RATING, UNRATED)  # a rating, and no level
    life.recorder.record(record.PUNCH, PUNCHED)
    for _ in range(2):
        assert life.recorder.totals() == [1, 0, 2, 0, 3]
        assert by_kind(life.journal.head, life.journal.tally) == (7, 1, 1)
        life = life.reboot()
        life.journal.trim(life.journal.head)
    life.recorder.record(record.RATING, RATED)
    assert life.reboot().recorder.totals() == [1, 0, 2, 0, 4]


def test_the_uptime_of_a_rating_is_coarse_and_of_everything_else_exact():
    life = Life(new_root())
    life.ticks.now_ms += 2 * HOUR_MS + 123456
    shown = [
        life.made(life.recorder.record(kind, claims)).uptime_ms
        for kind, claims in ((record.RATING, RATED), (record.PUNCH, PUNCHED), (record.EVENT, TOLD))
    ]
    assert shown == [2 * HOUR_MS, 2 * HOUR_MS + 123456, 2 * HOUR_MS + 123456]


def test_what_can_be_redacted_is_signed_as_a_digest_with_a_salt_of_its_own():
    life = Life(new_root())
    secret = {rating.OCCASION: [0, "V0001"], rating.IDENTITY: {rating.NAME: "王琳"}}
    seqs = [life.recorder.record(record.RATING, RATED, secret) for _ in range(2)]
    first, second = [life.made(seq).digests for seq in seqs]
    assert sorted(first) == sorted(secret) and not set(first.values()) & set(second.values())
    signed = life.signed(seqs[0])
    assert disclosure.check(SUITE, list(signed.disclosures), first) == secret
    assert signed.payload.find(b"V0001") < 0 and signed.payload.find("王琳".encode()) < 0


def test_a_heartbeat_has_a_stream_of_its_own_and_is_not_journaled():
    life = Life(new_root())
    life.ticks.now_ms += 1234
    beats = _beat(life)
    prev, streams = record.GENESIS_PREV, []
    for seq in (1, 2):
        payload = sealed_record.open(PAIR.gateway, life.recorder.heartbeat(beats)).payload
        made = record.decode(payload)
        assert (made.kind, made.seq, made.prev, made.uptime_ms) == (record.HEARTBEAT, seq, prev, 1234)
        prev = record.payload_hash(SUITE, payload)
        streams.append(made.stream)
    assert streams[0] == streams[1] != life.journal.stream and life.journal.head == 1


# --- what is kept in two copies


def _newest(path):
    """Path of the newer copy."""
    copies = [path + ".0", path + ".1"]
    return max(copies, key=lambda copy: read(copy)[:4])


def _tear_newest(path):
    newest = _newest(path)
    write(newest, read(newest)[:-1])


def _command(kind, counter, claims):
    return command.Command(NAME, HALL, MORNING_S, MORNING_S, kind, counter, claims)


def _config(version, counter, place="07"):
    claims = {command.VERSION: version, command.PLACE: place, command.LANGUAGE: "en", command.BRIGHTNESS: 9}
    claims[command.RATING_TIMEOUT_S], claims[command.HEARTBEAT_S] = 30, 60
    return _command(command.CONFIG, counter, claims)


def _roster(version, counter, rows):
    return _command(command.ROSTER, counter, {command.ROSTER_VERSION: version, command.STAFF_ROWS: rows})


def test_whatever_a_power_cut_leaves_of_the_newest_copy_the_older_one_counts():
    root = new_root()
    file = TwinFile(root + "/thing")
    assert file.content == b""
    for content in (b"first", b"second", b"third"):
        file.store(content)
        assert TwinFile(root + "/thing").content == content
    newest = _newest(root + "/thing")
    whole = read(newest)
    for length in range(len(whole)):
        write(newest, whole[:length])
        assert TwinFile(root + "/thing").content == b"second"
    for at in range(len(whole)):
        write(newest, whole[:at] + bytes((whole[at] ^ 0x10,)) + whole[at + 1 :])
        assert TwinFile(root + "/thing").content == b"second"
    survivor = TwinFile(root + "/thing")
    survivor.store(b"fourth")  # in the place of the torn one, never over the good one
    assert read(newest) != whole and TwinFile(root + "/thing").content == b"fourth"
    _tear_newest(root + "/thing")
    assert TwinFile(root + "/thing").content == b"second"


def test_a_content_that_is_too_long_changes_nothing():
    root = new_root()
    file = TwinFile(root + "/thing")
    file.store(b"kept")
    assert _raises(ValueError, file.store, bytes(CONTENT_BYTES_MAX + 1))
    assert file.content == TwinFile(root + "/thing").content == b"kept"
    file.store(bytes(CONTENT_BYTES_MAX))
    assert len(TwinFile(root + "/thing").content) == CONTENT_BYTES_MAX


def test_before_the_first_config_there_are_defaults():
    settings = Settings(new_root())
    assert all(settings.get(key) == value for key, value in DEFAULTS.items())
    assert (settings.get(command.PLACE), settings.counter, settings.roster_version) == (None, 0, 0)
    assert settings.staff(1) is None


def test_a_config_is_in_force_at_once_and_after_a_reboot():
    root = new_root()
    settings = Settings(root)
    settings.store(_config(1, 5))
    for found in (settings, Settings(root)):
        assert [found.get(key) for key in (command.VERSION, command.PLACE, command.LANGUAGE)] == [1, "07", "en"]
        assert found.get(command.STAFF_NAME) is None


def test_a_torn_config_falls_back_to_the_one_before():
    root = new_root()
    settings = Settings(root)
    settings.store(_config(1, 5, "07"))
    settings.store(_config(2, 6, "08"))
    _tear_newest(root + "/config")
    settings = Settings(root)
    assert (settings.get(command.PLACE), settings.counter) == ("07", 5)
    settings.store(_config(2, 7, "08"))  # the gateway sees the old version in a heartbeat and sends again
    assert (Settings(root).get(command.PLACE), Settings(root).counter) == ("08", 7)


def test_an_older_or_equal_version_changes_nothing():
    root = new_root()
    settings = Settings(root)
    settings.store(_config(4, 5, "07"))
    settings.store(_roster(4, 6, [[1, "S001", "王琳"]]))
    for version in (4, 3):
        settings.store(_config(version, 9, "08"))
        settings.store(_roster(version, 9, []))
    for found in (settings, Settings(root)):
        assert (found.get(command.PLACE), found.staff(1)) == ("07", ("S001", "王琳"))


def test_the_command_counter_never_goes_backwards_over_a_reboot():
    root = new_root()
    wanted = 0
    for counter, roster in ((5, False), (8, True), (9, False), (12, True)):
        store = _roster(counter, counter, []) if roster else _config(counter, counter)
        Settings(root).store(store)
        wanted = max(wanted, counter)
        assert Settings(root).counter == wanted
    _tear_newest(root + "/config")  # the roster's counter stands
    assert Settings(root).counter == 12


def test_a_roster_names_its_slots_and_no_others():
    root = new_root()
    settings = Settings(root)
    settings.store(_roster(1, 1, [[slot, f"S{slot:03}", "员工"] for slot in range(99, -1, -1)]))
    assert [settings.staff(slot) for slot in (50, 99, 100)] == [("S050", "员工"), ("S099", "员工"), None]
    settings.store(_roster(2, 2, [[7, "S777", "李静"]]))
    for found in (settings, Settings(root)):
        assert (found.staff(7), found.staff(8), found.roster_version) == (("S777", "李静"), None, 2)
