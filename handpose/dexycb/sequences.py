"""Which sequences of DexYCB are in which split, in the official order of frames.

Source: NVlabs/dex-ycb-toolkit, dex_ycb_toolkit/dex_ycb.py. s0 divides sequences, s1 people, s2
cameras, s3 grasped objects.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import yaml

from handpose.data.annotation_table import FloatArray
from handpose.errors import HandPoseError

Setup = Literal["s0", "s1", "s2", "s3"]
Part = Literal["train", "test"]

SUBJECTS = (
    "20200709-subject-01",
    "20200813-subject-02",
    "20200820-subject-03",
    "20200903-subject-04",
    "20200908-subject-05",
    "20200918-subject-06",
    "20200928-subject-07",
    "20201002-subject-08",
    "20201015-subject-09",
    "20201022-subject-10",
)
SERIALS = (
    "836212060125",
    "839512060362",
    "840412060917",
    "841412060263",
    "932122060857",
    "932122060861",
    "932122061900",
    "932122062010",
)
"""Of the eight cameras."""

SEQUENCES = 100
"""Of each person, by name: five of each of twenty objects."""

EVERYONE, EVERY_CAMERA = tuple(range(len(SUBJECTS))), tuple(range(len(SERIALS)))


class SplitMembers(NamedTuple):
    """What a split takes."""

    subjects: Sequence[int]
    cameras: Sequence[int]
    sequences: Sequence[int]


class CapturedSequence(NamedTuple):
    """A person grasps an object once, seen by all cameras of the split."""

    folder: Path  # below the data set's
    subject: int  # from 1
    first: int  # official index of its first frame
    frames: int  # of each camera
    side: str
    betas: FloatArray  # (10,)


class DexYcbError(HandPoseError):
    """A file is missing, or is not DexYCB's."""


def members(setup: Setup, part: Part) -> SplitMembers:
    """The people, cameras and sequences of a split."""
    whole = tuple(range(SEQUENCES))
    if setup == "s0":
        last = [i for i in whole if i % 5 == 4]
        others = [i for i in whole if i % 5 != 4]
        train = SplitMembers(EVERYONE, EVERY_CAMERA, others)
        test = SplitMembers((2, 3, 4, 5, 6, 7, 8, 9), EVERY_CAMERA, last)
    elif setup == "s1":
        train = SplitMembers((0, 1, 2, 3, 4, 5, 9), EVERY_CAMERA, whole)
        test = SplitMembers((7, 8), EVERY_CAMERA, whole)
    elif setup == "s2":
        train = SplitMembers(EVERYONE, (0, 1, 2, 3, 4, 5), whole)
        test = SplitMembers(EVERYONE, (7,), whole)
    else:
        unseen = {3, 7, 11, 15, 19}  # objects; 3 and 19 are the validation split's
        train = SplitMembers(EVERYONE, EVERY_CAMERA, [i for i in whole if i // 5 not in unseen])
        test = SplitMembers(EVERYONE, EVERY_CAMERA, [i for i in whole if i // 5 in (7, 11, 15)])
    return train if part == "train" else test


def captured(root: Path, chosen: SplitMembers) -> list[CapturedSequence]:
    """The sequences of a split in the official order.

    Raises:
        DexYcbError: a person's folder, a meta.yml or a calibration is missing or incomplete.
    """
    found, first = [], 0
    for person in chosen.subjects:
        name = SUBJECTS[person]
        if not (root / name).is_dir():
            raise DexYcbError(
                f"{root / name}: not found; expected DexYCB's folders of people beside "
                "calibration/, as docs/benchmarks.md describes"
            )
        folders = sorted(path.name for path in (root / name).iterdir() if path.is_dir())
        if len(folders) != SEQUENCES:
            raise DexYcbError(
                f"{root / name}: holds {len(folders)} sequences, expected {SEQUENCES}; splits go "
                "by their numbers, so all must be there"
            )
        for sequence in chosen.sequences:
            folder = Path(name) / folders[sequence]
            meta = read_yaml(root / folder / "meta.yml", ("num_frames", "mano_sides", "mano_calib"))
            calib = root / "calibration" / f"mano_{meta['mano_calib'][0]}" / "mano.yml"
            betas = np.array(read_yaml(calib, ("betas",))["betas"], np.float64)
            if betas.shape != (10,):
                raise DexYcbError(f"{calib}: betas: expected 10 numbers, found {betas.shape}")
            frames = int(meta["num_frames"])
            found.append(
                CapturedSequence(folder, person + 1, first, frames, meta["mano_sides"][0], betas)
            )
            first += frames * len(chosen.cameras)
    return found


def intrinsics(root: Path, serial: str, size: tuple[int, int]) -> FloatArray:
    """K (3, 3) px of a camera's colour photos.

    Raises:
        DexYcbError: its calibration is missing or incomplete.
    """
    path = root / "calibration" / "intrinsics" / f"{serial}_{size[0]}x{size[1]}.yml"
    colour = read_yaml(path, ("color",))["color"]
    try:
        fx, fy, cx, cy = (float(colour[key]) for key in ("fx", "fy", "ppx", "ppy"))
    except (KeyError, TypeError, ValueError):
        raise DexYcbError(f"{path}: color: expected fx, fy, ppx, ppy, found {colour}") from None
    return np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])


def read_yaml(path: Path, keys: Sequence[str]) -> dict[str, Any]:
    """A YAML file with these keys.

    Raises:
        DexYcbError: it is missing, is no YAML, or lacks a key.
    """
    try:
        content = yaml.safe_load(path.read_text("utf-8"))
    except FileNotFoundError:
        raise DexYcbError(f"{path}: not found; unpack the whole of DexYCB") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise DexYcbError(f"{path}: is no YAML: {error}") from None
    missing = [key for key in keys if not isinstance(content, dict) or not content.get(key)]
    if missing:
        raise DexYcbError(f"{path}: has no {', '.join(missing)}")
    found: dict[str, Any] = content
    return found
