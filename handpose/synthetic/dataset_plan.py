"""Plan of a synthetic InterHand2.6M: subjects, their captures, and the sequences of each.

Only the plan: which subject performs which gesture in front of which cameras, and which annotation
fault each frame has. It is a pure function of a `DatasetSpec`; `sequence.py` renders it. As in the
real data set, train holds the gesture folders, val and test hold ROM folders, a subject may have
several captures, and frame numbers increase through a capture.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from handpose.synthetic.articulation import GesturePose
from handpose.synthetic.background import Lighting, sample_lighting
from handpose.synthetic.rig import Rig, sample_rig
from handpose.synthetic.scene.studio import Studio, sample_studio
from handpose.synthetic.skin import BARE_ARM, Skin, Sleeve, sample_skin, sample_sleeve

ROM_FOLDERS = {
    "ROM03_LT_No_Occlusion": "left",
    "ROM03_RT_No_Occlusion": "right",
    "ROM04_LT_Occlusion": "left",
    "ROM04_RT_Occlusion": "right",
    "ROM05_LT_Wrist_ROM": "left",
    "ROM05_RT_Wrist_ROM": "right",
    "ROM07_Rt_Finger_Occlusions": "right",
    "ROM08_Lt_Finger_Occlusions": "left",
}
"""Single-hand range-of-motion folders. Odd captures spell the side of the last two in capitals, as
the real data set does."""

TWO_HAND_FOLDERS = {
    "train": ("0266_dh_pray", "0390_dh_touchROM"),
    "val": ("ROM02_Interaction_2_Hand",),
    "test": ("ROM01_No_Interaction_2_Hand", "ROM09_Interaction_Fingers_Touching"),
}

HELD_OUT_CAPTURES = {"val": 1, "test": 2}
ROM_FOLDERS_IN_TRAIN = 4

SEQUENCE_FRAMES = 240
"""Minimum difference between the first frame numbers of consecutive sequences."""

FAULTS = {13: "no_fit", 29: "no_fit_entry", 47: "joints_lost", 61: "hand_lost", 79: "type_unsure"}
FAULT_PERIOD = 97
"""In every such number of frames of a capture, each fault of real annotations occurs once:

no_fit: MANO is null; no_fit_entry: the frame is missing; joints_lost: a few joints are invalid;
hand_lost: nearly all are; type_unsure: hand_type_valid is 0."""


@dataclass(frozen=True)
class DatasetSpec:
    """All settings of the data set; it further depends on the hand model and the gesture poses."""

    seed: int
    frames: int  # images in the gesture folders
    main_subjects: int
    short_subjects: int
    short_share: float  # of a main subject's images
    cameras_per_instant: int
    back_cameras: float  # share of a rig's cameras that face the back of the hand
    spread_deg: tuple[float, float]  # greatest azimuth and elevation of its cameras
    roll_deg: float  # standard deviation of a camera's in-plane rotation
    distance_m: tuple[float, float]  # least and greatest, of the cameras
    filled: tuple[float, float]  # share of the short side that an open hand fills
    image_px: tuple[int, int]  # long and short side
    supersampling: int
    jpeg_quality: int
    free_poses: float  # images of free poses, as a multiple of `frames`
    creases: float  # depth of creases, wrinkles, tendons and veins
    skin_detail: float  # strength of skin texture other than the grain
    no_forearm: float  # share of captures
    dark_studios: float  # share of captures
    photo_backdrops: float  # share of images
    occluders: float  # share of images
    degradation: float  # of the sensor, 0..1
    pose_jitter_deg: float
    style_deg: float

    def rng(self, *key: str | int) -> np.random.Generator:
        """The random generator of this key, independent of the order of calls."""
        parts = [zlib.crc32(part.encode()) if isinstance(part, str) else part for part in key]
        return np.random.default_rng([self.seed, *parts])


@dataclass(frozen=True)
class Capture:
    """One recording session of a subject."""

    split: str
    number: int
    subject: int
    betas: NDArray[np.float64]  # (10,)
    skin: Skin
    sleeve: Sleeve
    has_forearm: bool
    lighting: Lighting
    rig: Rig
    studio: Studio | None  # the dark one behind the hand; None: rooms


class FramePlan(NamedTuple):
    """One frame of a sequence."""

    number: int  # InterHand2.6M's frame_idx
    phase: float  # 0..1 through the sequence
    cameras: tuple[int, ...]  # indices into the rig
    fault: str  # '' or a value of FAULTS


@dataclass(frozen=True)
class SequencePlan:
    """One sequence of a capture."""

    capture: Capture
    seq_name: str
    hand_type: str  # right, left or interacting
    gesture: GesturePose | None  # None: free motion
    frames: tuple[FramePlan, ...]

    @property
    def images(self) -> int:
        """Number of images."""
        return sum(len(frame.cameras) for frame in self.frames)


class _Folder(NamedTuple):
    """A sequence folder with its number of images; `parts` captures share it."""

    seq_name: str
    hand_type: str
    gesture: GesturePose | None
    images: int
    part: int = 0
    parts: int = 1


def plan(
    spec: DatasetSpec, poses: Sequence[GesturePose]
) -> Iterator[tuple[Capture, list[SequencePlan]]]:
    """All captures of train, val and test with their sequences, in file order."""
    quotas = _quotas(spec, len(gesture_folders(poses)))  # (subjects, folders)
    number = 0
    for subject, quota in enumerate(quotas):
        visits = 2 if subject % 3 == 0 else 1  # some subjects split their images over two captures
        for visit in range(visits):
            folders = [
                _Folder(name, hand, gesture, int(count), (visit + k) % visits, visits)
                for k, ((name, hand, gesture), count) in enumerate(
                    zip(gesture_folders(poses), quota, strict=True)
                )
            ]
            images = max(int(quota.max()) // 3, 1)
            free = round(spec.free_poses * int(quota.sum()) / visits)
            folders += _other_folders("train", number, images, free)
            capture = _capture(spec, "train", number, subject)
            yield capture, _sequences(spec, capture, folders)
            number += 1
    for split, captures in HELD_OUT_CAPTURES.items():
        for number in range(captures):
            capture = _capture(spec, split, number, number)
            folders = _other_folders(split, number, 2 * int(quotas.max()))
            yield capture, _sequences(spec, capture, folders)


def gesture_folders(poses: Sequence[GesturePose]) -> list[tuple[str, str, GesturePose]]:
    """Name, hand and pose of every gesture folder, sorted by name."""
    folders = [(pose.right_folder, "right", pose) for pose in poses]
    folders += [(pose.left_folder, "left", pose) for pose in poses]
    return sorted((f for f in folders if f[0]), key=lambda folder: folder[0])


def _quotas(spec: DatasetSpec, folders: int) -> NDArray[np.int64]:
    """Images of each subject in each folder, (subjects, folders), with the exact total.

    A subject's images are spread evenly over the folders, beginning in another one than the
    next subject's where there are too few for all.
    """
    weight = np.array([1.0] * spec.main_subjects + [spec.short_share] * spec.short_subjects)
    ends = np.rint(spec.frames * np.cumsum(weight) / weight.sum())
    images = np.diff(ends, prepend=0)[:, None]  # (subjects, 1)
    shift = np.linspace(0, 1, len(weight), endpoint=False)[:, None]
    reached = np.floor(images * np.arange(folders + 1) / folders + shift)
    return np.asarray(np.diff(reached).astype(np.int64))


def _other_folders(split: str, number: int, images: int, free: int = 0) -> list[_Folder]:
    """The ROM and two-hand folders of a capture, of `images` each.

    With `free` images of free poses, these are spread over all ROM folders instead.
    """
    names, counts = list(ROM_FOLDERS), [images] * len(ROM_FOLDERS)
    if free:
        ends = np.rint(np.linspace(0, free, len(names) + 1)).astype(int)
        counts = np.diff(ends).tolist()
    elif split == "train":
        start = number * ROM_FOLDERS_IN_TRAIN
        names = [names[(start + k) % len(names)] for k in range(ROM_FOLDERS_IN_TRAIN)]
    folders = [
        _Folder(_spelling(name, number), ROM_FOLDERS[name], None, count)
        for name, count in zip(names, counts, strict=False)
    ]
    folders += [_Folder(n, "interacting", None, images) for n in TWO_HAND_FOLDERS[split]]
    return folders


def _spelling(name: str, number: int) -> str:
    """The folder name as this capture spells it."""
    return name.replace("_Rt_", "_RT_").replace("_Lt_", "_LT_") if number % 2 else name


def _capture(spec: DatasetSpec, split: str, number: int, subject: int) -> Capture:
    person = spec.rng(split, "subject", subject)
    visit = spec.rng(split, "capture", number)
    has_forearm = bool(spec.rng(split, "forearm", number).uniform() >= spec.no_forearm)
    sleeve = sample_sleeve(visit)
    return Capture(
        split=split,
        number=number,
        subject=subject,
        betas=np.clip(person.normal(size=10), -2.5, 2.5),
        skin=sample_skin(person),
        sleeve=sleeve if has_forearm else BARE_ARM,
        has_forearm=has_forearm,
        lighting=sample_lighting(visit),
        rig=sample_rig(
            visit,
            spec.image_px,
            back_cameras=spec.back_cameras,
            spread_deg=spec.spread_deg,
            roll_deg=spec.roll_deg,
            distance_m=spec.distance_m,
            filled=spec.filled,
        ),
        studio=sample_studio(spec.rng(split, "studio", number), spec.dark_studios),
    )


def _sequences(
    spec: DatasetSpec, capture: Capture, folders: Sequence[_Folder]
) -> list[SequencePlan]:
    """The non-empty sequences of a capture, in order of time."""
    rng = spec.rng(capture.split, "plan", capture.number)
    sequences, start, count = [], int(rng.integers(100, 600)), 0
    for folder in folders:
        frames = _frames(spec, rng, len(capture.rig.cameras), folder, start)
        frames = [
            frame._replace(fault=FAULTS.get((count + k) % FAULT_PERIOD, ""))
            for k, frame in enumerate(frames)
        ]
        count += len(frames)
        start += max(SEQUENCE_FRAMES, folder.images) + int(rng.integers(20, 80))
        if frames:
            name, hand_type, gesture = folder[:3]
            sequences.append(SequencePlan(capture, name, hand_type, gesture, tuple(frames)))
    return sequences


def _frames(
    spec: DatasetSpec, rng: np.random.Generator, cameras: int, folder: _Folder, start: int
) -> list[FramePlan]:
    """Frames spread evenly over the sequence; captures that share a folder alternate."""
    views = min(spec.cameras_per_instant, cameras)
    count = -(-folder.images // views)
    length = max(SEQUENCE_FRAMES, count)
    shift = rng.uniform()
    frames = []
    for k in range(count):
        drawn = rng.choice(cameras, min(views, folder.images - k * views), replace=False)
        phase = (k + shift) / count
        if k % folder.parts == folder.part:
            chosen = tuple(int(camera) for camera in sorted(drawn))
            frames.append(FramePlan(start + int(phase * length), phase, chosen, ""))
    return frames
