"""What a person reads on a display: the pixels of a frame, recognised as one of the texts that a device can show."""

from functools import cache

from firmware.screen import Screen
from firmware.ssd1306 import Ssd1306
from firmware.texts import TEXTS, lines

# Not screens of their own: a lost link, and why it is lost.
MARKS = (
    "offline", "wifi", "host", "server", "silent", "tls", "name", "expired", "early", "untrusted", "own", "login",
    "hung_up", "other",
)  # fmt: skip


class Paper:
    """A bus that leads nowhere: the frame stays where it was drawn."""

    def writeto(self, address: int, data: bytes) -> None:
        """Nothing answers."""


@cache
def words() -> dict[bytes, str]:
    """{frame: name} of every text without a gap, in every language, with and without the mark of a lost link."""
    drawn = Ssd1306(Paper())
    screen = Screen(drawn)
    found = {}
    for row in TEXTS.strip().splitlines():
        name, language, text = row.split(maxsplit=2)
        if "%s" not in text and name not in MARKS:
            for mark in ("", lines("offline", language)[0]):
                screen.show(name, language, (), mark)
                found[bytes(drawn.frame)] = name
    return found


def read(frame: bytes | bytearray) -> str:
    """The name of the text in a frame, "" for one with a window, a door or a name in it."""
    return words().get(bytes(frame), "")
