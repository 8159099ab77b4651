"""A fingerprint sensor as its data sheet has it: R503, bytes in, bytes out. Fingers are numbers; templates are made up.

Pure: whoever owns it carries the bytes. Faults can be switched on to see what a driver does with them.
"""

import struct
from collections import deque
from collections.abc import Callable, Iterable

_HEAD = 0xEF01
_ADDRESS = 0xFFFFFFFF
_COMMAND, _ACKNOWLEDGE = 0x01, 0x07
OK, BAD_PACKET, NO_FINGER, NO_MATCH, NOT_FOUND, COMBINE_FAILED = 0x00, 0x01, 0x02, 0x08, 0x09, 0x0A
BAD_SLOT, DELETE_FAILED, WRONG_PASSWORD, INVALID_IMAGE, PASSWORD_NEEDED = 0x0B, 0x10, 0x13, 0x15, 0x21
# What a sensor with the manual's handshake says once it has power.
READY = 0x55
CAPACITY = 200
# What a good match scores; the data sheet says nothing, sensors at hand gave 50 to 200.
_SCORE = 120
# Picture and template of a finger, up and down. A device of ours never asks for them.
BIOMETRIC = (0x07, 0x08, 0x09, 0x0A, 0x0B)
# Log in, check, handshake: what it does for everybody.
_UNLOCKED = (0x13, 0x36, 0x40)


def packet(kind: int, payload: bytes) -> bytes:
    """One packet with its checksum."""
    body = struct.pack(">BH", kind, len(payload) + 2) + payload
    return struct.pack(">HI", _HEAD, _ADDRESS) + body + struct.pack(">H", sum(body) & 0xFFFF)


class Sensor:
    """templates: {slot: finger}; `enrolled` fingers lie in the slots of their number. finger: on the glass; -1 is a
    stranger's, None is none.

    fault: "" or "checksum", "half", "silence": what goes wrong with every answer. pictures: confirmation codes that the
    next pictures end with. plugged: it has power. biometrics: how often somebody asked for a picture or a template.
    """

    def __init__(self, enrolled: Iterable[int], password: int = 0) -> None:
        self.templates = {slot: slot for slot in enrolled}
        self.finger: int | None = None
        self.fault = ""
        self.pictures: deque[int] = deque()
        self.plugged = True
        self.biometrics = 0
        self.password = password
        self._pending = b""
        self._forget()
        self._deeds: dict[int, Callable[[bytes], bytes]] = {
            0x01: self._take_picture, 0x02: self._make_features, 0x03: self._match, 0x04: self._search,
            0x05: self._merge, 0x06: self._store, 0x0C: self._delete, 0x0D: self._clear, 0x0F: self._parameters,
            0x12: self._set_password, 0x13: self._log_in, 0x1D: self._count, 0x1F: self._slots,
            0x35: self._done, 0x36: self._done, 0x40: self._done,
        }  # fmt: skip

    @property
    def enrolled(self) -> set[int]:
        """The slots that hold a template."""
        return set(self.templates)

    def _forget(self) -> None:
        """What it knows only while it has power."""
        self._image: int | None = None
        self._buffers: dict[int, int | None] = {}
        self._logged_in = False

    def unplug(self) -> None:
        """Somebody pulled the plug: it hears and says nothing."""
        self.plugged = False
        self._pending = b""
        self._forget()

    def plug(self) -> bytes:
        """Power again; what it says to that."""
        self.plugged = True
        return bytes((READY,))

    def receive(self, data: bytes) -> bytes:
        """The answers to every whole command in what came so far."""
        if not self.plugged:
            return b""
        self._pending = (self._pending + data)[-1024:]  # noise must not grow for ever
        answers = b""
        while True:
            command, self._pending = _take(self._pending)
            if command is None:
                return answers
            answers += self._spoil(packet(_ACKNOWLEDGE, self._answer(command) if command else bytes((BAD_PACKET,))))

    def _spoil(self, answer: bytes) -> bytes:
        if self.fault == "checksum":
            return answer[:-1] + bytes((answer[-1] ^ 0xFF,))
        if self.fault == "half":
            return answer[: len(answer) // 2]
        return b"" if self.fault == "silence" else answer

    def _answer(self, command: bytes) -> bytes:
        """Confirmation code and data for one command."""
        self.biometrics += command[0] in BIOMETRIC
        if self.password and not self._logged_in and command[0] not in _UNLOCKED:
            return bytes((PASSWORD_NEEDED,))
        deed = self._deeds.get(command[0], _refuse)
        try:
            return deed(command[1:])
        except struct.error:  # too many arguments, or too few
            return bytes((BAD_PACKET,))

    def _done(self, _arguments: bytes) -> bytes:
        return bytes((OK,))

    def _take_picture(self, _arguments: bytes) -> bytes:
        self._image = self.finger
        return bytes((NO_FINGER if self.finger is None else OK,))

    def _make_features(self, arguments: bytes) -> bytes:
        (buffer,) = struct.unpack(">B", arguments)
        if buffer not in (1, 2):
            return bytes((BAD_PACKET,))
        if self.pictures:
            return bytes((self.pictures.popleft(),))
        if self._image is None:
            return bytes((INVALID_IMAGE,))
        self._buffers[buffer] = self._image
        return bytes((OK,))

    def _search(self, arguments: bytes) -> bytes:
        buffer, start, count = struct.unpack(">BHH", arguments)
        finger = self._buffers.get(buffer)
        for slot in sorted(self.templates):
            if start <= slot < start + count and self.templates[slot] == finger and finger != -1:
                return struct.pack(">BHH", OK, slot, _SCORE)
        return struct.pack(">BHH", NOT_FOUND, 0, 0)

    def _match(self, _arguments: bytes) -> bytes:
        first, second = self._buffers.get(1), self._buffers.get(2)
        same = first is not None and first == second
        return struct.pack(">BH", OK if same else NO_MATCH, _SCORE if same else 0)

    def _merge(self, _arguments: bytes) -> bytes:
        first, second = self._buffers.get(1), self._buffers.get(2)
        if first is None or first != second:
            return bytes((COMBINE_FAILED,))
        return bytes((OK,))

    def _store(self, arguments: bytes) -> bytes:
        buffer, slot = struct.unpack(">BH", arguments)
        finger = self._buffers.get(buffer)
        if slot >= CAPACITY or finger is None:
            return bytes((BAD_SLOT,))
        self.templates[slot] = finger
        return bytes((OK,))

    def _delete(self, arguments: bytes) -> bytes:
        slot, count = struct.unpack(">HH", arguments)
        if slot + count > CAPACITY:
            return bytes((DELETE_FAILED,))
        for one in range(slot, slot + count):
            self.templates.pop(one, None)
        return bytes((OK,))

    def _clear(self, _arguments: bytes) -> bytes:
        self.templates.clear()
        return bytes((OK,))

    def _parameters(self, _arguments: bytes) -> bytes:
        return bytes((OK,)) + struct.pack(">HHHHIHH", 0, 0, CAPACITY, 3, _ADDRESS, 2, 6)

    def _set_password(self, arguments: bytes) -> bytes:
        (self.password,) = struct.unpack(">I", arguments)
        return bytes((OK,))

    def _log_in(self, arguments: bytes) -> bytes:
        self._logged_in = struct.unpack(">I", arguments) == (self.password,)
        return bytes((OK if self._logged_in else WRONG_PASSWORD,))

    def _count(self, _arguments: bytes) -> bytes:
        return struct.pack(">BH", OK, len(self.templates))

    def _slots(self, arguments: bytes) -> bytes:
        """A table of 256 bits; the lowest of the first byte is slot 0."""
        (page,) = struct.unpack(">B", arguments)
        table = bytearray(32)
        for slot in self.templates:
            if slot // 256 == page:
                table[slot % 256 // 8] |= 1 << slot % 8
        return bytes((OK,)) + bytes(table)


def _refuse(_arguments: bytes) -> bytes:
    """A command that this sensor does not know, or that nobody of ours may ask for."""
    return bytes((BAD_PACKET,))


def _take(data: bytes) -> tuple[bytes | None, bytes]:
    """(payload of the first command, rest); None while none is whole, b"" for one with a wrong checksum."""
    while True:
        start = data.find(b"\xef\x01")
        if start < 0 or len(data) < start + 9:
            return None, data[start:] if start >= 0 else data[-1:]
        kind, size = data[start + 6], struct.unpack(">H", data[start + 7 : start + 9])[0]
        if 3 <= size <= 256 and kind == _COMMAND:
            break
        data = data[start + 2 :]  # it only looks like the start of one
    end = start + 9 + size
    if len(data) < end:
        return None, data[start:]
    whole = sum(data[start + 6 : end - 2]) & 0xFFFF == struct.unpack(">H", data[end - 2 : end])[0]
    return (data[start + 9 : end - 2] if whole else b""), data[end:]
