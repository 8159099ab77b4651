"""Boot of a simulated device: flash, bench, and then the firmware as it runs on a board. Importing it never returns."""

import gc
import os

gc.collect()
_before_bytes = gc.mem_alloc()
import bench  # noqa: E402
import machine  # noqa: E402, F401
import network  # noqa: E402, F401
import vfs  # noqa: E402
from flash_device import FlashDevice  # noqa: E402

gc.collect()
bench.own_bytes = gc.mem_alloc() - _before_bytes
vfs.mount(vfs.VfsLfs2(FlashDevice(os.getenv("HALLSEAL_FLASH"))), "/flash")  # type: ignore[abstract,arg-type]  # it need not inherit

from firmware import loader  # noqa: E402

run = loader.program("/flash")
del loader  # nothing of it stays in the heap
run("/flash", speed=int(os.getenv("HALLSEAL_SPEED")), beside=bench.serve)
raise SystemExit(1)  # not even a board was to be had
