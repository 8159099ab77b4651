"""No image of the gateway's memory reaches a disk when it dies: what it had just opened would stand there in clear."""

import ctypes
import resource
import sys

# prctl(2): PR_SET_DUMPABLE. Also keeps other processes of the same user from reading our memory.
_SET_DUMPABLE = 4


def forbid() -> bool:
    """Let this process leave no core dump, neither as a file nor to a program of the system; False: only no file.

    The limit alone does not bind a core_pattern that names a program (core(5)).
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if not sys.platform.startswith("linux"):
        return False
    return int(ctypes.CDLL(None).prctl(_SET_DUMPABLE, 0, 0, 0, 0)) == 0
