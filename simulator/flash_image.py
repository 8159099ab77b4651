"""The flash of a simulated device: a littlefs image in a file, made and read by the host, written by the VM."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from littlefs import LittleFS

BLOCK_BYTES = 4096
BLOCKS = 512  # 2 MiB, as on a board with 4 MiB of flash
# What VfsLfs2 of MicroPython uses by default. Only the block size must agree; the rest is each side's own business.
_PROGRAM_BYTES = 32


def _filesystem(image: bytearray | None = None) -> "LittleFS":
    """The mounted file system of an image, or a new and empty one."""
    from littlefs import LittleFS  # not to be had where the VM is not: there nobody needs an image

    filesystem = LittleFS(
        block_size=BLOCK_BYTES,
        block_count=BLOCKS,
        prog_size=_PROGRAM_BYTES,
        read_size=_PROGRAM_BYTES,
        cache_size=4 * _PROGRAM_BYTES,
        lookahead_size=_PROGRAM_BYTES,
        mount=False,
    )
    if image is None:
        filesystem.format()
    else:
        filesystem.context.buffer = image
    filesystem.mount()
    return filesystem


def make(folder: Path, image: Path) -> None:
    """Write an image that holds the files of `folder` (flat, as provisioning lays them out); whole, or not at all."""
    filesystem = _filesystem()
    for source in sorted(folder.iterdir()):
        with filesystem.open("/" + source.name, "wb") as target:
            target.write(source.read_bytes())
    half = image.with_name(image.name + ".half")
    half.unlink(missing_ok=True)
    half.touch(0o600)  # it holds a device's keys
    half.write_bytes(bytes(filesystem.context.buffer))
    os.replace(half, image)


def read(image: Path) -> dict[str, bytes]:
    """{path: content} of every file in an image."""
    filesystem = _filesystem(bytearray(image.read_bytes()))
    found = {}
    for folder, _, names in filesystem.walk("/"):
        for name in names:
            path = folder.rstrip("/") + "/" + name
            with filesystem.open(path, "rb") as file:
                found[path] = bytes(file.read())
    return found
