"""The `data/reader.py` interface for DexYCB: a setup's test set, and its training set if asked.

It stands beside a data set with gestures (`data/merged/merged_reader.py`): it has none itself.

Facts (NVlabs/dex-ycb-toolkit): metres, the camera's axes as ours, joints in our order by manopth's
fingertips, which are IntagHand's; `joint_3d` is all -1 and `pose_m` all 0 where there is no hand;
`pose_m` is 3 axis-angles, 45 coefficients of the side's hands_components, and the translation.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from handpose.data.annotation_table import Camera, FitForm, FloatArray, ManoFit
from handpose.data.merged.interval_units import PEOPLE
from handpose.data.merged.one_hand_table import Photos, one_hand_table, rejected
from handpose.data.reader import BenchmarkTruth, SourceSplit, SplitAnnotations
from handpose.data.splits import TRAIN
from handpose.dexycb.sequences import (
    SERIALS,
    CapturedSequence,
    DexYcbError,
    Part,
    Setup,
    SplitMembers,
    captured,
    intrinsics,
    members,
)

SIZE = (640, 480)
NO_HAND = -1.0
FORM = FitForm(pose="pca", tips="intaghand")

LABEL_SHAPES = {"joint_3d": (21, 3), "pose_m": (51,)}


class LabelledFrame(NamedTuple):
    """A photo and its labels."""

    sequence: CapturedSequence
    camera: int  # index into SERIALS
    number: int
    official: int  # its number in the official order of the split

    @property
    def folder(self) -> Path:
        """Of its files, below the data set's."""
        return self.sequence.folder / SERIALS[self.camera]


class DexYcbReader:
    """Reads a folder with DexYCB's people and calibration/."""

    units = PEOPLE
    wrist_is_given = False

    def __init__(self, root: Path, *, setup: Setup, training: bool = False) -> None:
        """Nothing is read yet; `training`: the training set too."""
        self._root, self._setup = root, setup
        test = SourceSplit(
            f"dexycb_{setup}_test", f"the test set of DexYCB {setup}", f"dexycb_{setup}", self.units
        )
        train = SourceSplit(
            f"dexycb_{setup}_train", f"the training set of DexYCB {setup}", TRAIN, self.units
        )
        self._splits = [test, *([train] if training else [])]

    def files(self) -> Sequence[Path]:
        """The labels and the calibration of each split."""
        files: dict[Path, None] = {}
        for split in self._splits:
            chosen = self._members(split)
            sequences = captured(self._root, chosen)
            folder = self._root / "calibration" / "intrinsics"
            width, height = SIZE
            files |= {folder / f"{SERIALS[c]}_{width}x{height}.yml": None for c in chosen.cameras}
            files |= {self._root / one.folder / "meta.yml": None for one in sequences}
            files |= {self._labels(frame): None for frame in _frames(sequences, chosen)}
        return list(files)

    def splits(self) -> Sequence[SourceSplit]:
        """The test set and, if asked for, the training set."""
        return self._splits

    def read(self, split: SourceSplit) -> SplitAnnotations:
        """The annotations of a set; frames without a hand are rejected.

        Fits of left hands are not read: their coefficients are of the left hand's components, which
        are in MANO_LEFT alone.

        Raises:
            DexYcbError: a file is missing or damaged.
        """
        chosen = self._members(split)
        frames = list(_frames(captured(self._root, chosen), chosen))
        labels = [read_labels(self._labels(frame)) for frame in frames]
        joints = np.stack([one["joint_3d"] for one in labels])
        pose = np.stack([one["pose_m"] for one in labels])
        there = ~(joints == NO_HAND).all((1, 2))
        some, lacking = np.flatnonzero(there), np.flatnonzero(~there)
        own = [frames[k] for k in some]
        K = {c: intrinsics(self._root, SERIALS[c], SIZE) for c in chosen.cameras}
        count = len(own)
        side = np.array([frame.sequence.side for frame in own], np.str_)
        table = one_hand_table(
            split.name,
            self._photos(own),
            camera=Camera(
                np.array([K[frame.camera] for frame in own]).reshape(-1, 3, 3),
                np.tile(np.eye(3), (count, 1, 1)),
                np.zeros((count, 3)),
            ),
            joints=joints[some],
            joint_valid=np.ones((count, 21), np.bool_),
            fit=ManoFit(
                pose[some, :3],
                pose[some, 3:48],
                np.array([frame.sequence.betas for frame in own]).reshape(-1, 10),
                pose[some, 48:],
            ),
            has_fit=(side == "right") & (pose[some] != 0).any(1),
            form=FORM,
            hand=side.tolist(),
            annotation_id=np.array([frame.official for frame in own], np.int64),
        )
        no_hand = rejected(
            split.name,
            self._photos([frames[k] for k in lacking]),
            np.array([frames[k].official for k in lacking], np.int64),
            "not_annotated",
            "the data set has no hand for this frame",
        )
        return SplitAnnotations(table, no_hand)

    def truth(self) -> BenchmarkTruth:
        """The joints of the test set's frames that have a hand.

        Raises:
            DexYcbError: a file is missing or damaged.
        """
        rows = self.read(self._splits[0]).usable
        at = rows.table["joints_at"].to_numpy()
        index = rows.table["annotation_id"].to_numpy()
        return BenchmarkTruth(index, rows.joints.joints[at], None, rows.table["subject"].to_numpy())

    def no_fits(self, split: SourceSplit) -> str:
        """Why there is none."""
        return "DexYCB's fits of left hands are not read; those of right hands are"

    def _members(self, split: SourceSplit) -> SplitMembers:
        part: Part = "train" if split.evaluated_as == TRAIN else "test"
        return members(self._setup, part)

    def _labels(self, frame: LabelledFrame) -> Path:
        return self._root / frame.folder / f"labels_{frame.number:06d}.npz"

    def _photos(self, frames: Sequence[LabelledFrame]) -> Photos:
        starts = {frame.sequence.folder: frame.sequence.first for frame in frames}
        sessions = {folder: number for number, folder in enumerate(sorted(starts))}
        return Photos(
            image=[f"{f.folder.as_posix()}/color_{f.number:06d}.jpg" for f in frames],
            sequence=[f"dexycb_{f.sequence.folder.name}" for f in frames],
            subject=np.array([f.sequence.subject for f in frames], np.int64),
            session=np.array([sessions[f.sequence.folder] for f in frames], np.int64),
            camera=[SERIALS[f.camera] for f in frames],
            frame=np.array([f.number for f in frames], np.int64),
            size=SIZE,
        )


def _frames(sequences: Sequence[CapturedSequence], chosen: SplitMembers) -> Iterator[LabelledFrame]:
    """All frames in the official order: camera by camera within a sequence."""
    for sequence in sequences:
        for position, camera in enumerate(chosen.cameras):
            first = sequence.first + position * sequence.frames
            for number in range(sequence.frames):
                yield LabelledFrame(sequence, camera, number, first + number)


def read_labels(path: Path) -> dict[str, FloatArray]:
    """The joints and the fit of a frame, by key of `LABEL_SHAPES`.

    Raises:
        DexYcbError: the file is missing, damaged, or lacks a key.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            found = {key: np.asarray(file[key], np.float64) for key in LABEL_SHAPES if key in file}
    except FileNotFoundError:
        raise DexYcbError(f"{path}: not found; meta.yml counts it") from None
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise DexYcbError(f"{path}: is not a readable npz file ({error})") from None
    for key, shape in LABEL_SHAPES.items():
        if key not in found or found[key].size != int(np.prod(shape)):
            size = found[key].shape if key in found else "nothing"
            raise DexYcbError(f"{path}: {key}: expected {shape} numbers, found {size}")
    return {key: found[key].reshape(shape) for key, shape in LABEL_SHAPES.items()}
