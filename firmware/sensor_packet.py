"""Packets of R503, AS608 and ZFM-20 fingerprint sensors, both ways, and what a sensor answers.

Packet: EF01, address, packet id, length (payload + 2), payload, checksum (sum of id, length and payload, 16 bits).
"""

import struct

ADDRESS = 0xFFFFFFFF
COMMAND, ACKNOWLEDGE = 0x01, 0x07
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
0a different fingers
0b no such slot
0c bad template
0d template not sent
0e data not taken
0f image not sent
10 delete failed
11 clear failed
13 wrong password
15 invalid image
18 flash error
1a bad register
1b bad configuration
1c bad notepad page
1d port failed
20 wrong address
21 password needed
55 module ready
-1 silent
-2 broken packet
"""
RECEIVE_ERROR, NO_FINGER, NO_MATCH, NOT_FOUND, COMBINE_FAILED, WRONG_PASSWORD = 0x01, 0x02, 0x08, 0x09, 0x0A, 0x13
SILENT, BROKEN = -1, -2
# Pictures that another touch mends: messy image, too few points, invalid image.
_UNCLEAR = (0x06, 0x07, 0x15)
# The longest answer that is asked for: the table of slots, 9 + 33 + 2. A longer one is noise.
ANSWER_BYTES_MAX = 64


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
        if start < 0 and len(data) > ANSWER_BYTES_MAX:
            raise SensorError(BROKEN)
        return None
    sender, kind, size = struct.unpack(">IBH", data[start + 2 : start + 9])
    if sender != address or kind != ACKNOWLEDGE or not 3 <= size <= ANSWER_BYTES_MAX:
        raise SensorError(BROKEN)
    end = start + 9 + size
    if len(data) < end:
        return None
    if sum(data[start + 6 : end - 2]) & 0xFFFF != struct.unpack(">H", data[end - 2 : end])[0]:
        raise SensorError(BROKEN)
    return data[start + 9 : end - 2]


def unclear(error):
    """True when the finger was not seen well: no fault of the sensor."""
    return error.code == NO_FINGER or error.code in _UNCLEAR
