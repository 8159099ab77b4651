"""Runs devices of a hall: real MicroPython VMs, one process each, or virtual ones on CPython, all in this process."""

import argparse
import asyncio
import gc
import json
import signal
from collections.abc import Mapping
from pathlib import Path

from simulator import vm_device
from simulator.control import ControlServer
from simulator.desk_device import DeskDevice
from simulator.vm_device import VmDevice

# Devices begin this far apart: a hall that is switched on at once must not shake hands all in the same moment.
_STAGGER_S = 0.02
# A device boots in a second; whoever starts a fleet waits for READY no longer than twice this.
BOOT_TIMEOUT_S = 20.0


def roster_slots(hall: Path) -> tuple[int, ...]:
    """The sensor slots that hold a finger: every slot of the roster."""
    staff = json.loads((hall / "gateway" / "roster.json").read_text("utf-8"))["staff"]
    return tuple(int(one["slot"]) for one in staff)


def kinds(hall: Path) -> dict[str, str]:
    """{device: kind} of the hall's registry."""
    registry = json.loads((hall / "gateway" / "registry.json").read_text("utf-8"))
    return {one["device"]: one["kind"] for one in registry["devices"]}


_DEVICES = """
Runs until SIGTERM, Ctrl-C or the request "stop" on its control port; prints READY and that port when all have booted.
The broker and the gateway of the hall must be running, or the devices try again.
"""


def build(
    hall: Path, scratch: Path, names: list[str], speed: int, virtual: bool, linked: bool, heap: str
) -> dict[str, VmDevice | DeskDevice]:
    """The devices, not started. virtual: on CPython, and so are all where no wheel of the VM exists."""
    known, slots = kinds(hall), roster_slots(hall)
    rom_image = scratch / "devices.rom"
    if not virtual:
        vm_device.build_rom(rom_image, linked)
    devices: dict[str, VmDevice | DeskDevice] = {}
    for name in names:
        flash = hall / "devices" / name / "flash"
        enrolled = slots if known[name] == "clock" else ()
        if virtual:
            devices[name] = DeskDevice(name, known[name], flash, scratch, speed, enrolled)
        else:
            devices[name] = VmDevice(name, known[name], flash, scratch, rom_image, speed, enrolled, heap)
    return devices


async def serve(arguments: argparse.Namespace) -> None:
    """Run until SIGTERM, SIGINT or the request "stop"; prints READY and the control port."""
    virtual = arguments.virtual or not vm_device.available()
    if virtual and not arguments.virtual:
        print("No MicroPython VM for this platform: the devices run the same firmware modules on CPython.", flush=True)
    scratch: Path = arguments.scratch
    scratch.mkdir(parents=True, exist_ok=True)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    devices = build(
        arguments.hall, scratch, arguments.devices, arguments.speed, virtual, arguments.linked, _heap(arguments)
    )
    control = ControlServer(devices, stop.set)
    port = await control.start(arguments.control)
    try:
        for device in devices.values():
            _freeze_heap()
            await device.start()
            await asyncio.sleep(_STAGGER_S)
        _freeze_heap()
        await _booted(devices)
        print(f"READY {port}", flush=True)
        await stop.wait()
    finally:
        await control.close()
        await asyncio.gather(*(device.stop() for device in devices.values()))


async def _booted(devices: Mapping[str, VmDevice | DeskDevice]) -> None:
    """Wait until every device answers, at most BOOT_TIMEOUT_S: one that cannot boot is for the control port to tell."""
    deadline_s = asyncio.get_running_loop().time() + BOOT_TIMEOUT_S
    for device in devices.values():
        while asyncio.get_running_loop().time() < deadline_s:
            try:
                await device.status()
                break
            except OSError:
                await asyncio.sleep(_STAGGER_S)


def _heap(arguments: argparse.Namespace) -> str:
    return str(arguments.heap or (vm_device.LINKED_HEAP if arguments.linked else vm_device.HEAP))


def _freeze_heap() -> None:
    """The firmware collects garbage after every record; what sixty devices hold must not be walked each time."""
    gc.collect()
    gc.freeze()


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """hallseal-simulator devices"""
    parser = subparsers.add_parser(
        "devices",
        help="run devices of a hall: real MicroPython VMs, or virtual ones",
        description=_DEVICES,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("devices", nargs="+", metavar="NAME", help="names from the hall's registry, like e-001 c-001")
    parser.add_argument(
        "--hall", type=Path, required=True, metavar="FOLDER", help="the hall, as `hallseal-provision hall init` made it"
    )
    parser.add_argument(
        "--scratch",
        type=Path,
        required=True,
        metavar="FOLDER",
        help="where flash images and logs go; made where there is none",
    )
    parser.add_argument(
        "--control", type=int, default=0, metavar="PORT", help="port of the control channel on 127.0.0.1; 0 picks one"
    )
    parser.add_argument("--speed", type=int, default=1, metavar="TIMES", help="hall seconds in a real second")
    parser.add_argument("--virtual", action="store_true", help="on CPython in one process, for many devices")
    parser.add_argument(
        "--linked", action="store_true", help="link the modules as for the tightest board; else every file as it stands"
    )
    parser.add_argument(
        "--heap",
        metavar="SIZE",
        help="heap of each VM, as `micropython -X heapsize` takes it; without it "
        f"{vm_device.HEAP}, or {vm_device.LINKED_HEAP} where linked",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the fleet of these options until it is told to stop."""
    asyncio.run(serve(arguments))
    return 0
