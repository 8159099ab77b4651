"""SSD1306-class display, 128 x 64, on I2C: a frame in memory, sent whole.

A line of text is 16 pixels high: two pages of the controller. The frame is laid out as its memory is, eight pixels a
byte from top to bottom, so that a glyph is copied and never turned.
"""

from firmware import glyphs

WIDTH, HEIGHT, LINES = 128, 64, 4
ADDRESS = 0x3C
_CONTROL_COMMANDS, _CONTROL_DATA = 0x00, 0x40
# SSD1306 data sheet, section 8.5 and application note: off, clock, multiplex 64, offset 0, start line 0, charge pump
# on, horizontal addressing, segment and COM remap, COM pins, precharge, deselect level, show memory, not inverted, on.
_INIT = b"\xae\xd5\x80\xa8\x3f\xd3\x00\x40\x8d\x14\x20\x00\xa1\xc8\xda\x12\xd9\xf1\xdb\x30\xa4\xa6\xaf"
_WHOLE_FRAME = b"\x21\x00\x7f\x22\x00\x07"
# Sixteen bytes a transfer: what every I2C driver and its buffer take.
_CHUNK_BYTES = 16


class Ssd1306:
    """bus: object with writeto(address, bytes). Raises OSError when the display does not answer."""

    def __init__(self, bus, address=ADDRESS):
        self._bus = bus
        self._address = address
        self.frame = bytearray(WIDTH * HEIGHT // 8)
        self._command(_INIT)

    def _command(self, data):
        self._bus.writeto(self._address, bytes((_CONTROL_COMMANDS,)) + data)

    def brightness(self, level):
        """0 to 255."""
        self._command(bytes((0x81, level)))

    def clear(self):
        for at in range(len(self.frame)):
            self.frame[at] = 0

    def text(self, line, x, text):
        """Draw text on line 0 to 3 from pixel column x; what does not fit is cut. Returns the column behind it."""
        top = 2 * WIDTH * line
        for char in text:
            upper, lower = glyphs.columns(char)
            if x + len(upper) > WIDTH:
                break
            self.frame[top + x : top + x + len(upper)] = upper
            self.frame[top + WIDTH + x : top + WIDTH + x + len(lower)] = lower
            x += len(upper)
        return x

    def show(self):
        """Send the frame."""
        self._command(_WHOLE_FRAME)
        head = bytes((_CONTROL_DATA,))
        for at in range(0, len(self.frame), _CHUNK_BYTES):
            self._bus.writeto(self._address, head + self.frame[at : at + _CHUNK_BYTES])
