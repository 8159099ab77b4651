"""What a new hall shall have: name, devices of each kind and where they stand, staff, addresses."""

import itertools
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from protocol import topic
from provisioning import registry, roster
from provisioning.enrolment import Request
from provisioning.gateway_settings import Addresses

# A hall has some 60 windows; a fleet for load tests some thousands of devices.
DEVICES_MAX = 10_000
PORT_MAX = 65535


class PlanError(Exception):
    """The plan cannot be carried out. str() is one line for the technician."""


@dataclass(frozen=True)
class HallPlan:
    """Counts of real and virtual devices (virtual ones live in a simulator), and where everything is.

    server_hosts: names and addresses, besides this machine's own, at which broker and page are reached.
    """

    hall: str
    evaluators: int = 6
    clocks: int = 2
    virtual_evaluators: int = 0
    virtual_clocks: int = 0
    staff: int = 12
    addresses: Addresses = field(default_factory=Addresses)
    server_hosts: tuple[str, ...] = ()

    def check(self) -> None:
        """Raises PlanError."""
        if not topic.is_name(self.hall):
            raise PlanError(f"hall name {self.hall!r}: 1 to 32 of a-z, 0-9 and -")
        counts = (self.evaluators, self.clocks, self.virtual_evaluators, self.virtual_clocks)
        if min(counts) < 0 or sum(counts) > DEVICES_MAX:
            raise PlanError(f"a hall has 0 to {DEVICES_MAX} devices")
        if not 0 <= self.staff <= roster.STAFF_MAX:
            raise PlanError(f"a hall has 0 to {roster.STAFF_MAX} staff")
        if not 1 <= self.addresses.broker_port <= PORT_MAX or not 0 <= self.addresses.page_port <= PORT_MAX:
            raise PlanError(f"a port is a number up to {PORT_MAX}")
        if not self.addresses.central_url.startswith("https://") or not urlsplit(self.addresses.central_url).hostname:
            raise PlanError("the central system's address begins with https://, records leave the hall encrypted only")

    def hosts(self) -> list[str]:
        """Every name and address that the certificates of broker and page carry; this machine's own first."""
        addresses = self.addresses
        return _distinct(["localhost", "127.0.0.1", addresses.broker_host, addresses.server_name, *self.server_hosts])

    def central_hosts(self) -> list[str]:
        """The same for the central system that a simulation plays."""
        return _distinct(["localhost", "127.0.0.1", urlsplit(self.addresses.central_url).hostname or ""])

    def requests(self) -> list[Request]:
        """Every device to enrol. Windows are numbered 01, 02 …, doors D1, D2 …; real devices stand first."""
        numbers = [staff.number for staff in roster.made_up(self.staff)]
        evaluators = _names("e", self.evaluators) + _names("ve", self.virtual_evaluators)
        clocks = _names("c", self.clocks) + _names("vc", self.virtual_clocks)
        width = max(2, len(str(len(evaluators))))
        requests = [
            Request(name, registry.EVALUATOR, f"{window:0{width}}", staff)
            for window, (name, staff) in enumerate(itertools.zip_longest(evaluators, numbers[: len(evaluators)]), 1)
        ]
        return requests + [Request(name, registry.CLOCK, f"D{door}") for door, name in enumerate(clocks, 1)]


def _names(prefix: str, count: int) -> list[str]:
    width = max(3, len(str(count)))
    return [f"{prefix}-{number:0{width}}" for number in range(1, count + 1)]


def _distinct(hosts: list[str]) -> list[str]:
    return list(dict.fromkeys(host for host in hosts if host))
