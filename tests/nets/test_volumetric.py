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


@pytest.mark.parametrize(("centred", "first"), [(False, 0.0), (True, 3.5)])
def test_cells_are_a_stride_apart_from_the_first_pixel_on(centred: bool, first: float) -> None:
    """Or, of patches, from the middle of the first patch on."""
    grid = CellGrid(side=96, cells=12, centred=centred)
    pixels = (grid.centres() + 1) / 2 * 95
    torch.testing.assert_close(pixels, first + 8.0 * torch.arange(12))
    torch.testing.assert_close(grid.index(grid.centres()), torch.arange(12.0))


def test_centred_cells_are_their_own_mirror_image() -> None:
    centres = CellGrid(side=96, cells=12, centred=True).centres()
    torch.testing.assert_close(centres, -centres.flip(0))


@pytest.mark.parametrize("centred", [False, True])
@pytest.mark.parametrize("cells", [3, 6, 12, 24])
def test_resampling_puts_a_ramp_over_the_image_where_it_was(cells: int, centred: bool) -> None:
    """A map whose cells hold their own pixel is, resampled, the same in the other cells."""
    grid = CellGrid(side=96, cells=12, centred=centred)
    stride = 96 / cells
    first = (stride - 1) / 2 if centred else 0.0
    source = first + stride * torch.arange(cells)  # px
    expected = ((3.5 if centred else 0.0) + 8.0 * torch.arange(12)).clamp(source[0], source[-1])
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


@pytest.mark.parametrize("centred", [False, True])
def test_a_joint_is_read_where_its_volume_points(centred: bool) -> None:
    """Soft-argmax and sampling share one coordinate."""
    features, grid = torch.randn(1, 7, 6, 6), CellGrid(96, 6, centred)
    logits = torch.zeros(1, 2, 3, 6, 6)
    logits[0, 0, :, 4, 1] = logits[0, 1, :, 0, 5] = 1e4
    tokens = sample_tokens(features, soft_argmax(logits, grid)[..., :2], grid)
    torch.testing.assert_close(tokens[0], torch.stack([features[0, :, 4, 1], features[0, :, 0, 5]]))


@pytest.mark.parametrize("centred", [False, True])
@pytest.mark.parametrize("sides", [(8, 2), (4, 4), (16, 1)])
def test_levels_of_any_size_make_one_grid(sides: tuple[int, int], centred: bool) -> None:
    """A level that is the same everywhere stays so: no cell at the border counts for less."""
    encoder = GridEncoder(channels=(3, 5), dim=16, heads=2, layers=1, grid=4, centred=centred)
    torch.nn.init.zeros_(encoder.position)
    levels = [torch.randn(2, c, 1, 1) for c in (3, 5)]
    found = encoder([x.expand(-1, -1, n, n) for x, n in zip(levels, sides, strict=True)])
    assert found.shape == (2, 16, 4, 4)
    torch.testing.assert_close(found, found[..., :1, :1].expand_as(found))


def test_grid_without_transformer_keeps_its_cells_places() -> None:
    """Tokens go back to where they came from: a bright cell stays the same cell."""
    encoder = GridEncoder(channels=(3, 5), dim=16, heads=2, layers=0, grid=4).eval()
    levels = [torch.zeros(1, 3, 4, 4), torch.zeros(1, 5, 4, 4)]
    dark = encoder(levels)
    levels[0][0, :, 1, 3] = 10
    changed = (encoder(levels) - dark).abs().sum(1)[0] > 1e-3
    assert changed.nonzero().tolist() == [[1, 3]]
