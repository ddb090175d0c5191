"""What the head reads: nothing with a gradient, and a misfit that no similarity makes."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from handpose.confidence.head_input import NUMBERS, WHOLE_NUMBERS, HeadInput, _misfit
from tests.confidence.hands_at_random import J, random_output


def test_points_that_differ_by_scale_and_place_fit() -> None:
    xy = torch.randn(2, J, 2)
    torch.testing.assert_close(_misfit(xy, 3 * xy + 1), torch.zeros(2, J), atol=1e-5, rtol=0)
    mirrored = xy * torch.tensor([-1.0, 1.0])
    assert _misfit(xy, mirrored).mean() > 0.5
    same_centre = xy - xy.mean(1, keepdim=True)
    alone = _misfit(xy, -xy)  # no scale below 0: the best is 0, and all of it is misfit
    torch.testing.assert_close(alone, same_centre.norm(dim=-1))
    assert _misfit(torch.zeros_like(xy), xy).isfinite().all()


@pytest.mark.parametrize("view", [True, False])
def test_shapes_with_and_without_view_heads(view: bool) -> None:
    seen = HeadInput.of(random_output(3, view=view), 64)
    assert seen.numbers.shape == (3, J, NUMBERS) and seen.whole.shape == (3, WHOLE_NUMBERS)
    assert bool(seen.whole[:, :5].any()) is view
    assert seen.rows(torch.tensor([2, 0])).numbers.shape == (2, J, NUMBERS)


def test_no_gradient_goes_back() -> None:
    output = random_output(2)
    tensors = [output.uv, output.joints, output.depth_rel]
    for tensor in tensors:
        tensor.requires_grad_()
    assert not any(tensor.requires_grad for tensor in HeadInput.of(output, 64))


def test_wider_heatmaps_and_larger_disagreement_are_larger_numbers() -> None:
    output = random_output(2)
    assert output.confidence_input is not None
    known = output.confidence_input
    wider = dataclasses.replace(
        known,
        spread=2 * known.spread + 0.1,
        flip_difference=2 * known.flip_difference + 0.1,
        rot6d_flip_difference=2 * known.rot6d_flip_difference + 0.1,
    )
    other = dataclasses.replace(
        output, confidence_input=wider, depth_rel=output.joints[..., 2] + 1.0
    )
    (before, whole), (after, other_whole) = (
        (seen.numbers, seen.whole) for seen in (HeadInput.of(o, 64) for o in (output, other))
    )
    for columns in (slice(6, 9), slice(11, 13)):
        assert (after[..., columns] > before[..., columns]).all()
    torch.testing.assert_close(after[..., 10], torch.full((2, J), 10.0))
    assert (other_whole[:, 5:] > whole[:, 5:]).all()


def test_an_output_without_confidence_input_is_refused() -> None:
    with pytest.raises(ValueError, match="no confidence_input to read a confidence from"):
        HeadInput.of(random_output(2, confidence_input=False), 64)
