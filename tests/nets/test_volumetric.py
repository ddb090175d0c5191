from __future__ import annotations

import itertools

import pytest
import torch

from handpose.nets.volumetric import GridEncoder, VolumeHead, sample_tokens, soft_argmax


def test_soft_argmax_of_one_hot_volumes_is_the_cells_centre() -> None:
    depth, height, width = 3, 4, 5
    cells = list(itertools.product(range(depth), range(height), range(width)))
    logits = torch.zeros(1, len(cells), depth, height, width)
    for joint, (d, v, u) in enumerate(cells):
        logits[0, joint, d, v, u] = 1e4
    expected = [
        (-1 + 2 * u / (width - 1), -1 + 2 * v / (height - 1), -1 + 2 * d / (depth - 1))
        for d, v, u in cells
    ]
    torch.testing.assert_close(soft_argmax(logits)[0], torch.tensor(expected))


def test_soft_argmax_lies_between_two_equal_peaks_and_in_the_middle_of_nothing() -> None:
    logits = torch.full((1, 2, 3, 3, 3), -1e4)
    logits[0, 0, 0, 0, 0] = logits[0, 0, 2, 1, 0] = 0
    logits[0, 1] = 7.0
    expected = torch.tensor([[[-1.0, -0.5, 0.0], [0.0, 0.0, 0.0]]])
    torch.testing.assert_close(soft_argmax(logits), expected)


def test_soft_argmax_keeps_its_precision_under_autocast() -> None:
    logits = torch.randn(2, 3, 8, 12, 12)
    with torch.autocast("cpu", torch.bfloat16):
        inside = soft_argmax(logits)
    torch.testing.assert_close(inside, soft_argmax(logits))


def test_volume_is_one_per_joint_and_bin() -> None:
    head = VolumeHead(dim=16, joints=21, depth=5, sharpness=5.0)
    features = torch.randn(2, 16, 6, 6)
    volume = head(features)
    assert volume.shape == (2, 21, 5, 6, 6)
    torch.testing.assert_close(volume.flatten(1, 2), 5 * head.logits(features))


def test_sampling_at_a_cells_centre_is_that_cell() -> None:
    features = torch.randn(2, 7, 4, 4)
    u, v = torch.tensor([0, 3, 1, 2]), torch.tensor([0, 3, 2, 0])
    uv = (2 * torch.stack([u, v], -1) / 3 - 1).expand(2, 4, 2)
    expected = features[:, :, v, u].transpose(1, 2)  # (B, J, C)
    torch.testing.assert_close(sample_tokens(features, uv), expected)


def test_sampling_between_cells_is_their_mean() -> None:
    features = torch.randn(1, 7, 4, 4)
    uv = torch.tensor([[[-1 + 2 * 1.5 / 3, -1 + 2 * 2 / 3]]])  # between columns 1 and 2 of row 2
    expected = features[:, :, 2, 1:3].mean(-1)[:, None]
    torch.testing.assert_close(sample_tokens(features, uv), expected)


def test_a_joint_is_read_where_its_volume_points() -> None:
    """Soft-argmax and sampling speak of the same place, which is why both are in [-1, 1]."""
    features = torch.randn(1, 7, 6, 6)
    logits = torch.zeros(1, 2, 3, 6, 6)
    logits[0, 0, :, 4, 1] = logits[0, 1, :, 0, 5] = 1e4
    tokens = sample_tokens(features, soft_argmax(logits)[..., :2])
    torch.testing.assert_close(tokens[0], torch.stack([features[0, :, 4, 1], features[0, :, 0, 5]]))


@pytest.mark.parametrize("sides", [(8, 2), (4, 4), (16, 1)])
def test_levels_of_any_size_make_one_grid(sides: tuple[int, int]) -> None:
    encoder = GridEncoder(channels=(3, 5), dim=16, heads=2, layers=1, grid=4)
    levels = [torch.randn(2, c, side, side) for c, side in zip((3, 5), sides, strict=True)]
    assert encoder(levels).shape == (2, 16, 4, 4)


def test_grid_without_transformer_keeps_its_cells_places() -> None:
    """Tokens go back to where they came from: a bright cell stays the same cell."""
    encoder = GridEncoder(channels=(3, 5), dim=16, heads=2, layers=0, grid=4).eval()
    levels = [torch.zeros(1, 3, 4, 4), torch.zeros(1, 5, 4, 4)]
    dark = encoder(levels)
    levels[0][0, :, 1, 3] = 10
    changed = (encoder(levels) - dark).abs().sum(1)[0] > 1e-3
    assert changed.nonzero().tolist() == [[1, 3]]
