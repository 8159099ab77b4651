"""What a call says when it refuses its input. Runs on CPython and on the MicroPython VM."""

from protocol.refusal import Refused


def refusal_of(call, *arguments):
    """The reason of the Refused that the call raises, or None when it returns. Every other exception passes through."""
    try:
        call(*arguments)
    except Refused as error:
        return error.reason
    return None


def is_our_fault(call, *arguments):
    """True when the call raises ValueError: a mistake of the caller, not of a peer."""
    try:
        call(*arguments)
    except ValueError:
        return True
    return False
