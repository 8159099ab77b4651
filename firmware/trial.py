"""The trial of a program that was just installed: it proves itself, or the board goes back to the one before.

Proven is what brought a record of its own to the gateway and got the receipt, and whose self check finds no fault that
was not there before. Whoever has not done that in ten minutes reboots; the loader counts.
"""

from firmware import slot
from firmware.self_check import report
from protocol import event

# A hall's switch and broker need a minute after a power cut, a backlog of a thousand records half a minute more.
TRIAL_MS = 600000
_LOOK_MS = 2000


async def settle(device):
    """What a boot has to say of updates: a trial, or one that was given up. Returns when nothing is open any more."""
    if device.pointer.state == slot.REVERTED:
        _tell_reverted(device)
    elif device.pointer.state == slot.TRIAL:
        await _prove(device)


def _tell_reverted(device):
    """Once; while the journal is full a later boot does it."""
    pointer = device.pointer
    if report(device, event.UPDATE_REVERTED, pointer.refused, slot.REASONS[pointer.reason]):
        pointer.confirm()
        slot.store(device.identity.root, pointer)


async def _prove(device):
    """Confirmed on return; else it ends with a reset of the board."""
    root, pointer = device.identity.root, device.pointer
    pointer.reason = slot.RECEIPT
    own = device.journal.head  # the record of this boot, or one behind it
    ends_ms = device.uptime.ms() + TRIAL_MS
    while device.uptime.ms() < ends_ms:
        if device.journal.through >= own:
            pointer.reason = slot.SELF_CHECK
            if not await device.app.check.faults() & ~pointer.faults:
                report(device, event.UPDATE_CONFIRMED, pointer.sequence)
                pointer.confirm()
                slot.store(root, pointer)
                return
        await device.board.network_clock.sleep_ms(_LOOK_MS)
    slot.store(root, pointer)
    device.board.reset()
