from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from stages.params import Params, ParamsError, check_values, load_params
from stages.sections.section import defaults

SHIPPED = Path(__file__).parents[2] / "params.yaml"


def refusal(tmp_path: Path, **changes: Any) -> str:
    """The message for the shipped parameters with `section__key=value` changed."""
    params = yaml.safe_load(SHIPPED.read_text("utf-8"))
    for dotted, value in changes.items():
        *sections, key = dotted.split("__")
        place = params
        for section in sections:
            place = place[section]
        place[key] = value
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(params), encoding="utf-8")
    with pytest.raises(ParamsError) as caught:
        load_params(path)
    return str(caught.value)


def test_shipped_parameters_are_accepted_and_frozen() -> None:
    params = load_params(SHIPPED)
    with pytest.raises(Exception, match="frozen"):
        params.pose_net.dim = 3  # type: ignore[misc]


def test_every_key_in_the_file_is_a_field_and_the_reverse() -> None:
    dumped = Params.model_validate(yaml.safe_load(SHIPPED.read_text("utf-8"))).model_dump()
    assert dumped.keys() == yaml.safe_load(SHIPPED.read_text("utf-8")).keys()


def test_the_shipped_values_are_the_defaults() -> None:
    assert load_params(SHIPPED) == Params()
    assert check_values(defaults(Params), SHIPPED) == Params(), "no default is refused"


def test_keys_that_the_docs_name_exist() -> None:
    values = defaults(Params)
    pages = [*(SHIPPED.parent / "docs").glob("*.md"), SHIPPED.parent / "labels" / "README.md"]
    text = "".join(page.read_text("utf-8") for page in pages)
    named = re.findall(rf"`({'|'.join(values)})\.([a-z0-9_.]+)", text)
    assert len(named) > 30
    for section, key in named:
        found = values[section]
        for part in key.rstrip(".").split("."):
            assert part in found or part.endswith("_"), f"{section}.{key}"  # fine_weight_*
            found = found.get(part)


def test_misspelt_key_is_named_with_the_nearest_known_one(tmp_path: Path) -> None:
    message = refusal(tmp_path, pretrain__epoch=3)
    assert "pretrain.epoch: unknown key; did you mean pretrain.epochs?" in message


def test_unknown_section_and_deep_key_are_told_at_once(tmp_path: Path) -> None:
    message = refusal(tmp_path, pretrian={}, pose__augment__rotation=1)
    assert "pretrian: unknown key; did you mean pretrain?" in message
    assert "pose.augment.rotation: unknown key; did you mean pose.augment.rotation_deg?" in message


def test_missing_key_and_wrong_type_name_key_and_value(tmp_path: Path) -> None:
    message = refusal(tmp_path, pose_net__dim="wide", label={"map": "labels/gesture_map.csv"})
    assert "pose_net.dim" in message
    assert "'wide'" in message
    assert "label.handedness: is missing; its default is handed" in message


def test_severities_are_above_0_to_1_and_stand_once(tmp_path: Path) -> None:
    for wrong in ([0.0], [1.5]):
        message = refusal(tmp_path, evaluate__shift__severities=wrong)
        assert "evaluate.shift.severities.0: Input should be" in message
    message = refusal(tmp_path, evaluate__shift__severities=[0.5, 0.50000001])
    assert "evaluate.shift.severities: two severities are equal after rounding" in message


def test_every_missing_key_is_named_with_its_default(tmp_path: Path) -> None:
    message = refusal(tmp_path, pose={}, evaluate={"device": "auto"}, encoder=None)
    assert "pose.milestones: is missing; its default is []" in message
    assert "pose.augment: is missing; its default is {rotation_deg: 15.0, upright: 0.0," in message
    assert "evaluate.tsne_samples: is missing; its default is 1080" in message
    assert "encoder: Input should be a valid dictionary" in message


@pytest.mark.parametrize(
    ("changes", "both"),
    [
        (
            {
                "label__handedness": "canonical",
                "pose_net__side_input": False,
                "pose__augment__flip": 0.5,
            },
            ("label.handedness", "pose.augment.flip"),
        ),
        ({"label__handedness": "canonical"}, ("label.handedness", "pose_net.side_input")),
        ({"pose_net__side_input": False}, ("label.handedness", "pose_net.side_input")),
        ({"shard__crop_px": 50}, ("shard.crop_px", "shard.view_px")),
        ({"shard__crop_px": 127}, ("shard.crop_px", "shard.view_px")),
        ({"encoder__image_px": 128}, ("shard.view_px", "encoder.image_px")),
        ({"pose_net__heads": 5}, ("pose_net.dim", "pose_net.heads")),
        (
            {"pose_net__second_look": True, "pose_net__turn_camera": False},
            ("pose_net.second_look", "pose_net.turn_camera"),
        ),
        (
            {"ingest__test_subjects": [13, 14]},
            ("ingest.validation_subjects", "ingest.test_subjects"),
        ),
    ],
)
def test_contradictions_name_both_keys(
    tmp_path: Path, changes: dict[str, Any], both: tuple[str, str]
) -> None:
    message = refusal(tmp_path, **changes)
    assert all(key in message for key in both)


def test_absent_file_and_broken_yaml(tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match="not found; run from the folder"):
        load_params(tmp_path / "params.yaml")
    (tmp_path / "params.yaml").write_text("encoder: [1, 2", encoding="utf-8")
    with pytest.raises(ParamsError, match="not readable YAML"):
        load_params(tmp_path / "params.yaml")


def test_empty_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text("", encoding="utf-8")
    with pytest.raises(ParamsError, match="whole file"):
        load_params(tmp_path / "params.yaml")


def test_a_joint_regressor_is_interhands_and_lies_beside_mano(tmp_path: Path) -> None:
    file = "J_regressor_mano_ih26m.npy"
    for name in (f"mano/{file}", f"../{file}", "."):
        message = refusal(tmp_path, hand__mano="mano", hand__joint_regressor=name)
        assert "hand.joint_regressor: expected the name of a file in the folder" in message
    message = refusal(
        tmp_path, hand__mano="mano", hand__joint_regressor=file, data__format="folder"
    )
    assert "which is InterHand2.6M's, but data.format is folder" in message
    message = refusal(tmp_path, hand__joint_regressor=file)
    assert "in data/stand_in, which `dvc repro` replaces" in message


def test_annotations_of_both_hands_are_interhands(tmp_path: Path) -> None:
    message = refusal(tmp_path, ingest__interacting="evaluate", data__format="folder")
    assert (
        "ingest.interacting is evaluate, which is about InterHand2.6M's annotations of both hands, "
        "but data.format is folder, where each record is one hand already; set ingest.interacting "
        "to drop" in message
    )
    assert "drop" in refusal(tmp_path, ingest__interacting="both")


@pytest.mark.parametrize("name", ["convnext_atto", "vit_tiny_patch16_224"])
def test_eanet_refuses_a_backbone_of_patches(tmp_path: Path, name: str) -> None:
    found = refusal(
        tmp_path,
        encoder__backbone=name,
        pose_net__network="eanet",
        pose_net__gesture_tokens=False,
        pose_scratch__gesture_tokens=False,
    )
    assert f"pose_net.network is eanet but encoder.backbone is {name}: its voxel i is" in found


def test_a_benchmark_is_known_and_what_trains_is_not_what_is_evaluated(tmp_path: Path) -> None:
    message = refusal(tmp_path, data__benchmarks={"rhd": "data/rhd"})
    assert "data.benchmarks.rhd" in message and "'freihand', 'ho3d_v2'" in message
    message = refusal(tmp_path, data__trained_benchmarks=["freihand"])
    assert "data.trained_benchmarks names freihand, which data.benchmarks does not" in message
    both = {"ho3d_v2": "a", "ho3d_v3": "b", "freihand": "c"}
    message = refusal(tmp_path, data__benchmarks=both, data__trained_benchmarks=["ho3d_v3"])
    assert "names ho3d_v3, data.benchmarks ho3d_v2 too: what one version" in message
    changes = {"data__benchmarks": {"hint": "a"}, "data__trained_benchmarks": ["hint"]}
    assert "hint, which has 2D joints alone" in refusal(tmp_path, **changes)


def test_the_section_of_the_data_is_a_key_of_a_cache() -> None:
    """`synthesize` keeps one renderer for each."""
    data = load_params(SHIPPED).data
    same, other = (data.model_copy(update={"benchmarks": b}) for b in ({}, {"freihand": "a"}))
    assert len({data, same}) == 1 and len({data, other}) == 2


def test_eanet_refuses_the_parts_that_only_the_papers_network_has(tmp_path: Path) -> None:
    found = refusal(tmp_path, pose_net__network="eanet")
    assert "pose_net.network is eanet, which has no such part, but" in found
    assert "pose_net.gesture_tokens is true; set pose_net.gesture_tokens to false" in found
    changes = {"pose_net__gesture_tokens": False, "pose_net__view_heads": True}
    found = refusal(tmp_path, pose_net__network="eanet", pose_net__second_look=True, **changes)
    assert "pose_net.view_heads and pose_net.second_look are true" in found
    refined = {"pose_net__gesture_tokens": False, "pose_net__refinements": 2}
    found = refusal(tmp_path, pose_net__network="eanet", **refined)
    assert "has no refinements, but pose_net.refinements is 2; set pose_net.refinements" in found
    noisy = {"pose_net__gesture_tokens": False, "pose_net__place_noise": 0.1}
    found = refusal(tmp_path, pose_net__network="eanet", **noisy)
    assert "pose_net.place_noise is 0.1; set pose_net.place_noise to 0, or" in found


def test_eanet_refuses_an_image_of_one_cell_and_an_unknown_network(tmp_path: Path) -> None:
    found = refusal(
        tmp_path, pose_net__network="eanet", pose_net__gesture_tokens=False, encoder__image_px=32
    )
    assert "encoder.image_px is 32" in found and "set encoder.image_px to 64" in found
    found = refusal(tmp_path, pose_net__network="hamer")
    assert "pose_net.network" in found and "'gesture_guided' or 'eanet'" in found


def test_eanet_takes_its_own_keys_and_the_papers_network_is_named_by_nothing() -> None:
    params = Params()
    unnamed = {"network", "projections", "refinements", "ray_input", "class_pose", "place_noise"}
    assert not params.pose_net.keywords().keys() & unnamed
    on = {"refinements": 2, "ray_input": True, "class_pose": True, "place_noise": 0.1}
    more = params.pose_net.model_copy(update=on)
    assert more.keywords() == params.pose_net.keywords() | on
    eanet = params.pose_net.model_copy(update={"network": "eanet", "gesture_tokens": False})
    keys = eanet.keywords()
    assert keys["network"] == "eanet" and "fusion" not in keys and "gesture_tokens" not in keys
    assert params.pose_scratch.pose_net(keys) == keys
    assert params.pose_scratch.pose_net(params.pose_net.keywords())["gesture_tokens"] is False


def test_eanet_refuses_tokens_of_one_kind_of_classes(tmp_path: Path) -> None:
    message = refusal(
        tmp_path,
        pose_net__network="eanet",
        pose_net__gesture_tokens=False,
        pose_net__token_classes="fine",
    )
    assert "pose_net.token_classes is fine; set it to both" in message


def test_tokens_of_both_classes_have_no_name_in_a_record(tmp_path: Path) -> None:
    params = load_params(SHIPPED)
    assert "token_classes" not in params.pose_net.keywords(), "as before there was a choice"
    coarse = params.pose_net.model_copy(update={"token_classes": "coarse"})
    assert coarse.keywords()["token_classes"] == "coarse"


def test_stage_1_without_any_loss_is_refused(tmp_path: Path) -> None:
    message = refusal(tmp_path, pretrain__coarse_weight=0.0, pretrain__fine_weight_start=0.0)
    assert "the first epochs would learn nothing; set pretrain.coarse_weight, or" in message
    message = refusal(tmp_path, pretrain__coarse_weight=0.0, pretrain__fine_weight_max=0.0)
    assert "pretrain.coarse_weight is 0 and lambda starts at 0" in message


@pytest.mark.parametrize(
    ("weight", "level"), [("coarse_weight", "coarse"), ("fine_weight_max", "fine")]
)
def test_the_accuracy_of_classes_without_a_loss_chooses_no_epoch(
    tmp_path: Path, weight: str, level: str
) -> None:
    changes = {f"pretrain__{weight}": 0.0, "pretrain__best": f"{level}_accuracy"}
    message = refusal(tmp_path, **changes)
    assert f"pretrain.best is {level}_accuracy, but no loss trains the {level} classes" in message


def test_gesture_heads_that_know_nothing_are_always_trained() -> None:
    params = load_params(SHIPPED)
    frozen = params.pose.model_copy(update={"train_gesture_heads": False})
    assert params.pose_scratch.settings(frozen).train_gesture_heads


@pytest.mark.parametrize("share", [0.0, -0.1, 1.5])
@pytest.mark.parametrize("key", ["pretrain.labelled_share", "pose.annotated_share"])
def test_a_share_of_the_images_lies_above_0_and_up_to_1(
    tmp_path: Path, key: str, share: float
) -> None:
    limit = "less than or equal to 1" if share > 1 else "greater than 0"
    message = refusal(tmp_path, **{key.replace(".", "__"): share})
    assert f"{key}: Input should be {limit} (found {share})" in message


def test_only_the_maps_classes_are_shuffled(tmp_path: Path) -> None:
    message = refusal(tmp_path, label__source="pose_clusters", label__shuffle="images")
    assert "label.source is pose_clusters and label.shuffle is images: only the map's" in message
    message = refusal(tmp_path, label__source="fingers")
    assert "label.source: Input should be 'gestures', 'finger_states' or 'pose_clusters'" in message


INSTANCES = {"pretrain__objective": "instances", "pose_net__gesture_tokens": False}
COLOURED = defaults(Params)["pretrain"]["augment"] | {"colour": 0.4}


@pytest.mark.parametrize(
    ("key", "value", "off"),
    [
        ("contrastive", 0.1, "0.0"),
        ("hierarchical", True, "False"),
        ("soft_targets_deg", 5.0, "0.0"),
        ("labelled_share", 0.1, "1.0"),
        ("best", "fine_accuracy", "last"),
    ],
)
@pytest.mark.parametrize("objective", ["instances", "pose"])
def test_a_warm_up_without_gestures_refuses_what_reads_them(
    tmp_path: Path, objective: str, key: str, value: Any, off: str
) -> None:
    changes = {**INSTANCES, "pretrain__objective": objective, "pretrain__augment": COLOURED}
    message = refusal(tmp_path, **changes, **{f"pretrain__{key}": value})
    assert f"pretrain.objective is {objective}, which reads no gestures, but pretrain." in message
    assert f"{key} is {value}; set pretrain.{key} to {off}, or pretrain.objective to" in message


@pytest.mark.parametrize("flip", [0.0, 1.0])
def test_two_views_that_cannot_differ_are_refused(tmp_path: Path, flip: float) -> None:
    augment = COLOURED | {"colour": 0.0, "flip": flip}
    message = refusal(tmp_path, **INSTANCES, pretrain__augment=augment)
    assert "pretrain.objective is instances, but pretrain.augment does the same" in message
    assert "set pretrain.augment.rotation_deg, scale, shift, colour or occlude" in message


def test_views_that_differ_are_taken_and_a_pose_needs_none() -> None:
    values = defaults(Params)
    values["pose_net"]["gesture_tokens"] = False
    values["pretrain"]["objective"] = "pose"
    assert check_values(values, SHIPPED).pretrain.objective == "pose"
    values["pretrain"] |= {"objective": "instances", "augment": COLOURED}
    assert check_values(values, SHIPPED).pretrain.augment.varies


def test_stage_2_does_not_read_gesture_heads_that_nothing_trains(tmp_path: Path) -> None:
    warm = {"pretrain__objective": "pose"}
    message = refusal(tmp_path, **warm, pose__train_gesture_heads=False)
    assert "pretrain.objective is pose, which trains no gesture head" in message
    assert "pose.train_gesture_heads is false: they would stay random" in message
    unheard = warm | {"pose__weights__gesture": 0.0}
    message = refusal(tmp_path, **unheard)
    assert "pose.weights.gesture is 0, but pose_net.gesture_tokens is true" in message
    changes = {"pose_net__class_pose": True, "pose_net__gesture_tokens": False}
    message = refusal(tmp_path, **unheard, **changes)
    assert "but pose_net.class_pose is true, which reads them; set pose_net.class_pose" in message


def test_poses_of_classes_need_fine_ones_and_a_head_that_starts_somewhere(tmp_path: Path) -> None:
    message = refusal(tmp_path, pose_net__class_pose=True, pose_net__token_classes="coarse")
    assert "pose_net.class_pose is true, which reads the fine classes, but" in message
    assert "pose_net.token_classes is coarse" in message
    changes = {"pose_net__gesture_tokens": False, "pose_net__class_pose": True}
    message = refusal(tmp_path, pose_net__network="eanet", **changes)
    assert "pose_net.network is eanet, which has no such part, but pose_net.class_pose" in message


def test_the_comparison_without_gestures_has_no_poses_of_classes() -> None:
    params = load_params(SHIPPED)
    full = params.pose_net.model_copy(update={"class_pose": True}).keywords()
    assert full["class_pose"] is True
    assert "class_pose" not in params.pose_scratch.pose_net(full)


def test_what_hagrid_s_photos_would_teach_is_not_held_out(tmp_path: Path) -> None:
    held_out = {"data__hagrid": "x", "ingest__held_out_gestures": ["ok_sign"]}
    message = refusal(tmp_path, **held_out)
    assert "data.hagrid is x but ingest.held_out_gestures is ['ok_sign']" in message
    message = refusal(tmp_path, **INSTANCES, pretrain__augment=COLOURED, data__hagrid="x")
    assert "data.hagrid is x but pretrain.objective is instances" in message


def test_a_warm_up_is_where_stage_2_starts_and_is_not_averaged(tmp_path: Path) -> None:
    warm = {**INSTANCES, "pretrain__augment": COLOURED}
    message = refusal(tmp_path, **warm, pretrain__ema=0.99)
    assert "pretrain.objective is instances but pretrain.ema is 0.99" in message
    message = refusal(tmp_path, **warm, pose__start="handpose/released")
    assert "pose.start is handpose/released, so Stage 2 does not start from Stage 1" in message
