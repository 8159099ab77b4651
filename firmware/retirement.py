"""Retirement: a device that is decommissioned hands over everything it owes, and then forgets all it knows.

    command -> nothing is taken any more -> templates erased -> event -> receipt of the whole journal -> all erased
Each step is finished after a power cut. A journal that the gateway never receipts is never erased.
"""

import os

from firmware import erasure, identity
from firmware.identity import RETIRING as MARK
from firmware.journal import JournalFull
from firmware.self_check import report
from protocol import event

_TWINS = ("/config", "/roster", "/draft", "/receipt")
# Templates that cannot be erased now are tried again: the sensor may have lost its plug.
RETRY_MS = 2000


def erase_all(root, feed):
    """Journal, settings and keys are gone on return; who the device was stays."""
    try:
        journal = ["/journal/" + name for name in os.listdir(root + "/journal")]
    except OSError:
        journal = []
    settings = [name + copy for name in _TWINS for copy in (".0", ".1")] + [identity.REMOVAL]
    erasure.erase(root, list(identity.SECRETS) + settings + journal, feed)


def begin(root):
    """The command came: from now on every boot goes on with it. Raises OSError."""
    with open(root + MARK, "w") as file:
        file.write("1")


async def retire(device):
    """Everything from the command to the end, which is a reboot."""
    clock = device.board.network_clock
    device.app.hold("leaving")
    while not await device.app.forget() or not _told(device):
        await clock.sleep_ms(RETRY_MS)
    while device.owed():
        await clock.sleep_ms(RETRY_MS)
    device.journal.close()
    erase_all(device.identity.root, device.board.watchdog.feed)
    device.board.reset()


def _told(device):
    """True when the last that this device has to say is in its journal."""
    try:
        device.seal()
    except (JournalFull, OSError):
        return False
    return report(device, event.DECOMMISSIONED, device.journal.head)
