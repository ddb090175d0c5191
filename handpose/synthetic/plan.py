"""What a synthetic InterHand2.6M holds: subjects, their captures, and the sequences of each.

This is the plan only: who does what before which cameras, and which fault each instant has. It is
a pure function of a `DatasetSpec`; `sequence.py` carries it out. As in the real data set, train
holds the gesture folders, val and test hold ROM folders, a subject may come to several captures,
and frame numbers run on through a capture.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from handpose.synthetic.articulation import GesturePose
from handpose.synthetic.background import Lamps, sample_lamps
from handpose.synthetic.rig import Rig, sample_rig
from handpose.synthetic.skin import Skin, Sleeve, sample_skin, sample_sleeve

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
"""Single-hand range-of-motion folders; odd captures spell the last two in capitals, as found."""

TWO_HAND_FOLDERS = {
    "train": ("0266_dh_pray", "0390_dh_touchROM"),
    "val": ("ROM02_Interaction_2_Hand",),
    "test": ("ROM01_No_Interaction_2_Hand", "ROM09_Interaction_Fingers_Touching"),
}

HELD_OUT_CAPTURES = {"val": 1, "test": 2}
ROM_FOLDERS_IN_TRAIN = 4

SEQUENCE_FRAMES = 240
"""Frame numbers from the start of one sequence to the start of the next, at least."""

FAULTS = {13: "no_fit", 29: "no_fit_entry", 47: "joints_lost", 61: "hand_lost", 79: "type_unsure"}
FAULT_PERIOD = 97
"""Every so many instants of a capture, each of the faults that real annotations have occurs once:

no_fit: MANO is null; no_fit_entry: its frame is missing; joints_lost: a few joints are invalid;
hand_lost: nearly all are; type_unsure: hand_type_valid is 0."""


@dataclass(frozen=True)
class DatasetSpec:
    """All that the data set depends on, besides the hand model and the gesture poses."""

    seed: int
    frames: int  # images in the gesture folders
    main_subjects: int
    short_subjects: int  # with half as many images each
    cameras_per_instant: int
    back_cameras: float  # share of a rig that faces the back of the hand
    image_px: tuple[int, int]  # long and short side
    supersampling: int
    jpeg_quality: int
    pose_jitter_deg: float

    def rng(self, *key: str | int) -> np.random.Generator:
        """The generator of one thing, whoever asks for it and when."""
        parts = [zlib.crc32(part.encode()) if isinstance(part, str) else part for part in key]
        return np.random.default_rng([self.seed, *parts])


@dataclass(frozen=True)
class Capture:
    """One visit of a subject to a studio."""

    split: str
    number: int
    subject: int
    betas: NDArray[np.float64]  # (10,)
    skin: Skin
    sleeve: Sleeve
    lamps: Lamps
    rig: Rig


class Moment(NamedTuple):
    """One instant of a sequence."""

    frame: int
    phase: float  # 0..1 through the sequence
    cameras: tuple[int, ...]  # indices into the rig
    fault: str  # '' or a value of FAULTS


@dataclass(frozen=True)
class Take:
    """One sequence of a capture."""

    capture: Capture
    seq_name: str
    hand_type: str  # right, left or interacting
    gesture: GesturePose | None  # None: free motion
    moments: tuple[Moment, ...]

    @property
    def images(self) -> int:
        """Number of photos."""
        return sum(len(moment.cameras) for moment in self.moments)


class _Folder(NamedTuple):
    """A folder to be filled with so many images, `part` of `parts` captures that share it."""

    seq_name: str
    hand_type: str
    gesture: GesturePose | None
    images: int
    part: int = 0
    parts: int = 1


def plan(recipe: DatasetSpec, poses: Sequence[GesturePose]) -> Iterator[tuple[Capture, list[Take]]]:
    """Every capture of train, val and test with its sequences, in the order of the files."""
    quotas = _quotas(recipe, len(gesture_folders(poses)))  # (subjects, folders)
    number = 0
    for subject, quota in enumerate(quotas):
        visits = 2 if subject % 3 == 0 else 1  # some subjects come twice and share their images
        for visit in range(visits):
            folders = [
                _Folder(name, hand, gesture, int(count), (visit + k) % visits, visits)
                for k, ((name, hand, gesture), count) in enumerate(
                    zip(gesture_folders(poses), quota, strict=True)
                )
            ]
            folders += _other_folders("train", number, max(int(quota.max()) // 3, 1))
            capture = _capture(recipe, "train", number, subject)
            yield capture, _takes(recipe, capture, folders)
            number += 1
    for split, captures in HELD_OUT_CAPTURES.items():
        for number in range(captures):
            capture = _capture(recipe, split, number, number)
            folders = _other_folders(split, number, 2 * int(quotas.max()))
            yield capture, _takes(recipe, capture, folders)


def gesture_folders(poses: Sequence[GesturePose]) -> list[tuple[str, str, GesturePose]]:
    """Name, hand and pose of every gesture folder, by name."""
    folders = [(pose.right_folder, "right", pose) for pose in poses]
    folders += [(pose.left_folder, "left", pose) for pose in poses]
    return sorted((f for f in folders if f[0]), key=lambda folder: folder[0])


def _quotas(recipe: DatasetSpec, folders: int) -> NDArray[np.int64]:
    """Images of each subject in each folder, (subjects, folders): their sum is exact.

    A subject with long sequences gets twice as many; rounding is carried from folder to folder.
    """
    weight = np.array([2] * recipe.main_subjects + [1] * recipe.short_subjects)
    share = np.tile(weight / (weight.sum() * folders), folders)
    ends = np.rint(recipe.frames * np.cumsum(share)).astype(np.int64)
    return np.asarray(np.diff(ends, prepend=0).reshape(folders, -1).T)


def _other_folders(split: str, number: int, images: int) -> list[_Folder]:
    """The ROM and two-hand folders of a capture."""
    names = list(ROM_FOLDERS)
    if split == "train":
        start = number * ROM_FOLDERS_IN_TRAIN
        names = [names[(start + k) % len(names)] for k in range(ROM_FOLDERS_IN_TRAIN)]
    folders = [_Folder(_spelling(n, number), ROM_FOLDERS[n], None, images) for n in names]
    folders += [_Folder(n, "interacting", None, images) for n in TWO_HAND_FOLDERS[split]]
    return folders


def _spelling(name: str, number: int) -> str:
    """The folder's name as this capture has it."""
    return name.replace("_Rt_", "_RT_").replace("_Lt_", "_LT_") if number % 2 else name


def _capture(recipe: DatasetSpec, split: str, number: int, subject: int) -> Capture:
    person = recipe.rng(split, "subject", subject)
    visit = recipe.rng(split, "capture", number)
    return Capture(
        split=split,
        number=number,
        subject=subject,
        betas=np.clip(person.normal(size=10), -2.5, 2.5),
        skin=sample_skin(person),
        sleeve=sample_sleeve(visit),
        lamps=sample_lamps(visit),
        rig=sample_rig(visit, recipe.image_px, recipe.back_cameras),
    )


def _takes(recipe: DatasetSpec, capture: Capture, folders: Sequence[_Folder]) -> list[Take]:
    """The sequences of a capture, one after the other in time, none of them empty."""
    rng = recipe.rng(capture.split, "plan", capture.number)
    takes, start, count = [], int(rng.integers(100, 600)), 0
    for folder in folders:
        moments = _moments(recipe, rng, len(capture.rig.cameras), folder, start)
        moments = [
            moment._replace(fault=FAULTS.get((count + k) % FAULT_PERIOD, ""))
            for k, moment in enumerate(moments)
        ]
        count += len(moments)
        start += max(SEQUENCE_FRAMES, folder.images) + int(rng.integers(20, 80))
        if moments:
            name, hand_type, gesture = folder[:3]
            takes.append(Take(capture, name, hand_type, gesture, tuple(moments)))
    return takes


def _moments(
    recipe: DatasetSpec, rng: np.random.Generator, cameras: int, folder: _Folder, start: int
) -> list[Moment]:
    """Instants evenly over the whole sequence; captures that share a folder take turns."""
    views = min(recipe.cameras_per_instant, cameras)
    instants = -(-folder.images // views)
    length = max(SEQUENCE_FRAMES, instants)
    shift = rng.uniform()
    moments = []
    for k in range(instants):
        seen_by = rng.choice(cameras, min(views, folder.images - k * views), replace=False)
        phase = (k + shift) / instants
        if k % folder.parts == folder.part:
            chosen = tuple(int(camera) for camera in sorted(seen_by))
            moments.append(Moment(start + int(phase * length), phase, chosen, ""))
    return moments
