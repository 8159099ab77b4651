"""Cuts the power at program and erase operations of updates on littlefs, and looks which program boots.

Runs on the MicroPython VM; test_firmware_update_cuts.py starts it. Settings of the environment: FACTORY, folder of the
host with the program that the board was delivered with; PROGRAMS, three modules of each other one as hex, "5:…";
CUT_FIRST, CUT_STEP, CUT_SHARES as in journal_cuts.py; FAULT, one of powercut_plant.py. Ends with "cases=N booted WORD=N
…".

Three releases are offered one after the other: 5, whose bytes on the way are not those that were signed; 6, which
proves itself; 7, which never gets a receipt. Each is a stage, and begins with the flash that the one before has left.
"""

import os
import sys

import powercut_plant
import vfs
from flash_root import BLOCK_BYTES, NorFlash, is_cut, mount, unmount
from suites import device_suite
from updating_device import Rebooted, UpdatingDevice, bundle_of, notice_of

from firmware import loader, slot, trial
from firmware.self_check import report
from protocol import event

BLOCKS = 44
SUITE = device_suite()
# More boots and messages than any stage needs: what does not settle is found.
STEPS_MAX = 40
# What each stage has to bring about in the end: (release that runs, newest that was refused).
STAGES = {5: (0, 5), 6: (6, 5), 7: (6, 7)}


def programs():
    """{sequence: bundle}."""
    found = {}
    for entry in os.getenv("PROGRAMS").split(" "):
        sequence, *modules = entry.split(":")
        names = ("firmware/__init__.mpy", "firmware/deed.mpy", "firmware/main.mpy")
        found[int(sequence)] = bundle_of({name: bytes.fromhex(module) for name, module in zip(names, modules)})
    return found


BUNDLES = programs()
NOTICES = {sequence: notice_of(SUITE, BUNDLES[sequence], sequence) for sequence in (6, 7)}
NOTICES[5] = notice_of(SUITE, BUNDLES[5][:-1] + b"?", 5)


def boot():
    """The word of the program that this boot is for. Raises what the loader raises."""
    modules, path = dict(sys.modules), list(sys.path)
    sys.path.insert(0, os.getenv("FACTORY"))
    try:
        return loader.program("/flash")()
    finally:
        sys.path[:] = path
        for name in list(sys.modules):
            del sys.modules[name]
        sys.modules.update(modules)


class Life:
    """One board on one flash, and the gateway that offers it one release. booted: words, in order."""

    def __init__(self, sequence):
        self.sequence = sequence
        self.booted = []
        self.device = None

    def run(self):
        """Boot again and again until the stage is settled. Raises OSError where the power is lost."""
        for _ in range(STEPS_MAX):
            self.booted.append(boot())
            device = self.device = self.device or UpdatingDevice(SUITE, "/flash")
            device.boot()
            try:
                if self._live(device):
                    return
            except Rebooted:
                pass
        raise AssertionError("it does not settle")

    def _live(self, device):
        """One run of the program. True when nothing is left to do."""
        pointer = device.pointer
        word = "factory" if not pointer.active else str(pointer.sequence)
        assert self.booted[-1] == word, (self.booted, word)
        if pointer.state == slot.REVERTED:
            trial._tell_reverted(device)
        elif pointer.state == slot.TRIAL and pointer.sequence == 6:
            report(device, event.UPDATE_CONFIRMED, 6)
            pointer.confirm()
            slot.store("/flash", pointer)
        elif pointer.state == slot.TRIAL:
            return False  # it crashes, or hears nothing: the board is reset
        if self.sequence <= max(pointer.sequence, pointer.refused):
            return True
        device.update.on_notice(NOTICES[self.sequence])
        device.feed(BUNDLES[self.sequence], self.sequence)
        return not device.install()


def check(life, where):
    """The power is back: a program boots, and the stage comes to the end that it must have."""
    life.run()
    pointer = slot.load("/flash")
    assert (pointer.sequence, pointer.refused) == STAGES[life.sequence], (where, pointer.sequence, pointer.refused)
    assert "5" not in life.booted, (where, life.booted)  # nobody signed that one
    told = [(code, value) for code, value, _ in life.device.events]
    wanted = {5: [(16, 5)], 6: [(17, 6), (18, 6)], 7: [(17, 7), (19, 7)]}[life.sequence]
    for one in wanted:
        assert one in told, (where, one, told)


def fresh(memory):
    """An empty file system."""
    unmount()
    device = NorFlash(memory)
    for block in range(BLOCKS):
        device.erase(block)
    vfs.VfsLfs2.mkfs(device)


def cut(memory, before, sequence, at, share):
    """One life, cut at operation `at`. Words that booted, or None when the stage ended before."""
    memory[:] = before
    device = NorFlash(memory, at, share)
    mount(device)
    life = Life(sequence)
    if not is_cut(device, life.run):
        return None
    mount(NorFlash(memory))
    words = len(life.booted)
    check(life, (sequence, at, share))
    return life.booted[words]


def main():
    memory, before = bytearray(BLOCKS * BLOCK_BYTES), bytearray(BLOCKS * BLOCK_BYTES)
    booted, cases = {}, 0
    if os.getenv("FAULT"):
        powercut_plant.plant(os.getenv("FAULT"))
    shares = [int(number) for number in os.getenv("CUT_SHARES").split(",")]
    fresh(memory)
    for sequence in (5, 6, 7):
        before[:] = memory
        at, last = int(os.getenv("CUT_FIRST")), False
        while not last:
            for share in shares:
                word = cut(memory, before, sequence, at, share)
                last = word is None
                if word:
                    cases += 1
                    booted[word] = booted.get(word, 0) + 1
            at += int(os.getenv("CUT_STEP"))
    words = " ".join([f"{word}={booted[word]}" for word in sorted(booted)])
    print(f"cases={cases} booted {words}")


main()
