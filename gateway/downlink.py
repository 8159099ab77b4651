"""Everything that goes to devices: receipts after the commit, and commands. One thread seals and publishes.

What is lost here is asked for again: a device repeats what has no receipt, and its next heartbeat repeats its
questions. So a full queue or a broken link drops, counts, and never holds up the intake.
"""

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from gateway.batch import Outcome, Standing
from gateway.channels import Channels
from gateway.command_counters import CommandCounters
from gateway.device_settings import DesiredSettings
from gateway.hall_clock import HallClock
from gateway.logs import Log
from gateway.metrics import Metrics
from gateway.opening import Beat
from gateway.receipts import ReceiptSchedule, receipt_of
from gateway.registry import ACTIVE, Device, Registry, RosterFile
from gateway.releases import Releases
from protocol import command, heartbeat, topic
from protocol.refusal import Refused

# Work that may wait: a hall whose devices all speak at once makes some hundred pieces a second, each done in 0.2 ms.
QUEUE_MAX = 4096
# How long the thread waits for work before it looks for receipts that are due.
TICK_S = 0.2
# Questions for visitors, and orders of technicians, that wait for a broken link. The newest are kept: older questions
# would find no visitor any more.
HELD_MAX = 256
# Real seconds that a command without other reason lives: configuration and roster are sent again at each heartbeat.
COMMAND_LIFE_S = 300

_log = Log("downlink")


@dataclass(frozen=True, slots=True)
class _Command:
    device: Device
    kind: int
    claims: Mapping[int, object] = field(repr=False)  # may hold an applicant
    expires_s: int


class _Receipts(NamedTuple):
    standings: Iterable[Standing]
    fresh: bool


class _Stop(NamedTuple):
    pass


class Downlink:
    """publish: (topic, message) -> True when the link took it. ready: True while the link is up."""

    def __init__(
        self,
        hall: str,
        channels: Channels,
        counters: CommandCounters,
        settings: DesiredSettings,
        registry: Registry,
        roster: RosterFile,
        releases: Releases,
        clock: HallClock,
        publish: Callable[[str, bytes], bool],
        ready: Callable[[], bool],
        metrics: Metrics,
    ) -> None:
        self._hall = hall
        self._channels = channels
        self._counters = counters
        self._settings = settings
        self._registry = registry
        self._roster = roster
        self._releases = releases
        self._clock = clock
        self._publish = publish
        self._ready = ready
        self._metrics = metrics
        self._schedule = ReceiptSchedule()
        self._held: deque[_Command] = deque(maxlen=HELD_MAX)
        self._queue: queue.Queue[_Command | _Receipts | Beat | _Stop] = queue.Queue(QUEUE_MAX)
        self._thread = threading.Thread(target=self._run, name="downlink", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self, timeout_s: float) -> bool:
        """Send what waits, at most for `timeout_s`; True when all went."""
        try:
            self._queue.put(_Stop(), timeout=timeout_s)
        except queue.Full:
            return False
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def alive(self) -> bool:
        """True while the thread runs."""
        return self._thread.is_alive()

    # What others hand over; none of these blocks.

    def committed(self, outcome: Outcome) -> None:
        """Receipts and answers for a batch that is on disk. Called by the ledger's writer thread."""
        fresh = [outcome.standings[key] for key in outcome.fresh]
        again = [standing for key, standing in outcome.standings.items() if key in outcome.repeated]
        behind = [
            outcome.standings[beat.device.name, beat.stream] for beat in outcome.beats if _is_behind(beat, outcome)
        ]
        if fresh:
            self._put(_Receipts(fresh, True))
        if again or behind:
            self._put(_Receipts([*again, *behind], False))
        for beat in outcome.beats:
            self._put(beat)

    def command(self, device: Device, kind: int, claims: Mapping[int, object], expires_s: int) -> bool:
        """Queue a command; False when the queue is full. expires_s: hall time."""
        return self._put(_Command(device, kind, claims, expires_s))

    def _put(self, work: _Command | _Receipts | Beat) -> bool:
        try:
            self._queue.put_nowait(work)
        except queue.Full:
            self._metrics.count("downlink_dropped", reason="queue")
            return False
        return True

    # The thread.

    def _run(self) -> None:
        while True:
            try:
                work = self._queue.get(timeout=TICK_S)
            except queue.Empty:
                work = None
            if isinstance(work, _Stop):
                return
            try:
                self._send_receipts(self._schedule.due(time.monotonic()))
                self._send_held()
                self._do(work)
            except Exception as error:  # one device's trouble must not silence the others
                self._metrics.count("downlink_dropped", reason="failed")
                _log.error("work failed", error)

    def _do(self, work: _Command | _Receipts | Beat | None) -> None:
        if isinstance(work, _Receipts):
            self._send_receipts(self._schedule.offer(work.standings, work.fresh, time.monotonic()))
        elif isinstance(work, Beat):
            self._answer(work)
        elif work is not None and not self._send_command(work):
            self._held.append(work)

    def _send_held(self) -> None:
        """Commands that the link did not take before, as long as they are worth something."""
        now_s = self._clock.now_s()
        while self._held and (self._held[0].expires_s < now_s or self._send_command(self._held[0])):
            self._held.popleft()

    def _send_receipts(self, standings: Iterable[Standing]) -> None:
        for standing in standings:
            device = self._registry.get(standing.device)
            if device is not None and device.status == ACTIVE:
                sealed = self._channels.seal_receipt(device, receipt_of(standing))
                self._send(device, sealed, "receipts")

    def _answer(self, beat: Beat) -> None:
        """The time when the heartbeat asks for it, then what the device lacks."""
        device, claims, roster = beat.device, beat.claims, self._roster.current()
        life_s = self._clock.now_s() + int(COMMAND_LIFE_S * self._clock.speed)
        nonce = claims.get(heartbeat.TIME_NONCE)
        if nonce is not None:
            answer = {command.NONCE: nonce, command.TIME_MS: self._clock.now_ms()}
            self._send_command(_Command(device, command.TIME_ANSWER, answer, life_s))
        config = self._settings.config(device, roster)
        if claims[heartbeat.CONFIG_VERSION] != config[command.VERSION]:
            self._send_command(_Command(device, command.CONFIG, config, life_s))
        people = self._settings.roster(device, roster)
        if people is not None and claims[heartbeat.ROSTER_VERSION] != people[command.ROSTER_VERSION]:
            self._send_command(_Command(device, command.ROSTER, people, life_s))
        self._update(beat, life_s)

    def _update(self, beat: Beat, life_s: int) -> None:
        """One step of an update, if the device needs one; its next heartbeat asks for the next."""
        device = beat.device
        answer = self._releases.answer(device.kind, beat.claims, self._clock.now_s(), time.monotonic())
        if answer is not None and self._send_command(_Command(device, answer.kind, answer.claims, life_s)):
            self._metrics.count("updates", kind=device.kind, step=answer.step)

    def _send_command(self, work: _Command) -> bool:
        """False when the link did not take it; a command that can never go counts as done."""
        device = self._registry.get(work.device.name)
        if device is None or device.status != ACTIVE or not self._ready():
            return device is None or device.status != ACTIVE
        counter = self._counters.next(device.name)
        issued_s = self._clock.now_s()
        made = command.Command(device.name, self._hall, work.expires_s, issued_s, work.kind, counter, dict(work.claims))
        try:
            sealed = self._channels.seal_command(device, made)
        except (Refused, ValueError) as error:  # configuration that no device would take, such as a roster too long
            self._metrics.count("downlink_dropped", reason="bounds")
            _log.error("command exceeds the wire's bounds", error, device=device.name, kind=work.kind)
            return True
        return self._send(device, sealed, "commands")

    def _send(self, device: Device, message: bytes, kind: str) -> bool:
        taken = self._publish(topic.down(self._hall, device.name), message)
        if taken:
            self._metrics.count(kind)
        else:
            self._metrics.count("downlink_dropped", reason="link")
        return taken


def _is_behind(beat: Beat, outcome: Outcome) -> bool:
    """The device lacks a receipt that the ledger can give."""
    standing = outcome.standings.get((beat.device.name, beat.stream))
    behind: bool = standing is not None and beat.claims[heartbeat.THROUGH] < standing.through
    return behind
