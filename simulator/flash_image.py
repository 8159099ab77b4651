"""The flash of a simulated device:

a littlefs image in a file, made and read on the host, mounted and written by the VM.
"""

from pathlib import Path

from littlefs import LittleFS

BLOCK_BYTES = 4096
BLOCKS = 512  # 2 MiB, as on a board with 4 MiB of flash
# What VfsLfs2 of MicroPython uses by default; both sides must agree for the superblock's sake only on the block size.
_PROGRAM_BYTES = 32


def _mounted(context_image: bytearray | None = None) -> LittleFS:
    filesystem = LittleFS(
        block_size=BLOCK_BYTES,
        block_count=BLOCKS,
        prog_size=_PROGRAM_BYTES,
        read_size=_PROGRAM_BYTES,
        cache_size=4 * _PROGRAM_BYTES,
        lookahead_size=_PROGRAM_BYTES,
        mount=False,
    )
    if context_image is None:
        filesystem.format()
    else:
        filesystem.context.buffer = context_image
    filesystem.mount()
    return filesystem


def make(folder: Path, image: Path) -> None:
    """Write an image that holds the files of `folder` (flat, as provisioning lays them out)."""
    filesystem = _mounted()
    for source in sorted(folder.iterdir()):
        with filesystem.open("/" + source.name, "wb") as target:
            target.write(source.read_bytes())
    image.write_bytes(bytes(filesystem.context.buffer))
    image.chmod(0o600)  # it holds a device's keys


def read(image: Path) -> dict[str, bytes]:
    """{path: content} of every file in an image."""
    filesystem = _mounted(bytearray(image.read_bytes()))
    found = {}
    for folder, _, names in filesystem.walk("/"):
        for name in names:
            path = folder.rstrip("/") + "/" + name
            with filesystem.open(path, "rb") as file:
                found[path] = bytes(file.read())
    return found
