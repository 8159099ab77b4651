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


# Operations from there to the end of the life of updates.
LAST_INSTALLATION = 60


def test_the_short_form_has_ten_thousand_cuts() -> None:
    assert set(CUTS_MIN) == set(powercut_campaign.LIVES)
    assert sum(CUTS_MIN.values()) >= powercut_campaign.CUTS_MIN


def test_a_campaign_that_takes_two_cores_more_than_six_minutes_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for cpu_s, status in ((60.0, 0), (60.2, 1)):
        found = powercut_campaign.Result(2000, 0, "", cpu_s)
        monkeypatch.setattr(powercut_campaign, "campaign", lambda *_, found=found: found)
        assert powercut_campaign.main([]) == status
        told = capsys.readouterr().out.splitlines()
        assert told[-1] == "cuts=24000 failures=0" and ("too slow" in told[-2]) == bool(status)
    assert not powercut_campaign.is_passed(0, 0, 1) and not powercut_campaign.is_passed(20_000, 1, 1)


@pytest.mark.parametrize("life", CUTS_MIN)
def test_a_power_cut_at_any_operation_breaks_no_promise(
    micropython: str, life: str, tmp_path: Path, figure: Callable[[str, str], None]
) -> None:
    found = powercut_campaign.campaign(micropython, life, tmp_path, 32, workers=1)
    figure(f"power cuts, {life}", f"cuts={found.cuts} failures={found.failures}, {found.cpu_s:.0f} s of processors")
    assert found.failures == 0, found.words
    assert found.cuts >= CUTS_MIN[life]
    # At the pace of this life 10,000 cuts come in time.
    assert found.cpu_s / found.cuts <= powercut_campaign.CPU_S_MAX / powercut_campaign.CUTS_MIN


def test_flash_that_stops_holds_what_the_campaign_builds(micropython: str, tmp_path: Path) -> None:
    """The states are not imagined: a flash that really stops at an operation holds the very bytes."""
    log = tmp_path / "life.log"
    settings = {"program_bytes": 32, "mtime": 0}
    operations = powercut_campaign.run(micropython, "record", "receipts", log, **settings).counts["operations"]
    found = powercut_campaign.run(micropython, "compare", "receipts", log, first=7, step=operations // 12, **settings)
    assert found.counts["compared"] >= 30 and found.counts["differing"] == 0


# Faults on purpose, and the life that has to suffer from each; which of its operations are cut: every `step`th, of all
# or of the last ones.
@pytest.mark.parametrize(
    ("fault", "life", "step", "last", "complaint"),
    [
        ("trim", "receipts", 2, 0, "a record is missing"),
        ("checksum", "ratings", 5, 0, "torn"),
        # A draft lies on flash for a few operations; the damaged release comes at the end of its life.
        ("disclosed", "identities", 11, 0, "has lost what it discloses"),
        ("hash", "receipts", 7, 0, "the chain is broken"),
        ("iv", "ratings", 9, 0, "an IV comes back"),
        ("digest", "updates", 1, LAST_INSTALLATION, "program 8 runs"),
    ],
)
def test_the_campaign_finds_a_fault_that_is_planted(
    micropython: str, fault: str, life: str, step: int, last: int, complaint: str, tmp_path: Path
) -> None:
    found = powercut_campaign.campaign(micropython, life, tmp_path, 32, workers=1, step=step, plant=fault, last=last)
    assert 0 < found.failures < found.cuts and complaint in found.words, found.words
