"""Carries a take out: photographs the hands from every camera and writes down the truth.

A `Studio` holds what all takes share (hand model, surface, noise) and lives as long as a worker.
What a take gives depends on the recipe and the take alone, not on what was filmed before.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from handpose.hand.camera import project, world_to_camera
from handpose.hand.mano import Mano
from handpose.hand.skeleton import FROM_INTERHAND, inverse
from handpose.render.render import Paint, Rendering, render
from handpose.render.surface import Surface, join
from handpose.synthetic.articulation import GesturePose
from handpose.synthetic.background import sample_background, sample_noise, shine
from handpose.synthetic.motion import free_motion, gesture_motion
from handpose.synthetic.plan import DatasetSpec, Moment, Take
from handpose.synthetic.pose_hand import Actor, PosedHand
from handpose.synthetic.sensor import photograph
from handpose.synthetic.skin import paint, regions
from handpose.synthetic.writer import FrameRecord, ImageRecord, WorldFit

Array = NDArray[np.floating[Any]]

REST = "neutral_relaxed"
MANY_JOINTS = 30
"""InterHand2.6M's rule: of two hands the type is valid when more joints than these are."""
APART_M = 0.065
"""Half the distance between the hands of a two-hand take."""


class _Cast(NamedTuple):
    """Who acts in a take."""

    hands: list[PosedHand]
    skin: Paint  # of all their surfaces together


class Studio:
    """Films the takes of one recipe."""

    def __init__(self, recipe: DatasetSpec, mano: Mano, poses: Sequence[GesturePose]) -> None:
        """`poses` are the gestures; hands that move freely move through them."""
        self._recipe = recipe
        self._poses = poses
        self._rest = next(pose for pose in poses if pose.gesture == REST)
        self._actor = Actor(mano)
        self._surface = Surface(mano.faces.numpy(), self._actor.rest_vertices)
        self._regions = regions(self._surface, self._actor.rest_joints)
        self._noise = sample_noise(recipe.rng("noise"))

    def film(self, take: Take, images: Path) -> list[FrameRecord]:
        """Write the photos of a take below `images/<split>`; what is to be annotated of it."""
        cast = self._cast(take)
        folder = images / take.capture.split
        instants = []
        for index, moment in enumerate(take.moments):
            instant = _annotate(self._recipe, take, cast.hands, index)
            for photo, camera in zip(instant.photos, moment.cameras, strict=True):
                picture = self._photograph(take, cast, index, camera)
                _write_jpeg(folder / photo.file_name, picture, self._recipe.jpeg_quality)
            instants.append(instant)
        return instants

    def see(self, take: Take, index: int, camera: int) -> Rendering:
        """The hands of one photo without background and lens: where they are, and how far."""
        rng = self._photo_rng(take, index, camera)
        return self._render(take, self._cast(take), index, camera, rng)

    def _cast(self, take: Take) -> _Cast:
        """The one hand or the two hands of a take, and the skin they have in common."""
        sides = ("right", "left") if take.hand_type == "interacting" else (take.hand_type,)
        hands = [self._perform(take, side) for side in sides]
        person = take.capture
        rest, grain = self._surface.rest, self._noise.grain
        skin = paint(person.skin, person.sleeve, self._regions, rest, grain)
        return _Cast(hands, skin if len(hands) == 1 else _twice(skin))

    def _perform(self, take: Take, side: str) -> PosedHand:
        """One hand's part in a take."""
        capture, jitter = take.capture, self._recipe.pose_jitter_deg
        rng = self._recipe.rng(capture.split, capture.number, take.seq_name, side)
        phase = np.array([moment.phase for moment in take.moments])
        if take.gesture is not None:
            motion = gesture_motion(rng, phase, self._rest, take.gesture, jitter)
        else:
            turns_wrist = "wrist" in take.seq_name.lower()
            motion = free_motion(rng, phase, self._poses, jitter, turns_wrist)
        if take.hand_type == "interacting":
            aside = np.array([APART_M, 0, 0])  # which the left hand mirrors
            motion = motion._replace(place=motion.place + aside)
        rig = capture.rig
        return self._actor.perform(motion, capture.betas, side == "left", rig.to_world, rig.origin)

    def _photograph(self, take: Take, cast: _Cast, index: int, camera: int) -> NDArray[np.uint8]:
        """The picture that a camera takes: (H, W, 3) RGB, or (H, W) if it is a grey one."""
        rng = self._photo_rng(take, index, camera)
        rendering = self._render(take, cast, index, camera, rng)
        rig = take.capture.rig
        background = sample_background(rng, rig.cameras[camera].size, self._noise)
        return photograph(rendering, background, rig.sensors[camera], self._noise.white, rng)

    def _photo_rng(self, take: Take, index: int, camera: int) -> np.random.Generator:
        """The random numbers of one photo."""
        capture, frame = take.capture, take.moments[index].frame
        name = capture.rig.cameras[camera].name
        return self._recipe.rng(capture.split, capture.number, take.seq_name, frame, name)

    def _render(
        self, take: Take, cast: _Cast, index: int, camera: int, rng: np.random.Generator
    ) -> Rendering:
        rig = take.capture.rig
        eye = rig.cameras[camera]
        meshes = []
        for hand in cast.hands:
            vertices = world_to_camera(hand.vertices[index], eye.R, eye.centre)
            meshes.append(self._surface.mesh(vertices, hand.is_left, eye.R @ hand.elbow[index]))
        light = shine(take.capture.lamps, rig.from_rig(camera), rng)
        samples = self._recipe.supersampling
        return render(join(meshes), cast.skin, light, eye.K, eye.size, samples)


def _annotate(
    recipe: DatasetSpec, take: Take, hands: Sequence[PosedHand], index: int
) -> FrameRecord:
    """What is written down of one moment, with its fault."""
    capture, moment = take.capture, take.moments[index]
    joints, valid = np.zeros((42, 3)), np.zeros(42, bool)
    fits: dict[str, WorldFit | None] = {"right": None, "left": None}
    for hand in hands:
        half = np.s_[21:] if hand.is_left else np.s_[:21]
        joints[half], valid[half] = hand.joints[index][inverse(FROM_INTERHAND)], True
        if moment.fault != "no_fit":
            side = "left" if hand.is_left else "right"
            fits[side] = WorldFit(hand.pose[index], hand.shape, hand.trans[index])
    two = take.hand_type == "interacting"
    valid &= _kept(moment.fault, two, recipe.rng(capture.split, capture.number, moment.frame))
    joints = np.where(valid[:, None], joints, 0)
    return FrameRecord(
        capture=capture.number,
        subject=capture.subject,
        seq_name=take.seq_name,
        frame=moment.frame,
        hand_type=take.hand_type,
        hand_type_valid=int(valid.sum()) > MANY_JOINTS if two else moment.fault != "type_unsure",
        joints=joints,
        joint_valid=valid,
        fits=None if moment.fault == "no_fit_entry" else fits,
        photos=[_view(take, moment, camera, joints, valid) for camera in moment.cameras],
    )


def _view(
    take: Take, moment: Moment, camera: int, joints: Array, valid: NDArray[np.bool_]
) -> ImageRecord:
    """What one camera sees of the valid joints: joints (42, 3) m, world, valid (42,)."""
    capture = take.capture
    eye = capture.rig.cameras[camera]
    uv = project(world_to_camera(joints, eye.R, eye.centre), eye.K)  # (42, 2)
    inside = ((uv >= -0.5) & (uv < np.array(eye.size) - 0.5)).all(1)
    seen = uv[valid & inside] if (valid & inside).any() else np.zeros((1, 2))
    folder = f"Capture{capture.number}/{take.seq_name}/cam{eye.name}"
    return ImageRecord(
        camera=eye.name,
        file_name=f"{folder}/image{moment.frame:04d}.jpg",
        size=eye.size,
        bbox=np.concatenate([seen.min(0), np.ptp(seen, axis=0)]),
        joint_valid=valid & inside,
    )


def _kept(fault: str, two: bool, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Which joints a fault leaves valid: (42,). Of two hands an unsure type takes joints too."""
    lost = {"joints_lost": int(rng.integers(2, 6)), "hand_lost": 18, "type_unsure": 7 * two}
    order = rng.permuted(np.tile(np.arange(21), (2, 1)), axis=1)  # (2, 21)
    return (order >= lost.get(fault, 0)).reshape(42)


def _twice(skin: Paint) -> Paint:
    """The paint of both hands of one subject."""
    albedo, gloss, rest = (np.concatenate([part, part]) for part in skin[:3])
    return skin._replace(albedo=albedo, gloss=gloss, rest=rest)


def _write_jpeg(path: Path, picture: NDArray[np.uint8], quality: int) -> None:
    """A JPEG of an RGB or grey picture; folders are made as needed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if picture.ndim == 3:
        picture = np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), np.uint8)
    content = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    path.write_bytes(content.tobytes())
