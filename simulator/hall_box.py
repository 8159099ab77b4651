"""A whole hall in a scratch folder: provisioned, then every process of it started and, where chaos wants it, killed."""

import asyncio
import base64
import json
import secrets
import shutil
import ssl
import time
from pathlib import Path
from typing import Any

import httpx

from simulator import vm_device
from simulator.control import ControlClient
from simulator.hall_time import HallTime, next_morning
from simulator.matters import LIBRARY
from simulator.morning import OPENS_S
from simulator.processes import READY_TIMEOUT_S, Ports, Process

HALL = "yongxing"
SERVERS = ("broker", "central", "gateway")
# The hall is switched on this much hall time before it opens: ten seconds and more for 68 devices on two cores.
PREPARATION_S = 15 * 60


class HallBox:
    """scratch: empty folder. evaluators, clocks: on VMs. virtual: devices on CPython, one in ten of them a clock."""

    def __init__(self, scratch: Path, evaluators: int, clocks: int, virtual: int, staff: int, speed: int) -> None:
        self.scratch = scratch
        self.hall = scratch / "hall"
        self._counts = (evaluators, clocks, virtual - virtual // 10, virtual // 10, staff)
        self._speed = speed
        self._ports = Ports(4)
        self._broker_port, self._central_port, self._page_port, self._outcomes_port = self._ports.numbers
        self.page = f"http://127.0.0.1:{self._page_port}"
        self.central_url = f"https://127.0.0.1:{self._central_port}"
        self.outcomes_url = f"https://127.0.0.1:{self._outcomes_port}"
        self.processes: dict[str, Process] = {}
        self.clients: dict[str, ControlClient] = {}  # by device
        self._channels: list[ControlClient] = []

    async def provision(self) -> None:
        """Make the hall by the technician's own command. Raises StartError."""
        evaluators, clocks, virtual_evaluators, virtual_clocks, staff = self._counts
        options = {
            "hall": HALL,
            "evaluators": evaluators,
            "clocks": clocks,
            "virtual-evaluators": virtual_evaluators,
            "virtual-clocks": virtual_clocks,
            "staff": staff,
            "broker-port": self._broker_port,
            "central-url": self.central_url,
            "page-port": self._page_port,
        }
        words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
        (self.scratch / "logs").mkdir()
        await self._run("provision", ["provisioning.cli", "hall", "init", str(self.hall), *words], "The hall")
        self.time = HallTime(self._speed, next_morning(time.time(), OPENS_S - PREPARATION_S), time.time())
        self._settle_gateway()
        await self._run("items", ["gateway.cli", "items", "import", str(LIBRARY), "--config", self._toml], "items")

    @property
    def _toml(self) -> str:
        return str(self.hall / "gateway" / "gateway.toml")

    async def _run(self, name: str, command: list[str], ready: str) -> None:
        """A command that ends by itself. Raises StartError."""
        made = Process(name, command, self.scratch / "logs", ready)
        try:
            await made.start()
        finally:
            await made.stop()

    def _settle_gateway(self) -> None:
        """The demo's clock; and its page without TLS, for a browser that does not know the hall's root."""
        path = Path(self._toml)
        lines = path.read_text("utf-8").splitlines()
        page = lines.index("[page]")
        kept = [line for number, line in enumerate(lines) if number < page or not line.startswith(("cert =", "key ="))]
        path.write_text("\n".join(kept) + "\n" + self.time.toml(), "utf-8")

    def add_outcomes(self) -> None:
        """A business system that is told outcomes; it is started with the servers. After provision()."""
        secret = self.hall / "gateway" / "webhook.secret"
        secret.touch(0o600)
        secret.write_text("whsec_" + base64.b64encode(secrets.token_bytes(32)).decode() + "\n")
        toml = Path(self._toml)
        settings = f'[webhook]\nurl = "{self.outcomes_url}/outcomes"\nca = "root.pem"\nsecret_file = "webhook.secret"\n'
        toml.write_text(f"{toml.read_text('utf-8')}\n{settings}", "utf-8")
        words = [str(self.hall), "--secret", str(secret), "--port", str(self._outcomes_port)]
        self._process("outcomes", ["simulator.cli", "outcomes", *words], "outcomes ")

    def devices(self) -> list[dict[str, str]]:
        """{device, kind, window} of the registry."""
        found = json.loads((self.hall / "gateway" / "registry.json").read_text("utf-8"))["devices"]
        return [{key: str(one[key]) for key in ("device", "kind", "window")} for one in found]

    def slots(self) -> list[int]:
        """Sensor slots with a finger."""
        staff = json.loads((self.hall / "gateway" / "roster.json").read_text("utf-8"))["staff"]
        return [int(one["slot"]) for one in staff]

    def _process(self, name: str, command: list[str], ready: str = "READY") -> Process:
        self.processes[name] = Process(name, command, self.scratch / "logs", ready)
        return self.processes[name]

    async def start(self) -> None:
        """Everything, in the order in which a hall is switched on. Raises StartError."""
        await self.start_servers()
        names = [one["device"] for one in self.devices()]
        real = [name for name in names if not name.startswith("v")]
        await asyncio.gather(
            self._start_devices("devices", real, virtual=not vm_device.available()),
            self._start_devices("fleet", [name for name in names if name.startswith("v")], virtual=True),
        )

    async def start_servers(self) -> None:
        """Broker, central system and gateway, and who else was added. Raises StartError."""
        hall = str(self.hall)
        broker = self._process("broker", ["simulator.cli", "broker", "--hall", hall, "--port", str(self._broker_port)])
        central = self._process(
            "central", ["simulator.cli", "central", hall, "--port", str(self._central_port)], "central "
        )
        self._process("gateway", ["gateway.cli", "run", "--config", self._toml], "")
        others = [self.processes["outcomes"].start()] if "outcomes" in self.processes else []
        await asyncio.gather(broker.start(), central.start(), self.start_gateway(), *others)

    async def start_again(self, name: str) -> None:
        """One of SERVERS that has ended. Raises StartError."""
        await (self.start_gateway() if name == "gateway" else self.processes[name].start())

    async def start_gateway(self) -> None:
        """Start, or start again, and wait until it answers. Raises StartError."""
        gateway = self.processes["gateway"]
        await gateway.start()
        async with httpx.AsyncClient() as client:
            for _ in range(READY_TIMEOUT_S * 10):
                if gateway.pid is None:
                    break
                try:
                    if (await client.get(self.page + "/healthz")).status_code in (200, 503):
                        return
                except httpx.HTTPError:
                    pass
                await asyncio.sleep(0.1)
        raise gateway.not_ready()

    async def _start_devices(self, name: str, devices: list[str], virtual: bool) -> None:
        if not devices:
            return
        words = ["--hall", str(self.hall), "--scratch", str(self.scratch / name), "--speed", str(self._speed)]
        process = self._process(
            name, ["simulator.cli", "devices", *devices, *words, *(["--virtual"] if virtual else [])]
        )
        port = int((await process.start()).split()[1])
        client = await ControlClient.connect(port)
        self._channels.append(client)
        self.clients.update(dict.fromkeys(devices, client))

    async def statuses(self) -> dict[str, dict[str, Any]]:
        """{device: status} of every device that answers."""
        asked = (client.ask(do="statuses") for client in self._channels)
        answers = await asyncio.gather(*asked, return_exceptions=True)  # a process that is gone hides no other
        found = [one for answer in answers if isinstance(answer, dict) for one in answer.get("devices", ())]
        return {one["device"]: one for one in found}

    def business_client(self) -> httpx.AsyncClient:
        """The windows' business system, as the gateway knows it."""
        return self._gateway_client("business.token")

    def technician_client(self) -> httpx.AsyncClient:
        """The technician who enrols fingers and takes devices out of service."""
        return self._gateway_client("technician.token")

    def audit_client(self) -> httpx.AsyncClient:
        """Somebody who may compare the counts of devices and stores."""
        return self._gateway_client("audit.token")

    def _gateway_client(self, token_file: str) -> httpx.AsyncClient:
        token = (self.hall / "gateway" / token_file).read_text("utf-8").strip()
        return httpx.AsyncClient(base_url=self.page, headers={"Authorization": f"Bearer {token}"}, timeout=5)

    def central_client(self) -> httpx.AsyncClient:
        """Somebody at the central system who looks at its counts."""
        token = (self.hall / "central" / "token").read_text("utf-8").strip()
        return self._outer_client(self.central_url, {"Authorization": f"Bearer {token}"})

    def outcomes_client(self) -> httpx.AsyncClient:
        """Somebody who looks at what the business system was told."""
        return self._outer_client(self.outcomes_url, {})

    def _outer_client(self, url: str, headers: dict[str, str]) -> httpx.AsyncClient:
        context = ssl.create_default_context(cafile=self.hall / "central" / "root.pem")
        return httpx.AsyncClient(base_url=url, headers=headers, verify=context, timeout=5)

    async def stop(self) -> None:
        """End every process, devices first."""
        for channel in self._channels:
            await channel.close()
        for name in ("devices", "fleet", "gateway", "central", "outcomes", "broker"):
            if name in self.processes:
                await self.processes[name].stop()
        self._ports.close()

    def remove(self) -> None:
        """Delete the scratch folder with all its keys."""
        shutil.rmtree(self.scratch)
