"""Driver of R503, AS608 and ZFM-20 fingerprint sensors on a UART. Templates never leave the sensor.

Pictures and templates of a finger are never asked for (UpChar, UpImage), nor brought in (DownChar): there is no command
for them here.
"""

import asyncio
import struct

from firmware.sensor_packet import (
    ANSWER_BYTES_MAX,
    BROKEN,
    COMMAND,
    NO_MATCH,
    NOT_FOUND,
    RECEIVE_ERROR,
    SILENT,
    SensorError,
    answer,
    packet,
    unclear,
)

GET_IMAGE, IMAGE_TO_TEMPLATE, MATCH, SEARCH, MERGE, STORE = range(1, 7)
DELETE, CLEAR, READ_PARAMETERS = 0x0C, 0x0D, 0x0F
SET_PASSWORD, VERIFY_PASSWORD, TEMPLATE_COUNT, READ_SLOTS, AURA_LED = 0x12, 0x13, 0x1D, 0x1F, 0x35
# Aura lamp of the R503: how it shines, and its colours.
BREATHING, FLASHING, ON, OFF = 1, 2, 3, 4
RED, BLUE, PURPLE = 1, 2, 3
_AURA_SPEED = 0x40
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
# One page of the table of slots: a bit for each of 256. No sensor of these kinds has more.
SLOTS_BYTES = 32


def holds(slots, slot):
    """True when a table from Fingerprint.slots() says that `slot` has a template: bit 0 of byte 0 is slot 0."""
    return slot >> 3 < len(slots) and slots[slot >> 3] >> (slot & 7) & 1 == 1


def _confirmed(payload, size):
    """The `size` bytes behind the confirmation code of an answer. Raises SensorError unless the code is 0."""
    if payload[0]:
        raise SensorError(payload[0])
    if len(payload) < 1 + size:
        raise SensorError(BROKEN)
    return payload[1 : 1 + size]


class Fingerprint:
    """uart: object with read(n) -> bytes or None, and write(bytes). clock: real time. password: of the sensor.

    Every method raises SensorError. capacity: slots of the sensor, known after begin().
    """

    def __init__(self, uart, clock, password=0):
        self._uart = uart
        self._clock = clock
        self._lock = asyncio.Lock()  # one command at a time, whoever asks
        self.password = password
        self.capacity = 0

    async def _exchange(self, payload):
        """Send a command once; its answer, confirmation code first. Raises SensorError(SILENT) or (BROKEN)."""
        for _ in range(_STALE_READS_MAX):
            if not self._uart.read(ANSWER_BYTES_MAX):
                break
        self._uart.write(packet(COMMAND, payload))
        data = b""
        for _ in range(ANSWER_TIMEOUT_MS // _POLL_MS):
            data += self._uart.read(ANSWER_BYTES_MAX) or b""
            found = answer(data)
            if found:
                return found
            await self._clock.sleep_ms(_POLL_MS)
        raise SensorError(BROKEN if data else SILENT)

    async def _ask(self, payload, size=0):
        """The `size` bytes behind the confirmation code of a command.

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
        """Log in and read the capacity."""
        await self._clock.sleep_ms(POWER_ON_MS)
        await self._ask(struct.pack(">BI", VERIFY_PASSWORD, self.password))
        parameters = await self._ask(bytes((READ_PARAMETERS,)), 16)
        self.capacity = struct.unpack(">H", parameters[4:6])[0]

    async def set_password(self, new):
        """From now on the sensor asks for this one, also after its next power-on."""
        await self._ask(struct.pack(">BI", SET_PASSWORD, new))
        self.password = new

    async def count(self):
        """How many templates are stored."""
        return struct.unpack(">H", await self._ask(bytes((TEMPLATE_COUNT,)), 2))[0]

    async def slots(self):
        """The table of slots that have a template, for holds()."""
        return await self._ask(bytes((READ_SLOTS, 0)), SLOTS_BYTES)

    async def light(self, mode, colour):
        """Aura lamp: BREATHING, FLASHING, ON or OFF; RED, BLUE or PURPLE. A sensor may have none: no error."""
        try:
            await self._ask(bytes((AURA_LED, mode, _AURA_SPEED, colour, 0)))
        except SensorError:
            pass

    async def capture(self, buffer):
        """One good picture of the finger on the glass, of the next PICTURES, becomes features in buffer 1 or 2."""
        for left in range(PICTURES - 1, -1, -1):
            try:
                await self._ask(bytes((GET_IMAGE,)))
                await self._ask(bytes((IMAGE_TO_TEMPLATE, buffer)))
                return
            except SensorError as error:
                if not left or not unclear(error):
                    raise
            await self._clock.sleep_ms(_PICTURE_MS)

    async def search(self, buffer=1):
        """(slot, score) of the template that matches a buffer, (None, 0) when none does."""
        try:
            found = await self._ask(struct.pack(">BBHH", SEARCH, buffer, 0, self.capacity), 4)
        except SensorError as error:
            if error.code == NOT_FOUND:
                return None, 0
            raise
        return struct.unpack(">HH", found)

    async def identify(self):
        """(slot, score) of the finger on the glass, (None, 0) when it is not enrolled.

        sensor_packet.unclear() tells of an error whether another touch may help.
        """
        await self.capture(1)
        return await self.search()

    async def merge(self):
        """Both buffers become one template, in both of them. COMBINE_FAILED: they are of different fingers."""
        await self._ask(bytes((MERGE,)))

    async def match(self):
        """True when the finger in buffer 1 is that of buffer 2."""
        try:
            await self._ask(bytes((MATCH,)), 2)
            return True
        except SensorError as error:
            if error.code == NO_MATCH:
                return False
            raise

    async def store(self, slot):
        """The template in buffer 2 goes to this slot, over what is there."""
        await self._ask(struct.pack(">BBH", STORE, 2, slot))

    async def delete(self, slot):
        """The template of this slot is gone; one that is not there is as well."""
        await self._ask(struct.pack(">BHH", DELETE, slot, 1))

    async def clear(self):
        """Every template is gone."""
        await self._ask(bytes((CLEAR,)))
