"""`handpose publish`: a made-up clone with a small model, and what may be said of it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from handpose import HandEstimator
from handpose.data.merged.interval_units import IntervalUnits, Units
from handpose.estimator import released_folder
from handpose.hand.mano import FILE, Mano
from handpose.synthetic.anny_hand import right_hand
from handpose.training.model_io import read_record
from pipeline.__main__ import main
from pipeline.profiles.overrides import override
from stages.paths import METRICS, SAMPLES, STAGE_1_MODEL, STAGE_2_MODELS, STAND_IN, SYNTHETIC
from tests.pipeline.export.small_model import small_predictor, write_small_model

ROOT = Path(__file__).parents[3]
MODEL = STAGE_2_MODELS["pretrained"]
ESTIMATE = {"value": 31.25, "low": 29.0, "high": 33.5, "samples": 1200, "subjects": 8}
ALONE = ESTIMATE | {"low": None, "high": None, "subjects": 1}
SHARE = ESTIMATE | {"value": 0.5, "low": 0.4, "high": 0.6}
SMALL = {"image_px": 64, "backbone": "resnet18"}


@pytest.fixture
def clone(tmp_path: Path, mano: Mano, stand_in: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder as `dvc repro` leaves it, as far as the command reads it."""
    root = tmp_path / "clone"
    root.mkdir()
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(ROOT / name, root)
    override([f"encoder.{key}={value}" for key, value in SMALL.items()], root / "params.yaml")
    write_small_model(root / MODEL, mano)
    (root / MODEL / "curves.csv").write_text("step,loss\n100,2.0\n804,1.0\n")
    shutil.copytree(stand_in, root / STAND_IN)
    (root / SYNTHETIC / "annotations").mkdir(parents=True)
    (root / SYNTHETIC / "annotations" / "synthetic.json").write_text("{}")
    (root / "data" / "ingest").mkdir()
    (root / "data" / "shard").mkdir()
    index = {"splits": {"train": {"samples": 4288}}}
    (root / "data" / "shard" / "index.json").write_text(json.dumps(index))
    split = {"train": {"subjects": [0, 1, 2], "samples": 4290}}
    (root / "data" / "ingest" / "split.json").write_text(json.dumps(split))
    write_samples(root, {})
    mm = {"wrist_mpjpe_mm": ESTIMATE, "pa_mpjpe_mm": ESTIMATE, "table2_mpjpe_mm": ESTIMATE}
    pose = {"test": mm | {"pck_auc": SHARE}, "official_val": dict.fromkeys(mm, ALONE)}
    metrics = {
        "pose": {name: {"pretrained": found, "scratch": {}} for name, found in pose.items()},
        "gesture": {"pretrained": {"coarse_accuracy": SHARE}},
    }
    (root / METRICS).parent.mkdir()
    (root / METRICS).write_text(json.dumps(metrics))
    lock(root)
    for words in (["init", "-q"], ["add", "params.yaml", "dvc.yaml"], ["commit", "-qm", "one"]):
        subprocess.run(
            ["git", "-c", "user.name=a", "-c", "user.email=a@b.c", *words], cwd=root, check=True
        )
    monkeypatch.chdir(root)
    return root


def write_samples(root: Path, metadata: dict[str, str]) -> None:
    """A table without rows, which says what its units are."""
    schema = pa.schema([("subject", pa.int64())], metadata=metadata)
    pq.write_table(schema.empty_table(), root / SAMPLES)


def lock(root: Path) -> None:
    """dvc.lock as of the files that are there."""
    deps, outs = (
        [{"path": str(path), "md5": hashlib.md5((root / path).read_bytes()).hexdigest()}]
        for path in (MODEL / "model.safetensors", METRICS)
    )
    content = {"stages": {"evaluate": {"deps": deps, "outs": outs}}}
    (root / "dvc.lock").write_text(yaml.safe_dump(content))


def card(out: Path) -> str:
    assert main(["publish", str(out)]) == 0
    return (out / "card.md").read_text("utf-8")


def test_what_is_published_is_a_model_that_says_what_it_is(
    clone: Path, tmp_path: Path, mano: Mano, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "far" / "away"
    text = card(out)
    assert "read its card.md" in capsys.readouterr().out
    names = {"model.safetensors", "model.json", "confidence.safetensors", "confidence.json"}
    assert {path.name for path in out.iterdir()} == names | {"card.md", "numbers.json"}
    assert "31.2 [29.0, 33.5]" in text and "0.500 [0.400, 0.600]" in text
    assert "| official_val | 31.2 |" in text and "| 1,200 | 1 |" in text
    assert "50.0 [40.0, 60.0] % of 3 classes" in text
    assert "Trained on 4,288 pictures of 3 people: synthetic" in text
    assert "804 steps of Stage 2" in text
    assert "Apache-2.0, as the code that trained it. Nothing of others is in it." in text
    assert "It says how sure it is" in text
    head = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
    assert f"commit {head.stdout[:10]}." in text
    numbers = json.loads((out / "numbers.json").read_text("utf-8"))
    weights = small_predictor(mano).net.state_dict().values()
    trained = sum(w.numel() for w in weights if w.is_floating_point())
    assert numbers["model"]["parameters"] == trained
    assert str(tmp_path) not in text + json.dumps(numbers), "no path of this machine"


@pytest.mark.parametrize(
    ("people", "blocks", "message"),
    [
        ([0, 1, 2], [10, 11], "pictures of 3 people and 2 blocks: synthetic"),
        ([0], [10], "pictures of 1 person and 1 block: synthetic"),
        ([], [10, 11], "pictures of 2 blocks: synthetic"),
    ],
)
def test_what_stands_for_people_in_other_data_sets_is_not_counted_as_people(
    clone: Path, tmp_path: Path, people: list[int], blocks: list[int], message: str
) -> None:
    units = IntervalUnits.of_splits(
        [("training", "train", Units("block", "blocks", "it names no people"))]
    )
    write_samples(clone, units.metadata())
    path = Path("data/ingest/split.json")
    split = {"subjects": [*people, *blocks], "subjects_not_people": {"blocks": blocks}}
    path.write_text(json.dumps({"train": split}))
    metrics = json.loads(METRICS.read_text())
    over = {"official_val": {"what": "blocks", "count": 1, "why": "it names no people"}}
    METRICS.write_text(json.dumps(metrics | {"intervals_over": over}))
    lock(clone)
    text = card(tmp_path / "model")
    assert "Of official_val the interval is over blocks: it names no people." in text
    assert "| 1,200 | 1 block |" in text and "| 1,200 | 8 |" in text
    assert message in text


def test_it_can_be_used_from_anywhere(clone: Path, tmp_path: Path, mano: Mano) -> None:
    card(tmp_path / "out")
    photo = np.random.default_rng(0).integers(0, 255, (90, 120, 3), np.uint8)
    found, expected = (
        HandEstimator.load(folder)(photo) for folder in (tmp_path / "out", clone / MODEL)
    )
    np.testing.assert_array_equal(found.joints, expected.joints)


def test_nothing_of_the_hand_model_is_in_it(clone: Path, tmp_path: Path, mano: Mano) -> None:
    card(tmp_path / "out")
    content = b"".join(path.read_bytes() for path in (tmp_path / "out").iterdir())
    for array in (mano.layer.v_template, mano.layer.posedirs[:3], mano.hands_mean):
        assert array.numpy().tobytes() not in content


def own_recordings(root: Path) -> None:
    shutil.rmtree(root / SYNTHETIC)
    (root / "mine").mkdir()
    override(["data.root=mine", "data.format=folder"], root / "params.yaml")


def interhand(root: Path) -> None:
    (root / SYNTHETIC / "annotations" / "synthetic.json").unlink()


def licensed_hand(root: Path) -> None:
    with np.load(root / STAND_IN / FILE) as arrays:
        kept = {key: arrays[key] for key in arrays if key != "model_name"}
    np.savez(root / STAND_IN / FILE, **kept)


def annys_hand(root: Path) -> None:
    np.savez(root / STAND_IN / FILE, allow_pickle=False, **right_hand())


def photos(root: Path) -> None:
    override(["synthesize.photo_backdrops=0.5"], root / "params.yaml")


def benchmark(root: Path) -> None:
    path = root / "params.yaml"
    text = path.read_text("utf-8")
    assert "benchmarks: {} " in text and "trained_benchmarks: [] " in text
    text = text.replace("trained_benchmarks: [] ", "trained_benchmarks: [freihand] ")
    path.write_text(text.replace("benchmarks: {} ", "benchmarks: {freihand: /x} "), "utf-8")


def hagrid(root: Path) -> None:
    override(["data.hagrid=/x"], root / "params.yaml")


def released_start(root: Path) -> None:
    start(root, read_record(released_folder()).weights_sha256)


def unknown_start(root: Path) -> None:
    start(root, "ab" * 32)


def start(root: Path, before: str) -> None:
    path = root / MODEL / "model.json"
    record = dataclasses.replace(read_record(root / MODEL), before=before)
    path.write_text(json.dumps(dataclasses.asdict(record)))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (own_recordings, "trained on recordings in mine: whoever made them"),
        (interhand, "trained on InterHand2.6M (Meta), CC BY-NC 4.0"),
        (licensed_hand, "trained with MANO (Max-Planck-Gesellschaft)"),
        (annys_hand, "trained with Anny's hand (NAVER, Apache-2.0"),
        (photos, "flower.jpg by vultilion (CC BY 2.0)"),
        (benchmark, "trained on freihand too"),
        (hagrid, "from photos of HaGRID too"),
        (released_start, "flower.jpg by vultilion (CC BY 2.0)"),
        (unknown_start, "began with the weights of SHA-256 abababababababab"),
    ],
)
def test_whoever_has_a_say_is_named(
    clone: Path,
    tmp_path: Path,
    change: Callable[[Path], None],
    words: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    change(clone)
    text = card(tmp_path / "out")
    assert words in text and words in capsys.readouterr().out
    assert "Nothing of others" not in text


def test_stage_1_of_the_clone_is_no_unknown_start(clone: Path, tmp_path: Path) -> None:
    shutil.copytree(clone / MODEL, clone / STAGE_1_MODEL)
    start(clone, read_record(clone / STAGE_1_MODEL).weights_sha256)
    assert "Nothing of others is in it" in card(tmp_path / "out")


def refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["publish", *words]) == 2
    return capsys.readouterr().err


def test_an_old_folder_is_not_overwritten(
    clone: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").write_text("mine")
    assert f"{out}: is there already; name a new folder" in refused([str(out)], capsys)
    assert [path.name for path in out.iterdir()] == ["mine.txt"]
    (out / "mine.txt").unlink()
    card(out)


def other_metrics(root: Path) -> Any:
    (root / METRICS).write_text((root / METRICS).read_text() + " ")
    return lock


def other_weights(root: Path) -> Any:
    (root / MODEL / "model.safetensors").write_bytes(b"x")
    return None


def no_metrics(root: Path) -> Any:
    (root / METRICS).unlink()
    return None


def no_lock(root: Path) -> Any:
    (root / "dvc.lock").unlink()
    return lock


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (other_metrics, "metrics.json: is not the file of the last finished evaluation"),
        (other_weights, "model.safetensors: is not the file of the last finished evaluation"),
        (no_metrics, "no finished evaluation of models/pose/pretrained is here"),
        (no_lock, "no finished evaluation of models/pose/pretrained is here"),
    ],
)
def test_numbers_of_another_model_are_refused(
    clone: Path,
    tmp_path: Path,
    change: Callable[[Path], Any],
    words: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    remedy = change(clone)
    out = tmp_path / "out"
    said = refused([str(out)], capsys)
    assert words in said and "`dvc repro`" in said
    assert not out.exists()
    if remedy is not None:  # `dvc repro` would write the lock of what is here
        remedy(clone)
        card(out)


def test_other_data_than_it_was_trained_on_are_refused(
    clone: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = yaml.safe_load((clone / "dvc.lock").read_text())
    params = yaml.safe_load((clone / "params.yaml").read_text())
    ran = {"data": params["data"] | {"root": "elsewhere"}, "label.handedness": "handed"}
    content["stages"]["ingest"] = {"params": {"params.yaml": ran}}
    (clone / "dvc.lock").write_text(yaml.safe_dump(content))
    said = refused([str(tmp_path / "out")], capsys)
    assert "params.yaml: data are not what the last run had" in said
    content["stages"]["ingest"]["params"]["params.yaml"]["data"] = params["data"]
    (clone / "dvc.lock").write_text(yaml.safe_dump(content))
    card(tmp_path / "out")


def test_a_model_of_other_parameters_is_refused(
    clone: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    override(["encoder.image_px=96"], clone / "params.yaml")
    assert "trained with other settings" in refused([str(tmp_path / "out")], capsys)
