"""Orders of a technician to one device: take a new finger, forget one, or end its service for good.

An order is signed and sent like every command, and it is done when the device says so: each ends in an event of its
own. Until it expires it waits for a device that is away; a gateway that restarts forgets it.
"""

from typing import NamedTuple

from gateway.downlink import Downlink
from gateway.hall_clock import HallClock
from gateway.logs import Log
from gateway.operator_log import ORDER, OperatorLog
from gateway.registry import ACTIVE, CLOCK, Device, Registry
from protocol import command

ENROL, DELETE_FINGER, DECOMMISSION = "enrol", "delete_finger", "decommission"

# Real seconds that an order lives. Enrolling: the person stands at the clock, and another finger must not be taken for
# theirs later.
ENROL_LIFE_S = 5 * 60
# A clock that restarts, or a switch that is replaced.
DELETE_FINGER_LIFE_S = 60 * 60
# A device in a store-room is switched on within a day.
DECOMMISSION_LIFE_S = 24 * 60 * 60

_log = Log("orders")


class OrderRefused(Exception):  # the technician's request is refused; nothing of ours failed
    """The order is not given. reason: "device" (unknown), "kind" (no clock), "status" (not active), "slot" or "confirm"
    (missing, not fitting or too much), "busy".
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Decision(NamedTuple):
    """What goes to the device. life_s: real seconds."""

    kind: int
    claims: dict[int, object]
    life_s: int


class Order(NamedTuple):
    """An order on its way. expires_s: hall time, UTC seconds; later the device does not take it."""

    device: str
    order: str
    expires_s: int


def decide(device: Device, order: str, slot: int | None, confirm: str | None) -> Decision:
    """The command that an order becomes. order: one of the three names; slot: 0..65535. Raises OrderRefused."""
    if order != DECOMMISSION and device.kind != CLOCK:
        raise OrderRefused("kind")
    if device.status != ACTIVE:
        raise OrderRefused("status")
    if order == DECOMMISSION:
        if slot is not None:
            raise OrderRefused("slot")
        if confirm != device.name:  # there is no way back
            raise OrderRefused("confirm")
        return Decision(command.DECOMMISSION, {command.RETIRED: device.name}, DECOMMISSION_LIFE_S)
    if confirm is not None:
        raise OrderRefused("confirm")
    if slot is None:
        raise OrderRefused("slot")
    if order == ENROL:
        return Decision(command.ENROL, {command.SLOT: slot}, ENROL_LIFE_S)
    return Decision(command.DELETE_FINGER, {command.SLOT: slot}, DELETE_FINGER_LIFE_S)


class Orders:
    """Gives orders to the hall's devices. Any thread; each blocks for one commit, of its line in the operator log."""

    def __init__(self, registry: Registry, downlink: Downlink, clock: HallClock, log: OperatorLog) -> None:
        self._registry = registry
        self._downlink = downlink
        self._clock = clock
        self._log = log

    def give(self, name: str, order: str, slot: int | None = None, confirm: str | None = None) -> Order:
        """Queue the order for the device `name`; see decide(). Raises OrderRefused."""
        device = self._registry.get(name)
        if device is None:
            raise OrderRefused("device")
        kind, claims, life_s = decide(device, order, slot, confirm)
        # Before the order goes: none may be without its line. That it was done, the device's own event tells.
        self._log.note("technician", ORDER, device.name, order=order, **({} if slot is None else {"slot": slot}))
        expires_s = self._clock.now_s() + int(life_s * self._clock.speed)
        if not self._downlink.command(device, kind, claims, expires_s):
            raise OrderRefused("busy")
        _log.info("order given", device=device.name, kind=order)
        return Order(device.name, order, expires_s)
