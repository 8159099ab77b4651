"""Driver of R503, AS608 and ZFM-20 fingerprint sensors on a UART. Templates never leave the sensor.

Packet: EF01, address, packet id, length (payload + 2), payload, checksum (sum of id, length and payload, 16 bits).
Pictures and templates of a finger are never asked for (UpChar, UpImage): there is no command for them here.
"""

import asyncio
import struct

ADDRESS = 0xFFFFFFFF
COMMAND, ACKNOWLEDGE = 0x01, 0x07
GET_IMAGE, IMAGE_TO_TEMPLATE, SEARCH, READ_PARAMETERS = 0x01, 0x02, 0x04, 0x0F
VERIFY_PASSWORD, TEMPLATE_COUNT, AURA_LED = 0x13, 0x1D, 0x35
# Aura lamp of the R503: how it shines, and its colours.
BREATHING, FLASHING, ON, OFF = 1, 2, 3, 4
RED, BLUE, PURPLE = 1, 2, 3
_AURA_SPEED = 0x40
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
RECEIVE_ERROR, NO_FINGER, NOT_FOUND = 0x01, 0x02, 0x09
SILENT, BROKEN = -1, -2
# Pictures that another touch mends: messy image, too few points, invalid image.
_UNCLEAR = (0x06, 0x07, 0x15)
BUFFER = 1
# The longest answer we ask for: parameters, 9 + 17 + 2. A longer one is noise.
_ANSWER_BYTES_MAX = 64
# The slowest command, a search among 200 templates, takes 0.3 s; a sensor that is silent for a second is gone.
ANSWER_TIMEOUT_MS = 1000
_POLL_MS = 5
# R503 manual: the module listens 50 ms after power-on.
POWER_ON_MS = 50
# A spark on the wire spoils one packet; two in a row are a fault.
ATTEMPTS = 2
# The glass feels a finger before it lies still: pictures of one touch, and the pause between them.
PICTURES = 3
_PICTURE_MS = 50
# What an earlier, broken exchange left behind is at most one packet; a line that never rests must not hold us.
_STALE_READS_MAX = 8


class SensorError(Exception):
    """The sensor answered with a code, or not as it must.

    code: confirmation code, SILENT, or BROKEN for a packet that is none.
    """

    def __init__(self, code):
        start = CONFIRMATIONS.find("\n%02x " % code if code >= 0 else "\n%d " % code) + 1
        super().__init__(CONFIRMATIONS[start + 3 :].split("\n")[0] if start else "code %d" % code)
        self.code = code


def packet(kind, payload, address=ADDRESS):
    """The bytes of one packet."""
    body = struct.pack(">BH", kind, len(payload) + 2) + payload
    return struct.pack(">HI", 0xEF01, address) + body + struct.pack(">H", sum(body) & 0xFFFF)


def answer(data, address=ADDRESS):
    """The payload of the first acknowledge in `data`, or None while it is incomplete. Noise before it is passed over.

    Raises SensorError(BROKEN) for a packet with another address, kind, length or checksum than it must have.
    """
    start = data.find(b"\xef\x01")
    if start < 0 or len(data) < start + 9:
        if start < 0 and len(data) > _ANSWER_BYTES_MAX:
            raise SensorError(BROKEN)
        return None
    sender, kind, size = struct.unpack(">IBH", data[start + 2 : start + 9])
    if sender != address or kind != ACKNOWLEDGE or not 3 <= size <= _ANSWER_BYTES_MAX:
        raise SensorError(BROKEN)
    end = start + 9 + size
    if len(data) < end:
        return None
    if sum(data[start + 6 : end - 2]) & 0xFFFF != struct.unpack(">H", data[end - 2 : end])[0]:
        raise SensorError(BROKEN)
    return data[start + 9 : end - 2]


def _confirmed(payload, size):
    """The `size` bytes behind the confirmation code of an answer. Raises SensorError unless the code is 0."""
    if payload[0]:
        raise SensorError(payload[0])
    if len(payload) < 1 + size:
        raise SensorError(BROKEN)
    return payload[1 : 1 + size]


class Fingerprint:
    """uart: object with read(n) -> bytes or None, and write(bytes). clock: real time. password: of the sensor."""

    def __init__(self, uart, clock, password=0):
        self._uart = uart
        self._clock = clock
        self._password = password
        self._lock = asyncio.Lock()  # one command at a time, whoever asks
        self.capacity = 0

    async def _exchange(self, payload):
        """Send a command once; its answer, confirmation code first. Raises SensorError(SILENT) or (BROKEN)."""
        for _ in range(_STALE_READS_MAX):
            if not self._uart.read(_ANSWER_BYTES_MAX):
                break
        self._uart.write(packet(COMMAND, payload))
        data = b""
        for _ in range(ANSWER_TIMEOUT_MS // _POLL_MS):
            data += self._uart.read(_ANSWER_BYTES_MAX) or b""
            found = answer(data)
            if found:
                return found
            await self._clock.sleep_ms(_POLL_MS)
        raise SensorError(BROKEN if data else SILENT)

    async def _ask(self, payload, size=0):
        """The `size` bytes behind the confirmation code of a command. Raises SensorError.

        Every command here may be sent twice, so what the wire spoiled is asked again.
        """
        async with self._lock:
            left = ATTEMPTS
            while True:
                left -= 1
                try:
                    return _confirmed(await self._exchange(payload), size)
                except SensorError as error:
                    if not left or error.code not in (SILENT, BROKEN, RECEIVE_ERROR):
                        raise

    async def begin(self):
        """Log in and read the capacity. Raises SensorError."""
        await self._clock.sleep_ms(POWER_ON_MS)
        await self._ask(struct.pack(">BI", VERIFY_PASSWORD, self._password))
        parameters = await self._ask(bytes((READ_PARAMETERS,)), 16)
        self.capacity = struct.unpack(">H", parameters[4:6])[0]

    async def count(self):
        """How many templates are stored. Raises SensorError."""
        return struct.unpack(">H", await self._ask(bytes((TEMPLATE_COUNT,)), 2))[0]

    async def light(self, mode, colour):
        """Aura lamp: BREATHING, FLASHING, ON or OFF; RED, BLUE or PURPLE. A sensor may have none."""
        try:
            await self._ask(bytes((AURA_LED, mode, _AURA_SPEED, colour, 0)))
        except SensorError:
            pass

    async def _capture(self):
        """A picture that a template can be made of, from one of the next PICTURES pictures. Raises SensorError."""
        for left in range(PICTURES - 1, -1, -1):
            try:
                await self._ask(bytes((GET_IMAGE,)))
                await self._ask(bytes((IMAGE_TO_TEMPLATE, BUFFER)))
                return
            except SensorError as error:
                if not left or not unclear(error):
                    raise
            await self._clock.sleep_ms(_PICTURE_MS)

    async def identify(self):
        """(slot, score) of the finger on the glass, (None, 0) when it is not enrolled.

        Raises SensorError; unclear() tells whether another touch may help.
        """
        await self._capture()
        try:
            found = await self._ask(struct.pack(">BBHH", SEARCH, BUFFER, 0, self.capacity), 4)
        except SensorError as error:
            if error.code == NOT_FOUND:
                return None, 0
            raise
        return struct.unpack(">HH", found)


def unclear(error):
    """True when the finger was not seen well: no fault of the sensor."""
    return error.code == NO_FINGER or error.code in _UNCLEAR
