"""The `data/reader.py` interface for HO-3D: its evaluation set, and its training set if asked.

It stands beside a data set with gestures (`data/merged/merged_reader.py`): it has none itself.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import pyarrow as pa

from handpose.data.annotation_table import REJECT, Camera, FitForm, FloatArray, ManoFit
from handpose.data.merged.interval_units import Units
from handpose.data.merged.one_hand_table import FROM_OPENGL, Photos, one_hand_table, rejected
from handpose.data.reader import BenchmarkTruth, SourceSplit, SplitAnnotations
from handpose.data.splits import TRAIN
from handpose.hand.skeleton import FROM_MANO_AND_TIPS, WRIST
from handpose.ho3d.frame import EVALUATION_SHAPES, TRAIN_SHAPES, Frame, Ho3dError, read_frame

Version = Literal["v2", "v3"]

SUFFIX = {"v2": "png", "v3": "jpg"}
"""Of the photos: the only difference of format between the versions (README, July 2021)."""

EVALUATED = {"v2": 11_524, "v3": 20_137}
"""Frames of the evaluation sets (utils/vis_utils.py `db_size`)."""

SIZE = (640, 480)

WRIST_TOLERANCE_M = 1e-3
"""Distance of the wrists in the evaluation's pickles from those of its published truth."""

FORM = FitForm(pose="flat", tips="ho3d")

TRUTH = ("evaluation_xyz.json", "evaluation_verts.json")
"""The evaluation's truth, published in November 2024 beside the data set."""


class FrameName(NamedTuple):
    """A line of a list."""

    sequence: str
    number: str


class Ho3dReader:
    """Reads a folder with train/, evaluation/, their lists and the evaluation's published truth."""

    units = Units("recording", "recordings", "HO-3D does not say who is seen")
    wrist_is_given = True  # the only joint that the evaluation's pickles have

    def __init__(self, root: Path, *, version: Version, training: bool = False) -> None:
        """Nothing is read yet; `training`: the training set too."""
        self._root, self._version = root, version
        title = f"HO-3D {version}"
        self._evaluation = SourceSplit(
            f"ho3d_{version}_evaluation",
            f"the evaluation set of {title}",
            f"ho3d_{version}",
            self.units,
        )
        self._training = SourceSplit(
            f"ho3d_{version}_train", f"the training set of {title}", TRAIN, self.units
        )
        self._splits = [self._evaluation, *([self._training] if training else [])]

    def files(self) -> Sequence[Path]:
        """The lists, the frames' pickles, and the joints of the evaluation."""
        files = [self._root / TRUTH[0]]
        for split in self._splits:
            part = self._part(split)
            files.append(self._root / f"{part}.txt")
            files += [self._pickle(part, frame) for frame in read_frame_list(self._root, part)]
        return files

    def splits(self) -> Sequence[SourceSplit]:
        """The evaluation set and, if asked for, the training set."""
        return self._splits

    def read(self, split: SourceSplit) -> SplitAnnotations:
        """The annotations of a set; frames that HO-3D did not annotate are rejected.

        Raises:
            Ho3dError: a file is missing or damaged, is of another version or set, or contradicts
                the others.
        """
        part = self._part(split)
        names = read_frame_list(self._root, part)
        self._check_version(part, names)
        shapes = TRAIN_SHAPES if part == "train" else EVALUATION_SHAPES
        frames = [read_frame(self._pickle(part, name), shapes) for name in names]
        annotated = np.array([frame.values is not None for frame in frames], np.bool_)
        some = np.flatnonzero(annotated)
        if not len(some):
            raise Ho3dError(f"{self._root / f'{part}.txt'}: lists no frame that is annotated")
        lacking = np.flatnonzero(~annotated)
        no_hand = rejected(
            split.name,
            self._photos(part, [names[k] for k in lacking]),
            lacking,
            "not_annotated",
            "the data set has no hand for this frame",
        )
        own = [frames[k] for k in some]
        photos = self._photos(part, [names[k] for k in some])
        K = np.stack([frame.K for frame in own])
        count = len(own)
        camera = Camera(K, np.tile(FROM_OPENGL, (count, 1, 1)), np.zeros((count, 3)))
        every = np.ones((count, 21), np.bool_)
        if part == "train":
            joints = _stack(own, "handJoints3D")[:, FROM_MANO_AND_TIPS]
            pose = _stack(own, "handPose")
            fit = ManoFit(
                pose[:, :3], pose[:, 3:], _stack(own, "handBeta"), _stack(own, "handTrans")
            )
            table = one_hand_table(
                split.name,
                photos,
                camera=camera,
                joints=joints,
                joint_valid=every,
                fit=fit,
                form=FORM,
                annotation_id=some,
            )
        else:
            truth = read_points(self._root / TRUTH[0], len(names), 21)[some]
            joints = truth[:, FROM_MANO_AND_TIPS]
            self._check_wrists(joints, _stack(own, "handJoints3D"), [names[k] for k in some])
            corners = _stack(own, "handBoundingBox")
            table = one_hand_table(
                split.name,
                photos,
                camera=camera,
                joints=joints,
                joint_valid=every,
                form=FORM,
                boxes=np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], 1),
                annotation_id=some,
            )
        return SplitAnnotations(table, pa.concat_tables([REJECT.empty_table(), no_hand]))

    def truth(self) -> BenchmarkTruth:
        """The published joints and meshes of the evaluation set.

        Raises:
            Ho3dError: a file is missing, damaged, or of another version.
        """
        names = read_frame_list(self._root, "evaluation")
        self._check_version("evaluation", names)
        joints, vertices = (
            read_points(self._root / name, len(names), points) @ FROM_OPENGL
            for name, points in zip(TRUTH, (21, 778), strict=True)
        )
        photos = self._photos("evaluation", names)
        return BenchmarkTruth(
            np.arange(len(names)), joints[:, FROM_MANO_AND_TIPS], vertices, photos.session
        )

    def no_fits(self, split: SourceSplit) -> str:
        """Why there is none."""
        return "the evaluation set of HO-3D has no fit; its training set has one for each frame"

    def _part(self, split: SourceSplit) -> str:
        return "train" if split.evaluated_as == TRAIN else "evaluation"

    def _pickle(self, part: str, name: FrameName) -> Path:
        return self._root / part / name.sequence / "meta" / f"{name.number}.pkl"

    def _photos(self, part: str, names: Sequence[FrameName]) -> Photos:
        """The photos of these frames.

        A recording is of one person with an object, seen by up to five cameras, whose number is the
        second digit of the sequence's, if it has two: `SM1`, `ABF10` to `ABF14`.
        """
        split = [_recording(name.sequence) for name in names]
        recordings = sorted({recording for recording, _ in split})
        number = np.array([recordings.index(recording) for recording, _ in split], np.int64)
        suffix = SUFFIX[self._version]
        return Photos(
            image=[f"{part}/{n.sequence}/rgb/{n.number}.{suffix}" for n in names],
            sequence=[f"ho3d_{self._version}_{recording}" for recording, _ in split],
            subject=number,  # who it is nobody says, so intervals are over recordings
            session=number,
            camera=[camera for _, camera in split],
            frame=np.array([int(n.number) for n in names], np.int64),
            size=SIZE,
        )

    def _check_version(self, part: str, names: Sequence[FrameName]) -> None:
        """Refuse the other version: its photos have another format, its list another length."""
        (other,) = set(SUFFIX) - {self._version}
        first = names[0]
        folder = self._root / part / first.sequence / "rgb"
        found = None
        if (folder / f"{first.number}.{SUFFIX[other]}").is_file():
            found = f"{folder / first.number}.{SUFFIX[other]} is there, and version {other} alone "
            found += f"has photos in {SUFFIX[other]}"
        if part == "evaluation" and len(names) == EVALUATED[other]:
            found = (
                f"evaluation.txt lists {len(names):,} frames, as many as that of version {other}"
            )
        if found:
            raise Ho3dError(
                f"{self._root}: is HO-3D {other}, but data.benchmarks names it ho3d_"
                f"{self._version}: {found}. Name it ho3d_{other}"
            )

    def _check_wrists(
        self, joints: FloatArray, wrists: FloatArray, names: Sequence[FrameName]
    ) -> None:
        """Refuse a published truth that is not of these frames."""
        away = np.linalg.norm(joints[:, WRIST] - wrists, axis=-1)
        known = np.isfinite(away)
        if known.any() and (away[known] > WRIST_TOLERANCE_M).mean() > 0.5:
            at = int(np.flatnonzero(known & (away > WRIST_TOLERANCE_M))[0])
            raise Ho3dError(
                f"{self._root / TRUTH[0]}: the wrist of {'/'.join(names[at])} is "
                f"{np.round(joints[at, WRIST], 4).tolist()}, that in its pickle is "
                f"{np.round(wrists[at], 4).tolist()} m. Is it of the other version, in another "
                "unit, or in other axes than OpenGL's?"
            )


def read_frame_list(root: Path, part: str) -> list[FrameName]:
    """The frames of `train` or `evaluation`, in the order of the official list.

    Raises:
        Ho3dError: the list is missing, or a line is no SEQUENCE/NUMBER or doubled.
    """
    path = root / f"{part}.txt"
    try:
        lines = path.read_text("utf-8").split()
    except FileNotFoundError:
        raise Ho3dError(
            f"{path}: not found; expected HO-3D's folders train/ and evaluation/ with train.txt "
            "and evaluation.txt, as docs/benchmarks.md describes"
        ) from None
    except UnicodeDecodeError:
        raise Ho3dError(f"{path}: is no text of lines SEQUENCE/NUMBER") from None
    names = []
    for number, line in enumerate(lines, start=1):
        match = re.fullmatch(r"([A-Za-z]+\d+)/(\d+)", line)
        if not match:
            raise Ho3dError(f"{path}:{number}: expected SEQUENCE/NUMBER, found {line[:60]}")
        names.append(FrameName(*match.groups()))
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise Ho3dError(f"{path}: {'/'.join(twice[0])} is listed twice")
    if not names:
        raise Ho3dError(f"{path}: lists no frame")
    return names


def read_points(path: Path, count: int, points: int) -> FloatArray:
    """A published list of the evaluation, an entry of `points` x 3 m for each of `count` frames.

    In HO-3D's order and OpenGL's axes.

    Raises:
        Ho3dError: it is missing, damaged or of another length.
    """
    try:
        array = np.array(json.loads(path.read_bytes()), np.float64)
    except FileNotFoundError:
        raise Ho3dError(
            f"{path}: not found. It is the truth of the evaluation set, published in November 2024 "
            "as a download of its own: put it beside evaluation.txt"
        ) from None
    except (ValueError, TypeError, RecursionError) as error:
        raise Ho3dError(f"{path}: is no list of equally many points ({error})") from None
    if array.ndim != 3 or array.shape[1:] != (points, 3):
        raise Ho3dError(f"{path}: has shape {array.shape}, expected (frames, {points}, 3)")
    if len(array) != count:
        raise Ho3dError(
            f"{path}: holds {len(array):,} frames, evaluation.txt {count:,}: samples are missing "
            "or doubled, or it is of the other version"
        )
    return array


def _stack(frames: Sequence[Frame], key: str) -> FloatArray:
    return np.stack([frame.values[key] for frame in frames if frame.values is not None])


def _recording(sequence: str) -> tuple[str, str]:
    """Recording and camera: SM1 -> SM1, 0; ABF12 -> ABF1, 2."""
    match = re.fullmatch(r"([A-Za-z]+\d)(\d)", sequence)
    return (match[1], match[2]) if match else (sequence, "0")
