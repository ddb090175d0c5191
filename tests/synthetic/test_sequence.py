"""Rendered sequences: annotations lie on the rendered hand."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from handpose.hand.camera import project, world_to_camera
from handpose.hand.mano import Mano
from handpose.hand.skeleton import FROM_INTERHAND, TIPS
from handpose.render.render import Rendering
from handpose.synthetic.articulation import read_gesture_poses
from handpose.synthetic.dataset_plan import SequencePlan, plan
from handpose.synthetic.scene.degradation import WORST_QUALITY
from handpose.synthetic.sequence import SequenceRenderer
from handpose.synthetic.writer import FrameRecord
from tests.synthetic.specs import make_spec

POSES = read_gesture_poses()
SPEC = make_spec(
    seed=3,
    frames=540,
    main_subjects=1,
    short_subjects=1,
    short_share=0.5,
    cameras_per_instant=2,
    image_px=(120, 96),
    back_cameras=1 / 3,
)
SEQUENCES = [sequence for _, sequences in plan(SPEC, POSES) for sequence in sequences]


@pytest.fixture(scope="module")
def renderer(mano: Mano) -> SequenceRenderer:
    return SequenceRenderer(SPEC, mano, POSES)


@pytest.fixture(scope="module")
def textured(mano: Mano) -> SequenceRenderer:
    return SequenceRenderer(dataclasses.replace(SPEC, creases=1.0, skin_detail=1.0), mano, POSES)


WIDE = make_spec(
    **{
        **vars(SPEC),
        "dark_studios": 0.5,
        "photo_backdrops": 0.4,
        "occluders": 0.5,
        "degradation": 1.0,
    }
)
"""The same data set with everything around the hand and in the camera."""
WIDE_SEQUENCES = [sequence for _, sequences in plan(WIDE, POSES) for sequence in sequences]


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


def rendering_of(
    renderer: SequenceRenderer, sequence: SequencePlan, index: int, camera: int
) -> Rendering:
    """The hands of one image, without background and sensor: coverage and depth."""
    rng = renderer._image_rng(sequence, index, camera)
    return renderer._render(sequence, renderer._pose_hands(sequence), index, camera, rng)


@pytest.mark.parametrize("hand_type", ["right", "left", "interacting"])
def test_annotated_joints_lie_in_the_rendered_hand(
    renderer: SequenceRenderer, tmp_path: Path, hand_type: str
) -> None:
    for sequence in some(lambda t: t.hand_type == hand_type, 3):
        for index, record in enumerate(renderer.render_sequence(sequence, tmp_path)):
            for camera in sequence.frames[index].cameras:
                rendering = rendering_of(renderer, sequence, index, camera)
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


@pytest.mark.parametrize("hand_type", ["right", "left", "interacting"])
def test_skin_texture_changes_the_skin_alone(
    renderer: SequenceRenderer, textured: SequenceRenderer, hand_type: str
) -> None:
    for sequence in some(lambda t: t.hand_type == hand_type, 2):
        camera = sequence.frames[0].cameras[0]
        plain, lined = (rendering_of(one, sequence, 0, camera) for one in (renderer, textured))
        np.testing.assert_array_equal(lined.coverage, plain.coverage)
        np.testing.assert_array_equal(lined.depth, plain.depth)
        covered = plain.coverage > 0
        changed = np.abs(lined.radiance - plain.radiance).max(2) > 1e-4
        assert not changed[~covered].any()
        assert changed[covered].mean() > 0.5
        mean = lined.radiance[covered].mean() / plain.radiance[covered].mean()
        assert mean == pytest.approx(1, abs=0.08)


def test_a_person_keeps_the_lines_whoever_was_rendered_in_between(
    textured: SequenceRenderer,
) -> None:
    one = some(lambda t: t.capture.split == "train" and t.capture.subject == 0)[0]
    other = some(lambda t: t.capture.split == "train" and t.capture.subject == 1)[0]

    def radiance(sequence: SequencePlan) -> NDArray[np.floating]:
        return rendering_of(textured, sequence, 0, sequence.frames[0].cameras[0]).radiance

    first = radiance(one)
    radiance(other)
    np.testing.assert_array_equal(radiance(one), first)


def test_a_hand_without_a_forearm_is_annotated_alike(
    renderer: SequenceRenderer, tmp_path: Path
) -> None:
    sequence = some(lambda t: t.hand_type == "right")[0]
    short = dataclasses.replace(
        sequence, capture=dataclasses.replace(sequence.capture, has_forearm=False)
    )
    with_arm, without = (
        renderer.render_sequence(one, tmp_path / str(k))[0]
        for k, one in enumerate((sequence, short))
    )
    np.testing.assert_array_equal(without.joints, with_arm.joints)
    camera = sequence.frames[0].cameras[0]
    arm, hand = (rendering_of(renderer, one, 0, camera).coverage for one in (sequence, short))
    assert 0 < hand.sum() < arm.sum()
    view = sequence.capture.rig.cameras[camera]
    joints = world_to_camera(without.joints[:21], view.R, view.centre)
    u, v = np.rint(project(joints, view.K)).astype(int).T
    inside = (u >= 1) & (v >= 1) & (u < hand.shape[1] - 1) & (v < hand.shape[0] - 1)
    near = cv2.dilate((hand > 0).astype(np.uint8), np.ones((3, 3), np.uint8))
    assert near[v[inside], u[inside]].all()  # the wrist lies within the hand


# --- what is around the hand, and the camera ------------------------------------------------------


def pictures(folder: Path) -> dict[str, bytes]:
    """The photos below a folder, by name."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.jpg")}


@pytest.fixture(scope="module")
def plain_and_wide(
    renderer: SequenceRenderer, mano: Mano, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """The photos of the same sequences, by default and with everything wider."""
    plain, wide = (tmp_path_factory.mktemp(name) for name in ("plain", "wide"))
    other = SequenceRenderer(WIDE, mano, POSES)
    for sequence, twin in list(zip(SEQUENCES, WIDE_SEQUENCES, strict=True))[::3]:
        for one, another in zip(
            renderer.render_sequence(sequence, plain),
            other.render_sequence(twin, wide),
            strict=True,
        ):
            np.testing.assert_array_equal(one.joints, another.joints)
            np.testing.assert_array_equal(one.joint_valid, another.joint_valid)
            for image, same in zip(one.images, another.images, strict=True):
                np.testing.assert_array_equal(image.bbox, same.bbox)
                np.testing.assert_array_equal(image.joint_valid, same.joint_valid)
    return pictures(plain), pictures(wide)


def test_a_wider_set_shows_the_same_hands_and_leaves_some_images_as_they_were(
    plain_and_wide: tuple[dict[str, bytes], dict[str, bytes]],
) -> None:
    plain, wide = plain_and_wide
    assert plain.keys() == wide.keys()
    same = np.mean([plain[name] == wide[name] for name in plain])
    # neither photo nor clutter, no dark studio, no object, and clean
    assert same == pytest.approx(0.6 * 0.5 * 0.5 * 0.4, abs=0.06)


def test_grey_cameras_stay_grey_and_files_keep_their_size(
    plain_and_wide: tuple[dict[str, bytes], dict[str, bytes]],
) -> None:
    for name, content in plain_and_wide[1].items():
        picture = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
        assert picture is not None
        assert (picture.ndim == 2) == ("/cam410" in name)
        assert sorted(picture.shape[:2]) == [96, 120]


def test_jpeg_quality_lies_between_the_worst_and_the_best(
    plain_and_wide: tuple[dict[str, bytes], dict[str, bytes]], tmp_path: Path
) -> None:
    """Read back from the quantisation tables."""
    grey = np.zeros((8, 8), np.uint8)
    tables = {}
    for quality in range(1, 101):
        content = cv2.imencode(".jpg", grey, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
        tables[quantisation(content)] = quality
    qualities = [tables[quantisation(content)] for content in plain_and_wide[1].values()]
    assert {tables[quantisation(content)] for content in plain_and_wide[0].values()} == {90}
    assert max(qualities) == 90
    assert WORST_QUALITY <= min(qualities) < 60
    assert np.mean(np.array(qualities) == 90) == pytest.approx(0.4, abs=0.1)


def quantisation(content: bytes) -> bytes:
    """The luminance table of a JPEG."""
    start = content.index(b"\xff\xdb") + 5
    return content[start : start + 64]


def test_a_share_of_captures_has_a_dark_studio_and_it_changes_nothing_else() -> None:
    dark = make_spec(**{**vars(SPEC), "dark_studios": 1.0})
    for (one, sequences), (other, same) in zip(plan(SPEC, POSES), plan(dark, POSES), strict=True):
        assert one.studio is None
        assert other.studio is not None
        np.testing.assert_array_equal(one.betas, other.betas)
        assert one.rig.cameras[0].name == other.rig.cameras[0].name
        assert [s.frames for s in sequences] == [s.frames for s in same]


def test_a_hand_behind_an_object_remains_annotated_and_mostly_in_view(
    renderer: SequenceRenderer, mano: Mano, tmp_path: Path
) -> None:
    spec = make_spec(**{**vars(SPEC), "occluders": 1.0})
    other = SequenceRenderer(spec, mano, POSES)
    sequence = some(lambda t: t.hand_type == "right")[0]
    for record, plain in zip(
        other.render_sequence(sequence, tmp_path / "hidden"),
        renderer.render_sequence(sequence, tmp_path / "open"),
        strict=True,
    ):
        np.testing.assert_array_equal(record.joint_valid, plain.joint_valid)
    hidden, open_ = pictures(tmp_path / "hidden"), pictures(tmp_path / "open")
    assert all(hidden[name] != open_[name] for name in open_)
