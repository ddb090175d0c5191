"""Renders the images of a planned sequence and returns their annotations.

A `SequenceRenderer` holds what all sequences share (hand model, surface, noise) and lives as long
as its worker process. The output depends on the spec and the sequence alone, not on what was
rendered before.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from handpose.hand.camera import project, world_to_camera
from handpose.hand.mano import Mano
from handpose.hand.skeleton import FROM_INTERHAND, inverse
from handpose.render.render import Material, Rendering, render
from handpose.render.surface import Surface, join
from handpose.synthetic.articulation import GesturePose
from handpose.synthetic.background import sample_light, sample_noise
from handpose.synthetic.dataset_plan import Capture, DatasetSpec, FramePlan, SequencePlan
from handpose.synthetic.movement.free_pose import FreePoses
from handpose.synthetic.movement.motion import free_motion, gesture_motion, varied_motion
from handpose.synthetic.movement.style import PersonalStyle, Stylist
from handpose.synthetic.pose_hand import HandPoser, PosedHand
from handpose.synthetic.scene.backdrop import Backdrops
from handpose.synthetic.scene.degradation import Degradation, sample_degradation
from handpose.synthetic.scene.occluder import sample_occluder, visible_hand
from handpose.synthetic.sensor import photograph
from handpose.synthetic.skin import Regions, regions, skin_material
from handpose.synthetic.texture.landmarks import Landmarks
from handpose.synthetic.texture.skin_charts import PaintedSkin, charts, paint_person
from handpose.synthetic.writer import FrameRecord, ImageRecord, WorldManoFit

Array = NDArray[np.floating[Any]]

REST = "neutral_relaxed"
MANY_JOINTS = 30
"""InterHand2.6M's rule: with two hands, the hand type is valid if more joints than this are."""
HALF_SEPARATION_M = 0.065
"""Half the distance between the hands of a two-hand sequence."""
HAND_M = 0.2
"""Length of a hand, about: the texture is painted as finely as its images show it."""


class _PosedHands(NamedTuple):
    """The posed hands of a sequence and their material."""

    hands: list[PosedHand]
    surface: Surface  # of each hand
    material: Material  # of the joined surfaces of all hands


class Photograph(NamedTuple):
    """An image of one hand, and where its joints are."""

    image: NDArray[np.uint8]  # (H, W, 3) RGB, after JPEG
    K: Array  # (3, 3) px
    joints_cam: Array  # (21, 3) m
    is_left: bool
    subject: int


class _Body(NamedTuple):
    """The surface of a hand with or without a forearm, and what is where on it."""

    surface: Surface
    regions: Regions
    landmarks: Landmarks | None  # None: skin without texture


class SequenceRenderer:
    """Renders the sequences of one data set spec."""

    def __init__(self, spec: DatasetSpec, mano: Mano, poses: Sequence[GesturePose]) -> None:
        """`poses` are the gestures; free motion interpolates between them."""
        self._spec = spec
        self._poses = poses
        self._rest = next(pose for pose in poses if pose.gesture == REST)
        self._poser = HandPoser(mano)
        self._stylist = Stylist(self._poser.articulation, self._rest, spec.style_deg)
        self._free_poses = FreePoses(self._poser.articulation, poses)
        self._styles: dict[tuple[str, int, str], PersonalStyle] = {}
        self._faces = mano.faces.numpy()
        self._bodies: dict[bool, _Body] = {}  # by whether it has a forearm
        self._painted: dict[tuple[str, int], PaintedSkin] = {}  # the last person's
        self._noise = sample_noise(spec.rng("noise"))
        self._backdrops = Backdrops(self._noise, spec.photo_backdrops)

    def render_sequence(self, sequence: SequencePlan, images: Path) -> list[FrameRecord]:
        """Write the images of a sequence below `images/<split>`; returns their annotations."""
        posed = self._pose_hands(sequence)
        folder = images / sequence.capture.split
        records = []
        for index, frame in enumerate(sequence.frames):
            record = _annotate(self._spec, sequence, posed.hands, index)
            for image, camera in zip(record.images, frame.cameras, strict=True):
                path = folder / image.file_name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(self._jpeg(sequence, posed, index, camera).tobytes())
            records.append(record)
        return records

    def photographs(self, sequence: SequencePlan) -> Iterator[Photograph]:
        """The images of a sequence of one hand, as `render_sequence` writes them, with the truth.

        Nothing is written, and no annotation has a fault.
        """
        posed = self._pose_hands(sequence)
        (hand,) = posed.hands
        for index, frame in enumerate(sequence.frames):
            for camera in frame.cameras:
                view = sequence.capture.rig.cameras[camera]
                jpeg = self._jpeg(sequence, posed, index, camera)
                yield Photograph(
                    image=np.asarray(cv2.imdecode(jpeg, cv2.IMREAD_COLOR_RGB), np.uint8),
                    K=view.K,
                    joints_cam=world_to_camera(hand.joints[index], view.R, view.centre),
                    is_left=hand.is_left,
                    subject=sequence.capture.subject,
                )

    def _pose_hands(self, sequence: SequencePlan) -> _PosedHands:
        """The one or two hands of a sequence and their common material."""
        sides = ("right", "left") if sequence.hand_type == "interacting" else (sequence.hand_type,)
        hands = [self._pose_hand(sequence, side) for side in sides]
        capture = sequence.capture
        surface, where, landmarks = self._body(capture.has_forearm)
        grain = self._noise.grain
        material = skin_material(capture.skin, capture.sleeve, where, surface.rest, grain)
        if landmarks is not None:
            material = material._replace(
                charts=charts(self._painted_skin(capture), landmarks, where, capture.sleeve)
            )
        material = material if len(hands) == 1 else _for_two_hands(material)
        return _PosedHands(hands, surface, material)

    def _body(self, has_forearm: bool) -> _Body:
        """The surface of a hand with or without a forearm; textured if the spec says so."""
        if has_forearm not in self._bodies:
            joints = self._poser.rest_joints
            surface = Surface(self._faces, self._poser.rest_vertices, has_forearm)
            textured = self._spec.creases > 0 or self._spec.skin_detail > 0
            landmarks = Landmarks(surface, joints) if textured else None
            self._bodies[has_forearm] = _Body(surface, regions(surface, joints), landmarks)
        return self._bodies[has_forearm]

    def _painted_skin(self, capture: Capture) -> PaintedSkin:
        """The lines and the fine texture of a person's skin, the same with any forearm."""
        spec, person = self._spec, (capture.split, capture.subject)
        landmarks = self._body(True).landmarks
        if person not in self._painted and landmarks is not None:
            lines, fine = (spec.rng(person[0], key, person[1]) for key in ("creases", "detail"))
            samples = max(spec.filled) * min(spec.image_px) * spec.supersampling
            painted = paint_person(
                (lines, fine),
                landmarks,
                capture.skin,
                creases=spec.creases,
                detail=spec.skin_detail,
                spacing_m=HAND_M / samples,
            )
            self._painted = {person: painted}
        return self._painted[person]

    def _pose_hand(self, sequence: SequencePlan, side: str) -> PosedHand:
        """One hand over the frames of a sequence."""
        capture, jitter = sequence.capture, self._spec.pose_jitter_deg
        rng = self._spec.rng(capture.split, capture.number, sequence.seq_name, side)
        phase = np.array([frame.phase for frame in sequence.frames])
        if sequence.gesture is not None:
            style = self._style(capture.split, capture.subject, sequence.gesture)
            motion = gesture_motion(rng, phase, style.rest, style.peak, jitter, style.rise)
        else:
            turns_wrist = "wrist" in sequence.seq_name.lower()
            if self._spec.free_poses and sequence.hand_type != "interacting":
                motion = varied_motion(rng, phase, self._free_poses, jitter)
            else:
                motion = free_motion(rng, phase, self._poses, jitter, turns_wrist)
        if sequence.hand_type == "interacting":
            offset = np.array([HALF_SEPARATION_M, 0, 0])  # mirrored for the left hand
            motion = motion._replace(position=motion.position + offset)
        rig = capture.rig
        is_left = side == "left"
        return self._poser.pose_hand(motion, capture.betas, is_left, rig.to_world, rig.origin)

    def _style(self, split: str, subject: int, gesture: GesturePose) -> PersonalStyle:
        """How this person performs a gesture, with either hand."""
        key = (split, subject, gesture.gesture)
        if key not in self._styles:
            person, own = self._spec.rng("style", *key[:2]), self._spec.rng("style", *key)
            self._styles[key] = self._stylist.style(person, own, gesture)
        return self._styles[key]

    def _jpeg(
        self, sequence: SequencePlan, posed: _PosedHands, index: int, camera: int
    ) -> NDArray[np.uint8]:
        """The file of one image."""
        degradation = self._degradation(sequence, index, camera)
        picture = self._photograph(sequence, posed, index, camera, degradation)
        if picture.ndim == 3:
            picture = np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), np.uint8)
        quality = [cv2.IMWRITE_JPEG_QUALITY, degradation.quality]
        return np.asarray(cv2.imencode(".jpg", picture, quality)[1], np.uint8)

    def _photograph(
        self,
        sequence: SequencePlan,
        posed: _PosedHands,
        index: int,
        camera: int,
        degradation: Degradation,
    ) -> NDArray[np.uint8]:
        """The image of one camera: (H, W, 3) RGB, or (H, W) for a grey camera."""
        rng = self._image_rng(sequence, index, camera)
        rendering = self._render(sequence, posed, index, camera, rng)
        rendering = self._occluded(rendering, sequence, posed, index, camera)
        capture = sequence.capture
        own = partial(self._image_rng, sequence, index, camera, "backdrop")
        size = capture.rig.cameras[camera].size
        background = self._backdrops.sample(rng, own, size, capture.studio)
        sensor = capture.rig.sensors[camera]
        return photograph(rendering, background, sensor, self._noise.white, rng, degradation)

    def _occluded(
        self,
        rendering: Rendering,
        sequence: SequencePlan,
        posed: _PosedHands,
        index: int,
        camera: int,
    ) -> Rendering:
        """The rendering, in a share of images with an object before a part of a hand."""
        share = self._spec.occluders
        if not share:
            return rendering
        rng = self._image_rng(sequence, index, camera, "occluder")
        if rng.uniform() >= share:
            return rendering
        view = sequence.capture.rig.cameras[camera]
        hands = []
        for hand in posed.hands:
            vertices = world_to_camera(hand.vertices[index], view.R, view.centre)
            hands.append(visible_hand(rendering, project(vertices, view.K)))
        occluder = sample_occluder(rng, rendering, hands)
        return rendering if occluder is None else occluder.before(rendering)

    def _degradation(self, sequence: SequencePlan, index: int, camera: int) -> Degradation:
        """How much worse this image is than its sensor."""
        spec = self._spec
        if not spec.degradation:
            return Degradation(spec.jpeg_quality)
        rng = self._image_rng(sequence, index, camera, "degradation")
        size = sequence.capture.rig.cameras[camera].size
        return sample_degradation(rng, spec.degradation, size, spec.jpeg_quality)

    def _image_rng(
        self, sequence: SequencePlan, index: int, camera: int, *purpose: str
    ) -> np.random.Generator:
        """The random generator of one image, or its own for this purpose."""
        capture, number = sequence.capture, sequence.frames[index].number
        name = capture.rig.cameras[camera].name
        key = (capture.split, capture.number, sequence.seq_name, number, name)
        return self._spec.rng(*key, *purpose)

    def _render(
        self,
        sequence: SequencePlan,
        posed: _PosedHands,
        index: int,
        camera: int,
        rng: np.random.Generator,
    ) -> Rendering:
        rig = sequence.capture.rig
        view = rig.cameras[camera]
        meshes = []
        for hand in posed.hands:
            vertices = world_to_camera(hand.vertices[index], view.R, view.centre)
            meshes.append(posed.surface.mesh(vertices, hand.is_left, view.R @ hand.elbow[index]))
        light = sample_light(sequence.capture.lighting, rig.from_rig(camera), rng)
        samples = self._spec.supersampling
        return render(join(meshes), posed.material, light, view.K, view.size, samples)


def _annotate(
    spec: DatasetSpec, sequence: SequencePlan, hands: Sequence[PosedHand], index: int
) -> FrameRecord:
    """The annotations of one frame, with its fault applied."""
    capture, frame = sequence.capture, sequence.frames[index]
    joints, valid = np.zeros((42, 3)), np.zeros(42, bool)
    fits: dict[str, WorldManoFit | None] = {"right": None, "left": None}
    for hand in hands:
        half = np.s_[21:] if hand.is_left else np.s_[:21]
        joints[half], valid[half] = hand.joints[index][inverse(FROM_INTERHAND)], True
        if frame.fault != "no_fit":
            side = "left" if hand.is_left else "right"
            fits[side] = WorldManoFit(hand.pose[index], hand.shape, hand.trans[index])
    two = sequence.hand_type == "interacting"
    rng = spec.rng(capture.split, capture.number, frame.number)
    valid &= _valid_after_fault(frame.fault, two, rng)
    joints = np.where(valid[:, None], joints, 0)
    return FrameRecord(
        capture=capture.number,
        subject=capture.subject,
        seq_name=sequence.seq_name,
        frame=frame.number,
        hand_type=sequence.hand_type,
        hand_type_valid=int(valid.sum()) > MANY_JOINTS if two else frame.fault != "type_unsure",
        joints=joints,
        joint_valid=valid,
        fits=None if frame.fault == "no_fit_entry" else fits,
        images=[_image_record(sequence, frame, camera, joints, valid) for camera in frame.cameras],
    )


def _image_record(
    sequence: SequencePlan,
    frame: FramePlan,
    camera: int,
    joints: Array,
    valid: NDArray[np.bool_],
) -> ImageRecord:
    """The valid joints as annotated for one image: joints (42, 3) m, world, valid (42,)."""
    capture = sequence.capture
    view = capture.rig.cameras[camera]
    uv = project(world_to_camera(joints, view.R, view.centre), view.K)  # (42, 2)
    inside = ((uv >= -0.5) & (uv < np.array(view.size) - 0.5)).all(1)
    annotated = uv[valid & inside] if (valid & inside).any() else np.zeros((1, 2))
    folder = f"Capture{capture.number}/{sequence.seq_name}/cam{view.name}"
    return ImageRecord(
        camera=view.name,
        file_name=f"{folder}/image{frame.number:04d}.jpg",
        size=view.size,
        bbox=np.concatenate([annotated.min(0), np.ptp(annotated, axis=0)]),
        joint_valid=valid & inside,
    )


def _valid_after_fault(fault: str, two: bool, rng: np.random.Generator) -> NDArray[np.bool_]:
    """The joints that a fault leaves valid: (42,). With two hands, type_unsure removes some too."""
    lost = {"joints_lost": int(rng.integers(2, 6)), "hand_lost": 18, "type_unsure": 7 * two}
    order = rng.permuted(np.tile(np.arange(21), (2, 1)), axis=1)  # (2, 21)
    return (order >= lost.get(fault, 0)).reshape(42)


def _for_two_hands(material: Material) -> Material:
    """The material of both hands of one subject."""
    albedo, gloss, rest = (np.concatenate([part, part]) for part in material[:3])
    texture = material.charts and material.charts.doubled()
    return material._replace(albedo=albedo, gloss=gloss, rest=rest, charts=texture)
