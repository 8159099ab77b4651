"""Hours of the hall's day, in minutes from its midnight. Pure."""

DAY_MIN = 1440
# The seed document, article 12: devices are checked ten minutes before the hall opens.
CHECK_BEFORE_MIN = 10


def minute_of_day(utc_s, offset_min):
    """0 … 1439. offset_min: of the hall's clock."""
    return (utc_s // 60 + offset_min) % DAY_MIN


def is_within(minute, begins, ends):
    """True from `begins` to just before `ends`, over midnight where `ends` is the smaller one; never for equal ones."""
    if begins <= ends:
        return begins <= minute < ends
    return minute >= begins or minute < ends


def since_check_min(utc_s, opening, offset_min):
    """0 … 1439: minutes since the hour of the opening check, CHECK_BEFORE_MIN before the hall opens, was last there."""
    return (utc_s // 60 + offset_min - opening + CHECK_BEFORE_MIN) % DAY_MIN
