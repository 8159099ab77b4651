"""Whatever moment the power goes at, a device keeps its promises: `make powercut` in short, and its own trial."""

from collections.abc import Callable
from pathlib import Path

import powercut_campaign
import pytest

pytestmark = [pytest.mark.micropython, pytest.mark.timeout(600)]  # two thousand boots each, on a busy machine

# How many cuts each life has at least: all of its operations, in three ways. Fewer say that a life lost its contents.
CUTS_MIN = {
    "ratings": 1900,
    "receipts": 2800,
    "settings": 1400,
    "identities": 1500,
    "punches": 1700,
    "updates": 2500,
}


def test_the_short_form_has_ten_thousand_cuts() -> None:
    assert set(CUTS_MIN) == set(powercut_campaign.LIVES)
    assert sum(CUTS_MIN.values()) >= 10_000


@pytest.mark.parametrize("life", CUTS_MIN)
def test_a_power_cut_at_any_operation_breaks_no_promise(
    micropython: str, life: str, tmp_path: Path, figure: Callable[[str, str], None]
) -> None:
    found = powercut_campaign.campaign(micropython, life, tmp_path, 32, workers=1)
    figure(f"power cuts, {life}", f"cuts={found.cuts} failures={found.failures}")
    assert found.failures == 0, found.words
    assert found.cuts >= CUTS_MIN[life]


def test_flash_that_stops_holds_what_the_campaign_builds(micropython: str, tmp_path: Path) -> None:
    """The states are not imagined: a flash that really stops at an operation holds the very bytes."""
    log = tmp_path / "life.log"
    settings = {"program_bytes": 32, "mtime": 0}
    operations = powercut_campaign.run(micropython, "record", "receipts", log, **settings).counts["operations"]
    found = powercut_campaign.run(micropython, "compare", "receipts", log, first=7, step=operations // 12, **settings)
    assert found.counts["compared"] >= 30 and found.counts["differing"] == 0


# Faults on purpose, and the life that has to suffer from each.
@pytest.mark.parametrize(
    ("fault", "life", "step", "complaint"),
    [
        ("trim", "receipts", 2, "a record is missing"),
        ("checksum", "ratings", 5, "torn"),
        ("digest", "updates", 9, "program 8 runs"),
    ],
)
def test_the_campaign_finds_a_fault_that_is_planted(
    micropython: str, fault: str, life: str, step: int, complaint: str, tmp_path: Path
) -> None:
    found = powercut_campaign.campaign(micropython, life, tmp_path, 32, workers=1, step=step, plant=fault)
    assert found.failures > 0 and complaint in found.words, found.words
