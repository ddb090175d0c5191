"""`handpose evaluate`, from the command line to its table and its file."""

from __future__ import annotations

import json
import re
import shutil
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from handpose.fitting.joint_order import ORDERS
from handpose.imported.predictions_file import KEYS, SHAPES, PredictionsFile
from handpose.imported.statement import CHOICES, Statement
from handpose.synthetic.anny_hand import write_anny_hand
from handpose.training.model_io import read_record
from pipeline.__main__ import main
from pipeline.imported.export import export
from pipeline.imported.held_out import HeldOut
from pipeline.imported.imported_scores import score_file
from pipeline.imported.matching import check_statement, match
from pipeline.imported.side_by_side import SideBySide
from stages import evaluate
from stages.evaluation.data import EvaluationData
from stages.hand_model import load_hand_model
from stages.params import load_params
from stages.paths import STAGE_1_MODEL, STAGE_2_MODELS
from tests.pipeline.imported.conftest import K_PHOTO, LEFT_OUT, ROOT, MadeUp, write_params
from tests.stages.conftest import write_labels
from tests.stages.test_evaluate import write_models

Spoil = Callable[[MadeUp], MadeUp]


def scored(file: Path, *words: str) -> Any:
    """The numbers of a file that the command accepts."""
    out = file.parent / "out"
    assert main(["evaluate", "file", str(file), "--out", str(out), *words]) == 0
    return json.loads((out / f"{file.name}.json").read_text("utf-8"))


def error_of(file: Path, capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """The message of a file that the command refuses."""
    out = file.parent / "out"
    assert main(["evaluate", "file", str(file), "--out", str(out), *words]) == 2
    assert not out.exists()
    return capsys.readouterr().err


def values(found: Any) -> dict[str, float]:
    return {key: estimate["value"] for key, estimate in found["estimates"].items()}


# --- round trip ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "split", "run", "words"),
    [
        ("ours.parquet", "test", "pretrained", ""),
        ("scratch.jsonl", "official_val", "scratch", "--model models/pose/scratch"),
    ],
)
def test_a_round_trip_gives_the_numbers_of_the_evaluation(
    clone: Path,
    tmp_path: Path,
    name: str,
    split: str,
    run: str,
    words: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Docs: handpose evaluate export work/ours.parquet, and of scratch.jsonl."""
    given = ["evaluate", "export", str(tmp_path / name), "--split", split, *words.split()]
    assert main(given) == 0
    found = scored(tmp_path / name, "--split", split)
    ours = json.loads(Path("results/metrics.json").read_text("utf-8"))["pose"][split][run]
    assert set(ours) - set(found["estimates"]) == {"volume_mpjpe_mm"}
    for key, estimate in found["estimates"].items():
        assert estimate == pytest.approx(ours[key], rel=5e-5, abs=5e-5), key

    beside = found["against"][run]
    assert set(beside["estimates"]) == set(found["estimates"])
    for key, change in beside["predictions_minus_model"].items():
        assert change["difference"]["value"] == pytest.approx(0, abs=5e-4), key
    assert set(beside["verdicts"].values()) == {"inconclusive"}
    assert "full model" in capsys.readouterr().out


def test_a_canonical_model_of_the_cameras_own_frame_is_exported_into_the_photo(
    clone: Path, stand_in: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ignored = shutil.ignore_patterns("models", "results")
    shutil.copytree(clone, tmp_path, dirs_exist_ok=True, ignore=ignored)
    monkeypatch.chdir(tmp_path)
    changes = {"side_input": False, "turn_camera": False}
    write_params(stand_in, label={"handedness": "canonical"}, pose_net=changes)
    write_labels(coarse=("gun", "fist", "gun", "fist"))
    write_models()
    params, cpu = load_params(), torch.device("cpu")
    mano = load_hand_model(params.hand, params.data)
    records = {f: read_record(f) for f in (STAGE_1_MODEL, *STAGE_2_MODELS.values())}
    data = EvaluationData.open(image_px=params.encoder.image_px, canonical=True, batch=8)
    models = evaluate.load_models(records, data, mano, 0, cpu)
    expected = evaluate.score("test", data, models, params.evaluate).pose["pretrained"]

    path = Path("ours.parquet")
    assert export(path, "test", STAGE_2_MODELS["pretrained"], params, cpu) == 48
    file, held_out = PredictionsFile.open(path), HeldOut.open(data, "test")
    matched = match(file, held_out, partial=False)
    check_statement(file, matched, held_out, mano)
    found = score_file(file, matched, held_out, mano).found
    assert set(expected) - set(found) == {"volume_mpjpe_mm"}
    for key, errors in found.items():
        np.testing.assert_allclose(errors, expected[key], rtol=1e-5, atol=2e-4, err_msg=key)


# --- the metrics, once more ----------------------------------------------------------------------


def aligned(points: Any, truth: Any) -> Any:
    """Umeyama's similarity, by numpy."""
    a, b = points - points.mean(0), truth - truth.mean(0)
    u, s, vt = np.linalg.svd(b.T @ a)
    d = np.diag([1, 1, np.linalg.det(u) * np.linalg.det(vt)])
    return (s * np.diag(d)).sum() / (a**2).sum() * a @ (u @ d @ vt).T + truth.mean(0)


def mean_mm(points: Any, truth: Any, rows: Any = slice(None)) -> float:
    return float(1000 * np.linalg.norm(points - truth, axis=-1)[rows].mean())


def share_near(points: Any, truth: Any, limit_mm: float) -> float:
    distance = 1000 * np.linalg.norm(points[:, None] - truth[None], axis=-1)
    precision, recall = ((distance.min(axis) < limit_mm).mean() for axis in (1, 0))
    return float(2 * precision * recall / (precision + recall))


def by_numpy(made_up: MadeUp, J: Any, J_table2: Any) -> tuple[dict[str, Any], float]:
    """Every protocol of each sample (N,) in float64, and Table 2's average as published."""
    found: dict[str, Any] = defaultdict(lambda: np.full(len(made_up), np.nan))
    slots: dict[tuple[bool, int], list[float]] = defaultdict(list)
    tips_first = [4, 3, 2, 1, 8, 7, 6, 5, 12, 11, 10, 9, 16, 15, 14, 13, 20, 19, 18, 17, 0]
    for k in range(len(made_up)):
        truth = {name: column[k] for name, column in made_up.truth.items()}
        joints, mesh, uv = (made_up.points[n][k] for n in ("joints", "vertices", "joints_2d"))
        valid, cam = truth["joint_valid"].astype(bool), truth["joints_cam"].astype(float)
        others = valid & (np.arange(21) > 0)
        found["wrist_mpjpe_mm"][k] = mean_mm(joints - joints[0], cam - cam[0], others)
        true_uv = (cam / cam[:, 2:]) @ K_PHOTO.T
        zoom = 0.4 + 0.01 * (truth["sample_id"] % 5)
        found["uv_px"][k] = zoom * np.linalg.norm(uv - true_uv[:, :2], axis=1)[valid].mean()
        if not truth["has_mano"]:
            continue
        fit, fit_mesh = (truth[n].astype(float) for n in ("fit_joints", "fit_vertices"))
        found["wrist_fit_mpjpe_mm"][k] = mean_mm(joints - joints[0], fit - fit[0], slice(1, None))
        found["pa_mpjpe_mm"][k] = mean_mm(aligned(joints, fit), fit)
        found["pa_mpvpe_mm"][k] = mean_mm(aligned(mesh, fit_mesh), fit_mesh)
        for name, limit in (("f5", 5), ("f15", 15)):
            found[name][k] = share_near(aligned(mesh, fit_mesh), fit_mesh, limit)
        wrist, fit_wrist = (J @ points for points in (mesh, fit_mesh))
        found["wrist_fit_mpvpe_mm"][k] = mean_mm(mesh - wrist[0], fit_mesh - fit_wrist[0])
        j, t = (J_table2 @ points for points in (mesh, fit_mesh))
        scale = np.linalg.norm(t[9] - t[0]) / np.linalg.norm(j[9] - j[0])
        errors = 1000 * np.linalg.norm(scale * (j - j[9]) - (t - t[9]), axis=1)
        found["table2_mpjpe_mm"][k] = errors.sum() / 20
        found["table2_mpvpe_mm"][k] = mean_mm(scale * (mesh - j[9]), fit_mesh - t[9])
        for slot in range(21):
            if valid[tips_first[slot]] and valid[0]:
                slots[bool(truth["is_left"]), slot].append(errors[slot])
    return dict(found), float(np.mean([np.mean(errors) for errors in slots.values()]))


def test_the_metrics_are_those_of_an_independent_implementation(
    made_up: MadeUp, tmp_path: Path
) -> None:
    params = load_params()
    mano = load_hand_model(params.hand, params.data)
    matrices = (mano.joint_matrix, mano.get_buffer("joints_intaghand"))
    path = made_up.write(tmp_path / "theirs.parquet")
    as_float32 = {n: p.astype(np.float32).astype(float) for n, p in made_up.points.items()}
    expected, published = by_numpy(
        made_up.with_points(**as_float32), *(m.numpy().astype(float) for m in matrices)
    )
    data = EvaluationData.open(image_px=params.encoder.image_px, canonical=False, batch=8)
    file, held_out = PredictionsFile.open(path), HeldOut.open(data, "test")
    scores = score_file(file, match(file, held_out, partial=False), held_out, mano)
    row = [made_up.images.index(image) for image, _ in held_out.keys]
    assert {k for k, v in scores.found.items() if v.ndim == 1} == set(expected)
    for key, errors in expected.items():
        # meshes' joints are regressed in float32: 2e-5 mm
        np.testing.assert_allclose(
            scores.found[key], errors[row], rtol=1e-6, atol=2e-5, err_msg=key
        )
    estimates = SideBySide.of_scores(scores, held_out, seed=0).estimates
    assert estimates["table2_published_mpjpe_mm"].value == pytest.approx(published, abs=2e-5)


# --- what a file states --------------------------------------------------------------------------


def restated(made_up: MadeUp) -> dict[str, MadeUp]:
    """The same predictions in every convention."""
    points = dict(made_up.points)
    three = {name: points[name] for name in ("joints", "vertices")}
    wrist = points["joints"][:, :1]
    mirror = np.where(made_up.is_left[:, None, None], [-1.0, 1, 1], 1.0)
    found = {
        "mm": made_up.with_points(**{n: 1000 * p for n, p in three.items()}).states(unit="mm"),
        "wrist": made_up.with_points(**{n: p - wrist for n, p in three.items()}).states(
            frame="wrist"
        ),
        "mirrored": made_up.with_points(**{n: mirror * p for n, p in three.items()}).states(
            left_hands="mirrored"
        ),
    }
    for order in ("mano", "interhand", "openpose"):
        theirs = np.argsort(ORDERS[order])
        own = {name: points[name][:, theirs] for name in ("joints", "joints_2d")}
        found[order] = made_up.with_points(**own).states(joint_order=order)
    return found


def test_every_convention_gives_the_same_numbers(made_up: MadeUp, tmp_path: Path) -> None:
    expected = values(scored(made_up.write(tmp_path / "theirs.jsonl")))
    for name, same in restated(made_up).items():
        found = values(scored(same.write(tmp_path / f"{name}.parquet")))
        assert found == pytest.approx(expected, rel=1e-4), name


def test_a_better_model_has_the_lower_error_and_its_verdict(
    made_up: MadeUp, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Docs: handpose evaluate file theirs.parquet."""
    found = scored(made_up.write(tmp_path / "theirs.parquet"))
    against = found["against"]["pretrained"]
    assert (found["images"], against["images"]) == (48, 48)
    assert found["intervals_over"] == {"what": "people", "count": 4}
    assert against["verdicts"]["wrist_mpjpe_mm"] == "lower"
    change = against["predictions_minus_model"]["wrist_mpjpe_mm"]
    ours, theirs = against["estimates"]["wrist_mpjpe_mm"], found["estimates"]["wrist_mpjpe_mm"]
    assert change["difference"]["value"] == pytest.approx(theirs["value"] - ours["value"], abs=1e-3)
    assert found["statement"] == made_up.statement.to_json()
    assert found["schema"] == 2
    out = capsys.readouterr().out
    assert "theirs on test: 48 images of 4 people" in out
    assert "MPJPE, wrist-relative, mm (primary)" in out


def test_joints_alone_have_no_mesh_protocol_and_another_definition_has_its_price(
    made_up: MadeUp, tmp_path: Path
) -> None:
    joints = made_up.only("joints").states(joint_definition="freihand")
    found = scored(joints.write(tmp_path / "joints.parquet"))
    assert not {"pa_mpvpe_mm", "f5", "uv_px"} & set(found["estimates"])
    remarks = " ".join(found["remarks"])
    assert "Joints without a mesh" in remarks
    assert "(joint_definition 'freihand'): the true meshes' own joints by it are" in remarks
    same = scored(made_up.only("joints").write(tmp_path / "annotated.parquet"))
    assert values(same) == values(found), "the price is stated, not subtracted"
    unknown = scored(joints.states(joint_definition="other").write(tmp_path / "other.parquet"))
    assert any("an unknown part of each error" in remark for remark in unknown["remarks"])


def test_joints_of_another_definition_are_taken_from_the_mesh(
    made_up: MadeUp, tmp_path: Path
) -> None:
    params = load_params()
    mano = load_hand_model(params.hand, params.data)
    mesh = torch.from_numpy(made_up.points["vertices"])
    theirs = mano.joints_from(mesh, "freihand").double().numpy()
    ours = mano.joints_from(mesh).double().numpy()
    stated = made_up.with_points(joints=theirs).states(joint_definition="freihand")
    found = scored(stated.write(tmp_path / "theirs.parquet"))
    expected = scored(made_up.with_points(joints=ours).write(tmp_path / "ours.parquet"))
    assert values(found) == pytest.approx(values(expected), rel=1e-4)  # one PCK count may flip
    assert any("were replaced by the data set's" in remark for remark in found["remarks"])


def test_a_part_of_the_images_is_scored_only_on_request_and_on_both_sides(
    made_up: MadeUp, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Docs: handpose evaluate file theirs.jsonl --partial."""
    some = made_up.rows(np.arange(30))
    path = some.write(tmp_path / "theirs.jsonl")
    assert "18 samples of the 48 of test have no row" in error_of(path, capsys)
    found = scored(path, "--partial")
    against = found["against"]["pretrained"]
    assert found["images"] == against["images"] == 30
    assert against["estimates"]["wrist_mpjpe_mm"]["samples"] == 30
    assert "table2_published_mpjpe_mm" not in against["estimates"], "is of all images"
    assert "18 images of 48 have no prediction" in found["remarks"][0]


def test_the_example_of_the_docs_is_a_file_of_the_format(made_up: MadeUp, tmp_path: Path) -> None:
    text = (ROOT / "docs" / "imported.md").read_text("utf-8")
    (lines,) = re.findall(r"```json\n(.*?)```", text, re.DOTALL)
    header, row = map(json.loads, lines.splitlines())
    assert Statement.parse(Path("docs"), header).to_json() == header
    assert set(row) == {"image", "side", "joints"}
    columns = re.findall(r"`(\w+)`", text.split("| column |")[1].split("\n\n")[0])
    assert {*KEYS, *SHAPES} <= set(columns)
    for name, choices in CHOICES.items():
        (line,) = re.findall(rf"^\| `{name}` .*$", text, re.MULTILINE)
        assert all(f"`{choice}`" in line for choice in choices), name

    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    joints = 1000 * made_up.points["joints"][:, np.argsort(ORDERS["mano"])]
    mirror = np.where(made_up.is_left[:, None, None], [-1.0, 1, 1], 1.0)
    vertices = 1000 * made_up.points["vertices"]
    batches = [(made_up.images, made_up.is_left, mirror * joints, mirror * vertices)]
    own = code.replace("theirs.parquet", str(tmp_path / "theirs.parquet"))
    exec(own, {"batches": batches, "Path": Path})
    expected = scored(made_up.only("joints", "vertices").write(tmp_path / "ours.parquet"))
    found = scored(tmp_path / "theirs.parquet")
    for key in ("pa_mpvpe_mm", "table2_mpjpe_mm", "f5"):
        assert values(found)[key] == pytest.approx(values(expected)[key], rel=1e-5)


def test_rows_of_samples_that_are_left_out_are_ignored_and_counted(
    made_up: MadeUp, tmp_path: Path
) -> None:
    samples = pq.read_table("data/ingest/samples.parquet").to_pylist()
    more = made_up.rows(np.array([*range(48), 0]))
    more.images[-1] = samples[LEFT_OUT]["image"]
    more.is_left[-1] = samples[LEFT_OUT]["is_left"]
    found = scored(more.write(tmp_path / "more.parquet"))
    expected = scored(made_up.write(tmp_path / "theirs.parquet"))
    assert found["estimates"] == expected["estimates"]
    assert found["remarks"][0] == "1 row of images that the evaluation leaves out."


def test_without_results_the_predictions_stand_alone(
    made_up: MadeUp, clone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ignored = shutil.ignore_patterns("models", "results")
    shutil.copytree(clone, tmp_path / "bare", ignore=ignored)
    monkeypatch.chdir(tmp_path / "bare")
    found = scored(made_up.write(tmp_path / "theirs.parquet"))
    assert found["against"] == {}
    assert found["remarks"][-1].startswith("results/predictions.parquet holds no errors")


# --- what is refused -----------------------------------------------------------------------------


def test_meshes_of_manos_vertices_are_not_compared_with_another_hands(
    made_up: MadeUp,
    evaluated: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shutil.copytree(evaluated, tmp_path / "anny")
    monkeypatch.chdir(tmp_path / "anny")
    write_anny_hand("hand")
    write_params(Path("hand"))
    message = error_of(made_up.write(tmp_path / "theirs.parquet"), capsys)
    assert "has meshes of MANO's 778 vertices, but the hand of hand has 1609" in message
    assert "set hand.mano to MANO, or leave the column out" in message


def joints_times(factor: Any) -> Spoil:
    return lambda m: m.only("joints").with_points(joints=m.points["joints"] * factor)


def other_order(order: str) -> Spoil:
    return lambda m: m.only("joints").with_points(
        joints=m.points["joints"][:, np.argsort(ORDERS[order])]
    )


def at_wrist(m: MadeUp) -> MadeUp:
    return m.with_points(joints=m.points["joints"] - m.points["joints"][:, :1])


def mirrored_left(m: MadeUp) -> MadeUp:
    mirror = np.where(m.is_left[:, None, None], [-1.0, 1, 1], 1.0)
    return m.only("joints").with_points(joints=mirror * m.points["joints"])


def with_nan(column: str) -> Spoil:
    def spoil(m: MadeUp) -> MadeUp:
        points = m.points[column].copy()
        points[7, 3] = np.nan
        return m.with_points(**{column: points})

    return spoil


def doubled(m: MadeUp) -> MadeUp:
    return m.rows(np.array([*range(len(m)), 5]))


def of_train(m: MadeUp) -> MadeUp:
    """One row is of a training image."""
    rows = pq.read_table("data/ingest/samples.parquet").to_pylist()
    other = next(r for r in rows if r["split"] == "train" and r["is_left"] == m.is_left[0])
    images = [other["image"], *m.images[1:]]
    return MadeUp(images, m.is_left, m.points, m.statement, m.truth)


def of_nowhere(m: MadeUp) -> MadeUp:
    return MadeUp(["photo.jpg", *m.images[1:]], m.is_left, m.points, m.statement, m.truth)


def other_side(m: MadeUp) -> MadeUp:
    return MadeUp(m.images, ~m.is_left, m.points, m.statement, m.truth)


def shuffled_joints(m: MadeUp) -> MadeUp:
    order = np.random.default_rng(0).permutation(21)
    return m.only("joints").with_points(joints=m.points["joints"][:, order])


def other_meshes(m: MadeUp) -> MadeUp:
    return m.with_points(vertices=np.roll(m.points["vertices"], 1, 1)[:, ::-1])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (joints_times(1000), "as mm 0.1.* State unit 'mm'"),
        (lambda m: m.states(unit="mm"), "read as mm, as stated, .* State unit 'm'"),
        (joints_times(30), "Write one hand in a row, in metres or millimetres"),
        (other_order("interhand"), "read as 'interhand', "),
        (other_order("mano"), "read as 'mano', "),
        (lambda m: m.states(joint_order="interhand"), "read as 'handpose' or 'mediapipe' or"),
        (shuffled_joints, "the joints do not form a hand in any known order"),
        (mirrored_left, "left hands are .* x negated .* State left_hands 'mirrored'"),
        (lambda m: m.states(left_hands="mirrored"), "State left_hands 'as seen'"),
        (joints_times([1, -1, -1]), "OpenGL's axes"),
        (
            lambda m: other_order("interhand")(at_wrist(m)).states(frame="wrist"),
            "read as 'interhand', ",
        ),
        (lambda m: m.states(frame="wrist"), "relative to the wrist, but half of the wrists are"),
        (
            at_wrist,
            "in the camera's frame, but the wrists are at 0",
        ),
        (
            lambda m: joints_times([1, -1, -1])(at_wrist(m)).states(frame="wrist"),
            "OpenGL's axes",
        ),
        (with_nan("joints"), "row 8 .* joints hold a value that is not a finite number"),
        (with_nan("vertices"), "row 8 .* vertices hold a value that is not a finite number"),
        (doubled, "1 hand in more than one row"),
        (of_train, "1 row of split train, not of test"),
        (of_nowhere, "1 row of no sample of this data set \\(photo.jpg"),
        (other_side, "48 rows of the side that is not in the photo"),
        (lambda m: m.states(split="official_val"), "states that it is of split 'official_val'"),
        (other_meshes, "joints and vertices are of different hands"),
        (
            lambda m: m.with_points(joints_2d=m.points["joints_2d"] / 320),
            "are they pixels of a crop, or shares of an image",
        ),
    ],
)
def test_a_wrong_file_is_refused_by_message(
    made_up: MadeUp,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    spoil: Spoil,
    message: str,
) -> None:
    path = spoil(made_up).write(tmp_path / "theirs.parquet")
    error = error_of(path, capsys)
    assert error.startswith(f"handpose: {path}: ")
    assert re.search(message, error), error


def test_a_split_that_is_not_evaluated_is_refused(
    made_up: MadeUp, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = made_up.write(tmp_path / "theirs.parquet")
    assert "split 'train' is not evaluated; there are test, official_val" in error_of(
        path, capsys, "--split", "train"
    )


def test_options_that_would_not_be_read_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    for words, message in (
        (["--predictions", "a"], "No such option: --predictions"),
        (["file", "a", "--native"], "No such option: --native"),
        (["export", "a", "--partial"], "No such option: --partial"),
        (["benchmark", "freihand", "--split", "test"], "No such option: --split"),
        (["shifted", "1", "--split", "test"], "No such option: --split"),
    ):
        assert main(["evaluate", *words]) == 2
        assert message in capsys.readouterr().err


def test_an_export_says_what_its_name_must_be_and_where_no_model_is(
    clone: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", "export", str(tmp_path / "ours.npz")]) == 2
    assert "its name must end in .parquet or .jsonl" in capsys.readouterr().err
    words = ["export", str(tmp_path / "ours.parquet"), "--model", str(tmp_path)]
    assert main(["evaluate", *words]) == 2
    assert "model.json: not found" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
