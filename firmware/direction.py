"""In or out: what a punch says of its direction. The gateway works it out, unless the person chose. Pure."""

from protocol import punch

# Who pressed the button touches the glass next; the one after should not have to undo it.
CHOSEN_MS = 10000
_READY = {punch.AUTO: "ready", punch.IN: "ready_in", punch.OUT: "ready_out"}
_DONE = {punch.AUTO: "punched", punch.IN: "in", punch.OUT: "out"}


class Direction:
    """Times are a person's, in ms."""

    def __init__(self):
        self._chosen = punch.AUTO
        self._until_ms = 0

    def press(self, now_ms):
        """The button: in, out, and automatic again."""
        self._chosen = (self.at(now_ms) + 1) % 3
        self._until_ms = now_ms + CHOSEN_MS

    def at(self, now_ms):
        """punch.AUTO, IN or OUT."""
        return self._chosen if now_ms < self._until_ms else punch.AUTO

    def take(self, now_ms):
        """As at(), for the punch that uses it up."""
        found, self._chosen = self.at(now_ms), punch.AUTO
        return found


def ready_word(direction):
    """The text that asks for a finger."""
    return _READY[direction]


def done_word(direction):
    """The text that says that the punch is kept."""
    return _DONE[direction]
