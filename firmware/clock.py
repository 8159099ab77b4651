"""The clock: a touch of an enrolled finger is a punch, on flash before the door says so.

The sensor matches the finger and tells a slot; the roster makes a staff number of it. A slot without a name in the
roster is a stranger's. The same person again within a minute is the same punch. A sensor that fails is said on the
display, recorded once, and asked again with every touch and every self check until it answers. The button chooses the
direction of the next punch; held, it opens the enrolment (see enrolment.py).
"""

import asyncio

from firmware.fingerprint import BLUE, BREATHING, FLASHING, ON, RED, Fingerprint
from firmware.identity import REMOVAL, has_file
from firmware.journal import JournalFull
from firmware.notice import Notice
from firmware.punches import Punches
from firmware.push_button import HELD, PushButton
from firmware.self_check import BUTTONS, SENSOR, SelfCheck, report
from firmware.sensor_packet import WRONG_PASSWORD, SensorError, unclear
from protocol import command, event, heartbeat

ANSWER_MS = 1500
# Commands that wait for the sensor; a technician sends one, and looks.
_ORDERS_MAX = 4
_SENSOR_RETRY_MS = 2000
_POLL_MS = 20
_GOOD = ("punched", "in", "out", "enrolled", "deleted")


class Held(Exception):
    """The clock takes nothing any more: whoever waits for a person does not go on."""


class Clock:
    """The app of a device (see device.py). As the desk of an enrolment: show(), finger(), lifted(), button(); those
    that wait raise Held once nothing is taken any more.
    """

    def __init__(self, device):
        self._device = device
        board = device.board
        self._edge = board.edge
        self._touch = board.touch
        self._sensor = Fingerprint(board.uart, board.network_clock)
        self._button = PushButton(board.button, board.button_edge, board.network_clock)
        self._punches = Punches(device)
        self._notice = Notice(board.display, device)
        self.check = SelfCheck(device, self._notice, self._probe)
        self._faulty = True
        self._told = False
        self._held = False
        self._orders = []  # async functions that want the sensor for themselves
        self._in_dialogue = False
        self._busy = False  # a finger or a dialogue is being served
        self._beginning = asyncio.Lock()
        self._removing = has_file(device.identity.root, REMOVAL)
        self._pressed = None

    @property
    def status_word(self):
        return self._notice.word

    @property
    def thanks(self):
        """Punches that were shown."""
        return self._punches.kept

    @property
    def touches(self):
        """Fingers taken, known or not."""
        return self._punches.touches

    def show(self, word, *values):
        """A text on the display; once it is held the reason for that stays."""
        if not self._held:
            self._notice.show(word, *values)

    @property
    def busy(self):
        """True while somebody enrols."""
        return self._in_dialogue

    def counts(self):
        """What only the heartbeat of a clock has."""
        return {heartbeat.UNKNOWN_FINGERS: self._punches.unknown}

    def on_receipt(self):
        """Nobody at a door waits for it."""

    def on_command(self, found):
        """Enrol and delete are done between two touches, in their order. A clock has no visits."""
        slot = found.claims.get(command.SLOT)
        if found.kind == command.ENROL:
            self._order(lambda: self._enrolment().order(slot))
        elif found.kind == command.DELETE_FINGER:
            self._order(lambda: self._enrolment().delete(slot))

    def _enrolment(self):
        """Rare, and large: it comes into the heap with the first one."""
        from firmware.enrolment import Enrolment

        return Enrolment(self._device, self._sensor, self)

    def _order(self, work):
        if len(self._orders) < _ORDERS_MAX and not self._held:
            self._orders.append(work)
            self._edge.set()

    def hold(self, word):
        """Take nothing any more, and say why. There is no way back but a reboot."""
        self._held = True
        self._notice.show(word)

    async def forget(self):
        """Erase every template; False when the sensor does not do it now, or still serves somebody."""
        if self._busy:
            return False
        try:
            await self._begin()
            await self._sensor.clear()
            return True
        except SensorError:
            self._faulty = True
            return False

    async def _identify(self):
        """One finger on the glass: the punch, or the reason why there is none, is on the display on return."""
        try:
            await self._begin()
            slot, score = await self._sensor.identify()
            self.show(*self._punches.take(slot, score))
        except SensorError as error:
            if unclear(error):
                self.show("unknown")
            else:
                self._fail(error)
        except JournalFull:
            self.show("full")
        except (OSError, MemoryError):
            self.show("fault")

    async def _begin(self):
        """Make sure that the sensor listens, with the password that the hall has set, and has forgotten whom it has to.

        Raises SensorError.
        """
        wanted = self._device.settings.get(command.SENSOR_PASSWORD)
        async with self._beginning:
            if self._faulty or self._sensor.password != wanted:
                self._faulty = True
                await self._log_in(wanted)
                self._faulty = self._told = False
            if self._removing:
                from firmware import removal

                self._removing = not await removal.finish(self._device, self._sensor)

    async def _log_in(self, wanted):
        """A new sensor has no password; it takes the hall's once."""
        sensor = self._sensor
        former, sensor.password = sensor.password, wanted
        try:
            await sensor.begin()
        except SensorError as error:
            if error.code != WRONG_PASSWORD or not wanted:
                raise
            sensor.password = former if former != wanted else 0
            await sensor.begin()
            await sensor.set_password(wanted)

    def _fail(self, error):
        self._faulty = True
        self.show("sensor")
        if not self._told and report(self._device, event.FAULT, error.code, "sensor: %s" % error):
            self._told = True
            self.check.told |= SENSOR

    async def _probe(self):
        """SENSOR while the sensor does not answer, BUTTONS while the button is jammed."""
        stuck = BUTTONS if self._button.stuck() else 0
        if self._in_dialogue:  # it has the sensor for itself, and tells its faults
            return stuck
        failed = self._faulty
        try:
            await self._begin()
            await self._sensor.count()
        except SensorError as error:
            if not self._held:
                self._fail(error)
            return stuck | SENSOR
        if failed and not self._held:
            self._show_ready()
        return stuck

    def _show_ready(self):
        self.show(self._punches.ready_word())

    async def _lamp(self):
        """The ring under the finger: blue and still for what is kept, red and flashing for anything else."""
        if not self._faulty:
            await self._sensor.light(*((ON, BLUE) if self._notice.word in _GOOD else (FLASHING, RED)))

    async def _soon(self, look, limit_ms):
        """The first true value of look() within a person's `limit_ms`; None when there was none."""
        ends_ms = self._device.uptime.ms() + limit_ms
        while self._device.uptime.ms() < ends_ms:
            self._go_on()
            found = look()
            if found:
                return found
            await self._device.board.network_clock.sleep_ms(_POLL_MS)
        return None

    def _go_on(self):
        if self._held:
            raise Held()

    async def _glass_is_free(self):
        while not self._touch.value() and not self._held:
            await self._device.board.network_clock.sleep_ms(_POLL_MS)

    async def finger(self, limit_ms):
        """Wait for a finger on the glass; None when none came within a person's `limit_ms`."""
        return await self._soon(lambda: not self._touch.value(), limit_ms)

    async def lifted(self):
        """Wait until the glass is free."""
        await self._glass_is_free()
        self._go_on()

    async def button(self, limit_ms):
        """PRESSED or HELD, None when nobody pressed within a person's `limit_ms`."""
        found = await self._soon(lambda: self._pressed, limit_ms)
        self._pressed = None
        return found

    async def _dialogue(self, work):
        """Somebody enrols or deletes: one text after the other, and the last one says how it ended."""
        self._in_dialogue, self._pressed = True, None
        try:
            await self._begin()
            self.show(*(("full",) if self._removing else await work()))
        except SensorError as error:
            if unclear(error):
                self.show("unknown")
            else:
                self._fail(error)
        except (OSError, MemoryError):
            self.show("fault")
        except Held:
            pass
        finally:
            self._in_dialogue = False
            self._removing = has_file(self._device.identity.root, REMOVAL)

    async def _watch(self):
        """The button."""
        while True:
            pressed = await self._button.press()
            if self._in_dialogue:
                self._pressed = pressed
            elif pressed == HELD:
                self._order(lambda: self._enrolment().menu())
            elif not self._held:
                self._punches.turn()
                self._show_ready()

    async def _next(self):
        """Wait for a finger or an order; what is shown meanwhile stays true. The order, None for a finger."""
        while not self._orders:
            if not self._touch.value():
                return None
            await self._edge.wait()
        return self._orders.pop(0)

    async def _serve(self):
        """One finger, or one dialogue."""
        work = await self._next()
        if self._held:
            return
        self._busy = True
        await (self._dialogue(work) if work else self._identify())
        self._busy = False
        await self._lamp()
        await self._device.clock.sleep_ms(ANSWER_MS)
        await self._glass_is_free()

    async def _listen(self):
        """Fingers, one after the other: each has to leave the glass before the next."""
        while await self._probe() & SENSOR:
            await self._device.board.network_clock.sleep_ms(_SENSOR_RETRY_MS)
        while not self._held:
            if not await self._probe() & SENSOR and not self._held:
                self._show_ready()
                await self._sensor.light(BREATHING, BLUE)
            await self._serve()

    async def _ready(self):
        """A chosen direction that nobody used goes back by itself."""
        while True:
            await self._device.board.network_clock.sleep_ms(1000)
            word = self._notice.word
            if word in ("ready_in", "ready_out") and word != self._punches.ready_word():
                self._show_ready()

    async def run(self):
        """For ever."""
        await asyncio.gather(self._listen(), self._watch(), self._ready(), self.check.run())
