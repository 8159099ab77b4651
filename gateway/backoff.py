"""How long to wait before the next try of something that failed."""

# The first retry comes soon: most failures are a restart of the other side.
FIRST_S = 0.5
# Nobody waits longer than this after the other side is back; every retry costs one connection.
CAP_S = 60.0


def delay_s(attempt: int, jitter: float, first_s: float = FIRST_S, cap_s: float = CAP_S) -> float:
    """Seconds to wait before retry `attempt` (0 is the first).

    Doubles from `first_s` up to `cap_s`; the later half of each wait is chance, so that halls do not knock together.
    jitter: 0 <= jitter < 1, passed in so that tests repeat. Raises ValueError (our fault) when out of range.
    """
    if attempt < 0 or not 0 <= jitter < 1:
        raise ValueError("attempt or jitter out of range")
    # 2**32 times half a second is beyond any cap; a larger exponent would only make a large number.
    full = min(cap_s, first_s * float(1 << min(attempt, 32)))
    return full * (0.5 + 0.5 * jitter)
