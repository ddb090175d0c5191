"""The JSON of a stored sample loses nothing."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from handpose.data.records import FIELDS, ORIGIN, encode_labels

LABEL: dict[str, Any] = dict.fromkeys((*ORIGIN, *FIELDS), 0)


def test_every_float32_reads_back_as_it_was() -> None:
    rng = np.random.default_rng(0)
    values = (rng.standard_normal(500) * 10.0 ** rng.integers(-20, 20, 500)).astype(np.float32)
    text = encode_labels([LABEL | {"hand_pose": values}])[0]
    np.testing.assert_array_equal(np.array(json.loads(text)["hand_pose"], np.float32), values)


def test_floats_are_written_as_short_as_they_can_be() -> None:
    text = encode_labels([LABEL | {"betas": np.array([0.1, -2.5], np.float32)}])[0]
    assert b'"betas": [0.1, -2.5]' in text


def test_flags_stay_flags() -> None:
    text = encode_labels([LABEL | {"joint_valid": np.array([True, False])}])[0]
    assert json.loads(text)["joint_valid"] == [True, False]


def test_a_label_without_a_field_is_refused() -> None:
    with pytest.raises(KeyError, match="camera"):
        encode_labels([{key: 0 for key in LABEL if key != "camera"}])
