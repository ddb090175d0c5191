"""Look-alikes of the official pickles, written as Python 2 with chumpy and scipy wrote them."""

from __future__ import annotations

import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from handpose.hand.mano import SHAPES

OLD = {
    "numpy._core.multiarray": "numpy.core.multiarray",
    "builtins": "__builtin__",
    "copyreg": "copy_reg",
}


class Ch:
    """Stands for chumpy.ch.Ch while a file is written."""

    module, name = "chumpy.ch", "Ch"

    def __init__(self, **state: Any) -> None:
        self.__dict__ |= state


class Select(Ch):
    module, name = "chumpy.reordering", "Select"


class Sparse(Ch):
    module, name = "scipy.sparse.csc", "csc_matrix"


InPython: Any = pickle._Pickler  # the one whose single steps can be replaced


class Python2(InPython):  # type: ignore[misc]
    """Writes byte strings and names as Python 2 did."""

    dispatch = InPython.dispatch.copy()

    def save_string(self, text: str | bytes) -> None:
        data = text.encode("latin1") if isinstance(text, str) else text
        self.write(pickle.BINSTRING + struct.pack("<i", len(data)) + data)
        self.memoize(text)

    def save_global(self, item: Any, name: str | None = None) -> None:
        module = getattr(item, "module", OLD.get(item.__module__, item.__module__))
        name = item.name if hasattr(item, "module") else name or item.__qualname__
        self.write(pickle.GLOBAL + f"{module}\n{name}\n".encode())
        self.memoize(item)

    dispatch[str] = dispatch[bytes] = save_string
    dispatch[type] = save_global
    dispatch[type(len)] = dispatch[type(lambda: 0)] = save_global


Write = Callable[..., Path]


@pytest.fixture
def write(stand_in: Path, tmp_path: Path) -> Write:
    """Writes a hand's pickle, with arrays of the stand-in but for those given."""

    def write(side: str = "RIGHT", protocol: int = 2, leave: str = "", **other: Any) -> Path:
        m: dict[str, NDArray[Any]] = dict(np.load(stand_in / f"MANO_{side}.npz"))
        m = {key: m[key] for key in SHAPES}
        twenty = np.concatenate([m["shapedirs"], np.ones((778, 3, 10))], 2)  # (778, 3, 20)
        ten = np.arange(twenty.size).reshape(twenty.shape)[:, :, :10]
        rows, columns = np.nonzero(m["J_regressor"])
        order = np.lexsort((rows, columns))
        content: dict[str, Any] = {
            **m,
            "kintree_table": m["kintree_table"].astype(np.int64) % 2**32,
            "shapedirs": Select(
                a=Ch(x=twenty, _dirty_vars={"x"}),
                idxs=ten.ravel(),
                preferred_shape=(778, 3, 10),
            ),
            "J_regressor": Sparse(
                data=m["J_regressor"][rows, columns][order],
                indices=rows[order].astype(np.int32),
                indptr=np.searchsorted(columns[order], np.arange(779)).astype(np.int32),
                _shape=(16, 778),
                maxprint=50,
            ),
            "bs_style": "lbs",
            **other,
        }
        content.pop(leave, None)
        path = tmp_path / f"MANO_{side}.pkl"
        with path.open("wb") as stream:
            Python2(stream, protocol).dump(content)
        return path

    return write
