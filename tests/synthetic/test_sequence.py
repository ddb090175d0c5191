"""Rendered sequences: annotations lie on the rendered hand."""

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
from handpose.synthetic.dataset_plan import DatasetSpec, SequencePlan, plan
from handpose.synthetic.sequence import SequenceRenderer
from handpose.synthetic.writer import FrameRecord

POSES = read_gesture_poses()
SPEC = DatasetSpec(
    seed=3,
    frames=540,
    main_subjects=1,
    short_subjects=1,
    short_share=0.5,
    cameras_per_instant=2,
    image_px=(120, 96),
    supersampling=1,
    jpeg_quality=90,
    pose_jitter_deg=4.5,
    style_deg=15.0,
    back_cameras=1 / 3,
)
SEQUENCES = [sequence for _, sequences in plan(SPEC, POSES) for sequence in sequences]


@pytest.fixture(scope="module")
def renderer(mano: Mano) -> SequenceRenderer:
    return SequenceRenderer(SPEC, mano, POSES)


def some(wanted: Callable[[SequencePlan], bool], count: int = 1) -> list[SequencePlan]:
    found = [sequence for sequence in SEQUENCES if wanted(sequence)]
    return found[:: max(1, len(SEQUENCES) // 40)][:count]


def with_fault(fault: str) -> tuple[SequencePlan, int]:
    """A single-hand sequence with this fault, and the index of that frame."""
    for sequence in SEQUENCES:
        for index, frame in enumerate(sequence.frames):
            if frame.fault == fault and sequence.hand_type != "interacting":
                return sequence, index
    raise AssertionError(f"no sequence has {fault}")


def annotated(
    sequence: SequencePlan, record: FrameRecord, camera: int, half: slice
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Pixels (21, 2) and depths (21,) of one hand from the annotated joints and camera."""
    view = sequence.capture.rig.cameras[camera]
    joints = world_to_camera(record.joints[half][FROM_INTERHAND], view.R, view.centre)
    return project(joints, view.K), joints[:, 2]


@pytest.mark.parametrize("hand_type", ["right", "left", "interacting"])
def test_annotated_joints_lie_in_the_rendered_hand(
    renderer: SequenceRenderer, tmp_path: Path, hand_type: str
) -> None:
    for sequence in some(lambda t: t.hand_type == hand_type, 3):
        for index, record in enumerate(renderer.render_sequence(sequence, tmp_path)):
            for camera in sequence.frames[index].cameras:
                rendering = renderer.render_hands(sequence, index, camera)
                near = cv2.dilate(
                    (rendering.coverage > 0).astype(np.uint8), np.ones((3, 3), np.uint8)
                )
                for half in (np.s_[:21], np.s_[21:]):
                    shown = record.joint_valid[half][FROM_INTERHAND]
                    uv, depth = annotated(sequence, record, camera, half)
                    u, v = np.rint(uv).astype(int).T
                    shown &= (u >= 0) & (v >= 0) & (u < near.shape[1]) & (v < near.shape[0])
                    assert near[v[shown], u[shown]].all()
                    # bones lie below the skin, or another finger is before them
                    deep = shown.copy()
                    deep[list(TIPS)] = False
                    skin = rendering.depth[v[deep], u[deep]]
                    assert (skin[np.isfinite(skin)] < depth[deep][np.isfinite(skin)] + 1e-3).all()


def test_only_the_hand_that_is_there_is_annotated(
    renderer: SequenceRenderer, tmp_path: Path
) -> None:
    for hand_type, there, absent in (
        ("right", np.s_[:21], np.s_[21:]),
        ("left", np.s_[21:], np.s_[:21]),
    ):
        sequence = some(lambda t, h=hand_type: t.hand_type == h)[0]  # type: ignore[misc]
        record = renderer.render_sequence(sequence, tmp_path)[0]
        assert record.joint_valid[there].all()
        assert not record.joint_valid[absent].any()
        assert (record.joints[absent] == 0).all()
        assert record.fits is not None
        other = "left" if hand_type == "right" else "right"
        assert record.fits[hand_type] is not None
        assert record.fits[other] is None


def test_photos_are_where_and_what_the_annotation_says(
    renderer: SequenceRenderer, tmp_path: Path
) -> None:
    for sequence in some(lambda _: True, 8):
        for record in renderer.render_sequence(sequence, tmp_path):
            for image in record.images:
                name = f"Capture{record.capture}/{sequence.seq_name}/cam{image.camera}/"
                assert image.file_name == f"{name}image{record.frame:04d}.jpg"
                path = tmp_path / sequence.capture.split / image.file_name
                picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
                assert picture is not None
                assert picture.shape[1::-1] == image.size
                assert (picture.ndim == 2) == image.camera.startswith("410")
                assert 10 < picture.mean() < 250


def test_box_and_view_flags_follow_from_the_joints(
    renderer: SequenceRenderer, tmp_path: Path
) -> None:
    cut_off = 0
    for sequence in some(lambda t: t.hand_type != "interacting", 20):
        half = np.s_[:21] if sequence.hand_type == "right" else np.s_[21:]
        for record, frame in zip(
            renderer.render_sequence(sequence, tmp_path), sequence.frames, strict=True
        ):
            for image, camera in zip(record.images, frame.cameras, strict=True):
                uv, _ = annotated(sequence, record, camera, half)
                inside = ((uv >= -0.5) & (uv < np.array(image.size) - 0.5)).all(1)
                expected = inside & record.joint_valid[half][FROM_INTERHAND]
                np.testing.assert_array_equal(image.joint_valid[half][FROM_INTERHAND], expected)
                low, high = uv[expected].min(0), uv[expected].max(0)
                np.testing.assert_allclose(image.bbox, [*low, *(high - low)], atol=1e-6)
                cut_off += not inside.all()
    assert cut_off > 0


def test_faults_are_carried_out(renderer: SequenceRenderer, tmp_path: Path) -> None:
    def with_it(fault: str) -> tuple[SequencePlan, FrameRecord]:
        sequence, index = with_fault(fault)
        return sequence, renderer.render_sequence(sequence, tmp_path)[index]

    _, record = with_it("no_fit")
    assert record.fits == {"right": None, "left": None}
    assert with_it("no_fit_entry")[1].fits is None
    assert 16 <= with_it("joints_lost")[1].joint_valid.sum() <= 19
    _, lost = with_it("hand_lost")
    assert lost.joint_valid.sum() == 3
    assert (lost.joints[~lost.joint_valid] == 0).all()
    _, unsure = with_it("type_unsure")
    assert not unsure.hand_type_valid
    assert unsure.joint_valid.sum() == 21
    assert with_it("")[1].hand_type_valid


def test_two_hands_are_annotated_with_two_fits(renderer: SequenceRenderer, tmp_path: Path) -> None:
    sequence = some(lambda t: t.hand_type == "interacting")[0]
    for record, frame in zip(
        renderer.render_sequence(sequence, tmp_path), sequence.frames, strict=True
    ):
        if not frame.fault:
            assert record.hand_type_valid
            assert record.joint_valid.all()
            assert record.fits is not None
            assert None not in record.fits.values()


def test_a_sequence_does_not_depend_on_what_was_rendered_before(
    renderer: SequenceRenderer, mano: Mano, tmp_path: Path
) -> None:
    sequence = some(lambda t: t.hand_type == "left")[0]
    renderer.render_sequence(sequence, tmp_path / "late")
    SequenceRenderer(SPEC, mano, POSES).render_sequence(sequence, tmp_path / "early")
    for path in (tmp_path / "late").rglob("*.jpg"):
        twin = tmp_path / "early" / path.relative_to(tmp_path / "late")
        assert path.read_bytes() == twin.read_bytes()
