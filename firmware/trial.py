"""The trial of a program that was just installed: it proves itself, or the board goes back to the one before.

Proven is what brought a record of its own to the gateway and got the receipt, whose self check finds no fault that was
not there before, and whose journal takes the event of that. Whoever has not done it in ten minutes reboots; the loader
counts.
"""

from firmware import slot
from firmware.self_check import report
from protocol import event

# A hall's switch and broker need a minute after a power cut, a backlog of a thousand records half a minute more.
TRIAL_MS = 600000
_LOOK_MS = 2000
# A journal that is full, or a flash that fails: each try costs a signature, and nothing waits but the next update.
_AGAIN_MS = 60000


async def settle(device):
    """What a boot has to say of updates: a trial, or one that was given up. Returns when nothing is open any more."""
    if device.pointer.state == slot.REVERTED:
        while not device.retiring and not _tell_reverted(device):
            await device.board.network_clock.sleep_ms(_AGAIN_MS)
    elif device.pointer.state == slot.TRIAL:
        await _prove(device)


def _tell_reverted(device):
    """Once. False when that is not possible now: until it is, no other update is taken."""
    pointer = device.pointer
    told = report(device, event.UPDATE_REVERTED, pointer.refused, slot.REASONS[pointer.reason])
    if told:
        pointer.confirm()
        slot.store(device.identity.root, pointer)
    return told


async def _prove(device):
    """Confirmed on return; else it ends with a reset of the board."""
    root, pointer = device.identity.root, device.pointer
    own = device.boot_seq
    ends_ms = device.uptime.ms() + TRIAL_MS
    while device.uptime.ms() < ends_ms:
        pointer.reason = slot.RECEIPT
        if own is None:
            own = _record(device)
        elif device.journal.through >= own and await _is_sound(device):
            pointer.confirm()
            slot.store(root, pointer)
            return
        await device.board.network_clock.sleep_ms(_LOOK_MS)
    slot.store(root, pointer)
    device.board.reset()


def _record(device):
    """The boot of this program once more, which it could not record: its seq, None while it still cannot.

    What the journal holds without it is the old program's, and its receipt says nothing of this one.
    """
    return device.journal.head if report(device, event.BOOT, 0, device.board.boot_reason()) else None


async def _is_sound(device):
    """True when no fault is new and the confirmation is on flash. What cannot record even that is not confirmed."""
    pointer = device.pointer
    if await device.app.check.faults() & ~pointer.faults:
        pointer.reason = slot.SELF_CHECK
        return False
    return report(device, event.UPDATE_CONFIRMED, pointer.sequence)
