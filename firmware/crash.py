"""What ended the last run: kept on flash by the run that dies, told in the stream by the one after it."""

import hashlib
import io
import os
import sys

from firmware.identity import CRASH, read_file
from firmware.journal import JournalFull
from protocol import event, record

# The end of a traceback says most; all of it is known by its digest to whoever has the same program.
TEXT_CHARS_MAX = 160
DIGEST_BYTES = 16


def trace(error):
    """The traceback of an exception, as text. MicroPython only."""
    buffer = io.StringIO()
    sys.print_exception(error, buffer)
    return buffer.getvalue()


def keep(root, text):
    """For report() of the next run. On a flash that takes nothing any more the run ends without."""
    try:
        with open(root + CRASH, "wb") as file:
            file.write(hashlib.sha256(text.encode()).digest()[:DIGEST_BYTES] + _last_lines(text).encode())
    except OSError:
        pass


def _last_lines(text):
    """As many whole lines from the end as fit; of a longer last line its end."""
    found = ""
    for line in reversed(text.strip().split("\n")):
        longer = line.strip() + "\n" + found if found else line.strip()
        if len(longer) > TEXT_CHARS_MAX:
            break
        found = longer
    return found or text.strip()[-TEXT_CHARS_MAX:] or "crash"


def report(device):
    """What ended the last run becomes an event of this one, or of a later one while the journal is full."""
    path = device.identity.root + CRASH
    try:
        content = read_file(path)
        text = str(content[DIGEST_BYTES:], "utf-8")
        if not text:
            return
        claims = {event.CODE: event.CRASH, event.TEXT: text, event.DIGEST: content[:DIGEST_BYTES]}
        device.record(record.EVENT, claims)
        os.remove(path)
    except JournalFull:
        pass
    except (OSError, UnicodeError, ValueError):  # none, or torn by the power cut that ended it all
        pass
