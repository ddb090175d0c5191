"""experiments/grid.yaml: the project's own, and what is refused."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.experiment.grid import FILE, GridError, GridFile, read_grids, resolve
from pipeline.experiment.runs import runs_of

ROOT = Path(__file__).parents[3]

SMALL: dict[str, Any] = {
    "base": {"pose.batch": 8},
    "variants": {
        "full": {"what": "all", "run": "pretrained"},
        "slow": {"what": "slower", "set": {"pose.lr": 0.0005}},
        "none": {"what": "nothing", "run": "scratch", "set": {"pretrain.lr": 0.5}},
    },
    "grids": {
        "a": {
            "what": "?",
            "planned": "first",
            "against": "full",
            "variants": ["full", "slow"],
            "seeds": [0],
        }
    },
}


def written(root: Path, **changes: Any) -> Path:
    (root / FILE).parent.mkdir(exist_ok=True)
    (root / FILE).write_text(yaml.safe_dump(SMALL | changes, sort_keys=False), encoding="utf-8")
    shutil.copy(ROOT / "params.yaml", root)
    return root


def resolved(root: Path, *names: str) -> Any:
    grids = read_grids(root)
    return resolve(root, grids, list(names))


def test_every_variant_of_the_project_can_be_run_and_is_another(tmp_path: Path) -> None:
    grids = read_grids(ROOT)
    assert set(grids.grids) == {
        *("claim", "equal_time", "equal_steps", "parts", "table2"),
        *("controls", "labels", "handedness", "recipe"),
        *("backbone_convnext", "backbone_vit", "labels_stage_1", "shifted"),
        *("data_third", "data_triple", "data_fourfold", "style_alike", "style_unlike"),
        *("warmup", "gesture_use", "unseen", "losses", "inputs", "schedule"),
        *(
            f"{few}_poses{grid}"
            for few in ("few", "fewer")
            for grid in ("", "_equal_steps", "_warmup")
        ),
        *("fewer_poses_seeds", "fewer_poses_seeds_equal_steps"),
        *("equal_time_again", "repeat_full", "repeat_neither", "warmup_equal_steps"),
        "longer",
        *("longer_equal_steps", "best", "best_goal", "best_full"),
        *("table2_equal_steps", "goal", "eanet_pair", "paper_pair", "paper_guidance"),
    }
    assert set(grids.variants) == {v for grid in grids.grids.values() for v in grid.variants}
    found = resolve(ROOT, grids, list(grids.variants))
    assert [one.name for one in found] == list(grids.variants)


def test_a_variant_sets_its_keys_on_top_of_those_of_all(tmp_path: Path) -> None:
    full, slow = resolved(written(tmp_path), "full", "slow")
    assert (full.params.pose.batch, full.params.pose.lr) == (8, 0.001)
    assert (slow.params.pose.batch, slow.params.pose.lr) == (8, 0.0005)
    assert slow.overrides == ("pose.batch=8", "pose.lr=0.0005")
    assert full.data_settings == slow.data_settings
    changed = {key for key in full.settings if full.settings[key] != slow.settings[key]}
    assert changed == {"pose"}


def test_without_params_the_place_is_named(tmp_path: Path) -> None:
    (written(tmp_path) / "params.yaml").unlink()
    with pytest.raises(GridError, match=r"params\.yaml: not found; run this in the folder of the"):
        resolved(tmp_path, "full")


def test_only_what_decides_a_result_counts(tmp_path: Path) -> None:
    names = {"full": {"what": "all"}, "threads": {"what": "?", "set": {"pose.threads": 1}}}
    with pytest.raises(GridError, match="full and threads are the same: run pretrained"):
        resolved(written(tmp_path, variants=SMALL["variants"] | names), "full", "threads")
    same = {"plain": {"what": "?", "run": "scratch"}}
    with pytest.raises(GridError, match="none and plain are the same: run scratch"):
        resolved(written(tmp_path, variants=SMALL["variants"] | same), "none", "plain")


def test_a_variant_with_other_test_sets_is_another_with_the_same_settings(tmp_path: Path) -> None:
    sets = {"evaluate.shift.severities": [0.5]}
    variants = SMALL["variants"] | {"shifted": {"what": "all, on more", "set": sets}}
    full, shifted = resolved(written(tmp_path, variants=variants), "full", "shifted")
    assert full.settings == shifted.settings, "a result without test sets stays valid"
    assert full.data_settings != shifted.data_settings, "the sets are made before the first run"
    assert shifted.shift.severities == (0.5,)


def test_a_grid_needs_variants_that_make_its_test_set(tmp_path: Path) -> None:
    grid = SMALL["grids"]["a"] | {"test_set": "everything_0.5"}
    grids = read_grids(written(tmp_path, grids={"a": grid}))
    with pytest.raises(GridError, match=r"compared on 'everything_0\.5', but its variant full has"):
        runs_of(tmp_path, grids, grids.grids["a"])
    base = SMALL["base"] | {"evaluate.shift.severities": [0.5]}
    grids = read_grids(written(tmp_path, base=base, grids={"a": grid}))
    assert len(runs_of(tmp_path, grids, grids.grids["a"])) == 2


def test_held_out_gestures_are_a_test_set_of_variants_that_hold_some_out(tmp_path: Path) -> None:
    grid = SMALL["grids"]["a"] | {"test_set": "held_out_gestures"}
    grids = read_grids(written(tmp_path, grids={"a": grid}))
    with pytest.raises(GridError, match=r"test sets: none; set .* or ingest\.held_out_gestures"):
        runs_of(tmp_path, grids, grids.grids["a"])
    base = SMALL["base"] | {"ingest.held_out_gestures": ["0016_fist", "0116_fist"]}
    base |= {"evaluate.shift.severities": [1.0]}
    grids = read_grids(written(tmp_path, base=base, grids={"a": grid}))
    first, *_ = runs_of(tmp_path, grids, grids.grids["a"])
    assert first.resolved.test_sets[0] == "held_out_gestures"
    assert "everything_1" in first.resolved.test_sets


def test_gestures_of_unseen_are_whole_coarse_classes_of_both_hands() -> None:
    """Every fifth class from number 2, and the one that is almost one of these (docs/plan.md)."""
    with (ROOT / "labels" / "gesture_map.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    names = {int(row["coarse_id"]): row["coarse"] for row in rows if row["hand"] == "right"}
    chosen = {names[number] for number in sorted(names)[2::5]} | {"index_tip"}
    expected = {row["folder"] for row in rows if row["coarse"] in chosen}
    grids = read_grids(ROOT)
    for name in grids.grids["unseen"].variants:
        found = resolve(ROOT, grids, [name])[0].params.ingest.held_out_gestures
        assert set(found) == expected and len(found) == len(expected) == 22


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"bases": {}}, r"bases: unknown key; did you mean base\?"),
        ({"same_images": [{"what": "?", "digests": ["a" * 64]}]}, r"has 1, expected two or more"),
        ({"same_images": [{"what": "?", "digests": ["a" * 64, "b"]}]}, r"'b' is no SHA-256"),
        ({"same_images": [{"what": "?", "digests": ["a" * 64] * 2}]}, r"aaa is listed twice"),
        (
            {"variants": {"full": {"what": "?", "sets": {}}}},
            r"full\.sets: unknown key; did you mean variants\.full\.set\?",
        ),
        (
            {"variants": {"full": {"what": "?", "run": "other"}}},
            r"variants\.full\.run: Input should be",
        ),
        (
            {"grids": {"a": SMALL["grids"]["a"] | {"variants": ["full", "fast"]}}},
            r"grids\.a: names the variant 'fast', expected: full, slow, none",
        ),
        (
            {"grids": {"a": SMALL["grids"]["a"] | {"against": "none"}}},
            r"grids\.a\.against: is none, expected one of its variants",
        ),
        (
            {"grids": {"a": SMALL["grids"]["a"] | {"seeds": [1, 1]}}},
            r"grids\.a\.seeds: has none, or one twice: \[1, 1\]",
        ),
    ],
)
def test_a_wrong_file_is_refused_with_the_place(
    tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(GridError, match=words):
        read_grids(written(tmp_path, **changes))


@pytest.mark.parametrize(
    ("sets", "words"),
    [
        ({"pose.lrr": 1}, r"variants\.odd: pose\.lrr: no such key; did you mean pose\.lr\?"),
        ({"pose.lr": "fast"}, r"variants\.odd: pose\.lr: Input should be a valid"),
    ],
)
def test_a_wrong_key_or_value_is_refused_with_the_variant(
    tmp_path: Path, sets: dict[str, Any], words: str
) -> None:
    variants = SMALL["variants"] | {"odd": {"what": "?", "set": sets}}
    with pytest.raises(GridError, match=words):
        resolved(written(tmp_path, variants=variants), "odd")


def test_no_file_and_no_yaml_are_said(tmp_path: Path) -> None:
    with pytest.raises(GridError, match="run this in the folder of the clone"):
        read_grids(tmp_path)
    (tmp_path / FILE).parent.mkdir()
    (tmp_path / FILE).write_text("a: [1", encoding="utf-8")
    with pytest.raises(GridError, match="is not YAML"):
        read_grids(tmp_path)
    assert GridFile.model_validate(SMALL).grids["a"].seeds == [0]


@pytest.mark.parametrize(
    ("earlier", "line", "key"),
    [
        ("variants:\n", "  slow:\n    what: another\n", "slow"),
        ("grids:\n", "  a: {what: other, against: full, variants: [full], seeds: [5]}\n", "a"),
        ("    set:\n", "      pose.lr: 0.5\n", "pose.lr"),
        ("base:\n", "  pose.batch: 4\n", "pose.batch"),
    ],
)
def test_a_name_or_key_that_stands_twice_is_refused(
    tmp_path: Path, earlier: str, line: str, key: str
) -> None:
    path = written(tmp_path) / FILE
    text = path.read_text("utf-8")
    path.write_text(text.replace(earlier, earlier + line, 1), encoding="utf-8")
    words = rf"grid\.yaml: line \d+: the key '{key}' stands in the same mapping on line \d+ already"
    with pytest.raises(GridError, match=words):
        read_grids(tmp_path)
    path.write_text(text, encoding="utf-8")
    assert read_grids(tmp_path).grids["a"].seeds == [0], "the remedy"


def test_names_of_folders_are_plain(tmp_path: Path) -> None:
    with pytest.raises(GridError, match=r"variants\.a/b: expected a name of small letters"):
        read_grids(written(tmp_path, variants=SMALL["variants"] | {"a/b": {"what": "?"}}))
    grids = {"a": SMALL["grids"]["a"] | {"seeds": [-1]}}
    with pytest.raises(GridError, match=r"grids\.a\.seeds: \[-1\] are below 0"):
        read_grids(written(tmp_path, grids=grids))
