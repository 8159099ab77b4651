"""Flash of simulated devices: littlefs images between host and VM, and a chip that behaves like NOR flash."""

import importlib.util
import random
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from simulator import flash_image

VM_MODULES = Path(flash_image.__file__).parent / "vm"
RunVm = Callable[..., subprocess.CompletedProcess[str]]

MOUNT = f"""
import os, vfs
sys.path.insert(0, {str(VM_MODULES)!r})
from flash_device import FlashDevice
chip = FlashDevice(sys.argv[1])
vfs.mount(vfs.VfsLfs2(chip), "/flash")
"""


def chip_class() -> Any:
    """FlashDevice: the VM's module is plain enough for CPython."""
    spec = importlib.util.spec_from_file_location("flash_device", VM_MODULES / "flash_device.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.FlashDevice


@pytest.fixture
def chip(tmp_path: Path) -> Any:
    """A chip of four erased blocks."""
    (tmp_path / "chip").write_bytes(b"\xff" * 4 * 4096)
    return chip_class()(str(tmp_path / "chip"))


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """An image with three files, one of them longer than a block."""
    folder = tmp_path / "files"
    folder.mkdir()
    for name, size in (("device.cbor", 200), ("tls.key", 121), ("large", 9000)):
        (folder / name).write_bytes(random.Random(size).randbytes(size))
    path = tmp_path / "flash"
    flash_image.make(folder, path)
    return path


def test_an_image_holds_what_it_was_made_of(image: Path, tmp_path: Path) -> None:
    files = {"/" + path.name: path.read_bytes() for path in (tmp_path / "files").iterdir()}
    assert flash_image.read(image) == files
    assert image.stat().st_size == 2 * 1024 * 1024


def test_an_image_is_closed_to_others(image: Path) -> None:
    assert image.stat().st_mode & 0o077 == 0


def test_an_image_that_could_not_be_made_is_not_there(tmp_path: Path) -> None:
    folder = tmp_path / "too much"
    folder.mkdir()
    (folder / "file").write_bytes(bytes(3 * 1024 * 1024))
    with pytest.raises(Exception, match="28"):  # no space left on the device
        flash_image.make(folder, tmp_path / "flash")
    assert not (tmp_path / "flash").exists()


@pytest.mark.micropython
def test_the_vm_reads_what_the_host_wrote_and_the_host_what_the_vm_wrote(image: Path, run_micropython: RunVm) -> None:
    before = flash_image.read(image)
    script = (
        MOUNT
        + """
with open("/flash/large", "rb") as file: large = file.read()
os.mkdir("/flash/journal")
with open("/flash/journal/00000001.seg", "wb") as file: file.write(large[5:])
os.remove("/flash/tls.key")
os.rename("/flash/device.cbor", "/flash/moved")
print(len(large), sorted(os.listdir("/flash")))
"""
    )
    done = run_micropython(script, str(image))
    assert done.stdout.splitlines() == ["9000 ['journal', 'large', 'moved']"], done.stderr
    after = flash_image.read(image)
    assert after == {
        "/large": before["/large"],
        "/moved": before["/device.cbor"],
        "/journal/00000001.seg": before["/large"][5:],
    }


@pytest.mark.micropython
def test_littlefs_on_the_vm_never_programs_what_it_did_not_erase(image: Path, run_micropython: RunVm) -> None:
    """The rules of the chip hold under a life of writing: it prints and returns an error when they are broken."""
    script = (
        MOUNT
        + """
for turn in range(300):
    with open("/flash/file%d" % (turn % 7), "wb") as file:
        for _ in range(turn % 9):
            file.write(bytes((turn & 0xFF,)) * (37 * (turn % 11) + 1))
            file.flush()
print(len(os.listdir("/flash")))
"""
    )
    done = run_micropython(script, str(image))
    assert (done.stdout.splitlines(), done.returncode) == (["10"], 0), done.stdout + done.stderr


def test_programming_clears_bits_and_an_erase_sets_them(chip: Any) -> None:
    assert not chip.writeblocks(1, b"\x0f" * 32, 64)
    found = bytearray(96)
    chip.readblocks(1, found, 32)
    assert bytes(found) == b"\xff" * 32 + b"\x0f" * 32 + b"\xff" * 32
    assert not chip.writeblocks(1, b"\x07" * 32, 64)  # fewer bits: allowed
    assert chip.ioctl(6, 1) == 0
    chip.readblocks(1, found, 32)
    assert bytes(found) == b"\xff" * 96


def test_setting_a_bit_without_an_erase_is_an_error_and_changes_nothing(
    chip: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    chip.writeblocks(2, b"\x0f" * 32)
    assert chip.writeblocks(2, b"\x0f" * 31 + b"\x1f") == -5
    assert "without erase" in capsys.readouterr().out
    found = bytearray(32)
    chip.readblocks(2, found)
    assert bytes(found) == b"\x0f" * 32


def test_an_erase_leaves_the_neighbours_alone(chip: Any) -> None:
    for block in range(4):
        chip.writeblocks(block, bytes((block,)) * 4096)
    chip.ioctl(6, 2)
    found = bytearray(4096)
    for block, byte in ((0, 0), (1, 1), (2, 255), (3, 3)):
        chip.readblocks(block, found)
        assert bytes(found) == bytes((byte,)) * 4096


def test_the_chip_tells_its_size(chip: Any) -> None:
    assert (chip.ioctl(4, 0), chip.ioctl(5, 0), chip.ioctl(3, 0)) == (4, 4096, 0)
