"""Pickles of numpy arrays and plain values, read without running anything that is in them.

A pickle can call any function while it is read. This reader knows a short list of names, which make
arrays, and refuses every other before it can run. Data sets and models of Python 2 are such files.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from io import BytesIO
from typing import Any

import numpy as np


class ForbiddenName(Exception):
    """A pickle needs a name that is not allowed; the text is the name."""


def _latin1(text: str, encoding: str) -> bytes:
    """`_codecs.encode` as Python 3 writes bytes for Python 2, and for nothing else."""
    if encoding != "latin1":
        raise ValueError(f"bytes are written as latin1, not as {encoding}")
    return text.encode("latin1")


ARRAYS: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): _latin1,
}
"""What pickles of arrays need, by its names in Python 2 and 3."""

_reconstruct, _scalar = (np.zeros(1).__reduce__()[0], np.float64(0).__reduce__()[0])
for _module in ("numpy.core.multiarray", "numpy._core.multiarray"):
    ARRAYS |= {(_module, "_reconstruct"): _reconstruct, (_module, "scalar"): _scalar}


class _ArrayUnpickler(pickle.Unpickler):
    """Finds the allowed names and no others."""

    def __init__(self, content: bytes, allowed: Mapping[tuple[str, str], Any]) -> None:
        super().__init__(BytesIO(content), encoding="latin1")  # Python 2's bytes, byte for byte
        self._allowed = allowed

    def find_class(self, module: str, name: str) -> Any:
        """The object for a name; called before anything of it can run."""
        if (module, name) not in self._allowed:
            raise ForbiddenName(f"{module}.{name}")
        return self._allowed[module, name]


def load_allowed(content: bytes, allowed: Mapping[tuple[str, str], Any] = ARRAYS) -> Any:
    """What a pickle holds: containers, numbers, texts, and objects of the allowed names.

    Raises:
        ForbiddenName: it needs another name; nothing of it was run.
        Exception: it is damaged; a damaged pickle can raise nearly anything.
    """
    return _ArrayUnpickler(content, allowed).load()
