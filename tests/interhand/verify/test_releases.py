from __future__ import annotations

import pytest

from handpose.interhand.verify.releases import LEGACY, OFFICIAL, Counts, version


@pytest.mark.parametrize("split", OFFICIAL)
def test_the_official_counts_are_recognised(split: str) -> None:
    assert version(split, OFFICIAL[split]["H+M"]).kind == "5 fps"


def test_the_table_adds_up_as_on_the_homepage() -> None:
    whole = [OFFICIAL[split]["H+M"] for split in OFFICIAL]
    assert (sum(c.single for c in whole), sum(c.both for c in whole)) == (1_410_699, 1_179_648)
    assert sum(c.total for c in whole) == 2_590_347
    assert OFFICIAL["train"]["H"].total + OFFICIAL["train"]["M"].total - 76_457 == 1_361_062


@pytest.mark.parametrize("split", OFFICIAL)
def test_six_times_as_many_are_the_30_fps_version(split: str) -> None:
    full = OFFICIAL[split]["H+M"]
    assert version(split, Counts(6 * full.single, 6 * full.both)).kind == "30 fps"


@pytest.mark.parametrize("split", LEGACY)
def test_the_old_version_is_called_old(split: str) -> None:
    assert version(split, Counts(LEGACY[split] - 5, 5)).kind == "legacy"


def test_what_is_missing_is_reported_of_the_nearest_version() -> None:
    found = version("train", Counts(687_548 - 1200, 673_514))
    assert found.kind == "incomplete"
    assert "1,200 missing of one hand, as many of two" in found.text
    found = version("train", Counts(142_231, 386_251 + 7))
    assert (found.kind, "5 fps H " in found.text) == ("incomplete", True)
    assert "7 too many of two" in found.text


def test_what_people_alone_annotated_is_a_whole_version() -> None:
    assert version("test", OFFICIAL["test"]["H"]).kind == "5 fps"


def test_other_data_sets_are_no_faults() -> None:
    for counts in (Counts(0, 0), Counts(5786, 58), Counts(10**8, 0)):
        assert version("train", counts).kind == "other"
