"""Read MANO's official files without the packages they need, and without running their code.

`MANO_RIGHT.pkl` and `MANO_LEFT.pkl` are pickles of Python 2 that hold numpy arrays, a scipy.sparse
matrix (`J_regressor`) and two chumpy objects (`shapedirs` selects ten of twenty components). A
pickle can call any function while it is read; this reader allows a short list of names, replaces
the chumpy and scipy ones by inert records, and refuses everything else.
"""

from __future__ import annotations

import copyreg
import pickle
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from handpose.array_pickle import ARRAYS, ForbiddenName, load_allowed
from handpose.file_content import AGAIN, recognise
from handpose.hand.mano import SHAPES, ManoError
from handpose.hand.skeleton import MANO_PARENTS

FAULT_M = 1.0
"""Sum of |difference| of the x-components of both hands' shapedirs, below which the left ones are
those of the right hand, not mirrored: the known fault of MANO_LEFT.pkl (InterHand2.6M,
tool/MANO_world_to_camera/convert.py)."""

SMALL = 1e-4


class Inert:
    """Stands for an object whose class is not needed: stores its state and does nothing."""

    state: dict[str, Any]

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Store it."""
        self.state = state


class Ch(Inert):
    """`chumpy.ch.Ch`: an array."""


class Select(Inert):
    """`chumpy.reordering.Select`: some elements of another array, in another shape."""


class Sparse(Inert):
    """`scipy.sparse.csc_matrix`."""


ALLOWED: dict[tuple[str, str], Any] = {
    ("chumpy.ch", "Ch"): Ch,
    ("chumpy.reordering", "Select"): Select,
    ("scipy.sparse.csc", "csc_matrix"): Sparse,
    ("scipy.sparse._csc", "csc_matrix"): Sparse,
    **ARRAYS,
    ("copy_reg", "_reconstructor"): copyreg._reconstructor,  # type: ignore[attr-defined]
    ("__builtin__", "object"): object,
    ("__builtin__", "set"): set,
}
"""All that a MANO file needs, by its names in Python 2 or, if saved again, in Python 3."""


def read_pickle(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of `handpose.hand.mano.SHAPES` from an official pickle, checked.

    Raises:
        ManoError: the file is missing, is not a pickle, needs a name that is not allowed, or is
            not a MANO hand.
    """
    try:
        with path.open("rb") as stream:
            content = load_allowed(stream.read(), ALLOWED)
        arrays = {key: _array(content[key]) for key in SHAPES}
    except ForbiddenName as error:
        raise ManoError(
            f"{path}: needs {error}, which MANO's own files do not; nothing of it was run. If "
            "another program saved it again, use the original file, or download it from the MANO "
            "site, mano.is.tue.mpg.de"
        ) from None
    except FileNotFoundError:
        raise ManoError(f"{path}: not found") from None
    except PermissionError:
        raise ManoError(f"{path}: you may not read it; fix its permission") from None
    except KeyError as error:
        raise ManoError(f"{path}: is not a MANO hand: {error} is missing") from None
    except Exception as error:  # a damaged pickle can raise nearly anything
        raise ManoError(f"{path}: {_why(path, error)}") from None
    if wrong := _wrong(arrays):
        raise ManoError(f"{path}: is not a MANO hand: {'; '.join(wrong)}")
    arrays["kintree_table"] = arrays["kintree_table"].astype(np.int64)
    arrays["f"] = arrays["f"].astype(np.int64)
    return arrays


def _why(path: Path, error: Exception) -> str:
    """Why a file cannot be read, and what to do."""
    found = recognise(path)
    if found is not None and found.kind == "npz":
        return (
            f"{found.what}, perhaps what this command writes: name the original .pkl, or if it is "
            "MANO_RIGHT.npz renamed, give it its name back and set hand.mano to its folder"
        )
    if found is not None and found.kind != "pickle":
        return str(found)
    content = path.read_bytes()
    if found is not None and not content.rstrip(b"\r\n").endswith(pickle.STOP):
        return (
            f"ends in the middle, after {len(content):,} bytes: the download or the copy broke "
            f"off; {AGAIN}"
        )
    lines = content.count(b"\n")
    if lines > 1 and content.count(b"\r\n") == lines:
        return (
            "every line feed in it was made CRLF by a transfer as text; transfer it again as a "
            "binary file, such as in the unopened archive"
        )
    return f"cannot be read ({type(error).__name__}: {error}); {AGAIN}"


def repaired_left(
    left: dict[str, NDArray[Any]], right: dict[str, NDArray[Any]]
) -> dict[str, NDArray[Any]] | None:
    """The left hand with its shapes mirrored if the file does not have them so; None if it has.

    Each must be the hand of its name (`handpose.hand.mano.check_side`): a right hand under the left
    one's name has the right one's shapes without being faulty.
    """
    if np.abs(left["shapedirs"][:, 0] - right["shapedirs"][:, 0]).sum() >= FAULT_M:
        return None
    shapedirs = left["shapedirs"].copy()
    shapedirs[:, 0] *= -1
    return {**left, "shapedirs": shapedirs}


def _array(value: Any) -> NDArray[Any]:
    """The array of an object in the file, computed as chumpy's `compute_r` and scipy do."""
    if isinstance(value, Ch):
        return np.asarray(value.state["x"])
    if isinstance(value, Select):
        of = _array(value.state["a"])
        chosen = of.ravel()[np.asarray(value.state["idxs"])]
        return np.asarray(chosen.reshape(value.state["preferred_shape"]))
    if isinstance(value, Sparse):
        state = value.state
        parts = (state["data"], state["indices"], state["indptr"])
        return np.asarray(sparse.csc_matrix(parts, shape=state["_shape"]).toarray())
    return np.asarray(value)


def _wrong(arrays: dict[str, NDArray[Any]]) -> list[str]:
    """Faults that a MANO hand cannot have, in shapes, numbers and topology."""
    wrong = [
        f"{key} has shape {arrays[key].shape}, expected {shape}"
        for key, shape in SHAPES.items()
        if arrays[key].shape != shape
    ]
    if wrong:
        return wrong
    for key, array in arrays.items():
        if array.dtype.kind not in "fiu" or not np.isfinite(array).all():
            wrong.append(f"{key} holds something that is not a number")
    if wrong:
        return wrong
    faces, parents = arrays["f"].astype(np.int64), arrays["kintree_table"][0].astype(np.int64)
    if faces.min() < 0 or len(np.unique(faces)) != 778 or faces.max() != 777:
        wrong.append("f does not use the vertices 0 to 777, each at least once")
    if tuple(parents[1:]) != tuple(MANO_PARENTS[1:]):  # the root's is 2**32 - 1 or -1
        wrong.append(f"kintree_table has the parents {parents[1:].tolist()}")
    for key in ("weights", "J_regressor"):
        if np.abs(arrays[key].sum(1) - 1).max() > SMALL:
            wrong.append(f"the rows of {key} do not sum to 1")
    return wrong
