"""The demo: a hall in a box, a morning in it, and at the end the question whether everybody counts the same."""

import argparse
import asyncio
import contextlib
import signal
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import psutil
from rich.console import Console
from rich.live import Live

from simulator import morning, reconciliation, table, vm_device
from simulator.hall_box import HallBox
from simulator.people import People
from simulator.processes import READY_TIMEOUT_S, StartError
from simulator.reconciliation import Line

SEED = 20261123
# What is on its way when the morning ends has this long to arrive.
SETTLE_TIMEOUT_S = 60
_GATEWAY_DIES, _BROKER_DIES = 0.4, 0.65
_DARK_S = 2.0
_REFRESH_S = 1.0
_NOTHING: dict[str, Any] = {}


def kind_of(device: str, kind: str) -> str:
    """The group that a device is counted in."""
    return f"{kind} ({'virtual' if device.startswith('v') else 'VM' if vm_device.available() else 'CPython'})"


class Demo:
    """One run. arguments: see add_parser. started_s: when the command was given."""

    def __init__(self, arguments: argparse.Namespace, box: HallBox, console: Console, started_s: float) -> None:
        self._arguments = arguments
        self._box = box
        self._console = console
        self._started_s = started_s
        self._stop = asyncio.Event()
        self._note = ""
        self._latest: tuple[dict[str, Any], dict[str, Any], dict[str, Any]] = ({}, _NOTHING, _NOTHING)
        self._rss: dict[str, float] = {}
        self._began_s = 0.0

    async def run(self) -> int:
        """Exit status: 0 when everything agrees."""
        box = self._box
        await box.provision()
        await box.start()
        self._console.print(f"page: {box.page}   log files: {box.scratch / 'logs'}")
        await self._wait_ready()
        async with box.business_client() as business, box.central_client() as central:
            people = People(business, box.time, self._stop)
            await self._play(people, business, central)
            await self._settle(people, business, central)
            return self._report(people)

    async def _wait_ready(self) -> None:
        """Until every device is connected and knows the time: before that no hall opens. At most READY_TIMEOUT_S."""
        deadline = time.monotonic() + READY_TIMEOUT_S
        while time.monotonic() < deadline:
            statuses = await self._box.statuses()
            ready = [one for one in statuses.values() if one["online"] and one["clock_source"] and not one["pending"]]
            if len(ready) == len(self._box.devices()):
                return
            await asyncio.sleep(0.2)

    async def _play(self, people: People, business: httpx.AsyncClient, central: httpx.AsyncClient) -> None:
        """The morning, until its time is over or somebody presses Ctrl-C; then until the last visitor has gone."""
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, self._stop.set)
        self._began_s = time.monotonic()
        acts = [asyncio.create_task(act) for act in self._acts(people)]
        watch = asyncio.create_task(self._watch(people, business, central))
        chaos = asyncio.create_task(self._chaos()) if self._arguments.chaos else None
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._stop.wait(), self._arguments.duration_s)
        self._stop.set()
        self._note = "the last visitors"
        if chaos:
            await chaos
        await asyncio.gather(*acts)
        watch.cancel()
        await asyncio.gather(watch, return_exceptions=True)

    def _acts(self, people: People) -> list[Any]:
        box = self._box
        devices = box.devices()
        doors = [one for one in devices if one["kind"] == "clock"]
        plan = morning.touches(SEED, len(doors), box.slots())
        windows = [
            people.window(box.clients[one["device"]], one["device"], one["window"], SEED)
            for one in devices
            if one["kind"] == "evaluator"
        ]
        return windows + [
            people.door(box.clients[one["device"]], one["device"], touches)
            for one, touches in zip(doors, plan, strict=True)
        ]

    async def _chaos(self) -> None:
        """Kill the gateway, and later the broker, which forgets everything; start them again."""
        duration_s = self._arguments.duration_s or 60
        gateway, broker = self._box.processes["gateway"], self._box.processes["broker"]
        await asyncio.sleep(duration_s * _GATEWAY_DIES)
        self._note = "the gateway was killed"
        gateway.kill()
        await asyncio.sleep(_DARK_S)
        await self._box.start_gateway()
        self._note = "the gateway is back"
        await asyncio.sleep(max(0.0, duration_s * _BROKER_DIES - (time.monotonic() - self._began_s)))
        self._note = "the broker was killed"
        broker.kill()
        await asyncio.sleep(_DARK_S)
        await broker.start()
        self._note = "the broker is back, and remembers nothing"

    async def _look(self, people: People, business: httpx.AsyncClient, central: httpx.AsyncClient) -> None:
        """Statuses and counts of this moment; what does not answer keeps its last ones."""
        statuses, gateway, above = self._latest
        with contextlib.suppress(httpx.HTTPError, ValueError):
            gateway = (await business.get("/api/v1/reconciliation")).json()
        with contextlib.suppress(httpx.HTTPError, ValueError):
            above = (await central.get("/api/v1/summary")).json()
        statuses = {**statuses, **await self._box.statuses()}
        people.see(statuses)
        self._latest = statuses, gateway, above

    async def _watch(self, people: People, business: httpx.AsyncClient, central: httpx.AsyncClient) -> None:
        live = Live(console=self._console, refresh_per_second=4, transient=True)
        with live if self._console.is_terminal else contextlib.nullcontext():
            while True:
                await self._look(people, business, central)
                self._measure()
                if self._console.is_terminal:
                    live.update(self._render(people))
                elif int(time.monotonic() - self._began_s) % 5 == 0:
                    self._console.print(f"{self._title()}  {reconciliation.total(self._groups(people).values())}")
                await asyncio.sleep(_REFRESH_S)

    def _measure(self) -> None:
        """Memory of the gateway and of one VM, the highest seen."""
        vm = next((one["pid"] for one in self._latest[0].values() if one.get("pid")), None)
        for name, pid in (("gateway", self._box.processes["gateway"].pid), ("VM device", vm)):
            with contextlib.suppress(psutil.Error, TypeError):
                self._rss[name] = max(self._rss.get(name, 0), psutil.Process(pid).memory_info().rss / 2**20)

    def _groups(self, people: People) -> dict[str, Line]:
        statuses, gateway, central = self._latest
        groups: dict[str, Line] = {}
        for one in self._box.devices():
            device = one["device"]
            if device in statuses:
                line = reconciliation.device_line(
                    people.done(device),
                    statuses[device],
                    gateway.get("by_device", _NOTHING).get(device, _NOTHING),
                    central.get("by_device", _NOTHING).get(device, _NOTHING),
                )
                group = kind_of(device, one["kind"])
                groups[group] = groups.get(group, Line()) + line
        return groups

    def _title(self) -> str:
        return f"hall {table.time_of_day(self._box.time.time_of_day_s())}  {self._note}"

    def _render(self, people: People) -> Any:
        up: Counter[str] = Counter()
        every: Counter[str] = Counter()
        for one in self._box.devices():
            group = kind_of(one["device"], one["kind"])
            every[group] += 1
            up[group] += bool(self._latest[0].get(one["device"], _NOTHING).get("online"))
        duration_s = self._arguments.duration_s
        part = (time.monotonic() - self._began_s) / duration_s if duration_s else None
        online = {group: (up[group], every[group]) for group in every}
        return table.render(self._groups(people), online, people.levels, self._title(), part, f"page: {self._box.page}")

    async def _settle(self, people: People, business: httpx.AsyncClient, central: httpx.AsyncClient) -> None:
        """Wait until nothing is on its way any more, or SETTLE_TIMEOUT_S."""
        deadline = time.monotonic() + SETTLE_TIMEOUT_S
        while time.monotonic() < deadline:
            await self._look(people, business, central)
            statuses, gateway, above = self._latest
            if reconciliation.settled(statuses.values(), gateway, above) and self._groups_agree(people):
                return
            await asyncio.sleep(0.5)

    def _groups_agree(self, people: People) -> bool:
        return reconciliation.total(self._groups(people).values()).agrees()

    def _report(self, people: People) -> int:
        """The closing lines; the last one is the verdict."""
        statuses, gateway, central = self._latest
        latencies = [value for status in statuses.values() for value in status["press_to_receipt_ms"]]
        first_s = central.get("first_rating_real_s")
        out = self._console.print
        out(f"people: {sum(people.levels.values())} ratings, {people.timed_out} visits timed out, {people.late} late")
        out(f"levels: {' '.join(f'{level}={people.levels[level]}' for level in (5, 4, 3, 2, 1))}")
        out(f"quarantine: {gateway.get('quarantine', _NOTHING) or 'empty'}")
        out(f"first rating at the central system after {first_s - self._started_s:.1f} s" if first_s else "no rating")
        out("memory: " + ", ".join(f"{name} {size:.0f} MiB" for name, size in sorted(self._rss.items())))
        middle, slow = (reconciliation.percentile(latencies, part) for part in (0.5, 0.99))
        out(f"press to receipt: p50 {middle} ms, p99 {slow} ms, of {len(latencies)}")
        groups = self._groups(people)
        for group, line in sorted(groups.items()):
            out(f"{group}: {line}", soft_wrap=True)
        whole = reconciliation.total(groups.values())
        out(str(whole), soft_wrap=True, highlight=False)
        return 0 if whole.agrees() and whole.pressed and len(statuses) == len(self._box.devices()) else 1


async def play(arguments: argparse.Namespace, started_s: float) -> int:
    """One demo from an empty scratch folder to an empty one; kept when something is wrong, or asked for."""
    console = Console()
    if not vm_device.available():
        console.print("No MicroPython VM for this platform: the devices run the same firmware modules on CPython.")
    scratch = Path(tempfile.mkdtemp(prefix="hallseal-"))
    box = HallBox(scratch, arguments.evaluators, arguments.clocks, arguments.virtual, arguments.staff, arguments.speed)
    status = 1
    try:
        status = await Demo(arguments, box, console, started_s).run()
    except StartError as error:
        console.print(str(error), soft_wrap=True)
    finally:
        await box.stop()
        if status == 0 and not arguments.keep:
            box.remove()
        else:
            console.print(f"kept: {scratch}", soft_wrap=True)
    return status


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """hallseal-simulator demo"""
    parser = subparsers.add_parser("demo", help="a whole hall in a scratch folder, and a morning in it")
    parser.add_argument("--for", dest="duration_s", type=float, metavar="SECONDS", help="end by itself (else: Ctrl-C)")
    parser.add_argument("--chaos", action="store_true", help="kill the gateway and the broker in the middle")
    parser.add_argument("--speed", type=int, default=60, help="hall seconds in a real second (default 60)")
    parser.add_argument("--evaluators", type=int, default=6, help="evaluators on MicroPython VMs (default 6)")
    parser.add_argument("--clocks", type=int, default=2, help="clocks on MicroPython VMs (default 2)")
    parser.add_argument("--virtual", type=int, default=60, help="virtual devices on CPython (default 60)")
    parser.add_argument("--staff", type=int, default=24, help="people on the roster (default 24)")
    parser.add_argument("--keep", action="store_true", help="keep the scratch folder")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Play the demo of these options; its exit status, 0 only where every number agrees."""
    return asyncio.run(play(arguments, time.time()))
