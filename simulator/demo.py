"""The demo: a hall in a box, a morning in it, and at the end the question whether everybody counts the same."""

import argparse
import asyncio
import contextlib
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import httpx
import psutil
from rich.console import Console
from rich.live import Live

from simulator import evidence_run, morning, reconciliation, table, vm_device
from simulator.caretaker import Caretaker
from simulator.closing import Closing
from simulator.evidence_run import Audited
from simulator.hall_box import HallBox
from simulator.people import People
from simulator.processes import READY_TIMEOUT_S, StartError
from simulator.reconciliation import Line, Look

SEED = 20261123
# What is on its way when the morning ends has this long to arrive.
SETTLE_TIMEOUT_S = 60
# Outcomes are told by one connection after the other; a question that got lost is closed only when its time is over.
TELL_TIMEOUT_S = 10
# As shells say it of a command that Ctrl-C ended: no number was compared.
INTERRUPTED = 128 + signal.SIGINT
NO_VM = "No MicroPython VM for this platform: the devices run the same firmware modules on CPython."
_GATEWAY_DIES, _BROKER_DIES = 0.4, 0.65
_REFRESH_S = 1.0
# More devices, or a faster clock, and one machine plays a slow machine instead of a hall.
DEVICES_MAX, SPEED_MAX = 1000, 600


class EndedEarlyError(Exception):
    """Somebody ended the demo before there was anything to reconcile."""


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
        self._stop = asyncio.Event()  # no new visitors
        self._interrupted = asyncio.Event()
        self._hurried = asyncio.Event()
        self._note = ""
        self._fresh = self._latest = Look({}, {}, {})  # latest: where somebody did not answer, the last words before
        self._rss: dict[str, float] = {}
        self._began_s = 0.0

    async def run(self) -> int:
        """Exit status: 0 when everything agrees. Raises StartError, EndedEarlyError."""
        box = self._box
        self._listen_to_signals()
        await self._unless_interrupted(self._open())
        async with box.business_client() as business, box.audit_client() as audit, box.central_client() as central:
            people = People(business, box.time, self._stop)
            caretaker = asyncio.create_task(Caretaker(box, self._tell).run())
            try:
                await self._play(people, audit, central)
                await self._settle(people, audit, central)
            finally:
                caretaker.cancel()
                ended = await asyncio.gather(caretaker, return_exceptions=True)
            if isinstance(ended[0], StartError):
                raise ended[0]
            told = await self._told(people)
            return self._report(people, told, await evidence_run.audit(self._box.hall, self._box.scratch))

    def _tell(self, note: str) -> None:
        """Something that nobody asked for: in the table, and as a line that stays."""
        self._note = note
        self._console.print(note, highlight=False)

    def _listen_to_signals(self) -> None:
        """From the first moment: a demo that dies without its children would leave them, and its folder, behind."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) != signal.SIG_IGN or number == signal.SIGINT:  # nohup is meant
                asyncio.get_running_loop().add_signal_handler(number, self._interrupt)

    def _interrupt(self) -> None:
        """Once: end the morning and reconcile. Twice: wait for nothing any more."""
        if self._interrupted.is_set():
            self._hurried.set()
        self._interrupted.set()
        self._stop.set()

    async def _open(self) -> None:
        await self._box.provision()
        self._box.add_outcomes()
        await self._box.start()
        self._console.print(f"page: {self._box.page}   log files: {self._box.scratch / 'logs'}", soft_wrap=True)
        await self._wait_ready()

    async def _unless_interrupted(self, work: Coroutine[Any, Any, None]) -> None:
        """Await it. Raises EndedEarlyError when somebody ends the demo meanwhile."""
        task, end = asyncio.create_task(work), asyncio.create_task(self._interrupted.wait())
        try:
            await asyncio.wait((task, end), return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                raise EndedEarlyError
            task.result()
        finally:
            task.cancel()
            end.cancel()
            await asyncio.gather(task, end, return_exceptions=True)

    async def _wait_ready(self) -> None:
        """Until every device is connected and knows the time: before that no hall opens. At most READY_TIMEOUT_S."""
        deadline = time.monotonic() + READY_TIMEOUT_S
        while True:
            statuses = await self._box.statuses()
            ready = [one for one in statuses.values() if one["online"] and one["clock_source"] and not one["pending"]]
            missing = len(self._box.devices()) - len(ready)
            if not missing:
                return
            if time.monotonic() > deadline:
                self._console.print(f"{missing} devices are not ready after {READY_TIMEOUT_S} s; the hall opens anyway")
                return
            await asyncio.sleep(0.2)

    async def _play(self, people: People, audit: httpx.AsyncClient, central: httpx.AsyncClient) -> None:
        """The morning, until its time is over or somebody presses Ctrl-C; then until the last visitor has gone."""
        self._began_s = time.monotonic()
        acts = [asyncio.create_task(act) for act in self._acts(people)]
        watch = asyncio.create_task(self._watch(people, audit, central))
        chaos = asyncio.create_task(self._chaos()) if self._arguments.chaos else None
        try:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._stop.wait(), self._arguments.duration_s)
            self._stop.set()
            self._note = "the last visitors"
            if chaos:
                await chaos
            await asyncio.gather(*acts)
        finally:
            tasks = [watch, *acts, *([chaos] if chaos else [])]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

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
        """Kill the gateway, and later the broker, which forgets everything; the caretaker starts them again.

        Ctrl-C ends it before the next victim.
        """
        duration_s = self._arguments.duration_s or 60
        for name, part in (("gateway", _GATEWAY_DIES), ("broker", _BROKER_DIES)):
            if await self._interrupted_before(duration_s * part):
                return
            self._box.processes[name].kill()

    async def _interrupted_before(self, played_s: float) -> bool:
        """Wait until the morning is so old; True when somebody ended it meanwhile."""
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._interrupted.wait(), max(0.0, self._began_s + played_s - time.monotonic()))
        return self._interrupted.is_set()

    async def _look(self, people: People, audit: httpx.AsyncClient, central: httpx.AsyncClient) -> None:
        """Statuses and counts of this moment; the stores first, so that what comes between shows as on its way."""
        gateway = await _counts(audit, "/api/v1/reconciliation")
        above = await _counts(central, "/api/v1/summary")
        self._fresh = Look(await self._box.statuses(), gateway, above)
        people.see(self._fresh.statuses)
        before = self._latest
        self._latest = Look(
            {**before.statuses, **self._fresh.statuses}, gateway or before.gateway, above or before.central
        )

    async def _watch(self, people: People, audit: httpx.AsyncClient, central: httpx.AsyncClient) -> None:
        live = Live(console=self._console, refresh_per_second=4, transient=True)
        with live if self._console.is_terminal else contextlib.nullcontext():
            while True:
                await self._look(people, audit, central)
                self._measure()
                if self._console.is_terminal:
                    live.update(self._render(people))
                elif int(time.monotonic() - self._began_s) % 5 == 0:
                    self._console.print(f"{self._title()}  {self._stations(people)}", soft_wrap=True, highlight=False)
                await asyncio.sleep(_REFRESH_S)

    def _measure(self) -> None:
        """Memory of the gateway and of one VM, where there is one; the highest seen."""
        vm = next((one["pid"] for one in self._latest.statuses.values() if one.get("pid")), None)
        for name, pid in (("gateway", self._box.processes["gateway"].pid), ("VM device", vm)):
            if pid is None:
                continue
            with contextlib.suppress(psutil.Error):
                self._rss[name] = max(self._rss.get(name, 0), psutil.Process(pid).memory_info().rss / 2**20)

    def _groups(self, people: People) -> dict[str, Line]:
        groups: dict[str, Line] = {}
        kinds = {one["device"]: kind_of(one["device"], one["kind"]) for one in self._box.devices()}
        for device in sorted({*kinds, *self._latest.stored_devices()}):
            group = kinds.get(device, "of no hall")
            groups[group] = groups.get(group, Line()) + self._latest.line(device, people.done(device))
        return groups

    def _stations(self, people: People) -> str:
        """How far it got, without a verdict: what is on its way looks like lost."""
        return str(reconciliation.total(self._groups(people).values())).partition(" lost=")[0]

    def _title(self) -> str:
        return f"hall {table.time_of_day(self._box.time.time_of_day_s())}  {self._note}"

    def _render(self, people: People) -> Any:
        up: Counter[str] = Counter()
        every: Counter[str] = Counter()
        for one in self._box.devices():
            group = kind_of(one["device"], one["kind"])
            every[group] += 1
            up[group] += bool(self._latest.statuses.get(one["device"], {}).get("online"))
        duration_s = self._arguments.duration_s
        part = (time.monotonic() - self._began_s) / duration_s if duration_s else None
        online = {group: (up[group], every[group]) for group in self._groups(people)}
        return table.render(self._groups(people), online, people.levels, self._title(), part, f"page: {self._box.page}")

    async def _settle(self, people: People, audit: httpx.AsyncClient, central: httpx.AsyncClient) -> None:
        """Wait until nothing is on its way any more, at most the time for it, or until somebody hurries."""
        deadline = time.monotonic() + self._arguments.settle_s
        while True:
            await self._look(people, audit, central)
            everything_arrived = reconciliation.settled(self._fresh, [one["device"] for one in self._box.devices()])
            if everything_arrived and reconciliation.total(self._groups(people).values()).agrees():
                return
            if time.monotonic() > deadline or self._hurried.is_set():
                return
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._hurried.wait(), 0.5)

    async def _told(self, people: People) -> dict[str, Any]:
        """What the business system was told; the last messages have a moment to come."""
        async with self._box.outcomes_client() as outcomes:
            deadline = time.monotonic() + TELL_TIMEOUT_S
            while True:
                told = await _counts(outcomes, "/summary")
                over = time.monotonic() > deadline or self._hurried.is_set()
                if over or told.get("visits", 0) >= people.opened:
                    return told
                await asyncio.sleep(0.2)

    def _report(self, people: People, told: dict[str, Any], audited: Audited) -> int:
        """Print the closing lines; the exit status."""
        devices = [one["device"] for one in self._box.devices()]
        groups = self._groups(people)
        closing = Closing(people, self._latest, self._fresh, groups, devices, self._rss, self._started_s, told, audited)
        status = closing.status()
        for line in closing.lines(str(self._box.scratch) if status or self._arguments.keep else ""):
            self._console.print(line, soft_wrap=True, highlight=False, markup=False)
        return status


async def _counts(client: httpx.AsyncClient, path: str) -> dict[str, Any]:
    """A store's counts; {} when it does not answer, or not with counts."""
    with contextlib.suppress(httpx.HTTPError, ValueError):
        found = (await client.get(path)).raise_for_status().json()
        return found if isinstance(found, dict) else {}
    return {}


async def play(arguments: argparse.Namespace, started_s: float) -> int:
    """One demo from an empty scratch folder to none; kept when something is wrong, or asked for."""
    console = Console()
    if not vm_device.available():
        console.print(NO_VM, soft_wrap=True)
    scratch = Path(tempfile.mkdtemp(prefix="hallseal-"))
    box = HallBox(scratch, arguments.evaluators, arguments.clocks, arguments.virtual, arguments.staff, arguments.speed)
    removable = False
    try:
        status = await Demo(arguments, box, console, started_s).run()
        removable = status == 0
    except EndedEarlyError:
        status, removable = INTERRUPTED, True
        console.print("ended before the hall opened")
    except StartError as error:
        status = 1
        console.print(f"{error}\nkept: {scratch}", soft_wrap=True, highlight=False, markup=False)
    finally:
        await box.stop()
        if removable and not arguments.keep:
            box.remove()
    return status


def _count(text: str) -> int:
    """A whole number, 0 or more. Raises ValueError."""
    value = int(text)
    if not 0 <= value <= DEVICES_MAX:
        raise argparse.ArgumentTypeError(f"a number from 0 to {DEVICES_MAX}")
    return value


def _speed(text: str) -> int:
    value = int(text)
    if not 1 <= value <= SPEED_MAX:
        raise argparse.ArgumentTypeError(f"a number from 1 to {SPEED_MAX}")
    return value


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError("seconds, more than 0")
    return value


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """hallseal-simulator demo"""
    parser = subparsers.add_parser("demo", help="a whole hall in a scratch folder, and a morning in it")
    parser.add_argument(
        "--for", dest="duration_s", type=_seconds, metavar="SECONDS", help="end by itself (else: Ctrl-C)"
    )
    parser.add_argument("--chaos", action="store_true", help="kill the gateway and the broker in the middle")
    parser.add_argument("--speed", type=_speed, default=60, help="hall seconds in a real second (default 60)")
    parser.add_argument("--evaluators", type=_count, default=6, help="evaluators on MicroPython VMs (default 6)")
    parser.add_argument("--clocks", type=_count, default=2, help="clocks on MicroPython VMs (default 2)")
    parser.add_argument(
        "--virtual", type=_count, default=60, help="devices on CPython, one in ten of them a clock (default 60)"
    )
    parser.add_argument("--staff", type=_count, default=24, help="people on the roster (default 24)")
    parser.add_argument(
        "--settle",
        dest="settle_s",
        type=_seconds,
        default=SETTLE_TIMEOUT_S,
        metavar="SECONDS",
        help=f"how long what is on its way at the end may take to arrive (default {SETTLE_TIMEOUT_S})",
    )
    parser.add_argument("--keep", action="store_true", help="keep the scratch folder")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Play the demo of these options; its exit status, 0 only where every number agrees."""
    return asyncio.run(play(arguments, psutil.Process().create_time()))
