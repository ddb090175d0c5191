"""The F-score against its definition, and both ways to the nearest point against each other."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from handpose.evaluation.f_score import f_scores, nearest_by_pairs, nearest_by_trees

B, V = 5, 778


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def hands(rng: np.random.Generator, points: int) -> Tensor:
    """Points (B, points, 3) m of nobody."""
    return torch.from_numpy(rng.normal(0, 0.05, (B, points, 3)).astype(np.float32))


def test_f_score_is_the_definition_over_all_pairs(rng: np.random.Generator) -> None:
    mesh, truth = hands(rng, V), hands(rng, V)
    apart = 1000 * torch.cdist(mesh.double(), truth.double())
    precision, recall = ((apart.amin(d) < 15).double().mean(-1) for d in (2, 1))
    expected = 2 * precision * recall / (precision + recall)
    found = f_scores(mesh, truth, (5, 15))
    torch.testing.assert_close(found[:, 1].double(), expected)
    assert (found[:, 0] <= found[:, 1]).all()
    assert (f_scores(truth, truth, (5, 15)) == 1).all()


def test_f_score_of_a_mesh_that_is_not_there_is_nan(rng: np.random.Generator) -> None:
    missing = torch.full((B, V, 3), torch.nan)
    assert f_scores(missing, hands(rng, V), (5,)).isnan().all()


def test_pairs_and_trees_find_the_same_nearest_points(rng: np.random.Generator) -> None:
    mesh, truth = hands(rng, V), hands(rng, V)
    for by_pairs, by_trees in zip(
        nearest_by_pairs(mesh, truth), nearest_by_trees(mesh, truth), strict=True
    ):
        torch.testing.assert_close(by_pairs, by_trees, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("side", [0, 1])
def test_one_missing_mesh_takes_no_other_with_it(rng: np.random.Generator, side: int) -> None:
    mesh, truth = hands(rng, V), hands(rng, V)
    whole = f_scores(mesh, truth, (5, 15))
    (mesh, truth)[side][2] = torch.nan
    found = f_scores(mesh, truth, (5, 15))
    assert found[2].isnan().all()
    finite = torch.arange(B) != 2
    torch.testing.assert_close(found[finite], whole[finite])
