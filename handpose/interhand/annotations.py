"""InterHand2.6M's annotation files, converted to our keys, units and joint order.

A split has four JSON files (`data`, `camera`, `joint_3d`, `MANO_NeuralAnnot`), joined on capture,
camera and frame; capture numbers restart in every split. Millimetres become metres here and
nowhere else. `hand_annotation.py` makes one hand of an annotation.

Source of the format: mks0601.github.io/InterHand2.6M and facebookresearch/InterHand2.6M.
"""

from __future__ import annotations

import gc
import json
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from handpose.data.annotation_table import BOX_BYTES, NO_BOX, Camera, FloatArray, ManoFit
from handpose.errors import HandPoseError
from handpose.file_content import recognise
from handpose.hand.skeleton import FROM_INTERHAND
from handpose.interhand.layout import EARLY, layout_faults

Json = Mapping[str, Any]

OFFICIAL_SPLITS = ("train", "val", "test")
FILES = ("data", "camera", "joint_3d", "MANO_NeuralAnnot")
HANDS = ("right", "left")
"""InterHand2.6M's order: its joints 0-20 are the right hand's, 21-41 the left one's."""

FLAGS = 42
"""Joints of both hands: each annotation and each frame has a flag for every one."""

SOURCES = (
    "The real one comes from https://mks0601.github.io/InterHand2.6M; with data.root: "
    "data/synthetic `dvc repro` makes a synthetic one"
)

UNPACK = "unpack the annotations again, or `dvc repro -f synthesize` if they are the synthetic ones"

MM = 1e-3
VALID = (1, [1])
"""How a valid joint is written: bare, or in a list of its own."""


class DatasetError(HandPoseError):
    """The data set is missing, damaged, or not in InterHand2.6M's layout."""


class RecordError(Exception):
    """One annotation cannot be used; `reason` is one word for tables, `detail` the explanation."""

    def __init__(self, reason: str, detail: str) -> None:
        """`hand_annotation.py` lists the reasons."""
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail


class FrameJoints(NamedTuple):
    """The joints of both hands in one frame, in the world."""

    joints: FloatArray  # (2, 21, 3) m: right, left; in the order of `hand/skeleton.py`
    joint_valid: NDArray[np.bool_]  # (2, 21); independent of what a camera sees


def annotation_file(root: Path, split: str, name: str) -> Path:
    """Path of one of a split's `FILES`."""
    return root / "annotations" / split / f"InterHand2.6M_{split}_{name}.json"


def official_splits(root: Path) -> list[str]:
    """The splits that are there: train, and those of val and test that have a folder.

    Raises:
        DatasetError: the root, train, or one of the four files of a split is missing.
    """
    splits = [s for s in OFFICIAL_SPLITS if s == "train" or (root / "annotations" / s).is_dir()]
    files = [annotation_file(root, split, name) for split in splits for name in FILES]
    missing = [root] if not root.is_dir() else [file for file in files if not file.is_file()]
    faults = layout_faults(root) if root.is_dir() else []
    if faults:
        raise DatasetError(f"{'. '.join(faults)}. {SOURCES}")
    if missing:
        raise DatasetError(
            f"not found: {', '.join(map(str, missing))}. data.root in params.yaml ({root}) must "
            "hold images/ and annotations/ as InterHand2.6M v1.0 does, with annotations/train/"
            f"InterHand2.6M_train_{{{','.join(FILES)}}}.json. {SOURCES}"
        )
    return splits


class Annotations:
    """The four files of one official split.

    The look-ups raise RecordError, for they are made on behalf of one annotation.
    """

    def __init__(
        self,
        split: str,
        data: Json,
        *,
        cameras: Mapping[int, Any],
        joints: Mapping[int, Mapping[int, Any]],
        fits: Mapping[int, Mapping[int, Any]],
    ) -> None:
        """The parsed files, by capture number and frame; `read` takes them from a folder."""
        self.split = split
        self.hands: list[Json] = data["annotations"]
        named = [image for image in data["images"] if not isinstance(image.get("id"), list | dict)]
        self._images: dict[Any, Json] = {image.get("id"): image for image in named}
        times = Counter(image.get("id") for image in named)
        self._ambiguous = {number for number, n in times.items() if n > 1}
        self._cameras, self._joints, self._fits = cameras, joints, fits
        self._read_cameras: dict[tuple[int, str], Camera] = {}
        self._read_joints: dict[tuple[int, int], FrameJoints] = {}
        self._read_fits: dict[tuple[int, int, str], ManoFit | None] = {}

    @classmethod
    def read(cls, root: Path, split: str) -> Annotations:
        """The annotations of this split.

        Raises:
            DatasetError: a file is not JSON (with line and column), or has another structure.
        """
        return cls(
            split,
            load_data(annotation_file(root, split, "data")),
            cameras=read_cameras(root, split),
            joints=load_frames(annotation_file(root, split, "joint_3d")),
            fits=load_frames(annotation_file(root, split, "MANO_NeuralAnnot")),
        )

    def image(self, image_id: Any) -> Json:
        """The record of the image with this id, from the `data` file."""
        try:
            image = self._images[image_id]
        except (KeyError, TypeError):
            raise RecordError("dangling_image_id", f"no image has the id {image_id!r}") from None
        if image_id in self._ambiguous:
            raise RecordError("duplicate_image_id", f"several images have the id {image_id}")
        return image

    def camera(self, capture: int, name: str) -> Camera:
        """One camera of a capture."""
        key = (capture, name)
        if key not in self._read_cameras:
            self._read_cameras[key] = self._parse_camera(capture, name)
        return self._read_cameras[key]

    def frame_joints(self, capture: int, frame: int) -> FrameJoints:
        """The joints of one frame."""
        key = (capture, frame)
        if key not in self._read_joints:
            self._read_joints[key] = self._parse_joints(capture, frame)
        return self._read_joints[key]

    def fit(self, capture: int, frame: int, hand: str) -> ManoFit | None:
        """The MANO fit of one hand in one frame; None where there is none."""
        key = (capture, frame, hand)
        if key not in self._read_fits:
            self._read_fits[key] = self._parse_fit(capture, frame, hand)
        return self._read_fits[key]

    def _parse_camera(self, capture: int, name: str) -> Camera:
        raw = self._cameras.get(capture, {})
        where = f"camera {name} of capture {capture}"
        try:
            centre, rotation, focal, principal = (
                raw[key][name] for key in ("campos", "camrot", "focal", "princpt")
            )
        except (KeyError, TypeError):
            raise RecordError("no_camera", f"{where} is not in the camera file") from None
        (fx, fy), (cx, cy) = _array(focal, (2,), where), _array(principal, (2,), where)
        camera = Camera(
            K=np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]]),
            R=_array(rotation, (3, 3), where),
            C=_array(centre, (3,), where) * MM,
        )
        if not all(np.isfinite(part).all() for part in camera):
            raise RecordError("nan_in_camera", where)
        return camera

    def _parse_joints(self, capture: int, frame: int) -> FrameJoints:
        raw = self._joints.get(capture, {}).get(frame)
        return raw if isinstance(raw, FrameJoints) else parse_frame_joints(raw, capture, frame)

    def _parse_fit(self, capture: int, frame: int, hand: str) -> ManoFit | None:
        raw = self._fits.get(capture, {}).get(frame)
        raw = raw.get(hand) if isinstance(raw, dict) else None
        return raw if isinstance(raw, ManoFit) else parse_fit(raw, capture, frame, hand)


def parse_frame_joints(raw: Any, capture: int, frame: int) -> FrameJoints:
    """The joints of one frame, from its record in the joint_3d file; RecordError if unusable."""
    where = f"frame {frame} of capture {capture}"
    if isinstance(raw, list):
        raise RecordError("early_release", f"{where} is a list in the joint_3d file, as of {EARLY}")
    if not isinstance(raw, dict):
        raise RecordError("no_joint_3d", f"{where} is not in the joint_3d file")
    world = _array(raw.get("world_coord"), (FLAGS, 3), where)
    flags = raw.get("joint_valid")
    if not isinstance(flags, list) or len(flags) != FLAGS:
        raise RecordError("malformed", f"{where}: expected {FLAGS} flags joint_valid")
    return in_our_order(world, np.array([flag in VALID for flag in flags]))


def in_our_order(world: FloatArray, valid: NDArray[np.bool_]) -> FrameJoints:
    """Joints in the file's order, (..., 42, 3) mm and (..., 42), in ours and in metres."""
    hands = world.reshape(*world.shape[:-2], 2, 21, 3) * MM
    flags = valid.reshape(*valid.shape[:-1], 2, 21)
    return FrameJoints(hands.take(FROM_INTERHAND, -2), flags.take(FROM_INTERHAND, -1))


def parse_fit(raw: Any, capture: int, frame: int, hand: str) -> ManoFit | None:
    """The MANO fit of one hand in one frame, from its record; None where it is null.

    Raises:
        RecordError: malformed_mano or nan_in_mano.
    """
    if raw is None:
        return None
    where = f"the MANO fit of the {hand} hand in frame {frame} of capture {capture}"
    try:
        lengths = {"pose": 48, "shape": 10, "trans": 3}
        pose, betas, transl = (_array(raw[key], (n,), where) for key, n in lengths.items())
    except (TypeError, KeyError, RecordError):
        raise RecordError("malformed_mano", where) from None
    if not all(np.isfinite(part).all() for part in (pose, betas, transl)):
        raise RecordError("nan_in_mano", where)
    return ManoFit(pose[:3], pose[3:], betas, transl)  # metres already


def parse_box(raw: Any) -> bytes:
    """An annotation's box as 4 float64 x, y, w, h px; `NO_BOX` for what is none."""
    if isinstance(raw, bytes) and len(raw) == BOX_BYTES:
        return raw
    with suppress(RecordError):
        return _array(raw, (4,), "").tobytes()
    return NO_BOX.tobytes()


def load_data(path: Path) -> Json:
    """The content of a split's `data` file; the flags of an annotation as 42 bytes 0 or 1.

    Raises:
        DatasetError: it is not JSON (with line and column), or has another structure.
    """
    data = load(path, compact)
    lists = [data.get(k) for k in ("images", "annotations")] if isinstance(data, dict) else []
    if not lists or not all(isinstance(x, list) and _all_objects(x) for x in lists):
        raise DatasetError(
            f"{path}: expected an object with lists 'images' and 'annotations' of objects"
        )
    return dict(data)


def _all_objects(items: list[Any]) -> bool:
    return all(isinstance(item, dict) for item in items)


def _array(value: Any, shape: tuple[int, ...], where: str) -> FloatArray:
    """Numbers of this shape; NaN stands for null. A RecordError when there are more or fewer."""
    try:
        return np.array(value, np.float64).reshape(shape)
    except (TypeError, ValueError):
        raise RecordError("malformed", f"{where}: expected numbers of shape {shape}") from None


def load(path: Path, hook: Callable[[dict[str, Any]], Any] | None = None) -> Any:
    """The content of a JSON file; NaN literals are accepted, and reported with their record."""
    collecting = gc.isenabled()
    gc.disable()  # parsing leaves no garbage, and looking for it doubles the time
    try:
        return json.loads(path.read_bytes(), object_hook=hook)
    except json.JSONDecodeError as error:
        _refuse_other(path)
        at_end = error.pos >= len(error.doc.rstrip()) - len("null")
        if error.msg.startswith("Unterminated string") or (at_end and error.msg != "Extra data"):
            raise DatasetError(
                f"{path}:{error.lineno}:{error.colno}: ends in the middle, after "
                f"{path.stat().st_size:,} bytes; the download or the disk broke off: {UNPACK}"
            ) from None
        near = error.doc[max(error.pos - 30, 0) : error.pos + 30]
        raise DatasetError(
            f"{path}:{error.lineno}:{error.colno}: is not JSON ({error.msg}) near {near!r}; "
            f"{UNPACK}"
        ) from None
    except UnicodeDecodeError as error:
        _refuse_other(path)
        raise DatasetError(f"{path}: byte {error.start} is not UTF-8; {UNPACK}") from None
    finally:
        if collecting:
            gc.enable()


def _refuse_other(path: Path) -> None:
    """DatasetError if the file is of another kind: the reason why it is not JSON."""
    found = recognise(path)
    if found is not None and found.kind not in ("json", "text"):
        raise DatasetError(f"{path}: {found}") from None


def compact(item: dict[str, Any]) -> dict[str, Any]:
    """Keep an annotation's 42 flags as bytes: the nested lists of a million would fill 5 GB."""
    if isinstance(item.get("joint_valid"), list):
        item["joint_valid"] = flags_as_bytes(item["joint_valid"])
    return item


def flags_as_bytes(flags: list[Any]) -> bytes:
    """Flags, bare or each in a list, as bytes 0 or 1."""
    return bytes(flag in VALID for flag in flags)


def read_cameras(root: Path, split: str) -> dict[int, Any]:
    """The camera file, by capture number."""
    path = annotation_file(root, split, "camera")
    return _by_number(path, load(path))


def load_frames(path: Path) -> dict[int, dict[int, Any]]:
    """A `joint_3d` or `MANO_NeuralAnnot` file, by capture and frame number."""
    return by_capture_and_frame(path, load(path))


def by_capture_and_frame(path: Path, content: Any) -> dict[int, dict[int, Any]]:
    """The same nested mapping with whole numbers as keys.

    Raises:
        DatasetError: it has another structure, or a number occurs twice.
    """
    captures = _by_number(path, content)
    return {capture: _by_number(path, frames) for capture, frames in captures.items()}


def _by_number(path: Path, content: Any) -> dict[int, Any]:
    """The same mapping with whole numbers as keys, whether written 7, "7" or "0007"."""
    if isinstance(content, list):
        raise DatasetError(f"{path}: holds lists where v1.0 has objects, as {EARLY}")
    if not isinstance(content, dict):
        raise DatasetError(
            f"{path}: expected objects keyed by numbers, found {type(content).__name__}; is it "
            f"another file under this name? {UNPACK}"
        )
    try:
        numbered = {int(key): value for key, value in content.items()}
    except ValueError:
        odd = next(key for key in content if not key.strip().lstrip("+-").isdigit())
        raise DatasetError(
            f"{path}: expected objects keyed by numbers, found the key {odd!r}; is it another file "
            f"under this name? {UNPACK}"
        ) from None
    if len(numbered) < len(content):
        raise DatasetError(f"{path}: a capture or frame is there twice, as in 7 and 0007")
    return numbered
