"""The sensor's wire: what of its bytes is believed, what is asked again, and when the driver gives up."""

import asyncio

import pytest
from virtual_time import Clock, timeless

from firmware import fingerprint, sensor_packet
from firmware.fingerprint import (
    ANSWER_TIMEOUT_MS,
    ATTEMPTS,
    GET_IMAGE,
    IMAGE_TO_TEMPLATE,
    PICTURES,
    READ_PARAMETERS,
    READ_SLOTS,
    SEARCH,
    SLOTS_BYTES,
    TEMPLATE_COUNT,
    VERIFY_PASSWORD,
    Fingerprint,
    holds,
)
from firmware.sensor_packet import (
    ACKNOWLEDGE,
    ADDRESS,
    BROKEN,
    COMBINE_FAILED,
    COMMAND,
    CONFIRMATIONS,
    SILENT,
    WRONG_PASSWORD,
    SensorError,
    answer,
    packet,
    unclear,
)
from simulator import sensor as emulated

# R503 manual: the module's answer to VfyPwd, and the command for it with password 0.
HANDSHAKE = bytes.fromhex("ef01 ffffffff 07 0003 00 000a")
VERIFY = bytes.fromhex("ef01 ffffffff 01 0007 13 00000000 001b")
OK = b"\x00"


def acknowledge(payload=OK, address=ADDRESS, kind=ACKNOWLEDGE):
    return packet(kind, payload, address)


def error_of(call, *arguments):
    """The code of the SensorError that the call raises, None when it returns."""
    try:
        call(*arguments)
    except SensorError as error:
        return error.code
    return None


# --- packets


def test_packets_are_those_of_the_manual():
    assert packet(COMMAND, b"\x13\x00\x00\x00\x00") == VERIFY
    assert acknowledge() == HANDSHAKE
    assert answer(HANDSHAKE) == OK


def test_both_ends_of_the_wire_make_the_same_packets():
    for payload in (b"\x01", bytes(5), b"\xff" * 40):
        assert packet(COMMAND, payload) == emulated.packet(COMMAND, payload)


def test_an_answer_is_taken_when_it_is_whole_and_not_before():
    whole = acknowledge(b"\x00\x12\x34\x56")
    for size in range(len(whole)):
        assert answer(whole[:size]) is None
    assert answer(whole) == b"\x00\x12\x34\x56"
    assert answer(whole + acknowledge(b"\x02") + b"\xef") == b"\x00\x12\x34\x56"  # the first one counts


def test_noise_before_an_answer_is_passed_over():
    for noise in (b"\x00", b"\xef", b"\x01\xef", bytes(20), b"\xef\xef\xef", b"\x55" * 40):
        assert answer(noise + acknowledge(b"\x09")) == b"\x09"


def test_a_line_of_nothing_but_noise_is_no_answer_for_ever():
    assert answer(bytes(sensor_packet.ANSWER_BYTES_MAX)) is None
    assert error_of(answer, bytes(sensor_packet.ANSWER_BYTES_MAX + 1)) == BROKEN


@pytest.mark.parametrize(
    "wrong",
    [
        acknowledge()[:-1] + b"\x0b",  # checksum, low byte
        acknowledge()[:-2] + b"\x01\x0a",  # checksum, high byte
        acknowledge(address=0xFFFFFFFE),
        acknowledge(address=0),
        acknowledge(kind=COMMAND),
        acknowledge(kind=0x02),  # a packet of data: a picture, or a template
        acknowledge(kind=0x08),
        b"\xef\x01\xff\xff\xff\xff\x07\x00\x02\x00\x09",  # no confirmation code in it
        b"\xef\x01\xff\xff\xff\xff\x07\x00\x00",
        b"\xef\x01\xff\xff\xff\xff\x07\x00\x41",  # longer than any answer that was asked for
        b"\xef\x01\xff\xff\xff\xff\x07\xff\xff",
    ],
)
def test_a_packet_with_wrong_checksum_address_kind_or_length_is_broken(wrong):
    assert error_of(answer, wrong) == BROKEN


def test_every_bit_of_an_answer_matters():
    whole = acknowledge(b"\x00\x00\x03\x00\x78")
    for bit in range(8 * len(whole)):
        data = bytearray(whole)
        data[bit // 8] ^= 1 << bit % 8
        # None: still waiting, for the start is gone, or it claims to be longer.
        assert error_of(answer, bytes(data)) == BROKEN or answer(bytes(data)) is None


def test_every_confirmation_code_has_its_words():
    rows = [line.split(" ", 1) for line in CONFIRMATIONS.strip().split("\n")]
    codes = [int(code) if code.startswith("-") else int(code, 16) for code, _ in rows]
    assert len(set(codes)) == len({words for _, words in rows}) == len(rows)
    # The codes of the data sheet, and what is no code of a sensor.
    sheet = "00 01 02 03 06 07 08 09 0a 0b 0c 0d 0e 0f 10 11 13 15 18 1a 1b 1c 1d 20 21 55"
    assert set(codes) == {*bytes.fromhex(sheet), SILENT, BROKEN}
    for code, (_, words) in zip(codes, rows):
        assert (str(SensorError(code)), SensorError(code).code) == (words, code)
    for code in set(range(256)) - set(codes):
        assert str(SensorError(code)) == f"code {code}"


def test_only_a_finger_badly_seen_is_unclear():
    assert [code for code in (*range(256), SILENT, BROKEN) if unclear(SensorError(code))] == [0x02, 0x06, 0x07, 0x15]


# --- exchanges


class Wire:
    """A sensor that follows a script. answers: {instruction: [bytes, …]}, the last of each again and again.

    asked: payloads of the commands that came. piece: how many bytes a read gives at most.
    """

    def __init__(self, piece=64, **answers):
        self.asked = []
        self.pending = b""
        self._piece = piece
        self.answers = {
            VERIFY_PASSWORD: [acknowledge()],
            READ_PARAMETERS: [acknowledge(OK + bytes(4) + b"\x00\xc8" + bytes(10))],
        }

    def write(self, data):
        assert data[:6] == b"\xef\x01\xff\xff\xff\xff" and data == packet(COMMAND, data[9:-2])
        self.asked.append(data[9:-2])
        found = self.answers.get(data[9], [b""])
        self.pending += found.pop(0) if len(found) > 1 else found[0]

    def read(self, count):
        size = min(count, self._piece)
        found, self.pending = self.pending[:size], self.pending[size:]
        return found or None

    def instructions(self):
        return [payload[0] for payload in self.asked]


def a_driver(answers=None, **settings):
    """(driver, its wire); answers: {instruction: [bytes, …]}."""
    wire = Wire(**settings)
    wire.answers.update(answers or {})
    return Fingerprint(wire, Clock()), wire


async def failure(call):
    """The code of the SensorError that the awaited call ends with."""
    with pytest.raises(SensorError) as caught:
        await call
    return caught.value.code


@timeless
async def test_begin_logs_in_and_learns_the_capacity():
    driver, wire = a_driver()
    driver.password = 0x01020304
    await driver.begin()
    assert wire.asked == [bytes((VERIFY_PASSWORD, 1, 2, 3, 4)), bytes((READ_PARAMETERS,))]
    assert driver.capacity == 200


@timeless
async def test_a_finger_is_searched_among_all_slots():
    found = acknowledge(b"\x00\x00\x03\x00\x78")
    driver, wire = a_driver({GET_IMAGE: [acknowledge()], IMAGE_TO_TEMPLATE: [acknowledge()], SEARCH: [found]})
    await driver.begin()
    assert await driver.identify() == (3, 120)
    assert wire.asked[2:] == [bytes((GET_IMAGE,)), bytes((IMAGE_TO_TEMPLATE, 1)), bytes((SEARCH, 1, 0, 0, 0, 200))]


@timeless
async def test_a_finger_that_is_not_enrolled_is_an_answer_and_no_error():
    stranger = acknowledge(b"\x09\x00\x00\x00\x00")
    driver, _ = a_driver({GET_IMAGE: [acknowledge()], IMAGE_TO_TEMPLATE: [acknowledge()], SEARCH: [stranger]})
    assert await driver.identify() == (None, 0)


@timeless
@pytest.mark.parametrize("piece", [1, 2, 5, 11])
async def test_an_answer_may_come_in_pieces(piece):
    driver, _ = a_driver({TEMPLATE_COUNT: [b"\x55\xef" + acknowledge(b"\x00\x01\x02")]}, piece=piece)
    assert await driver.count() == 258


@timeless
async def test_what_an_earlier_exchange_left_behind_is_no_answer():
    driver, wire = a_driver({TEMPLATE_COUNT: [acknowledge(b"\x00\x00\x07")]})
    wire.pending = acknowledge(b"\x00\x00\x63") + acknowledge()[:5]
    assert await driver.count() == 7


@timeless
async def test_a_line_that_never_rests_does_not_hold_the_clock():
    driver, wire = a_driver()
    wire.read = lambda count: b"\x55" * count
    began_ms = Clock().ticks_ms()
    assert await failure(driver.count()) == BROKEN
    assert Clock().ticks_diff(Clock().ticks_ms(), began_ms) <= ATTEMPTS * ANSWER_TIMEOUT_MS


@timeless
async def test_silence_ends_after_a_second_for_each_attempt():
    driver, wire = a_driver()
    began_ms = Clock().ticks_ms()
    assert await failure(driver.count()) == SILENT
    assert wire.instructions() == [TEMPLATE_COUNT] * ATTEMPTS
    assert Clock().ticks_diff(Clock().ticks_ms(), began_ms) == ATTEMPTS * ANSWER_TIMEOUT_MS


@timeless
async def test_half_an_answer_is_broken_and_not_silent():
    driver, _ = a_driver({TEMPLATE_COUNT: [acknowledge(b"\x00\x00\x07")[:8]]})
    assert await failure(driver.count()) == BROKEN


@timeless
@pytest.mark.parametrize("first", [b"", acknowledge()[:-1] + b"\x00", acknowledge(b"\x01"), acknowledge(kind=0x08)])
async def test_what_the_wire_spoiled_once_is_asked_again(first):
    driver, wire = a_driver({TEMPLATE_COUNT: [first, acknowledge(b"\x00\x00\x07")]})
    assert await driver.count() == 7
    assert wire.instructions() == [TEMPLATE_COUNT] * 2


@timeless
async def test_what_the_sensor_refuses_is_not_asked_again():
    driver, wire = a_driver({VERIFY_PASSWORD: [acknowledge(b"\x13")]})
    assert await failure(driver.begin()) == 0x13
    assert wire.instructions() == [VERIFY_PASSWORD]


@timeless
async def test_an_answer_with_too_little_in_it_is_broken():
    for short in (acknowledge(b"\x00"), acknowledge(b"\x00\x07")):
        driver, wire = a_driver({TEMPLATE_COUNT: [short]})
        assert await failure(driver.count()) == BROKEN
        assert wire.instructions() == [TEMPLATE_COUNT] * ATTEMPTS


@timeless
@pytest.mark.parametrize(("step", "code"), [(GET_IMAGE, 0x02), (IMAGE_TO_TEMPLATE, 0x06), (IMAGE_TO_TEMPLATE, 0x07)])
async def test_a_finger_badly_seen_is_looked_at_again_and_not_for_ever(step, code):
    fine = {GET_IMAGE: [acknowledge()], IMAGE_TO_TEMPLATE: [acknowledge()], SEARCH: [acknowledge(bytes(5))]}
    for failures in range(PICTURES + 1):
        bad = [acknowledge(bytes((code,)))] * failures + [acknowledge()]
        driver, wire = a_driver({**fine, step: bad})
        if failures < PICTURES:
            assert await driver.identify() == (0, 0)
        else:
            assert await failure(driver.identify()) == code
        assert wire.instructions().count(GET_IMAGE) == min(failures + 1, PICTURES)


@timeless
async def test_a_fault_in_the_middle_of_a_picture_is_told_at_once():
    driver, wire = a_driver({GET_IMAGE: [acknowledge()], IMAGE_TO_TEMPLATE: [acknowledge(b"\x18")]})
    assert await failure(driver.identify()) == 0x18
    assert wire.instructions() == [GET_IMAGE, IMAGE_TO_TEMPLATE]


@timeless
async def test_a_sensor_without_a_lamp_is_no_fault():
    driver, wire = a_driver({fingerprint.AURA_LED: [acknowledge(b"\x01")]})
    await driver.light(fingerprint.ON, fingerprint.BLUE)
    assert wire.asked[-1] == bytes((fingerprint.AURA_LED, fingerprint.ON, 0x40, fingerprint.BLUE, 0))


@timeless
async def test_commands_of_several_tasks_do_not_meet_on_the_wire():
    driver, wire = a_driver({TEMPLATE_COUNT: [b"", acknowledge(b"\x00\x00\x07")], GET_IMAGE: [acknowledge(b"\x02")]})
    counted, seen = await asyncio.gather(driver.count(), driver.identify(), return_exceptions=True)
    assert counted == 7 and seen.code == 0x02
    assert wire.instructions() == [TEMPLATE_COUNT] * 2 + [GET_IMAGE] * PICTURES


@timeless
@pytest.mark.parametrize(
    ("call", "arguments", "asked"),
    [
        ("capture", (2,), "01 | 02 02"),
        ("search", (), "04 01 0000 00c8"),
        ("search", (2,), "04 02 0000 00c8"),
        ("merge", (), "05"),
        ("match", (), "03"),
        ("store", (0x0123,), "06 02 0123"),
        ("delete", (0x0123,), "0c 0123 0001"),
        ("clear", (), "0d"),
        ("slots", (), "1f 00"),
        ("set_password", (0x01020304,), "12 01020304"),
    ],
)
async def test_a_command_is_asked_as_the_manual_has_it(call, arguments, asked):
    fine = {bytes.fromhex(part)[0]: [acknowledge(bytes(33))] for part in asked.split("|")}
    driver, wire = a_driver(fine)
    await driver.begin()
    await getattr(driver, call)(*arguments)
    assert wire.asked[2:] == [bytes.fromhex(part) for part in asked.split("|")]


@timeless
async def test_every_length_of_an_answer_that_is_too_short_is_broken():
    calls = (
        ("begin", READ_PARAMETERS, 16),
        ("count", TEMPLATE_COUNT, 2),
        ("search", SEARCH, 4),
        ("slots", READ_SLOTS, 32),
    )
    for call, instruction, size in calls:
        for short in range(size):
            driver, _ = a_driver({instruction: [acknowledge(OK + bytes(short))]})
            assert await failure(getattr(driver, call)()) == BROKEN
        driver, _ = a_driver({instruction: [acknowledge(OK + bytes(size))]})
        await getattr(driver, call)()


def test_a_table_of_slots_begins_with_the_lowest_bit_of_its_first_byte():
    table = b"\x01\x80" + bytes(29) + b"\x80"
    assert [slot for slot in range(400) if holds(table, slot)] == [0, 15, 255]
    assert not [slot for slot in (256, 263, 0x0F00, 0xFFFF) if holds(b"\xff" * SLOTS_BYTES, slot)]  # no such slot


# --- against a sensor as its data sheet has it


class Line:
    """The wire to an emulated sensor."""

    def __init__(self, sensor):
        self.sensor = sensor
        self.pending = b""

    def write(self, data):
        self.pending += self.sensor.receive(data)

    def read(self, count):
        found, self.pending = self.pending[:count], self.pending[count:]
        return found or None


async def a_sensor(enrolled=(), password=0, begun=True):
    """(driver, the emulated sensor at its wire)."""
    sensor = emulated.Sensor(enrolled, password)
    driver = Fingerprint(Line(sensor), Clock(), password)
    if begun:
        await driver.begin()
    return driver, sensor


async def touch(driver, sensor, finger, buffer):
    """One finger on the glass into a buffer."""
    sensor.finger = finger
    await driver.capture(buffer)
    sensor.finger = None


# Every method with arguments that a sensor with the finger 3 on its glass and in slot 3 takes.
CALLS = {
    "begin": (),
    "set_password": (7,),
    "count": (),
    "slots": (),
    "light": (fingerprint.ON, fingerprint.RED),
    "capture": (1,),
    "search": (),
    "identify": (),
    "merge": (),
    "match": (),
    "store": (5,),
    "delete": (3,),
    "clear": (),
}


async def a_ready_sensor():
    """(driver, sensor): everything in CALLS works."""
    driver, sensor = await a_sensor((3,))
    for buffer in (1, 2):
        await touch(driver, sensor, 3, buffer)
    sensor.finger = 3
    return driver, sensor


@timeless
async def test_two_touches_of_a_finger_become_a_template_that_is_found():
    driver, sensor = await a_sensor((1, 2))
    await touch(driver, sensor, 77, 1)
    assert await driver.search() == (None, 0)
    await touch(driver, sensor, 77, 2)
    await driver.merge()
    await driver.store(9)
    assert await driver.count() == 3
    await touch(driver, sensor, 77, 2)
    slot, score = await driver.search(2)
    assert slot == 9 and score > 0
    sensor.finger = 77
    assert (await driver.identify())[0] == 9


@timeless
async def test_two_touches_of_different_fingers_make_no_template():
    driver, sensor = await a_sensor((1,))
    await touch(driver, sensor, 77, 1)
    await touch(driver, sensor, 78, 2)
    assert await failure(driver.merge()) == COMBINE_FAILED
    assert await driver.count() == 1


@timeless
async def test_a_finger_is_compared_with_a_template_before_that_is_stored():
    driver, sensor = await a_sensor(())
    for buffer in (1, 2):
        await touch(driver, sensor, 77, buffer)
    await driver.merge()
    for finger in (77, 78):
        await touch(driver, sensor, finger, 1)
        assert await driver.match() == (finger == 77)
    await driver.store(5)  # the template, not what was touched last
    assert sensor.templates == {5: 77}
    sensor.fault = "silence"
    assert await failure(driver.match()) == SILENT


@timeless
async def test_a_slot_that_the_sensor_does_not_have_is_refused():
    driver, sensor = await a_sensor((1,))
    await touch(driver, sensor, 77, 2)
    for slot in (driver.capacity, 0xFFFF):
        assert await failure(driver.store(slot)) == 0x0B
        assert await failure(driver.delete(slot)) == 0x10
    await driver.store(driver.capacity - 1)
    assert sensor.enrolled == {1, driver.capacity - 1}


@timeless
async def test_a_deleted_finger_is_a_strangers_and_the_others_stay():
    driver, sensor = await a_sensor((1, 2, 3))
    await driver.delete(2)
    await driver.delete(2)  # it is gone already: no error
    found = []
    for finger in (1, 2, 3):
        sensor.finger = finger
        found.append((await driver.identify())[0])
    assert found == [1, None, 3] and await driver.count() == 2


@timeless
async def test_after_clear_nobody_is_known():
    driver, sensor = await a_sensor(range(200))
    await driver.clear()
    sensor.finger = 0
    assert (await driver.identify(), await driver.count()) == ((None, 0), 0)
    assert await driver.slots() == bytes(SLOTS_BYTES)


@timeless
async def test_the_table_of_slots_says_which_hold_a_template():
    for enrolled in ((), (0,), (7, 8), (0, 1, 9, 63, 64, 198, 199), range(200)):
        driver, _ = await a_sensor(enrolled)
        table = await driver.slots()
        assert [slot for slot in range(300) if holds(table, slot)] == list(enrolled)


@timeless
async def test_a_sensor_with_a_password_says_nothing_to_who_does_not_know_it():
    driver, sensor = await a_sensor((1,), 0xC0FFEE, begun=False)
    for name in set(CALLS) - {"begin", "light", "identify", "set_password"}:
        assert await failure(getattr(driver, name)(*CALLS[name])) == 0x21
    driver.password = 1
    assert await failure(driver.begin()) == WRONG_PASSWORD
    assert (await failure(driver.clear()), sensor.enrolled) == (0x21, {1})
    driver.password = 0xC0FFEE
    await driver.begin()
    assert await driver.count() == 1


@timeless
async def test_a_new_password_is_the_one_from_then_on():
    driver, sensor = await a_sensor((1,))
    await driver.set_password(0xFFFFFFFF)
    assert driver.password == sensor.password == 0xFFFFFFFF
    sensor.unplug()
    sensor.plug()
    assert await failure(driver.count()) == 0x21
    await driver.begin()
    assert await driver.count() == 1


@timeless
async def test_a_password_that_the_sensor_did_not_take_is_not_used():
    driver, sensor = await a_sensor()
    sensor.unplug()
    assert await failure(driver.set_password(5)) == SILENT
    assert driver.password == 0


@timeless
async def test_a_sensor_unplugged_in_the_middle_is_silent_and_has_forgotten_the_touches():
    driver, sensor = await a_sensor((1,))
    await touch(driver, sensor, 77, 1)
    sensor.unplug()
    assert await failure(driver.capture(2)) == SILENT
    sensor.plug()
    await driver.begin()
    await touch(driver, sensor, 77, 2)
    assert await failure(driver.merge()) == COMBINE_FAILED
    assert sensor.enrolled == {1} and await driver.count() == 1


@timeless
@pytest.mark.parametrize("fault", ["checksum", "half", "silence", "unplugged"])
@pytest.mark.parametrize("name", sorted(set(CALLS) - {"light"}))
async def test_every_command_tells_every_fault_and_the_next_login_mends_it(name, fault):
    driver, sensor = await a_ready_sensor()
    if fault == "unplugged":
        sensor.unplug()
    else:
        sensor.fault = fault
    assert await failure(getattr(driver, name)(*CALLS[name])) == (BROKEN if fault in ("checksum", "half") else SILENT)
    sensor.fault = ""
    driver._uart.pending += sensor.plug()  # what it says to power is no answer to anything
    driver.password = sensor.password  # a new one that was taken, and the answer to it spoiled
    await driver.begin()
    for buffer in (1, 2):
        await touch(driver, sensor, 77, buffer)
    await driver.merge()
    await driver.store(9)
    sensor.finger = 77
    assert (await driver.identify())[0] == 9


@timeless
async def test_a_lamp_that_cannot_be_asked_holds_nothing_up():
    driver, sensor = await a_ready_sensor()
    for sensor.fault in ("checksum", "half", "silence"):
        await driver.light(*CALLS["light"])


@timeless
async def test_an_answer_lost_on_the_wire_does_not_harm_what_is_asked_again():
    """Each of these was done when its answer was lost; done twice it must be as good."""
    driver, sensor = await a_ready_sensor()
    receive, lost = sensor.receive, []

    def lose_every_first(data):
        answer = receive(data)
        lost.append(answer if not lost or lost[-1] != answer else None)
        return b"" if lost[-1] else answer

    sensor.receive = lose_every_first
    for name in ("begin", "capture", "merge", "store", "delete", "set_password", "count"):
        lost.clear()
        await getattr(driver, name)(*CALLS[name])
    assert (sensor.templates, sensor.password) == ({5: 3}, 7)


@timeless
async def test_no_command_asks_for_a_picture_or_a_template():
    """UpImage (0x0A) and UpChar (0x08) would bring a finger onto the wire, where it must never be."""
    assert set(CALLS) == {name for name in vars(Fingerprint) if not name.startswith("_")}
    driver, sensor = await a_ready_sensor()
    asked, receive = [], sensor.receive
    sensor.receive = lambda data: asked.append(data[9]) or receive(data)
    for name, arguments in CALLS.items():
        await getattr(driver, name)(*arguments)
    assert set(asked) == {0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x0C, 0x0D, 0x0F, 0x12, 0x13, 0x1D, 0x1F, 0x35}
    assert sensor.biometrics == 0
