"""A hall of a few devices, provisioned as the technician's command does it, for tests that need its keys and files."""

import datetime
from pathlib import Path

from protocol.suite_host import HostSuite
from provisioning.gateway_settings import Addresses
from provisioning.hall import make_hall
from provisioning.hall_plan import HallPlan


def make(folder: Path, evaluators: int = 1, clocks: int = 1, staff: int = 1, broker_port: int | None = None) -> Path:
    """The folder of the hall, named yongxing. broker_port: where its devices look for the broker."""
    addresses = Addresses() if broker_port is None else Addresses(broker_port=broker_port)
    plan = HallPlan("yongxing", evaluators=evaluators, clocks=clocks, staff=staff, addresses=addresses)
    return make_hall(folder, plan, HostSuite(), datetime.datetime.now(datetime.UTC), lambda line: None).path
