"""Enrolment: whose finger lies in which slot, decided by an administrator's finger, told in the stream.

    hold the button, or a command -> an administrator's finger -> [choose a person] -> three touches -> stored
Two touches make the template, the third proves it before it is stored. Where no administrator has a finger in the
sensor yet, a command may ask for an administrator's own: it is signed by the hall. Nobody else gets in that way. A
finger that is known already is not stored again: it would be two people.
"""

from firmware import removal
from firmware.fingerprint import holds
from firmware.push_button import HELD
from firmware.self_check import report
from firmware.sensor_packet import COMBINE_FAILED, SensorError, unclear
from protocol import event

# In a person's time.
FINGER_MS = 20000
CHOICE_MS = 30000
TOUCHES = 3


def is_administrator(row):
    """row: of the roster."""
    return len(row) > 3


class Enrolment:
    """device: see device.py. sensor: Fingerprint. desk: the clock: show(word, *values), async finger(limit_ms), async
    lifted(), async button(limit_ms).

    menu(), order() and delete() return the name of the text that says how it ended, and its value. All raise
    SensorError, and OSError when the flash fails; what they had begun then is a removal that is due (see removal.py).
    So it is when the text is "full".
    """

    def __init__(self, device, sensor, desk):
        self._device = device
        self._sensor = sensor
        self._desk = desk

    async def menu(self):
        """Somebody held the button."""
        rows = self._device.settings.roster()
        if not rows:
            return ("nobody",)
        by = await self._administrator()
        if not by:
            return self._refused(0)
        row = await self._chosen(rows)
        if row is None:
            return ("failed",)
        if holds(await self._sensor.slots(), row[0]):
            return await self._remove(row, by)
        return await self._enrol(row, by)

    async def order(self, slot):
        """The gateway asks for the finger of this slot's person."""
        rows = self._device.settings.roster()
        row = [one for one in rows if one[0] == slot]
        if not row:
            return ("nobody",)
        taken = await self._sensor.slots()
        if [one for one in rows if is_administrator(one) and holds(taken, one[0])]:
            by = await self._administrator()
        else:
            by = "" if is_administrator(row[0]) else None
        return self._refused(slot) if by is None else await self._enrol(row[0], by)

    async def delete(self, slot, by=""):
        """Forget the finger of this slot. Its event needs room before the finger goes, and comes when it is gone."""
        if not self._device.journal.has_room():
            return ("full",)
        staff = self._device.settings.staff(slot) or ("", "")
        removal.begin(self._device.identity.root, slot, staff[0], by)
        if not await removal.finish(self._device, self._sensor):
            return ("full",)
        return "deleted", staff[1] or "%d" % slot

    def _refused(self, slot):
        report(self._device, event.ENROLMENT_REFUSED, slot, "no administrator")
        return ("denied",)

    async def _administrator(self):
        """Staff number of the administrator whose finger this is, None for anybody else's or none."""
        self._desk.show("admin")
        if not await self._desk.finger(FINGER_MS):
            return None
        slot, _ = await self._sensor.identify()
        for row in self._device.settings.roster():
            if row[0] == slot and is_administrator(row):
                await self._lift(row)
                return row[1]
        return None

    async def _lift(self, row):
        """Wait until the glass is free for the next finger."""
        self._desk.show("lift", row[2])
        await self._desk.lifted()

    async def _chosen(self, rows):
        """The row that was chosen with the button, None when nobody chose."""
        at = 0
        while True:
            self._desk.show("choose", rows[at][2])
            pressed = await self._desk.button(CHOICE_MS)
            if pressed is None:
                return None
            if pressed == HELD:
                return rows[at]
            at = (at + 1) % len(rows)

    async def _remove(self, row, by):
        self._desk.show("remove", row[2])
        if await self._desk.button(CHOICE_MS) != HELD:
            return ("failed",)
        return await self.delete(row[0], by)

    async def _enrol(self, row, by):
        try:
            return await self._touches(row, by)
        except SensorError as error:
            if error.code == COMBINE_FAILED or unclear(error):
                return ("failed",)
            raise

    async def _touches(self, row, by):
        """Three touches of one finger."""
        slot, sensor = row[0], self._sensor
        if not await self._touch(row, 1, 1):
            return ("failed",)
        known, _ = await sensor.search(1)
        if known is not None and known != slot:
            return ("known",)
        if not await self._touch(row, 2, 2):
            return ("failed",)
        await sensor.merge()
        if not await self._touch(row, TOUCHES, 1) or not await sensor.match():
            return ("failed",)
        return await self._store(row, by)

    async def _store(self, row, by):
        """The event comes first: no template is ever in the sensor unseen. What ends it half way removes the finger."""
        root = self._device.identity.root
        removal.begin(root, row[0], row[1], by)
        stored = report(self._device, event.FINGER_ENROLLED, row[0], row[1], by)
        if stored:
            await self._sensor.store(row[0])
        removal.cancel(root)
        return ("enrolled", row[2]) if stored else ("full",)

    async def _touch(self, row, number, buffer):
        """One touch into a buffer; False when nobody touched."""
        self._desk.show("enrol", row[2], "%d" % number)
        if not await self._desk.finger(FINGER_MS):
            return False
        await self._sensor.capture(buffer)
        await self._lift(row)
        return True
