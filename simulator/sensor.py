"""A fingerprint sensor as its data sheet has it: R503, bytes in, bytes out. Fingers are numbers; templates are made up.

Pure: whoever owns it carries the bytes. Faults can be switched on to see what a driver does with them.
"""

import struct
from collections.abc import Iterable

_HEAD = 0xEF01
_ADDRESS = 0xFFFFFFFF
_COMMAND, _ACKNOWLEDGE = 0x01, 0x07
OK, BAD_PACKET, NO_FINGER, NOT_FOUND, WRONG_PASSWORD = 0x00, 0x01, 0x02, 0x09, 0x13
CAPACITY = 200
# What a good match scores; the data sheet says nothing, sensors at hand gave 50 to 200.
_SCORE = 120


def packet(kind: int, payload: bytes) -> bytes:
    """One packet with its checksum."""
    body = struct.pack(">BH", kind, len(payload) + 2) + payload
    return struct.pack(">HI", _HEAD, _ADDRESS) + body + struct.pack(">H", sum(body) & 0xFFFF)


class Sensor:
    """enrolled: slots that hold a template. finger: slot of the finger on the glass, -1 for a stranger's, None for
    none.

    fault: "" or "checksum", "half", "silence": what goes wrong with every answer.
    """

    def __init__(self, enrolled: Iterable[int], password: int = 0) -> None:
        self.enrolled = set(enrolled)
        self.finger: int | None = None
        self.fault = ""
        self._password = password
        self._pending = b""
        self._image: int | None = None
        self._template: int | None = None

    def receive(self, data: bytes) -> bytes:
        """The answers to every whole command in what came so far."""
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
        instruction, arguments = command[0], command[1:]
        if instruction == 0x13:
            return bytes((OK if arguments == struct.pack(">I", self._password) else WRONG_PASSWORD,))
        if instruction == 0x0F:
            return bytes((OK,)) + struct.pack(">HHHHIHH", 0, 0, CAPACITY, 3, _ADDRESS, 2, 6)
        if instruction == 0x1D:
            return bytes((OK,)) + struct.pack(">H", len(self.enrolled))
        if instruction == 0x01:
            self._image = self.finger
            return bytes((NO_FINGER if self.finger is None else OK,))
        if instruction == 0x02:
            self._template = self._image
            return bytes((OK,))
        if instruction == 0x04:
            found = self._template in self.enrolled
            return struct.pack(">BHH", OK, self._template, _SCORE) if found else struct.pack(">BHH", NOT_FOUND, 0, 0)
        return bytes((OK,)) if instruction == 0x35 else bytes((BAD_PACKET,))


def _take(data: bytes) -> tuple[bytes | None, bytes]:
    """(payload of the first command, rest); None while none is whole, b"" for one with a wrong checksum."""
    start = data.find(b"\xef\x01")
    if start < 0 or len(data) < start + 9:
        return None, data[max(start, 0) :] if start >= 0 else data[-1:]
    kind, size = data[start + 6], struct.unpack(">H", data[start + 7 : start + 9])[0]
    end = start + 9 + size
    if size < 3 or size > 256 or kind != _COMMAND:
        return None, data[start + 2 :]
    if len(data) < end:
        return None, data[start:]
    whole = sum(data[start + 6 : end - 2]) & 0xFFFF == struct.unpack(">H", data[end - 2 : end])[0]
    return (data[start + 9 : end - 2] if whole else b""), data[end:]
