from __future__ import annotations

import itertools

import pytest
import torch

from handpose.nets.volumetric import (
    CellGrid,
    GridEncoder,
    VolumeHead,
    sample_tokens,
    soft_argmax,
    spread,
)


def test_cells_are_a_stride_apart_from_the_first_pixel_on() -> None:
    grid = CellGrid(side=96, cells=12)
    pixels = (grid.centres() + 1) / 2 * 95
    torch.testing.assert_close(pixels, 8.0 * torch.arange(12))
    torch.testing.assert_close(grid.index(grid.centres()), torch.arange(12.0))


@pytest.mark.parametrize("cells", [3, 6, 12, 24])
def test_resampling_puts_a_ramp_over_the_image_where_it_was(cells: int) -> None:
    """A map whose cells hold their own pixel is, resampled, the same in the other cells."""
    grid = CellGrid(side=96, cells=12)
    source = 96 / cells * torch.arange(cells)  # px
    expected = (8.0 * torch.arange(12)).clamp(max=float(source[-1]))
    torch.testing.assert_close(grid.resampling(cells) @ source, expected)


def test_soft_argmax_of_one_hot_volumes_is_the_cells_centre() -> None:
    depth, cells, side = 3, 4, 32
    places = list(itertools.product(range(depth), range(cells), range(cells)))
    logits = torch.zeros(1, len(places), depth, cells, cells)
    for joint, (d, v, u) in enumerate(places):
        logits[0, joint, d, v, u] = 1e4
    expected = [
        (2 * 8 * u / (side - 1) - 1, 2 * 8 * v / (side - 1) - 1, -1 + 2 * d / (depth - 1))
        for d, v, u in places
    ]
    found = soft_argmax(logits, CellGrid(side, cells))
    torch.testing.assert_close(found[0], torch.tensor(expected))


def test_soft_argmax_lies_between_two_equal_peaks_and_in_the_middle_of_nothing() -> None:
    grid = CellGrid(side=30, cells=3)  # cells at pixels 0, 10 and 20
    logits = torch.full((1, 2, 3, 3, 3), -1e4)
    logits[0, 0, 0, 0, 0] = logits[0, 0, 2, 1, 0] = 0
    logits[0, 1] = 7.0
    middle = 2 * 10 / 29 - 1
    expected = torch.tensor([[[-1.0, 2 * 5 / 29 - 1, 0.0], [middle, middle, 0.0]]])
    torch.testing.assert_close(soft_argmax(logits, grid), expected)


def test_spread_is_the_deviation_about_the_soft_argmax() -> None:
    grid, depth = CellGrid(side=30, cells=3), 4
    logits = torch.randn(2, 5, depth, 3, 3)
    prob = logits.flatten(2).softmax(-1).view(logits.shape)
    cells, bins = grid.centres(), torch.linspace(-1, 1, depth)
    places = torch.stack(torch.meshgrid(bins, cells, cells, indexing="ij")[::-1], -1)
    offset = places - soft_argmax(logits, grid)[:, :, None, None, None]  # (B, J, D, G, G, 3)
    variance = (prob[..., None] * offset**2).sum((2, 3, 4))
    torch.testing.assert_close(spread(logits, grid), variance.sqrt())
    logits[0, 0, 1, 2, 0] = 1e4
    torch.testing.assert_close(spread(logits, grid)[0, 0], torch.zeros(3))


def test_soft_argmax_keeps_its_precision_under_autocast() -> None:
    logits = torch.randn(2, 3, 8, 12, 12)
    with torch.autocast("cpu", torch.bfloat16):
        inside = soft_argmax(logits, CellGrid(96, 12))
    torch.testing.assert_close(inside, soft_argmax(logits, CellGrid(96, 12)))


def test_volume_is_one_per_joint_and_bin() -> None:
    head = VolumeHead(dim=16, joints=21, depth=5, sharpness=5.0)
    features = torch.randn(2, 16, 6, 6)
    volume = head(features)
    assert volume.shape == (2, 21, 5, 6, 6)
    torch.testing.assert_close(volume.flatten(1, 2), 5 * head.logits(features))


def test_sampling_at_a_cells_pixel_is_that_cell() -> None:
    features = torch.randn(2, 7, 4, 4)
    u, v = torch.tensor([0, 3, 1, 2]), torch.tensor([0, 3, 2, 0])
    uv = (2 * 8 * torch.stack([u, v], -1) / 31 - 1).expand(2, 4, 2)
    expected = features[:, :, v, u].transpose(1, 2)  # (B, J, C)
    torch.testing.assert_close(sample_tokens(features, uv, CellGrid(32, 4)), expected)


def test_sampling_between_cells_is_their_mean_and_beyond_the_last_that_cell() -> None:
    features = torch.randn(1, 7, 4, 4)
    uv = 2 * torch.tensor([[[12.0, 16.0], [31.0, 31.0]]]) / 31 - 1  # px to [-1, 1]
    between, last = features[:, :, 2, 1:3].mean(-1), features[:, :, 3, 3]
    expected = torch.stack([between, last], 1)
    torch.testing.assert_close(sample_tokens(features, uv, CellGrid(32, 4)), expected)


def test_a_joint_is_read_where_its_volume_points() -> None:
    """Soft-argmax and sampling share one coordinate."""
    features, grid = torch.randn(1, 7, 6, 6), CellGrid(96, 6)
    logits = torch.zeros(1, 2, 3, 6, 6)
    logits[0, 0, :, 4, 1] = logits[0, 1, :, 0, 5] = 1e4
    tokens = sample_tokens(features, soft_argmax(logits, grid)[..., :2], grid)
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
