"""Augmentation: whatever moves, joints project where the image went and MANO agrees with them."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from handpose.data.augment import (
    COVER_REACH,
    COVER_SIDES,
    UPRIGHT_DEG,
    Augmentation,
    Cover,
    DrawnAugmentation,
    covered,
    draw_cover,
    render,
    transform_labels,
)
from handpose.data.crop import Square, central
from handpose.hand.facing import image_rotation
from handpose.hand.mano import Mano
from handpose.sample import UNLABELLED, HandSample, collate

STORED, VIEW = 128, 96
EVERYTHING = Augmentation(rotation_deg=40, scale=0.2, shift=0.04, colour=0.3, flip=0.5)


def project(sample: HandSample) -> NDArray[np.float64]:
    """Pixels (21, 2) of the joints of a sample in its own crop."""
    homogeneous = sample.joints_cam.astype(float) @ sample.K.T.astype(float)
    return np.asarray(homogeneous[:, :2] / homogeneous[:, 2:])


def painted(is_left: bool, seed: int = 0) -> HandSample:
    """21 points before a camera, each with a blurred dot where it projects, 10 px apart."""
    rng = np.random.default_rng(seed)
    K = np.array([[700, 0, 40], [0, 690, 80], [0, 0, 1]], float)  # fx != fy, off the middle
    grid = np.stack(np.meshgrid(np.arange(5), np.arange(5)), -1).reshape(-1, 2)[:21]
    uv = 42 + 10.5 * grid + rng.uniform(-0.5, 0.5, (21, 2))
    depth = rng.uniform(0.5, 0.9, (21, 1))
    joints = np.concatenate([uv, np.ones((21, 1))], 1) @ np.linalg.inv(K).T * depth
    v, u = np.indices((STORED, STORED))
    dots = np.exp(-((u - uv[:, :1, None]) ** 2 + (v - uv[:, 1:, None]) ** 2) / (2 * 1.5**2))
    image = np.repeat(np.rint(200 * dots.max(0)).astype(np.uint8)[..., None], 3, axis=2)
    return HandSample(
        image=image,
        K=K.astype(np.float32),
        view_rotation=np.eye(3, dtype=np.float32),
        joints_cam=joints.astype(np.float32),
        joint_valid=np.ones(21, np.bool_),
        global_orient=rng.standard_normal(3).astype(np.float32),
        hand_pose=rng.normal(0, 0.3, 45).astype(np.float32),
        betas=rng.standard_normal(10).astype(np.float32),
        has_mano=True,
        is_left=is_left,
        coarse=3,
        fine=5,
        sample_id=7,
    )


def apply(
    drawn: DrawnAugmentation,
    sample: HandSample,
    *,
    view: Square,
    out_px: int,
    twin: tuple[int, int],
    turn_camera: bool = False,
) -> HandSample:
    """The augmented sample, its image warped to (out_px, out_px, 3)."""
    moved, A = transform_labels(
        drawn, sample, view=view, out_px=out_px, twin=twin, turn_camera=turn_camera
    )
    planes = np.empty((3, out_px, out_px), np.uint8)
    render(moved.image, A, drawn.gain, planes)
    return dataclasses.replace(moved, image=planes.transpose(1, 2, 0))


def view(
    move: DrawnAugmentation, sample: HandSample, out_px: int = VIEW, turn_camera: bool = False
) -> HandSample:
    place = central(STORED, VIEW)
    return apply(move, sample, view=place, out_px=out_px, twin=(30, 40), turn_camera=turn_camera)


def dot_near(image: NDArray[np.uint8], uv: NDArray[np.float64], reach: int) -> NDArray[np.float64]:
    """Centre of the bright spot within `reach` px of uv."""
    u0, v0 = np.rint(uv).astype(int)
    patch = image[v0 - reach : v0 + reach + 1, u0 - reach : u0 + reach + 1, 1].astype(float)
    v, u = np.indices(patch.shape)
    u, v = u + u0 - reach, v + v0 - reach
    return np.array([(u * patch).sum() / patch.sum(), (v * patch).sum() / patch.sum()])


@pytest.mark.parametrize("is_left", [False, True])
@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("out_px", "turn_camera"), [(VIEW, False), (VIEW, True), (150, False)])
def test_joints_project_to_the_dots_after_any_move(
    is_left: bool, seed: int, out_px: int, turn_camera: bool
) -> None:
    move = EVERYTHING.draw(np.random.default_rng(seed))
    moved = view(move, painted(is_left), out_px, turn_camera)
    reach = round(3.2 * out_px / VIEW)
    inside = [uv for uv in project(moved) if ((uv > reach + 1) & (uv < out_px - reach - 2)).all()]
    assert len(inside) >= 15
    for uv in inside:
        np.testing.assert_allclose(dot_near(moved.image, uv, reach), uv, atol=0.25)


def test_the_seeds_above_hold_mirrored_and_unmirrored_moves() -> None:
    moves = [EVERYTHING.draw(np.random.default_rng(seed)) for seed in range(6)]
    assert {move.mirrored for move in moves} == {True, False}


def test_without_a_move_it_is_the_middle_of_the_stored_crop_bit_for_bit() -> None:
    sample = dataclasses.replace(
        painted(False),
        image=np.random.default_rng(0).integers(0, 256, (STORED, STORED, 3), dtype=np.uint8),
    )
    still = view(Augmentation().draw(np.random.default_rng(0)), sample)
    np.testing.assert_array_equal(still.image, sample.image[16:112, 16:112])
    np.testing.assert_allclose(project(still), project(sample) - 16, atol=1e-4)
    for name in ("joints_cam", "global_orient", "hand_pose", "betas", "is_left", "coarse", "fine"):
        np.testing.assert_array_equal(getattr(still, name), getattr(sample, name))


@pytest.mark.parametrize("is_left", [False, True])
def test_mirror_twice_is_identity(is_left: bool) -> None:
    sample, mirror = painted(is_left), DrawnAugmentation(mirrored=True)
    once = apply(mirror, sample, view=central(STORED, STORED), out_px=STORED, twin=(30, 40))
    twice = apply(mirror, once, view=central(STORED, STORED), out_px=STORED, twin=(3, 5))
    assert (once.is_left, once.coarse, once.fine) == (not is_left, 30, 40)
    np.testing.assert_array_equal(once.image, sample.image[:, ::-1])
    for field in dataclasses.fields(HandSample):
        np.testing.assert_array_equal(getattr(twice, field.name), getattr(sample, field.name))


def test_a_mirrored_camera_keeps_its_focal_length_and_mirrors_its_centre() -> None:
    sample = painted(False)
    mirrored = apply(
        DrawnAugmentation(mirrored=True),
        sample,
        view=central(STORED, STORED),
        out_px=STORED,
        twin=(30, 40),
    )
    expected = sample.K.copy()
    expected[0, 2] = STORED - 1 - expected[0, 2]
    np.testing.assert_allclose(mirrored.K, expected, rtol=1e-6)
    np.testing.assert_array_equal(
        mirrored.joints_cam, sample.joints_cam * np.array([-1, 1, 1], np.float32)
    )


def mano_joints(sample: HandSample, mano: Mano) -> NDArray[np.float32]:
    """Wrist-relative joints (21, 3) of the sample's MANO parameters, as seen."""
    batch = collate([sample])
    out = mano.hand(batch.global_orient, batch.hand_pose, batch.betas, batch.is_left)
    return np.asarray(out.joints[0].numpy())


@pytest.mark.parametrize("is_left", [False, True])
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("turn_camera", [False, True])
def test_mano_of_the_moved_parameters_is_the_moved_mano(
    mano: Mano, is_left: bool, seed: int, turn_camera: bool
) -> None:
    sample = painted(is_left, seed)
    wrist = np.array([0.02, -0.01, 0.6], np.float32)
    sample = dataclasses.replace(sample, joints_cam=mano_joints(sample, mano) + wrist)
    move = EVERYTHING.draw(np.random.default_rng(seed))
    moved = view(move, sample, turn_camera=turn_camera)
    relative = moved.joints_cam - moved.joints_cam[0]
    np.testing.assert_allclose(mano_joints(moved, mano), relative, atol=2e-6)


@pytest.mark.parametrize("is_left", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_a_turned_camera_is_the_moved_one_turned_onto_the_view(is_left: bool, seed: int) -> None:
    move = EVERYTHING.draw(np.random.default_rng(seed))
    plain, turned = (view(move, painted(is_left), turn_camera=t) for t in (False, True))
    R = turned.view_rotation.astype(float)
    np.testing.assert_array_equal(plain.view_rotation, np.eye(3))
    assert np.abs(R - np.eye(3)).max() > 0.02, "this hand is off the axis"
    np.testing.assert_array_equal(turned.image, plain.image)
    np.testing.assert_allclose(project(turned), project(plain), atol=1e-3)
    np.testing.assert_allclose(turned.joints_cam @ R, plain.joints_cam, atol=1e-6)
    np.testing.assert_allclose(turned.K @ R, plain.K, atol=1e-3)
    u, v, depth = turned.K[:, 2]  # where its axis is seen
    np.testing.assert_allclose([u / depth, v / depth], (VIEW - 1) / 2, atol=1e-3)


@pytest.mark.parametrize("mirrored", [False, True])
def test_a_view_on_the_axis_is_not_turned(mirrored: bool) -> None:
    K = np.array([[700, 0, 63.5], [0, 690, 63.5], [0, 0, 1]], np.float32)
    sample, move = dataclasses.replace(painted(True), K=K), DrawnAugmentation(mirrored=mirrored)
    plain, turned = (view(move, sample, turn_camera=t) for t in (False, True))
    for field in dataclasses.fields(HandSample):
        np.testing.assert_array_equal(getattr(turned, field.name), getattr(plain, field.name))


def test_zoom_and_shift_leave_the_hand_alone() -> None:
    sample = painted(True)
    moved = view(DrawnAugmentation(zoom=1.2, shift=(0.1, -0.2)), sample)
    for name in ("joints_cam", "global_orient", "hand_pose", "betas"):
        np.testing.assert_array_equal(getattr(moved, name), getattr(sample, name))
    expected = 47.5 + 1.2 * (project(sample) - 63.5) + 96 * np.array([0.1, -0.2])
    np.testing.assert_allclose(project(moved), expected, atol=1e-3)


def test_without_a_fit_the_root_stays_zero() -> None:
    zero = np.zeros(3, np.float32)
    sample = dataclasses.replace(painted(True), has_mano=False, global_orient=zero)
    np.testing.assert_array_equal(view(DrawnAugmentation(angle=0.5), sample).global_orient, zero)


def test_invalid_joints_stay_zero() -> None:
    sample = painted(False)
    sample.joints_cam[4] = 0
    moved = view(DrawnAugmentation(angle=0.5, mirrored=True), sample)
    np.testing.assert_array_equal(moved.joints_cam[4], 0)


def test_gain_is_per_channel_clipped_and_keeps_black() -> None:
    image = np.zeros((STORED, STORED, 3), np.uint8)
    image[64:] = (100, 200, 250)
    moved = view(
        DrawnAugmentation(gain=(0.5, 1.2, 1.3)), dataclasses.replace(painted(False), image=image)
    )
    assert not moved.image[:48].any()
    np.testing.assert_array_equal(moved.image[48:], np.broadcast_to((50, 240, 255), (48, 96, 3)))


def test_a_sample_without_class_stays_so_when_mirrored() -> None:
    none = (UNLABELLED, UNLABELLED)
    sample = dataclasses.replace(painted(False), coarse=UNLABELLED, fine=UNLABELLED)
    moved = apply(
        DrawnAugmentation(mirrored=True), sample, view=central(STORED, VIEW), out_px=VIEW, twin=none
    )
    assert (moved.coarse, moved.fine) == none


def test_draws_are_a_function_of_the_generator_and_stay_in_their_ranges() -> None:
    draws = [EVERYTHING.draw(np.random.default_rng(seed)) for seed in range(300)]
    assert draws == [EVERYTHING.draw(np.random.default_rng(seed)) for seed in range(300)]
    angles, zooms = np.array([d.angle for d in draws]), np.array([d.zoom for d in draws])
    shifts, gains = np.array([d.shift for d in draws]), np.array([d.gain for d in draws])
    for values, low, high in (
        (np.rad2deg(angles), -40, 40),
        (zooms, 0.8, 1.2),
        (shifts, -0.04, 0.04),
        (gains, 0.7, 1.3),
    ):
        reach = (high - low) / 20  # within the range, and close to both ends of it
        assert low <= values.min() < low + reach and high - reach < values.max() <= high
    assert 100 < sum(d.mirrored for d in draws) < 200


@pytest.mark.parametrize("mirrored", [False, True])
def test_upright_hands_point_up_however_they_were_turned(mirrored: bool) -> None:
    upright = Augmentation(rotation_deg=180, upright=1.0, flip=float(mirrored))
    found = []
    for seed in range(60):
        sample = view(DrawnAugmentation(angle=0.1 * seed), painted(False), out_px=STORED)
        moved = view(upright.draw(np.random.default_rng(seed)), sample)
        found.append(image_rotation(torch.from_numpy(project(moved))[None]).item())
    assert 0.8 * UPRIGHT_DEG < np.abs(np.rad2deg(found)).max() <= UPRIGHT_DEG + 0.1
    assert min(found) < 0 < max(found)


def test_the_share_of_upright_hands_is_the_one_asked_for() -> None:
    some = Augmentation(rotation_deg=180, upright=0.7)
    draws = [some.draw(np.random.default_rng(seed)) for seed in range(400)]
    assert 240 < sum(d.upright for d in draws) < 320
    assert max(abs(d.angle) for d in draws if d.upright) <= np.deg2rad(UPRIGHT_DEG)
    assert max(abs(d.angle) for d in draws if not d.upright) > np.deg2rad(150)


@pytest.mark.parametrize("joint", [0, 9])
def test_a_hand_of_unknown_direction_is_turned_from_where_it_is(joint: int) -> None:
    sample = painted(False)
    sample.joint_valid[joint] = False
    plain = view(DrawnAugmentation(angle=0.3), sample)
    moved = view(DrawnAugmentation(angle=0.3, upright=True), sample)
    np.testing.assert_array_equal(moved.image, plain.image)
    np.testing.assert_array_equal(moved.joints_cam, plain.joints_cam)


def test_a_range_of_zero_does_not_disturb_the_other_draws() -> None:
    fewer = dataclasses.replace(EVERYTHING, scale=0.0, flip=0.0)
    rngs = np.random.default_rng(3), np.random.default_rng(3)
    all_of_it, part = EVERYTHING.draw(rngs[0]), fewer.draw(rngs[1])
    assert part == all_of_it._replace(zoom=1.0, mirrored=False)
    assert rngs[0].random() == rngs[1].random()


def test_a_view_off_the_middle_moves_as_one_in_the_middle() -> None:
    """A crop cut on a block's corner, and the same hand in the middle of a larger one."""
    move, sample = EVERYTHING.draw(np.random.default_rng(1)), painted(False)
    off = dataclasses.replace(
        sample,
        image=np.ascontiguousarray(sample.image[5:, 9:]),
        K=(np.array([[1, 0, -9], [0, 1, -5], [0, 0, 1]]) @ sample.K).astype(np.float32),
    )
    place = Square((STORED - 1) / 2 - 9, (STORED - 1) / 2 - 5, VIEW)
    one = apply(move, off, view=place, out_px=VIEW, twin=(30, 40))
    other = view(move, sample)
    np.testing.assert_allclose(one.K, other.K, atol=2e-4)
    inner = slice(24, 72)  # the cut-off border is black in one of them
    difference = one.image[inner, inner].astype(int) - other.image[inner, inner]
    assert np.abs(difference).max() <= 1


def test_render_fills_the_planes_it_is_given() -> None:
    batch = np.zeros((2, 3, VIEW, VIEW), np.uint8)
    sample, move = painted(False), DrawnAugmentation(gain=(0.5, 1.0, 1.5))
    A = np.array([[1.0, 0, -16], [0, 1, -16], [0, 0, 1]])
    render(sample.image, A, move.gain, batch[1])
    assert not batch[0].any()
    np.testing.assert_array_equal(batch[1].transpose(1, 2, 0), view(move, sample).image)


# --- covers ---------------------------------------------------------------------------------------

PLACE = central(STORED, VIEW)
RED = (255, 0, 0)


def photo(seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 200, (STORED, STORED, 3), dtype=np.uint8)


def changed(cover: Cover, image: NDArray[np.uint8], view: Square = PLACE) -> NDArray[np.bool_]:
    """(H, W) where the cover changed the image."""
    return np.asarray((covered(image, cover, view) != image).any(-1))


@pytest.mark.parametrize("ellipse", [False, True])
def test_a_cover_hides_its_shape_and_nothing_else(ellipse: bool) -> None:
    image = photo()
    image[40, 30] = RED  # no other pixel is so red
    at = ((30 - PLACE.x) / VIEW, (40 - PLACE.y) / VIEW)
    cover = Cover((0.1, -0.05), (0.4, 0.2), ellipse, at)
    v, u = np.indices((STORED, STORED))
    x, y = (u - PLACE.x - 9.6) / 19.2, (v - PLACE.y + 4.8) / 9.6
    inside = x**2 + y**2 <= 1 if ellipse else np.maximum(abs(x), abs(y)) <= 1
    result = covered(image, cover, PLACE)
    np.testing.assert_array_equal(result[inside], np.broadcast_to(RED, (inside.sum(), 3)))
    np.testing.assert_array_equal(result[~inside], image[~inside])
    area = (np.pi / 4 if ellipse else 1) * (0.4 * VIEW) * (0.2 * VIEW)
    assert inside.sum() == pytest.approx(area, rel=0.06)


def test_the_image_that_is_covered_stays_as_it_is() -> None:
    image = photo()
    before = image.copy()
    assert changed(Cover((0, 0), (0.4, 0.4), False, None, 3), image).any()
    np.testing.assert_array_equal(image, before)


def test_noise_is_noise_and_a_function_of_its_seed() -> None:
    image = np.full((STORED, STORED, 3), 7, np.uint8)
    one, same, other = (
        covered(image, Cover((0, 0), (0.4, 0.4), False, None, seed), PLACE) for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()
    noise = one[(one != image).any(-1)].astype(float)
    assert noise.std() == pytest.approx(256 / 12**0.5, rel=0.05)
    assert noise.mean() == pytest.approx(127.5, rel=0.05)


@pytest.mark.parametrize("centre", [(0.6, 0.0), (-0.6, 0.6), (0.0, -0.62), (3.0, 0.0)])
def test_beyond_the_crop_a_cover_is_cut_off(centre: tuple[float, float]) -> None:
    wide = Square(PLACE.x, PLACE.y, STORED)  # no border, as of a photo's own edge
    image, cover = photo(), Cover(centre, (0.4, 0.4), False, None, 1)
    inner = changed(cover, image, wide)
    larger = np.pad(image, ((STORED, STORED), (STORED, STORED), (0, 0)))
    moved = Square(PLACE.x + STORED, PLACE.y + STORED, STORED)
    whole = changed(cover, larger, moved)[STORED:-STORED, STORED:-STORED]
    np.testing.assert_array_equal(inner, whole)
    assert inner.any() == (centre[0] < 1)


def test_covers_keep_their_ranges_and_reach_them() -> None:
    draws = [draw_cover(np.random.default_rng(seed)) for seed in range(400)]
    assert draws == [draw_cover(np.random.default_rng(seed)) for seed in range(400)]
    centres, sizes = np.array([d.centre for d in draws]), np.array([d.size for d in draws])
    for values, low, high in ((centres, -COVER_REACH, COVER_REACH), (sizes, *COVER_SIDES)):
        reach = (high - low) / 20
        assert low <= values.min() < low + reach and high - reach < values.max() <= high
    places = np.array([d.colour_at for d in draws if d.colour_at is not None])
    assert abs(places).max() <= 0.5
    for share in (len(places) / 400, np.mean([d.ellipse for d in draws])):
        assert 0.4 < share < 0.6
    assert len({d.seed for d in draws}) == 400


def test_as_many_are_covered_as_asked_for_and_nothing_else_of_a_draw_changes() -> None:
    plain = Augmentation(rotation_deg=40, scale=0.2, shift=0.04, colour=0.3, flip=0.5, upright=0.3)
    some = dataclasses.replace(plain, occlude=0.3)
    rngs = [np.random.default_rng(seed) for seed in range(400)]
    draws = [some.draw(rng) for rng in rngs]
    assert 90 < sum(draw.cover is not None for draw in draws) < 150
    before = [plain.draw(np.random.default_rng(seed)) for seed in range(400)]
    assert [draw._replace(cover=None) for draw in draws] == before


@pytest.mark.parametrize("seed", range(4))
def test_a_cover_lies_on_the_photo_and_changes_no_label(seed: int) -> None:
    """Covering and then moving is moving the covered photo."""
    rng = np.random.default_rng(seed)
    move = Augmentation(40, 0.3, 0.2, 0.1, 0.3, flip=0.5, occlude=1.0).draw(rng)
    assert move.cover is not None
    sample = dataclasses.replace(painted(seed % 2 == 0), image=photo(seed))
    hidden = dataclasses.replace(sample, image=covered(sample.image, move.cover, PLACE))
    found, expected = view(move, sample), view(move._replace(cover=None), hidden)
    for field in dataclasses.fields(HandSample):
        np.testing.assert_array_equal(getattr(found, field.name), getattr(expected, field.name))
    bare = view(move._replace(cover=None), sample)
    assert (bare.image != found.image).any()
    np.testing.assert_array_equal(bare.joints_cam, found.joints_cam)
