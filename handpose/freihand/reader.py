"""The `data/reader.py` interface for FreiHAND: its evaluation set, and its training set if asked.

It stands beside a data set with gestures (`data/merged/merged_reader.py`): it has none itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from handpose.data.annotation_table import REJECT, Camera, FitForm, ManoFit
from handpose.data.merged.interval_units import Units
from handpose.data.merged.one_hand_table import Photos, one_hand_table
from handpose.data.reader import BenchmarkTruth, SourceSplit, SplitAnnotations
from handpose.data.splits import TRAIN
from handpose.freihand.lists import (
    PHOTO_PX,
    SHAPES,
    VERTS,
    FreiHandError,
    list_file,
    read_list,
    read_lists,
)

BLOCKS = 30
"""FreiHAND says neither who is seen nor what belongs to one recording. Photos follow each other in
time, so intervals take as one unit, instead of a person, each of so many blocks of photos."""

UNITS = Units(
    "block of consecutive photos", "blocks of consecutive photos", "FreiHAND names no people"
)

EVALUATION = SourceSplit(
    "freihand_evaluation", "FreiHAND's evaluation set", "freihand", units=UNITS
)
TRAINING = SourceSplit("freihand_training", "FreiHAND's training set", TRAIN, units=UNITS)
PARTS = {EVALUATION.name: "evaluation", TRAINING.name: "training"}

VERSIONS = ("gs", "hom", "sample", "auto")
"""Of each training hand: photo `id + k * hands` is version k (fh_utils.py `sample_version`)."""

FORM = FitForm(placed="middle_mcp", tips="freihand", root_in_doubt=True)


class FreiHandReader:
    """Reads a folder with training/, evaluation/ and FreiHAND's JSON lists."""

    units = UNITS
    wrist_is_given = False

    def __init__(self, root: Path, *, training: bool = False) -> None:
        """Nothing is read yet; `training`: the training set too."""
        self._root, self._splits = root, [EVALUATION, *([TRAINING] if training else [])]

    def files(self) -> Sequence[Path]:
        """The lists of each split."""
        parts = [PARTS[split.name] for split in self._splits]
        return [list_file(self._root, part, name) for part in parts for name in SHAPES]

    def splits(self) -> Sequence[SourceSplit]:
        """The evaluation set and, if asked for, the training set."""
        return self._splits

    def read(self, split: SourceSplit) -> SplitAnnotations:
        """The annotations of a set: each photo of its hands.

        Raises:
            FreiHandError: see `read_lists`.
        """
        part = PARTS[split.name]
        hands = read_lists(self._root, part)
        versions = VERSIONS if split.name == TRAINING.name else VERSIONS[:1]
        count = len(hands)
        photo = np.arange(count * len(versions))
        hand_at = photo % count
        block = _block(hand_at, count)
        photos = Photos(
            image=[f"{part}/rgb/{k:08d}.jpg" for k in photo.tolist()],
            sequence=[split.name] * len(photo),
            subject=block,
            session=block,
            camera=[version for version in versions for _ in range(count)],
            frame=hand_at,
            size=(PHOTO_PX, PHOTO_PX),
        )
        table = one_hand_table(
            split.name,
            photos,
            camera=Camera(hands.K, np.tile(np.eye(3), (count, 1, 1)), np.zeros((count, 3))),
            joints=hands.joints,
            joint_valid=np.ones((count, 21), np.bool_),
            fit=ManoFit(hands.global_orient, hands.hand_pose, hands.betas, hands.root),
            form=FORM,
            hand_at=hand_at,
        )
        return SplitAnnotations(table, REJECT.empty_table())

    def truth(self) -> BenchmarkTruth:
        """The joints and meshes of the evaluation set.

        Raises:
            FreiHandError: see `read_lists`; or the meshes are missing or are not of these hands.
        """
        part = PARTS[EVALUATION.name]
        joints, path = read_lists(self._root, part).joints, list_file(self._root, part, VERTS)
        vertices = read_list(path, (778, 3))
        if len(vertices) != len(joints):
            raise FreiHandError(
                f"{path}: holds {len(vertices):,} hands, the other lists {len(joints):,}"
            )
        number = np.arange(len(joints))
        return BenchmarkTruth(number, joints, vertices, _block(number, len(joints)))

    def no_fits(self, split: SourceSplit) -> str:
        """Where the fits are."""
        return f"{list_file(self._root, PARTS[split.name], 'mano')} has none that is finite"


def _block(hand: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    return np.asarray(hand * BLOCKS // count)
