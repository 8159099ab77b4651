"""The seal of an export: the gateway signs what the file holds, kind by kind, and which manifest was its last."""

from typing import NamedTuple

from gateway.bundle_file import KIND_NAMES, Section
from protocol import cbor, field
from protocol.refusal import Refused

SEAL_TYP = "hs-exp"

HALL, NUMBER, LINK, COARSE, SECTIONS = 1, 2, 3, 4, 5
ROWS = field.table("""
    1 hall     text   1         32 required
    2 number   int    0 4294967295 required
    3 link     bytes 32         32 required
    4 coarse_s int    0 4294967295 required
    5 sections list  10         10 required
""")


class Seal(NamedTuple):
    """number, link: of the last manifest in the file (0 and zeros: none), as the next one names it."""

    hall: str
    number: int
    link: bytes
    coarse_s: int
    sections: list[Section]


def encode(seal: Seal) -> bytes:
    """The payload that the gateway signs."""
    sections = [list(section) for section in seal.sections]
    return cbor.encode(
        {HALL: seal.hall, NUMBER: seal.number, LINK: seal.link, COARSE: seal.coarse_s, SECTIONS: sections}
    )


def decode(payload: bytes) -> Seal:
    """The seal in a payload. Raises Refused."""
    fields = cbor.decode_map(payload)
    field.check(ROWS, fields)
    sections = []
    for entry, kind in zip(fields[SECTIONS], KIND_NAMES, strict=True):  # type: ignore[call-overload]  # field.check looked
        if not isinstance(entry, list) or len(entry) != 3 or entry[0] != kind:
            raise Refused("schema", "sections")
        field.check_value("sections", entry[1], field.INT, 0, 1 << 53)
        field.check_value("sections", entry[2], field.BYTES, 32, 32)
        sections.append(Section(*entry))
    return Seal(fields[HALL], fields[NUMBER], fields[LINK], fields[COARSE], sections)  # type: ignore[arg-type]
