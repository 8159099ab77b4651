"""A keypad of twelve keys behind seven wires: one row after the other is pulled low, and the columns tell."""

KEYS = "123456789*0#"
COLUMNS = 3
# A row needs a moment until its columns follow; and a key that is seen twice in a row is no spark.
SETTLE_MS = 5


class Keypad:
    """rows: four output pins, 1 at rest. columns: three inputs, 0 where a key joins them with a low row. clock: real
    time.
    """

    def __init__(self, rows, columns, clock):
        self._rows = rows
        self._columns = columns
        self._clock = clock
        for row in rows:
            row.value(1)

    async def _scan(self):
        """The key that is down, "" for none or for more than one."""
        found = ""
        for number, row in enumerate(self._rows):
            row.value(0)
            await self._clock.sleep_ms(SETTLE_MS)
            for at, column in enumerate(self._columns):
                if not column.value():
                    found += KEYS[COLUMNS * number + at]
            row.value(1)
        return found if len(found) == 1 else ""

    async def _stable(self):
        """What two scans agree on."""
        before = None
        while True:
            found = await self._scan()
            if found == before:
                return found
            before = found

    async def key(self):
        """Wait until every key is up, then for the next one: its character."""
        while await self._stable():
            pass
        while True:
            found = await self._stable()
            if found:
                return found
