"""Runs the tests of one module on the MicroPython VM; micropython_run.py starts it there.

Every function test_*() without arguments is a test. Ends with one line: "N passed, N failed, N skipped", and status 1
when any failed. A skipped test prints its reason.
"""

import gc
import sys
import time

from vector_files import Absent


def _run(name, test):
    """ "passed", "failed" or "skipped"; what went wrong is printed."""
    try:
        test()
    except Absent as reason:
        print("skipped " + name + ": " + str(reason))
        return "skipped"
    except Exception as error:
        print("failed " + name)
        sys.print_exception(error, sys.stdout)
        return "failed"
    return "passed"


def run(module_name):
    """Run every test of a module that can be imported; ends the process."""
    module = __import__(module_name)
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    for name in sorted(dir(module)):
        if name.startswith("test_"):
            gc.collect()
            before_ms = time.ticks_ms()
            outcome = _run(name, getattr(module, name))
            counts[outcome] += 1
            print("%5d ms %s %s" % (time.ticks_diff(time.ticks_ms(), before_ms), outcome, name))
    print("%d passed, %d failed, %d skipped" % (counts["passed"], counts["failed"], counts["skipped"]))
    sys.exit(1 if counts["failed"] else 0)
