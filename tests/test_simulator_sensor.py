"""The emulated fingerprint sensor: it answers as the data sheet says, and fails only as it is told to."""

import asyncio
import contextlib
import os
import struct
from pathlib import Path

import pytest

from simulator.peripherals import Hands
from simulator.pty_uart import PtyUart
from simulator.sensor import BIOMETRIC, CAPACITY, Sensor, packet

COMMAND, ACKNOWLEDGE = 0x01, 0x07
OK, BAD_PACKET, NO_FINGER, NOT_FOUND, COMBINE_FAILED, BAD_SLOT = 0x00, 0x01, 0x02, 0x09, 0x0A, 0x0B
DELETE_FAILED, WRONG_PASSWORD, INVALID_IMAGE, PASSWORD_NEEDED = 0x10, 0x13, 0x15, 0x21
STRANGER = -1
PASSWORD = 0xC0FFEE
# Every command that it knows, with arguments that it takes.
COMMANDS = (
    "01", "02 01", "04 01 0000 00c8", "05", "06 01 0007", "0c 0007 0001", "0d", "0f", "12 00000000", "13 00000000",
    "1d", "1f 00", "35 01 40 01 00", "36", "40",
)  # fmt: skip


def ask(sensor: Sensor, command: str) -> bytes:
    """Confirmation code and data of the one answer to a command in hex."""
    answer = sensor.receive(packet(COMMAND, bytes.fromhex(command)))
    payload = answer[9:-2]
    assert answer == packet(ACKNOWLEDGE, payload)
    return payload


def code(sensor: Sensor, command: str) -> int:
    """Confirmation code of an answer that carries nothing else."""
    [found] = ask(sensor, command)
    return found


def lay(sensor: Sensor, finger: int, buffer: int = 1) -> None:
    """One touch becomes features in a buffer."""
    sensor.finger = finger
    assert (code(sensor, "01"), code(sensor, f"02 0{buffer}")) == (OK, OK)
    sensor.finger = None


def found_in(sensor: Sensor, buffer: int = 1, start: int = 0, count: int = CAPACITY) -> int | None:
    """The slot that a search tells, None for not found."""
    answer = ask(sensor, f"04 {buffer:02x} {start:04x} {count:04x}")
    confirmation, slot, score = struct.unpack(">BHH", answer)
    assert (confirmation, bool(score)) in ((OK, True), (NOT_FOUND, False))
    return int(slot) if confirmation == OK else None


# --- what it answers


def test_the_examples_of_the_data_sheet_are_understood() -> None:
    sensor = Sensor(())
    assert sensor.receive(bytes.fromhex("ef01 ffffffff 01 0007 13 00000000 001b")).hex() == "ef01ffffffff07000300000a"
    parameters = sensor.receive(bytes.fromhex("ef01 ffffffff 01 0003 0f 0013"))[9:-2]
    # Status, system, capacity, security level, address, packet size code (128 bytes), baud / 9600.
    assert struct.unpack(">BHHHHIHH", parameters) == (OK, 0, 0, 200, 3, 0xFFFFFFFF, 2, 6)


def test_every_command_of_a_driver_is_known() -> None:
    for command in COMMANDS:
        sensor = Sensor((3,))
        for buffer in (1, 2):
            lay(sensor, 3, buffer)
        sensor.finger = 3
        assert ask(sensor, command)[0] == OK, command


def test_what_it_does_not_know_and_arguments_of_a_wrong_length_are_bad_packets() -> None:
    sensor = Sensor((3,))
    lay(sensor, 3)
    for command in ("00", "02", "02 01 01", "04", "04 01 0000 00", "06 01", "0c 0003", "12 00", "13", "1f", "99 00"):
        assert code(sensor, command) == BAD_PACKET, command
    assert sensor.templates == {3: 3}


def test_there_are_two_buffers() -> None:
    sensor = Sensor((3,))
    sensor.finger = 3
    assert code(sensor, "01") == OK
    assert [code(sensor, f"02 {buffer:02x}") for buffer in (0, 1, 2, 3, 255)] == [
        BAD_PACKET, OK, OK, BAD_PACKET, BAD_PACKET,
    ]  # fmt: skip


def test_without_a_picture_there_are_no_features() -> None:
    sensor = Sensor((3,))
    assert (code(sensor, "01"), code(sensor, "02 01")) == (NO_FINGER, INVALID_IMAGE)
    assert found_in(sensor) is None


def test_a_search_looks_at_its_buffer_and_its_slots_only() -> None:
    sensor = Sensor((3, 4))
    lay(sensor, 3, 1)
    lay(sensor, 4, 2)
    assert (found_in(sensor, 1), found_in(sensor, 2)) == (3, 4)
    assert [found_in(sensor, 1, start, count) for start, count in ((0, 3), (0, 4), (3, 1), (4, 196))] == [
        None, 3, 3, None,
    ]  # fmt: skip


def test_one_finger_twice_becomes_a_template() -> None:
    sensor = Sensor((1,))
    lay(sensor, 77, 1)
    lay(sensor, 77, 2)
    assert (code(sensor, "05"), code(sensor, "06 01 0007")) == (OK, OK)
    assert sensor.templates == {1: 1, 7: 77} and sensor.enrolled == {1, 7}
    lay(sensor, 77)
    assert found_in(sensor) == 7


@pytest.mark.parametrize("touches", [(), (77,), (77, 78), (1, STRANGER)])
def test_fewer_than_two_touches_of_one_finger_do_not_combine(touches: tuple[int, ...]) -> None:
    sensor = Sensor((1,))
    for buffer, finger in enumerate(touches, 1):
        lay(sensor, finger, buffer)
    assert code(sensor, "05") == COMBINE_FAILED


def test_a_stranger_matches_nobody_not_even_another_stranger() -> None:
    sensor = Sensor((1,))
    lay(sensor, STRANGER)
    assert code(sensor, "06 01 0007") == OK
    lay(sensor, STRANGER)
    assert found_in(sensor) is None


def test_a_slot_beyond_the_last_is_refused() -> None:
    sensor = Sensor((1,))
    lay(sensor, 77)
    assert [code(sensor, f"06 01 {slot:04x}") for slot in (CAPACITY, 0xFFFF, CAPACITY - 1)] == [BAD_SLOT, BAD_SLOT, OK]
    assert [code(sensor, f"0c {slot:04x} 0001") for slot in (CAPACITY, 0xFFFF)] == [DELETE_FAILED] * 2
    assert code(sensor, f"0c {CAPACITY - 1:04x} 0002") == DELETE_FAILED  # nothing of it is done
    assert sensor.enrolled == {1, CAPACITY - 1}


def test_nothing_is_stored_from_an_empty_buffer() -> None:
    sensor = Sensor(())
    lay(sensor, 77, 2)
    assert code(sensor, "06 01 0007") != OK
    assert sensor.templates == {}


def test_delete_takes_a_run_of_slots_and_clear_takes_all() -> None:
    sensor = Sensor(range(10))
    assert code(sensor, "0c 0003 0004") == OK
    assert sensor.enrolled == {0, 1, 2, 7, 8, 9}
    assert ask(sensor, "1d") == b"\x00\x00\x06"
    assert code(sensor, "0d") == OK
    assert (sensor.enrolled, ask(sensor, "1d")) == (set(), b"\x00\x00\x00")


def test_the_table_of_slots_has_the_first_in_its_lowest_bit() -> None:
    table = ask(Sensor((0, 9, 199)), "1f 00")
    assert table == b"\x00" + b"\x01\x02" + bytes(22) + b"\x80" + bytes(7)
    assert ask(Sensor((0, 9, 199)), "1f 01") == bytes(33)


def test_a_touch_ends_as_it_was_told_to_and_the_next_one_well() -> None:
    sensor = Sensor((3,))
    sensor.pictures.extend((0x06, 0x07))
    sensor.finger = 3
    assert [(code(sensor, "01"), code(sensor, "02 01")) for _ in range(3)] == [(OK, 0x06), (OK, 0x07), (OK, OK)]
    assert found_in(sensor) == 3


# --- its password


def test_with_a_password_it_does_nothing_before_the_login() -> None:
    for command in COMMANDS:
        sensor = Sensor((7,), PASSWORD)
        wanted = {0x13: WRONG_PASSWORD, 0x36: OK, 0x40: OK}.get(bytes.fromhex(command)[0], PASSWORD_NEEDED)
        assert code(sensor, command) == wanted, command
        assert (sensor.templates, sensor.password) == ({7: 7}, PASSWORD)


def test_the_right_password_opens_it_and_a_wrong_one_closes_it_again() -> None:
    sensor = Sensor((7,), PASSWORD)
    assert code(sensor, f"13 {PASSWORD:08x}") == OK
    assert ask(sensor, "1d") == b"\x00\x00\x01"
    assert code(sensor, f"13 {PASSWORD + 1:08x}") == WRONG_PASSWORD
    assert code(sensor, "1d") == PASSWORD_NEEDED


def test_a_new_password_is_asked_for_after_the_next_power_on() -> None:
    sensor = Sensor((7,))
    assert (code(sensor, "13 00000000"), code(sensor, f"12 {PASSWORD:08x}")) == (OK, OK)
    assert ask(sensor, "1d")[0] == OK
    sensor.unplug()
    sensor.plug()
    assert (code(sensor, "1d"), code(sensor, "13 00000000")) == (PASSWORD_NEEDED, WRONG_PASSWORD)
    assert code(sensor, f"13 {PASSWORD:08x}") == OK


# --- its wire


def test_a_command_may_come_in_pieces_and_several_at_once() -> None:
    sensor = Sensor((1, 2))
    one, answer = packet(COMMAND, b"\x1d"), packet(ACKNOWLEDGE, b"\x00\x00\x02")
    assert b"".join(sensor.receive(bytes((byte,))) for byte in one) == answer
    assert sensor.receive(one[:5]) == b""
    assert sensor.receive(one[5:] + one + one[:3]) == 2 * answer
    assert sensor.receive(one[3:]) == answer


def test_noise_before_a_command_is_passed_over() -> None:
    one, answer = packet(COMMAND, b"\x36"), packet(ACKNOWLEDGE, b"\x00")
    for noise in (b"\x00", b"\xef", b"\x55" * 3000, packet(ACKNOWLEDGE, b"\x36"), b"\xef\x01" + b"\xff" * 20):
        assert Sensor(()).receive(noise + one) == answer


def test_a_command_with_a_wrong_checksum_is_not_done() -> None:
    sensor = Sensor((1,))
    for at in (-1, -2, 9):
        spoilt = bytearray(packet(COMMAND, b"\x0d"))
        spoilt[at] ^= 1
        assert sensor.receive(bytes(spoilt)) == packet(ACKNOWLEDGE, bytes((BAD_PACKET,)))
    assert sensor.enrolled == {1}


@pytest.mark.parametrize(("fault", "size"), [("checksum", 12), ("half", 6), ("silence", 0)])
def test_a_fault_spoils_every_answer_until_it_is_mended(fault: str, size: int) -> None:
    sensor = Sensor(())
    whole = packet(ACKNOWLEDGE, b"\x00")
    spoilt = whole[:-1] + b"\xf5" if fault == "checksum" else whole[:size]
    sensor.fault = fault
    assert [sensor.receive(packet(COMMAND, b"\x36")) for _ in range(3)] == [spoilt] * 3
    sensor.fault = ""
    assert sensor.receive(packet(COMMAND, b"\x36")) == whole


def test_unplugged_it_is_silent_and_forgets_all_but_its_templates() -> None:
    sensor = Sensor((3,), PASSWORD)
    assert code(sensor, f"13 {PASSWORD:08x}") == OK
    lay(sensor, 3, 1)
    lay(sensor, 3, 2)
    half, rest = packet(COMMAND, b"\x36")[:7], packet(COMMAND, b"\x36")[7:]
    assert sensor.receive(half) == b""
    sensor.unplug()
    assert [sensor.receive(packet(COMMAND, bytes.fromhex(command))) for command in COMMANDS] == [b""] * len(COMMANDS)
    assert sensor.plug() == b"\x55"
    assert sensor.receive(rest) == b""
    assert code(sensor, "1d") == PASSWORD_NEEDED
    assert code(sensor, f"13 {PASSWORD:08x}") == OK
    assert (code(sensor, "05"), code(sensor, "02 01")) == (COMBINE_FAILED, INVALID_IMAGE)
    assert sensor.templates == {3: 3}


def test_pictures_and_templates_are_refused_and_counted() -> None:
    sensor = Sensor((3,))
    lay(sensor, 3)
    assert sensor.biometrics == 0
    for count, instruction in enumerate(BIOMETRIC, 1):
        assert code(sensor, f"{instruction:02x} 01") == BAD_PACKET
        assert sensor.biometrics == count
    assert {0x08, 0x09, 0x0A} < set(BIOMETRIC)


# --- its line on a system


class Heard:
    """In the place of a sensor: answers every byte with what it is not."""

    def __init__(self) -> None:
        self.data = b""

    def receive(self, data: bytes) -> bytes:
        self.data += data
        return bytes(byte ^ 0xFF for byte in data)


async def read(handle: int, count: int) -> bytes:
    """So many bytes from the device's end."""
    found = b""
    async with asyncio.timeout(5):
        while len(found) < count:
            try:
                found += os.read(handle, count - len(found))
            except BlockingIOError:
                await asyncio.sleep(0.005)
    return found


async def test_every_byte_passes_the_line_as_it_is_and_none_comes_back() -> None:
    hands = Hands(lambda index, value: None, lambda value: None)
    heard = Heard()
    hands.sensor = heard  # type: ignore[assignment]
    line = PtyUart(hands)
    device = os.open(line.open(), os.O_RDWR | os.O_NONBLOCK | os.O_NOCTTY)
    every = bytes(range(256))
    os.write(device, every)
    assert await read(device, 256) == every[::-1]
    assert heard.data == every
    await asyncio.sleep(0.05)
    with pytest.raises(BlockingIOError):  # no echo
        os.read(device, 1)
    os.close(device)
    line.close()


async def test_a_line_that_nobody_reads_holds_nobody_up_and_works_when_somebody_comes() -> None:
    line = PtyUart(Hands(lambda index, value: None, lambda value: None, (1, 2)))
    handles = len(os.listdir("/proc/self/fd"))
    path = line.open()
    for _ in range(200):
        line.say(b"\x55" * 1000)
    device = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_NOCTTY)
    with contextlib.suppress(BlockingIOError):
        while os.read(device, 4096):
            await asyncio.sleep(0.01)
    os.write(device, packet(COMMAND, b"\x1d"))
    assert await read(device, 14) == packet(ACKNOWLEDGE, b"\x00\x00\x02")
    os.close(device)
    line.close()
    line.close()
    line.say(b"\x55")
    assert len(os.listdir("/proc/self/fd")) == handles
    assert not await asyncio.to_thread(Path(path).exists)
