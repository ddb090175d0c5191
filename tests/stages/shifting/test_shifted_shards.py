"""Shards of shifted test sets: the truth is true, and nothing but the set decides the bytes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from handpose.data import tar
from handpose.data.shards import Shards
from handpose.synthetic.shifted_recipe import ShiftedTest, everything, shifted_tests
from stages.hand_model import load_hand_model
from stages.params import Params, load_params
from stages.shifting import shifted_shards
from stages.shifting.shifted_shards import (
    render_capture,
    shifted_captures,
    shifted_key,
    write_shifted_shards,
)
from tests.stages.conftest import Setter

SMALL: dict[str, Any] = {"shift": {"severities": [1.0], "people": 2, "images": 6}}


@pytest.fixture
def params(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, set_params: Setter) -> Params:
    monkeypatch.chdir(tmp_path)
    set_params(evaluate=SMALL, synthesize={"workers": 1})
    return load_params()


@pytest.fixture
def only(monkeypatch: pytest.MonkeyPatch) -> Callable[[ShiftedTest], None]:
    """Makes this set the only one: a renderer takes a second to get ready for each."""

    def make(test: ShiftedTest) -> None:
        monkeypatch.setattr(shifted_shards, "shifted_tests", lambda _: [test])

    return make


def labels(folder: Path, name: str) -> list[dict[str, Any]]:
    shards = Shards.open(folder)
    return list(shards.labels(name, shards.index.count(name)))


def test_every_set_is_written_and_its_fits_give_its_joints(params: Params) -> None:
    folder, mano = Path("sets"), load_hand_model(params.hand, params.data)
    counts = write_shifted_shards(folder, params, [1.0])
    assert counts == {test.name: 6 for test in shifted_tests([1.0])}
    ids = []
    for name in ("new_people", "everything_1"):
        found = labels(folder, name)
        ids += [label["sample_id"] for label in found]
        assert {label["subject"] for label in found} == {0, 1}
        assert all(label["has_mano"] and label["kind"] == "rom" for label in found)
        column = {
            key: torch.tensor([label[key] for label in found], dtype=torch.float32)
            for key in ("global_orient", "hand_pose", "betas")
        }
        is_left = torch.tensor([label["is_left"] for label in found])
        valid = np.array([label["joint_valid"] for label in found])
        annotated = np.array([label["joints_cam"] for label in found]).reshape(-1, 21, 3)
        joints = mano.hand(**column, is_left=is_left).joints.numpy()
        assert valid[:, 0].all()
        error = (joints - joints[:, :1]) - (annotated - annotated[:, :1])
        assert np.abs(error)[valid].max() < 1e-4, "the fit is the hand's own, in the camera"
    assert len(set(ids)) == len(ids)


def test_the_hand_lies_in_the_view(params: Params, only: Callable[[ShiftedTest], None]) -> None:
    only(ShiftedTest("roll_1", ("roll",), 1.0))
    write_shifted_shards(Path("sets"), params, [1.0])
    crop = params.shard.crop_px
    for label in labels(Path("sets"), "roll_1"):
        K, joints = np.reshape(label["K"], (3, 3)), np.reshape(label["joints_cam"], (21, 3))
        uv = (joints @ K.T)[label["joint_valid"]]
        uv = uv[:, :2] / uv[:, 2:]
        border = (crop - params.shard.view_px) / 2
        assert (uv > border - 1).all() and (uv < crop - border).all()
        assert np.ptp(uv, axis=0).max() == pytest.approx(
            params.shard.view_px / params.shard.box_scale, rel=0.02
        )
    (path,) = Path("sets/tars").glob("roll_1-*.tar")
    sample = next(iter(tar.read(path)))
    image = cv2.imdecode(np.frombuffer(sample.jpg, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None and image.shape == (crop, crop, 3) and image.std() > 5


def test_a_capture_is_the_same_whatever_was_rendered_before(params: Params) -> None:
    """Then any number of workers gives the same bytes: results keep their order (`in_order`)."""
    tasks = shifted_captures(everything(1.0), params)
    assert sum(task.images for task in tasks) == 6
    forwards = [render_capture(task) for task in tasks]
    backwards = [render_capture(task) for task in reversed(tasks)][::-1]
    for first, second in zip(forwards, backwards, strict=True):
        assert [jpeg for jpeg, _ in first.samples] == [jpeg for jpeg, _ in second.samples]
        for (_, one), (_, other) in zip(first.samples, second.samples, strict=True):
            assert json.dumps(one, default=np.ndarray.tolist) == json.dumps(
                other, default=np.ndarray.tolist
            )


def test_without_a_severity_there_is_no_set(params: Params) -> None:
    assert write_shifted_shards(Path("sets"), params, []) == {}
    assert Shards.open("sets").index.splits == {}


def test_images_with_too_few_joints_are_counted(
    params: Params, only: Callable[[ShiftedTest], None], capsys: pytest.CaptureFixture[str]
) -> None:
    only(ShiftedTest("new_people", (), 0.0))
    # the camera of a rig that is closest cuts hands off at this size
    close = params.model_copy(
        update={
            "synthesize": params.synthesize.model_copy(update={"filled": (2.6, 2.8)}),
            "ingest": params.ingest.model_copy(update={"min_valid_joints": 20}),
        }
    )
    counts = write_shifted_shards(Path("sets"), close, [1.0])
    rejected = counts.pop("rejected")
    assert rejected > 0 and sum(counts.values()) + rejected == 6 * len(counts)
    assert f"shift: {rejected} images have too few joints" in capsys.readouterr().out


def test_the_key_is_of_what_decides_the_bytes(params: Params) -> None:
    key = shifted_key(params, [1.0], "code")
    fast = params.model_copy(
        update={"synthesize": params.synthesize.model_copy(update={"workers": 7})}
    )
    assert shifted_key(fast, [1.0], "code") == key
    larger = params.model_copy(update={"shard": params.shard.model_copy(update={"crop_px": 96})})
    others = [
        shifted_key(params, [0.5], "code"),
        shifted_key(params, [1.0], "other code"),
        shifted_key(larger, [1.0], "code"),
    ]
    assert len({key, *others}) == 4
