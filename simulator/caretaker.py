"""The caretaker of a demo: whichever server ends, by chaos or by anybody's hand, is started again."""

import asyncio
from collections.abc import Callable

from simulator.hall_box import SERVERS, HallBox

# A supervisor of services needs a moment to see it and to start again.
DARK_S = 2.0
_LOOK_S = 0.2


class Caretaker:
    """box: a hall whose servers run. tell(line): called when one has ended, and when it is back."""

    def __init__(self, box: HallBox, tell: Callable[[str], None]) -> None:
        self._box = box
        self._tell = tell

    async def run(self) -> None:
        """For ever. Raises StartError for a server that does not come back."""
        while True:
            for name in SERVERS:
                if self._box.processes[name].pid is None:
                    self._tell(f"the {name} has ended, and is started again")
                    await asyncio.sleep(DARK_S)
                    await self._box.start_again(name)
                    self._tell(f"the {name} is back" + (", and remembers nothing" if name == "broker" else ""))
            await asyncio.sleep(_LOOK_S)
