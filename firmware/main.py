"""Where a device begins: read who we are, build the board of that kind, run, and reboot when anything fails."""

import asyncio
import gc
import sys

from firmware import identity
from firmware.device import Device

BOOT_THRESHOLD_BYTES = 2048
# A signature leaves 350 KB of garbage: without this it would spread over the whole heap and tear it into pieces. What
# stays (a link, a visit, a draft) comes to lie behind what was left since: twice as much costs 4 KiB in one piece.
RUN_THRESHOLD_BYTES = 6144


def build(board, suite, who):
    """The device of this identity on this board."""
    if who.kind == identity.EVALUATOR:
        from firmware.evaluator import Evaluator

        return Device(board, suite, who, Evaluator)
    from firmware.clock import Clock

    return Device(board, suite, who, Clock)


def _board(who, speed):
    if who.kind == identity.EVALUATOR:
        from firmware.board_evaluator import Board

        return Board(who.root, speed)
    from firmware.board_clock import Board as ClockBoard

    return ClockBoard(who.root, speed)


async def _serve(device, beside):
    helper = asyncio.create_task(beside(device)) if beside else None
    try:
        await device.run()
    finally:
        if helper:
            helper.cancel()


def run(root="", speed=1, beside=None):
    """What boot.py of a real device gets from the loader. root: folder of the flash, "" on a board.

    speed, beside (async function of the device): for a simulation. Ends with a reset of the board.
    """
    from protocol.suite_device import DeviceSuite

    # What is made now stays for ever: collecting often keeps it together at the bottom of the heap.
    gc.threshold(BOOT_THRESHOLD_BYTES)
    board = None
    try:
        who = identity.Identity(root)
        board = _board(who, speed)
        if who.is_locked:
            from firmware.locked import Locked

            asyncio.run(Locked(board, root).run())
        device = build(board, DeviceSuite(), who)
        if identity.has_file(root, identity.CRASH):
            from firmware import crash

            crash.report(device)
        gc.threshold(RUN_THRESHOLD_BYTES)
        asyncio.run(_serve(device, beside))
    except Exception as error:
        sys.print_exception(error)
        gc.collect()
        from firmware import crash

        crash.keep(root, crash.trace(error))
    if board:
        board.reset()
