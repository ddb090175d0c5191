"""The measurement of `bench.regions`, on errors whose share within the regions is known."""

from __future__ import annotations

import pytest
import torch

from bench.regions import Ratios, by_few, held


def test_the_share_of_each_person_is_their_own() -> None:
    values, people = torch.tensor([0.5, 3.0, 1.0, 2.0, 2.5]), torch.tensor([7, 7, 4, 4, 4])
    assert held(Ratios("3D", values, people, 2.0)).tolist() == pytest.approx([2 / 3, 1 / 2])


def test_few_people_are_tried_on_all_others() -> None:
    """Six people of one level hold what is asked; two who differ by ten, one all or nothing."""
    generator = torch.Generator().manual_seed(0)
    alike = Ratios("3D", torch.rand(4000, generator=generator), torch.arange(4000) % 8, 1.0)
    for shares in by_few(alike, 3, generator):
        assert shares.mean().item() == pytest.approx(0.9, abs=0.01)
    level = torch.where(torch.arange(4000) % 2 > 0, 10.0, 1.0)
    apart = Ratios("3D", level * alike.values, torch.arange(4000) % 2, 1.0)
    assert set(by_few(apart, 1, generator)[0].round(decimals=1).tolist()) == {0.1, 1.0}
