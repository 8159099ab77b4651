"""Faults that the central double can be told to play, so that a gateway meets them before a real hall does."""

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

MODES = (
    "none",
    "error",  # answers `status` and stores nothing
    "lost_answer",  # stores, then answers `status`: the gateway must offer again, and nothing may count twice
    "garbage",  # stores, then answers 200 with something that is no answer
    "refuse",  # gives the verdict "refused" with `reason`
    "slow",  # waits `delay_s`, then works
)
DELAY_S_MAX = 60.0


@dataclass(frozen=True)
class Fault:
    """One fault. count: requests it is played for, None until told otherwise. devices: only where one of them is."""

    mode: str = "none"
    status: int = 500
    delay_s: float = 0.0
    reason: str = "told to refuse"
    count: int | None = None
    devices: frozenset[str] = frozenset()

    def hits(self, device: str) -> bool:
        """True when records of `device` are meant."""
        return not self.devices or device in self.devices


def parse(asked: Mapping[str, Any]) -> Fault:
    """The fault in a request's JSON object. Raises ValueError with what is wrong."""
    unknown = set(asked) - {"mode", "status", "delay_s", "reason", "count", "devices"}
    if unknown:
        raise ValueError("unknown: " + ", ".join(sorted(unknown)))
    fault = Fault(
        mode=str(asked.get("mode", "none")),
        status=int(asked.get("status", 500)),
        delay_s=float(asked.get("delay_s", 0)),
        reason=str(asked.get("reason", "told to refuse")),
        count=None if asked.get("count") is None else int(asked["count"]),
        devices=frozenset(str(one) for one in asked.get("devices", ())),
    )
    if fault.mode not in MODES:
        raise ValueError("mode: one of " + ", ".join(MODES))
    if not 400 <= fault.status <= 599 or not 0 <= fault.delay_s <= DELAY_S_MAX:
        raise ValueError(f"status: 400 to 599; delay_s: 0 to {DELAY_S_MAX:g}")
    return fault


class Faults:
    """The fault in force; any thread may ask."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._fault = Fault()
        self._left: int | None = None

    def set(self, fault: Fault) -> None:
        """Play `fault` from the next request on."""
        with self._lock:
            self._fault, self._left = fault, fault.count

    def next(self, devices: Iterable[str]) -> Fault:
        """The fault to play for a request with records of `devices`; counts down."""
        with self._lock:
            if self._left == 0 or (self._fault.devices and self._fault.devices.isdisjoint(devices)):
                return Fault()
            if self._left is not None:
                self._left -= 1
            return self._fault
