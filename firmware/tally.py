"""Running totals of the ledger stream, 28 bytes: presses of level 1 … 5 since first boot, ratings, punches.

Each record adds its code, 0 … 7, so that the totals behind any record follow from older ones.
"""

import struct

from protocol import rating, record

_TALLY = ">7I"
TALLY_BYTES = 28
EMPTY = bytes(TALLY_BYTES)
RATINGS, _PUNCHES = 5, 6
# 1 … 5 are a rating of that level.
EVENT, TIMED_OUT, PUNCH = 0, 6, 7


def code(kind, claims):
    """What a record of this kind (not a heartbeat) and these claims adds."""
    if kind == record.RATING:
        return claims.get(rating.LEVEL, TIMED_OUT)
    return PUNCH if kind == record.PUNCH else EVENT


def after(tally, code):
    """The tally after one more record."""
    totals = counts(tally)
    if code == PUNCH:
        totals[_PUNCHES] += 1
    elif code:
        totals[RATINGS] += 1
        if code != TIMED_OUT:
            totals[code - 1] += 1
    return struct.pack(_TALLY, *totals)


def counts(tally):
    """[presses of level 1 … 5, ratings, punches]."""
    return list(struct.unpack(_TALLY, tally))


def by_kind(seq, tally):
    """(ratings, punches, events) among the first `seq` records, whose tally this is."""
    ratings, punches = counts(tally)[RATINGS:]
    return ratings, punches, seq - ratings - punches
