"""Every command in the docs is run: the light ones here, the others where the table says."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.describe.describe import architecture
from pipeline.describe.figure import label_text
from tests.pipeline.describe.test_figure import recorded_labels

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
CONTRIBUTING = ROOT / "CONTRIBUTING.md"
PAGES = [
    README,
    CONTRIBUTING,
    *sorted((ROOT / "docs").glob("*.md")),
    ROOT / "labels" / "README.md",
    ROOT / "bench" / "README.md",
]
TWO_SCREENS = 95
"""Lines that README may have at most."""
JUDGE = (
    "python -m bench.realism --landmarks work/package/hand_landmark_full.tflite"
    " --palm work/package/hands_solution_packed_assets.data"
)
ELSEWHERE = {
    "handpose configure --profile wide": "pipeline/profiles/test_configure.py",
    "handpose configure --profile best": "pipeline/profiles/test_configure.py",
    "handpose configure --profile eanet": "pipeline/profiles/test_configure.py",
    'git commit --all --message "Profile wide"': "pipeline/release/test_release.py",
    "handpose release": "pipeline/release/test_release.py, without the hours of training",
    "handpose confidence": "pipeline/confidence/test_confidence_command.py",
    "handpose export work/hand.onnx --format onnx": "pipeline/export/test_export_command.py",
    "handpose export work/hand.onnx --format onnx --output mesh": (
        "pipeline/export/test_export_command.py"
    ),
    "handpose export work/hand.onnx --format onnx --precision int8": (
        "pipeline/export/test_export_command.py"
    ),
    "handpose export work/hand.pt --format torchscript": "pipeline/export/test_export_command.py",
    "handpose experiment timed data_fourfold --minutes 9 --jobs 8 --out work/timed": (
        "pipeline/experiment/test_timed_runs.py, with small stages"
    ),
    "handpose experiment import work/timed/results.json": (
        "pipeline/experiment/test_timed_runs.py"
    ),
    "handpose publish work/my-model": "pipeline/publish/test_publish.py",
    "npm pack --pack-destination work onnxruntime-web@1.30.0": "end_to_end/test_web_page.py",
    (
        "handpose export work/page --format web --output mesh"
        " --runtime work/onnxruntime-web-1.30.0.tgz"
    ): "end_to_end/test_web_page.py",
    "handpose view work/page": "end_to_end/test_web_page.py",
    "python -m http.server --bind 127.0.0.1 --directory work/page": "end_to_end/test_web_page.py",
    "handpose fit hands.npz": "pipeline/fit_hands/test_fit_command.py",
    "handpose fit joints.npy --order interhand --unit mm --side right": (
        "pipeline/fit_hands/test_fit_command.py"
    ),
    "handpose fit meshes.npy --side left --npz": "pipeline/fit_hands/test_fit_command.py",
    "handpose fit clip.json --intrinsics 900,910,256,167 --track": (
        "pipeline/fit_hands/test_fit_command.py"
    ),
    "handpose evaluate export work/ours.parquet": "pipeline/imported/test_evaluate_command.py",
    (
        "handpose evaluate export work/scratch.jsonl --split official_val"
        " --model models/pose/scratch"
    ): "pipeline/imported/test_evaluate_command.py",
    "handpose evaluate export work/hamer.parquet --model hamer.ckpt": (
        "pipeline/imported/test_published_export.py"
    ),
    "handpose evaluate export work/native.parquet --model wilor_final.ckpt --native": (
        "pipeline/imported/test_published_export.py"
    ),
    "handpose field": "pipeline/field/test_field_command.py, with untrained models",
    "handpose evaluate shifted 0.5": "pipeline/shifted/test_evaluate_shifted.py",
    "handpose evaluate file theirs.parquet": "pipeline/imported/test_evaluate_command.py",
    "handpose evaluate file theirs.jsonl --partial": "pipeline/imported/test_evaluate_command.py",
    "handpose evaluate benchmark hint": (
        "pipeline/benchmark/test_evaluate_hint.py, with a made-up HInt"
    ),
    "handpose evaluate benchmark freihand": (
        "pipeline/benchmark/test_evaluate_benchmark.py, with a made-up FreiHAND"
    ),
    "handpose evaluate benchmark ho3d_v3 --submission work/pred.json": (
        "pipeline/benchmark/test_evaluate_benchmark.py, with a made-up HO-3D"
    ),
    "handpose evaluate benchmark freihand --predictions pred.json": (
        "pipeline/benchmark/test_evaluate_benchmark.py, with a made-up FreiHAND"
    ),
    "handpose predict photo.jpg --bbox 120,80,200,240": "pipeline/predict/test_predict_command.py",
    "handpose predict photos --boxes boxes.csv --out work/hands": (
        "pipeline/predict/test_predict_command.py"
    ),
    'handpose predict "photos/*.png" --side left --obj': "pipeline/predict/test_predict_command.py",
    "handpose predict clip.mp4 --smooth": "pipeline/predict/test_predict_command.py",
    "make demo": "dvc repro, run by end_to_end/test_tiny.py; the whole of it before each release",
    "make test": ".ci/run",
    "make table": "end_to_end/test_table.py",
    "make setup": ".ci/run",
    "make check": ".ci/run",
    "make tiny": ".ci/run",
    "source .venv/bin/activate": "puts on PATH what end_to_end/test_tiny.py puts there",
    "dvc repro": "end_to_end/test_tiny.py",
    "handpose remote add store /mnt/storage/hands --default": (
        "end_to_end/test_remotes.py, with a server of its own"
    ),
    "handpose remote add lab ssh://server.example.org/srv/hands --user me --default": (
        "end_to_end/test_remotes.py, with a server of its own"
    ),
    "handpose remote add cloud s3://hands --endpoint-url https://s3.example.org --profile me": (
        "end_to_end/test_remotes.py, with a server of its own"
    ),
    "git add .dvc/config params.yaml dvc.lock": "end_to_end/test_remotes.py",
    'git commit -m "A run worth keeping"': "end_to_end/test_remotes.py",
    "dvc push": "end_to_end/test_remotes.py",
    "handpose remote add lab --user me": "end_to_end/test_remotes.py",
    "handpose remote add cloud --profile me": "end_to_end/test_remotes.py",
    "dvc pull": "end_to_end/test_remotes.py",
    "handpose remote check lab": "end_to_end/test_remotes.py",
    "handpose remote check lab --deep": "end_to_end/test_remotes.py",
    "handpose doctor --cache": "end_to_end/test_remotes.py",
    "handpose plan": "end_to_end/test_relabel.py",
    "handpose labels diff": "pipeline/labels/test_label_commands.py",
    "handpose labels audit": "pipeline/labels/test_label_commands.py",
    "handpose labels suggest": "pipeline/labels/test_label_commands.py",
    "handpose labels gallery": "pipeline/labels/test_class_gallery.py",
    "handpose data faults": "pipeline/faults/test_loop.py",
    "handpose data exclude swapped_side": "pipeline/faults/test_loop.py",
    "handpose data exclude second_hand:1-12,15": "pipeline/faults/test_loop.py",
    "handpose compare": "end_to_end/test_relabel.py",
    "handpose compare --out work/compare.png": "end_to_end/test_relabel.py",
    "handpose compare ../plain/work/table ./work/table": "pipeline/compare/test_seed_sets.py",
    "dvc metrics diff": "end_to_end/test_relabel.py",
    "dvc plots diff HEAD -o work/plots": "end_to_end/test_relabel.py",
    "git add dvc.lock params.yaml labels": "end_to_end/test_relabel.py",
    "git add dvc.lock labels": "end_to_end/test_relabel.py",
    'git commit -m "Results before relabelling"': "end_to_end/test_relabel.py",
    'git commit -m "Relaxed thumbs up are firm ones"': "end_to_end/test_relabel.py",
    "handpose ui": "end_to_end/test_prefect.py, on a port of its own",
    "handpose run": "end_to_end/test_prefect.py",
    "handpose run evaluate -S evaluate.tsne_samples=80": "end_to_end/test_prefect.py",
    "handpose run --retries 2": "end_to_end/test_prefect.py",
    'handpose serve --cron "0 3 * * *"': "end_to_end/test_prefect.py",
    "handpose doctor": "end_to_end/test_remote_faults.py",
    "handpose view": "end_to_end/test_plots.py",
    "dvc exp run -n slow -S pose.lr=0.0005": "end_to_end/test_experiments.py",
    "dvc exp run --queue -n seed -S pose.seed=1,2": "end_to_end/test_experiments.py",
    "dvc exp run --run-all": "end_to_end/test_experiments.py",
    "dvc exp run --queue -n sure -S evaluate.pictures=8": "end_to_end/test_experiments.py",
    "dvc queue start": "end_to_end/test_experiments.py",
    "dvc queue status": "end_to_end/test_experiments.py",
    "dvc exp show --only-changed --drop 'models.*|State|Executor|Created'": (
        "end_to_end/test_experiments.py"
    ),
    "dvc exp apply seed-2": "end_to_end/test_experiments.py",
    "dvc exp remove slow": "end_to_end/test_experiments.py",
    "git checkout params.yaml dvc.lock": "end_to_end/test_experiments.py",
    "dvc checkout": "end_to_end/test_experiments.py",
    "dvc queue logs fast": "end_to_end/test_experiments.py",
    "dvc queue remove --failed": "end_to_end/test_experiments.py",
    "rm -r work": "end_to_end/test_trouble.py",
    "dvc gc --all-commits --force": "end_to_end/test_trouble.py",
    "git checkout --ours dvc.lock": "end_to_end/test_trouble.py",
    "rm dvc.lock": "end_to_end/test_trouble.py",
    "handpose mano import ~/mano_v1_2": "end_to_end/test_interhand.py",
    (
        "handpose configure --profile interhand26m --data-root ~/InterHand2.6M"
        " --mano ~/mano_v1_2/models"
    ): "end_to_end/test_interhand.py",
    "handpose data verify": "end_to_end/test_interhand.py",
    "dvc repro shard": "end_to_end/test_interhand.py",
    "handpose data inspect": "end_to_end/test_interhand.py",
    "handpose data rejects": "end_to_end/test_interhand.py",
    "git checkout labels": "git's own",
    "mkdir -p work": "the shell's own",
    "npm pack --pack-destination work @mediapipe/hands@0.4.1675469240": "npm's own",
    "tar -xzf work/mediapipe-hands-0.4.1675469240.tgz -C work": "tar's own",
    'pip install -c constraints.txt -e ".[palms]"': "pip's own",
    "handpose predict photo.jpg --palms work/package/hands_solution_packed_assets.data": (
        "pipeline/predict/test_predict_command.py, with a made-up detector"
    ),
    "git clone https://github.com/ardamavi/Sign-Language-Digits-Dataset work/signs": "git's own",
    JUDGE.replace("bench.realism", "bench.real_photos work/signs/Dataset"): (
        "bench/test_real_photos.py, with a made-up judge"
    ),
    JUDGE: "bench/realism/test_command.py, with a judge that repeats the joints",
    f"{JUDGE} --image-px 512 334 --change creases=1 --change dark_studios=1": (
        "bench/realism/test_command.py, likewise"
    ),
}


def commands() -> list[str]:
    """Lines of all `sh` blocks, without comments."""
    blocks = [
        block
        for page in PAGES
        for block in re.findall(r"```sh\n(.*?)```", page.read_text("utf-8"), re.DOTALL)
    ]
    lines = (line.split("#")[0].strip() for block in blocks for line in block.splitlines())
    return sorted({line for line in lines if line})


def test_the_two_commands_are_there() -> None:
    assert {"make demo", "make test"} <= set(commands())


def test_what_runs_elsewhere_is_in_the_docs_and_its_test_exists() -> None:
    assert set(ELSEWHERE) <= set(commands())
    files = {file for where in ELSEWHERE.values() for file in re.findall(r"\S+/\w+\.py", where)}
    assert len(files) > 5
    assert [file for file in files if not (ROOT / "tests" / file).is_file()] == []


def copy_clone(folder: Path, stand_in: Path) -> None:
    """What commands need of a clone in which `synthesize` ran."""
    shutil.copy(ROOT / "params.yaml", folder)
    for name in ("labels", "experiments"):
        shutil.copytree(ROOT / name, folder / name)
    shutil.copytree(stand_in, folder / "data" / "stand_in")


@pytest.mark.parametrize("command", [c for c in commands() if c not in ELSEWHERE])
def test_command_runs(tmp_path: Path, stand_in: Path, command: str) -> None:
    """As a user who ran `make demo` would, in a copy of what the command needs."""
    copy_clone(tmp_path, stand_in)
    words = command.split()
    assert words[0] == "handpose", "only the project's own command and the table above"
    done = subprocess.run(
        [sys.executable, "-m", "pipeline", *words[1:]],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.parent.name + "/" + page.name)
def test_links_lead_to_files(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text("utf-8")):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize(
    ("message", "file"),
    [
        ("resumes after step ", "handpose/training/fit.py"),
        ("already trained; rewriting its results", "handpose/training/fit.py"),
        ("is training here", "handpose/training/checkpoint.py"),
        ("is not the file that model.json names", "handpose/training/model_io.py"),
    ],
)
def test_troubleshooting_quotes_messages_as_they_are(message: str, file: str) -> None:
    assert message in (ROOT / "docs" / "trouble.md").read_text("utf-8")
    assert message in (ROOT / file).read_text("utf-8")


def test_readme_fits_two_screens_and_opens_with_predictions() -> None:
    text = README.read_text("utf-8")
    assert len(text.splitlines()) <= TWO_SCREENS
    images = re.findall(r"!\[[^]]+\]\(([^)]+)\)", text)
    assert images[:2] == ["handpose/released/predictions.jpg", "docs/architecture.png"]


@pytest.mark.parametrize("name", ["LICENSE", "NOTICE", "CITATION.cff", "CONTRIBUTING.md"])
def test_readme_links_to_what_a_repository_needs(name: str) -> None:
    assert f"]({name})" in README.read_text("utf-8")
    assert (ROOT / name).is_file()


def test_architecture_figure_shows_the_shapes_of_the_default_parameters(
    tmp_path: Path, stand_in: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy_clone(tmp_path, stand_in)
    monkeypatch.chdir(tmp_path)
    expected = label_text(architecture(Path("params.yaml")))
    assert recorded_labels(ROOT / "docs" / "architecture.png") == expected, (
        "outdated: run handpose describe --figure docs/architecture.png"
    )


def named_files() -> list[str]:
    """Paths, each with `::name` where one is given, between backticks in CONTRIBUTING.md."""
    words = re.findall(r"`([^`\s]+)`", CONTRIBUTING.read_text("utf-8"))
    tops = {path.name for path in ROOT.iterdir()}
    return sorted({word for word in words if word.split("/")[0].split("::")[0] in tops})


def test_the_walks_name_files() -> None:
    assert len(named_files()) > 20


@pytest.mark.parametrize("named", named_files())
def test_what_the_walks_name_exists(named: str) -> None:
    path, _, name = named.partition("::")
    assert (ROOT / path).exists()
    if name:
        text = (ROOT / path).read_text("utf-8")
        assert re.search(rf"^(?:(?:def|class) {name}\b|{name}\b.* = )", text, re.MULTILINE)
