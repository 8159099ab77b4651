"""The power-cut campaign on the MicroPython VM: records a life, then boots a device from what every cut leaves of it.

powercut_campaign.py starts it. Settings of the environment: TASK (a function of this module), LIFE (a name of
powercut_life.LIVES), LOG (file of the host), FIRST and STEP (which operations are cut), PROGRAM_BYTES of the flash,
MTIME (0: no times), PLANT (a fault on purpose, see powercut_plant.py). Ends with one line of counts.
"""

import gc
import os

import vfs
from flash_root import BLOCK_BYTES, NorFlash, is_cut, mount, unmount
from powercut_bench import BLOCKS, Bench, files
from powercut_check import Promises, check, check_damaged, go_on
from powercut_flash import LoggedFlash, states
from powercut_life import LIVES, Life

PROGRAM_BYTES = int(os.getenv("PROGRAM_BYTES") or "32")
# Every so many cuts the device goes on for a while and boots once more.
GO_ON_EVERY = 16
# And every so many a bit of the newest record turns as well, which only the checksum can tell. Not where programs are
# so large that littlefs keeps a short segment in its own log: its checksum would hide the damage, and the segment.
DAMAGE_EVERY = 10 if PROGRAM_BYTES == 32 else 1000000
FAILURES_SHOWN = 5
# Times of files are of the host, and make each life another one: off where two are compared.
MTIME = os.getenv("MTIME") != "0"
NAME, LOG = os.getenv("LIFE"), os.getenv("LOG")
FIRST, STEP = int(os.getenv("FIRST") or "0"), int(os.getenv("STEP") or "1")


def provisioned():
    """The flash of a new device, as bytearray."""
    memory = bytearray(BLOCKS * BLOCK_BYTES)
    flash = NorFlash(memory)
    for block in range(BLOCKS):
        flash.erase(block)
    vfs.VfsLfs2.mkfs(flash, progsize=PROGRAM_BYTES)
    mount(flash, PROGRAM_BYTES, MTIME)
    named = files()
    for name in sorted(named):
        with open("/flash/" + name, "wb") as file:
            file.write(named[name])
    unmount()
    return memory


def live(memory, log, cut_at=-1, share=0):
    """The flash of one life, lived to its end or to its cut."""
    flash = LoggedFlash(memory, log, cut_at, share)
    mount(flash, PROGRAM_BYTES, MTIME)
    is_cut(flash, lambda: LIVES[NAME](Life(NAME, flash.mark)))
    return flash


def record():
    """One whole life, written down."""
    with open(LOG, "wb") as log:
        print("operations=%d" % live(provisioned(), log).operations)


def compare():
    """Some lives whose flash really stops: it holds what is built from the operations. Counts those that differ."""
    image, compared, differing = provisioned(), 0, 0
    with open(LOG, "rb") as log:
        for number, halves, _ in states(log, image, FIRST, STEP):
            memory = provisioned()
            with open(LOG + ".stopped", "wb") as stopped:
                live(memory, stopped, number, halves)
            compared += 1
            differing += memory != image
    print("compared=%d differing=%d" % (compared, differing))


class Cut:
    """Boots from what a cut leaves. memory: what the flash holds then."""

    def __init__(self):
        self.memory = bytearray(BLOCKS * BLOCK_BYTES)
        self._bench = Bench("after", self._sealed)  # other random numbers than the life had
        self._promises = None
        self._places = {}  # of what was sealed since the cut

    def _sealed(self, place, digest):
        """Something is encrypted: never under key and IV of something else, of now or of before the cut."""
        self._promises.check(place, digest)
        assert self._places.setdefault(place, digest) == digest, "an IV comes back for other bytes"

    def boot(self):
        unmount()
        gc.collect()
        mount(NorFlash(self.memory), PROGRAM_BYTES, MTIME)
        self._bench.boot()

    def judge(self, image, promises, number):
        """Raises whatever is wrong. number: of this cut; some are looked at more closely."""
        self._promises, self._places = promises, {}
        self.memory[:] = image
        self.boot()
        check(self._bench, promises)
        if number % GO_ON_EVERY == 0:
            self._bench.tell_time()
            go_on(self._bench, promises, self.boot)
        if number % DAMAGE_EVERY == 0:
            self._damage(image, promises)

    def _damage(self, image, promises):
        seq, end = promises.newest
        at = bytes(image).find(end) if end else -1
        if at >= 0:
            self.memory[:] = image
            self.memory[at] ^= 1
            self.boot()
            check_damaged(self._bench, promises, seq)


def cut():
    """Every STEPth operation from FIRST on, in three ways."""
    image, promises, one = provisioned(), Promises(), Cut()
    cuts, failures = 0, 0
    with open(LOG, "rb") as log:
        for number, halves, marks in states(log, image, FIRST, STEP):
            cuts += 1
            try:
                promises.read(marks)
                one.judge(image, promises, cuts)
            except Exception as error:
                failures += 1
                if failures <= FAILURES_SHOWN:
                    print("operation %d, %d halves done: %s %s" % (number, halves, type(error).__name__, error))
    print("cuts=%d failures=%d" % (cuts, failures))


def main():
    if os.getenv("PLANT"):
        import powercut_plant

        powercut_plant.plant(os.getenv("PLANT"))
    {"record": record, "compare": compare, "cut": cut}[os.getenv("TASK")]()


main()
