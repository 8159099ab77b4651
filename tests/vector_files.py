"""Files of test vectors: ours, and public ones from elsewhere. Runs on CPython and on the MicroPython VM.

Three folders, each named by an environment variable or else found from this file or an installed package:
HALLSEAL_VECTORS (tests/vectors), HALLSEAL_SHARED_VECTORS (../shared/vectors beside the repository),
HALLSEAL_CRYPTOGRAPHY_VECTORS (the PyPI package cryptography_vectors).
"""

import json
import os

from suites import ON_VM

if ON_VM:

    class Absent(Exception):
        """Vectors that this machine lacks; the session counts the test as skipped, with the reason."""

else:
    from unittest import SkipTest as Absent  # pytest takes it for a skipped test

GOLDEN_VARIABLE = "HALLSEAL_VECTORS"
SHARED_VARIABLE = "HALLSEAL_SHARED_VECTORS"
PACKAGE_VARIABLE = "HALLSEAL_CRYPTOGRAPHY_VECTORS"


def _exists(path):
    try:
        os.stat(path)
    except OSError:
        return False
    return True


def _package_folder():
    if ON_VM:
        return ""
    try:
        import cryptography_vectors
    except ImportError:
        return ""
    return cryptography_vectors.__path__[0]


def folders():
    """{environment variable: folder or ""} of all three, as this process sees them."""
    here = __file__.rsplit("/", 1)[0] if "/" in __file__ else "."
    found = {
        GOLDEN_VARIABLE: os.getenv(GOLDEN_VARIABLE) or here + "/vectors",
        SHARED_VARIABLE: os.getenv(SHARED_VARIABLE) or here + "/../../shared/vectors",
    }
    found[PACKAGE_VARIABLE] = os.getenv(PACKAGE_VARIABLE) or _package_folder()
    return found


def golden_path(name):
    """Path of a file of tests/vectors."""
    return folders()[GOLDEN_VARIABLE] + "/" + name


def golden(name):
    """What a JSON file of tests/vectors holds."""
    with open(golden_path(name)) as file:
        return json.load(file)


def shared(name):
    """What a public JSON file holds. Raises Absent where there are no such vectors."""
    folder = folders()[SHARED_VARIABLE]
    if not _exists(folder):
        raise Absent("no public vectors: no folder ../shared/vectors beside the repository")
    with open(folder + "/" + name) as file:
        return json.load(file)


def shared_names(folder):
    """Sorted names of the JSON files in a folder of the public vectors. Raises Absent."""
    top = folders()[SHARED_VARIABLE]
    if not _exists(top):
        raise Absent("no public vectors: no folder ../shared/vectors beside the repository")
    return sorted([folder + "/" + name for name in os.listdir(top + "/" + folder) if name.endswith(".json")])


def package_path(name):
    """Path of a file of cryptography_vectors. Raises Absent where the package is not installed."""
    folder = folders()[PACKAGE_VARIABLE]
    if not folder:
        raise Absent("no public vectors: the package cryptography-vectors is not installed")
    return folder + "/" + name


def from_hex(text):
    """bytes.fromhex for both interpreters, whatever the case."""
    return bytes.fromhex(text)
