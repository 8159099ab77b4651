"""Removal of a finger: on flash before the sensor is asked to forget it, until it has and the stream says so.

A sensor that loses its plug, or a power cut, ends no removal: it is finished as soon as the sensor answers again, and
before it is asked for any finger. So the stream never says of a finger that it is gone while it still opens the door.
"""

import os

from firmware.identity import REMOVAL, read_file
from firmware.self_check import report
from protocol import cbor, event
from protocol.refusal import Refused


def begin(root, slot, staff, by):
    """The finger in `slot` has to go. staff: number of its person. by: of the administrator, "" where a command did.

    On flash on return. There is one at a time: finish() it before the next. Raises OSError.
    """
    with open(root + REMOVAL, "wb") as file:
        file.write(cbor.encode([slot, staff, by]))


def cancel(root):
    """The finger stays after all. Raises OSError."""
    os.remove(root + REMOVAL)


async def finish(device, sensor):
    """True when the sensor has forgotten the finger and the stream says so, also where nothing was begun.

    False while there is no room to say so. Raises SensorError.
    """
    root = device.identity.root
    try:
        slot, staff, by = cbor.decode_list(read_file(root + REMOVAL), 3)
    except OSError:
        return True
    except (Refused, ValueError):  # torn by a power cut: so the sensor was not asked yet
        cancel(root)
        return True
    await sensor.delete(slot)
    if not report(device, event.FINGER_DELETED, slot, staff, by):
        return False
    cancel(root)
    return True
