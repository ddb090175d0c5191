"""Pickles of arrays are read; one that needs anything else is refused before that runs."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from handpose.array_pickle import ForbiddenName, load_allowed


@pytest.mark.parametrize("protocol", range(5))
def test_arrays_and_plain_values_are_read_of_every_protocol(protocol: int) -> None:
    content: dict[str, Any] = {
        "array": np.arange(6.0).reshape(2, 3),
        "flags": np.array([True, False]),
        "scalar": np.float32(2.5),
        "text": "a",
        "none": None,
        "nested": [1, (2, 3)],
    }
    found = load_allowed(pickle.dumps(content, protocol))
    assert found.keys() == content.keys()
    for key, value in content.items():
        assert np.array_equal(found[key], value) if key != "nested" else found[key] == value


class Hostile:
    def __init__(self, function: Any, argument: str) -> None:
        self._call = function, (argument,)

    def __reduce__(self) -> Any:
        return self._call


@pytest.mark.parametrize("function", [os.mkdir, os.system, eval, open, np.load, getattr])
def test_a_call_is_refused_by_name_before_it_runs(tmp_path: Path, function: Any) -> None:
    made = tmp_path / "made"
    with pytest.raises(ForbiddenName, match=rf"\w+\.{function.__name__}"):
        load_allowed(pickle.dumps({"a": [Hostile(function, str(made))]}))
    assert not made.exists()
