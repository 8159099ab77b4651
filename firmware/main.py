"""Where a device begins: read who we are, build the board of that kind, run, and reboot when anything fails."""

import asyncio
import gc
import os
import sys

from firmware import identity
from firmware.device import Device
from firmware.journal import JournalFull
from protocol import event, record

# Text of a fault that survives the reboot, in one event: the end of a traceback says most.
CRASH_CHARS_MAX = 96
BOOT_THRESHOLD_BYTES = 2048
# A signature leaves 350 KB of garbage: without this it would spread over the whole heap and tear it into pieces.
RUN_THRESHOLD_BYTES = 12288


def build(board, suite, who):
    """The device of this identity on this board."""
    if who.kind == identity.EVALUATOR:
        from firmware.evaluator import Evaluator as App
    else:
        from firmware.clock import Clock as App
    return Device(board, suite, who, App)


def _board(who, speed):
    if who.kind == identity.EVALUATOR:
        from firmware.board_evaluator import Board
    else:
        from firmware.board_clock import Board
    return Board(who.root, speed)


def report_crash(device):
    """What ended the last run becomes an event of this one, or of a later one while the journal is full."""
    path = device.identity.root + "/crash"
    try:
        text = str(identity.read_file(path), "utf-8")
        device.record(record.EVENT, {event.CODE: event.FAULT, event.TEXT: text[:CRASH_CHARS_MAX] or "crash"})
        os.remove(path)
    except (OSError, UnicodeError, JournalFull):
        pass


def _keep(error, path):
    """For report_crash() of the next run. On a flash that takes nothing any more the run ends without."""
    try:
        with open(path, "w") as file:
            file.write(("%s %s" % (type(error).__name__, error))[:CRASH_CHARS_MAX])
    except OSError:
        pass


async def _serve(device, beside):
    helper = asyncio.create_task(beside(device)) if beside else None
    try:
        await device.run()
    finally:
        if helper:
            helper.cancel()


def run(root="", speed=1, beside=None):
    """What main.py of a real device calls. root: folder of the flash, "" on a board.

    speed, beside (async function of the device): for a simulation. Ends with a reset of the board.
    """
    from protocol.suite_device import DeviceSuite

    # What is made now stays for ever: collecting often keeps it together at the bottom of the heap.
    gc.threshold(BOOT_THRESHOLD_BYTES)
    board = None
    try:
        who = identity.Identity(root)
        board = _board(who, speed)
        device = build(board, DeviceSuite(), who)
        report_crash(device)
        gc.threshold(RUN_THRESHOLD_BYTES)
        asyncio.run(_serve(device, beside))
    except Exception as error:
        sys.print_exception(error)
        _keep(error, root + "/crash")
    if board:
        board.reset()
