"""Annotation files in InterHand2.6M's own layout, streamed, so that 200,000 images need no memory.

Keys, types and units are those of the public files: world millimetres, MANO translations in
metres, captures, cameras and frames as keys that are strings, 42 joints of which the right hand's
come first. Source: facebookresearch/InterHand2.6M; mmpose tests/data/interhand2.6m.
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
"""One hand's joints in the files' order: level 4 is the tip, level 1 the base."""


ID_GAP = 10
"""Ids leap by this from capture to capture: the real ones have gaps too, and no reader may mind."""


class WorldCamera(NamedTuple):
    """A calibrated camera of a capture."""

    name: str  # '400026': colour cameras begin with 400, grey ones with 410
    R: FloatArray  # (3, 3) world -> camera
    centre: FloatArray  # (3,) m, world
    K: FloatArray  # (3, 3) px
    size: tuple[int, int]  # width, height, px


class ImageRecord(NamedTuple):
    """One image of an instant and what is annotated of its view."""

    camera: str
    file_name: str
    size: tuple[int, int]
    bbox: FloatArray  # (4,) x, y, w, h, px
    joint_valid: NDArray[np.bool_]  # (42,) annotated, of a hand that is there, inside the frame


class WorldFit(NamedTuple):
    """MANO parameters of one hand in the world, its own (a left hand's are not mirrored)."""

    pose: FloatArray  # (48,) axis-angle, root first, the rest relative to hands_mean
    shape: FloatArray  # (10,)
    trans: FloatArray  # (3,) m


class FrameRecord(NamedTuple):
    """One moment of a sequence, seen by one camera or several."""

    capture: int
    subject: int
    seq_name: str
    frame: int
    hand_type: str  # right, left or interacting
    hand_type_valid: bool
    joints: FloatArray  # (42, 3) m, world; 0 where not valid
    joint_valid: NDArray[np.bool_]  # (42,)
    fits: Mapping[str, WorldFit | None] | None  # 'right' and 'left'; None: the frame is not listed
    photos: Sequence[ImageRecord]


class InterHandWriter:
    """Writes the four annotation files of one split; use it as a context manager."""

    def __init__(self, folder: Path, split: str) -> None:
        """The files go to `folder` (`annotations/<split>`), which is made."""
        folder.mkdir(parents=True, exist_ok=True)
        self._path = {
            kind: folder / f"InterHand2.6M_{split}_{kind}.json"
            for kind in ("data", "camera", "joint_3d", "MANO_NeuralAnnot")
        }
        self._cameras: dict[str, Any] = {}
        self._gap = 0
        self.count = 0  # images so far

    def __enter__(self) -> InterHandWriter:
        """Open the files."""
        with ExitStack() as stack:
            self._images = stack.enter_context(self._path["data"].open("w", encoding="utf-8"))
            self._later = self._path["data"].with_suffix(".annotations")
            stack.callback(self._later.unlink, missing_ok=True)
            self._annotations = stack.enter_context(self._later.open("w+", encoding="utf-8"))
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
        """The cameras of a capture, before its instants."""
        self._gap += ID_GAP
        self._cameras[str(number)] = {
            "campos": {c.name: _rounded(1000 * c.centre, 5) for c in cameras},
            "camrot": {c.name: _rounded(c.R, 9) for c in cameras},
            "focal": {c.name: _rounded(c.K[[0, 1], [0, 1]], 5) for c in cameras},
            "princpt": {c.name: _rounded(c.K[:2, 2], 5) for c in cameras},
        }

    def add(self, instant: FrameRecord) -> None:
        """The annotations of an instant and its photos; those of a capture come together."""
        key = (str(instant.capture), str(instant.frame))
        self._joints.add(
            *key,
            {
                "world_coord": _rounded(1000 * instant.joints, 4),
                "joint_valid": [[bool(valid)] for valid in instant.joint_valid],
                "hand_type": instant.hand_type,
                "hand_type_valid": instant.hand_type_valid,
            },
        )
        if instant.fits is not None:
            self._fits.add(*key, {hand: _fit(fit) for hand, fit in instant.fits.items()})
        for photo in instant.photos:
            self._add_photo(instant, photo)

    def _add_photo(self, instant: FrameRecord, photo: ImageRecord) -> None:
        number = self.count + self._gap
        image = {
            "id": number,
            "file_name": photo.file_name,
            "width": photo.size[0],
            "height": photo.size[1],
            "capture": instant.capture,
            "subject": instant.subject,
            "seq_name": instant.seq_name,
            "camera": photo.camera,
            "frame_idx": instant.frame,
        }
        annotation = {
            "id": number,
            "image_id": number,
            "bbox": _rounded(photo.bbox, 3),
            "joint_valid": [[int(valid)] for valid in photo.joint_valid],
            "hand_type": instant.hand_type,
            "hand_type_valid": int(instant.hand_type_valid),
        }
        self._images.write(", " if self.count else '{"images": [')
        self._images.write(json.dumps(image))
        self._annotations.write(", " if self.count else "")
        self._annotations.write(json.dumps(annotation))
        self.count += 1


class _Nested:
    """A JSON object of objects, written entry by entry."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._outer: str | None = None
        file.write("{")

    def add(self, outer: str, inner: str, value: Any) -> None:
        """The entry {outer: {inner: value}}; all of an outer key come one after the other."""
        if outer != self._outer:
            self._file.write("" if self._outer is None else "}, ")
            self._file.write(f"{json.dumps(outer)}: {{")
        else:
            self._file.write(", ")
        self._outer = outer
        self._file.write(f"{json.dumps(inner)}: {json.dumps(value, allow_nan=False)}")

    def close(self) -> None:
        """Close both levels."""
        self._file.write("}" if self._outer is None else "}}")


def write_skeleton(path: Path) -> None:
    """skeleton.txt: name, index and parent's index of the 42 joints."""
    lines = ["# joint_name joint_id joint_parent_id"]
    for hand, start in (("r", 0), ("l", 21)):
        for index, name in enumerate(HAND_JOINTS):
            above = start + (20 if name.endswith("1") else index + 1)
            parent = -1 if name == "wrist" else above
            lines.append(f"{name}_{hand} {start + index} {parent}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _fit(fit: WorldFit | None) -> dict[str, Any] | None:
    if fit is None:
        return None
    pose, shape, trans = (_rounded(part, 7) for part in fit)
    return {"pose": pose, "shape": shape, "trans": trans}


def _rounded(values: NDArray[np.floating], digits: int) -> Any:
    """Plain nested lists, rounded far below what anybody can measure."""
    return np.round(np.asarray(values, np.float64), digits).tolist()
