"""Filmed takes: what is annotated lies on the hand that is seen."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from handpose.hand.camera import project, world_to_camera
from handpose.hand.mano import Mano
from handpose.hand.skeleton import FROM_INTERHAND, TIPS
from handpose.synthetic.articulation import read_gesture_poses
from handpose.synthetic.plan import DatasetSpec, Take, plan
from handpose.synthetic.sequence import Studio
from handpose.synthetic.writer import FrameRecord

POSES = read_gesture_poses()
RECIPE = DatasetSpec(
    seed=3,
    frames=540,
    main_subjects=1,
    short_subjects=1,
    cameras_per_instant=2,
    image_px=(120, 96),
    supersampling=1,
    jpeg_quality=90,
    pose_jitter_deg=4.5,
    back_cameras=1 / 3,
)
TAKES = [take for _, takes in plan(RECIPE, POSES) for take in takes]


@pytest.fixture(scope="module")
def studio(mano: Mano) -> Studio:
    return Studio(RECIPE, mano, POSES)


def some(wanted: Callable[[Take], bool], count: int = 1) -> list[Take]:
    return [take for take in TAKES if wanted(take)][:: max(1, len(TAKES) // 40)][:count]


def with_fault(fault: str) -> tuple[Take, int]:
    """A single-hand take with this fault, and which of its moments has it."""
    for take in TAKES:
        for index, moment in enumerate(take.moments):
            if moment.fault == fault and take.hand_type != "interacting":
                return take, index
    raise AssertionError(f"no take has {fault}")


def annotated(
    take: Take, instant: FrameRecord, camera: int, half: slice
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Pixels (21, 2) and depths (21,) of one hand from the annotated joints and camera."""
    eye = take.capture.rig.cameras[camera]
    joints = world_to_camera(instant.joints[half][FROM_INTERHAND], eye.R, eye.centre)
    return project(joints, eye.K), joints[:, 2]


@pytest.mark.parametrize("hand_type", ["right", "left", "interacting"])
def test_annotated_joints_lie_in_the_hand_that_is_seen(
    studio: Studio, tmp_path: Path, hand_type: str
) -> None:
    for take in some(lambda t: t.hand_type == hand_type, 3):
        for index, instant in enumerate(studio.film(take, tmp_path)):
            for camera in take.moments[index].cameras:
                seen = studio.see(take, index, camera)
                near = cv2.dilate((seen.coverage > 0).astype(np.uint8), np.ones((3, 3), np.uint8))
                for half in (np.s_[:21], np.s_[21:]):
                    kept = instant.joint_valid[half][FROM_INTERHAND]
                    uv, depth = annotated(take, instant, camera, half)
                    u, v = np.rint(uv).astype(int).T
                    kept &= (u >= 0) & (v >= 0) & (u < near.shape[1]) & (v < near.shape[0])
                    assert near[v[kept], u[kept]].all()
                    # bones lie below the skin, or another finger is before them
                    deep = kept.copy()
                    deep[list(TIPS)] = False
                    skin = seen.depth[v[deep], u[deep]]
                    assert (skin[np.isfinite(skin)] < depth[deep][np.isfinite(skin)] + 1e-3).all()


def test_only_the_hand_that_is_there_is_annotated(studio: Studio, tmp_path: Path) -> None:
    for hand_type, there, absent in (
        ("right", np.s_[:21], np.s_[21:]),
        ("left", np.s_[21:], np.s_[:21]),
    ):
        take = some(lambda t, h=hand_type: t.hand_type == h)[0]  # type: ignore[misc]
        instant = studio.film(take, tmp_path)[0]
        assert instant.joint_valid[there].all()
        assert not instant.joint_valid[absent].any()
        assert (instant.joints[absent] == 0).all()
        assert instant.fits is not None
        other = "left" if hand_type == "right" else "right"
        assert instant.fits[hand_type] is not None
        assert instant.fits[other] is None


def test_photos_are_where_and_what_the_annotation_says(studio: Studio, tmp_path: Path) -> None:
    for take in some(lambda _: True, 8):
        for instant in studio.film(take, tmp_path):
            for photo in instant.photos:
                name = f"Capture{instant.capture}/{take.seq_name}/cam{photo.camera}/"
                assert photo.file_name == f"{name}image{instant.frame:04d}.jpg"
                path = tmp_path / take.capture.split / photo.file_name
                picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
                assert picture is not None
                assert picture.shape[1::-1] == photo.size
                assert (picture.ndim == 2) == photo.camera.startswith("410")
                assert 10 < picture.mean() < 250


def test_box_and_view_flags_follow_from_the_joints(studio: Studio, tmp_path: Path) -> None:
    cut_off = 0
    for take in some(lambda t: t.hand_type != "interacting", 20):
        half = np.s_[:21] if take.hand_type == "right" else np.s_[21:]
        for instant, moment in zip(studio.film(take, tmp_path), take.moments, strict=True):
            for photo, camera in zip(instant.photos, moment.cameras, strict=True):
                uv, _ = annotated(take, instant, camera, half)
                inside = ((uv >= -0.5) & (uv < np.array(photo.size) - 0.5)).all(1)
                expected = inside & instant.joint_valid[half][FROM_INTERHAND]
                np.testing.assert_array_equal(photo.joint_valid[half][FROM_INTERHAND], expected)
                low, high = uv[expected].min(0), uv[expected].max(0)
                np.testing.assert_allclose(photo.bbox, [*low, *(high - low)], atol=1e-6)
                cut_off += not inside.all()
    assert cut_off > 0


def test_faults_are_carried_out(studio: Studio, tmp_path: Path) -> None:
    def with_it(fault: str) -> tuple[Take, FrameRecord]:
        take, index = with_fault(fault)
        return take, studio.film(take, tmp_path)[index]

    _, instant = with_it("no_fit")
    assert instant.fits == {"right": None, "left": None}
    assert with_it("no_fit_entry")[1].fits is None
    assert 16 <= with_it("joints_lost")[1].joint_valid.sum() <= 19
    _, lost = with_it("hand_lost")
    assert lost.joint_valid.sum() == 3
    assert (lost.joints[~lost.joint_valid] == 0).all()
    _, unsure = with_it("type_unsure")
    assert not unsure.hand_type_valid
    assert unsure.joint_valid.sum() == 21
    assert with_it("")[1].hand_type_valid


def test_two_hands_are_annotated_with_two_fits(studio: Studio, tmp_path: Path) -> None:
    take = some(lambda t: t.hand_type == "interacting")[0]
    for instant, moment in zip(studio.film(take, tmp_path), take.moments, strict=True):
        if not moment.fault:
            assert instant.hand_type_valid
            assert instant.joint_valid.all()
            assert instant.fits is not None
            assert None not in instant.fits.values()


def test_a_take_does_not_depend_on_what_was_filmed_before(
    studio: Studio, mano: Mano, tmp_path: Path
) -> None:
    take = some(lambda t: t.hand_type == "left")[0]
    studio.film(take, tmp_path / "late")
    Studio(RECIPE, mano, POSES).film(take, tmp_path / "early")
    for path in (tmp_path / "late").rglob("*.jpg"):
        twin = tmp_path / "early" / path.relative_to(tmp_path / "late")
        assert path.read_bytes() == twin.read_bytes()
