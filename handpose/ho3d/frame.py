"""One frame's annotation in HO-3D: a pickle of arrays, in metres and OpenGL's axes.

Facts (shreyashampali/ho3d, vis_HO3D.py, utils/vis_utils.py): `camMat` 3 x 3 px, also with OpenGL's
points once y and z are negated; in train `handJoints3D` 21 x 3 in MANO's order with tips thumb to
pinky, `handPose` 48 axis-angles with a flat mean, `handTrans` 3, `handBeta` 10, or None where a
frame was not annotated; in evaluation `handJoints3D` is the wrist alone, and `handBoundingBox` is
left, top, right, bottom in px.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from handpose.array_pickle import ForbiddenName, load_allowed
from handpose.data.annotation_table import FloatArray
from handpose.errors import HandPoseError
from handpose.file_content import AGAIN, recognise

TRAIN_SHAPES: dict[str, tuple[int, ...]] = {
    "handJoints3D": (21, 3),
    "handPose": (48,),
    "handTrans": (3,),
    "handBeta": (10,),
}
EVALUATION_SHAPES: dict[str, tuple[int, ...]] = {"handJoints3D": (3,), "handBoundingBox": (4,)}


class Ho3dError(HandPoseError):
    """A file is missing, or is not HO-3D's."""


class Frame(NamedTuple):
    """The annotation of a frame; None: it has none."""

    K: FloatArray  # (3, 3) px
    values: dict[str, FloatArray] | None  # by key of `TRAIN_SHAPES` or `EVALUATION_SHAPES`


def read_frame(path: Path, shapes: dict[str, tuple[int, ...]]) -> Frame:
    """The annotation in a file, with these values of these shapes.

    Raises:
        Ho3dError: it is missing, is damaged, needs more than arrays, or is another set's.
    """
    content = _content(path)
    if not isinstance(content, dict):
        raise Ho3dError(f"{path}: expected a dictionary, found {type(content).__name__}")
    missing = [key for key in ("camMat", *shapes) if key not in content]
    if missing:
        raise Ho3dError(
            f"{path}: has no {', '.join(missing)}; found {', '.join(sorted(map(str, content)))}"
        )
    if content["handJoints3D"] is None or content["camMat"] is None:
        return Frame(np.eye(3), None)
    K = _array(path, content, "camMat", (3, 3))
    return Frame(K, {key: _array(path, content, key, shape) for key, shape in shapes.items()})


def _content(path: Path) -> Any:
    try:
        return load_allowed(path.read_bytes())
    except ForbiddenName as error:
        raise Ho3dError(
            f"{path}: needs {error}, which HO-3D's annotations do not; nothing of it was run. Get "
            "the file again from the data set itself"
        ) from None
    except FileNotFoundError:
        raise Ho3dError(f"{path}: not found, but it is in the list of frames") from None
    except OSError as error:
        raise Ho3dError(f"{path}: {error.strerror}") from None
    except Exception as error:  # a damaged pickle can raise nearly anything
        other = recognise(path)
        if other is not None and other.kind != "pickle":
            raise Ho3dError(f"{path}: {other}") from None
        ended = isinstance(error, (EOFError, pickle.UnpicklingError))
        what = "ends in the middle" if ended else f"cannot be read ({error!r})"
        raise Ho3dError(f"{path}: {what}; {AGAIN}") from None


def _array(path: Path, content: dict[Any, Any], key: str, shape: tuple[int, ...]) -> FloatArray:
    value = np.asarray(content[key])
    if value.dtype.kind not in "fiu" or value.size != int(np.prod(shape)):
        hint = ""
        if key == "handJoints3D" and value.size in (3, 63):
            hint = "; the evaluation set's has the wrist alone, the training set's 21 joints"
        raise Ho3dError(
            f"{path}: {key}: expected {' x '.join(map(str, shape))} numbers, found "
            f"{value.dtype} of shape {value.shape}{hint}"
        )
    return value.astype(np.float64).reshape(shape)
