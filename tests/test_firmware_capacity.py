"""How many ratings the flash of a board keeps, and how long it lasts: measured on the VM, on littlefs."""

from collections.abc import Callable
from pathlib import Path

import pytest
import vm_module

pytestmark = [pytest.mark.micropython, pytest.mark.xdist_group("firmware_vm")]

Figure = Callable[[str, str], None]
# No device's: the VM compiles its sources and holds the names of a full journal's segments twice.
HEAP = "512K"
BLOCK_BYTES = 4096
# NOR flash of this class (W25Q, GD25Q and their kind) is specified for this many erases of each block.
ERASES_MAX = 100_000
RECORDS_A_DAY = 500
YEARS_AIM = 20
# Files that nobody writes to are never moved, and so take no part: 400 KiB, as the journal leaves it to them.
STILL_BLOCKS = 100
# How much busier than the mean the busiest of the others is. Measured once, by counting each block: 1.28 after 40,000
# ratings with a nearly empty journal, 2.2 after 20,000 with a full one, whose blocks go round more slowly.
UNEVENNESS, UNEVENNESS_FULL = 1.5, 2.5
TIMEOUT_S = 300


def measure(micropython: str, folder: Path, mode: str, flash_bytes: int, records: int) -> dict[str, int]:
    """The name=value pairs that journal_fill.py prints."""
    flash = folder / f"{mode}.flash"
    flash.write_bytes(b"\xff" * flash_bytes)
    done = vm_module.run(micropython, "journal_fill", HEAP, TIMEOUT_S, flash=flash, mode=mode, records=records)
    flash.unlink()
    assert done.returncode == 0, done.stdout + done.stderr
    return vm_module.counts(done.stdout)


def years(erases_a_record: float, flash_bytes: int, unevenness: float) -> float:
    """Until the busiest block is worn out."""
    budget = ERASES_MAX * (flash_bytes // BLOCK_BYTES - STILL_BLOCKS) / unevenness
    return budget / (erases_a_record * RECORDS_A_DAY * 365)


def lasts(what: str, found: dict[str, int], records: int, unevenness: float, figure: Figure) -> float:
    """Tells the figures; years on the smaller flash."""
    each = {name: found[name] / records for name in ("programs", "program_bytes", "erases")}
    four, two = (years(each["erases"], size << 20, unevenness) for size in (4, 2))
    figure(
        f"wear, {what}",
        f"{each['programs']:.1f} programs ({each['program_bytes']:.0f} bytes), "
        f"{each['erases']:.2f} erases a record; {four:.0f} years on 4 MiB, {two:.0f} on 2 MiB",
    )
    return two


def test_four_mebibytes_keep_ten_thousand_ratings_beside_400_kib_of_other_files(
    micropython: str, tmp_path: Path, figure: Figure
) -> None:
    """And last as long with a journal that stays full: a segment is receipted when the newest record needs its room."""
    records = 400
    found = measure(micropython, tmp_path, "fill", 4 << 20, records)
    flash_each = found["blocks"] * BLOCK_BYTES / found["records"]
    figure(
        "journal of 4 MiB",
        f"{found['records']} ratings in {found['segments']} segments, {found['blocks']} blocks, "
        f"{flash_each:.1f} bytes of flash each; {found['free_blocks']} blocks free beside other files; "
        f"1000 records read in {found['read_1000_ms']} ms",
    )
    assert found["records"] >= 10_000
    assert flash_each <= 377
    assert lasts("visit, full journal", found, records, UNEVENNESS_FULL, figure) >= YEARS_AIM


@pytest.mark.parametrize(
    ("mode", "what", "wire_bytes_max"),
    [("wear", "visit", 420), ("hard", "visit with identity, corrected twice", 640)],
)
def test_the_flash_lasts_twenty_years_at_500_ratings_a_day(
    micropython: str, tmp_path: Path, figure: Figure, mode: str, what: str, wire_bytes_max: int
) -> None:
    """And each rating is within its budget on the wire."""
    records = 500
    found = measure(micropython, tmp_path, mode, 2 << 20, records)
    figure(f"on the wire, {what}", f"{found['wire_bytes']} bytes, budget {wire_bytes_max}")
    assert found["wire_bytes"] <= wire_bytes_max
    assert lasts(what, found, records, UNEVENNESS, figure) >= YEARS_AIM
