"""`handpose confidence`: a head beside an untrained model, from a few photos."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch

from handpose.confidence.confidence_io import RECORD, WEIGHTS
from handpose.data.crop import central
from handpose.hand.mano import Mano
from handpose.nets.eanet.eanet import EaNet
from handpose.nets.gesture_net import GestureNet
from handpose.nets.pose_net import PoseNet
from handpose.predict import Predictor
from handpose.training.checkpoint import CheckpointError
from handpose.training.model_io import save_model
from pipeline.__main__ import main
from pipeline.confidence.confidence import ConfidenceError, train_confidence
from pipeline.confidence.judged import NoConfidenceInputError, judge
from pipeline.confidence.true_view import empty_view
from stages.params import EncoderParams, PoseNetParams
from stages.paths import SAMPLES
from tests.pipeline.confidence.small_photos import write_small_photos
from tests.test_predict import a_record

ROOT = Path(__file__).parents[3]
PX = 64


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, mano: Mano) -> Path:
    root = tmp_path_factory.mktemp("clone")
    write_small_photos(root / SAMPLES, root / "data" / "synthetic", mano)
    return root


@pytest.fixture
def clone(data: Path, tmp_path: Path, mano: Mano, stand_in: Path) -> Path:
    """A clone with those photos and an untrained model."""
    (tmp_path / "data").mkdir()
    for name in ("ingest", "synthetic"):
        (tmp_path / "data" / name).symlink_to(data / "data" / name)
    (tmp_path / "data" / "stand_in").symlink_to(stand_in)
    (tmp_path / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    write_model(tmp_path / "models" / "pose" / "pretrained", mano)
    return tmp_path


def write_model(folder: Path, mano: Mano, seed: int = 0) -> None:
    torch.manual_seed(seed)
    encoder = EncoderParams(image_px=PX).keywords()
    pose_net = PoseNetParams(grid=4, dim=16, heads=2, view_heads=True).keywords()
    net = PoseNet(GestureNet(**encoder, coarse_classes=3, fine_classes=3), mano, **pose_net)
    folder.mkdir(parents=True, exist_ok=True)
    save_model(folder, net, a_record(encoder, pose_net, "handed"))


def test_the_command_writes_a_head_that_the_predictor_takes(
    clone: Path, mano: Mano, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(clone)
    model = Path("models/pose/pretrained")
    weights = (model / "model.safetensors").read_bytes()
    assert main(["confidence", "--device", "cpu"]) == 0
    out = capsys.readouterr().out
    assert "of 2 people, calibrated on" in out and "of 2 others" in out
    assert (model / "model.safetensors").read_bytes() == weights
    record = json.loads((model / RECORD).read_text("utf-8"))
    assert record["training"]["hands"] + record["calibration"]["hands"] == 24
    assert min(record["training"]["windows"], record["calibration"]["windows"]) > 0

    predictor = Predictor.load(model, mano="data/stand_in")
    assert predictor.confidence is not None
    assert predictor.confidence.factors.tolist() == pytest.approx(record["factors"])
    before = (model / WEIGHTS).read_bytes()
    train_confidence(model, mano="data/stand_in", photos=Path("data/synthetic"))
    assert (model / WEIGHTS).read_bytes() == before, "the same photos give the same head"

    write_model(model, mano, seed=1)
    with pytest.raises(CheckpointError, match="this confidence head is of the model"):
        Predictor.load(model, mano="data/stand_in")
    train_confidence(model, mano="data/stand_in", photos=Path("data/synthetic"))
    assert Predictor.load(model, mano="data/stand_in").confidence is not None


def _drop_validation(clone: Path) -> None:
    table = pq.read_table(clone / SAMPLES)
    kept = [split != "validation" for split in table["split"].to_pylist()]
    (clone / "data" / "ingest").unlink()
    (clone / "data" / "ingest").mkdir()
    pq.write_table(table.filter(kept), clone / SAMPLES)


def _drop_samples(clone: Path) -> None:
    (clone / "data" / "ingest").unlink()


def _drop_photos(clone: Path) -> None:
    (clone / "data" / "synthetic").unlink()


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_drop_samples, "samples.parquet: not found; run `dvc repro ingest` first"),
        (_drop_validation, "no sample of split validation.*ingest.validation_subjects"),
        (_drop_photos, "0 hands and 0 windows .* 12 photos are missing or damaged"),
    ],
)
def test_missing_data_are_named_with_the_remedy(
    clone: Path,
    spoil: Callable[[Path], None],
    words: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spoil(clone)
    monkeypatch.chdir(clone)
    model = Path("models/pose/pretrained")
    with pytest.raises(ConfidenceError, match=words):
        train_confidence(model, mano="data/stand_in", photos=Path("data/synthetic"))
    assert not (model / RECORD).exists()


def test_a_baseline_has_nothing_to_read(mano: Mano) -> None:
    encoder = EncoderParams(image_px=PX).keywords()
    sizes = {"dim": 16, "heads": 2, "encoder_layers": 1, "fusion_layers": 1, "volume_depth": 4}
    gesture_net = GestureNet(**encoder, coarse_classes=3, fine_classes=3)
    net = EaNet(
        gesture_net, mano, projections=1, depth_range_m=0.2, turn_camera=True, side_input=True,
        **sizes,
    )  # fmt: skip
    predictor = Predictor(net, a_record(encoder, {"network": "eanet"}, "handed"))
    image = torch.zeros(PX, PX, 3, dtype=torch.uint8).numpy()
    view = empty_view(image, central(PX, PX), px=PX)
    with pytest.raises(NoConfidenceInputError, match=r"pose_net\.network is eanet"):
        next(judge(predictor, [view]))
