"""Stage 2: with and without Stage 1, what it refuses, and what is in its weights."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from handpose.hand.camera import project
from handpose.hand.facing import facing
from handpose.hand.rotation import matrix_to_rot6d
from handpose.nets.eanet.eanet import EaNet
from handpose.nets.network_by_name import PoseNetwork, make_pose_network
from handpose.nets.pose_net import PoseNet
from handpose.sample import HandBatch, PoseOutput, SideFacingOutput
from handpose.training.checkpoint import Checkpoint, CheckpointError
from handpose.training.fit import Fitted, fit
from handpose.training.loss.eanet_loss import TERMS
from handpose.training.loss.learned_weights import LearnedWeights
from handpose.training.loss.pose_loss import MEASURED, PoseLoss
from handpose.training.model_io import read_record
from handpose.training.trained_nets import load_gesture_net, load_pose_net
from stages import pose, pretrain
from stages.hand_model import load_hand_model
from stages.params import LossWeights, load_params
from stages.pose import validate
from stages.running.command import run_stage
from stages.training.training_data import TrainingData
from tests.stages import conftest

SCRATCH, PRETRAINED = Path("models/pose/scratch"), Path("models/pose/pretrained")
STAGE_1 = Path("models/pretrain")


def run_pose(*argv: str) -> int:
    return run_stage(lambda: pose.main(list(argv)), "pose")


@pytest.fixture(scope="module")
def stage_1(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the first test that trains Stage 1 leaves it for the others."""
    return tmp_path_factory.mktemp("stage_1") / "models"


@pytest.fixture
def with_stage_1(trainable: Path, stage_1: Path) -> Path:
    """The `trainable` folder with a trained Stage 1."""
    if not stage_1.exists():
        assert run_stage(pretrain.main, "pretrain") == 0
        shutil.copytree(STAGE_1, stage_1)
    shutil.copytree(stage_1, STAGE_1, dirs_exist_ok=True)
    return trainable


def test_interhand_without_any_fit_is_refused_and_ones_own_recordings_are_not(
    trainable: Path,
    monkeypatch: pytest.MonkeyPatch,
    set_params: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    stored = conftest.stored_sample

    def without(sample_id: int, folder: str) -> tuple[bytes, dict[str, Any]]:
        jpeg, label = stored(sample_id, folder)
        return jpeg, label | {"has_mano": False}

    monkeypatch.setattr(conftest, "stored_sample", without)
    conftest.write_shards(train=12, validation=6)
    assert run_pose("scratch") == 2
    message = capsys.readouterr().err
    assert "none of the first 12 training samples has a MANO fit" in message
    assert "`dvc repro pretrain`" in message
    set_params(pose={"annotated_share": 0.4})
    assert run_pose("scratch") == 2
    assert "none of the first 6 training samples has a MANO fit" in capsys.readouterr().err
    set_params(data={"format": "folder"})
    assert run_pose("scratch") == 0


def test_from_scratch_it_needs_no_stage_1(trainable: Path) -> None:
    params = load_params()
    mano = load_hand_model(params.hand, params.data)
    assert run_pose("scratch") == 0
    assert not STAGE_1.exists()
    record = read_record(SCRATCH)
    assert record.stage == "pose"
    assert record.joints == {"tips": "interhand", "file": "", "sha256": ""}
    assert record.pose_net["turn_camera"] is True
    assert set(record.seconds) == {"pose"}
    metrics = json.loads((SCRATCH / "metrics.json").read_text())
    assert set(metrics["validation"]) == {"loss", "mpjpe_mm", "pa_annotated_mpjpe_mm"}
    assert (SCRATCH / "curves.csv").read_text().startswith("step,epoch,lr,rotation,root,betas,")
    assert (SCRATCH / "manifest.json").exists()
    assert load_pose_net(SCRATCH, mano).gesture_net.heads.coarse_classes == 4

    weights = safetensors.torch.load_file(SCRATCH / "model.safetensors")
    assert not [name for name in weights if "mano." in name]
    sizes = {buffer.numel() for buffer in mano.buffers() if buffer.numel() > 1000}
    assert not sizes & {tensor.numel() for tensor in weights.values()}, "nothing of MANO is stored"


@pytest.mark.parametrize("run", ["pretrained", "scratch"])
def test_a_share_of_the_poses_trains_as_many_steps_on_the_same_images_with_and_without_stage_1(
    with_stage_1: Path,
    set_params: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    run: str,
) -> None:
    seen: list[list[int]] = []

    def watched(net: nn.Module, batch: HandBatch) -> PoseOutput:
        if net.training:
            seen.append(batch.sample_id.tolist())
        return forward(net, batch)

    forward = pose.forward
    monkeypatch.setattr(pose, "forward", watched)
    set_params(pose={"annotated_share": 0.4}, pose_scratch={"epochs": 2})
    assert run_pose(run) == 0
    assert len(seen) == 2 * 3, "two epochs of as many steps as 12 images make"
    images = {i for batch in seen for i in batch}
    assert len({i % 4 for i in images}) == 2 and len(images) == 6, "two whole sequences of four"
    text = "learns from 6 of 12 images: 2 sequences of 1 person in 2 fine classes"
    assert text in capsys.readouterr().out
    metrics = json.loads((Path("models/pose") / run / "metrics.json").read_text())
    assert metrics["annotated"]["images"] == 6
    params = load_params().pose
    labels = TrainingData.open(params, image_px=32, handedness="handed")
    assert set(labels.with_annotated_share(0.4)[1].sample_ids) == images, "alike in every run"


@pytest.mark.parametrize("choice", ["fit", "both"])
def test_the_loss_is_that_of_the_chosen_joints(
    trainable: Path, set_params: Callable[..., None], monkeypatch: pytest.MonkeyPatch, choice: str
) -> None:
    seen: list[PoseLoss] = []
    monkeypatch.setattr("stages.pose.run_training", lambda *_, loss, **__: seen.append(loss))
    set_params(pose={"mano_joints": choice})
    assert run_pose("scratch") == 0
    assert [loss.mano_joints for loss in seen] == [choice]


def test_learned_weights_and_refinements_are_resumed_with_the_same_bytes(
    trainable: Path, monkeypatch: pytest.MonkeyPatch, set_params: Callable[..., None]
) -> None:
    weights = LossWeights(vertices=10.0, edges=10.0, bone=0.0).keywords()
    set_params(
        pose={"checkpoint_every_s": 0, "learned_weights": True, "weights": weights},
        pose_net={"refinements": 2, "place_noise": 0.05},
        pose_scratch={"epochs": 1},
    )
    assert run_pose("scratch") == 0
    names = ("model.safetensors", "curves.csv")
    whole = {name: (SCRATCH / name).read_bytes() for name in names}
    factors = json.loads((SCRATCH / "metrics.json").read_text())["learned_weights"]
    assert set(factors) == set(MEASURED)
    assert all(0 < factor != 1 for factor in factors.values())
    curves = (SCRATCH / "curves.csv").read_text()
    assert "vertices,edges" in curves.splitlines()[0]
    params = load_params()
    net = load_pose_net(SCRATCH, load_hand_model(params.hand, params.data))
    assert isinstance(net, PoseNet) and net.mano_head.refinements == 2

    shutil.rmtree(SCRATCH)
    shutil.rmtree("work")
    saves, save = 0, Checkpoint.save

    def dying_save(self: Checkpoint, state: dict[str, object]) -> None:
        nonlocal saves
        saves += 1
        save(self, state)
        if saves == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoint, "save", dying_save)
        assert run_pose("scratch") != 0 and not SCRATCH.exists()
    assert run_pose("scratch") == 0
    assert whole == {name: (SCRATCH / name).read_bytes() for name in names}
    metrics = json.loads((SCRATCH / "metrics.json").read_text())
    assert metrics["learned_weights"] == factors


def test_poses_of_classes_are_of_the_training_fits_and_part_of_the_model(
    with_stage_1: Path, set_params: Callable[..., None]
) -> None:
    set_params(pose_net={"class_pose": True}, pose_scratch={"epochs": 1})
    assert run_pose("pretrained") == 0
    record = read_record(PRETRAINED)
    assert record.pose_net["class_pose"] is True
    params = load_params()
    mano = load_hand_model(params.hand, params.data)
    net = load_pose_net(PRETRAINED, mano)
    assert isinstance(net, PoseNet) and net.class_start is not None
    offsets = net.class_start.offsets
    poses: dict[int, list[Any]] = {}
    for number in range(0, 12, 2):  # those with a fit; folders in rotation
        folder = conftest.FOLDERS[number % 4]
        pose_of = conftest.stored_sample(number, folder)[1]["hand_pose"]
        poses.setdefault(number % 4, []).append(torch.tensor(pose_of))
    means = {k: matrix_to_rot6d(mano.rotations(torch.stack(v).mean(0)[None]))[0]
             for k, v in poses.items()}  # fmt: skip
    assert sorted(means) == [0, 2], "two of the four folders have a fit"
    torch.testing.assert_close(offsets[0, 1:] - offsets[2, 1:], means[0] - means[2])
    assert not offsets[[1, 3]].any()

    assert run_pose("scratch") == 0
    assert "class_pose" not in read_record(SCRATCH).pose_net, "it reads no gesture labels"


def test_eanet_learns_the_weights_of_its_own_terms(
    trainable: Path, set_params: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = LossWeights(vertices=1.0, betas=0.0).keywords()
    seen: list[LearnedWeights] = []
    monkeypatch.setattr("stages.pose.run_training", lambda *_, loss, **__: seen.append(loss))
    set_params(
        encoder={"backbone": "resnet18", "gesture_levels": [32]},
        pose_net={"network": "eanet", "dim": 16, "fusion_layers": 1, "gesture_tokens": False},
        pose={"learned_weights": True, "weights": weights},
    )
    assert run_pose("scratch") == 0
    names = ("rotation", "root", "joints_mano", "uvd", "reprojection_mano")
    assert [loss.names for loss in seen] == [names]


def test_pretrained_starts_from_stage_1_and_records_both_times(
    with_stage_1: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[dict[str, Tensor]] = []

    def watched_build(*args: Any, **keywords: Any) -> PoseNetwork:
        net = make_pose_network(*args, **keywords)
        begun.append({k: v.clone() for k, v in net.gesture_net.state_dict().items()})
        return net

    monkeypatch.setattr("stages.pose.make_pose_network", watched_build)
    assert run_pose("pretrained") == 0
    expected = load_gesture_net(STAGE_1).state_dict()
    assert all(torch.equal(begun[0][name], expected[name]) for name in expected)
    seconds = read_record(PRETRAINED).seconds
    assert set(seconds) == {"pretrain", "pose"}
    assert seconds["pretrain"] == read_record(STAGE_1).seconds["pretrain"]


def heads_of(names: Iterable[str]) -> set[str]:
    return {name for name in names if name.startswith("heads.")}


@pytest.mark.parametrize("trained", [False, True])
def test_frozen_gesture_heads_stay_those_of_stage_1(
    with_stage_1: Path, set_params: Callable[..., None], trained: bool
) -> None:
    set_params(pose={"train_gesture_heads": trained, "ema": 0.9})
    assert run_pose("pretrained") == 0
    first = load_gesture_net(STAGE_1).state_dict()
    state = safetensors.torch.load_file(PRETRAINED / "model.safetensors")
    found = {name.removeprefix("gesture_net."): value for name, value in state.items()}
    same = {name: torch.equal(found[name], value) for name, value in first.items()}
    heads = heads_of(same)
    assert len(heads) == 4 and {same[name] for name in heads} == {not trained}
    assert not all(same[name] for name in same.keys() - heads), "the encoder learns"


@pytest.mark.parametrize("classes", ["coarse", "fine"])
def test_one_kind_of_classes_is_trained_recorded_and_read_again(
    with_stage_1: Path,
    set_params: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
    classes: str,
) -> None:
    set_params(pose_net={"token_classes": classes}, pose={"epochs": 1})
    params = load_params()
    assert run_pose("pretrained") == 0
    assert read_record(PRETRAINED).pose_net["token_classes"] == classes
    net = load_pose_net(PRETRAINED, load_hand_model(params.hand, params.data))
    assert isinstance(net, PoseNet) and net.token_classes == classes
    PRETRAINED.rename("first")
    set_params(pose={"start": "first"}, pose_net={"token_classes": "both"})
    assert run_pose("pretrained") == 2
    assert f"pose_net.token_classes is {classes}, expected both" in capsys.readouterr().err


def test_it_starts_from_a_model_that_it_names_and_needs_no_stage_1(
    with_stage_1: Path, set_params: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run_pose("pretrained") == 0
    first = Path("first")
    PRETRAINED.rename(first)
    shutil.rmtree(STAGE_1)
    begun: list[dict[str, Tensor]] = []

    def watched_fit(net: PoseNet, **keywords: Any) -> Fitted:
        begun.append({k: v.clone() for k, v in net.state_dict().items()})
        return fit(net, **keywords)

    monkeypatch.setattr("stages.training.training.fit", watched_fit)
    set_params(pose={"start": str(first)})
    assert run_pose("pretrained") == 0
    expected = safetensors.torch.load_file(first / "model.safetensors")
    assert all(torch.equal(begun[0][name], expected[name]) for name in expected)
    before, record = read_record(first), read_record(PRETRAINED)
    assert record.before == before.weights_sha256 != record.weights_sha256
    assert record.seconds["pretrain"] == before.seconds["pretrain"]
    assert record.seconds["pose"] > before.seconds["pose"], "the time of both trainings"
    assert record.params_digest != before.params_digest

    assert run_pose("scratch") == 0
    assert read_record(SCRATCH).before == "", "the comparison has no start"


def test_a_start_that_is_missing_or_of_another_network_or_other_classes_is_refused(
    with_stage_1: Path,
    set_params: Callable[..., None],
    labels_of: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    set_params(pose={"start": "nowhere"})
    assert run_pose("pretrained") == 2
    assert "pose.start: nowhere/model.json not found" in capsys.readouterr().err
    set_params(pose={"start": str(STAGE_1)})
    assert run_pose("pretrained") == 2
    assert "holds a model of stage pretrain, expected pose" in capsys.readouterr().err
    set_params(pose={"start": ""})
    assert run_pose("pretrained") == 0
    PRETRAINED.rename("first")
    set_params(pose={"start": "first"}, pose_net={"dim": 64})
    assert run_pose("pretrained") == 2
    printed = capsys.readouterr().err
    assert "pose_net.dim is 32, expected 64" in printed
    assert printed.endswith("Name another model in pose.start, or '' for Stage 1's network\n")
    set_params(pose_net={"dim": 32, "refinements": 1})
    assert run_pose("pretrained") == 2
    assert "pose_net.refinements is missing, expected 1" in capsys.readouterr().err
    record = json.loads(Path("first/model.json").read_text())
    record["pose_net"]["refinements"] = 2
    Path("first/model.json").write_text(json.dumps(record))
    set_params(pose_net={"refinements": 0})
    assert run_pose("pretrained") == 2
    assert "pose_net.refinements is 2, expected missing" in capsys.readouterr().err
    labels_of(("gun", "fist", "left", "left"))
    assert run_pose("pretrained") == 2
    assert "first: this model was trained with other settings" in capsys.readouterr().err


def test_eanet_is_trained_from_the_same_stage_1_by_its_own_loss(
    trainable: Path, set_params: Callable[..., None]
) -> None:
    """The paper's two rows of EANet: run `pretrained`, and run `scratch`."""
    lacking = {"gesture_tokens": False, "global_feature": False}
    set_params(
        encoder={"backbone": "resnet18", "gesture_levels": [32]},
        pose_net={"network": "eanet", "dim": 16, "fusion_layers": 1, **lacking},
        pretrain={"epochs": 1},
        pose={"epochs": 1},
    )
    params = load_params()
    mano = load_hand_model(params.hand, params.data)
    assert run_stage(pretrain.main, "pretrain") == 0
    for run in ("pretrained", "scratch"):
        assert run_pose(run) == 0
        folder = PRETRAINED if run == "pretrained" else SCRATCH
        record = read_record(folder)
        assert record.encoder["backbone"] == "resnet18"
        assert record.pose_net == params.pose_net.keywords()
        assert record.pose_net["network"] == "eanet"
        curves = (folder / "curves.csv").read_text()
        assert curves.startswith(f"step,epoch,lr,{','.join(TERMS)},")
        net = load_pose_net(folder, mano)
        assert isinstance(net, EaNet)
        metrics = json.loads((folder / "metrics.json").read_text())["validation"]
        assert metrics["mpjpe_mm"] > 0
    begun, trained = load_gesture_net(STAGE_1).backbone, load_pose_net(PRETRAINED, mano)
    moved = [
        (after - before).abs().max().item()
        for before, after in zip(
            begun.parameters(), trained.gesture_net.backbone.parameters(), strict=True
        )
    ]
    assert 0 < max(moved) < 0.1, "it starts from Stage 1's weights and goes on from there"


@pytest.mark.parametrize("name", ["convnext_atto", "vit_tiny_patch16_224"])
def test_other_backbones_are_handed_from_stage_1_to_stage_2(
    trainable: Path, set_params: Callable[..., None], name: str
) -> None:
    set_params(encoder={"backbone": name}, pretrain={"epochs": 1}, pose={"epochs": 1})
    params = load_params()
    assert run_stage(pretrain.main, "pretrain") == 0
    assert run_pose("pretrained") == 0
    record = read_record(PRETRAINED)
    assert record.encoder["backbone"] == name
    mano = load_hand_model(params.hand, params.data)
    begun = load_gesture_net(STAGE_1).backbone.state_dict()
    trained = load_pose_net(PRETRAINED, mano).gesture_net.backbone.state_dict()
    moved = [(trained[key] - begun[key]).abs().max().item() for key in begun]
    assert 0 < max(moved) < 0.1, "it starts from Stage 1's weights and goes on from there"


def test_a_record_without_a_network_is_the_papers_and_an_unknown_one_is_refused(
    trainable: Path,
) -> None:
    params = load_params()
    mano = load_hand_model(params.hand, params.data)
    assert run_pose("scratch") == 0
    record = json.loads((SCRATCH / "model.json").read_text())
    assert "network" not in record["pose_net"], "as before there was a choice"
    assert isinstance(load_pose_net(SCRATCH, mano), PoseNet)
    record["pose_net"]["network"] = "hamer"
    (SCRATCH / "model.json").write_text(json.dumps(record))
    with pytest.raises(CheckpointError, match="no network 'hamer'; there are gesture_guided and"):
        load_pose_net(SCRATCH, mano)


def test_the_live_checkpoint_is_another_for_other_stage_1_weights(
    with_stage_1: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digests: list[str] = []

    def fail(net: PoseNet, *, checkpoint: Checkpoint, **_: object) -> None:
        digests.append(f"{checkpoint.folder} {checkpoint.digest}")
        raise AssertionError("far enough")

    monkeypatch.setattr("stages.training.training.fit", fail)
    for seconds in (1.0, 2.0):
        record = json.loads((STAGE_1 / "model.json").read_text())
        record["seconds"]["pretrain"] = seconds
        (STAGE_1 / "model.json").write_text(json.dumps(record))
        with pytest.raises(AssertionError, match="far enough"):
            run_pose("pretrained")
    with pytest.raises(AssertionError, match="far enough"):
        run_pose("scratch")
    assert digests[0] == digests[1], "how long Stage 1 took changes nothing"
    assert digests[0].startswith("work/pose-pretrained ")
    assert digests[2].startswith("work/pose-scratch ")
    assert digests[2].split()[1] != digests[0].split()[1]


def test_stage_1_of_other_classes_is_refused(
    with_stage_1: Path, capsys: pytest.CaptureFixture[str], labels_of: Callable[..., None]
) -> None:
    labels_of(("gun", "fist", "left", "left"))
    assert run_pose("pretrained") == 2
    printed = capsys.readouterr().err
    assert "models/pretrain: this model was trained with other settings" in printed
    assert "number of coarse is 4, expected 3" in printed
    assert "dvc repro pretrain" in printed


def test_stage_1_of_another_network_is_refused(
    with_stage_1: Path, capsys: pytest.CaptureFixture[str], set_params: Callable[..., None]
) -> None:
    set_params(encoder={"gesture_hidden": 8})
    assert run_pose("pretrained") == 2
    assert "encoder.gesture_hidden is 0, expected 8" in capsys.readouterr().err
    set_params(encoder={"gesture_hidden": 0}, pose_net={"dim": 64})  # Stage 1 does not depend on it
    assert run_pose("pretrained") == 0


def test_a_missing_stage_1_is_named(trainable: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_pose("pretrained") == 2
    assert "models/pretrain/model.json: not found" in capsys.readouterr().err


@pytest.mark.parametrize("argv", [(), ("other",), ("scratch", "more")])
def test_another_word_is_refused(argv: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert run_pose(*argv) == 2
    assert "expected one of pretrained, scratch" in capsys.readouterr().err


class Oracle(nn.Module):
    """A network with this output for every input."""

    def __init__(self, output: PoseOutput) -> None:
        super().__init__()
        self.output, self.unused = output, nn.Parameter(torch.zeros(1))

    def forward(self, image: Tensor, is_left: Tensor, K: Tensor) -> PoseOutput:
        return self.output


@pytest.mark.parametrize("turn_camera", [False, True])
def test_it_trains_and_validates_in_the_frame_that_its_parameters_name(
    trainable: Path,
    set_params: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    turn_camera: bool,
) -> None:
    set_params(pose_net={"turn_camera": turn_camera})
    seen: list[HandBatch] = []

    def look(*_: object, data: TrainingData, **__: object) -> None:
        seen.extend([next(data.train(0, 0)), next(data.validation())])

    monkeypatch.setattr("stages.pose.run_training", look)
    assert run_pose("scratch") == 0
    for batch in seen:
        middle = (batch.image.shape[-1] - 1) / 2
        axis = torch.tensor([0.0, 0, 1]).expand(len(batch), 1, 3)
        off = (project(axis, batch.K) - middle).abs().amax()
        assert off < 1e-2 if turn_camera else off > 10


def test_validation_measures_millimetres_about_the_wrist(
    make_batch: Callable[..., HandBatch],
) -> None:
    batch = make_batch(3, side=8)
    wrist = batch.joints_cam[:, :1]
    joints = 1.1 * (batch.joints_cam - wrist)  # ten per cent too large, and nothing else
    nothing = torch.zeros(0)
    left, palm = torch.ones(3), torch.tensor([[1.0, 0, 0]]).expand(3, 3)
    view = SideFacingOutput(left, palm)
    tensors: dict[str, Any] = {f.name: nothing for f in dataclasses.fields(PoseOutput)}
    net = Oracle(PoseOutput(**tensors | {"joints": joints, "view": view}))
    unknown = batch.joint_valid.clone()
    unknown[2] = False  # no joint of the third is annotated
    batch = dataclasses.replace(batch, joint_valid=unknown)

    losses = iter([1.0, 2.0])
    found = validate(net, [batch, batch], lambda *_: {"loss": torch.tensor(next(losses))})
    expected = 100 * (batch.joints_cam - wrist)[:2, 1:].norm(dim=-1).mean().item()
    assert found["mpjpe_mm"] == pytest.approx(expected, rel=1e-4)
    assert found["pa_annotated_mpjpe_mm"] == pytest.approx(0, abs=1e-3)
    assert found["loss"] == pytest.approx(1.5)
    assert found["side_accuracy"] == pytest.approx(batch.is_left.float().mean().item())
    faces = facing(batch.joints_cam, batch.joint_valid, batch.is_left)
    assert found["facing_accuracy"] == pytest.approx((faces[:2] == 0).float().mean().item())
