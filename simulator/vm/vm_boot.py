"""Boot of a simulated device: flash, bench, and then the firmware as it runs on a board."""

import os

import bench
import vfs
from flash_device import FlashDevice

ROOT = "/flash"


def boot():
    """Mount the flash and run; ends with a reset (exit status 3), or with 1 where not even a board was to be had."""
    vfs.mount(vfs.VfsLfs2(FlashDevice(os.getenv("HALLSEAL_FLASH"))), ROOT)
    bench.connect(int(os.getenv("HALLSEAL_BENCH")))
    from firmware import main

    main.run(ROOT, speed=int(os.getenv("HALLSEAL_SPEED")), beside=bench.serve)
    raise SystemExit(1)
