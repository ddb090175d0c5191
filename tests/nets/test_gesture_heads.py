from __future__ import annotations

import pytest
import torch

from handpose.nets.gesture_heads import GestureHeads


@pytest.mark.parametrize("hidden", [0, 8])
def test_logits_of_both_heads(hidden: int) -> None:
    heads = GestureHeads(channels=(3, 5), coarse_classes=6, fine_classes=9, hidden=hidden)
    levels = [torch.randn(2, 3, 8, 8), torch.randn(2, 5, 2, 2)]
    output = heads(levels)
    assert output.coarse_logits.shape == (2, 6)
    assert output.fine_logits.shape == (2, 9)
    assert output.features.shape == (2, heads.features)


def test_features_are_the_levels_means_side_by_side() -> None:
    heads = GestureHeads(channels=(2, 1), coarse_classes=6, fine_classes=9)
    levels = [torch.tensor([[[[0.0, 2.0]], [[5.0, 5.0]]]]), torch.tensor([[[[-1.0]]]])]
    assert heads(levels).features.tolist() == [[1.0, 5.0, -1.0]]


def test_dropout_rests_outside_training() -> None:
    heads = GestureHeads(channels=(50,), coarse_classes=6, fine_classes=9, dropout=0.5)
    level = [torch.randn(2, 50, 1, 1)]
    assert not torch.equal(heads(level).coarse_logits, heads(level).coarse_logits)
    heads.eval()
    assert torch.equal(heads(level).coarse_logits, heads(level).coarse_logits)
