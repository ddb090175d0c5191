"""Writes annotation files in InterHand2.6M's layout, streamed: memory does not grow with images.

Keys, types and units are those of the public files: world millimetres, MANO translations in
metres, captures, cameras and frames as string keys, 42 joints with the right hand first.
Source: facebookresearch/InterHand2.6M; mmpose tests/data/interhand2.6m.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import numpy as np
from numpy.typing import NDArray

from handpose.hand.skeleton import FINGERS

FloatArray = NDArray[np.floating[Any]]

HAND_JOINTS = (*(f"{finger}{level}" for finger in FINGERS for level in (4, 3, 2, 1)), "wrist")
"""Joints of one hand in file order: level 4 is the tip, level 1 the base."""


ID_GAP = 10
"""Gap in the image ids between captures: real ids have gaps, and readers must accept them."""


class WorldCamera(NamedTuple):
    """A calibrated camera of a capture."""

    name: str  # e.g. '400026'; colour cameras start with 400, grey ones with 410
    R: FloatArray  # (3, 3) world -> camera
    centre: FloatArray  # (3,) m, world
    K: FloatArray  # (3, 3) px
    size: tuple[int, int]  # width, height, px


class ImageRecord(NamedTuple):
    """One image of a frame and its annotation."""

    camera: str
    file_name: str
    size: tuple[int, int]
    bbox: FloatArray  # (4,) x, y, w, h, px
    joint_valid: NDArray[np.bool_]  # (42,) valid in the frame and inside the image


class WorldManoFit(NamedTuple):
    """MANO parameters of one hand in the world; of a left hand, those of the left model."""

    pose: FloatArray  # (48,) axis-angle, root first, the rest relative to hands_mean
    shape: FloatArray  # (10,)
    trans: FloatArray  # (3,) m


class FrameRecord(NamedTuple):
    """One frame of a sequence, with an image per camera."""

    capture: int
    subject: int
    seq_name: str
    frame: int
    hand_type: str  # right, left or interacting
    hand_type_valid: bool
    joints: FloatArray  # (42, 3) m, world; 0 where not valid
    joint_valid: NDArray[np.bool_]  # (42,)
    fits: Mapping[str, WorldManoFit | None] | None  # by side; None: frame not listed
    images: Sequence[ImageRecord]


class FrameText(NamedTuple):
    """The JSON of a frame, made by the process that renders it: the writer only copies it."""

    capture: int
    frame: int
    joints: str
    fits: str | None  # None: frame not listed
    images: Sequence[tuple[str, str]]  # an image and its annotation, both without `{` and ids


def frame_text(record: FrameRecord) -> FrameText:
    """A frame and its images as JSON."""
    joints = {
        "world_coord": _rounded(1000 * record.joints, 4),
        "joint_valid": [[bool(valid)] for valid in record.joint_valid],
        "hand_type": record.hand_type,
        "hand_type_valid": record.hand_type_valid,
    }
    fits = None
    if record.fits is not None:
        fits = _strict({hand: _fit_entry(fit) for hand, fit in record.fits.items()})
    images = [_image_text(record, image) for image in record.images]
    return FrameText(record.capture, record.frame, _strict(joints), fits, images)


def _image_text(record: FrameRecord, image: ImageRecord) -> tuple[str, str]:
    entry = {
        "file_name": image.file_name,
        "width": image.size[0],
        "height": image.size[1],
        "capture": record.capture,
        "subject": record.subject,
        "seq_name": record.seq_name,
        "camera": image.camera,
        "frame_idx": record.frame,
    }
    annotation = {
        "bbox": _rounded(image.bbox, 3),
        "joint_valid": [[int(valid)] for valid in image.joint_valid],
        "hand_type": record.hand_type,
        "hand_type_valid": int(record.hand_type_valid),
    }
    return json.dumps(entry)[1:], json.dumps(annotation)[1:]


def _strict(value: Any) -> str:
    return json.dumps(value, allow_nan=False)


class InterHandWriter:
    """Writes the four annotation files of one split; a context manager."""

    def __init__(self, folder: Path, split: str) -> None:
        """The files go to `folder` (`annotations/<split>`), which is created."""
        folder.mkdir(parents=True, exist_ok=True)
        self._path = {
            kind: folder / f"InterHand2.6M_{split}_{kind}.json"
            for kind in ("data", "camera", "joint_3d", "MANO_NeuralAnnot")
        }
        self._cameras: dict[str, Any] = {}
        self._gap = 0
        self.count = 0  # images written so far

    def __enter__(self) -> InterHandWriter:
        """Open the files."""
        with ExitStack() as stack:
            self._images = stack.enter_context(self._path["data"].open("w", encoding="utf-8"))
            self._annotations_path = self._path["data"].with_suffix(".annotations")
            stack.callback(self._annotations_path.unlink, missing_ok=True)
            self._annotations = stack.enter_context(
                self._annotations_path.open("w+", encoding="utf-8")
            )
            self._joints = _Nested(stack.enter_context(self._path["joint_3d"].open("w")))
            self._fits = _Nested(stack.enter_context(self._path["MANO_NeuralAnnot"].open("w")))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        """Complete and close the files."""
        with self._stack:
            if self.count == 0:
                self._images.write('{"images": [')
            self._images.write('], "annotations": [')
            self._annotations.seek(0)
            shutil.copyfileobj(self._annotations, self._images)
            self._images.write("]}")
            self._joints.close()
            self._fits.close()
            self._path["camera"].write_text(json.dumps(self._cameras), encoding="utf-8")

    def add_capture(self, number: int, cameras: Sequence[WorldCamera]) -> None:
        """Write the cameras of a capture; call it before the records of that capture."""
        self._gap += ID_GAP
        self._cameras[str(number)] = {
            "campos": {c.name: _rounded(1000 * c.centre, 5) for c in cameras},
            "camrot": {c.name: _rounded(c.R, 9) for c in cameras},
            "focal": {c.name: _rounded(c.K[[0, 1], [0, 1]], 5) for c in cameras},
            "princpt": {c.name: _rounded(c.K[:2, 2], 5) for c in cameras},
        }

    def add(self, text: FrameText) -> None:
        """Write a frame and its images; the frames of a capture must be consecutive."""
        key = (str(text.capture), str(text.frame))
        self._joints.add(*key, text.joints)
        if text.fits is not None:
            self._fits.add(*key, text.fits)
        for entry, annotation in text.images:
            number = self.count + self._gap
            self._images.write(", " if self.count else '{"images": [')
            self._images.write(f'{{"id": {number}, {entry}')
            self._annotations.write(", " if self.count else "")
            self._annotations.write(f'{{"id": {number}, "image_id": {number}, {annotation}')
            self.count += 1


class _Nested:
    """Streams a JSON object of objects."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._outer: str | None = None
        file.write("{")

    def add(self, outer: str, inner: str, value: str) -> None:
        """Write {outer: {inner: JSON}}; the entries of an outer key must be consecutive."""
        if outer != self._outer:
            self._file.write("" if self._outer is None else "}, ")
            self._file.write(f"{json.dumps(outer)}: {{")
        else:
            self._file.write(", ")
        self._outer = outer
        self._file.write(f"{json.dumps(inner)}: {value}")

    def close(self) -> None:
        """Close both objects."""
        self._file.write("}" if self._outer is None else "}}")


def write_skeleton(path: Path) -> None:
    """Write skeleton.txt: name, index and parent index of the 42 joints."""
    lines = ["# joint_name joint_id joint_parent_id"]
    for hand, start in (("r", 0), ("l", 21)):
        for index, name in enumerate(HAND_JOINTS):
            above = start + (20 if name.endswith("1") else index + 1)
            parent = -1 if name == "wrist" else above
            lines.append(f"{name}_{hand} {start + index} {parent}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _fit_entry(fit: WorldManoFit | None) -> dict[str, Any] | None:
    if fit is None:
        return None
    pose, shape, trans = (_rounded(part, 7) for part in fit)
    return {"pose": pose, "shape": shape, "trans": trans}


def _rounded(values: NDArray[np.floating], digits: int) -> Any:
    """Nested lists, rounded well below measurement accuracy."""
    return np.round(np.asarray(values, np.float64), digits).tolist()
