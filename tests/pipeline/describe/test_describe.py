"""What `handpose describe` says about the choices of params.yaml."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from pipeline.describe.describe import DrawingError, architecture, description

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("data_format", "choice", "tips", "compared"),
    [
        ("interhand", "annotated", "interhand (vertices 745, 317, 445", "the annotated joints"),
        ("folder", "both", "smplx (vertices 744, 320, 443", "those of the MANO fit, in two terms"),
    ],
)
def test_it_says_whose_joints_are_predicted_and_learnt(
    tmp_path: Path, stand_in: Path, data_format: str, choice: str, tips: str, compared: str
) -> None:
    raw = yaml.safe_load((ROOT / "params.yaml").read_text("utf-8"))
    raw["hand"]["mano"] = str(stand_in)
    raw["data"]["format"] = data_format
    raw["label"]["map"] = str(ROOT / "labels" / "gesture_map.csv")
    raw["pose"] |= {"mano_joints": choice, "learned_weights": True}
    raw["pose_net"] |= {"ray_input": True, "refinements": 2}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(raw), encoding="utf-8")
    text = description(tmp_path / "params.yaml")
    assert f"the 21 joints of the mesh: MANO's regressor, fingertips of {tips}" in text
    assert "pose_correction" in text and "ray_input: true" in text
    assert architecture(tmp_path / "params.yaml").keys() >= {"image"}
    (line,) = [line for line in text.splitlines() if line.startswith("joints_mano compares")]
    assert line.endswith(compared)
    learned = "rotation, root, betas, joints_volume, joints_mano, uvd, reprojection_volume"
    assert f"start at 1, of {learned}, reprojection_mano\n" in text, "none without a weight"


@pytest.mark.parametrize(
    ("name", "title", "layer"),
    [("convnext_atto", "ConvNeXt", "stages_0"), ("vit_tiny_patch16_224", "ViT", "trunk")],
)
def test_it_describes_and_draws_other_backbones(
    tmp_path: Path, stand_in: Path, name: str, title: str, layer: str
) -> None:
    raw = yaml.safe_load((ROOT / "params.yaml").read_text("utf-8"))
    raw["hand"]["mano"] = str(stand_in)
    raw["label"]["map"] = str(ROOT / "labels" / "gesture_map.csv")
    raw["encoder"]["backbone"] = name
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(raw), encoding="utf-8")
    assert layer in description(path)
    box = architecture(path)["backbone"]
    assert (box.title, box.notes[0]) == (title, name)


def test_it_describes_eanet_with_its_own_losses_and_does_not_draw_it(
    tmp_path: Path, stand_in: Path
) -> None:
    raw = yaml.safe_load((ROOT / "params.yaml").read_text("utf-8"))
    raw["hand"]["mano"] = str(stand_in)
    raw["label"]["map"] = str(ROOT / "labels" / "gesture_map.csv")
    raw["encoder"]["backbone"] = "resnet18"
    raw["pose_net"] |= {"network": "eanet", "dim": 16, "gesture_tokens": False}
    raw["pretrain"] |= {"contrastive": 0.25, "hierarchical": True}
    raw["pose"]["learned_weights"] = True
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(raw), encoding="utf-8")
    text = description(path)
    assert "ExtractAdapt" in text and "RotationNet" in text
    losses = text.partition("Stage 2 loss")[2].partition("in EANet's units")[0]
    assert "reprojection_mano" in losses and "bone" not in losses
    assert "fine cross-entropy + 0.25 * contrastive + disagreement of both heads" in text
    learned = "rotation, root, betas, joints_mano, uvd, reprojection_mano"
    assert f"times learned factors, which start at 1, of {learned}\n" in text
    with pytest.raises(DrawingError, match="eanet; the drawing is of the paper's network alone"):
        architecture(path)


def test_it_names_the_ablations_and_nothing_without_one(tmp_path: Path, stand_in: Path) -> None:
    raw = yaml.safe_load((ROOT / "params.yaml").read_text("utf-8"))
    raw["hand"]["mano"] = str(stand_in)
    raw["label"]["map"] = str(ROOT / "labels" / "gesture_map.csv")
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(raw), encoding="utf-8")
    assert "part of the gesture claim" not in description(path)
    raw["pretrain"]["soft_targets_deg"] = 5.0
    raw["pose_net"]["class_pose"] = True
    path.write_text(yaml.safe_dump(raw), encoding="utf-8")
    text = description(path)
    assert "; classes of similar poses are partly right (5 degrees)" in text
    assert "class_start" in text and "lambda" in text
    raw["pretrain"] |= {"soft_targets_deg": 0.0, "objective": "pose"}
    path.write_text(yaml.safe_dump(raw), encoding="utf-8")
    text = description(path)
    assert "Stage 1 loss: L1 of the joints about the wrist, dm" in text and "lambda" not in text
    assert "  pretrain.objective: pose" in text
    raw["pretrain"]["objective"] = "gestures"
    raw["label"]["source"] = "finger_states"
    raw["ingest"]["held_out_gestures"] = ["fist"]
    raw["pose"]["train_gesture_heads"] = False
    path.write_text(yaml.safe_dump(raw), encoding="utf-8")
    found = description(path).splitlines()
    assert found[-5:] == [
        "Without a part of the gesture claim (docs/choices.md, Ablations):",
        "  ingest.held_out_gestures: [fist]",
        "  label.source: finger_states",
        "  pose.train_gesture_heads: false",
        "  The classes counted above are the map's; those of finger states depend on the data",
    ]
