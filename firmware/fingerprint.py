"""Driver of R503, AS608 and ZFM-20 fingerprint sensors on a UART. Templates never leave the sensor.

Packet: EF01, address, packet id, length (payload + 2), payload, checksum (sum of id, length and payload, 16 bits).
"""

import struct

ADDRESS = 0xFFFFFFFF
COMMAND, ACKNOWLEDGE = 0x01, 0x07
GET_IMAGE, IMAGE_TO_TEMPLATE, SEARCH, VERIFY_PASSWORD, TEMPLATE_COUNT, AURA_LED, READ_PARAMETERS = (
    0x01,
    0x02,
    0x04,
    0x13,
    0x1D,
    0x35,
    0x0F,
)
# Confirmation codes (R503 manual) as words for a technician; one string, as in texts.py.
CONFIRMATIONS = """
00 ok
01 receive error
02 no finger
03 enrol failed
06 messy image
07 too few points
08 no match
09 not found
0a combine failed
0b bad page
0c bad template
10 delete failed
11 clear failed
13 wrong password
15 invalid image
18 flash error
1a bad register
20 wrong address
21 password needed
-1 silent
-2 broken packet
"""
NO_FINGER, NOT_FOUND = 0x02, 0x09
# Pictures that another touch mends.
_UNCLEAR = (0x06, 0x07, 0x15)
BUFFER = 1
# The longest answer we ask for: parameters, 9 + 17 + 2. A longer one is noise.
_ANSWER_BYTES_MAX = 64
# The slowest command, a search among 200 templates, takes 0.3 s; a sensor that is silent for a second is gone.
ANSWER_TIMEOUT_MS = 1000
_POLL_MS = 5


class SensorError(Exception):
    """The sensor answered with a code, or not as it must.

    code: confirmation code, -1 for silence, -2 for a broken packet.
    """

    def __init__(self, code):
        start = CONFIRMATIONS.find("\n%02x " % code if code >= 0 else "\n%d " % code) + 1
        super().__init__(CONFIRMATIONS[start + 3 :].split("\n")[0] if start else "code %d" % code)
        self.code = code


def packet(kind, payload, address=ADDRESS):
    """The bytes of one packet."""
    body = struct.pack(">BH", kind, len(payload) + 2) + payload
    return struct.pack(">HI", 0xEF01, address) + body + struct.pack(">H", sum(body) & 0xFFFF)


def answer(data):
    """(payload, bytes used) of the first whole acknowledge in `data`, or None while it is incomplete.

    Raises SensorError(-2) for bytes that cannot become one.
    """
    if len(data) < 9:
        return None
    start, _, kind, size = struct.unpack(">HIBH", data[:9])
    if start != 0xEF01 or kind != ACKNOWLEDGE or not 3 <= size <= _ANSWER_BYTES_MAX:
        raise SensorError(-2)
    end = 9 + size
    if len(data) < end:
        return None
    if sum(data[6 : end - 2]) & 0xFFFF != struct.unpack(">H", data[end - 2 : end])[0]:
        raise SensorError(-2)
    return bytes(data[9 : end - 2]), end


class Fingerprint:
    """uart: object with read(n) -> bytes or None, and write(bytes). clock: real time. password: of the sensor."""

    def __init__(self, uart, clock, password=0):
        self._uart = uart
        self._clock = clock
        self._password = password
        self.capacity = 0

    async def _ask(self, payload):
        """Send a command; the payload of its answer behind the confirmation code. Raises SensorError."""
        while self._uart.read(_ANSWER_BYTES_MAX):  # what an earlier, broken exchange left behind
            pass
        self._uart.write(packet(COMMAND, payload))
        data = b""
        for _ in range(ANSWER_TIMEOUT_MS // _POLL_MS):
            data += self._uart.read(_ANSWER_BYTES_MAX) or b""
            found = answer(data)
            if found:
                if found[0][0]:
                    raise SensorError(found[0][0])
                return found[0][1:]
            await self._clock.sleep_ms(_POLL_MS)
        raise SensorError(-1)

    async def begin(self):
        """Log in and read the capacity. Raises SensorError."""
        await self._ask(struct.pack(">BI", VERIFY_PASSWORD, self._password))
        parameters = await self._ask(bytes((READ_PARAMETERS,)))
        if len(parameters) != 16:
            raise SensorError(-2)
        self.capacity = struct.unpack(">H", parameters[4:6])[0]

    async def count(self):
        """How many templates are stored."""
        return struct.unpack(">H", (await self._ask(bytes((TEMPLATE_COUNT,))))[:2])[0]

    async def light(self, mode, colour):
        """Aura lamp (R503 only): mode 1 breathing, 2 flashing, 3 on, 4 off; colour 1 red, 2 blue, 3 purple."""
        await self._ask(bytes((AURA_LED, mode, 0x40, colour, 0)))

    async def identify(self):
        """(slot, score) of the finger on the glass, (None, 0) when it is not enrolled.

        Raises SensorError; its code is NO_FINGER when nothing touches, and one of clear() when another touch may help.
        """
        await self._ask(bytes((GET_IMAGE,)))
        await self._ask(bytes((IMAGE_TO_TEMPLATE, BUFFER)))
        try:
            found = await self._ask(struct.pack(">BBHH", SEARCH, BUFFER, 0, self.capacity))
        except SensorError as error:
            if error.code == NOT_FOUND:
                return None, 0
            raise
        if len(found) != 4:
            raise SensorError(-2)
        return struct.unpack(">HH", found)


def unclear(error):
    """True when the finger was not seen well: no fault of the sensor."""
    return error.code == NO_FINGER or error.code in _UNCLEAR
