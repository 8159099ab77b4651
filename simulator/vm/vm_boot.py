"""Boot of a simulated device: flash, bench, and then the firmware as it runs on a board."""

import os
import sys

import bench
import flash_device
import vfs

ROOT = "/flash"


def boot():
    """Mount the flash and run. Exit status 3 asks the bench for a reset."""
    vfs.mount(vfs.VfsLfs2(flash_device.FlashDevice(os.getenv("HALLSEAL_FLASH"))), ROOT)
    bench.connect(int(os.getenv("HALLSEAL_BENCH")))
    from firmware import main

    main.run(ROOT, speed=int(os.getenv("HALLSEAL_SPEED") or "1"), beside=bench.serve)
    sys.exit(3)
