"""A device believes its gateway once, and nobody else. Runs on CPython and on MicroPython."""

from flash_root import new_root
from sealed_pair import HALL, NAME, Pair, flip
from suites import SeededRandom, suites

from firmware.inbox import DURABLE, Inbox
from firmware.settings import Settings
from protocol import command, receipt, sign1, topic
from protocol.limits import MESSAGE_BYTES_MAX
from protocol.record import GATEWAY_TIME, NO_TIME

# The flash lies in the heap here, beside the inbox.
HEAP_KIB = 256
SUITE = suites()[0]
PAIR = Pair(SUITE)
STREAM = b"stream-1"
NOW_S = 1772845200
UP, DOWN = topic.up(HALL, NAME), topic.down(HALL, NAME)
CANCEL = {command.VISIT: "V0001"}
TIME = {command.NONCE: bytes(8), command.TIME_MS: 1000 * NOW_S}


class Told:
    """A clock that the gateway has told the time."""

    source = GATEWAY_TIME

    def now_s(self):
        return NOW_S


class Untold(Told):
    """A clock that nobody told the time."""

    source = NO_TIME

    def now_s(self):
        return 0


class Desk:
    """An inbox and what came out of it: commands, receipts."""

    def __init__(self, clock=None, counter=0, channel=None):
        self.commands, self.receipts = [], []
        self.failing = None
        self.inbox = Inbox(
            DOWN,
            channel or PAIR.channel("device"),
            PAIR.command_public,
            clock or Told(),
            counter,
            self.receipts.append,
            self.obey,
        )

    def obey(self, found):
        if self.failing:
            raise self.failing()
        self.commands.append(found)

    def take(self, message, on_topic=DOWN, retained=False):
        self.inbox.take(on_topic, message, retained)

    def believed(self):
        return len(self.commands) + len(self.receipts)


def a_command(counter=1, kind=command.EVALUATION_CANCEL, claims=None, expires_s=NOW_S, device=NAME, hall=HALL):
    return command.Command(device, hall, expires_s, NOW_S - 60, kind, counter, claims or CANCEL)


def sealed(made, pair=PAIR, signer=None):
    """The message of a command."""
    return command.seal(pair.gateway, signer or PAIR.command_signer, made)


def refuses(desk, message, *how):
    """True when this message had no effect but to be counted."""
    before, dropped = desk.believed(), desk.inbox.dropped
    desk.take(message, *how)
    return desk.believed() == before and desk.inbox.dropped == dropped + 1


# --- commands


def test_a_command_reaches_the_device_as_it_was_given():
    desk = Desk()
    desk.take(sealed(a_command(7)))
    assert [(found.kind, found.counter, found.claims) for found in desk.commands] == [
        (command.EVALUATION_CANCEL, 7, CANCEL)
    ]
    assert desk.inbox.dropped == 0


def test_a_command_for_another_device_or_hall_is_refused():
    desk = Desk()
    assert refuses(desk, sealed(a_command(device="e-002")))
    assert refuses(desk, sealed(a_command(hall="elsewhere")))
    for other in (Pair(SUITE, name="e-002"), Pair(SUITE, hall="elsewhere"), Pair(SUITE, keys="others")):
        assert refuses(desk, sealed(a_command(), other))
    assert not refuses(desk, sealed(a_command()))


def test_the_agreement_key_alone_commands_nothing():
    """Whoever holds the gateway's channel can send receipts; a command needs the hall's command key."""
    desk = Desk()
    assert refuses(desk, sealed(a_command(), signer=PAIR.signer))
    assert refuses(desk, sealed(a_command(), signer=sign1.Signer(SUITE, SUITE.generate_private())))
    stolen = PAIR.command_signer.sign(sign1.COMMAND_TYP, command.encode(a_command()))
    assert refuses(desk, PAIR.gateway.seal(receipt.TYP, stolen))
    assert refuses(desk, PAIR.gateway.seal(command.TYP, command.encode(a_command())))
    as_record = PAIR.command_signer.sign(sign1.RECORD_TYP, command.encode(a_command()))
    assert refuses(desk, PAIR.gateway.seal(command.TYP, as_record))


def test_an_expired_command_is_refused():
    desk = Desk()
    assert refuses(desk, sealed(a_command(expires_s=NOW_S - 1)))
    assert not refuses(desk, sealed(a_command(expires_s=NOW_S)))


def test_a_command_is_taken_once():
    desk = Desk()
    first, second = sealed(a_command(5)), sealed(a_command(6))
    desk.take(first)
    assert refuses(desk, first)
    desk.take(second)
    for replayed in (first, second, sealed(a_command(6)), sealed(a_command(4))):
        assert refuses(desk, replayed)
    assert [found.counter for found in desk.commands] == [5, 6]


def test_a_refused_command_takes_no_counter():
    desk = Desk()
    for made in (a_command(99, device="e-002"), a_command(99, expires_s=NOW_S - 1)):
        assert refuses(desk, sealed(made))
    assert refuses(desk, sealed(a_command(99), signer=PAIR.signer))
    desk.take(sealed(a_command(1)))
    assert [found.counter for found in desk.commands] == [1]


def test_without_the_time_only_an_answer_to_a_question_for_it_is_taken():
    desk = Desk(Untold())
    config = {command.VERSION: 1, command.PLACE: "07", command.LANGUAGE: "zh", command.BRIGHTNESS: 1}
    config[command.RATING_TIMEOUT_S], config[command.HEARTBEAT_S] = 60, 60
    assert refuses(desk, sealed(a_command()))
    assert refuses(desk, sealed(a_command(kind=command.CONFIG, claims=config)))
    desk.take(sealed(a_command(kind=command.TIME_ANSWER, claims=TIME, expires_s=0)))
    assert [found.kind for found in desk.commands] == [command.TIME_ANSWER]


def test_a_replayed_config_or_roster_is_refused_after_a_reboot():
    root = new_root()
    rosters = [{command.ROSTER_VERSION: n, command.STAFF_ROWS: [[n, "S001", "王琳"]]} for n in (1, 2)]
    messages = [sealed(a_command(n, command.ROSTER, claims)) for n, claims in enumerate(rosters, 8)]
    desk = Desk(counter=Settings(root).counter)
    for message in messages:
        desk.take(message)
    for found in desk.commands:
        assert found.kind in DURABLE
        Settings(root).store(found)
    desk = Desk(counter=Settings(root).counter)
    assert all(refuses(desk, message) for message in messages)
    assert not refuses(desk, sealed(a_command(10)))


# --- whatever else comes


def test_a_retained_message_is_of_unknown_age_and_refused():
    desk = Desk()
    message = sealed(a_command())
    assert refuses(desk, message, DOWN, True)
    assert not refuses(desk, message)


def test_what_comes_on_another_topic_is_refused():
    desk = Desk()
    for other in (UP, topic.down(HALL, "e-002"), topic.down("elsewhere", NAME), "", DOWN + "/"):
        assert refuses(desk, sealed(a_command()), other)


def test_a_device_does_not_listen_to_itself():
    desk = Desk()
    echo = PAIR.device.seal(sign1.RECORD_TYP, PAIR.signer.sign(sign1.RECORD_TYP, b"\xa0"))
    assert refuses(desk, echo)
    assert refuses(desk, command.seal(PAIR.device, PAIR.command_signer, a_command()))
    assert refuses(desk, receipt.seal(PAIR.device, receipt.Receipt(STREAM, 5, [], 5)))


def test_garbage_is_counted_and_forgotten():
    desk = Desk()
    noise = SeededRandom("inbox")
    for size in (0, 1, 2, 3, 16, 100, 449, 3913, MESSAGE_BYTES_MAX, MESSAGE_BYTES_MAX + 1):
        for start in (b"", b"\xd0\x83", b"\xd0\x83\x58\x3e", b"\xd2\x84"):
            assert refuses(desk, start + noise(size))


def test_a_message_that_is_cut_or_has_one_wrong_bit_is_refused():
    message = sealed(a_command())
    desk = Desk()
    for size in range(0, len(message), 7):
        assert refuses(desk, message[:size])
    for bit in range(0, 8 * len(message), 11):
        assert refuses(desk, flip(message, bit))
    assert refuses(desk, message + b"\x00")
    assert not refuses(desk, message)


def test_what_does_not_fit_the_heap_is_dropped_and_the_next_one_is_taken():
    desk = Desk()
    desk.failing = MemoryError
    rows = [[slot, f"S{slot:03}", "王琳"] for slot in range(120)]
    roster = {command.ROSTER_VERSION: 1, command.STAFF_ROWS: rows}
    assert refuses(desk, sealed(a_command(1, command.ROSTER, roster)))
    desk.failing = None
    desk.take(sealed(a_command(2)))
    desk.take(receipt.seal(PAIR.gateway, receipt.Receipt(STREAM, 1, [], 1)))
    assert desk.believed() == 2


class Crowded:
    """A channel on a heap that has no room for a message above 2000 bytes."""

    def __init__(self):
        self._channel = PAIR.channel("device")
        self.suite, self.device, self.hall = self._channel.suite, self._channel.device, self._channel.hall

    def open_envelope(self, typ, envelope):
        if len(envelope.ciphertext) > 2000:
            raise MemoryError()
        return self._channel.open_envelope(typ, envelope)


def test_a_roster_too_large_to_open_takes_no_counter():
    desk = Desk(channel=Crowded())
    rows = [[slot, f"S{slot:03}", "王琳"] for slot in range(120)]
    assert refuses(desk, sealed(a_command(9, command.ROSTER, {command.ROSTER_VERSION: 1, command.STAFF_ROWS: rows})))
    short = sealed(a_command(9, command.ROSTER, {command.ROSTER_VERSION: 1, command.STAFF_ROWS: rows[:9]}))
    assert not refuses(desk, short)


def test_a_command_that_the_flash_does_not_keep_is_counted_and_ends_no_link():
    desk = Desk()
    desk.failing = OSError
    roster = {command.ROSTER_VERSION: 1, command.STAFF_ROWS: []}
    assert refuses(desk, sealed(a_command(1, command.ROSTER, roster))) and desk.inbox.broken
    desk.failing = None
    assert not refuses(desk, sealed(a_command(2))) and desk.inbox.broken  # that one was not for the flash
    assert not refuses(desk, sealed(a_command(3, command.ROSTER, roster))) and not desk.inbox.broken


# --- receipts


def test_a_receipt_reaches_the_uplink_as_it_was_given():
    desk = Desk(Untold())
    desk.take(receipt.seal(PAIR.gateway, receipt.Receipt(STREAM, 7, [[9, 11], [15, 15]], 20)))
    desk.take(receipt.seal(PAIR.gateway, receipt.Receipt(STREAM, 0, [], 0)))
    seen = [(one.stream, one.through, one.holes, one.highest) for one in desk.receipts]
    assert seen == [(STREAM, 7, [[9, 11], [15, 15]], 20), (STREAM, 0, [], 0)]
    assert desk.inbox.dropped == 0


def test_a_receipt_that_was_touched_or_comes_from_somebody_else_is_refused():
    desk = Desk()
    made = receipt.Receipt(STREAM, 5, [], 5)
    message = receipt.seal(PAIR.gateway, made)
    for bit in range(0, 8 * len(message), 29):
        assert refuses(desk, flip(message, bit))
    for other in (Pair(SUITE, keys="others"), Pair(SUITE, name="e-002"), Pair(SUITE, epoch=2)):
        assert refuses(desk, receipt.seal(other.gateway, made))
    assert refuses(desk, PAIR.gateway.seal(command.TYP, receipt.encode(made)))
    assert not refuses(desk, message)
