"""Which program a boot is for: the pointer, and the loader. Runs on CPython and on MicroPython."""

import os
import sys

from flash_root import new_root, write

from firmware import loader, slot

# The flash lies in the heap here, beside the programs.
HEAP_KIB = 256


def on_trial(faults=0):
    """The pointer of a board that runs release 5 from its first slot and tries 6 in the second."""
    pointer = slot.Pointer()
    for sequence in (5, 6):
        pointer.confirm()
        pointer.try_out(sequence, faults)
    return pointer


def where(pointer):
    return pointer.active, pointer.sequence, pointer.previous, pointer.previous_sequence


def test_a_board_as_it_was_delivered_runs_what_it_was_delivered_with():
    for content in (b"", b"\x02" + bytes(18), bytes(19), b"\x01" + bytes(17)):
        pointer = slot.Pointer(content)
        assert where(pointer) == (0, 0, 0, 0)
        assert (pointer.state, pointer.refused, pointer.count_boot()) == (slot.CONFIRMED, 0, False)


def test_a_pointer_is_read_as_it_was_written():
    pointer = on_trial(faults=0x7F)
    pointer.count_boot()
    pointer.refuse(0xFFFFFFFF)
    pointer.reason = slot.RECEIPT
    read = slot.Pointer(pointer.encode())
    assert where(read) == (2, 6, 1, 5)
    assert (read.state, read.boots, read.faults, read.reason) == (slot.TRIAL, 1, 0x7F, slot.RECEIPT)
    assert read.refused == 0xFFFFFFFF


def test_two_slots_take_turns():
    pointer, seen = slot.Pointer(), []
    for sequence in range(1, 5):
        pointer.try_out(sequence, 0)
        pointer.confirm()
        seen.append(pointer.active)
    assert seen == [1, 2, 1, 2]


def test_a_trial_has_three_boots_and_the_fourth_is_the_old_program_again():
    pointer = on_trial()
    for boots in (1, 2, 3):
        assert pointer.count_boot()
        assert (where(pointer), pointer.boots) == ((2, 6, 1, 5), boots)
    assert pointer.count_boot()
    assert where(pointer) == (1, 5, 0, 0)
    assert (pointer.state, pointer.refused, pointer.reason) == (slot.REVERTED, 6, slot.CRASH)
    assert not pointer.count_boot()


def test_a_confirmed_program_boots_for_ever():
    pointer = on_trial()
    pointer.count_boot()
    pointer.confirm()
    for _ in range(10):
        assert not pointer.count_boot()
    assert where(pointer) == (2, 6, 1, 5)


def test_a_refused_number_never_sinks():
    pointer = slot.Pointer()
    for sequence in (7, 3, 9, 1):
        pointer.refuse(sequence)
    assert pointer.refused == 9


# --- the loader


class Programs:
    """A flash with programs in its folders, each of one line that says who it is. "with": loads one, as a boot does.

    What the loader does to the interpreter is undone afterwards: these tests are a program too.
    """

    def __init__(self, **sources):
        self.root = new_root()
        self.runs = []
        for folder in sources:
            self.put(folder, sources[folder])

    def put(self, folder, source):
        for path in (self.root + "/" + folder, self.root + "/" + folder + "/firmware"):
            try:
                os.mkdir(path)
            except OSError:
                pass
        write(self.root + "/" + folder + "/firmware/__init__.py", b"")
        write(self.root + "/" + folder + "/firmware/main.py", source.encode())

    def boot(self):
        """What run() of the loaded program says; the exception of one that cannot be loaded."""
        path, modules = list(sys.path), dict(sys.modules)
        sys.path.insert(0, self.root + "/factory")
        try:
            return loader.program(self.root)()
        except Exception as error:
            return error
        finally:
            sys.path[:] = path
            for name in list(sys.modules):
                del sys.modules[name]
            sys.modules.update(modules)

    def point(self, pointer):
        slot.store(self.root, pointer)

    @property
    def pointer(self):
        return slot.load(self.root)


def says(word):
    return f"def run():\n    return {word!r}\n"


CRASHING = "raise ValueError('broken')\n"


def test_without_a_pointer_the_factory_program_runs_and_nothing_is_written():
    flash = Programs(factory=says("factory"), a=says("a"))
    before = sorted(os.listdir(flash.root))
    assert flash.boot() == "factory"
    assert sorted(os.listdir(flash.root)) == before


def test_the_slot_runs_that_the_pointer_names():
    flash = Programs(factory=says("factory"), a=says("a"), b=says("b"))
    pointer = slot.Pointer()
    for word in ("a", "b"):
        pointer.try_out(pointer.sequence + 1, 0)
        pointer.confirm()
        flash.point(pointer)
        assert flash.boot() == word


def test_a_trial_boot_is_counted_before_the_program_is_loaded():
    flash = Programs(factory=says("factory"), a="from firmware import nothing\n")
    pointer = slot.Pointer()
    pointer.try_out(6, 0)
    flash.point(pointer)
    for boots in (1, 2, 3):
        assert isinstance(flash.boot(), ImportError)
        assert (flash.pointer.boots, flash.pointer.state) == (boots, slot.TRIAL)
    assert flash.boot() == "factory"
    assert (flash.pointer.state, flash.pointer.refused) == (slot.REVERTED, 6)
    assert slot.REASONS[flash.pointer.reason] == "import"


def test_a_program_that_crashes_while_it_is_loaded_gives_way_to_the_old_one():
    flash = Programs(factory=says("factory"), a=says("a"), b=CRASHING)
    flash.point(on_trial())
    for _ in range(3):
        assert isinstance(flash.boot(), ValueError)
    assert flash.boot() == "a"
    assert (flash.pointer.sequence, flash.pointer.refused) == (5, 6)


def test_a_program_that_was_confirmed_and_is_damaged_gives_way_down_to_the_factory():
    flash = Programs(factory=says("factory"), a=CRASHING, b=CRASHING)
    pointer = on_trial()
    pointer.confirm()
    flash.point(pointer)
    assert isinstance(flash.boot(), ValueError) and flash.pointer.active == 1
    assert isinstance(flash.boot(), ValueError) and flash.pointer.active == 0
    assert flash.boot() == "factory"
    assert flash.pointer.refused == 6  # nothing older is let in behind it


def test_a_factory_program_that_cannot_be_loaded_says_so():
    flash = Programs(factory=CRASHING)
    assert isinstance(flash.boot(), ValueError)
    assert where(flash.pointer) == (0, 0, 0, 0)


def test_no_module_of_the_factory_program_is_taken_for_one_of_the_slot():
    flash = Programs(factory=says("factory"), a="from firmware.deed import run\n")
    write(flash.root + "/factory/firmware/deed.py", says("factory's deed").encode())
    write(flash.root + "/a/firmware/deed.py", says("the slot's deed").encode())
    pointer = slot.Pointer()
    pointer.try_out(6, 0)
    flash.point(pointer)
    assert flash.boot() == "the slot's deed"
