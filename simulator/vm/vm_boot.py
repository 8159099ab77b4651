"""Boot of a simulated device: flash, bench, and then the firmware as it runs on a board. Importing it never returns."""

import os

import bench
import vfs
from flash_device import FlashDevice

vfs.mount(vfs.VfsLfs2(FlashDevice(os.getenv("HALLSEAL_FLASH"))), "/flash")  # type: ignore[abstract,arg-type]  # it need not inherit

from firmware import main  # noqa: E402

main.run("/flash", speed=int(os.getenv("HALLSEAL_SPEED")), beside=bench.serve)
raise SystemExit(1)  # not even a board was to be had
