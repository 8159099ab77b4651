"""SSD1306-class display, 128 x 64, on I2C: a frame in memory, sent whole.

A line of text is 16 pixels high: two pages of the controller. The frame is laid out as its memory is, eight pixels a
byte from top to bottom, so that a glyph is copied and never turned.
"""

from firmware import glyphs

WIDTH, HEIGHT, PAGES = 128, 64, 8
ADDRESS = 0x3C
_CONTROL_COMMANDS, _CONTROL_DATA = 0x00, 0x40
# SSD1306 data sheet, section 8.5 and application note: off, clock, multiplex 64, offset 0, start line 0, charge pump
# on, horizontal addressing, segment and COM remap, COM pins, precharge, deselect level, show memory, not inverted.
_INIT = b"\xae\xd5\x80\xa8\x3f\xd3\x00\x40\x8d\x14\x20\x00\xa1\xc8\xda\x12\xd9\xf1\xdb\x30\xa4\xa6"
_ON = b"\xaf"
_WHOLE_FRAME = b"\x21\x00\x7f\x22\x00\x07"
_CONTRAST = 0x81
# Sixteen bytes a transfer: what every I2C driver and its buffer take.
_CHUNK_BYTES = 16


class Ssd1306:
    """bus: object with writeto(address, bytes), which raises OSError when nobody answers."""

    def __init__(self, bus, address=ADDRESS):
        self._bus = bus
        self._address = address
        self._awake = False
        self.frame = bytearray(WIDTH * HEIGHT // 8)

    def _command(self, data):
        self._bus.writeto(self._address, bytes((_CONTROL_COMMANDS,)) + data)

    def clear(self):
        blank = bytes(WIDTH)
        for at in range(0, len(self.frame), WIDTH):
            self.frame[at : at + WIDTH] = blank

    def text(self, page, x, text):
        """Draw text on this page, 0 to 6, and the next, from pixel column x; what does not fit is cut. Returns the
        column behind it.
        """
        top = WIDTH * page
        for char in text:
            upper, lower = glyphs.columns(char)
            if x + len(upper) > WIDTH:
                break
            self.frame[top + x : top + x + len(upper)] = upper
            self.frame[top + WIDTH + x : top + WIDTH + x + len(lower)] = lower
            x += len(upper)
        return x

    def show(self, contrast=128):
        """Send the frame; contrast: 0 to 255. Raises OSError when the display does not answer.

        At first, and after a failure, the controller is set up before: it may have lost its power. It is lit after it
        has a frame, for what its memory holds at power-on is noise.
        """
        woken, self._awake = self._awake, False
        if not woken:
            self._command(_INIT)
        self._command(bytes((_CONTRAST, contrast)) + _WHOLE_FRAME)
        head = bytes((_CONTROL_DATA,))
        for at in range(0, len(self.frame), _CHUNK_BYTES):
            self._bus.writeto(self._address, head + self.frame[at : at + _CHUNK_BYTES])
        if not woken:
            self._command(_ON)
        self._awake = True
