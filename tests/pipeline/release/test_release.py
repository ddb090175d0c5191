"""`handpose release`: what may be released, what is written, and that it loads and scores alike."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import cv2
import pytest
import torch

import handpose.estimator
from handpose.hand.mano import Mano
from handpose.nets.gesture_net import GestureNet
from handpose.nets.pose_net import PoseNet
from handpose.predict import Predictor
from handpose.training.model_io import read_record, save_model
from pipeline.__main__ import main
from pipeline.profiles.configure import configure
from pipeline.release import release as command
from pipeline.release.examples import PICTURE, ExamplesError, check_examples
from pipeline.release.release import (
    MODEL,
    ReleaseError,
    earlier,
    release,
    require_committed,
    require_own,
    unlike_wide,
)
from pipeline.release.shifted_sets import SETS
from pipeline.release.training_start import TrainingStart
from stages.params import Params, load_params
from stages.paths import SAMPLES, SYNTHETIC
from tests.pipeline.confidence.small_photos import write_small_photos
from tests.test_predict import a_record

ROOT = Path(__file__).parents[3]
PX = 64
VALUES: dict[str, Any] = {
    "encoder": {"image_px": PX},
    "pose_net": {"grid": 4, "dim": 16, "heads": 2, "view_heads": True, "second_look": True},
    "shard": {"view_px": PX, "crop_px": 86},
    "synthesize": {"image_px": [120, 96]},
}


DVC_YAML = """
stages:
  pose:
    cmd: python -m pipeline.stage pose pretrained
    deps: [map.csv]
    params: [pose]
"""


def make_params(**changes: Any) -> Params:
    return Params.model_validate(
        {k: VALUES.get(k, {}) | changes.get(k, {}) for k in {**VALUES, **changes}}
    )


@pytest.fixture
def clone(tmp_path: Path, mano: Mano, stand_in: Path) -> Path:
    """A clone with an untrained model where the trained one would be."""
    params = make_params()
    torch.manual_seed(0)
    encoder, pose_net = params.encoder.keywords(), params.pose_net.keywords()
    net = PoseNet(GestureNet(**encoder, coarse_classes=3, fine_classes=3), mano, **pose_net)
    (tmp_path / MODEL).mkdir(parents=True)
    save_model(tmp_path / MODEL, net, a_record(encoder, pose_net, "handed"))
    (tmp_path / MODEL / "curves.csv").write_text("step,loss\n100,1.0\n200,0.5\n", "utf-8")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "stand_in").symlink_to(stand_in)
    write_small_photos(tmp_path / SAMPLES, tmp_path / SYNTHETIC, mano)
    (tmp_path / SYNTHETIC / "annotations").mkdir()
    (tmp_path / SYNTHETIC / "annotations" / "synthetic.json").write_text("{}", "utf-8")
    (tmp_path / "handpose").mkdir()
    (tmp_path / "code.py").write_text("first\n", "utf-8")
    (tmp_path / "stages").mkdir()
    (tmp_path / "stages" / "pose.py").write_text("LAYERS = 1\n", "utf-8")
    (tmp_path / "map.csv").write_text("a\n", "utf-8")
    (tmp_path / "params.yaml").write_text("pose: {batch: 16}\nevaluate: {batch: 16}\n", "utf-8")
    (tmp_path / "dvc.yaml").write_text(DVC_YAML, "utf-8")
    shutil.copy(ROOT / ".gitignore", tmp_path)
    git(tmp_path, "init -q", "config user.name t", "config user.email t@example.org")
    git(tmp_path, "add --all", "commit -qm code")
    return tmp_path


def git(folder: Path, *lines: str) -> None:
    for line in lines:
        subprocess.run(["git", *line.split()], cwd=folder, check=True)


def begin(folder: Path) -> TrainingStart:
    return TrainingStart.of(require_committed(folder))


def test_the_release_loads_scores_and_says_what_it_is(
    clone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[str] = []
    start = begin(clone)
    (clone / "code.py").write_text("second\n", "utf-8")
    git(clone, "commit -qam later")
    (clone / "code.py").write_text("third\n", "utf-8")
    out = release(start, make_params(), lines.append, people=2, images=4)
    assert sorted(path.name for path in out.iterdir()) == [
        "card.md", "confidence.json", "confidence.safetensors", "examples.jpg", "examples.json",
        "model.json", "model.safetensors", "numbers.json", "predictions.jpg",
    ]  # fmt: skip
    drawing = cv2.imread(str(out / "predictions.jpg"))
    assert drawing is not None and drawing.shape == (446, 1350, 3)
    assert len(lines) == len(SETS) + 2 and "one pass" in lines[-1]
    assert "calibrated on 20 and" in lines[0] and f"1/{len(SETS)} people:" in lines[1]
    numbers = json.loads((out / "numbers.json").read_text("utf-8"))
    unlike = numbers["data"].pop("unlike_wide")
    assert numbers["data"] == {"images": 12, "people": 2, "seed": 0}
    assert "synthesize.frames" in unlike and "pose_net.view_heads" not in unlike
    assert numbers["training"]["steps"] == 200 and numbers["images_a_set"] == 4
    text = (out / "card.md").read_text("utf-8")
    assert numbers["commit"] == start.source.commit, "not the one of after the training"
    assert numbers["uncommitted"] == 0 and f"commit {numbers['commit'][:10]}." in text
    for word in (
        "12 synthetic images of 2 people",
        "a region that should hold 90 % of such joints",
        "trained on 12 hands",
        "of 10 people that neither",
        "without the least sure fifth of hands lower by",
        "unseen gestures: six",
        "half precision",
        "people, one pass",
        "sixteen at a time",
        "Apache",
    ):
        assert word in text

    monkeypatch.setattr(handpose.estimator, "released_folder", lambda: out)
    released = handpose.estimator.HandEstimator.released()
    half = released._predictor.net.state_dict()
    full = Predictor.load(clone / MODEL, mano=clone / "data" / "stand_in").net.state_dict()
    for name, tensor in full.items():
        torch.testing.assert_close(half[name], tensor, atol=1e-2, rtol=1e-3)
    assert released._predictor.confidence is not None
    scores = check_examples(out, released._predictor)
    assert scores == pytest.approx(json.loads((out / "examples.json").read_text())["scores"])

    (out / PICTURE).write_bytes(b"")
    with pytest.raises(ExamplesError, match="is no picture, expected 752 x 564"):
        check_examples(out, released._predictor)


def test_changes_that_are_not_committed_are_refused_before_the_training(
    clone: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """But not what the training and the packing themselves write."""
    monkeypatch.chdir(clone)
    calls: list[str] = []
    monkeypatch.setattr(command, "train", lambda _: calls.append("train"))
    monkeypatch.setattr(command, "pack", lambda *_: (_ for _ in ()).throw(ReleaseError("packs")))
    monkeypatch.setattr("stages.params.load_params", lambda _: make_params())
    for name in ("dvc.lock", "handpose/released/card.md"):
        (clone / name).parent.mkdir(exist_ok=True)
        (clone / name).write_text("written by the training\n", "utf-8")
    assert main(["release"]) == 2
    assert capsys.readouterr().err == "handpose: packs\n" and calls == ["train"]
    (clone / "code.py").write_text("second\n", "utf-8")
    (clone / "new.py").write_text("new\n", "utf-8")
    assert main(["release"]) == 2 and calls == ["train"]
    assert "handpose: code.py, new.py are not committed: the card" in capsys.readouterr().err
    with pytest.raises(ReleaseError, match="--allow-dirty releases with these changes"):
        require_committed(clone)
    assert main(["release", "--allow-dirty"]) == 2 and calls == ["train", "train"]
    assert capsys.readouterr().err == "handpose: packs\n"
    assert require_committed(clone, allow_dirty=True).changed == ["code.py", "new.py"]


@pytest.mark.parametrize(
    ("file", "text", "message", "committed"),
    [
        ("stages/pose.py", "LAYERS = 2\n", "stages/pose.py", True),
        ("map.csv", "b\n", "map.csv", False),
        ("params.yaml", "pose: {batch: 8}\n", "pose.batch of params.yaml", False),
        ("dvc.yaml", DVC_YAML.replace("pretrained", "new"), "stage pose of dvc.yaml", True),
        ("stages/pose.py", "LAYERS = 1  # of them\n", "", True),
        ("params.yaml", "pose: {batch: 16}\nevaluate: {batch: 8}\n", "", False),
        ("code.py", "second\n", "", True),
    ],
)
def test_what_decides_the_model_may_not_change_while_it_is_trained(
    clone: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    file: str,
    text: str,
    message: str,
    committed: bool,
) -> None:
    """Committed or not; anything else may."""
    monkeypatch.chdir(clone)
    commit = begin(clone).source.commit

    def train(root: Path) -> None:
        (root / file).write_text(text, "utf-8")
        if committed:
            git(root, "commit -qam later")

    monkeypatch.setattr(command, "train", train)
    monkeypatch.setattr(command, "pack", lambda *_: (_ for _ in ()).throw(ReleaseError("packs")))
    monkeypatch.setattr("stages.params.load_params", lambda _: make_params())
    assert main(["release"]) == 2
    said = capsys.readouterr().err
    if message:
        assert f"changed since the training began: {message}. So" in said
        assert f"commit {commit[:10]} made the weights. They are kept in {MODEL}" in said
    else:
        assert said == "handpose: packs\n"


def test_a_training_from_released_weights_records_what_these_were_made_of(clone: Path) -> None:
    """Also if it is packed a second time; other weights to start from are refused."""
    out = clone / "handpose" / "released"
    out.mkdir()
    first = {
        "sha256": "a" * 64,
        "data": {"images": 7, "people": 4, "seed": 0, "unlike_wide": []},
        "training": {"seconds": {"pose": 60.0}, "steps": 300, "batch": 16},
        "machine": {"cpu": "A CPU", "cores": 4, "gpu": None},
        "commit": "c" * 40,
    }
    (out / "numbers.json").write_text(json.dumps(first | {"examples": {}}))
    model = clone / MODEL / "model.json"
    record = json.loads(model.read_text())
    model.write_text(json.dumps(record | {"before": first["sha256"]}))
    params = make_params(pose={"start": "handpose/released"}, synthesize={"seed": 1})
    release(begin(clone), params, lambda _: None, people=2, images=24)
    numbers = json.loads((out / "numbers.json").read_text())
    assert numbers["earlier"] == [first]
    assert "pose.start" in numbers["data"]["unlike_wide"]
    text = (out / "card.md").read_text()
    assert "500 steps of Stage 2" in text, "of both trainings"
    assert "hours with Stage 1; A CPU, 4 cores, then " in text
    assert "before that, on 7 synthetic images of 4 people, profile `wide`, seed 0; 300" in text

    trained = read_record(clone / MODEL)
    assert earlier(out, trained) == [first], "its own weights are there now"
    with pytest.raises(ReleaseError, match=r"which .*numbers\.json does not know"):
        earlier(out, dataclasses.replace(trained, before="f" * 64))
    with pytest.raises(ReleaseError, match=r"expected pose\.start: handpose/released"):
        earlier(clone, trained)


@pytest.mark.parametrize(
    ("section", "key", "value", "words"),
    [
        ("data", "root", "elsewhere", "data.root is elsewhere"),
        ("hand", "mano", "mine", "hand.mano is mine"),
        ("encoder", "weights", "imagenet", "expected '': a random start"),
        ("pose_net", "view_heads", False, "could not tell left from right"),
        ("pose_net", "ray_input", True, "could not take a photo without K"),
    ],
)
def test_what_others_have_a_say_in_is_not_released(
    tmp_path: Path, section: str, key: str, value: Any, words: str
) -> None:
    with pytest.raises(ReleaseError, match=words) as caught:
        require_own(tmp_path, make_params(**{section: {key: value}}))
    assert "--profile wide" in str(caught.value)
    require_own(tmp_path, make_params())


def test_foreign_files_in_our_folders_are_not_released(tmp_path: Path) -> None:
    (tmp_path / "data" / "synthetic").mkdir(parents=True)
    with pytest.raises(ReleaseError, match="expected this project's data/synthetic"):
        require_own(tmp_path, make_params())


def test_profile_wide_is_unlike_itself_in_no_key(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_bytes((ROOT / "params.yaml").read_bytes())
    configure("wide", path)
    assert unlike_wide(load_params(path)) == []
    assert "synthesize.creases" in unlike_wide(Params())
