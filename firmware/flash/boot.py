"""boot.py of a device: closes the serial console, runs what the loader chooses, and never gives the board back.

MicroPython looks for a pressed Ctrl-C only where code jumps, so nothing can come between these first two lines. From
then on a Ctrl-C is a byte like any other. An ESP32-S3 opens its USB port after boot.py, so while this runs it has none.
Written last, when everything else lies on the flash: who wants in again has to erase the flash, and the keys with it.
"""

import micropython

micropython.kbd_intr(-1)

import sys  # noqa: E402

try:
    try:
        while not sys.path:  # a jump: one that was pressed before is raised here
            pass
    except KeyboardInterrupt:
        pass
    from firmware import loader

    run = loader.program()
    del loader  # nothing of it stays in the heap
    run()  # ends with a reset of the board
except BaseException as error:
    sys.print_exception(error)
finally:
    sys.exit()  # where there was no board to reset: a soft one, that begins here again; never the console
